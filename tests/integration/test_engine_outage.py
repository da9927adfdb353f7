"""Rules 4, 9, 16: OpenBao or MariaDB is away for a while: sealed, stopped, hung. The servers are this module's own."""

import os
import shutil
import signal
import time

import pytest

from conftest import LOG_DIR, finish
from lease_support import CALM, Made, relaunch, under_load, user_of, version_of, versions
from load import Client, Load
from servers import wait_until
from stand import Pair, Stand


@pytest.fixture(scope="module")
def servers(scratch):
    pair = Pair(scratch, name="-outage")
    yield pair
    pair.stop()
    for folder in (pair.bao.folder, pair.mariadb.folder):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stand(request, scratch, servers):
    stand = Stand(scratch, servers, LOG_DIR)
    yield stand
    finish(request, stand)


@pytest.fixture
def short(request, scratch, servers):
    """A second stand, whose lease does not outlive the outage."""
    stand = Stand(scratch, servers, LOG_DIR).provision(default_ttl="4s", max_ttl="1h", quota=False)
    stand.start_agent(grace="1s")
    yield stand
    finish(request, stand)


def asked(stand, name="db"):
    return stand.app_peer.ask(stand.agent.socket, "GET", f"/agent/v1/secrets/{name}?consumer=looker")


def test_sealed_for_longer_than_half_a_lease_and_beyond_the_end_of_another(stand, short):
    """
    20 s: renewed after the unseal, nothing minted, no failed request. 4 s: not served after its end, with the reason;
    again within 2 s of the unseal, with one lease. Neither logs in. An agent killed meanwhile serves what it saved.
    """
    made, made_short = Made(stand), Made(short)
    stand.start({"default_ttl": "20s", "max_ttl": "1h", "quota": False})
    version = version_of(stand)
    with under_load(stand, "sealed"):
        stand.bao.seal()
        began = time.monotonic()
        gone = wait_until("the end of the short one", lambda: a if (a := asked(short)).status == 503 else None, 10, 0.1)
        assert "sealed" in gone.text, gone.text
        assert "retry-after" in gone.headers
        assert short.agent.health() == 503
        stand.agent.stop(signal.SIGKILL)
        relaunch(stand.agent, 3)
        wait_until("more than half of a lease", lambda: time.monotonic() > began + 10.5, 15)
        stand.bao.unseal()
        unsealed = time.monotonic()
        wait_until("the short one to be served", lambda: asked(short).status == 200, 10)
        assert time.monotonic() - unsealed < 2
        wait_until("the long one to be renewed", lambda: made.asked("sys/leases/renew"), 15, 0.1)
        assert version_of(stand) == version
    assert (made.logins(), made.leases()) == (1, 1)
    assert (made_short.logins(), made_short.leases()) == (0, 1)
    assert user_of(short) in short.users()


def test_openbao_restarted(stand):
    """No login, no lease, no failed request; and the agent is not asked to be patient for long."""
    stand.start({"default_ttl": "12s", "max_ttl": "1h", "quota": False}, refresh="1s")
    before, made = versions(stand), Made(stand)
    with under_load(stand, "bao-restart"):
        stand.bao.stop()
        wait_until("the agent to notice", lambda: not stand.agent.status()["vault"]["reachable"], 5, 0.1)
        assert stand.agent.health() == 200
        stand.bao.start()
        wait_until("the agent to notice", lambda: stand.agent.status()["vault"]["reachable"], 7, 0.1)
        renewals = len(made.asked("sys/leases/renew"))
        wait_until("a renewal", lambda: len(made.asked("sys/leases/renew")) > renewals, 15, 0.1)
        assert not asked(stand).json()["stale"]
    assert versions(stand) == before
    assert (made.logins(), made.leases()) == (0, 0)


class PatientClient(Client):
    """Takes a 503 with Retry-After for an answer."""

    def _one(self, connection, turn):
        self.requests += 1
        text = f"{self.load.name} {self.number}-{turn}" if turn % 2 else None
        if text:
            connection.request("POST", "/api/v1/notes", '{"text": "%s"}' % text, {"Content-Type": "application/json"})
        else:
            connection.request("GET", "/api/v1/notes")
        answer = connection.getresponse()
        content = answer.read()
        if answer.status == 503 and answer.getheader("Retry-After"):
            self.load.refused += 1
        elif answer.status != (201 if text else 200):
            self._failed(turn, f"{answer.status} {answer.getheaders()} {content[:300]!r}")
        elif text:
            self.written.append(text)


class PatientConnections:
    """A write that was on its way is settled when the database is back, or answered when its 27 s are over."""

    def __init__(self, app):
        self._app = app

    def connection(self, tls, timeout):
        return self._app.connection(tls, timeout=35)


class PatientLoad(Load):
    refused = 0

    def __init__(self, app, name):
        super().__init__(PatientConnections(app), each=1, name=name)
        self.clients = [PatientClient(self, c.number, c.tls, c.keep_alive) for c in self.clients]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_mariadb_restarted(stand, number):
    """Every request is answered, what was confirmed is there once, and the agent is not moved."""
    stand.provision(**CALM).start_agent()
    stand.start_app("--db-wait", "1s")
    before, made = versions(stand), Made(stand)
    with PatientLoad(stand.app, f"mariadb-{number.name}") as load:
        wait_until("some notes", lambda: len(load.written) > 20, 20)
        stand.mariadb.stop(number)
        wait_until("refused requests", lambda: load.refused > 4, 20)
        stand.mariadb.start()
        written = len(load.written)
        wait_until("notes again", lambda: len(load.written) > written + 50, 20)
    load.check(stand)
    assert (made.logins(), made.leases()) == (0, 0)
    assert versions(stand) == before


def test_a_hung_vault_does_not_hold_up_the_end(stand):
    """on_stop = revoke, and nobody answers: 10 s at most; the files and the state are gone all the same."""
    stand.provision(**CALM)
    agent = stand.make_agent()
    agent.config.top_extra = 'on_stop = "revoke"'
    path = os.path.join(agent.out, "db.json")
    agent.config.db_extra = f'file "{path}" {{ format = "json" }}'
    agent.start()
    watch = stand.watch("db")
    watch.wait_for_version("db", 1)
    assert os.path.exists(path)
    os.kill(stand.bao.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        agent.process.send(signal.SIGTERM)
        assert agent.process.popen.wait(15) == 0
        assert time.monotonic() - began < 10
    finally:
        os.kill(stand.bao.process.pid, signal.SIGCONT)
    assert [lost["reason"] for lost in watch.of("lost", "db")] == ["agent stopping"]
    assert not os.path.exists(path)
    assert not [name for name in os.listdir(agent.state) if name.endswith(".json")]
    assert "did not answer in time" in agent.process.log_text()


def test_a_hung_vault_is_no_outage(stand):
    """Requests end at their deadline; what is valid is served, and renewed once Vault answers again."""
    stand.start({"default_ttl": "12s", "max_ttl": "1h", "quota": False})
    version, made = version_of(stand), Made(stand)
    with under_load(stand, "hung"):
        os.kill(stand.bao.process.pid, signal.SIGSTOP)
        try:
            wait_until("the secret to be stale", lambda: asked(stand).json()["stale"], 15, 0.1)
        finally:
            os.kill(stand.bao.process.pid, signal.SIGCONT)
        wait_until("the secret to be fresh", lambda: not asked(stand).json()["stale"], 10, 0.1)
    assert version_of(stand) == version
    assert (made.logins(), made.leases()) == (0, 0)
