#!/bin/sh
# make test-vm: runs tests/vm/ in a virtual machine with Debian 12's own kernel. Arguments go to pytest. Some minutes the
# first time (its disk is made), one or two later. Ends in "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1

die() {
        echo "test-vm: $1" >&2
        echo "0 passed, 1 failed"
        exit 1
}
[ "$(id -u)" -eq 0 ] || die "making the machine's disk needs root; try: sudo make test-vm"
tests/install.sh debootstrap debhelper dpkg-dev lintian qemu-system-x86 e2fsprogs || die "packages are missing"

exec tests/run-pytest.sh vm tests/vm "$@"
