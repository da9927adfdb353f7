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
tests/deploy/deps.sh qemu-system-x86 e2fsprogs || die "packages are missing"

out=build/test-logs/vm.out
mkdir -p build/test-logs build/deploy
{
        PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -p no:cacheprovider --durations=10 -ra -q tests/vm "$@" 2>&1
        echo $? >"$out.rc"
} | tee "$out"
rc=$(cat "$out.rc")

# count WORD: the number that pytest's last line has for it.
count() {
        tail -n 1 "$out" | sed -n "s/^/ /; s/.*[^0-9]\([0-9][0-9]*\) $1.*/\1/p"
}
passed=$(count passed) failed=$(count failed) errors=$(count error) skipped=$(count skipped)
failed=$((${failed:-0} + ${errors:-0}))
if [ "$rc" -ne 0 ] && [ "$failed" -eq 0 ]; then
        failed=1
fi
echo "${passed:-0} passed, $failed failed, ${skipped:-0} skipped"
exit "$rc"
