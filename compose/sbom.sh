#!/bin/sh
# Writes what an image holds as SPDX 2.3, from the package database of the image itself.
#
# sbom.sh NAME VERSION [COMPONENT=VERSION@LICENCE]... : the further components are what is in it beside packages.
set -eu

name=$1 version=$2
shift 2

# element ID NAME VERSION LICENCE PURL
element() {
        printf '    {"SPDXID":"SPDXRef-%s","name":"%s","versionInfo":"%s","downloadLocation":"NOASSERTION",' "$1" "$2" "$3"
        printf '"filesAnalyzed":false,"licenseConcluded":"NOASSERTION","licenseDeclared":"%s","copyrightText":"NOASSERTION"' "$4"
        [ -z "$5" ] || printf ',"externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl",%s' \
                "\"referenceLocator\":\"$5\"}]"
        printf '}'
}

ids=
printf '{\n  "spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"%s %s",\n' "$name" "$version"
printf '  "documentNamespace":"urn:leasekeeper:sbom:%s:%s:%s",\n' "$name" "$version" "$(dpkg-query -W | sha256sum | cut -c 1-16)"
printf '  "creationInfo":{"created":"%s","creators":["Tool: compose/sbom.sh"]},\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
printf '  "packages":[\n'
element image "$name" "$version" Apache-2.0 ""
for component; do
        what=${component%%=*} rest=${component#*=}
        printf ',\n'
        element "component-$what" "$what" "${rest%%@*}" "${rest#*@}" ""
        ids="$ids component-$what"
done
distribution=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
while IFS='	' read -r package package_version architecture; do
        # An SPDX id has letters, digits, dots and dashes.
        id="deb-$(printf %s "$package" | tr -c 'A-Za-z0-9.-' -)"
        printf ',\n'
        element "$id" "$package" "$package_version" NOASSERTION \
                "pkg:deb/debian/$package@$package_version?arch=$architecture&distro=${distribution:-sid}"
        ids="$ids $id"
done <<END
$(dpkg-query -W -f='${Package}\t${Version}\t${Architecture}\n')
END
printf '\n  ],\n  "relationships":[\n    {"spdxElementId":"SPDXRef-DOCUMENT","relationshipType":"DESCRIBES",'
printf '"relatedSpdxElement":"SPDXRef-image"}'
for id in $ids; do
        printf ',\n    {"spdxElementId":"SPDXRef-image","relationshipType":"CONTAINS","relatedSpdxElement":"SPDXRef-%s"}' "$id"
done
printf '\n  ]\n}\n'
