"""kill -9 of notesd and of MariaDB, again and again under load: what was confirmed is there once, all else at most once."""

import http.client
import signal
import threading
import time

from daemons import ask
from servers import wait_until

CALM = {"default_ttl": "1h", "max_ttl": "24h"}
ROUNDS = 6


class Writer(threading.Thread):
    """Writes notes one after the other. With keys: each is sent again under its key until it is known what became of it."""

    def __init__(self, app, number, with_keys):
        super().__init__(daemon=True)
        self.app, self.number, self.with_keys = app, number, with_keys
        self.ended = threading.Event()
        self.sent, self.confirmed, self.faults = [], [], []
        self.answers = {}

    def run(self):
        turn = 0
        while not self.ended.is_set():
            turn += 1
            text = f"crash {self.number}-{turn}"
            self.sent.append(text)
            status = self._send(text)
            while self.with_keys and status not in (200, 201):
                if status not in (0, 503, 429):
                    self.faults.append(f"{text}: {status}")
                    break
                time.sleep(0.05)
                status = self._send(text)
            if status in (200, 201):
                self.confirmed.append(text)
            elif status not in (0, 503, 429):
                self.faults.append(f"{text}: {status}")
            time.sleep(0.005)

    def _send(self, text):
        """Return: the status; 0 where there was no answer."""
        headers = {"Content-Type": "application/json"}
        if self.with_keys:
            headers["Idempotency-Key"] = text
        connection = self.app.connection(timeout=40)
        try:
            connection.request("POST", "/api/v1/notes", '{"text": "%s"}' % text, headers)
            answer = connection.getresponse()
            answer.read()
            self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
            return answer.status
        except (OSError, http.client.HTTPException):
            self.answers[0] = self.answers.get(0, 0) + 1
            return 0
        finally:
            connection.close()


def check(stand, writers):
    counts = {}
    for text in stand.table():
        counts[text] = counts.get(text, 0) + 1
    for w in writers:
        assert not w.faults, w.faults[:5]
        lost = [text for text in w.confirmed if counts.get(text, 0) != 1]
        assert not lost, f"confirmed, but not there exactly once: {[(t, counts.get(t, 0)) for t in lost[:5]]}"
        twice = [text for text in w.sent if counts.get(text, 0) > 1]
        assert not twice, f"there more than once: {twice[:5]}"
        if w.with_keys:
            assert len(w.confirmed) >= len(w.sent) - 1, "a write under a key was never settled"
    confirmed = sum(len(w.confirmed) for w in writers)
    assert confirmed > 50, f"only {confirmed} notes were confirmed"


def under_load(stand, strike):
    """Runs strike() again and again while notes are written. Return: how many answers of each status there were."""
    writers = [Writer(stand.app, n, with_keys=n % 2 == 0) for n in range(8)]
    for w in writers:
        w.start()
    for number in range(ROUNDS):
        time.sleep(0.4 + 0.1 * number)
        strike()
    time.sleep(0.5)
    for w in writers:
        w.ended.set()
    for w in writers:
        w.join(60)
        assert not w.is_alive(), "a write was not answered"
    wait_until("readiness", stand.app.is_ready, 20)
    check(stand, writers)
    total = {}
    for w in writers:
        for status, n in w.answers.items():
            total[status] = total.get(status, 0) + n
    print(total)
    return total


def test_kill_9_of_notesd_under_load(stand):
    stand.start(CALM)

    def strike():
        stand.app.stop(signal.SIGKILL)
        stand.app.start()
    answers = under_load(stand, strike)
    assert answers.get(0, 0) > 0, "no writer saw a kill"


def test_kill_9_of_mariadb_under_load(own_stand):
    stand = own_stand
    stand.start(CALM)

    def strike():
        stand.mariadb.stop(signal.SIGKILL)
        time.sleep(0.3)
        stand.mariadb.start()
        wait_until("readiness", stand.app.is_ready, 20)
    answers = under_load(stand, strike)
    assert answers.get(0, 0) == 0, f"notesd closed connections without an answer: {answers}"


def test_a_database_that_died_while_nobody_wrote_leaves_no_note_in_doubt(own_stand):
    """The idle session is known to be dead before the note is sent: after --db-wait it is certain that nothing was written."""
    own_stand.provision(**CALM)
    own_stand.start_agent()
    app = own_stand.start_app("--db-wait", "1s")
    app.add("before")
    own_stand.mariadb.stop(signal.SIGKILL)
    begin = time.monotonic()
    answer = ask(app.connection(timeout=40), "POST", "/api/v1/notes", {"text": "after"})
    took = time.monotonic() - begin
    assert answer.status == 503, answer.text
    assert answer.json()["type"] == "about:blank", answer.text
    assert took < 10, f"the answer took {took:.1f} s"
