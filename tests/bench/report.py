"""Writes what was measured: the table for people, everything as JSON, and one picture."""

import json
import os

LOOPS = [("list", "List 20 notes"), ("insert", "Insert one note"), ("mix", "Nine lists, one insert")]
CONNECTIONS = (8, 32, 128)


def number(value, digits=0):
    if value is None:
        return "-"
    return f"{value:,.{digits}f}"


def table(head, rows):
    """A Markdown table, its columns aligned so that it reads well as it is."""
    cells = [list(map(str, head))] + [list(map(str, row)) for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]

    def line(row):
        first = [row[0].ljust(widths[0])]
        return "| " + " | ".join(first + [text.rjust(width) for text, width in zip(row[1:], widths[1:])]) + " |"

    rule = "|" + "|".join([":" + "-" * (widths[0] + 1)] + ["-" * (width + 1) + ":" for width in widths[1:]]) + "|"
    return "\n".join([line(cells[0]), rule, *map(line, cells[1:])])


class AppReport:
    """The tables of the app's part."""

    def __init__(self, bench):
        self.bench, self.results = bench, bench.results
        self.everyone = bench.everyone()
        self.labels = {w.name: w.label for w in self.everyone}
        self.peers = [w.name for w in self.everyone if w.name not in ("notesd", "flask-sample")]

    def value(self, cell, who, what="per_second"):
        return self.results.value(cell, who, what)

    def best_peer(self, cell, what="per_second", best=max):
        """Return: (value, name) of the best peer."""
        values = [(self.value(cell, p, what), p) for p in self.peers if self.value(cell, p, what) is not None]
        return best(values) if values else (None, None)

    def loops(self):
        cells = [f"{mode} {c}" for mode, _ in LOOPS for c in CONNECTIONS]
        rows = [[self.labels[w.name]] + [number(self.value(c, w.name)) for c in cells] for w in self.everyone]
        for who in (self.bench.static, self.bench.nginx):
            if who:
                rows.append([who.label] + [number(self.value(c, who.name)) for c in cells])
        return table(["requests/s; connections:"] + cells, rows)

    def raw(self):
        rows = [[f"{what}, {threads}", number(self.value(f"raw {what}", threads))]
                for what in ("list", "insert") for threads in ("2 threads", "8 threads")]
        return table(["database alone, prepared, C loop", "statements/s"], rows)

    def latencies(self):
        cells = [("list 32", "p50_us"), ("list 32", "p99_us"), ("list 128", "p50_us"), ("list 128", "p99_us"),
                 ("insert 32", "p99_us"), ("mix 128", "p99_us")]
        head = ["closed loop, ms"] + [f"{cell} {what[:3]}" for cell, what in cells]
        rows = [[self.labels[w.name]] + [number((self.value(c, w.name, what) or 0) / 1e3, 1) if self.value(c, w.name, what)
                                         else "-" for c, what in cells] for w in self.everyone]
        return table(head, rows)

    def rates(self):
        from app_bench import RATES
        whats = ("p50_us", "p99_us", "p999_us", "max_us")
        head = ["constant rate, mix, ms"] + [f"{rate}/s {what[:-3]}" for rate in RATES for what in whats]
        rows = []
        for w in self.everyone:
            values = [self.value(f"rate {rate}", w.name, what) for rate in RATES for what in whats]
            rows.append([self.labels[w.name]] + [number(v / 1e3, 2) if v is not None else "-" for v in values])
        return table(head, rows)

    def costs(self):
        head = ["CPU in us for one request; PSS in MiB"] + ["list 32 app", "db", "insert 32 app", "db", "list 128 app", "db",
                                                            "PSS at 128", "private", "start ms"]
        rows = []
        for w in self.everyone:
            row = [self.labels[w.name]]
            for cell in ("list 32", "insert 32", "list 128"):
                row += [number(self.value(cell, w.name, "app_us"), 1), number(self.value(cell, w.name, "db_us"), 1)]
            memory = [self.value("mix 128", w.name, what) for what in ("pss_kib", "private_kib")]
            row += [number(m / 1024 if m else None, 1) for m in memory]
            rows.append(row + [number(self.value("start", w.name, "ms"))])
        return table(head, rows)

    def tls(self):
        head = ["TLS 1.3, P-256", "list 32 req/s", "of plain", "full handshakes/s", "CPU us each"]
        rows = []
        for w in [*self.everyone, self.bench.nginx]:
            if not w or self.value("handshakes", w.name) is None:
                continue
            plain = self.value("list 32", w.name)
            tls = self.value("TLS list 32", w.name)
            rows.append([w.label, number(tls), number(tls / plain if plain and tls else None, 2),
                         number(self.value("handshakes", w.name)), number(self.value("handshakes", w.name, "app_us"))])
        return table(head, rows)

    def rotations(self):
        rows = []
        for cell, label in (("steady", "3,000/s, no rotation"), ("rotating", "3,000/s, all credentials each second"),
                            ("million", "as fast as it goes, all credentials each second")):
            runs = self.results.runs.get((cell, "notesd"), [])
            if runs:
                failed = sum(r["bad_status"] + r["errors"] + r.get("unsent", 0) for r in runs)
                p99 = self.value(cell, "notesd", "p99_us")
                rows.append([label, number(sum(r["requests"] for r in runs)), failed,
                             sum(r.get("rotations", 0) for r in runs), number(p99 / 1e3 if p99 else None, 2)])
        return table(["notesd in rotation", "requests", "failed", "rotations", "p99 ms"], rows)

    def _ratio(self, cell, best=max):
        ours, (theirs, name) = self.value(cell, "notesd"), self.best_peer(cell, best=best)
        return (ours / theirs if ours and theirs else None), name

    def _cpu(self, cell, who):
        """Return: what one request costs, app and database, in microseconds."""
        parts = [self.value(cell, who, what) for what in ("app_us", "db_us")]
        return sum(parts) if None not in parts else None

    def _cpu_ratio(self, cell):
        """Return: the cheapest peer's CPU for one request by ours: what the throughputs would tell on a quiet machine."""
        costs = [cost for cost in (self._cpu(cell, peer) for peer in self.peers) if cost]
        return min(costs) / self._cpu(cell, "notesd") if costs else None

    def targets(self):
        """The goals, as ratios within this run. Return: rows of (goal, wanted, got, met)."""
        rows = []

        def row(goal, wanted, got, met, digits=2, cpu=None):
            rows.append([goal, wanted, number(got, digits), number(cpu, digits),
                         "-" if got is None else "yes" if met(got) else "NO"])

        for mode, c in (("list", 32), ("list", 128), ("insert", 32), ("insert", 128), ("mix", 32), ("mix", 128)):
            ratio, name = self._ratio(f"{mode} {c}")
            row(f"{mode} {c} / fastest peer ({name})", ">= 3", ratio, lambda v: v >= 3, cpu=self._cpu_ratio(f"{mode} {c}"))
        for c in (32, 128):
            static, cell = self.value(f"list {c}", "evhttp"), f"list {c}"
            row(f"{cell} / static evhttp", ">= 0.75", self.value(cell, "notesd") / static if static else None,
                lambda v: v >= 0.75, cpu=self.value(cell, "evhttp", "app_us") / self._cpu(cell, "notesd") if static else None)
        best, _ = self.best_peer("list 128", "p50_us", min)
        row("list 128: our p99 / fastest peer's p50", "<= 1", self.value("list 128", "notesd", "p99_us") / best if best else None,
            lambda v: v <= 1)
        tls, plain = self.value("TLS list 32", "notesd"), self.value("list 32", "notesd")
        row("TLS keep-alive / plain, list 32", ">= 0.65", tls / plain if tls else None, lambda v: v >= 0.65)
        ours, nginx = (self.value("handshakes", who, "app_us") for who in ("notesd", "nginx"))
        row("CPU of a full handshake / nginx's", "<= 1", ours / nginx if nginx else None, lambda v: v <= 1)
        row("PSS after 128 connections, MiB", "<= 12", self.value("mix 128", "notesd", "pss_kib") / 1024, lambda v: v <= 12, 1)
        row("start to first 200, ms", "<= 50", self.value("start", "notesd", "ms"), lambda v: v <= 50, 0)
        steady, moving = (self.value(cell, "notesd", "p99_us") for cell in ("steady", "rotating"))
        row("p99 in rotation / p99 without", "<= 1.5", moving / steady if steady else None, lambda v: v <= 1.5)
        row("goodput among 2,000 stuck clients / alone", ">= 0.8", self.value("stuck", "notesd", "share"), lambda v: v >= 0.8)
        million = self.results.runs.get(("million", "notesd"))
        if million:
            failed = million[0]["bad_status"] + million[0]["errors"]
            row(f"failures in {million[0]['requests']:,} requests over {million[0]['rotations']} rotations", "0", failed,
                lambda v: v == 0, 0)
        return rows

    def text(self):
        b = self.bench
        parts = [table(["goal (ratios within this run)", "wanted", "got", "by CPU", "met"], self.targets()),
                 self.loops(), self.raw(), self.latencies(), self.rates(), self.costs(), self.tls(), self.rotations()]
        notes = [f"The list is {b.body_len} bytes of JSON. Medians of {b.plan.rounds} interleaved rounds of {b.plan.seconds} s.",
                 f"Others used {100 * b.idle_noise:.0f} % of the machine before the run and {100 * b.noise_after:.0f} % after it."]
        bad = {who: n for who, n in self._bad().items() if n}
        if bad:
            notes.append("Requests that failed: " + ", ".join(f"{self.labels.get(w, w)} {n}" for w, n in bad.items()) + ".")
        notes += [f"SKIPPED {what}" for what in b.skipped]
        notes.append("Versions: " + "; ".join(f"{name}: {version}" for name, version in b.versions.items()) + ".")
        return "\n\n".join(parts + notes) + "\n"

    def _bad(self):
        bad = {}
        for (cell, who), runs in self.results.runs.items():
            if cell != "handshakes":  # those ask for what is not there
                bad[who] = bad.get(who, 0) + sum(r.get("bad_status", 0) + r.get("errors", 0) for r in runs)
        return bad


# --- the picture ---

COLOURS = {"notesd": "#1f6feb", "axum": "#b7410e", "go": "#00838f", "fastapi": "#2e7d32", "flask": "#7b1fa2",
           "flask-sample": "#8d6e63"}
WIDTH, LEFT, BAR, GAP, GROUP = 900, 350, 18, 4, 34


def svg(report):
    """Bars for list, insert and mix at 32 connections; readable on light and dark."""
    out, y = [], 56
    for mode, label in LOOPS:
        cell = f"{mode} 32"
        shown = [(w, report.value(cell, w.name)) for w in report.everyone if report.value(cell, w.name)]
        most = max(v for _, v in shown)
        out.append(f'<text x="16" y="{y}" class="h">{label}, 32 connections: requests per second</text>')
        y += 12
        for w, value in shown:
            width = max(2, value / most * (WIDTH - LEFT - 90))
            out.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{w.label}</text>'
                       f'<rect x="{LEFT}" y="{y}" width="{width:.0f}" height="{BAR}" rx="2" fill="{COLOURS[w.name]}"/>'
                       f'<text x="{LEFT + width + 6:.0f}" y="{y + 14}">{number(value)}</text>')
            y += BAR + GAP
        y += GROUP
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img" '
            'aria-labelledby="t"><title id="t">notesd and its peers: requests per second</title><style>'
            'text{font:13px sans-serif;fill:#333}.h{font-weight:bold;font-size:14px}.b{fill:#fff}'
            '@media(prefers-color-scheme:dark){text{fill:#ddd}.b{fill:#16181d}}</style>'
            f'<rect class="b" width="{WIDTH}" height="{y}"/>'
            '<text x="16" y="26" class="h">The same notes service, the same database, the same machine</text>')
    return head + "".join(out) + "</svg>\n"


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def write_json(folder, name, **what):
    return write(folder, name, json.dumps(what, indent=1) + "\n")
