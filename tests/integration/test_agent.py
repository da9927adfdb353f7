"""leasekeeperd from outside: start, login, the socket's calls, signals, the command line."""

import os
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest

import provision
from daemons import ask, base_env, bin_dir
from servers import wait_until
import http.client

CALM = {"default_ttl": "1h", "max_ttl": "24h"}


@pytest.fixture
def agent(stand):
    return stand.provision(**CALM).start_agent()


def check(stand, text, *words):
    """leasekeeperd -check on a file with that text. Return: (exit code, what it says)."""
    path = os.path.join(stand.scratch.top, f"{stand.tag}-check.hcl")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    run = subprocess.run([os.path.join(bin_dir(), "leasekeeperd"), "-config", path, *(words or ["-check"])],
                         capture_output=True, text=True, check=False, env=base_env(), timeout=30)
    return run.returncode, run.stdout + run.stderr


def ctl(stand, *words):
    return subprocess.run([os.path.join(bin_dir(), "leasekeeper"), "-socket", stand.agent.socket, *words],
                          capture_output=True, text=True, check=False, env=base_env(), timeout=60)


# Login

def test_a_wrapped_secret_id_is_used_once_and_its_file_removed(stand):
    def unwraps():
        return [e for e in stand.bao.audit_entries() if e["request"].get("path") == "sys/wrapping/unwrap"
                and e["type"] == "request"]
    before = len(unwraps())
    stand.provision(**CALM).start_agent(wrapped=True)
    assert len(unwraps()) == before + 1
    assert not os.path.exists(os.path.join(stand.agent.conf, "secret-id"))
    assert os.path.exists(os.path.join(stand.agent.conf, "role-id"))


def test_a_plain_secret_id_stays(stand):
    stand.provision(**CALM).start_agent(wrapped=False)
    assert os.path.exists(os.path.join(stand.agent.conf, "secret-id"))


def test_a_wrapped_secret_id_that_somebody_unwrapped_first_is_told(stand):
    stand.provision(**CALM)
    agent = stand.make_agent(wrapped=True)
    agent.start(ready=False)
    agent.stop()
    agent.write_credentials()
    with open(os.path.join(agent.conf, "secret-id"), encoding="utf-8") as f:
        stand.vault.with_token(f.read()).write("sys/wrapping/unwrap")
    for name in os.listdir(agent.state) if os.path.isdir(agent.state) else []:
        os.unlink(os.path.join(agent.state, name))
    size = os.path.getsize(agent.log)
    agent.launch()
    # The words that docs/OPERATIONS.md tells operators to take for an intrusion.
    said = wait_until("the agent to say so", lambda: [
        line for line in agent.process.log_text()[size:].splitlines()
        if "the wrapping token was used before or has expired" in line], 15)
    assert len(said) == 1 and " error " in said[0] and "somebody else may have the secret-id" in said[0]
    assert agent.health() == 503
    assert agent.process.running()


def test_the_token_is_renewed(stand):
    """A token of 6 s that may live on is renewed, not replaced by a login."""
    stand.provision(**CALM, token_ttl="6s", token_max_ttl="1h").start_agent()
    version = stand.secret("db")["version"]
    renewals = [e for e in stand.bao.audit_entries() if e["request"].get("path") == "auth/token/renew-self"]
    wait_until("two renewals", lambda: len(
        [e for e in stand.bao.audit_entries() if e["request"].get("path") == "auth/token/renew-self"
         and e["type"] == "response"]) >= len(renewals) + 2, 20)
    assert stand.secret("db")["version"] == version
    assert stand.agent.health() == 200


def test_a_login_that_vault_refuses_is_told_and_does_not_hammer(stand):
    stand.provision(**CALM)
    agent = stand.make_agent(wrapped=False)
    agent.write_config()
    agent.write_credentials()
    agent._own(os.path.join(agent.conf, "secret-id"), "00000000-0000-0000-0000-000000000000")
    agent.launch()
    wait_until("the refusal in the log", lambda: "secret" in agent.process.log_text().lower(), 15)
    wait_until("the socket", lambda: agent.health() == 503, 15)
    time.sleep(3)
    tries = [e for e in stand.bao.audit_entries() if e["request"].get("path") == "auth/approle/login"
             and e["type"] == "request" and e["time"] > agent_started(agent)]
    assert len(tries) <= 2
    assert agent.process.running()


def agent_started(agent):
    started = os.stat(agent.config_file).st_mtime
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(started))


# The socket

@pytest.mark.smoke
def test_a_secret_has_the_documented_shape(stand, agent):
    answer = stand.app_peer.ask(agent.socket, "GET", "/agent/v1/secrets/db?consumer=a")
    body = answer.json()
    assert set(body) == {"name", "kind", "version", "issued_at", "expires_at", "stale", "data"}
    assert (body["name"], body["kind"], body["stale"]) == ("db", "dynamic", False)
    assert set(body["data"]) == {"username", "password"}
    assert answer.headers["etag"] == f'W/"{body["version"]}"'
    for key in ("issued_at", "expires_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", body[key])
    static = stand.secret("dbinfo")
    assert (static["kind"], static["expires_at"]) == ("static", None)
    assert static["data"] == stand.dbinfo()


def test_the_list_names_what_this_peer_may_read(stand, agent):
    listed = stand.app_peer.ask(agent.socket, "GET", "/agent/v1/secrets").json()["secrets"]
    assert {s["name"]: s["kind"] for s in listed} == {"db": "dynamic", "dbinfo": "static", "tls": "certificate"}
    for secret in listed:
        assert set(secret) == {"name", "kind", "version", "state", "expires_at"}


def test_a_known_version_gives_304(stand, agent):
    version = stand.secret("db")["version"]
    answer = stand.app_peer.ask(agent.socket, "GET", "/agent/v1/secrets/db", headers={"If-None-Match": f'W/"{version}"'})
    assert answer.status == 304
    assert answer.text == ""
    assert answer.headers["leasekeeper-stale"] == "false"
    assert re.match(r"\d{4}-", answer.headers["leasekeeper-expires"])


def test_after_waits_for_another_version(stand, agent):
    version = stand.secret("db")["version"]
    began = time.monotonic()
    target = f"/agent/v1/secrets/db?after={version}&wait=1s&consumer=a"
    assert stand.app_peer.ask(agent.socket, "GET", target).status == 304
    assert 0.9 < time.monotonic() - began < 5
    other = stand.app_peer.ask(agent.socket, "GET", "/agent/v1/secrets/db?after=1&wait=30s&consumer=a")
    assert (other.status, other.json()["version"]) == (200, version)


@pytest.mark.smoke
def test_a_watch_tells_of_each_new_version(stand, agent):
    watch = stand.watch("db", "tls")
    first = watch.wait_for_version("db", 1)
    watch.wait_for_version("tls", 1)
    assert agent.ask("POST", "/agent/v1/rotate/db").status == 202
    second = watch.wait_for_version("db", 2)
    assert second["version"] > first["version"]
    assert second["data"]["username"] != first["data"]["username"]
    assert [e["id"] for e in watch.events if e.get("event") == "secret" and e["data"]["name"] == "db"] == [
        f"db:{first['version']}", f"db:{second['version']}"]


def test_ack_and_reject_of_what_was_never_given(stand, agent):
    version = stand.secret("db")["version"]
    path = "/agent/v1/secrets/db/"
    answers = stand.app_peer.ask_all(agent.socket, [
        ("POST", path + "ack", {"version": version, "consumer": "somebody-else"}),
        ("POST", path + "ack", {"version": version, "consumer": "looker"}),
        ("POST", path + "ack", {"version": version, "consumer": "not a name"}),
        ("POST", path + "ack", {"version": version}),
        ("POST", path + "reject", {"version": version + 1, "consumer": "looker", "reason": "denied"})])
    assert [a.status for a in answers] == [409, 204, 400, 400, 409]
    assert all(a.status == 204 or a.json()["errors"] for a in answers)


def test_a_reject_of_a_living_lease_looks_it_up_and_keeps_it(stand, agent):
    version = stand.secret("db")["version"]
    body = {"version": version, "consumer": "looker", "reason": "a try"}
    assert stand.app_peer.ask(agent.socket, "POST", "/agent/v1/secrets/db/reject", body).status == 202
    wait_until("the look-up", lambda: any(
        e["request"].get("path") == "sys/leases/lookup" for e in stand.bao.audit_entries()), 10)
    assert stand.secret("db")["version"] == version


def test_a_reject_of_a_dead_lease_replaces_it(stand, agent):
    first = stand.secret("db")
    stand.vault.write("sys/leases/revoke-prefix/" + stand.names.creds_path, {"sync": True})
    body = {"version": first["version"], "consumer": "looker", "reason": "denied"}
    assert stand.app_peer.ask(agent.socket, "POST", "/agent/v1/secrets/db/reject", body).status == 202
    wait_until("the next version", lambda: agent.versions()["db"] != first["version"], 10)
    assert stand.secret("db")["data"]["username"] in stand.users()


def test_health_and_metrics_on_the_tcp_listener_and_nothing_else(stand, agent):
    def get(target):
        return ask(http.client.HTTPConnection("127.0.0.1", agent.metrics_port, timeout=5), "GET", target)
    assert get("/agent/v1/health").status == 200
    assert get("/agent/v1/health").json()["status"] == "ok"
    metrics = get("/metrics").text
    version = agent.versions()["db"]
    assert re.search(rf'^leasekeeper_secret_version{{secret="db"}} {version}$', metrics, re.M) or \
        re.search(r'^leasekeeper_secret_version\{secret="db"\} [0-9.e+]+$', metrics, re.M)
    for target in ("/agent/v1/secrets", "/agent/v1/secrets/db", "/agent/v1/status", "/v1/" + stand.names.creds_path,
                   "/agent/v1/watch?name=db"):
        assert get(target).status in (403, 404), target


# Secrets of each kind

def test_a_signed_certificate_fits_its_key_and_names(stand, agent, tmp_path):
    tls = stand.secret("tls")
    assert tls["kind"] == "certificate"
    data = tls["data"]
    assert set(data) == {"certificate", "private_key", "ca_chain", "issuing_ca", "serial_number", "expiration"}
    pem = tmp_path / "bundle.pem"
    pem.write_text(data["private_key"].rstrip() + "\n" + data["certificate"].rstrip() + "\n")
    pem.chmod(0o600)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pem)
    shown = subprocess.run(["openssl", "x509", "-in", str(pem), "-noout", "-ext", "subjectAltName", "-subject",
                            "-nameopt", "RFC2253"],
                           capture_output=True, text=True, check=True).stdout
    for name in ("DNS:notes.localhost", "DNS:localhost", "IP Address:127.0.0.1", "CN=notes.localhost"):
        assert name in shown
    assert len(data["ca_chain"]) >= 1


def test_a_local_key_never_goes_to_vault(stand, agent):
    """By what the real server was sent; that no line of a key is in it is seen by the fake one (test_fake_pki)."""
    [signing] = [e["request"]["data"] for e in stand.audit(stand.names.sign_path) if e["type"] == "request"]
    assert set(signing) == {"alt_names", "common_name", "csr", "format", "ip_sans", "ttl"}
    assert not stand.audit(stand.names.issue_path)


def test_an_issued_certificate(stand):
    stand.provision(**CALM).start_agent(certificate_path=stand.names.issue_path)
    assert "PRIVATE KEY" in stand.secret("tls")["data"]["private_key"]


def test_kv_version_2_is_unwrapped(stand):
    stand.provision(**CALM).start_agent(dbinfo_path=stand.names.kv2_path)
    assert stand.secret("dbinfo")["data"] == stand.dbinfo()


def test_a_static_secret_is_read_again_and_published_when_it_changed(stand):
    """Rule 11."""
    stand.provision(**CALM).start_agent(refresh="1s")
    watch = stand.watch("dbinfo")
    watch.wait_for_version("dbinfo", 1)
    time.sleep(2.5)
    assert len(watch.secrets("dbinfo")) == 1
    provision.write_dbinfo(stand.vault, stand.names, {"host": "elsewhere", "port": 3306, "database": "x"})
    assert watch.wait_for_version("dbinfo", 2, 10)["data"]["host"] == "elsewhere"


# The command line

def test_status_get_and_rotate_on_the_command_line(stand, agent):
    status = ctl(stand, "status")
    assert status.returncode == 0, status.stderr
    for name in ("db", "dbinfo", "tls"):
        assert re.search(rf"^{name}\b", status.stdout, re.M)
    before = agent.versions()
    run = ctl(stand, "rotate", "db")
    assert run.returncode == 0, run.stderr
    assert agent.versions()["db"] != before["db"]
    assert ctl(stand, "health").returncode == 0
    assert ctl(stand, "no-such-command").returncode == 2


@pytest.mark.root
def test_get_on_the_command_line_is_for_who_may(stand, agent):
    denied = ctl(stand, "get", "db")
    assert denied.returncode == 1
    assert "denied" in denied.stderr


def test_check_accepts_what_start_accepts(stand, agent):
    code, said = check(stand, agent.config_text(), "-check=syntax")
    assert code == 0, said


def test_check_names_file_line_and_the_nearest_key(stand, agent):
    text = agent.config_text().replace("socket_mode", "socket_mod")
    line = text[:text.index("socket_mod")].count("\n") + 1
    code, said = check(stand, text)
    assert code == 1
    assert re.search(rf"check\.hcl:{line}: .*socket_mod.*socket_mode", said), said


def test_a_sink_is_a_warning_and_nothing_is_written(stand, agent, tmp_path):
    sink = tmp_path / "token"
    text = agent.config_text().replace('method "approle" {', f'sink "file" {{ config {{ path = "{sink}" }} }}\n'
                                                             'method "approle" {', 1)
    code, said = check(stand, text, "-check=syntax")
    assert code == 0, said
    assert "sink" in said
    assert not sink.exists()


def test_files_on_a_disk_are_refused(stand, agent, tmp_path):
    if "tmpfs" in subprocess.run(["stat", "-f", "-c", "%T", str(tmp_path)], capture_output=True, text=True).stdout:
        pytest.skip("the temporary folder of this machine is a tmpfs")
    text = agent.config_text().replace("mint_burst", f'file "{tmp_path}/db.json" {{ format = "json" }}\n  mint_burst')
    code, said = check(stand, text)
    assert code == 1
    assert "tmpfs" in said


# Start and end

def test_ready_is_told_once_all_required_secrets_are_published(stand):
    """READY=1 comes after, STATUS= before says what is missing; SIGTERM is STOPPING=1 and a clean end."""
    stand.provision(**CALM)
    agent = stand.make_agent()
    path = os.path.join(stand.scratch.top, f"{stand.tag}-notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        os.chmod(path, 0o666)
        s.settimeout(20)
        agent.start(ready=False, env={"NOTIFY_SOCKET": path})
        said = []
        while "READY=1" not in said:
            said += s.recv(4096).decode().splitlines()
        assert any(line.startswith("STATUS=") for line in said)
        assert agent.health() == 200
        assert set(agent.versions()) == {"db", "dbinfo", "tls"}
        agent.process.send(signal.SIGHUP)
        while "RELOADING=1" not in said:
            said += s.recv(4096).decode().splitlines()
        agent.process.send(signal.SIGTERM)
        while "STOPPING=1" not in said:
            said += s.recv(4096).decode().splitlines()
    assert agent.process.popen.wait(15) == 0


def test_the_socket_path_must_not_be_somebody_elses(stand):
    stand.provision(**CALM)
    agent = stand.make_agent()
    with open(agent.socket, "w", encoding="utf-8") as f:
        f.write("not a socket")
    agent.start(ready=False)
    assert agent.process.popen.wait(20) != 0
    with open(agent.socket, encoding="utf-8") as f:
        assert f.read() == "not a socket"
    agent.process = None


def test_a_dead_socket_of_ours_is_replaced(stand, agent):
    agent.stop(signal.SIGKILL)
    assert os.path.exists(agent.socket)
    agent.write_credentials()
    agent.launch()
    agent.wait_ready()
    assert stand.secret("db")["data"]["username"] in stand.users()
