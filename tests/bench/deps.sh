#!/bin/sh
# Installs what the benchmark needs beside the tests' packages. Toolchains of peers are not installed: such a peer is skipped.
set -eu

command -v wrk >/dev/null && exit 0
if [ "$(id -u)" -ne 0 ]; then
        echo "bench: wrk is missing; please run: sudo apt-get install -y --no-install-recommends wrk" >&2
        exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get install -y --no-install-recommends wrk >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y --no-install-recommends wrk >/dev/null; }
