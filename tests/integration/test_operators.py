"""What operators see: the metrics that alerts are made of, and the command line where something has to wait."""

import http.client
import os
import re
import subprocess
import time

import pytest

from daemons import ask, base_env, bin_dir

# The life of a lease, and the hour for which a test does not want to wait.
LEASE, LEASE_SECONDS = "1h", 3600


@pytest.fixture
def agent(stand):
    return stand.provision(default_ttl=LEASE, max_ttl="24h").start_agent(certificate_ttl="12h")


def samples(agent):
    """Return: {series as it is written: value} of the metrics port."""
    connection = http.client.HTTPConnection("127.0.0.1", agent.metrics_port, timeout=5)
    text = ask(connection, "GET", "/metrics").text
    return {name: float(value) for name, value in re.findall(r"^([^#\s]\S*) (\S+)$", text, re.M)}


def test_what_alerts_count_is_there_before_it_happens(agent):
    """Prometheus sees no rise in a counter's first appearance."""
    now = samples(agent)
    for name in ('leasekeeper_mint_budget_waits_total{secret="db"}', 'leasekeeper_mint_budget_waits_total{secret="tls"}',
                 'leasekeeper_revocations_total{outcome="ok"}', 'leasekeeper_revocations_total{outcome="forbidden"}',
                 'leasekeeper_socket_requests_total{endpoint="secret",code="403"}',
                 'leasekeeper_logins_total{method="approle",outcome="refused"}',
                 'leasekeeper_vault_requests_total{operation="lease_renew",code="503"}',
                 'leasekeeper_vault_requests_total{operation="read",code="429"}'):
        assert now.get(name) == 0, name
    assert now['leasekeeper_mints_total{secret="db"}'] == 1


def test_how_much_of_a_life_remains_can_be_told(agent):
    now, clock = samples(agent), time.time()
    lease = now['leasekeeper_secret_life_seconds{secret="db",kind="dynamic"}']
    assert LEASE_SECONDS - 30 < lease <= LEASE_SECONDS  # its token, which is as old, may end a moment before it
    certificate = now['leasekeeper_secret_life_seconds{secret="tls",kind="certificate"}']
    assert 12 * 3600 - 60 < certificate < 12 * 3600 + 60
    assert not [name for name in now if name.startswith("leasekeeper_secret_life_seconds") and "dbinfo" in name]
    for name, life in (("db", lease), ("tls", certificate)):
        remains = now[f'leasekeeper_secret_expiry_timestamp_seconds{{secret="{name}"}}'] - clock
        assert 0.9 < remains / life < 1.01, (name, remains, life)


def test_metrics_tell_health(stand, agent):
    def states():
        return {state: value for state in ("ok", "degraded", "starting", "failing")
                for value in [samples(agent)[f'leasekeeper_health{{state="{state}"}}']]}
    assert states() == {"ok": 1, "degraded": 0, "starting": 0, "failing": 0}
    agent.config.secrets += "\nno_such_key = 1\n"
    agent.write_config()
    assert agent.ask("POST", "/agent/v1/reload").status == 400
    assert states() == {"ok": 0, "degraded": 1, "starting": 0, "failing": 0}


def rotate(stand, *words):
    return subprocess.run([os.path.join(bin_dir(), "leasekeeper"), "-socket", stand.agent.socket, "rotate", *words],
                          capture_output=True, text=True, check=False, env=base_env(), timeout=60)


def test_rotate_that_leaves_something_waiting_is_no_success(stand, agent):
    """Of three, one is read again, one waits for a reader of the version before, one for its budget; all come by themselves."""
    stand.secret("db", "?consumer=slow")
    first = rotate(stand)
    assert first.returncode == 0, first.stdout + first.stderr
    before = agent.versions()
    again = rotate(stand)
    assert again.returncode == 1
    assert again.stderr == "leasekeeper: not all are replaced yet: 2 must wait\n"
    until = r"until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \(\d+ s\); then it is replaced by itself$"
    assert re.search(r"^db: waits for the version before, which is held by \d+/slow, " + until, again.stdout, re.M)
    assert re.search(r"^tls: waits for the mint budget of its path, " + until, again.stdout, re.M)
    assert re.search(r"^dbinfo: version \d+$", again.stdout, re.M)
    assert rotate(stand, "-no-wait").returncode == 0
    assert agent.versions() == before
