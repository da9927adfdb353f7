"""Starts a real OpenBao and a real MariaDB in a scratch folder, each under a user id of its own, and ends them.

Used by the demo and by the tests. The secrets of a run (socket, state, root token, unseal key) lie on tmpfs only.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "compose", "vault"))

import provision  # noqa: E402  (its folder is known only now)

_given_ports = set()
ROOMY = 1 << 30  # bytes that must be free on tmpfs before the servers' data goes there


class Failed(Exception):
    """Something did not come up; the text says what and where to look."""


class Ids:
    """The four user ids. Numbers without accounts; as root they are enforced, else all are the caller's."""

    def __init__(self):
        self.enforced = os.geteuid() == 0
        numbers = (64001, 64002, 64003, 64004) if self.enforced else (os.geteuid(),) * 4
        self.openbao, self.mariadb, self.agent, self.app = numbers
        self.app_group = self.app if self.enforced else os.getegid()
        self.stranger = 64005

    def give(self, path, uid, mode, gid=None):
        """Hands a file or folder to one of them."""
        if self.enforced:
            os.chown(path, uid, uid if gid is None else gid)
        os.chmod(path, mode)

    def prefix(self, uid, groups=()):
        """The words before a command that make it run as uid, without a way back, and end with us."""
        if not self.enforced:
            return ["setpriv", "--pdeathsig", "KILL"]
        groups = ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
        return ["setpriv", "--reuid", str(uid), "--regid", str(uid), *groups, "--no-new-privs", "--inh-caps=-all",
                "--bounding-set=-all", "--pdeathsig", "KILL"]


def tmpfs_folders():
    """The folders on tmpfs that we may write to, best first."""
    kinds = {}
    with open("/proc/mounts", encoding="utf-8") as f:
        for line in f:
            _, where, kind = line.split()[:3]
            kinds[where] = kind
    return [d for d in ("/run", "/dev/shm") if kinds.get(d) == "tmpfs" and os.access(d, os.W_OK)]


class Scratch:
    """The folder of one run. Goes with it."""

    def __init__(self, name="leasekeeper-demo", ids=None):
        self.ids = ids or Ids()
        places = tmpfs_folders()
        if not places:
            raise Failed("neither /run nor /dev/shm is a tmpfs that can be written to; secrets must not go to a disk")
        self.top = tempfile.mkdtemp(prefix=name + ".", dir=places[0])
        os.chmod(self.top, 0o711)
        space = os.statvfs(self.top)
        self._data = None
        if space.f_bavail * space.f_frsize < ROOMY:
            self._data = tempfile.mkdtemp(prefix=name + ".")
            os.chmod(self._data, 0o711)
        self._bin = None
        self.root = self.folder("root", os.geteuid(), 0o700)

    def folder(self, name, uid, mode, gid=None, data=False):
        """Makes a folder of the run. data: may lie on a disk where tmpfs is small."""
        path = os.path.join(self._data if data and self._data else self.top, name)
        os.mkdir(path)
        self.ids.give(path, uid, mode, gid)
        return path

    def program(self, path, uid):
        """Return: a path by which uid can run the program: the same, or a copy where a folder above is closed to it."""
        path = os.path.realpath(path)
        probe = [*self.ids.prefix(uid), "test", "-x", path]
        if subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return path
        if not self._bin:
            self._bin = tempfile.mkdtemp(prefix="leasekeeper-bin.")
            os.chmod(self._bin, 0o711)
        copy = os.path.join(self._bin, os.path.basename(path))
        if not os.path.exists(copy):
            try:
                os.link(path, copy)
            except OSError:
                shutil.copy2(path, copy)
        return copy

    def remove(self):
        for path in (self.top, self._data, self._bin):
            if path:
                remove_tree(path)


def remove_tree(path):
    """Removes a folder with all in it, read-only folders too: without root they are closed to their own owner."""
    for folder, folders, _ in os.walk(path):
        for name in folders:
            below = os.path.join(folder, name)
            if not os.path.islink(below):
                with contextlib.suppress(OSError):
                    os.chmod(below, 0o700)
    shutil.rmtree(path, ignore_errors=True)
    if os.path.exists(path):
        print(f"could not remove {path}; it may hold secrets: remove it by hand", file=sys.stderr)


def write_private(path, text, mode=0o600):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as f:
        f.write(text)


def free_port():
    """A port that nobody listens on, below those that the kernel gives to connections: it stays free until it is used."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        if port in _given_ports:
            continue
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            _given_ports.add(port)
            return port


def wait_until(what, condition, seconds=30.0, step=0.02):
    """Calls condition() until it is true; its last value is returned. Raises Failed at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"waited {seconds:g} s for {what}")
        time.sleep(step)


class Process:
    """A program that we started: its log, its end."""

    def __init__(self, name, command, log, env=None, pass_fds=()):
        self.name, self.log = name, log
        # A session of its own: Ctrl-C on our terminal is ours alone, and we end the rest in order.
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd="/",
                                          pass_fds=pass_fds, start_new_session=True)

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def send(self, number):
        if self.running():
            os.kill(self.popen.pid, number)

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_for(self, what, condition, seconds=30.0):
        """As wait_until(), but a program that ended is not waited for."""
        def alive_or_done():
            value = condition()
            if not value and not self.running():
                raise Failed(f"{self.name} ended with {self.popen.returncode}:\n{self.tail()}")
            return value
        try:
            return wait_until(what, alive_or_done, seconds)
        except Failed as e:
            raise Failed(f"{e}\n{self.name} said:\n{self.tail()}" if "ended with" not in str(e) else str(e)) from None

    def tail(self, lines=15):
        return "\n".join(self.log_text().splitlines()[-lines:])

    def stop(self, number=signal.SIGTERM, seconds=15):
        """Return: the exit code. Ends it for certain."""
        self.send(number)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()


def bao_program():
    path = os.environ.get("BAO") or os.path.join(TOP, "build", "bao")
    if not os.access(path, os.X_OK):
        raise Failed(f"{path} is missing; run: make deps")
    return path


def openssl(*words):
    run = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    if run.returncode:
        raise Failed(f"openssl {words[0]}: {run.stderr.strip()}")


class OpenBao:
    """One real server: TLS, raft on one node, audit file, initialised and unsealed. Not the -dev mode."""

    def __init__(self, scratch, name="openbao"):
        self.ids, self.name = scratch.ids, name
        self.uid = self.ids.openbao
        self.folder = scratch.folder(name, self.uid, 0o700, data=True)
        self.keys = os.path.join(scratch.root, name)
        os.mkdir(self.keys, 0o700)
        self.program = scratch.program(bao_program(), self.uid)
        self.port = free_port()
        self.address = f"https://127.0.0.1:{self.port}"
        self.ca_file = os.path.join(scratch.top, f"{name}-ca.pem")
        self.audit_log = os.path.join(self.folder, "audit.log")
        self.log = os.path.join(self.folder, "server.log")
        self.process = None
        self._make_certificates()
        self._write_config()

    def _make_certificates(self):
        ca_key = os.path.join(self.keys, "ca.key")
        key, certificate = (os.path.join(self.folder, f) for f in ("tls.key", "tls.pem"))
        ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        openssl("req", "-x509", *ec, "-subj", "/CN=Leasekeeper scratch Vault CA", "-keyout", ca_key, "-out",
                self.ca_file, "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                "keyUsage=critical,keyCertSign,cRLSign")
        openssl("req", "-x509", *ec, "-CA", self.ca_file, "-CAkey", ca_key, "-subj", "/CN=localhost", "-keyout", key,
                "-out", certificate, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext",
                "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth")
        self.ids.give(key, self.uid, 0o600)
        self.ids.give(certificate, self.uid, 0o644)
        os.chmod(self.ca_file, 0o644)

    def _write_config(self):
        os.mkdir(os.path.join(self.folder, "data"))
        self.ids.give(os.path.join(self.folder, "data"), self.uid, 0o700)
        path = os.path.join(self.folder, "server.hcl")
        cluster = f"127.0.0.1:{free_port()}"
        # The multiplier makes the one node's election take 1 s instead of 5.
        write_private(path, f"""
api_addr = "{self.address}"
cluster_addr = "https://{cluster}"
storage "raft" {{
  path = "{self.folder}/data"
  node_id = "one"
  performance_multiplier = 1
}}
listener "tcp" {{
  address = "127.0.0.1:{self.port}"
  cluster_address = "{cluster}"
  tls_cert_file = "{self.folder}/tls.pem"
  tls_key_file = "{self.folder}/tls.key"
}}
audit "file" "file" {{
  options {{
    file_path = "{self.audit_log}"
    mode = "0600"
  }}
}}
""")
        self.ids.give(path, self.uid, 0o600)

    def start(self):
        """Starts the server; the first time it is initialised too. Unsealed when this returns."""
        self.launch()
        vault = provision.Vault(self.address, self.ca_file)
        self._wait_for_answer(vault)
        if not vault.read("sys/init")["initialized"]:
            keys = vault.write("sys/init", {"secret_shares": 1, "secret_threshold": 1})
            write_private(os.path.join(self.keys, "unseal-key"), keys["keys_base64"][0])
            write_private(os.path.join(self.keys, "root-token"), keys["root_token"])
        self.unseal()

    def launch(self):
        """Starts the process alone: it comes up sealed."""
        if not os.path.exists(self.log):
            write_private(self.log, "")
        env = {"PATH": "/usr/bin:/bin", "HOME": self.folder, "GOMAXPROCS": "2"}
        command = [*self.ids.prefix(self.uid), self.program, "server", f"-config={self.folder}/server.hcl"]
        self.process = Process(self.name, command, self.log, env)

    def _wait_for_answer(self, vault):
        def answers():
            try:
                return vault.raw("GET", "sys/seal-status")[0] == 200
            except OSError:
                return False
        self.process.wait_for("OpenBao to answer", answers)

    def _key(self, name):
        with open(os.path.join(self.keys, name), encoding="utf-8") as f:
            return f.read().strip()

    def vault(self):
        """Return: the API with the root token."""
        return provision.Vault(self.address, self.ca_file, self._key("root-token"))

    def unseal(self):
        vault = provision.Vault(self.address, self.ca_file)
        vault.write("sys/unseal", {"key": self._key("unseal-key")})
        self.process.wait_for("OpenBao to be active", lambda: vault.raw("GET", "sys/health")[0] == 200)

    def seal(self):
        self.vault().write("sys/seal")

    def audit_entries(self):
        """Return: the audit log's entries so far, as dicts."""
        with open(self.audit_log, encoding="utf-8") as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def stop(self, number=signal.SIGTERM):
        if self.process:
            self.process.stop(number)
            self.process = None


class MariaDb:
    """One real server with its general log on, a data folder of its own, TCP on 127.0.0.1 and a socket."""

    def __init__(self, scratch, name="mariadb"):
        self.ids, self.name = scratch.ids, name
        self.uid = self.ids.mariadb
        self.folder = scratch.folder(name, self.uid, 0o711, data=True)
        self.data = os.path.join(self.folder, "data")
        self.socket = os.path.join(self.folder, "mariadb.sock")
        self.general_log = os.path.join(self.folder, "general.log")
        self.log = os.path.join(self.folder, "server.log")
        self.port = free_port()
        self.client_config = os.path.join(scratch.root, f"{name}.cnf")
        self.options = []  # more words for the server's command line
        self.process = None
        self._password = provision.random_password()
        write_private(self.client_config, f"[client]\nuser=root\npassword={self._password}\nsocket={self.socket}\n")
        write_private(self.log, "")
        write_private(self.general_log, "")
        self.ids.give(self.general_log, self.uid, 0o600)
        self._install()

    def _install(self):
        run = subprocess.run(
            [*self.ids.prefix(self.uid), "mariadb-install-db", "--no-defaults", f"--datadir={self.data}",
             "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
             "--innodb-log-file-size=8M"],
            capture_output=True, text=True, check=False, cwd="/", env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        if run.returncode:
            raise Failed(f"mariadb-install-db: {run.stdout[-1000:]}{run.stderr[-1000:]}")

    def start(self):
        # What may connect before root has a password: nobody. The server reads this file before it listens.
        init = os.path.join(self.folder, "init.sql")
        write_private(init, f"ALTER USER root@localhost IDENTIFIED BY '{self._password}';\n"
                            "DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');\n"
                            "FLUSH PRIVILEGES;\n")
        self.ids.give(init, self.uid, 0o600)
        self.process = Process(self.name, [
            *self.ids.prefix(self.uid), "/usr/sbin/mariadbd", "--no-defaults", f"--datadir={self.data}",
            f"--socket={self.socket}", f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-name-resolve",
            f"--pid-file={self.folder}/mariadb.pid", f"--init-file={init}", "--general-log=1",
            f"--general-log-file={self.general_log}", "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M",
            "--performance-schema=OFF", "--max-connections=300", "--character-set-server=utf8mb4", *self.options],
            self.log, {"PATH": "/usr/bin:/bin"})
        self.process.wait_for("MariaDB to answer", self._answers)
        os.unlink(init)

    def _answers(self):
        if not os.path.exists(self.socket):
            return False
        return self._client("SELECT 1").returncode == 0

    def _client(self, text):
        return subprocess.run(["mariadb", f"--defaults-file={self.client_config}", "--batch", "--skip-column-names",
                               "--default-character-set=utf8mb4"],
                              input=text, capture_output=True, text=True, check=False)

    def sql(self, text):
        """Runs statements as root. Return: the rows, each a list of texts."""
        run = self._client(text)
        if run.returncode:
            raise Failed(f"MariaDB: {run.stderr.strip()}")
        return [line.split("\t") for line in run.stdout.splitlines()]

    def users(self, role="%"):
        """Return: the names of the database users that Vault made for that role and that are still there."""
        return {row[0] for row in self.sql(f"SELECT User FROM mysql.global_priv WHERE User LIKE 'v-approle-{role}-%'")}

    @property
    def connection(self):
        """How OpenBao dials it."""
        return f"unix({self.socket})"

    def stop(self, number=signal.SIGTERM):
        if self.process:
            self.process.stop(number, seconds=30)
            self.process = None
