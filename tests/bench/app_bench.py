"""notesd beside its peers: list, insert, a mix, TLS, handshakes, memory, CPU, start, rotations, stuck clients."""

import contextlib
import http.client
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import time

import ceilings
import measure
import peers
from measure import Cost, Results, family, load, wrk
from servers import TOP, MariaDb, OpenBao, Scratch, free_port, write_private
from daemons import Agent, AgentConfig, App, schema
import provision

CELLS = [(mode, connections) for mode in ("list", "insert", "mix") for connections in (8, 32, 128)]
SEED_ROWS = 2000
RATES = (1000, 5000)
STUCK = 2000


def say(text):
    print(text, flush=True)


class Running:
    """A server under test: where it listens and what to charge it for."""

    def __init__(self, name, label, process, port, tls_port=None, tls_process=None):
        self.name, self.label, self.port, self.tls_port = name, label, port, tls_port
        self.process, self.tls_process = process, tls_process or process

    def url(self, tls=False):
        return f"https://127.0.0.1:{self.tls_port}" if tls else f"http://127.0.0.1:{self.port}"

    def pids(self, tls=False):
        return family((self.tls_process if tls else self.process).pid)

    def stop(self):
        for process in {self.process, self.tls_process}:
            process.stop()


def answers(port, tls=False):
    """Is the list answered with 200?"""
    context = ssl._create_unverified_context() if tls else None  # noqa: SLF001  (it is our own server on loopback)
    kind = http.client.HTTPSConnection if tls else http.client.HTTPConnection
    connection = kind("127.0.0.1", port, timeout=5, **({"context": context} if tls else {}))
    try:
        connection.request("GET", "/api/v1/notes?limit=20")
        answer = connection.getresponse()
        return answer.read() if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


class Bench:
    """One run of all."""

    def __init__(self, plan, folder):
        self.plan, self.folder = plan, folder
        self.results = Results()
        self.versions, self.skipped = {}, []
        self.running, self.started = [], []
        self.tools = ceilings.Tools(os.path.join(folder, "tools"))

    # --- the stand ---

    def start(self):
        say("building the tools ...")
        self.tools.build()
        self.scratch = Scratch("leasekeeper-bench")
        # A commit is to cost what it costs: the database's files lie on a disk, not on tmpfs.
        self.scratch._data = tempfile.mkdtemp(prefix="leasekeeper-bench.", dir="/var/tmp")  # noqa: SLF001
        os.chmod(self.scratch._data, 0o711)  # noqa: SLF001
        self.logs = self.scratch.folder("logs", os.geteuid(), 0o700)
        self._ground()
        self._peers()
        self.mariadb.sql("SET GLOBAL general_log = 0; SET GLOBAL innodb_buffer_pool_size = 268435456;"
                         "SET GLOBAL innodb_log_file_size = 268435456;")
        self.seed()
        self.app = App(self.scratch, self.agent, self.root_ca)
        self.app.log_level = "warn"
        self.app.start()
        self.started.append(self.app)
        self.notesd = Running("notesd", "notesd", self.app.process, self.app.port, self.app.tls_port)
        self._start_peers()
        self._start_ceilings()

    def _ground(self):
        say("starting MariaDB, OpenBao and leasekeeperd ...")
        self.mariadb = MariaDb(self.scratch)
        self.mariadb.start()
        self.started.append(self.mariadb)
        self.bao = OpenBao(self.scratch)
        self.bao.start()
        self.started.append(self.bao)
        vault, self.names = self.bao.vault(), provision.Names()
        # A short lease fills the mint budget again fast enough for a rotation a second.
        settings = provision.Settings(connection=self.mariadb.connection, default_ttl="30s", max_ttl="24h", quota=False,
                                      dbinfo={"socket": self.mariadb.socket, "database": self.names.database})
        provision.provision(vault, self.names, settings, self.mariadb.sql, schema())
        self.root_ca = provision.root_certificate(vault)
        config = AgentConfig(mint_burst=100, log_level="warn")
        self.agent = Agent(self.scratch, self.bao, self.names, config)
        self.agent.start()
        self.started.append(self.agent)
        password = provision.random_password()
        self.mariadb.sql(f"CREATE USER peer@localhost IDENTIFIED BY '{password}';"
                         f"GRANT SELECT, INSERT ON {self.names.database}.notes TO peer@localhost;")
        self.database = {"DB_SOCKET": self.mariadb.socket, "DB_USER": "peer", "DB_PASSWORD": password,
                         "DB_NAME": self.names.database}
        self.tls = self._certificate(vault)
        self.versions["MariaDB"] = self.mariadb.sql("SELECT VERSION()")[0][0]

    def _certificate(self, vault):
        """The peers' and nginx's certificate: of the same authority and key type as notesd's. Return: (file, key file)."""
        made = vault.write(self.names.issue_path, {"common_name": "localhost", "ttl": "12h"})["data"]
        files = tuple(os.path.join(self.scratch.root, f) for f in ("peer.pem", "peer.key"))
        write_private(files[0], "\n".join([made["certificate"], *made["ca_chain"]]) + "\n")
        write_private(files[1], made["private_key"] + "\n")
        return files

    def _peers(self):
        vault = {"VAULT_ADDR": self.bao.address, "VAULT_CACERT": self.bao.ca_file, "VAULT_TOKEN": self.bao.vault().token,
                 "VAULT_ROLE": self.names.database_role, "VAULT_MOUNT": self.names.database_mount}
        place = os.path.join(self.folder, "peers")
        wanted = [peers.Axum(place), peers.Go(place), peers.FastApi(place), peers.Flask(place),
                  peers.FlaskSample(place, vault)]
        self.peers = []
        for peer in wanted:
            if self.plan.only and peer.name not in self.plan.only:
                continue
            say(f"installing {peer.label} ...")
            try:
                self.versions[peer.label] = peer.install()
                self.peers.append(peer)
            except peers.Missing as e:
                self.skipped.append(f"{peer.label}: {e}")
                say(f"SKIPPED {peer.label}: {e}")

    def _start_peers(self):
        for peer in self.peers:
            log = os.path.join(self.logs, peer.name)
            process, port = peer.start(self.database, log)
            tls_process, tls_port = peer.start(self.database, log + "-tls", self.tls)
            one = Running(peer.name, peer.label, process, port, tls_port, tls_process)
            self.started.append(one)
            process.wait_for(f"{peer.label} to answer", lambda p=port: answers(p))
            tls_process.wait_for(f"{peer.label} to answer", lambda p=tls_port: answers(p, True))
            self.running.append(one)

    def _start_ceilings(self):
        body = answers(self.app.port).decode()
        self.body_len = len(body)
        self.static = self.nginx = None
        static = ceilings.Static(self.tools, self.logs, body)
        self.static = Running("evhttp", static.label, static.start(), static.port)
        self.started.append(self.static)
        self.static.process.wait_for("evhttp to answer", lambda: answers(static.port))
        try:
            nginx = ceilings.Nginx(self.tools, self.logs, body, self.tls)
        except peers.Missing as e:
            self.skipped.append(f"nginx: {e}")
            say(f"SKIPPED nginx: {e}")
            return
        self.nginx = Running("nginx", nginx.label, nginx.start(), nginx.port, nginx.tls_port)
        self.started.append(self.nginx)
        self.nginx.process.wait_for("nginx to answer", lambda: answers(nginx.port))
        self.versions["nginx"] = nginx.version()

    def seed(self):
        """The same short table at the beginning of each round."""
        rows = ",".join([f"('{measure.TEXT}')"] * SEED_ROWS)
        self.mariadb.sql(f"TRUNCATE {self.names.database}.notes; INSERT INTO {self.names.database}.notes (text) VALUES {rows}")

    def stop(self):
        for one in reversed(self.started):
            with contextlib.suppress(Exception):
                one.stop()
        with contextlib.suppress(AttributeError):
            self.scratch.remove()

    # --- the cells ---

    def everyone(self):
        return [self.notesd, *self.running]

    def database_pids(self):
        return family(self.mariadb.process.pid)

    def _wrk(self, cell, who, mode, connections, tls=False):
        cost = Cost(app=who.pids(tls), db=self.database_pids())
        done = wrk(who.url(tls), mode, connections, self.plan.seconds)
        memory = measure.memory_kib(who.pids(tls))
        self.results.add(cell, who.name, **done, **cost.per(done["requests"]), pss_kib=memory["Pss"],
                         private_kib=memory["Private_Dirty"])

    def round_of_loops(self, number):
        for mode, connections in CELLS:
            whom = self.everyone()
            if mode == "list":
                whom = [w for w in (self.static, self.nginx) if w] + whom
            # Who goes first changes from round to round.
            for who in whom[number % len(whom):] + whom[:number % len(whom)]:
                if who.name == "flask-sample" and (mode == "mix" or connections == 128):
                    continue
                self._wrk(f"{mode} {connections}", who, mode, connections)
        for threads in (2, 8):
            for what in ("list", "insert"):
                done = ceilings.raw(self.tools, self.database, what, threads, self.plan.seconds)
                self.results.add(f"raw {what}", f"{threads} threads", **done)

    def round_of_tls(self, number):
        whom = [w for w in (self.notesd, *self.running, self.nginx) if w and w.name != "flask-sample"]
        for who in whom[number % len(whom):] + whom[:number % len(whom)]:
            if who is not self.nginx:
                self._wrk("list 32", who, "list", 32)
            self._wrk("TLS list 32", who, "list", 32, tls=True)
            cost = Cost(app=who.pids(True), db=self.database_pids())
            done = load(self.tools.load, "--port", who.tls_port, "--tls", "--close", "--connections", 8, "--seconds",
                        self.plan.seconds, "--path", "/none")
            self.results.add("handshakes", who.name, **done, **cost.per(done["requests"]))

    def round_of_rates(self):
        for rate in RATES:
            for who in self.everyone():
                capacity = self.results.value("mix 32", who.name, "per_second") or 0
                if capacity < 1.15 * rate:
                    continue
                done = load(self.tools.load, "--port", who.port, "--connections", 64, "--rate", rate, "--mix", 10, "--path",
                            "/api/v1/notes?limit=20", "--body", f'{{"text":"{measure.TEXT}"}}', "--seconds",
                            self.plan.seconds + 1, "--warm", 1)
                self.results.add(f"rate {rate}", who.name, **done)

    def starts(self):
        for peer in [None, *self.peers]:
            for _ in range(self.plan.rounds):
                port = free_port()
                began = time.monotonic()
                if peer:
                    process, port = peer.start(self.database, os.path.join(self.logs, "start"), port=port)
                else:
                    app = App(self.scratch, self.agent, self.root_ca, port=port, name=f"start-{port}")
                    app.start(ready=False)
                    process = app.process
                deadline = began + 30
                while not answers(port) and time.monotonic() < deadline:
                    time.sleep(0.001)
                self.results.add("start", peer.name if peer else "notesd", ms=(time.monotonic() - began) * 1e3)
                process.stop()

    # --- rotations ---

    @contextlib.contextmanager
    def rotating(self, count):
        """Replaces all credentials once a second while the body runs."""
        over = threading.Event()

        def rotate():
            while not over.is_set() and count[0] < count[1]:
                if self.agent.ask("POST", "/agent/v1/rotate").status == 202:
                    count[0] += 1
                over.wait(1)

        thread = threading.Thread(target=rotate)
        thread.start()
        yield
        over.set()
        thread.join()

    def _steady(self, rate, seconds):
        return load(self.tools.load, "--port", self.app.port, "--connections", 32, "--rate", rate, "--mix", 10, "--path",
                    "/api/v1/notes?limit=20", "--body", f'{{"text":"{measure.TEXT}"}}', "--seconds", seconds)

    def rotations(self, rate=3000):
        for _ in range(self.plan.rounds):
            self.results.add("steady", "notesd", **self._steady(rate, self.plan.rotation_seconds))
            count, before = [0, self.plan.rotation_seconds], self.agent.versions()["db"]
            with self.rotating(count):
                done = self._steady(rate, self.plan.rotation_seconds)
            self.results.add("rotating", "notesd", **done, rotations=count[0], versions=self.agent.versions()["db"] - before)

    def million(self):
        """As fast as it goes over a hundred rotations. Return: what came of it."""
        count, before, total = [0, self.plan.million_rotations], self.agent.versions()["db"], None
        with self.rotating(count):
            while count[0] < count[1] or total["requests"] < self.plan.million_requests:
                done = load(self.tools.load, "--port", self.app.port, "--connections", 32, "--mix", 10, "--path",
                            "/api/v1/notes?limit=20", "--body", f'{{"text":"{measure.TEXT}"}}', "--seconds", 5)
                total = {k: (total or {}).get(k, 0) + done[k] for k in ("requests", "bad_status", "errors")}
        self.results.add("million", "notesd", **total, rotations=count[0], versions=self.agent.versions()["db"] - before)

    def stuck(self):
        for _ in range(self.plan.rounds):
            alone = wrk(self.notesd.url(), "list", 32, self.plan.seconds)
            seconds = self.plan.seconds + 3
            with subprocess.Popen([self.tools.load, "--port", str(self.app.port), "--stuck", "--connections", str(STUCK),
                                   "--seconds", str(seconds)], stdout=subprocess.DEVNULL) as crowd:
                time.sleep(1)
                among = wrk(self.notesd.url(), "list", 32, self.plan.seconds)
                crowd.wait()
            self.results.add("stuck", "notesd", **among, share=among["per_second"] / alone["per_second"])

    def run(self):
        self.idle_noise = measure.noise()
        for number in range(self.plan.rounds):
            say(f"round {number + 1} of {self.plan.rounds}: list, insert, mix ...")
            self.seed()
            self.round_of_loops(number)
            say(f"round {number + 1} of {self.plan.rounds}: TLS, constant rates ...")
            self.round_of_tls(number)
            self.round_of_rates()
        say("starts, rotations, stuck clients ...")
        self.starts()
        self.stuck()
        self.rotations()
        if self.plan.million_requests:
            say("a million requests over a hundred rotations ...")
            self.million()
        self.noise_after = measure.noise()


def bench(plan, folder):
    """Return: the Bench after its run."""
    if not shutil.which("wrk"):
        raise peers.Missing("wrk is not installed")
    one = Bench(plan, folder)
    try:
        one.start()
        one.run()
    finally:
        if os.environ.get("BENCH_KEEP_LOGS"):
            shutil.copytree(one.logs, os.path.join(folder, "logs"), dirs_exist_ok=True)
        one.stop()
    one.versions["revision"] = subprocess.run(["git", "-C", TOP, "describe", "--always"], capture_output=True,
                                              text=True, check=False).stdout.strip() or "unknown"
    return one
