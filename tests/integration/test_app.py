"""notesd from outside: the page, the API, its errors, its metrics, and how it lives without an agent."""

import html
import os
import re
import signal
import socket
import ssl

import pytest

from daemons import App
from servers import wait_until

CALM = {"default_ttl": "1h", "max_ttl": "24h"}


@pytest.fixture
def app(stand):
    return stand.start(CALM, grace="3s")


@pytest.mark.smoke
def test_a_note_is_added_listed_and_found(stand, app):
    answer = app.ask("POST", "/api/v1/notes", {"text": "buy milk"})
    assert answer.status == 201
    note = answer.json()
    assert answer.headers["location"] == f"/api/v1/notes/{note['id']}"
    assert set(note) == {"id", "text", "created_at"}
    assert app.ask("GET", answer.headers["location"]).json() == note
    assert app.ask("GET", "/api/v1/notes", tls=True).json() == {"notes": [note], "next": None}
    assert app.ask("GET", "/api/v1/notes/999999").status == 404
    assert stand.table() == ["buy milk"]


@pytest.mark.parametrize("text", ["é ü 日本語 🎉", "a\nb\tc", "  spaces  ", "'; DROP TABLE notes; --", "\\", "x" * 4096,
                                  "𝒳" * 1024],
                         ids=["unicode", "control", "spaces", "quotes", "backslash", "longest", "astral"])
def test_text_is_kept_exactly(stand, app, text):
    note = app.add(text)
    assert note["text"] == text
    assert app.ask("GET", f"/api/v1/notes/{note['id']}").json()["text"] == text


def test_pages_by_key(stand, app):
    ids = [app.add(f"note {i}")["id"] for i in range(5)]
    first = app.ask("GET", "/api/v1/notes?limit=2").json()
    assert [n["id"] for n in first["notes"]] == ids[:-3:-1]
    second = app.ask("GET", f"/api/v1/notes?limit=2&before={first['next']}").json()
    assert [n["id"] for n in second["notes"]] == [ids[2], ids[1]]
    last = app.ask("GET", f"/api/v1/notes?limit=2&before={second['next']}").json()
    assert [n["id"] for n in last["notes"]] == [ids[0]]
    assert last["next"] is None


JSON = {"Content-Type": "application/json"}
ERRORS = {
    "no JSON": (400, "POST", "/api/v1/notes", "{", JSON),
    "empty text": (400, "POST", "/api/v1/notes", '{"text": ""}', JSON),
    "text is a number": (400, "POST", "/api/v1/notes", '{"text": 5}', JSON),
    "no UTF-8": (400, "POST", "/api/v1/notes", b'{"text": "\xff"}', JSON),
    "text too long": (400, "POST", "/api/v1/notes", '{"text": "%s"}' % ("x" * 4097), JSON),
    "limit 0": (400, "GET", "/api/v1/notes?limit=0", None, {}),
    "limit 101": (400, "GET", "/api/v1/notes?limit=101", None, {}),
    "limit no number": (400, "GET", "/api/v1/notes?limit=x", None, {}),
    "no such page": (404, "GET", "/nothing", None, {}),
    "no such note": (404, "GET", "/api/v1/notes/0x", None, {}),
    "no such method": (405, "DELETE", "/api/v1/notes", None, {}),
    "body too long": (413, "POST", "/api/v1/notes", '{"text": "%s"}' % ("x" * 70000), JSON),
    "no such type": (415, "POST", "/api/v1/notes", "text=x", {"Content-Type": "text/plain"}),
}


@pytest.mark.parametrize("status,method,path,body,headers", ERRORS.values(), ids=ERRORS.keys())
def test_errors_are_problem_json(stand, app, status, method, path, body, headers):
    answer = app.ask(method, path, body, headers)
    assert answer.status == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    if status == 405:
        assert "GET" in answer.headers["allow"]
    assert stand.table() == []


def form(app, tls=False):
    """Return: (the page's hidden CSRF field, its cookie)."""
    page = app.ask("GET", "/", tls=tls)
    field = re.search(r'<input[^>]*type="?hidden"?[^>]*>', page.text).group(0)
    name = re.search(r'name="([^"]+)"', field).group(1)
    value = html.unescape(re.search(r'value="([^"]+)"', field).group(1))
    return page, name, value, page.headers["set-cookie"].split(";")[0]


def test_the_form_needs_its_token_and_its_cookie(stand, app):
    from urllib.parse import urlencode
    page, name, value, cookie = form(app)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert "samesite" in page.headers["set-cookie"].lower()
    good = urlencode({name: value, "text": "by the form & more"})
    assert app.ask("POST", "/notes", good, kind).status in (400, 403)
    assert app.ask("POST", "/notes", urlencode({"text": "x"}), {**kind, "Cookie": cookie}).status in (400, 403)
    assert stand.table() == []
    answer = app.ask("POST", "/notes", good, {**kind, "Cookie": cookie})
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert stand.table() == ["by the form & more"]


def test_the_page_is_escaped_and_runs_no_script(stand, app):
    app.add('<script>alert(1)</script>"&')
    page = app.ask("GET", "/")
    assert re.findall("<script[^>]*>", page.text.lower()) == ['<script src="/app.js" defer>']
    assert html.escape("<script>alert(1)</script>", quote=False) in page.text
    assert "unsafe-inline" not in page.headers["content-security-policy"]
    assert "Add task" in page.text
    assert str(stand.agent.versions()["db"]) in page.text


def test_live_ready_metrics_version(stand, app):
    app.add("a note")
    assert app.ask("GET", "/healthz").status == 200
    assert app.ask("GET", "/readyz").status == 200
    assert app.ask("GET", "/version").status == 200
    metrics = app.ask("GET", "/metrics").text
    for name in ("app_requests_total{", "db_request_latency_seconds_bucket{", "notesd_http_requests_total{",
                 "notesd_credential_version{", "notesd_db_connections{", "notesd_tls_certificate_expiry_timestamp_seconds"):
        assert name in metrics, name


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_is_modern_and_the_certificate_is_vaults(stand, app):
    with socket.create_connection(("127.0.0.1", app.tls_port), 5) as raw:
        with app.tls.wrap_socket(raw, server_hostname="notes.localhost") as tls:
            assert tls.version() in ("TLSv1.2", "TLSv1.3")
            names = dict(tls.getpeercert()["subjectAltName"])
            assert "DNS" in names
    old = ssl.create_default_context()
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", app.tls_port), 5) as raw:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            old.wrap_socket(raw, server_hostname="localhost")


def test_without_an_agent_it_lives_and_says_so(stand):
    """It listens at once; data routes answer 503, the TLS port closes a handshake until there is a certificate."""
    stand.provision(**CALM)
    stand.make_agent()
    stand.app = App(stand.scratch, stand.agent, stand.pair.root_ca, name=f"{stand.tag}-notesd")
    app = stand.app.start(ready=False, words=["--db-wait", "500ms"])

    def answers():
        try:
            return app.ask("GET", "/healthz").status == 200
        except OSError:
            return False
    app.process.wait_for("notesd to listen", answers)
    assert app.ask("GET", "/readyz").status == 503
    assert app.ask("GET", "/").status in (200, 503)
    answer = app.ask("GET", "/api/v1/notes")
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 0
    with pytest.raises((ssl.SSLError, ConnectionError)):
        app.ask("GET", "/healthz", tls=True)
    stand.agent.start()
    app.wait_ready()
    app.add("at last")


def test_dbinfo_by_tcp(stand):
    stand.provision(**CALM, dbinfo={"host": "127.0.0.1", "port": str(stand.mariadb.port),
                                    "database": stand.names.database})
    stand.start_agent()
    stand.start_app().add("by TCP")
    assert stand.table() == ["by TCP"]


def test_another_dbinfo_is_proved_before_it_is_used(stand):
    """A wrong one changes nothing but readyz; the right one is taken."""
    import provision
    stand.start(CALM, refresh="1s")
    provision.write_dbinfo(stand.vault, stand.names, {"socket": "/nonexistent/sock", "database": "nothing"})
    version = stand.agent.versions()["dbinfo"]
    wait_until("the wrong one to be published", lambda: stand.agent.versions()["dbinfo"] != version or
               stand.secret("dbinfo")["data"]["database"] == "nothing", 10)
    for _ in range(10):
        stand.app.add("still works")
    provision.write_dbinfo(stand.vault, stand.names, stand.dbinfo())
    wait_until("the right one", lambda: stand.secret("dbinfo")["data"] == stand.dbinfo(), 10)
    stand.app.add("works again")
    wait_until("readiness", stand.app.is_ready, 10)


@pytest.mark.smoke
def test_sigterm_ends_it_cleanly_and_answers_what_it_took(stand, app):
    app.add("a note")
    assert app.process.stop(signal.SIGTERM) == 0
    assert stand.app.process.popen.returncode == 0
    assert os.path.exists(stand.agent.socket)


def test_two_apps_on_one_agent(stand, app):
    second = App(stand.scratch, stand.agent, stand.pair.root_ca, name=f"{stand.tag}-second").start()
    try:
        second.add("by the second")
        assert [n["text"] for n in app.notes()] == ["by the second"]
        user = stand.secret("db")["data"]["username"]
        stand.agent.ask("POST", "/agent/v1/rotate/db")
        wait_until("the old user to go", lambda: user not in stand.users())
        second.add("after")
        app.add("after too")
    finally:
        assert second.stop() == 0
