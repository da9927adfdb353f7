"""The leasekeeper command, and Vault's own clients, through the agent's socket and with no token."""

import glob
import json
import os
import re
import shutil
import subprocess

import pytest

from daemons import base_env, bin_dir
from lease_support import (CALM, NAMES, Made, block, daemon_command, status_of, version_of, versions,
                           wait_for_other_version)
from servers import TOP, bao_program, wait_until


@pytest.fixture
def agent(stand):
    stand.provision(**CALM)
    return stand.start_agent(secrets=block(stand, "kv2", stand.names.kv2_path))


def run(command, env=None, seconds=60):
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", timeout=seconds,
                          env={**base_env(), **(env or {})})


def operator(agent, *words):
    """leasekeeper as the agent's own user."""
    return run([*daemon_command(agent, "leasekeeper"), "-socket", agent.socket, *words])


def reader_command(agent, *words):
    return [*daemon_command(agent, "leasekeeper", agent.ids.app), "-socket", agent.socket, *words]


def reader(agent, *words):
    """leasekeeper as the app's user."""
    return run(reader_command(agent, *words))


# leasekeeper

def test_status_is_a_table_for_people(stand, agent):
    shown = operator(agent, "status")
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("SECRET"))
    assert lines[head].split()[:5] == ["SECRET", "KIND", "VERSION", "STATE", "EXPIRES"]
    rows = {line.split()[0]: line for line in lines[head + 1:] if line.strip()}
    now = versions(stand)
    for name, kind in (("db", "dynamic"), ("dbinfo", "static"), ("kv2", "static"), ("tls", "certificate")):
        assert re.match(rf"{name} +{kind} +{now[name]} +valid ", rows[name]), rows[name]
    assert re.search(r" in (59|60) min ", rows["db"]), rows["db"]


def test_status_json_is_the_agents_own(stand, agent):
    shown = operator(agent, "status", "-json")
    assert shown.returncode == 0
    status = json.loads(shown.stdout)
    assert {s["name"] for s in status["secrets"]} == {*NAMES, "kv2"}
    for secret in status["secrets"]:
        assert {"name", "kind", "version", "state", "expires_at", "next_action", "next_action_at", "why", "held_by",
                "last_error"} <= set(secret)
    assert stand.secret("db")["data"]["password"] not in shown.stdout


def test_status_says_who_holds_the_old_version_and_what_failed(stand, agent):
    version = version_of(stand)
    stand.secret("db", "?consumer=slow")
    agent.ask("POST", "/agent/v1/rotate/db")
    wait_for_other_version(stand, version)
    shown = operator(agent, "status").stdout
    assert re.search(r"^db .*slow", shown, re.M), shown
    stand.vault.call("DELETE", stand.names.kv1_path)
    agent.ask("POST", "/agent/v1/rotate/dbinfo")
    wait_until("the error", lambda: status_of(agent, "dbinfo")["last_error"], 10, 0.1)
    shown = operator(agent, "status").stdout
    assert "404" in shown, shown


def test_get_gives_a_field_raw_and_the_whole_as_json(stand, agent):
    secret = stand.secret("db")
    assert reader(agent, "get", "db", "password").stdout == secret["data"]["password"]
    whole = reader(agent, "get", "db")
    assert (whole.returncode, json.loads(whole.stdout)["data"]) == (0, secret["data"])
    assert reader(agent, "get", "tls", "private_key").stdout.startswith("-----BEGIN")
    missing = reader(agent, "get", "db", "passwort")
    assert missing.returncode == 1
    said = re.match(r"leasekeeper: db has no field passwort; it has: (\w+), (\w+)$", missing.stderr)
    assert set(said.groups()) == {"username", "password"}
    assert reader(agent, "get", "nothing").returncode == 1


def test_watch_prints_a_line_for_each_version(stand, agent):
    version = version_of(stand)
    out = os.path.join(stand.scratch.root, f"{stand.tag}-lines")
    with open(out, "wb") as f:
        watching = subprocess.Popen(reader_command(agent, "watch", "db"), stdout=f, stderr=subprocess.STDOUT, cwd="/",
                                    env=base_env())
        try:
            def lines():
                with open(out, encoding="utf-8") as shown:
                    return [json.loads(line.split(" ", 1)[1]) for line in shown if line.startswith("secret ")]
            wait_until("the first line", lines, 10)
            agent.ask("POST", "/agent/v1/rotate/db")
            wait_until("the second line", lambda: len(lines()) == 2, 10)
            assert lines()[0]["version"] == version
            assert lines()[1]["version"] == version_of(stand)
            assert agent.stop() == 0
            assert watching.wait(10) == 1
        finally:
            watching.kill()
            watching.wait()


def test_rotate_returns_when_the_new_versions_are_published(stand, agent):
    before = versions(stand)
    done = operator(agent, "rotate")
    assert done.returncode == 0, done.stderr
    after = versions(stand)
    for name in ("db", "tls"):
        assert after[name] != before[name]
        assert f"{name}: version {after[name]}" in done.stdout
    assert after["dbinfo"] == before["dbinfo"]
    unknown = operator(agent, "rotate", "nothing")
    assert unknown.returncode == 1 and "nothing: no such secret" in unknown.stderr


def test_rotate_no_wait_returns_at_once(stand, agent):
    version = version_of(stand)
    assert operator(agent, "rotate", "-no-wait", "db").returncode == 0
    wait_for_other_version(stand, version)


def test_rotate_tells_who_has_to_wait(stand, agent):
    """The version before is still held: its turn comes by itself, and the caller is not kept."""
    stand.secret("db", "?consumer=slow")
    assert operator(agent, "rotate", "db").returncode == 0
    again = operator(agent, "rotate", "db")
    assert again.returncode == 1
    assert re.search(r"again in \d+ s", again.stderr), again.stderr
    assert "db: waits" in again.stdout


def test_reload_and_health_on_the_command_line(stand, agent):
    assert operator(agent, "reload").returncode == 0
    assert operator(agent, "health").stdout.splitlines()[0] == "ok"
    agent.config.secrets += "\nno_such_key = 1\n"
    agent.write_config()
    refused = operator(agent, "reload")
    assert refused.returncode == 1
    assert re.search(r"agent\.hcl:\d+: .*no_such_key", refused.stderr), refused.stderr
    degraded = operator(agent, "health")
    assert degraded.returncode == 0
    assert degraded.stdout.splitlines()[0] == "degraded" and "no_such_key" in degraded.stdout


@pytest.mark.root
def test_who_is_no_operator_gets_nothing_done(stand, agent):
    before, made = versions(stand), Made(stand)
    for words in (["status"], ["status", "-json"], ["rotate"], ["rotate", "db"], ["reload"]):
        denied = reader(agent, *words)
        assert denied.returncode == 1, words
        assert "denied" in denied.stderr
    assert versions(stand) == before
    assert not made.asked()


def test_exit_codes_of_wrong_use_and_of_an_agent_that_is_not_there(stand, agent):
    for words in ([], ["no-such-command"], ["get"], ["watch"], ["status", "db"], ["rotate", "-now"], ["reload", "db"]):
        wrong = operator(agent, *words)
        assert wrong.returncode == 2, words
        assert wrong.stderr.startswith("leasekeeper: ") and not wrong.stdout
    for words in (["--help"], ["status", "--help"], ["get", "--help"], ["-socket", "/nowhere", "rotate", "-h"]):
        told = operator(agent, *words)
        assert told.returncode == 0 and told.stdout.startswith("usage: leasekeeper "), words
    with open("/dev/full", "w", encoding="ascii") as nowhere:
        full = subprocess.run([os.path.join(bin_dir(), "leasekeeper"), "-socket", agent.socket, "status"], check=False,
                              stdout=nowhere, stderr=subprocess.PIPE, text=True)
    assert full.returncode == 1 and "stdout" in full.stderr
    assert agent.stop() == 0
    for words in (["status"], ["get", "db"], ["watch", "db"], ["rotate"], ["reload"], ["health"]):
        gone = operator(agent, *words)
        assert gone.returncode == 1, words
        assert "leasekeeperd" in gone.stderr


# Vault's own clients

def bao(stand, *words, **env):
    """The real client as the app's user; it finds the agent by env alone."""
    ids = stand.ids
    return run([*ids.prefix(ids.app), stand.scratch.program(bao_program(), ids.app), *words],
               {"HOME": "/nonexistent", **env})


@pytest.mark.parametrize("name", ["BAO_ADDR", "VAULT_ADDR", "BAO_AGENT_ADDR", "VAULT_AGENT_ADDR"])
def test_bao_reads_a_lease_through_the_socket(stand, agent, name):
    made = Made(stand)
    read = bao(stand, "read", "-format=json", stand.names.creds_path, **{name: "unix://" + agent.socket})
    assert read.returncode == 0, read.stderr
    answer = json.loads(read.stdout)
    assert answer["data"] == stand.secret("db")["data"]
    assert answer["lease_id"].startswith(stand.names.creds_path + "/")
    assert answer["renewable"] is False
    assert 3500 < answer["lease_duration"] <= 3600
    assert not made.asked(), "a read on the socket reached OpenBao"


def test_bao_reads_both_versions_of_kv(stand, agent):
    address = {"BAO_ADDR": "unix://" + agent.socket}
    for path in (stand.names.kv1_path, stand.names.kv2_path.replace("/data/", "/")):
        read = bao(stand, "kv", "get", "-format=json", path, **address)
        assert read.returncode == 0, read.stderr
        data = json.loads(read.stdout)["data"]
        assert data.get("data", data) == stand.dbinfo()
    field = bao(stand, "read", "-field=database", stand.names.kv1_path, **address)
    assert field.stdout.strip() == stand.names.database


def test_bao_can_neither_write_nor_read_what_is_not_configured(stand, agent):
    """403 in Vault's own shape; and a forbidden path and an unknown one are alike."""
    address = {"BAO_ADDR": "unix://" + agent.socket}
    before, made = versions(stand), Made(stand)
    for words in (["read", stand.names.kv1_mount + "/other"], ["write", stand.names.kv1_path, "a=b"],
                  ["list", stand.names.kv1_mount], ["delete", stand.names.kv1_path], ["read", "sys/mounts"],
                  ["token", "create"], ["lease", "revoke", "x"], ["write", "-f", "auth/token/revoke-self"]):
        denied = bao(stand, *words, **address)
        assert denied.returncode != 0, words
        assert "403" in denied.stderr and "permission denied" in denied.stderr, (words, denied.stderr)
    assert versions(stand) == before
    assert not made.asked()


HVAC = r"""
import json, socket, sys
sys.path.insert(0, sys.argv[1])
import hvac, requests, urllib3
from requests.adapters import HTTPAdapter

class Connection(urllib3.connection.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(sys.argv[2])

class Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = Connection

class Adapter(HTTPAdapter):
    def get_connection_with_tls_context(self, request, verify, proxies=None, cert=None):
        return Pool("localhost")

session = requests.Session()
session.mount("http://agent", Adapter())
client = hvac.Client(url="http://agent", session=session)
said = {"health": client.sys.read_health_status(method="GET"),
        "creds": client.secrets.database.generate_credentials(name=sys.argv[4], mount_point=sys.argv[3]),
        "kv1": client.secrets.kv.v1.read_secret(path="notes/dbinfo", mount_point=sys.argv[5]),
        "kv2": client.secrets.kv.v2.read_secret_version(path="notes/dbinfo", mount_point=sys.argv[6],
                                                        raise_on_deleted_version=True)}
try:
    client.secrets.kv.v1.create_or_update_secret(path="notes/dbinfo", secret={"a": "b"}, mount_point=sys.argv[5])
    said["write"] = "done"
except hvac.exceptions.Forbidden as e:
    said["write"] = str(e)
print(json.dumps(said))
"""


def test_hvac_reads_through_the_socket(stand, agent):
    found = glob.glob(os.path.join(TOP, "build", "clients", "lib", "python3*", "site-packages"))
    if not found:
        pytest.skip("hvac is missing; make deps fetches it")
    packages = os.path.join(stand.scratch.top, f"{stand.tag}-packages")
    # A folder above the original may be closed to the app's user.
    shutil.copytree(found[0], packages, ignore=shutil.ignore_patterns("pip*", "setuptools*", "pkg_resources*"))
    names, ids, made = stand.names, stand.ids, Made(stand)
    script = run([*ids.prefix(ids.app), "/usr/bin/python3", "-I", "-c", HVAC, packages, agent.socket,
                  names.database_mount, names.database_role, names.kv1_mount, names.kv2_mount])
    assert script.returncode == 0, script.stderr
    said = json.loads(script.stdout)
    assert (said["health"]["initialized"], said["health"]["sealed"]) == (True, False)
    assert said["creds"]["data"] == stand.secret("db")["data"]
    assert said["kv1"]["data"] == stand.dbinfo()
    assert said["kv2"]["data"]["data"] == stand.dbinfo()
    assert "permission denied" in said["write"]
    assert not made.asked()
