"""Connections to Vault that break, hang, or lead to somebody else: the real daemon against a Vault that misbehaves on cue."""

import os
import ssl
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fakes"))

from scene import all_scenes, forever, scene_of, secret  # noqa: E402
from servers import free_port, wait_until  # noqa: E402
from vault import Authority, FakeVault  # noqa: E402


@pytest.fixture(scope="session")
def scenes(request, scratch):
    return all_scenes(request, scratch)


def passed(seconds):
    end = time.monotonic() + seconds
    wait_until(f"{seconds} s", lambda: time.monotonic() > end, seconds + 5, 0.1)


# TLS

def bad_certificates(scene):
    """Return: {what is wrong: (certificate, key)}."""
    folder = os.path.join(scene.scratch.root, f"wrong-ca-{scene.agent.name}")
    os.mkdir(folder)
    ours, theirs = scene.vault.authority, Authority(folder)
    self_signed = [os.path.join(folder, name) for name in ("self.pem", "self.key")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self_signed[1], "-out",
                    self_signed[0]], check=True, capture_output=True)
    name = f"bad-{scene.agent.name}-"
    return {"wrong CA": theirs.make("server"), "ended": ours.make(name + "ended", days=-1),
            "wrong name": ours.make(name + "name", sans="DNS:vault.example,IP:127.0.0.2"), "self-signed": tuple(self_signed)}


@scene_of
def test_a_vault_with_a_wrong_certificate_gets_nothing(scene):
    """No token, no request at all, whatever is wrong with it; served meanwhile, and all is well with the right one."""
    scene.model.lease_ttl = 3600
    scene.start(secret("db", None, "mint_burst = 100"), secret("info", "kv/notes/dbinfo", 'refresh = "1s"'))
    before = scene.versions()
    for what, files in bad_certificates(scene).items():
        scene.vault.use_certificate(*files)
        connects = scene.vault.connects
        scene.vault.drop_connections()
        wait_until(f"connections to a Vault with a certificate with a {what}", lambda: scene.vault.connects >= connects + 2, 15)
        wait_until("the error in status", lambda: "certificate" in scene.agent.status()["vault"]["error"], 10, 0.1)
        assert not [r for r in scene.vault.requests() if r.connection > connects], what
        assert scene.read("db").status == 200 and scene.health()["status"] == "degraded"
        # A good one in between: the probes begin at their fastest again.
        scene.vault.use_certificate(scene.vault.cert, scene.vault.key)
        scene.wait_good(10)
    assert scene.versions() == before


# OpenSSL's configuration of a machine that allows all: what is refused then is refused by the agent itself.
LAX = """openssl_conf = lax
[lax]
ssl_conf = lax_ssl
[lax_ssl]
system_default = lax_default
[lax_default]
MinProtocol = TLSv1
CipherString = ALL:@SECLEVEL=0
"""


@scene_of
def test_no_plain_text_and_no_old_tls(scene):
    """A Vault that answers in plain HTTP, or offers TLS 1.1 at most, is told nothing."""
    scene.vault.on_connect = "plain"
    scene.start(secret("db"), ready=False)
    wait_until("connections", lambda: scene.vault.connects >= 2, 10)
    assert scene.health()["status"] == "starting" and scene.count() == 0
    old = scene.other_vault(tls_max=ssl.TLSVersion.TLSv1_1)
    scene.agent.stop()
    scene.agent.address = old.address
    lax = os.path.join(scene.agent.conf, "openssl.cnf")
    scene.agent._own(lax, LAX)
    scene.agent.start(ready=False, env={"OPENSSL_CONF": lax})
    wait_until("connections", lambda: old.connects >= 2, 10)
    assert not old.requests() and scene.health()["status"] == "starting"


@scene_of
def test_vaults_ca_is_replaced_on_disk(scene):
    """First it is the wrong one: the secret-id is not sent. New connections go by the new file, without a word to the agent."""
    folder = os.path.join(scene.scratch.root, "next-ca")
    os.mkdir(folder)
    other = Authority(folder)
    scene.agent.write_ca(other.ca_cert)
    scene.start(secret("db"), secret("info", "kv/notes/dbinfo", 'refresh = "1s"'), ready=False)
    wait_until("connections", lambda: scene.vault.connects >= 2, 10)
    assert scene.count() == 0
    scene.agent.write_ca(scene.vault.ca_cert)
    scene.agent.wait_ready(10)
    before = scene.versions()
    scene.agent.write_ca(other.ca_cert)
    scene.vault.use_certificate(*other.make("server"))
    scene.vault.drop_connections()
    asked = scene.count("kv/notes/dbinfo")
    wait_until("readings over the new CA", lambda: scene.count("kv/notes/dbinfo") >= asked + 2, 15, 0.1)
    scene.wait_good()
    assert scene.versions() == before and scene.count("auth/approle/login") == 1


@scene_of
def test_a_new_client_certificate_is_shown(scene):
    """mTLS: once the files are replaced and the agent is told by a restart, no request rides the old identity."""
    vault = scene.other_vault(want_client_cert=True)
    scene.model.given |= vault.model.given
    vault.model.secret_ids = scene.model.secret_ids
    scene.agent.address = vault.address
    files = [os.path.join(scene.agent.conf, name) for name in ("client.pem", "client.key")]

    def install(name):
        for source, target in zip(vault.authority.make(name), files):
            with open(source, encoding="ascii") as f:
                scene.agent._own(target, f.read())

    install("client-a-" + scene.agent.name)
    lines = (f'client_cert = "{files[0]}"', f'client_key = "{files[1]}"')
    scene.start(secret("info", "kv/notes/dbinfo", 'refresh = "1s"'), vault=lines)
    first = {r.client_cert for r in vault.requests()}
    install("client-b-" + scene.agent.name)
    scene.agent.stop()
    seen = len(vault.requests())
    scene.relaunch()
    wait_until("readings", lambda: len(vault.requests("kv/*")) >= 3, 10, 0.1)
    second = {r.client_cert for r in vault.requests()[seen:]}
    assert len(first) == 1 and len(second) == 1 and first != second and None not in first | second


# Hanging

@scene_of
def test_what_hangs_holds_up_nobody_else(scene):
    """Mints and readings that never come back: the others are fetched all the same, they and the token renewed in time."""
    scene.vault.script("database/creds/stuck*", forever({"half_open": True}))
    scene.vault.script("kv/stuck*", forever({"half_open": True}))
    scene.model.lease_ttl, scene.model.token_ttl = 6, 6
    stuck = [secret(f"stuck{i}", None, "required = false") for i in range(6)]
    stuck += [secret(f"stuck-kv{i}", f"kv/stuck{i}", "required = false") for i in range(6)]
    began = time.monotonic()
    scene.start(secret("db"), secret("other"), *stuck)
    assert time.monotonic() - began < 12
    before = scene.versions()
    scene.vault.wait_for("sys/leases/renew", 6, 20)
    scene.vault.wait_for("auth/token/renew-self", 2, 20)
    after = scene.versions()
    assert after == before and after["db"] and not after["stuck0"]
    assert {scene.status_of(name)["state"] for name in ("db", "other")} == {"valid"}


@scene_of
def test_a_mint_is_not_sent_twice_for_a_connection_that_dies(scene):
    """It may have been carried out: the agent counts it as one without an answer, and nobody repeats it behind its back."""
    scene.start(secret("db", None, "mint_burst = 10"))
    before = scene.versions()["db"]
    scene.vault.script("database/creds/db", [{"raw": ""}])
    scene.rotate("db")
    scene.wait_log("db: minting failed")
    scene.wait_other("db", before)


@scene_of
def test_a_renewal_that_hangs_costs_no_lease(scene):
    """Half-open connections: the call ends in time, another one goes through; one in flight for each lease."""
    scene.model.lease_ttl = 12
    scene.start(secret("db"))
    before = scene.versions()
    scene.vault.script("sys/leases/renew", [{"half_open": True}])
    scene.vault.wait_for("sys/leases/renew", 1, 12)
    scene.vault.wait_for("sys/leases/renew", 2, 8)
    scene.wait_status("db", "valid", lambda s: s["state"] == "valid", 5)
    assert scene.versions() == before and scene.model.counts["mint"] == 1


@scene_of
def test_a_body_of_one_byte_a_second_is_ended(scene):
    scene.start(secret("info", "kv/notes/dbinfo", 'refresh = "1s"'), env={"VAULT_CLIENT_TIMEOUT": "40s"})
    before = scene.versions()
    scene.vault.script("kv/notes/dbinfo", [{"usual": True, "drip": 1.0}])
    began = scene.vault.wait_for("kv/notes/dbinfo", 2, 10)[1].time
    again = scene.vault.wait_for("kv/notes/dbinfo", 3, 30)[2].time
    assert 10 < again - began < 25  # 15 s below 100 bytes a second, and a back-off
    assert scene.versions() == before
    scene.wait_good()


@scene_of
def test_a_vault_that_accepts_and_says_nothing(scene):
    """As one that was stopped: calls end in time, nothing piles up, what is valid is served, and it is well again soon."""
    scene.model.lease_ttl = 30
    scene.start(secret("db"), secret("info", "kv/notes/dbinfo", 'refresh = "1s"'), env={"VAULT_CLIENT_TIMEOUT": "2s"})
    before = scene.versions()
    scene.vault.on_connect = "silent"
    scene.vault.drop_connections()
    wait_until("the agent to notice", lambda: not scene.agent.status()["vault"]["reachable"], 15, 0.1)
    with scene.calm():
        passed(2)
    assert scene.vault.connections() <= 3 and scene.read("db").status == 200
    scene.vault.on_connect = None
    scene.vault.drop_connections()
    scene.wait_good(15)
    assert scene.versions() == before and scene.count("auth/approle/login") == 1


@scene_of
def test_vault_is_down_at_the_start(scene):
    """The agent stays, says 503 with Retry-After, asks rarely, and serves within 2 s of Vault's start."""
    scene.vault.down()
    scene.start(secret("db"), secret("info", "kv/notes/dbinfo"), ready=False)
    wait_until("the socket", lambda: scene.agent.health() == 503, 10)
    with scene.calm():
        passed(3)
    answer = scene.read("db")
    assert answer.status == 503 and "retry-after" in answer.headers
    assert "127.0.0.1" in scene.agent.status()["vault"]["error"]
    # Each second, as nothing is valid.
    assert scene.metric('leasekeeper_vault_requests_total{operation="health",code="none"}') <= 8
    scene.vault.up()
    began = time.monotonic()
    scene.agent.wait_ready(10)
    assert time.monotonic() - began < 2.5


@scene_of
def test_two_hundred_leases_under_a_small_rate_limit(scene):
    """Everything is to be replaced, and the renewals go first: no lease is lost, whatever waits."""
    scene.model.lease_ttl = 14
    names = [f"db{i}" for i in range(200)]
    scene.start(*(secret(name, None, 'verify = "0"', "mint_burst = 3") for name in names),
                vault=("rate_limit = 40",))
    began, seen = time.monotonic(), scene.count()
    scene.ask("POST", "/agent/v1/rotate")
    passed(14)
    requests = scene.vault.requests()[seen:]
    assert len(requests) <= 80 + 40 * (time.monotonic() - began + 1)
    log = scene.agent.process.log_text()
    assert "no longer served" not in log
    assert all(version for version in scene.versions().values())
    assert len([r for r in requests if r.path.startswith("database/creds/")]) >= 100
    assert scene.model.counts["mint"] <= 400


@scene_of
def test_a_standby_and_a_sealed_vault(scene):
    """Health 429 and 473 are a Vault that answers; a sealed one is asked for its health alone until it is open."""
    scene.model.lease_ttl = 16
    scene.start(secret("db"))
    standby = {"body": {"initialized": True, "sealed": False, "standby": True}}
    scene.vault.script("sys/health", [{**standby, "status": 429}, {**standby, "status": 473}])
    scene.vault.script("sys/leases/renew", [{"reset": "request", "times": 2}])
    scene.wait_status("db", "stale", lambda s: s["state"] == "stale")
    scene.wait_status("db", "valid", lambda s: s["state"] == "valid")
    assert scene.count("sys/health") >= 1 and "answers again" not in scene.agent.process.log_text()
    scene.vault.script("sys/health", [])
    scene.vault.seal()
    scene.vault.wait_for("sys/health", scene.count("sys/health") + 2, 20)
    asked = len([r for r in scene.vault.requests() if r.path != "sys/health"])
    assert scene.read("db").status == 200
    scene.vault.wait_for("sys/health", scene.count("sys/health") + 1, 10)
    assert len([r for r in scene.vault.requests() if r.path != "sys/health"]) == asked
    scene.vault.unseal()
    scene.wait_good(10)
    assert scene.read("db").status == 200 and scene.count("auth/approle/login") == 1


@scene_of
def test_one_node_of_several_is_sealed(scene):
    """Behind a balancer every second answer says sealed while the health is good: no loop, nothing lost."""
    scene.model.lease_ttl = 8
    scene.start(secret("db"))
    before = scene.versions()
    sealed = {"status": 503, "body": {"errors": ["Vault is sealed"]}}
    scene.vault.script("sys/leases/renew", [sealed, {"usual": True}] * 50)
    with scene.calm():
        scene.vault.wait_for("sys/leases/renew", 4, 25)
    assert scene.versions() == before and scene.count("sys/leases/renew") < 20


def test_the_fake_counts_what_it_is_asked():
    """The fake itself: what comes back for what was sent, so that a silent fake does not pass for a careful agent."""
    with FakeVault(port=free_port()) as vault:
        vault.script("kv/*", [{"status": 418, "body": "teapot"}])
        out = subprocess.run(["/usr/bin/python3", "-c", f"""
import ssl, urllib.request, urllib.error
context = ssl.create_default_context(cafile={vault.ca_cert!r})
for path in ("kv/a", "kv/a", "sys/health"):
    try:
        print(urllib.request.urlopen("{vault.address}/v1/" + path, context=context).status)
    except urllib.error.HTTPError as e:
        print(e.code)
"""], capture_output=True, text=True, check=True).stdout.split()
        assert out == ["418", "403", "200"]
        assert [r.path for r in vault.requests()] == ["kv/a", "kv/a", "sys/health"] and vault.connects == 3
