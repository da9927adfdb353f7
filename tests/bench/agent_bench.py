"""leasekeeperd beside `bao agent` with templates: start, CPU, memory, rest, and reads of what is cached."""

import http.client
import json
import os
import signal
import threading
import time

import ceilings
import measure
import report
from measure import Cost, Results, load
from servers import Failed, MariaDb, OpenBao, Process, Scratch, write_private
from daemons import UnixConnection, ask, bin_dir, schema
import provision

IDLE_SECONDS = 10
PATIENCE_SECONDS = 300
FILE_BLOCKS = 2000  # secrets in one configuration file: leasekeeperd takes no file over 1 MiB
POLICY = 'path "kvs/*" { capabilities = ["read"] } path "database/creds/*" { capabilities = ["read"] }'
OURS, THEIRS = "leasekeeperd", "bao agent"


def say(text):
    print(text, flush=True)


class Ground:
    """The servers, and in them the secrets that both agents fetch."""

    def __init__(self, kv_count, lease_count):
        self.scratch = Scratch("leasekeeper-bench")
        self.mariadb = MariaDb(self.scratch)
        self.mariadb.start()
        self.mariadb.sql("SET GLOBAL general_log = 0")
        self.bao = OpenBao(self.scratch)
        self.bao.start()
        self.names = provision.Names()
        vault = self.bao.vault()
        settings = provision.Settings(connection=self.mariadb.connection, default_ttl="12h", max_ttl="24h", quota=False,
                                      dbinfo={"database": self.names.database})
        provision.provision(vault, self.names, settings, self.mariadb.sql, schema())
        provision.mount(vault, "kvs", "kv", {"version": "1"})
        self._write_many(kv_count, lambda i: (f"kvs/s{i}", {"username": f"user{i}", "password": f"password-{i}-abcdefgh"}))
        role = vault.read(f"database/roles/{self.names.database_role}")["data"]
        role = {k: role[k] for k in ("db_name", "default_ttl", "max_ttl", "creation_statements", "revocation_statements")}
        vault.write("database/config/notes", {"allowed_roles": "*", "plugin_name": "mysql-database-plugin",
                                              "connection_url": "{{username}}:{{password}}@" + self.mariadb.connection + "/"})
        self._write_many(lease_count, lambda i: (f"database/roles/r{i}", role))
        vault.call("PUT", "sys/policies/acl/bench", {"policy": POLICY})
        vault.write("auth/approle/role/bench", {"token_policies": "bench", "token_ttl": "12h"})
        self.role_id = vault.read("auth/approle/role/bench/role-id")["data"]["role_id"]
        self.secret_id = vault.write("auth/approle/role/bench/secret-id")["data"]["secret_id"]

    def _write_many(self, count, what):
        """Over a few kept connections: one for each would take minutes."""
        vault, faults = self.bao.vault(), []

        def work(first):
            connection = vault._connect()  # noqa: SLF001
            for i in range(first, count, 4):
                path, body = what(i)
                connection.request("POST", "/v1/" + path, json.dumps(body), {"X-Vault-Token": vault.token})
                answer = connection.getresponse()
                text = answer.read()
                if answer.status >= 300:
                    faults.append(f"{path}: {answer.status} {text[:200]}")
            connection.close()

        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if faults:
            raise Failed(faults[0])

    def stop(self):
        self.bao.stop()
        self.mariadb.stop()
        self.scratch.remove()


class Job:
    """What is to be published: so many KV secrets, so many database leases."""

    def __init__(self, label, kv, leases):
        self.label, self.kv, self.leases = label, kv, leases
        self.count = kv + leases

    def secrets(self):
        """Each (name, path in Vault)."""
        return [(f"s{i}", f"kvs/s{i}") for i in range(self.kv)] + [(f"r{i}", f"database/creds/r{i}")
                                                                for i in range(self.leases)]


class Candidate:
    """An agent in a fresh folder, without any state of a former life."""

    def __init__(self, ground, job, number):
        self.ground, self.job, self.ids = ground, job, ground.scratch.ids
        uid = self.ids.agent
        self.folder = ground.scratch.folder(f"run{number}", uid, 0o711)
        self.out = os.path.join(self.folder, "out")
        os.mkdir(self.out)
        self.ids.give(self.out, uid, 0o755)
        self.socket = os.path.join(self.folder, "agent.sock")
        self.config = os.path.join(self.folder, "conf")
        os.mkdir(self.config)
        self.ids.give(self.config, uid, 0o700)
        texts = {"role-id": ground.role_id, "secret-id": ground.secret_id, "conf/agent.hcl": self.head()}
        blocks = [self.block(name, path) for name, path in job.secrets()]
        for i in range(0, len(blocks), FILE_BLOCKS):
            texts[f"conf/secrets-{i}.hcl"] = "\n".join(blocks[i:i + FILE_BLOCKS]) + "\n"
        for name, text in texts.items():
            write_private(os.path.join(self.folder, name), text)
            self.ids.give(os.path.join(self.folder, name), uid, 0o600)
        self.log = os.path.join(self.folder, "log")
        self.most_kib, self.stopped = 0, False

    def head(self):
        """Return: the configuration but for the secrets."""
        raise NotImplementedError

    def block(self, name, path):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def published(self):
        """Return: is everything there?"""
        return len(os.listdir(self.out)) >= self.job.count

    def login(self, extra=""):
        return f"""
vault {{ address = "{self.ground.bao.address}"  ca_cert = "{self.ground.bao.ca_file}" {extra} }}
auto_auth {{ method "approle" {{ config {{
  role_id_file_path = "{self.folder}/role-id"
  secret_id_file_path = "{self.folder}/secret-id"
  remove_secret_id_file_after_reading = false
}} }} }}
"""

    def look_after_memory(self):
        """Ends what would take the machine's memory from all others."""
        if not self.process.running():
            return
        self.most_kib = max(self.most_kib, measure.memory_kib([self.process.pid])["Rss"])
        with open("/proc/meminfo", encoding="utf-8") as f:
            free_kib = next(int(line.split()[1]) for line in f if line.startswith("MemAvailable"))
        if free_kib < self.most_kib / 4 or free_kib < 1 << 20:
            self.stopped = True

    def run(self):
        """Return: what was measured until all is published, and at rest afterwards."""
        began = time.monotonic()
        self.process = Process("agent", [*self.ids.prefix(self.ids.agent), *self.command()], self.log,
                               {"PATH": "/usr/bin:/bin", "HOME": self.folder})
        while not self.published():
            if not self.process.running():
                raise Failed(f"the agent ended:\n{self.process.tail()}")
            self.look_after_memory()
            if self.stopped or time.monotonic() - began > PATIENCE_SECONDS:
                return {"start_s": None, "published": len(os.listdir(self.out)), "after_s": time.monotonic() - began,
                        "rss_mib": self.most_kib / 1024}
            time.sleep(0.02 if self.job.count < 100 else 0.05)
        pids = measure.family(self.process.pid)
        done = {"start_s": time.monotonic() - began, "start_cpu_s": measure.cpu_seconds(pids)}
        time.sleep(3)
        memory = measure.memory_kib(pids)
        cpu, wakes = measure.cpu_seconds(pids), measure.switches(pids)
        time.sleep(IDLE_SECONDS)
        return {**done, "rss_mib": memory["Rss"] / 1024, "private_mib": memory["Private_Dirty"] / 1024,
                "idle_cpu_ms_s": (measure.cpu_seconds(pids) - cpu) * 1e3 / IDLE_SECONDS,
                "idle_wakes_s": (measure.switches(pids) - wakes) / IDLE_SECONDS}

    def reads(self, tools, path, connections, seconds):
        """Return: what reading that path from the socket gave."""
        cost = Cost(app=measure.family(self.process.pid))
        done = load(tools.load, "--unix", self.socket, "--path", path, "--connections", connections, "--seconds", seconds)
        return {**done, **cost.per(done["requests"])}

    def stop(self):
        self.process.stop(signal.SIGTERM)


class Ours(Candidate):
    """leasekeeperd. files: it writes each secret to a file too, as the other does; else the socket alone serves."""

    files = True

    def head(self):
        return self.login("rate_limit = 0") + f"""
listener "unix" {{ address = "{self.socket}"  socket_mode = "0666" }}
state_dir = "{self.folder}/state"
"""

    def block(self, name, path):
        out = f'file "{self.out}/{name}" {{ format = "env" }}' if self.files else ""
        return f'secret "{name}" {{ path = "{path}"  refresh = "1h"  allow {{ user = "0" }} {out} }}'

    def command(self):
        program = self.ground.scratch.program(os.path.join(bin_dir(), "leasekeeperd"), self.ids.agent)
        return [program, "-config", self.config, "-log-level", "warn"]

    def published(self):
        if self.files and not super().published():
            return False
        try:
            return ask(UnixConnection(self.socket, 5), "GET", "/agent/v1/health").status == 200
        except (OSError, http.client.HTTPException):
            return False


class OursOnSocket(Ours):
    """leasekeeperd as it is meant to be used."""

    files = False


class Theirs(Candidate):
    """bao agent: a template for each secret, its cache on for what is leased."""

    def head(self):
        return self.login() + f"""
template_config {{ static_secret_render_interval = "1h" }}
cache {{ }}
api_proxy {{ use_auto_auth_token = true }}
listener "unix" {{ address = "{self.socket}"  tls_disable = true  socket_mode = "0666" }}
"""

    def block(self, name, path):
        fields = "username={{ .Data.username }}\\npassword={{ .Data.password }}\\n"
        return f'''template {{
  destination = "{self.out}/{name}"
  contents = "{{{{ with secret \\"{path}\\" }}}}{fields}{{{{ end }}}}"
}}'''

    def command(self):
        return [self.ground.bao.program, "agent", f"-config={self.config}", "-log-level=warn"]


def jobs(quick):
    if quick:
        return [Job("3 secrets", 2, 1), Job("200 KV secrets", 200, 0), Job("50 database leases", 0, 50)]
    return [Job("3 secrets", 2, 1), Job("1,000 KV secrets", 1000, 0), Job("10,000 KV secrets", 10000, 0),
            Job("1,000 database leases", 0, 1000)]


class Bench:
    """One run of all."""

    kinds = ((OURS, Ours), (f"{OURS}, socket alone", OursOnSocket), (THEIRS, Theirs))

    def __init__(self, plan, folder):
        self.plan, self.jobs = plan, jobs(plan.quick)
        self.results, self.versions = Results(), {}
        self.tools = ceilings.Tools(os.path.join(folder, "tools"))
        self.number = 0

    def run(self):
        self.tools.build()
        say("starting OpenBao and MariaDB, writing the secrets ...")
        self.ground = Ground(max(j.kv for j in self.jobs), max(j.leases for j in self.jobs))
        self.versions["OpenBao"] = self.ground.bao.vault().read("sys/health")["version"]
        try:
            self.noise = measure.noise()
            for job in self.jobs:
                # Those that take minutes are done three times at most.
                for number in range(min(self.plan.rounds, 3 if job.count > 100 else self.plan.rounds)):
                    say(f"{job.label}, round {number + 1} ...")
                    for who, kind in self.kinds:
                        self.one(job, who, kind)
        finally:
            self.ground.stop()

    def one(self, job, who, kind):
        self.number += 1
        candidate = kind(self.ground, job, self.number)
        try:
            self.results.add(job.label, who, **candidate.run())
            if job.count == 3 and kind is not Ours:
                self.read_cached(candidate, who)
        finally:
            candidate.stop()

    def read_cached(self, candidate, who):
        # What both have cached: the lease. A KV secret is asked of the server each time by the other.
        paths = [("cached lease, /v1", "/v1/database/creds/r0")]
        if who != THEIRS:
            paths.append(("cached lease, our own call", "/agent/v1/secrets/r0"))
        for cell, path in paths:
            for connections in (8, 64):
                self.results.add(f"{cell}, {connections}", who,
                                 **candidate.reads(self.tools, path, connections, self.plan.seconds))

    # --- the tables ---

    def _cell(self, cell, who, what, digits):
        return report.number(self.results.value(cell, who, what), digits)

    def text(self):
        whats = (("start s", "start_s", 2), ("CPU s until then", "start_cpu_s", 2), ("RSS MiB", "rss_mib", 1),
                 ("private MiB", "private_mib", 1), ("idle CPU ms/s", "idle_cpu_ms_s", 2), ("wake-ups/s", "idle_wakes_s", 2))
        rows = []
        for job in self.jobs:
            for who, _ in self.kinds:
                row = [f"{job.label}: {who}"] + [self._cell(job.label, who, what, digits) for _, what, digits in whats]
                if row[1] == "-":
                    runs = self.results.runs[(job.label, who)]
                    row[1] = f"{min(r['published'] for r in runs):,} in {runs[0]['after_s']:.0f} s"
                rows.append(row)
        parts = [report.table(["goal (ratios within this run)", "wanted", "got", "met"], self.targets()),
                 report.table(["until all is published, then at rest"] + [w[0] for w in whats], rows)]
        reads = []
        for cell in sorted({c for c, _ in self.results.runs if c.startswith("cached")}):
            for who, _ in self.kinds:
                if (cell, who) in self.results.runs:
                    failed = sum(r["bad_status"] + r["errors"] for r in self.results.runs[(cell, who)])
                    reads.append([f"{cell} connections: {who}", self._cell(cell, who, "per_second", 0),
                                  self._cell(cell, who, "app_us", 1), self._cell(cell, who, "p99_us", 0), failed])
        parts.append(report.table(["reads on the UNIX socket", "requests/s", "CPU us each", "p99 us", "failed"], reads))
        parts.append(f"Medians of up to {self.plan.rounds} rounds. Others used {100 * self.noise:.0f} % of the machine before it.")
        parts.append("Versions: " + "; ".join(f"{k}: {v}" for k, v in self.versions.items()) + ".")
        return "\n\n".join(parts) + "\n"

    def targets(self):
        rows = []
        socket = f"{OURS}, socket alone"

        def row(goal, wanted, got, met, digits=2):
            rows.append([goal, wanted, report.number(got, digits), "-" if got is None else "yes" if met(got) else "NO"])

        largest = max(self.jobs, key=lambda j: j.kv)
        for what, goal, wanted, most in (("start_s", "start", "<= 0.2", 0.2), ("start_cpu_s", "CPU until then", "<= 0.1", 0.1)):
            ours, theirs = (self.results.value(largest.label, who, what) for who in (OURS, THEIRS))
            row(f"{largest.label}: {goal}, of bao agent's", wanted, ours / theirs if ours and theirs else None,
                lambda v, m=most: v <= m, 3)
        for label, what, goal, most in ((largest.label, "rss_mib", "resident MB", 20),
                                        (self.jobs[0].label, "rss_mib", "resident MB", 13),
                                        (self.jobs[0].label, "private_mib", "private MB", 3)):
            value = self.results.value(label, socket, what)
            row(f"{label}: {goal}", f"<= {most}", value * 1.048576 if value else None, lambda v, m=most: v <= m, 1)
        row("wake-ups at rest a second, all sizes", "0", max(self.results.value(j.label, socket, "idle_wakes_s") or 0
                                                             for j in self.jobs), lambda v: v == 0)
        for connections in (8, 64):
            row(f"cached read, {connections} connections: CPU us", "<= 20",
                self.results.value(f"cached lease, our own call, {connections}", socket, "app_us"), lambda v: v <= 20, 1)
        return rows


def bench(plan, folder):
    """Return: the Bench after its run."""
    one = Bench(plan, folder)
    one.run()
    return one
