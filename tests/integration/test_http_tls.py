"""TLS on both sides of notesd: clients that must show a certificate, tickets across a rotation, a database by its name."""

import datetime
import os
import re
import socket
import ssl
import time

import pytest

import provision
from daemons import App
from servers import openssl, wait_until, write_private

CALM = {"default_ttl": "1h", "max_ttl": "24h"}


def context(stand, folder=None, name=None):
    """A client that trusts Vault's root; with a name it shows the certificate of that name."""
    tls = ssl.create_default_context(cadata=stand.pair.root_ca)
    if name:
        tls.load_cert_chain(os.path.join(folder, name + ".pem"))
    return tls


def issue(stand, folder, name, mount=None):
    """A client's certificate from the test's PKI (or another), in folder/name.pem."""
    path = f"{mount or stand.names.pki_mount}/issue/notes"
    data = stand.vault.write(path, {"common_name": "notes.localhost", "ttl": "1h"})["data"]
    write_private(os.path.join(folder, name + ".pem"), data["certificate"] + "\n" + data["private_key"])


def get(app, tls, path="/healthz"):
    """Return: the status of one request over a new TLS connection; 0 where there is none."""
    try:
        with socket.create_connection(("127.0.0.1", app.tls_port), 5) as raw:
            with tls.wrap_socket(raw, server_hostname="localhost") as s:
                s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                return int(s.recv(1000).split()[1])
    except (ssl.SSLError, ConnectionError, IndexError):
        return 0


def test_clients_show_a_certificate_where_that_is_asked_for(stand, tmp_path):
    """--client-ca-secret: read from Vault's PKI; nobody else gets past the handshake; plain http asks for nothing."""
    stand.provision(**CALM)
    stand.start_agent(secrets=f"""
secret "clients" {{
  path = "{stand.names.pki_mount}/cert/ca"
  allow {{ user = "{stand.ids.app}" }}
}}""")
    app = stand.app = App(stand.scratch, stand.agent, stand.pair.root_ca, name=f"{stand.tag}-notesd")
    app.start(ready=False, words=["--client-ca-secret", "clients"])
    app.process.wait_for("notesd to be ready", lambda: ready(app), 20)
    issue(stand, tmp_path, "friend")
    other = f"{stand.tag}-other"
    provision.mount(stand.vault, other, "pki")
    stand.vault.write(f"{other}/root/generate/internal", {"common_name": "another root", "ttl": "2h"})
    stand.vault.write(f"{other}/roles/notes", {"allow_any_name": True, "max_ttl": "1h"})
    issue(stand, tmp_path, "stranger", other)
    assert get(app, context(stand, tmp_path, "friend")) == 200
    assert get(app, context(stand, tmp_path, "friend"), "/api/v1/notes") == 200
    assert get(app, context(stand)) == 0
    assert get(app, context(stand, tmp_path, "stranger")) == 0
    assert app.ask("GET", "/healthz").status == 200
    # A rotation of the server's own certificate leaves that as it is.
    version = stand.agent.versions()["tls"]
    stand.agent.ask("POST", "/agent/v1/rotate/tls")
    wait_until("the new certificate", lambda: stand.agent.versions()["tls"] != version, 10)
    wait_until("readiness", lambda: ready(app), 10)
    assert get(app, context(stand, tmp_path, "friend")) == 200
    assert get(app, context(stand)) == 0


def ready(app):
    try:
        return app.ask("GET", "/readyz").status == 200
    except OSError:
        return False


def serial(s):
    return s.getpeercert()["serialNumber"]


def test_a_ticket_of_the_old_certificate_leads_to_a_full_handshake_with_the_new(stand):
    app = stand.start(CALM, grace="2s")
    tls = context(stand)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2  # the session is there when the handshake is done

    def shake(session=None):
        with socket.create_connection(("127.0.0.1", app.tls_port), 5) as raw:
            with tls.wrap_socket(raw, server_hostname="localhost", session=session) as s:
                s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert s.recv(1000).startswith(b"HTTP/1.1 200")
                return s.session, s.session_reused, serial(s)
    session, _, first = shake()
    assert shake(session)[1], "a ticket is good for a quick handshake"
    stand.agent.ask("POST", "/agent/v1/rotate/tls")
    wait_until("the new certificate", lambda: shake()[2] != first, 10)
    _, reused, shown = shake(session)
    assert not reused
    assert shown != first


def test_a_kept_connection_goes_on_across_the_swap_and_is_ended_by_word(stand):
    """At the second swap for certain: the last answer says so, and not one request is lost."""
    app = stand.start(CALM, grace="1s", tls_extra="mint_burst = 10")
    kept = app.connection(tls=True)

    def ask():
        kept.request("GET", "/healthz")
        answer = kept.getresponse()
        assert answer.read()
        assert answer.status == 200
        return answer.getheader("Connection")

    def rotate():
        version = stand.agent.versions()["tls"]
        swapped = f'notesd_credential_version{{secret="tls"}} {version}\n'
        # Once: a second one would be a swap of its own.
        wait_until("the budget for another", lambda: stand.agent.ask("POST", "/agent/v1/rotate/tls").status == 202, 20, step=0.3)
        wait_until("another version", lambda: stand.agent.versions()["tls"] != version, 20)
        wait_until("the swap", lambda: swapped not in app.ask("GET", "/metrics").text, 10)
    assert ask() is None
    first = kept.sock.getpeercert()["serialNumber"]
    rotate()
    assert ask() is None
    rotate()
    assert ask() == "close"
    assert ask() is None  # on a new connection
    assert kept.sock.getpeercert()["serialNumber"] != first


def make_certificates(stand, folder):
    """A CA, and for a MariaDB server a certificate of the name it is dialled by, and one of another name."""
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    ca, ca_key = (os.path.join(folder, f) for f in ("db-ca.pem", "db-ca.key"))
    openssl("req", "-x509", *ec, "-subj", "/CN=database CA", "-keyout", ca_key, "-out", ca, "-addext",
            "basicConstraints=critical,CA:TRUE")
    for name, host in (("right", "localhost"), ("wrong", "elsewhere.example")):
        key, certificate = (os.path.join(folder, name + end) for end in (".key", ".pem"))
        openssl("req", "-x509", *ec, "-CA", ca, "-CAkey", ca_key, "-subj", f"/CN={host}", "-keyout", key, "-out", certificate,
                "-addext", f"subjectAltName=DNS:{host}", "-addext", "basicConstraints=critical,CA:FALSE")
        stand.ids.give(key, stand.ids.mariadb, 0o600)
        os.chmod(certificate, 0o644)
    with open(ca, encoding="utf-8") as f:
        return f.read()


def serve_as(stand, folder, name):
    """MariaDB again, with that certificate, and for TLS alone."""
    mariadb = stand.mariadb
    mariadb.stop()
    mariadb.options = [f"--ssl-cert={folder}/{name}.pem", f"--ssl-key={folder}/{name}.key", "--require-secure-transport=ON"]
    mariadb.start()


def test_the_database_is_known_by_its_certificate(own_stand):
    """dbinfo.ca_cert: TLS, and only with the server whose certificate has the name that is dialled."""
    stand = own_stand
    folder = stand.scratch.folder("db-tls", stand.ids.mariadb, 0o711)
    ca = make_certificates(stand, folder)
    serve_as(stand, folder, "right")
    stand.provision(**CALM, dbinfo={"host": "localhost", "port": stand.mariadb.port, "database": stand.names.database,
                                    "ca_cert": ca})
    stand.start_agent()
    app = stand.start_app("--db-wait", "1s")
    app.add("over TLS")
    assert stand.table() == ["over TLS"]
    serve_as(stand, folder, "wrong")
    wait_until("the wrong server to be told", lambda: not ready(app), 10)
    app.stop()  # a write that was begun on a session to the right one would be settled for half a minute
    app.start(ready=False, words=["--db-wait", "1s"])

    def reasons():
        try:
            return " ".join(app.ask("GET", "/readyz").json()["reasons"]).lower()
        except OSError:
            return ""
    # In the words of the client library, which differ: "... of SSL server certificate failed", "Hostname verification failed".
    wait_until("the reason", lambda: re.search("certificate|hostname", reasons()), 10)
    answer = app.ask("POST", "/api/v1/notes", {"text": "to a stranger"})
    assert answer.status == 503
    assert stand.table() == ["over TLS"]
    serve_as(stand, folder, "right")
    wait_until("the right one to be used again", lambda: ready(app), 20)
    app.add("over TLS again")
    assert sorted(stand.table()) == ["over TLS", "over TLS again"]


@pytest.mark.parametrize("words,least", [(["fixed:60ms"], 0.06), (["uniform:40ms-60ms,p=0.5:200ms"], 0.04)],
                         ids=["fixed", "uniform with outliers"])
def test_latency_is_injected_and_said_aloud(stand, words, least):
    stand.provision(**CALM)
    stand.start_agent()
    app = stand.start_app("--db-latency", *words)
    for i in range(5):
        begin = time.monotonic()
        app.add(f"slow {i}")
        assert time.monotonic() - begin >= least
    begin = time.monotonic()
    assert len(app.notes()) == 5
    assert time.monotonic() - begin >= least
    assert app.ask("GET", "/version").json()["db_latency"] == words[0]
    metrics = app.ask("GET", "/metrics").text
    assert "notesd_injected_latency_enabled 1\n" in metrics
    seconds = float(metrics.split("notesd_injected_latency_seconds_total ")[-1].split("\n")[0])
    assert seconds >= 6 * least
    assert "not for production" in app.process.log_text()
    slow = [line for line in metrics.splitlines() if line.startswith('db_request_latency_seconds_bucket{') and 'le="0.025"' in line]
    assert slow and all(line.endswith(" 0") for line in slow), "what was injected is not seen in the sample's histogram"


def test_an_agent_that_is_away_is_missed_aloud_and_does_no_harm(stand):
    """Works on; /readyz, metrics and the log say since when, and warn at half of what is left, and at half of the rest."""
    app = stand.start({"default_ttl": "20s", "max_ttl": "24h"}, grace="2s")
    assert stand.agent.stop(9) is not None
    wait_until("its absence to be noticed", lambda: "notesd_agent_connected 0\n" in app.ask("GET", "/metrics").text, 10)
    answer = app.ask("GET", "/readyz")
    assert answer.status == 200
    body = answer.json()
    assert body["agent"] == "not connected"
    assert abs(time.time() - unix_time(body["agent_since"])) < 10
    assert any(reason.startswith(f"agent: not connected since {body['agent_since']}") for reason in body["reasons"])
    wait_until("the warning", lambda: "agent: away for" in app.process.log_text(), 25, step=0.2)
    warning = next(line for line in app.process.log_text().splitlines() if "agent: away for" in line)
    away, left = (int(warning.split(word)[1].split(" s")[0]) for word in ("away for ", ", in "))
    assert abs(away - left) <= 3, warning
    app.add("without an agent")
    stand.agent.launch()
    wait_until("the agent", lambda: "notesd_agent_connected 1\n" in app.ask("GET", "/metrics").text, 20)
    assert app.ask("GET", "/readyz").json()["reasons"] == []


def unix_time(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
