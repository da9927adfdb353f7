"""HTTP as notesd reads it: what is not strictly HTTP/1.1 is refused and the connection closed; each status has its test."""

import json
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import time
import urllib.request

import pytest

from daemons import App, bin_dir
from servers import free_port, wait_until
from stand import TOP, Stand

CALM = {"default_ttl": "1h", "max_ttl": "24h"}
WAIT = "2s"  # --db-wait: a database that hangs is told of after it


@pytest.fixture(scope="module")
def served(scratch, pair):
    """One notesd for all that does it no harm. Return: (stand, app)."""
    stand = Stand(scratch, pair, os.path.join(TOP, "build", "test-logs"))
    stand.provision(**CALM)
    stand.start_agent()
    app = stand.start_app("--db-wait", WAIT)
    yield stand, app
    assert all(code == 0 for code in stand.stop())


@pytest.fixture(scope="module")
def app(served):
    return served[1]


class Reply:
    """What came back on one connection until its end."""

    def __init__(self, data, closed):
        self.data, self.closed = data, closed
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0].startswith("HTTP/1.1 ") else 0
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}


def connect(app, tls=False):
    return socket.create_connection(("127.0.0.1", app.tls_port if tls else app.port), 5)


def send(app, data, seconds=5, tls_port=False):
    """Sends bytes on a connection of their own and reads until the server closes it, or is silent for so long."""
    with connect(app, tls_port) as s:
        s.settimeout(seconds)
        got, closed = b"", False
        try:
            s.sendall(data)
            while True:
                piece = s.recv(65536)
                if not piece:
                    closed = True
                    break
                got += piece
        except socket.timeout:
            pass
        except ConnectionError:
            closed = True
        return Reply(got, closed)


def post(body, *fields, host="Host: localhost\r\n"):
    head = "POST /api/v1/notes HTTP/1.1\r\n" + host + "Content-Type: application/json\r\n" + "".join(
        f + "\r\n" for f in fields) + "\r\n"
    return head.encode("latin-1") + body


NOTE = b'{"text":"smuggled"}'
LENGTH = f"Content-Length: {len(NOTE)}"
CHUNKED = "Transfer-Encoding: chunked"


def chunk(size_line, data=NOTE, end=b"\r\n0\r\n\r\n"):
    return post(size_line + data + end, CHUNKED)


SIZE = f"{len(NOTE):x}".encode()

# Each was seen to be accepted, or left hanging, by the server that many such services are built on.
REFUSED = {
    "bare LF": b"GET /healthz HTTP/1.1\nHost: a\n\n",
    "bare LF after one field": b"GET /healthz HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    "bare CR": b"GET /healthz HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
    "no Host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "Host with a blank": b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n",
    "two different lengths": post(NOTE, LENGTH, "Content-Length: 5"),
    "a list of lengths": post(NOTE, f"Content-Length: {len(NOTE)}, {len(NOTE)}"),
    "length +N": post(NOTE, f"Content-Length: +{len(NOTE)}"),
    "length -1": post(NOTE, "Content-Length: -1"),
    "length in hexadecimal": post(NOTE, f"Content-Length: 0x{len(NOTE):x}"),
    "empty length": post(NOTE, "Content-Length: "),
    "length 2^63": post(NOTE, f"Content-Length: {2 ** 63}"),
    "length 2^64": post(NOTE, f"Content-Length: {2 ** 64 + len(NOTE)}"),
    "length and chunked": post(SIZE + b"\r\n" + NOTE + b"\r\n0\r\n\r\n", LENGTH, CHUNKED),
    "gzip, chunked": post(SIZE + b"\r\n" + NOTE + b"\r\n0\r\n\r\n", "Transfer-Encoding: gzip, chunked"),
    "chunked twice": post(SIZE + b"\r\n" + NOTE + b"\r\n0\r\n\r\n", CHUNKED, CHUNKED),
    "chunked, identity": post(SIZE + b"\r\n" + NOTE + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked, identity"),
    "chunk size 0x": chunk(b"0x" + SIZE + b"\r\n"),
    "chunk size +": chunk(b"+" + SIZE + b"\r\n"),
    "chunk size with a blank": chunk(b" " + SIZE + b"\r\n"),
    "chunk size -1": chunk(b"-1\r\n"),
    "chunk size over 64 bits": chunk(b"1" + b"0" * 15 + SIZE + b"\r\n"),
    "chunk size ended by LF": chunk(SIZE + b"\n"),
    "chunk without its CRLF": chunk(SIZE + b"\r\n", end=b"0\r\n\r\n"),
    "blank before the colon": b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n",
    "obs-fold": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
    "fold before the first field": b"GET /healthz HTTP/1.1\r\n Host: a\r\n\r\n",
    "NUL in a value": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
    "NUL in a name": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n",
    "control character in a value": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
    "field without a colon": b"GET /healthz HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n",
    "field without a name": b"GET /healthz HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n",
    "two blanks in the request line": b"GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "blank in the target": b"GET /heal thz HTTP/1.1\r\nHost: a\r\n\r\n",
    "no version": b"GET /healthz\r\nHost: a\r\n\r\n",
    "version in lower case": b"GET /healthz http/1.1\r\nHost: a\r\n\r\n",
    "method with a slash": b"GE/T /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "target without a slash": b"GET healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32)) + b"\x20" + bytes(200),
    "HTTP/2's first words": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown coding": post(NOTE, "Transfer-Encoding: rot13"),
    "a NUL in the path": b"GET /healthz%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "noise": bytes(range(128, 256)) * 8,
}


@pytest.mark.smoke
@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_strictly_http_is_refused_and_the_connection_closed(served, data):
    stand, app = served
    reply = send(app, data)
    assert reply.status in (400, 501), reply.data
    assert reply.closed, "the connection stays open"
    assert reply.headers["connection"] == "close"
    assert reply.headers["content-type"] == "application/problem+json"
    assert json.loads(reply.body)["status"] == reply.status
    assert reply.data.count(b"HTTP/1.1 ") == 1, "the rest was taken for another request"
    assert "smuggled" not in stand.table()


LIMITS = {
    "a target of 100 KB": (414, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "10000 fields": (431, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10_000 + b"\r\n"),
    "a field of 100 KB": (431, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"),
    "a body of 1 GB, announced": (413, post(b"", f"Content-Length: {1 << 30}")),
    "a body of 70 KB": (413, post(b"x" * 70_000, "Content-Length: 70000")),
    "a chunk of 70 KB": (413, post(b"11170\r\n" + b"x" * 70_000 + b"\r\n0\r\n\r\n", CHUNKED)),
    "HTTP/2.0": (505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    "an unknown expectation": (417, post(NOTE, LENGTH, "Expect: a-miracle")),
}


@pytest.mark.smoke
@pytest.mark.parametrize("status,data", LIMITS.values(), ids=LIMITS.keys())
def test_what_is_too_large_or_not_known_is_refused_before_it_is_read(app, status, data):
    reply = send(app, data)
    assert (reply.status, reply.closed) == (status, True), reply.data[:300]
    assert json.loads(reply.body)["status"] == status


def test_well_formed_chunks_are_read(served):
    stand, app = served
    text = "in three chunks"
    body = json.dumps({"text": text}).encode()
    chunks = b"".join(b"%X;ext=1\r\n%s\r\n" % (len(p), p) for p in (body[:1], body[1:11], body[11:]))
    reply = send(app, post(chunks + b"0\r\nTrailer: x\r\n\r\n", CHUNKED, "Connection: close"))
    assert reply.status == 201, reply.data
    assert text in stand.table()


def test_a_nul_in_the_query_is_refused(app):
    assert app.ask("GET", "/api/v1/notes?limit=1%00").status == 400


def test_requests_in_one_piece_are_answered_in_order(app):
    one = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    two = b"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    reply = send(app, one + two)
    assert re.findall(rb"HTTP/1\.1 (\d{3})", reply.data) == [b"200", b"404"]
    assert reply.closed


def test_a_body_that_is_promised_is_asked_for(app):
    with connect(app) as s:
        s.sendall(post(b"", LENGTH, "Expect: 100-continue", "Connection: close"))
        assert s.recv(100).startswith(b"HTTP/1.1 100 ")
        s.sendall(NOTE.replace(b"smuggled", b"promised"))
        assert s.recv(1000).startswith(b"HTTP/1.1 201 ")


def test_a_whole_answer_without_a_body_to_head(app):
    with connect(app) as s:
        s.sendall(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        s.settimeout(5)
        data = b""
        while piece := s.recv(65536):
            data += piece
    reply = Reply(data, True)
    assert reply.status == 200
    assert reply.body == b""
    assert int(reply.headers["content-length"]) > 1000


PATHS = {"/": "GET, HEAD, OPTIONS", "/notes": "POST, OPTIONS", "/api/v1/notes": "GET, HEAD, POST, OPTIONS",
         "/api/v1/notes/1": "GET, HEAD, OPTIONS", "/healthz": "GET, HEAD, OPTIONS", "/readyz": "GET, HEAD, OPTIONS",
         "/metrics": "GET, HEAD, OPTIONS", "/openapi.json": "GET, HEAD, OPTIONS", "/version": "GET, HEAD, OPTIONS"}


@pytest.mark.parametrize("path,allow", PATHS.items(), ids=PATHS.keys())
def test_options_and_405_name_the_methods(app, path, allow):
    options = app.ask("OPTIONS", path)
    assert (options.status, options.headers["allow"], options.text) == (204, allow, "")
    for method in ("DELETE", "PUT", "PATCH", "TRACE", "get", "BREW"):
        answer = app.ask(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, allow), method
        assert answer.headers["content-type"] == "application/problem+json"


def test_each_answer_has_its_security_headers(app):
    for path in ("/", "/api/v1/notes", "/nothing", "/healthz", "/style.css"):
        answer = app.ask("GET", path)
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["referrer-policy"], path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy
        assert answer.headers["cache-control"], path
        assert "server" not in answer.headers
        assert "strict-transport-security" not in answer.headers
    over_tls = app.ask("GET", "/", headers={"Host": "notes.example"}, tls=True)
    assert "max-age=" in over_tls.headers["strict-transport-security"]


def test_411_where_a_post_has_no_length(app):
    reply = send(app, post(b"", "Connection: close"))
    assert reply.status == 411
    assert json.loads(reply.body)["status"] == 411


def test_the_key_makes_a_write_idempotent(served):
    stand, app = served
    key = {"Idempotency-Key": "order 66, ~!"}
    first = app.ask("POST", "/api/v1/notes", {"text": "by key"}, key)
    again = app.ask("POST", "/api/v1/notes", {"text": "by key"}, key)
    other = app.ask("POST", "/api/v1/notes", {"text": "another"}, key)
    assert (first.status, again.status, other.status) == (201, 200, 422)
    assert first.json() == again.json()
    assert first.headers["location"] == again.headers["location"]
    assert other.json()["status"] == 422
    assert stand.table().count("by key") == 1
    for wrong in ("", "x" * 65, "t\tab"):
        assert app.ask("POST", "/api/v1/notes", {"text": "x"}, {"Idempotency-Key": wrong}).status == 400, wrong


def test_who_polls_is_told_that_nothing_changed(app):
    app.add("something")
    first = app.ask("GET", "/api/v1/notes")
    again = app.ask("GET", "/api/v1/notes", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.text) == (304, "")
    app.add("something else")
    assert app.ask("GET", "/api/v1/notes", headers={"If-None-Match": first.headers["etag"]}).status == 200


def test_one_byte_every_two_seconds_is_cut_by_the_absolute_deadline(app):
    """Head and body have 10 s in all, however alive the peer seems."""
    lines = {"head": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ", "body": post(b'{"text":"', "Content-Length: 60000")}
    peers = {what: connect(app) for what in lines}
    peers["TLS hello"] = connect(app, tls=True)
    lines["TLS hello"] = b"\x16\x03\x01\x02\x00"
    ended = {}
    begin = time.monotonic()
    for what, s in peers.items():
        s.sendall(lines[what])
        s.settimeout(0.01)
    while len(ended) < len(peers) and time.monotonic() - begin < 20:
        time.sleep(2)
        for what, s in peers.items():
            try:
                s.sendall(b"a")
                if s.recv(10000) == b"" and what not in ended:
                    ended[what] = time.monotonic() - begin
            except socket.timeout:
                pass
            except OSError:
                ended.setdefault(what, time.monotonic() - begin)
    for s in peers.values():
        s.close()
    assert set(ended) == set(peers)
    assert all(8 < t < 15 for t in ended.values()), ended


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def limit_descriptors(app, number):
    """The soft limit of the running program, set by its own user."""
    subprocess.run([*app.ids.prefix(app.uid), "prlimit", f"--pid={app.process.pid}", f"--nofile={number}:"], check=True)


def test_at_the_limit_of_descriptors_the_listener_pauses(app):
    """Neither a busy loop nor a flood of log lines; who is connected goes on, and the others when there is room again."""
    pid = app.process.pid
    before = resource.prlimit(0, resource.RLIMIT_NOFILE)[0]
    kept = app.connection()
    kept.request("GET", "/healthz")
    assert kept.getresponse().read()
    used = len(os.listdir(f"/proc/{pid}/fd"))
    lines = app.process.log_text().count("\n")
    limit_descriptors(app, used + 5)
    try:
        crowd = [connect(app) for _ in range(40)]
        time.sleep(0.5)
        begin = cpu_seconds(pid)
        time.sleep(2)
        assert cpu_seconds(pid) - begin < 0.2
        assert app.process.log_text().count("\n") - lines < 20
        kept.request("GET", "/healthz")
        assert kept.getresponse().status == 200
        for s in crowd:
            s.close()
    finally:
        limit_descriptors(app, before)
    wait_until("new connections to be taken again", app.is_ready, 10)
    assert "no connection can be accepted" in app.process.log_text()


def test_connections_leave_descriptors_for_the_rest(tmp_path):
    """Where fewer descriptors are allowed than --max-connections needs, a crowd takes none of the database's and the agent's."""
    port, allowed, crowd = free_port(), 400, []
    command = [os.path.join(bin_dir(), "notesd"), "--listen", f"http://127.0.0.1:{port}", "--agent", str(tmp_path / "none")]
    with open(tmp_path / "log", "wb") as log:
        # pylint: disable=consider-using-with
        process = subprocess.Popen(["prlimit", f"--nofile={allowed}", *command], stderr=log)
    try:
        wait_until("notesd to listen", lambda: "listening" in (tmp_path / "log").read_text("utf-8"), 10)
        for _ in range(allowed + 100):
            s = socket.create_connection(("127.0.0.1", port), 5)
            crowd.append(s)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            assert answer.status == 200
        assert len(os.listdir(f"/proc/{process.pid}/fd")) < allowed - 100
    finally:
        for s in crowd:
            s.close()
        process.terminate()
        assert process.wait(15) == 0
    assert "--max-connections: 200 is taken" in (tmp_path / "log").read_text("utf-8")


def test_at_the_limit_of_connections_the_longest_idle_one_goes(stand):
    stand.provision(**CALM)
    stand.start_agent()
    app = stand.start_app("--max-connections", "20")
    idle = [connect(app) for _ in range(19)]
    for s in idle:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert s.recv(1000).startswith(b"HTTP/1.1 200")
    for _ in range(10):
        assert app.ask("GET", "/healthz").status == 200
    more = [connect(app) for _ in range(5)]
    for s in more:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert s.recv(1000).startswith(b"HTTP/1.1 200")
    idle[0].settimeout(5)
    assert idle[0].recv(10) == b""
    idle[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert idle[-1].recv(1000).startswith(b"HTTP/1.1 200")


def test_a_database_that_hangs_is_told_of_and_costs_nobody_else(own_stand):
    """503 with Retry-After after --db-wait, 429 where the queue is full, and what needs no database is answered at once."""
    stand = own_stand
    stand.provision(**CALM)
    stand.start_agent()
    app = stand.start_app("--db-wait", "10s")  # long enough for the whole crowd to ask meanwhile
    stand.mariadb.process.send(signal.SIGSTOP)
    try:
        begin = time.monotonic()
        crowd = [connect(app) for _ in range(2300)]
        ask = b"GET /api/v1/notes HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        # Whoever waits shares the next query: the first alone hangs in the database, so that all others wait in the queue.
        crowd[0].sendall(ask)
        for _ in range(200):
            assert app.ask("GET", "/healthz").status == 200
        for s in crowd[1:]:
            s.sendall(ask)
        for path in ("/healthz", "/metrics", "/version", "/openapi.json"):
            asked = time.monotonic()
            assert app.ask("GET", path).status == 200
            assert time.monotonic() - asked < 1, path
        replies = []
        for s in crowd:
            s.settimeout(40)
            data = b""
            while piece := s.recv(65536):
                data += piece
            s.close()
            replies.append(Reply(data, True))
        counts = {status: sum(r.status == status for r in replies) for status in (429, 503)}
        assert counts[429] + counts[503] == len(crowd), {r.status for r in replies}
        assert counts[429] >= 1 and counts[503] >= 1000, counts
        for r in replies:
            assert int(r.headers["retry-after"]) >= 1
            assert json.loads(r.body)["status"] == r.status
        assert time.monotonic() - begin < 50
    finally:
        stand.mariadb.process.send(signal.SIGCONT)
    wait_until("the database's answer", app.is_ready, 15)
    app.add("after all that")


# --- TLS ---

def test_plain_http_on_the_tls_port_is_closed(app):
    begin = time.monotonic()
    reply = send(app, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", tls_port=True)
    assert reply.closed
    assert b"HTTP/1.1 200" not in reply.data
    assert time.monotonic() - begin < 4


@pytest.mark.smoke
def test_a_client_that_hangs_up_at_any_step_leaves_nothing_behind(app):
    """RST in the middle of the TLS hello, of the head, of the body, before the answer: no descriptor stays."""
    pid = app.process.pid
    hello = b"\x16\x03\x01\x02\x00\x01"
    steps = [(True, hello), (False, b"GET /heal"), (False, post(b'{"te', LENGTH)), (False, post(NOTE[:5], LENGTH)),
             (False, b"GET /api/v1/notes HTTP/1.1\r\nHost: a\r\n\r\n"), (True, b""), (False, b"")]

    def hang_up():
        for tls, data in steps:
            s = connect(app, tls)
            s.sendall(data)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            s.close()
    hang_up()
    wait_until("the first to be forgotten", lambda: app.ask("GET", "/healthz").status == 200)
    used = len(os.listdir(f"/proc/{pid}/fd"))
    for _ in range(100):
        hang_up()
    wait_until("all descriptors to be back", lambda: len(os.listdir(f"/proc/{pid}/fd")) <= used + 2, 10)
    assert app.process.running()


@pytest.mark.parametrize("name", [None, "localhost", "unknown.example"], ids=["none", "known", "unknown"])
def test_any_server_name_is_served(app, name):
    context = ssl.create_default_context(cadata=None)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with connect(app, tls=True) as raw, context.wrap_socket(raw, server_hostname=name) as tls:
        tls.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert tls.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_renegotiation_is_refused_and_harms_nobody(app):
    words = ["openssl", "s_client", "-connect", f"127.0.0.1:{app.tls_port}", "-tls1_2", "-legacy_renegotiation"]
    run = subprocess.run(words, input="R\n", capture_output=True, text=True, timeout=20, check=False)
    assert "RENEGOTIATING" in run.stdout + run.stderr
    assert run.returncode != 0 or "no renegotiation" in run.stderr
    assert app.ask("GET", "/healthz", tls=True).status == 200


def test_the_access_log_has_one_line_a_request_and_no_text(served):
    stand, _ = served
    second = App(stand.scratch, stand.agent, stand.pair.root_ca, name=f"{stand.tag}-log").start()
    try:
        before = second.process.log_text().count("request method=")
        second.ask("POST", "/api/v1/notes", {"text": "a very private matter"})
        second.ask("GET", "/api/v1/notes?before=12345&limit=7")
        second.ask("GET", "/some/private/path")
        send(second, b"rubbish\r\n\r\n")
        wait_until("the lines", lambda: second.process.log_text().count("request method=") >= before + 4, 5)
        log = second.process.log_text()
        assert log.count("request method=") == before + 4
        assert re.search(r"info request method=POST route=/api/v1/notes status=201 bytes=\d+ usec=\d+ "
                         r"scheme=http client=127\.0\.0\.1\n", log)
        assert "route=none status=404" in log
        assert re.search(r'route=refused status=400 reason="[^"\n]+" scheme=http client=127\.0\.0\.1\n', log)
        for word in ("private", "12345", "limit=7", "rubbish"):
            assert word not in log, word
    finally:
        assert second.stop() == 0


def test_the_access_log_in_json_has_a_member_for_each_value(served):
    stand, _ = served
    second = App(stand.scratch, stand.agent, stand.pair.root_ca, name=f"{stand.tag}-json").start(words=("--log-format", "json"))

    def requests():
        lines = [json.loads(line) for line in second.process.log_text().splitlines()]
        return [line for line in lines if line["message"] == "request" and line["route"] in ("/api/v1/notes", "refused")]
    try:
        second.ask("POST", "/api/v1/notes", {"text": "a very private matter"}, tls=True)
        send(second, b"rubbish\r\n\r\n")
        added, refused = wait_until("the lines", lambda: requests() if len(requests()) == 2 else None, 5)
        assert added["time"] and added["level"] == "info" and added["program"] == "notesd"
        assert added["method"] == "POST" and added["status"] == 201 and added["bytes"] > 20 and added["usec"] > 0
        assert added["scheme"] == "https" and added["client"] == "127.0.0.1"
        assert set(added) == {"time", "level", "program", "message", "method", "route", "status", "bytes", "usec", "scheme",
                              "client"}
        assert refused["status"] == 400 and refused["client"] == "127.0.0.1" and refused["reason"]
        assert "private" not in second.process.log_text() and "rubbish" not in second.process.log_text()
    finally:
        assert second.stop() == 0
