"""notesd looked at by the tools that others judge such services with: schemathesis, slowhttptest."""

import csv
import os
import subprocess
import time

from servers import wait_until
from stand import TOP

CALM = {"default_ttl": "1h", "max_ttl": "24h"}
SCHEMATHESIS = os.path.join(TOP, "build", "http-tools", "bin", "schemathesis")

CONFIG = os.path.join(TOP, "tests", "integration", "schemathesis.toml")


def test_schemathesis_finds_nothing(stand, tmp_path):
    """Each operation of /openapi.json, with good and with bad data: what is answered is what is described."""
    app = stand.start(CALM)
    words = [SCHEMATHESIS, "--config-file", CONFIG, "--no-color", "run",
             f"http://127.0.0.1:{app.port}/openapi.json", "--checks", "all", "--seed", "1",
             "--max-examples", "30", "--continue-on-failure", "--no-shrink", "--request-timeout", "10"]
    run = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False, cwd=tmp_path,
                         env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"})
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    print(run.stdout[-1500:])
    assert app.is_ready()


SLOW = {"headers": ["-H", "-i", "2", "-t", "GET"], "body": ["-B", "-i", "2", "-s", "8192", "-t", "POST"],
        "read": ["-X", "-w", "1", "-y", "2", "-z", "1", "-t", "GET"], "ranges": ["-R", "-t", "HEAD"]}
SECONDS = 8


class Attack:
    """One slowhttptest with 500 connections, and what it saw."""

    def __init__(self, app, name, folder):
        self.csv = os.path.join(folder, name + ".csv")
        words = ["slowhttptest", *SLOW[name], "-c", "500", "-r", "150", "-l", str(SECONDS), "-p", "2", "-g", "-o",
                 os.path.join(folder, name), "-u", f"http://127.0.0.1:{app.port}/api/v1/notes"]
        self._tool = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder)

    def rows(self):
        said = self._tool.communicate(timeout=40)[0]
        assert os.path.exists(self.csv), said[-2000:]
        with open(self.csv, encoding="utf-8") as f:
            return list(csv.DictReader(f))


def test_slowhttptest_does_not_get_through(stand, tmp_path):
    """While hundreds of stuck connections of each sort come, an honest client is served each time, and quickly."""
    app = stand.start(CALM)
    attacks = {name: Attack(app, name, tmp_path) for name in SLOW}
    slowest, served, most, end = 0.0, 0, 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        begin = time.monotonic()
        answer = app.ask("GET", "/api/v1/notes") if served % 2 else app.ask("POST", "/api/v1/notes", {"text": "honest"})
        assert answer.status in (200, 201), answer.text
        slowest = max(slowest, time.monotonic() - begin)
        served += 1
        if served % 20 == 0:
            most = max(most, connections(app))
        time.sleep(0.02)
    for name, attack in attacks.items():
        rows = attack.rows()
        assert all(int(row["Service Available"]) > 0 for row in rows), (name, rows)
    assert most > 300, f"only {most} connections were stuck at once"
    assert served > 50
    assert slowest < 2, f"an honest client waited {slowest:.1f} s"
    wait_until("the stuck ones to be gone", lambda: connections(app) < 20, 25)


def connections(app):
    return int(float(app.ask("GET", "/metrics").text.split("\nnotesd_http_connections ")[1].split("\n")[0]))
