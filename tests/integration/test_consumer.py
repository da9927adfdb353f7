"""docs/consumer.py does what it shows: watches, swaps, acknowledges, and survives the agent's restart."""

import os
import signal
import subprocess
import threading

from servers import wait_until
from stand import TOP

CALM = {"default_ttl": "1h", "max_ttl": "24h"}


class Consumer:
    def __init__(self, stand):
        self.lines = []
        command = [*stand.scratch.ids.prefix(stand.scratch.ids.app), "/usr/bin/python3", "-I", "-",
                   stand.agent.socket, "db", "example-1"]
        with open(os.path.join(TOP, "docs", "consumer.py"), encoding="utf-8") as program:
            self._popen = subprocess.Popen(command, stdin=program, stdout=subprocess.PIPE, text=True, cwd="/")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._popen.stdout:
            self.lines.append(line)

    def versions(self):
        return [int(line.split()[2]) for line in self.lines if line.startswith("using version")]

    def stop(self):
        self._popen.send_signal(signal.SIGKILL)
        self._popen.wait()


def test_the_example_consumer_swaps_and_acknowledges(stand):
    agent = stand.provision(**CALM).start_agent()
    consumer = Consumer(stand)
    try:
        first = agent.versions()["db"]
        wait_until("the first version", lambda: consumer.versions() == [first])
        before = stand.users()
        assert agent.ask("POST", "/agent/v1/rotate/db").status == 202
        wait_until("the next version", lambda: consumer.versions() == [first, first + 1])
        # It is the only reader and has acknowledged: the old user goes long before its grace of 30 s is over.
        wait_until("the old user gone", lambda: not before & stand.users(), seconds=10)
        agent.stop(signal.SIGKILL)
        agent.launch()
        agent.wait_ready()
        wait_until("the same version again", lambda: consumer.versions() == [first, first + 1, first + 1])
    finally:
        consumer.stop()
