#!/bin/sh
# make test: lint, builds, unit tests, integration and browser. Ends in "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1

LOG_DIR=build/test-logs
mkdir -p $LOG_DIR
passed=0 failed=0 skipped=0 failed_stages=

# stage NAME COMMAND...: runs it, shows it, adds up its last "N passed, N failed" line. A command without such a line
# counts as one test.
stage() {
        name=$1
        shift
        echo "=== $name"
        began=$(date +%s)
        { "$@" 2>&1; echo $? >"$LOG_DIR/$name.rc"; } | tee "$LOG_DIR/$name.log"
        rc=$(cat "$LOG_DIR/$name.rc")
        counts=$(sed -n 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed\(, \([0-9][0-9]*\) skipped\)\{0,1\}$/\1 \2 \4/p' \
                "$LOG_DIR/$name.log" | tail -n 1)
        if [ -z "$counts" ]; then
                [ "$rc" -eq 0 ] && counts="1 0 0" || counts="0 1 0"
        fi
        # shellcheck disable=SC2086  # three numbers
        set -- $counts
        passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0}))
        if [ "$rc" -ne 0 ] && [ "$2" -eq 0 ]; then
                failed=$((failed + 1))
        fi
        [ "$rc" -eq 0 ] || failed_stages="$failed_stages $name"
        echo "=== $name: $(($(date +%s) - began)) s"
}

jobs=$(nproc)
stage lint make --no-print-directory lint
stage build make --no-print-directory -j"$jobs" all
stage build-clang make --no-print-directory -j"$jobs" CC=clang BUILD=build/clang binaries
stage unit make --no-print-directory -j"$jobs" unit
stage integration make --no-print-directory integration

[ -z "$failed_stages" ] || echo "failed in:$failed_stages; each stage's output lies in $LOG_DIR"
if [ "$skipped" -gt 0 ]; then
        echo "$passed passed, $failed failed, $skipped skipped"
else
        echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
