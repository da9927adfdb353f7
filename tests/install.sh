#!/bin/sh
# install.sh PACKAGE...: installs those that this machine lacks; who is not root gets the command for it.
set -eu

missing=
for package in "$@"; do
        case $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true) in
        installed) ;;
        *) missing="$missing $package" ;;
        esac
done
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" -ne 0 ]; then
        echo "deps: these packages are missing; please run: sudo $install" >&2
        exit 1
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# The lists of a fresh machine may be empty or old; a first failure is the sign to fetch them.
# shellcheck disable=SC2086  # a list of words
if ! $install >/dev/null 2>&1; then
        apt-get update -qq
        $install >/dev/null
fi
