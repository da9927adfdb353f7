#!/bin/sh
# run-pytest.sh NAME WORD...: pytest for the other run-*.sh. Its output is kept as build/test-logs/NAME.out. Ends in
# "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.." || exit 1

out=build/test-logs/$1.out
shift
mkdir -p build/test-logs
{
        # The process that starts MariaDB and OpenBao is /usr/bin/python3: Debian's pytest belongs to it.
        PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -p no:cacheprovider --durations=10 -ra -q "$@" 2>&1
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
