#!/bin/sh
# make sanitize: unit tests and the integration tests marked `smoke` under the address and undefined-behaviour
# sanitizers. Ends in "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1

SAN=${SAN:-address,undefined}
LOG=build/test-logs/sanitize
mkdir -p $LOG
export UBSAN_OPTIONS=print_stacktrace=1
passed=0 failed=0 skipped=0

# add FILE: counts what the last such line of one half says; none is a failure.
add() {
        counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)\{0,1\}$/\1 \2 \4/p' "$1" | tail -n 1)
        # shellcheck disable=SC2086  # two or three numbers
        set -- ${counts:-0 1}
        passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0}))
}

{ make --no-print-directory -j"$(nproc)" SAN="$SAN" binaries unit 2>&1; echo $? >$LOG/unit.rc; } | tee $LOG/unit.log
add $LOG/unit.log
[ "$(cat $LOG/unit.rc)" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
if grep -q '^make.* \*\*\* .*\.o\] ' $LOG/unit.log; then
        echo "sanitize: it does not compile; no test was run"
        echo "0 passed, 1 failed, 0 skipped"
        exit 1
fi

# The daemons cannot be traced, on purpose, so the leak check at their end cannot look at them: the unit tests do that.
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=0:exitcode=99
{ BIN_DIR=$PWD/build/san tests/run-integration.sh -m smoke 2>&1; echo $? >$LOG/integration.rc; } | tee $LOG/integration.log
add $LOG/integration.log

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
