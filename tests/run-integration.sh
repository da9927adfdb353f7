#!/bin/sh
# Runs the integration and browser tests against the real servers. Arguments go to pytest. Ends in "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1

# Tests named on the command line are run alone.
where=tests/integration
for word in "$@"; do
        case $word in
        tests/integration/*) where= ;;
        esac
done

out=build/test-logs/pytest.out
mkdir -p build/test-logs
if ! ls tests/integration/test_*.py >/dev/null 2>&1; then
        echo "0 passed, 0 failed"
        exit 0
fi
{
        # The process that starts MariaDB and OpenBao is /usr/bin/python3: Debian's pytest belongs to it.
        PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -p no:cacheprovider --durations=10 -ra -q \
                ${where:+"$where"} "$@" 2>&1
        echo $? >"$out.rc"
} | tee "$out"
rc=$(cat "$out.rc")

# count WORD: the number that pytest's last line has for it.
count() {
        sed -n "s/.*[^0-9]\([0-9][0-9]*\) $1.*/\1/p" <<-END
                 $(tail -n 1 "$out")
	END
}
passed=$(count passed) failed=$(count failed) errors=$(count error) skipped=$(count skipped)
failed=$((${failed:-0} + ${errors:-0}))
if [ "$rc" -ne 0 ] && [ "$failed" -eq 0 ]; then
        failed=1
fi
echo "${passed:-0} passed, $failed failed, ${skipped:-0} skipped"
exit "$rc"
