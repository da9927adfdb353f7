#!/bin/sh
# make deb: builds the Debian package in build/deb/ from a copy of the tree and lets lintian look at it.
# Usage: make-deb.sh VERSION
set -eu
cd "$(dirname "$0")/.."
version=$1

for program in dh dpkg-buildpackage lintian; do
        if ! command -v "$program" >/dev/null; then
                echo "deb: $program is missing; please install: debhelper dpkg-dev lintian" >&2
                exit 1
        fi
done

rm -rf build/deb
source=build/deb/leasekeeper-$version
mkdir -p "$source"
# What git knows, as it lies here; in an unpacked archive all but what was built.
if git ls-files --error-unmatch Makefile >/dev/null 2>&1; then
        # shellcheck disable=SC2016  # for the shell inside
        git ls-files -z | xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\\0" "$f"; done' sh
else
        find . -path ./build -prune -o -type f -print0
fi >build/deb/files
tar -c --null --files-from=build/deb/files | tar -x -C "$source"
rm build/deb/files
cp -R systemd/debian "$source/debian"
sed -i "1s/([^)]*)/($version)/" "$source/debian/changelog"
(cd "$source" && DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-parallel=$(nproc)}" dpkg-buildpackage -us -uc -b >../build.log 2>&1) ||
        { tail -n 30 build/deb/build.log >&2; exit 1; }
rm -rf "$source"
# Warnings too are errors: there is no reason to have one.
lintian --allow-root --fail-on error,warning --tag-display-limit 0 build/deb/leasekeeper_"$version"_*.changes
ls build/deb/*.deb
