#!/bin/sh
# Runs each cmocka program named on the command line and adds up what they say. Ends in "N passed, N failed".
set -u

passed=0 failed=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT

for program in "$@"; do
        CMOCKA_MESSAGE_OUTPUT=stdout timeout 120 "$program" >"$out" 2>&1
        rc=$?
        good=$(grep -c '^\[       OK \]' "$out")
        bad=$(grep -c '^\[  FAILED  \] [a-zA-Z_0-9]*$' "$out")
        # A failed test is named twice: where it fails and in the summary. A program that died names none.
        bad=$(((bad + 1) / 2))
        [ "$rc" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
        passed=$((passed + good)) failed=$((failed + bad))
        if [ "$rc" -ne 0 ] || [ "$bad" -gt 0 ]; then
                echo "  FAIL  $(basename "$program") (exit code $rc)"
                sed 's/^/        /' "$out"
        else
                echo "  ok    $(basename "$program"): $good"
        fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
