"""make demo: the whole chain on this machine, real in every link, until Ctrl-C; and the commands against it.

demo.py               starts everything, prints the URLs, follows what happens. DEMO_SECONDS=N ends by itself and fails
                      on any failed request; DEMO_PORT and DEMO_TLS_PORT move the two ports.
demo.py db-users      the database's users: root, Vault's own, and the short-lived ones
demo.py db-query-logs follows the statements that the database gets, until Ctrl-C
demo.py rotate        replaces all credentials now, as an operator would
demo.py vault-revoke  revokes the database leases at Vault, behind the agent's back: the app recovers by itself
"""

import glob
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# servers.py makes provision importable: it stands first.
from servers import Failed, MariaDb, OpenBao, Scratch, tmpfs_folders, write_private  # noqa: E402
from daemons import Agent, AgentConfig, App, ask, bin_dir, schema  # noqa: E402
import provision  # noqa: E402

NAME = "leasekeeper-demo"
SETTINGS = {"default_ttl": "10s", "max_ttl": "20s"}
CONFIG = {"grace": "30s", "certificate_ttl": "90s", "refresh": "30s"}


class Interrupted(Exception):
    """Ctrl-C, or somebody asked us to end."""


def say(text):
    print(text, flush=True)


def numbers_from_environment():
    """Return: (port, TLS port, seconds or None)."""
    values = []
    for name, default in (("DEMO_PORT", 5000), ("DEMO_TLS_PORT", 5443), ("DEMO_SECONDS", 0)):
        text = os.environ.get(name) or str(default)
        if not text.isdigit() or int(text) > 65535:
            raise Failed(f"{name}={text} is no number that can be used")
        values.append(int(text))
    return values[0], values[1], values[2] or None


def hosts():
    """The loopback addresses of this machine."""
    found = ["127.0.0.1"]
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        found.append("[::1]")
    except OSError:
        pass
    return found


def check_port(port, variable):
    for host in hosts():
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((host.strip("[]"), port))
            except OSError as e:
                raise Failed(f"port {port} on {host} cannot be had ({e.strerror}); "
                             f"take another: make demo {variable}=...") from None


class Demo:
    """One run: servers, provisioning, daemons; what was started last ends first."""

    def __init__(self, port, tls_port):
        self.port, self.tls_port = port, tls_port
        self.scratch = None
        self.started = []
        self.names = provision.Names()

    def start(self):
        self.scratch = Scratch(NAME)
        if not self.scratch.ids.enforced:
            say("note: not root, so all runs under your own user id: the boundary is shown, not enforced")
        say("starting MariaDB ...")
        self.mariadb = MariaDb(self.scratch)
        self.started.append(self.mariadb)
        self.mariadb.start()
        say("starting OpenBao ...")
        self.bao = OpenBao(self.scratch)
        self.started.append(self.bao)
        self.bao.start()
        say("provisioning ...")
        vault = self.bao.vault()
        settings = provision.Settings(connection=self.mariadb.connection, **SETTINGS, dbinfo={
            "socket": self.mariadb.socket, "database": self.names.database})
        provision.provision(vault, self.names, settings, self.mariadb.sql, schema())
        root_ca = provision.root_certificate(vault)
        self.root_ca_file = os.path.join(self.scratch.top, "root-ca.pem")
        write_private(self.root_ca_file, root_ca, 0o644)
        say("starting leasekeeperd ...")
        self.agent = Agent(self.scratch, self.bao, self.names, AgentConfig(**CONFIG))
        self.started.append(self.agent)
        self.agent.start()
        say("starting notesd ...")
        self.app = App(self.scratch, self.agent, root_ca, self.port, self.tls_port, hosts())
        self.started.append(self.app)
        self.app.start()
        self._write_record()

    def _write_record(self):
        """By this the other commands find us."""
        write_private(os.path.join(self.scratch.top, "demo.json"), json.dumps({
            "pid": os.getpid(), "agent_socket": self.agent.socket, "agent_pid": self.agent.process.pid,
            "client_config": self.mariadb.client_config, "general_log": self.mariadb.general_log,
            "bao_address": self.bao.address, "bao_ca": self.bao.ca_file,
            "root_token": os.path.join(self.bao.keys, "root-token"), "creds_path": self.names.creds_path}))

    def welcome(self):
        agent_pid = self.agent.process.pid
        sudo = "" if os.geteuid() == 0 else "   (as the same user)"
        say(f"""
The notes page:     http://localhost:{self.port}
with TLS:           https://localhost:{self.tls_port}   (authority: {self.root_ca_file})
agent's metrics:    http://127.0.0.1:{self.agent.metrics_port}/metrics
logs:               {self.agent.log}
                    {self.app.log}

To watch, in another terminal{sudo}:
  make db-users        the database's users: the short-lived ones come and go
  make db-query-logs   what the database is asked, and as whom
  make rotate          replace all credentials now
  make vault-revoke    revoke the database user behind everybody's back
  kill -HUP {agent_pid:<10} the same as rotate, and the configuration is read again

What the agent keeps, and what it does next:
  {os.path.relpath(os.path.join(bin_dir(), "leasekeeper"))} -socket {self.agent.socket} status

Ctrl-C ends it.
""")

    def check_alive(self):
        for part in self.started:
            if not part.process.running():
                raise Failed(f"{part.process.name} ended by itself:\n{part.process.tail()}")

    def stop(self):
        for part in reversed(self.started):
            part.stop()
        if self.scratch:
            self.scratch.remove()


class Watcher:
    """Sends requests of our own each second, and tells of new versions."""

    def __init__(self, demo):
        self.demo = demo
        self.versions = {}
        self.texts = []
        self.requests = self.failed = self.rotations = 0

    def _request(self, method, path, expected, body=None, tls=False):
        app = self.demo.app
        host = "https" if tls else "http"
        self.requests += 1
        try:
            answer = ask(app.connection(tls), method, path, body)
        except (OSError, http.client.HTTPException, ssl.SSLError) as e:
            self.failed += 1
            say(f"FAILED {method} {host} {path}: {type(e).__name__} {e}")
            return None
        if answer.status != expected:
            self.failed += 1
            say(f"FAILED {method} {host} {path}: {answer.status} {answer.text[:200]}")
            return None
        return answer

    def work(self):
        """One second's worth: a note written and the list read, plain and TLS."""
        for tls in (False, True):
            text = f"written by the demo, number {len(self.texts) + 1}"
            if self._request("POST", "/api/v1/notes", 201, {"text": text}, tls):
                self.texts.append(text)
            self._request("GET", "/api/v1/notes", 200, tls=tls)
            self._request("GET", "/", 200, tls=tls)

    def look(self):
        """Prints a line for each secret that has a new version."""
        try:
            secrets = self.demo.agent.status()["secrets"]
        except (OSError, http.client.HTTPException):
            return
        for secret in secrets:
            name, version = secret["name"], secret["version"]
            known = self.versions.get(name)
            self.versions[name] = version
            if known is not None and known != version:
                self.rotations += 1
                users = ""
                if name == "db":
                    users = "; database users now: " + ", ".join(sorted(self.demo.mariadb.users()))
                say(f"{time.strftime('%H:%M:%S')}  {name}: version {version}{users}")

    def verify(self):
        """All that was confirmed must stand in the table once."""
        rows = self.demo.mariadb.sql(f"SELECT text FROM `{self.demo.names.database}`.notes")
        stored = [row[0] for row in rows]
        for text in self.texts:
            if stored.count(text) != 1:
                self.failed += 1
                say(f"FAILED: \"{text}\" stands in the table {stored.count(text)} times")


def run_for(demo, seconds):
    """Return: 0 if each request was answered well."""
    watcher = Watcher(demo)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        demo.check_alive()
        watcher.work()
        watcher.look()
        time.sleep(max(0, min(1 - (time.monotonic() - began), end - time.monotonic())))
    watcher.verify()
    say(f"{watcher.requests} requests, {watcher.failed} failed; {watcher.rotations} new versions")
    return 1 if watcher.failed else 0


def run_until_interrupted(demo):
    watcher = Watcher(demo)
    while True:
        demo.check_alive()
        watcher.look()
        time.sleep(1)


def on_signal(number, frame):
    # A second Ctrl-C must not stop the cleaning up.
    for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(n, signal.SIG_IGN)
    raise Interrupted(signal.Signals(number).name)


def demo_main():
    port, tls_port, seconds = numbers_from_environment()
    check_port(port, "DEMO_PORT")
    check_port(tls_port, "DEMO_TLS_PORT")
    for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(n, on_signal)
    demo = Demo(port, tls_port)
    try:
        demo.start()
        demo.welcome()
        return run_for(demo, seconds) if seconds else run_until_interrupted(demo)
    except Interrupted as e:
        say("\nending ...")
        # A limited run that was cut short has not shown what it was asked to show.
        return 1 if seconds or str(e) != "SIGINT" else 0
    finally:
        for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(n, signal.SIG_IGN)
        demo.stop()


def running_demo():
    """Return: the record of the newest running demo of this user."""
    records = []
    for folder in tmpfs_folders():
        for path in glob.glob(os.path.join(folder, NAME + ".*", "demo.json")):
            try:
                info = os.stat(path)
                # Anybody may make a folder of that name; only our own is believed.
                if info.st_uid != os.geteuid() or os.stat(os.path.dirname(path)).st_uid != os.geteuid():
                    continue
                with open(path, encoding="utf-8") as f:
                    record = json.load(f)
                os.kill(record["pid"], 0)
                records.append((info.st_mtime, record))
            except (OSError, ValueError, KeyError):
                continue
    if not records:
        raise Failed("no demo of this user is running; start one with: make demo")
    return max(records, key=lambda r: r[0])[1]


def db_users(record):
    sql = ("SELECT u.User, u.Host, COUNT(p.ID) AS Sessions FROM mysql.user u LEFT JOIN information_schema.PROCESSLIST p"
           " ON p.USER = u.User WHERE u.User <> 'mariadb.sys' GROUP BY u.User, u.Host ORDER BY u.User")
    return subprocess.run(["mariadb", f"--defaults-file={record['client_config']}", "--table", "-e", sql],
                          check=False).returncode


def db_query_logs(record):
    """Follows the general log from its last lines on; passwords are left out of what is shown."""
    secret = re.compile(r"(IDENTIFIED BY ')(?:[^'\\]|\\.)*'", re.I)
    try:
        with open(record["general_log"], encoding="utf-8", errors="replace") as f:
            f.seek(max(0, os.path.getsize(record["general_log"]) - 4000))
            f.readline()
            while os.path.exists(record["general_log"]):
                line = f.readline()
                if line:
                    print(secret.sub(r"\1***'", line), end="", flush=True)
                else:
                    time.sleep(0.2)
    except KeyboardInterrupt:
        pass
    return 0


def rotate(record):
    return subprocess.run([os.path.join(bin_dir(), "leasekeeper"), "-socket", record["agent_socket"], "rotate"],
                          check=False).returncode


def vault_revoke(record):
    with open(record["root_token"], encoding="utf-8") as f:
        vault = provision.Vault(record["bao_address"], record["bao_ca"], f.read().strip())
    vault.write("sys/leases/revoke-prefix/" + record["creds_path"], {"sync": True})
    say(f"all leases of {record['creds_path']} are revoked: their users are dropped, their sessions killed")
    return 0


COMMANDS = {"db-users": db_users, "db-query-logs": db_query_logs, "rotate": rotate, "vault-revoke": vault_revoke}


def main():
    try:
        if len(sys.argv) == 1:
            return demo_main()
        if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
            print(__doc__, file=sys.stderr)
            return 2
        return COMMANDS[sys.argv[1]](running_demo())
    except (Failed, provision.VaultError) as e:
        print(f"demo: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
