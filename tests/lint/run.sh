#!/bin/sh
# make lint: formatting, include rules, sizes, words that must not stand in the tree. Ends in "N passed, N failed".
set -eu
cd "$(dirname "$0")/../.."
exec "${PYTHON:-/usr/bin/python3}" -B tests/lint/lint.py
