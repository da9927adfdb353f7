"""notesd with Oracle's client library against Oracle's MySQL, in the stack: exactly-once writes under kill and rotation."""

import subprocess
import time

import pytest

from box import run
from compose_stack import SQL, Stack
from load import Load
from release import base_image
from servers import wait_until


@pytest.fixture(scope="module")
def mysql():
    """MySQL comes from Debian sid, which moves: where its packages are gone, this says so and skips."""
    stack = Stack("mysql", DB="mysql", DB_TTL="1h", DB_MAX_TTL="24h", SID_IMAGE=base_image("sid"))
    built = stack.try_make("images")
    if built.returncode:
        said = built.stdout + built.stderr
        if any(word in said for word in ("Unable to locate package", "has no installation candidate", "unmet dependencies")):
            pytest.skip(f"MySQL cannot be had from Debian sid today: {said.strip()[-300:]}")
        pytest.fail(said[-3000:])
    try:
        yield stack.up()
    finally:
        stack.remove()


def sessions(mysql):
    return [row[0] for row in mysql.sql("SELECT PROCESSLIST_ID FROM performance_schema.threads "
                                       "WHERE PROCESSLIST_USER LIKE 'v-approle-%'")]


def test_it_is_mysql_by_oracles_library_over_tls(mysql):
    version = tuple(int(n) for n in mysql.sql("SELECT SUBSTRING_INDEX(VERSION(), '-', 1)")[0][0].split("."))
    assert version >= (8, 4)
    maps = mysql.exec("app", "ldd", "/usr/sbin/notesd")
    assert "libmysqlclient.so" in maps and "libmariadb" not in maps
    plugins = mysql.sql("SELECT plugin FROM mysql.user WHERE User LIKE 'v-approle-%'")
    assert plugins == [["caching_sha2_password"]]
    ciphers = mysql.sql("SELECT s.VARIABLE_VALUE FROM performance_schema.status_by_thread s JOIN performance_schema.threads t "
                        "USING (THREAD_ID) WHERE s.VARIABLE_NAME = 'Ssl_cipher' AND t.PROCESSLIST_USER LIKE 'v-approle-%'")
    assert ciphers and all(row[0] for row in ciphers)
    text = "Milch für 3 €,日本 ✓"
    note = mysql.app.add(text, tls=True)
    assert [n["text"] for n in mysql.app.notes() if n["id"] == note["id"]] == [text]


def test_rotation_under_load_loses_and_doubles_nothing(mysql):
    before, users = mysql.versions()["db"], mysql.users()
    with Load(mysql.app, each=1, name="mysql-rotate") as load:
        time.sleep(1)
        mysql.make("rotate")
        wait_until("a new version", lambda: mysql.versions()["db"] != before)
        wait_until("the old user to be gone", lambda: not users & mysql.users())
        time.sleep(1)
    load.check(mysql)
    assert "v-approle-notes-" in mysql.make("db-users")


def test_killed_sessions_lose_and_double_nothing(mysql):
    with Load(mysql.app, each=1, name="mysql-sessions") as load:
        time.sleep(1)
        for _ in range(8):
            for number in sessions(mysql):
                # It may be gone by itself meanwhile.
                mysql.try_exec("db", *SQL, "-e", f"KILL {number}")
            time.sleep(0.4)
    load.check(mysql)


def test_a_revoked_user_is_replaced_under_load(mysql):
    with Load(mysql.app, each=1, name="mysql-revoke") as load:
        time.sleep(1)
        before = mysql.versions()["db"]
        mysql.make("vault-revoke")
        wait_until("a new version", lambda: mysql.versions()["db"] != before, 60)
        time.sleep(1)
    load.check(mysql)


def test_a_killed_server_doubles_nothing(mysql):
    """While it is away requests may fail; what was confirmed stands once, what was not stands once or not at all."""
    with Load(mysql.app, each=1, name="mysql-kill") as load:
        time.sleep(1)
        mysql.kill("db")
        mysql.wait_healthy("db")
        wait_until("notesd to be ready", mysql.app.is_ready, 60, 0.3)
        time.sleep(2)
    counts = {}
    for text in mysql.table():
        counts[text] = counts.get(text, 0) + 1
    assert load.written
    assert [t for t in load.written if counts.get(t) != 1] == []
    assert [t for t, n in counts.items() if n > 1] == []
    refused = [f for f in load.failures if " 503 " not in f and "Timeout" not in f and "timed out" not in f]
    assert not refused, refused[:10]


def test_the_app_of_the_usual_stack_speaks_to_it_too(mysql):
    """With MariaDB's library: one image of the app serves both kinds of server."""
    image = "leasekeeper/app-mariadb:0.1.0"
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode:
        pytest.skip("the usual stack's app was not built here")
    name = f"{mysql.project}-other-app"
    network = f"{mysql.project}_data"
    command = ["docker", "run", "-d", "--name", name, "--network", network, "--read-only", "--cap-drop", "ALL",
               "-v", f"{mysql.project}_run:/run/leasekeeper:ro", image, "--consumer", "other"]
    subprocess.run(command, check=True, capture_output=True)
    try:
        ready = ["docker", "exec", name, "ready"]
        wait_until("the other app", lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0, 30, 0.5)
        assert "libmariadb" in run("docker", "exec", name, "ldd", "/usr/sbin/notesd")
    finally:
        subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False)
