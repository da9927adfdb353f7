#!/bin/sh
# make test-deploy: runs tests/deploy/ with a Docker Engine: the one that answers, else one of our own that ends with us.
# Arguments go to pytest. Ends in "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1

mkdir -p build/test-logs build/deploy
engine='' run=''

# die WHAT: one line, and the count that callers look for.
die() {
        echo "test-deploy: $1" >&2
        echo "0 passed, 1 failed"
        exit 1
}

# Ends the engine that we started, by its number, and what it had running.
# shellcheck disable=SC2317  # called by the trap
clean_up() {
        if [ -n "$engine" ]; then
                kill "$engine" 2>/dev/null
                wait "$engine" 2>/dev/null
        fi
        [ -n "$run" ] || return
        # The engine leaves the network's name mounted.
        while read -r _ where _; do
                case $where in "$run"/*) umount "$where" ;; esac
        done </proc/mounts
        rm -rf "$run"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

[ "$(id -u)" -eq 0 ] || die "systemd in a container and a Docker Engine of our own need root; try: sudo make test-deploy"
if command -v dockerd >/dev/null; then engine_packages=''; else engine_packages="docker.io iptables"; fi
command -v docker-compose >/dev/null || engine_packages="$engine_packages docker-compose"
# shellcheck disable=SC2086  # a list of words
tests/install.sh debootstrap debhelper dpkg-dev lintian $engine_packages || die "packages are missing"

start_engine() {
        # Images are kept in build/ from run to run: one engine at a time may have them.
        exec 9>build/deploy/lock
        flock -n 9 || die "another test-deploy runs in this tree"
        run=$(mktemp -d /run/leasekeeper-deploy.XXXXXX)
        DOCKER_HOST=unix://$run/docker.sock
        export DOCKER_HOST
        dockerd --data-root "$PWD/build/deploy/docker" --exec-root "$run/exec" --pidfile "$run/pid" --host "$DOCKER_HOST" \
                >build/test-logs/dockerd.log 2>&1 9>&- &
        engine=$!
        tries=0
        until docker info >/dev/null 2>&1; do
                tries=$((tries + 1))
                if [ "$tries" -gt 300 ] || ! kill -0 "$engine" 2>/dev/null; then
                        die "dockerd did not start: $(tail -n 1 build/test-logs/dockerd.log)"
                fi
                sleep 0.1
        done
}
docker info >/dev/null 2>&1 || start_engine

tests/run-pytest.sh deploy tests/deploy "$@" 9>&-
