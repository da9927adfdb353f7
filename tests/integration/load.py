"""A load client that retries nothing and believes nothing: every answer that is not the expected one is a failure."""

import http.client
import threading
import time


class Client(threading.Thread):
    """Writes and reads in turn, on one kept connection or on a new one each time."""

    def __init__(self, load, number, tls, keep_alive):
        super().__init__(daemon=True)
        self.load, self.number, self.tls, self.keep_alive = load, number, tls, keep_alive
        self.requests = 0
        self.failures = []
        self.written = []
        self.serials = set()

    def run(self):
        connection = None
        turn = 0
        while not self.load.ended.is_set():
            turn += 1
            if connection is None:
                connection = self.load.app.connection(self.tls, timeout=5)
            try:
                self._one(connection, turn)
            except (OSError, http.client.HTTPException) as e:
                self._failed(turn, f"{type(e).__name__}: {e}")
                connection.close()
                connection = None
            if not self.keep_alive and connection:
                connection.close()
                connection = None
            time.sleep(self.load.pause)
        if connection:
            connection.close()

    def _one(self, connection, turn):
        self.requests += 1
        text = None
        if turn % 2:
            text = f"{self.load.name} {self.number}-{turn}"
            body = '{"text": "%s"}' % text
            connection.request("POST", "/api/v1/notes", body, {"Content-Type": "application/json"})
            expected = 201
        else:
            connection.request("GET", "/api/v1/notes")
            expected = 200
        if self.tls and connection.sock:
            self.serials.add(connection.sock.getpeercert()["serialNumber"])
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != expected:
            self._failed(turn, f"{answer.status} {content[:300]!r}")
        elif text:
            self.written.append(text)

    def _failed(self, turn, why):
        what = "POST" if turn % 2 else "GET"
        self.failures.append(f"{time.strftime('%H:%M:%S')} client {self.number} (tls={self.tls}, keep_alive="
                             f"{self.keep_alive}) {what}: {why}")


class Load:
    """Several clients of each sort: HTTP and HTTPS, kept and new connections."""

    def __init__(self, app, each=2, pause=0.05, name="load"):
        self.app, self.pause, self.name = app, pause, name
        self.ended = threading.Event()
        self.clients = []
        for keep_alive in (True, False):
            for tls in (False, True):
                for _ in range(each):
                    self.clients.append(Client(self, len(self.clients), tls, keep_alive))

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *error):
        self.ended.set()
        for client in self.clients:
            client.join(15)
        print(self.summary())

    @property
    def requests(self):
        return sum(c.requests for c in self.clients)

    @property
    def failures(self):
        return [f for c in self.clients for f in c.failures]

    @property
    def written(self):
        return [text for c in self.clients for text in c.written]

    @property
    def serials(self):
        return set().union(*(c.serials for c in self.clients))

    def summary(self):
        return f"{self.requests} requests, {len(self.failures)} failed, {len(self.written)} notes written"

    def check(self, stand):
        """Nothing failed, and each confirmed note stands in the table exactly once."""
        assert not self.failures, f"{self.summary()}:\n" + "\n".join(self.failures[:20])
        assert self.requests > 100, self.summary()
        counts = {}
        for text in stand.table():
            counts[text] = counts.get(text, 0) + 1
        wrong = {text: counts.get(text, 0) for text in self.written if counts.get(text, 0) != 1}
        assert not wrong, f"confirmed notes that do not stand in the table exactly once: {list(wrong.items())[:10]}"
