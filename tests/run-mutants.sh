#!/bin/sh
# Proves that tests can fail, each by one small patch in a copy of the tree. tests/mutants/RULE-NAME.patch breaks a lease rule: a
# test of that rule's name must notice. tests/mutants/promises/TEST.NAME.patch breaks a promise of docs/SECURITY.md: that unit
# test must. Ends in "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1

jobs=$(nproc)
passed=0 failed=0
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 1' INT TERM

good() { passed=$((passed + 1)); echo "$*"; }
bad() { failed=$((failed + 1)); echo "FAIL  $*"; }

# Which tests of these programs fail? One name a line.
failing() {
        for test in "$@"; do
                CMOCKA_MESSAGE_OUTPUT=stdout timeout 60 "$copy/b/tests/$test" 2>/dev/null
        done | sed -n 's/^\[  FAILED  \] \([a-zA-Z_0-9]*\)$/\1/p' | sort -u
}

# Builds these test programs.
build() {
        for test in "$@"; do
                shift
                set -- "$@" "b/tests/$test"
        done
        (cd "$copy" && make --no-print-directory -j"$jobs" BUILD=b OPT=-O1 HARD=-fPIE WERROR=-Wno-unused "$@") >"$copy/log" 2>&1
}

# break_by PATCH WHAT: applies it; one that does not is told.
break_by() {
        patch -s -p1 -d "$copy" <"$1" && return
        bad "$2 does not apply any more"
        cp -R agent app common "$copy"/
        false
}

cp -R Makefile agent app common tests "$copy"/
set -- sim/test_rules_1_to_5 sim/test_rules_6_to_16 sim/test_agent
if ! build "$@"; then
        tail -n 20 "$copy/log"
        echo "0 passed, 1 failed"
        exit 1
fi
sound=$(failing "$@")
if [ -n "$sound" ]; then
        bad "without any patch these fail:" "$sound"
fi

for patch in tests/mutants/[0-9]*.patch; do
        name=$(basename "$patch" .patch)
        rule=${name%%-*}
        rule=${rule#0}
        # shellcheck disable=SC2046  # names without blanks
        set -- $(cd tests && grep -l "_test.*(rule_${rule}_" sim/test_*.c | sed 's/\.c$//')
        break_by "$patch" "rule $rule: $name" || continue
        if build "$@"; then
                caught=$(failing "$@")
                of_rule=$(echo "$caught" | grep "^rule_${rule}_" | head -n 1)
                if [ -n "$of_rule" ]; then
                        good "rule $rule: $name caught by $of_rule"
                elif [ -n "$caught" ]; then
                        bad "rule $rule: $name caught by tests of another name alone:" "$caught"
                else
                        bad "rule $rule: $name survives"
                fi
        else
                tail -n 5 "$copy/log"
                bad "rule $rule: $name does not compile"
        fi
        patch -s -R -p1 -d "$copy" <"$patch"
done

rule=0
while [ $rule -lt 16 ]; do
        rule=$((rule + 1))
        [ -n "$(find tests/mutants -name "$(printf %02d $rule)-*.patch")" ] || bad "rule $rule: no patch breaks it"
done

for patch in tests/mutants/promises/*.patch; do
        name=$(basename "$patch" .patch)
        test=unit/${name%%.*}
        name=${name#*.}
        if [ "$test" != "$sound" ]; then
                if ! build "$test" || [ -n "$(failing "$test")" ]; then
                        bad "promise: $test fails without any patch"
                        continue
                fi
                sound=$test
        fi
        break_by "$patch" "promise: $name" || continue
        if ! build "$test"; then
                tail -n 5 "$copy/log"
                bad "promise: $name does not compile"
        else
                caught=$(failing "$test" | head -n 1)
                if [ -n "$caught" ]; then
                        good "promise: $name caught by $test, $caught"
                else
                        bad "promise: $name survives"
                fi
        fi
        patch -s -R -p1 -d "$copy" <"$patch"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
