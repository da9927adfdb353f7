"""make demo, as a stranger runs it, and the commands against the running one."""

import os
import signal
import socket
import subprocess
import sys
import time

from daemons import bin_dir
from servers import TOP, free_port, wait_until

DEMO = [sys.executable, "-B", os.path.join(TOP, "compose", "local", "demo.py")]


def environment(**more):
    env = {**os.environ, "DEMO_PORT": str(free_port()), "DEMO_TLS_PORT": str(free_port()), "BIN_DIR": bin_dir()}
    env.pop("DEMO_SECONDS", None)
    return {**env, **more}


def command(*words):
    return subprocess.run([*DEMO, *words], capture_output=True, text=True, check=False, env=environment(), timeout=90)


def folders():
    return [d for place in ("/run", "/dev/shm") for d in os.listdir(place) if d.startswith("leasekeeper-demo.")]


def test_a_demo_of_some_seconds_ends_by_itself_without_a_failed_request():
    before = folders()
    run = subprocess.run(DEMO, capture_output=True, text=True, check=False, timeout=150,
                         env=environment(DEMO_SECONDS="30"))
    assert run.returncode == 0, run.stdout + run.stderr
    assert ", 0 failed" in run.stdout
    assert "db: version" in run.stdout
    assert folders() == before


def test_a_taken_port_gets_one_line():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = str(s.getsockname()[1])
        run = subprocess.run(DEMO, capture_output=True, text=True, check=False, env=environment(DEMO_PORT=port), timeout=60)
    assert run.returncode == 1
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert port in run.stderr and "DEMO_PORT=" in run.stderr


def test_the_commands_against_a_running_demo_and_ctrl_c(tmp_path):
    before = folders()
    log = tmp_path / "demo.log"
    with open(log, "wb") as out:
        demo = subprocess.Popen(DEMO, stdout=out, stderr=out, env=environment(), start_new_session=True)
    try:
        def up():
            assert demo.poll() is None, log.read_text()
            return "Ctrl-C ends it" in log.read_text()
        wait_until("the demo to be up", up, 90)
        users = command("db-users")
        assert users.returncode == 0, users.stderr
        for name in ("root", "vault", "v-approle-notes-"):
            assert name in users.stdout
        assert command("rotate").returncode == 0
        revoked = command("vault-revoke")
        assert revoked.returncode == 0, revoked.stderr

        follow = subprocess.Popen([*DEMO, "db-query-logs"], stdout=subprocess.PIPE, text=True, env=environment(),
                                  start_new_session=True)
        lines = [follow.stdout.readline() for _ in range(15)]
        follow.send_signal(signal.SIGINT)
        rest, _ = follow.communicate(timeout=10)
        assert follow.returncode == 0
        shown = "".join(lines) + rest
        assert "notes" in shown
        assert "IDENTIFIED BY '" not in shown.replace("IDENTIFIED BY '***'", "")
        wait_until("a new database user in the demo's own words", lambda: "db: version" in log.read_text(), 60)
    finally:
        began = time.monotonic()
        demo.send_signal(signal.SIGINT)
        code = demo.wait(60)
    assert code == 0, log.read_text()
    assert time.monotonic() - began < 30
    assert folders() == before
    assert command("db-users").returncode == 1
