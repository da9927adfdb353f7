"""make soak: a million requests over a hundred rotations of the database user, and not one may fail.

SOAK_REQUESTS and SOAK_ROTATIONS ask for other numbers. Reads and writes, HTTP and HTTPS, on kept and on new connections, at a
rate that spreads them over the rotations. Nothing is tried again: each answer that is not the expected one is a failure, and at
the end each confirmed note must stand in the table once. Ends with 0 where all of it held.
"""

import multiprocessing
import os
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "integration"))

from stand import TOP, Pair, Stand  # noqa: E402
from servers import Scratch  # noqa: E402

LEASE = "5s"
PERIOD = 3.6  # seconds from one database user to the next, with that lease
# (TLS, kept connection, share of all requests)
CLIENTS = [(False, True, 0.22), (True, True, 0.22), (False, True, 0.22), (True, True, 0.22), (False, False, 0.08),
           (True, False, 0.04)]
WRITE_EVERY = 10
TIMEOUT = 15


class Client:
    """One process: its connection, its pace, its counts."""

    def __init__(self, number, app, tls, kept, rate, shared):
        self.number, self.app, self.tls, self.kept = number, app, tls, kept
        self.pause, self.shared = 1 / rate, shared
        self.sock, self.serials = None, set()

    def _connect(self):
        raw = socket.create_connection(("127.0.0.1", self.app.tls_port if self.tls else self.app.port), TIMEOUT)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.tls:
            return raw
        sock = self.app.tls.wrap_socket(raw, server_hostname="localhost")
        self.serials.add(sock.getpeercert()["serialNumber"])
        return sock

    def _ask(self, request):
        """Return: (status, does the connection end)."""
        self.sock.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.sock.recv(65536)
            if not piece:
                raise ConnectionError("closed before the answer")
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lower = head.lower()
        missing = int(lower.split(b"content-length:")[1].split(b"\r\n")[0]) - len(body)
        while missing > 0:
            piece = self.sock.recv(65536)
            if not piece:
                raise ConnectionError("closed amid the answer")
            missing -= len(piece)
        return int(head[9:12]), b"\r\nconnection: close" in lower

    def _one(self, turn):
        if not self.sock:
            self.sock = self._connect()
        last = b"" if self.kept else b"Connection: close\r\n"
        if turn % WRITE_EVERY == 0:
            body = b'{"text":"soak %d-%d"}' % (self.number, turn)
            expected, request = 201, (b"POST /api/v1/notes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                                      b"%sContent-Length: %d\r\n\r\n%s" % (last, len(body), body))
        else:
            expected, request = 200, b"GET /api/v1/notes HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % last
        status, closes = self._ask(request)
        if status != expected:
            raise ConnectionError(f"{status} in place of {expected}")
        if closes or not self.kept:
            self._close()
        return expected == 201

    def _close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def run(self):
        turn, due = 0, time.monotonic()
        requests, written, slowest = 0, 0, 0.0
        while not self.shared["ended"].is_set():
            turn += 1
            begin = time.monotonic()
            try:
                written += self._one(turn)
            except (OSError, ValueError, IndexError) as e:
                self._close()
                self.shared["failures"].put(f"{time.strftime('%H:%M:%S')} client {self.number} (tls={self.tls}, "
                                            f"kept={self.kept}) request {turn}: {type(e).__name__}: {e}")
            requests += 1
            slowest = max(slowest, time.monotonic() - begin)
            if requests % 50 == 0:
                self._tell(50)
            due = max(due + self.pause, time.monotonic() - 1)
            time.sleep(max(0, due - time.monotonic()))
        self._tell(requests % 50)
        self._close()
        self.shared["results"].put((self.number, requests, written, slowest, len(self.serials)))

    def _tell(self, count):
        with self.shared["requests"].get_lock():
            self.shared["requests"].value += count


def drain(queue):
    found = []
    while not queue.empty():
        found.append(queue.get())
    return found


def start_clients(app, rate):
    shared = {"ended": multiprocessing.Event(), "failures": multiprocessing.Queue(), "results": multiprocessing.Queue(),
              "requests": multiprocessing.Value("q", 0)}
    processes = [multiprocessing.Process(target=Client(i, app, tls, kept, rate * share, shared).run)
                 for i, (tls, kept, share) in enumerate(CLIENTS)]
    for p in processes:
        p.start()
    return shared, processes


def soak(stand, requests, rotations):
    """Return: what is wrong, line by line."""
    stand.provision(default_ttl=LEASE, max_ttl=LEASE, quota=False)
    stand.start_agent(grace="1s", certificate_ttl="60s", log_level="info")
    app = stand.start_app("--access-log", "off", "--log-level", "info")
    first = stand.agent.versions()
    shared, processes = start_clients(app, requests / (rotations * PERIOD))
    begin, failures, told = time.monotonic(), [], 0.0
    while True:
        time.sleep(1)
        failures += drain(shared["failures"])
        done, turned = shared["requests"].value, stand.agent.versions()["db"] - first["db"]
        if time.monotonic() - told > 15:
            told = time.monotonic()
            print(f"{told - begin:5.0f} s: {done} requests, {turned} rotations, {len(failures)} failed", flush=True)
        if (done >= requests and turned >= rotations) or len(failures) > 100:
            break
        if time.monotonic() - begin > 4 * rotations * PERIOD + 60:
            failures.append(f"after {time.monotonic() - begin:.0f} s only {done} requests and {turned} rotations are done")
            break
    shared["ended"].set()
    results = [shared["results"].get(timeout=60) for _ in processes]
    for p in processes:
        p.join(20)
    failures += drain(shared["failures"])
    now = stand.agent.versions()
    written = sum(r[2] for r in results)
    rows, texts = (int(n) for n in stand.mariadb.sql(
        f"SELECT COUNT(*), COUNT(DISTINCT text) FROM `{stand.names.database}`.notes WHERE text LIKE 'soak %'")[0])
    if not rows == texts == written:
        failures.append(f"{written} notes were confirmed; the table has {rows}, {texts} of them different")
    print(f"{sum(r[1] for r in results)} requests, {written} of them writes, over {now['db'] - first['db']} database users and "
          f"{now['tls'] - first['tls']} certificates in {time.monotonic() - begin:.0f} s; slowest "
          f"{max(r[3] for r in results) * 1000:.0f} ms; {len(failures)} failed")
    return failures


def main():
    requests, rotations = int(os.environ.get("SOAK_REQUESTS", "1000000")), int(os.environ.get("SOAK_ROTATIONS", "100"))
    scratch = Scratch("leasekeeper-soak")
    try:
        pair = Pair(scratch)
        # A log of a million statements would fill the tmpfs that it lies on.
        pair.mariadb.sql("SET GLOBAL general_log = OFF")
        stand = Stand(scratch, pair, os.path.join(TOP, "build", "test-logs"))
        try:
            failures = soak(stand, requests, rotations)
            codes = stand.stop()
            failures += [f"a daemon ended with {code}" for code in codes if code != 0]
            if failures:
                print("\n".join(failures[:20]))
                print("logs:", stand.keep_logs("soak"))
        finally:
            stand.stop()
            pair.stop()
    finally:
        scratch.remove()
    print(f"soak: {'failed' if failures else 'passed'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
