"""Rules 3, 5 and the shared way to Vault: who is slow, greedy or forbidden costs the others nothing."""

import contextlib
import datetime
import http.client
import http.server
import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time

import pytest

from conftest import LOG_DIR
from daemons import ask
from lease_support import (CALM, Made, block, run_together, second_app, side_by_side, status_of, under_load, user_of,
                           version_of, versions, wait_for_other_version)
from servers import wait_until


@pytest.fixture(scope="module")
def together(request, scratch, pair):
    yield from run_together(request, scratch, pair, LOG_DIR)


@side_by_side
def test_one_of_two_apps_is_stopped_during_a_replacement(stand):
    """Two of one user id: the old database user lives until the stopped one has moved on; neither fails a request."""
    stand.start(CALM, grace="12s")
    version = version_of(stand)
    [user] = stand.users()  # not read from the agent: who reads holds the old version too
    with second_app(stand) as second, under_load(stand, "first"):
        os.kill(second.process.pid, signal.SIGSTOP)
        try:
            assert stand.agent.ask("POST", "/agent/v1/rotate/db").status == 202
            wait_for_other_version(stand, version)
            held = wait_until("the stopped one alone to hold the old version", lambda: h if len(
                h := status_of(stand.agent, "db")["held_by"]) == 1 else None, 5, 0.05)
            assert str(second.process.pid) in held[0]
            until = time.monotonic() + 2
            wait_until("two seconds, or its end", lambda: time.monotonic() > until or user not in stand.users(), 5, 0.1)
            assert user in stand.users()
        finally:
            os.kill(second.process.pid, signal.SIGCONT)
        with under_load(stand, "second", app=second):
            wait_until("the old user's end", lambda: user not in stand.users(), 8, 0.1)
        assert status_of(stand.agent, "db")["held_by"] == []


@side_by_side
def test_one_forbidden_secret_among_ten(stand):
    """Nine are untouched for two lease lives; the tenth is tried slowly, and the token is asked once in 10 s."""
    stand.provision(default_ttl="4s", max_ttl="1h", quota=False)
    forbidden_path = f"{stand.names.kv1_mount}/notes/other"
    blocks = "".join(block(stand, f"db{i}", stand.names.creds_path, "mint_burst = 12") for i in range(6))
    blocks += block(stand, "forbidden", forbidden_path, "required = false", 'refresh = "1s"')
    made = Made(stand)
    stand.start_agent(mint_burst=12, secrets=blocks, refresh="1s")
    before = versions(stand)
    assert len(before) == 10 and before.pop("forbidden") == 0
    renewals = len(made.asked("sys/leases/renew"))
    # Seven leases of 4 s are renewed at 60-70 %: in two lives each at least twice.
    wait_until("two lease lives", lambda: len(made.asked("sys/leases/renew")) >= renewals + 7 * 3, 20, 0.1)
    after = versions(stand)
    after.pop("forbidden")
    assert after == before
    assert (made.logins(), made.leases()) == (1, 7)
    assert len(made.asked(forbidden_path)) <= 4
    assert len(made.asked("auth/token/lookup-self")) <= 3
    forbidden = status_of(stand.agent, "forbidden")
    assert "permission denied" in forbidden["last_error"] and "403" in forbidden["last_error"]
    assert stand.agent.health() == 200


# Runs as the app's user: takes each version, acknowledges it, rejects it, so often as fast as the socket answers, then on until
# so many seconds have passed: without a budget a replacement would come every two or three.
REJECTS = r"""
import collections, http.client, json, socket, sys, time

class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])

connection = Connection("localhost", timeout=30)
answers = collections.Counter()

def call(method, path, body=None):
    headers = {"Content-Type": "application/json"} if body else {}
    connection.request(method, path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()

def take():
    status, text = call("GET", "/agent/v1/secrets/db?consumer=greedy")
    version = json.loads(text).get("version", 0)
    call("POST", "/agent/v1/secrets/db/ack", {"version": version, "consumer": "greedy"})
    return version

version = take()
until = time.monotonic() + float(sys.argv[3])
while sum(answers.values()) < int(sys.argv[2]) or time.monotonic() < until:
    if sum(answers.values()) >= int(sys.argv[2]):
        time.sleep(0.1)
    status, _ = call("POST", "/agent/v1/secrets/db/reject",
                     {"version": version, "consumer": "greedy", "reason": "denied"})
    answers[status] += 1
    if status == 409:
        version = take()
print(json.dumps(answers))
"""


@side_by_side
def test_ten_thousand_rejects_cause_at_most_the_budget(stand):
    """One consumer that takes, acknowledges and rejects: the bucket and one look-up a second are the wall."""
    stand.provision(**CALM)
    made, began = Made(stand), time.monotonic()
    stand.start_agent(grace="1s")
    run = subprocess.run([*stand.ids.prefix(stand.ids.app), "/usr/bin/python3", "-I", "-c", REJECTS, stand.agent.socket,
                          "10000", "12"], capture_output=True, text=True, check=False, cwd="/", timeout=120)
    assert run.returncode == 0, run.stderr
    answers = json.loads(run.stdout)
    assert answers.get("202", 0) > 9900, answers
    minutes, seconds = (time.monotonic() - began) / 60, time.monotonic() - began
    # Three in the bucket, the last of them not for rejects, and at most one more a minute.
    assert made.leases() <= 2 + minutes, f"{made.leases()} leases in {seconds:.0f} s"
    assert len(made.asked("sys/leases/lookup")) <= seconds + 3
    assert made.logins() == 1
    # The last one is there for who has nothing: a lease that is really gone.
    version = version_of(stand)
    stand.vault.write("sys/leases/revoke-prefix/" + stand.names.creds_path, {"sync": True})
    stand.secret("db", "?consumer=honest")
    stand.app_peer.ask(stand.agent.socket, "POST", "/agent/v1/secrets/db/reject",
                       {"version": version, "consumer": "honest", "reason": "denied"})
    wait_for_other_version(stand, version, seconds=5)
    assert user_of(stand) in stand.users()


def audit_time(entry):
    whole, fraction = re.fullmatch(r"(.*?)(\.\d+)?Z", entry["time"]).groups()
    return datetime.datetime.fromisoformat(whole + "+00:00").timestamp() + float(fraction or 0)


@side_by_side
def test_rate_limit_holds_and_renewals_go_first(stand):
    """60 secrets that all want to be read each second, 20 requests a second: never more, and the lease is kept."""
    stand.provision(default_ttl="4s", max_ttl="1h", quota=False)
    blocks = "".join(block(stand, f"kv{i}", stand.names.kv1_path, 'refresh = "1s"') for i in range(60))
    agent, made = stand.make_agent(secrets=blocks), Made(stand)
    agent.start(env={"VAULT_RATE_LIMIT": "20:20"})
    version = version_of(stand)
    wait_until("three renewals", lambda: len(made.asked("sys/leases/renew")) >= 3, 20, 0.1)
    assert version_of(stand) == version
    assert made.leases() == 1
    times = [audit_time(e) for e in made.requests()]
    assert len(times) > 60
    for i, first in enumerate(times):
        window = sum(1 for t in times[i:] if t < first + 2)
        assert window <= 20 + 2 * 20 + 2, f"{window} requests in 2 s"


class SkewedHandler(http.server.BaseHTTPRequestHandler):
    """Hands a request on and the answer back, with the Date of another clock."""

    protocol_version = "HTTP/1.1"
    skew = 0

    def date_time_string(self, timestamp=None):
        return super().date_time_string(time.time() + self.skew)

    def _pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length", "connection")}
        connection = self.server.to_vault()
        connection.request(self.command, self.path, body or None, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = _pass_on

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def skewed(bao, seconds):
    """OpenBao behind a clock that is so far ahead. Yields the address."""
    handler = type("Handler", (SkewedHandler,), {"skew": seconds})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(os.path.join(bao.folder, "tls.pem"), os.path.join(bao.folder, "tls.key"))
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    trust = ssl.create_default_context(cafile=bao.ca_file)
    server.to_vault = lambda: http.client.HTTPSConnection("127.0.0.1", bao.port, timeout=10, context=trust)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@side_by_side
def test_a_vault_with_another_clock_is_told_and_harms_nothing(stand):
    """An hour ahead: leases are counted by our own clock, status and metrics name the difference."""
    stand.provision(default_ttl="6s", max_ttl="1h", quota=False)
    agent = stand.make_agent()
    with skewed(stand.bao, 3600) as address:
        text = agent.config_text().replace(stand.bao.address, address)
        agent.config_text = lambda: text
        agent.start()
        version, made = version_of(stand), Made(stand)
        wait_until("two renewals", lambda: len(made.asked("sys/leases/renew")) >= 2, 20, 0.1)
        assert version_of(stand) == version
        assert 3590 < agent.status()["vault"]["clock_skew_seconds"] < 3610
        metrics = ask(http.client.HTTPConnection("127.0.0.1", agent.metrics_port, timeout=5), "GET", "/metrics").text
        value = re.search(r"^leasekeeper_vault_clock_skew_seconds (\S+)$", metrics, re.M)
        assert value and 3590 < float(value[1]) < 3610
        assert agent.stop() == 0
