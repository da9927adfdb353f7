"""What is measured and how: CPU and memory of a process and its children, runs of wrk and of our own generator, medians."""

import json
import os
import statistics
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf("SC_CLK_TCK")
TEXT = "A note of sixty characters, as most of them are: short ones."


def family(pid):
    """Return: a process and all that it started, by id."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8") as f:
                    parent = int(f.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(name))
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += children.get(one, [])
    return found


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            words = f.read().rpartition(")")[2].split()
        total += int(words[11]) + int(words[12])
    return total / TICK


def memory_kib(pids):
    """Return: {"Rss", "Pss", "Private_Dirty"} in KiB, added up."""
    total = {"Rss": 0, "Pss": 0, "Private_Dirty": 0}
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
            for line in f:
                key = line.split(":")[0]
                if key in total:
                    total[key] += int(line.split()[1])
    return total


def switches(pids):
    """Return: how often any thread of these went to sleep of its own will, and so woke up, since it began."""
    total = 0
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{thread}/status", encoding="utf-8") as f:
                    total += sum(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt"))
            except OSError:
                continue  # the thread ended
    return total


def load_average():
    with open("/proc/loadavg", encoding="utf-8") as f:
        return float(f.read().split()[0])


def cpu_busy():
    """Return: (busy, all) ticks of the machine since it began."""
    with open("/proc/stat", encoding="utf-8") as f:
        words = [int(w) for w in f.readline().split()[1:9]]
    return sum(words) - words[3] - words[4], sum(words)


def noise(seconds=2.0):
    """Return: the share of the machine that others use while we do nothing."""
    before = cpu_busy()
    time.sleep(seconds)
    after = cpu_busy()
    return (after[0] - before[0]) / max(1, after[1] - before[1])


def wrk(url, mode, connections, seconds):
    """A closed loop: each connection sends when it is answered. Return: what wrk.lua prints."""
    run = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s",
                          os.path.join(HERE, "wrk.lua"), url + "/api/v1/notes?limit=20", "--", mode, TEXT],
                         capture_output=True, text=True, check=True)
    line = next(line for line in run.stdout.splitlines() if line.startswith("JSON "))
    return json.loads(line[5:])


def load(program, *words):
    """Our own generator. Return: what it prints."""
    run = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


class Cost:
    """CPU of some processes over a while."""

    def __init__(self, **groups):
        self._groups = groups
        self._before = {name: cpu_seconds(pids) for name, pids in groups.items()}

    def per(self, count):
        """Return: {"NAME_us": CPU microseconds for one of count}."""
        return {f"{name}_us": (cpu_seconds(pids) - self._before[name]) * 1e6 / max(1, count)
                for name, pids in self._groups.items()}


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


class Results:
    """All single measurements, by (cell, who)."""

    def __init__(self):
        self.runs = {}

    def add(self, cell, who, **values):
        self.runs.setdefault((cell, who), []).append(values)

    def value(self, cell, who, what):
        """Return: the median over the rounds; None where it was not measured."""
        return median([run.get(what) for run in self.runs.get((cell, who), [])])

    def as_list(self):
        return [{"cell": cell, "who": who, "runs": runs} for (cell, who), runs in self.runs.items()]
