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

if ! ls tests/integration/test_*.py >/dev/null 2>&1; then
        echo "0 passed, 0 failed"
        exit 0
fi
exec tests/run-pytest.sh pytest ${where:+"$where"} "$@"
