"""The stack of compose/ for tests: brought up by its own commands, on ports and under a project of its own."""

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

import pytest

from box import TOP, run
from daemons import App
from release import STACK, base_image
from servers import Failed, free_port, wait_until

SQL = ["mariadb", "--no-defaults", "--socket=/run/db/db.sock", "--user=mysql"]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PLUGINS = os.path.join(TOP, "build", "deploy", "docker-config")


def archive():
    """Return: the address of the Debian archive that this machine's apt uses."""
    shown = run("apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", "Created-By: Packages", "Origin: Debian")
    sites = [line.split()[0] for line in shown.splitlines() if "-" not in line.split()[-1]]
    if not sites:
        raise Failed("apt knows no archive of Debian")
    return sites[0]


def compose_two():
    """Return: a DOCKER_CONFIG in which `docker compose` is version 2, from Debian 13: Debian 12 has 1.29 alone. Or None."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return os.environ.get("DOCKER_CONFIG", "")
    plugin = os.path.join(PLUGINS, "cli-plugins", "docker-compose")
    if not os.path.exists(plugin):
        folder = tempfile.mkdtemp(prefix="leasekeeper-compose.")
        try:
            for name in ("state", "lists/partial", "cache/archives/partial"):
                os.makedirs(os.path.join(folder, name))
            files = {"status": "", "sources": f"deb [signed-by={KEYRING}] {archive()} trixie main\n",
                     "apt.conf": f'Dir::State "{folder}/state";\nDir::State::lists "{folder}/lists";\n'
                                 f'Dir::State::status "{folder}/status";\nDir::Cache "{folder}/cache";\n'
                                 f'Dir::Etc::sourcelist "{folder}/sources";\nDir::Etc::sourceparts "/dev/null";\n'
                                 'APT::Sandbox::User "root";\n'}
            for name, text in files.items():
                with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                    f.write(text)
            env = {**os.environ, "APT_CONFIG": os.path.join(folder, "apt.conf")}
            run("apt-get", "update", "-qq", env=env)
            run("apt-get", "download", "-qq", "docker-compose", env=env, cwd=folder)
            package = [f for f in os.listdir(folder) if f.endswith(".deb")][0]
            run("dpkg-deb", "-x", os.path.join(folder, package), os.path.join(folder, "x"))
            os.makedirs(os.path.dirname(plugin), exist_ok=True)
            shutil.copy(os.path.join(folder, "x/usr/libexec/docker/cli-plugins/docker-compose"), plugin)
        except (Failed, OSError, IndexError) as e:
            print(f"Docker Compose 2 cannot be had here: {e}", file=sys.stderr)
            return None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return PLUGINS


class StackApp(App):
    """notesd of the stack, by its published ports."""

    def __init__(self, port, tls_port, root_ca):  # pylint: disable=super-init-not-called
        self.port, self.tls_port = port, tls_port
        self.tls = ssl.create_default_context(cadata=root_ca)


class Stack:
    """One project, brought up and ended by the commands of the Makefile."""

    def __init__(self, name, program=None, **variables):
        self.project = f"leasekeeper-{name}"
        self.ports = {v: free_port() for v in ("NOTES_PORT", "NOTES_TLS_PORT", "PROMETHEUS_PORT")}
        self.env = {**os.environ, "COMPOSE_PROJECT_NAME": self.project, "BASE_IMAGE": base_image("bookworm"),
                    "PYTHONDONTWRITEBYTECODE": "1", **{k: str(v) for k, v in self.ports.items()}, **variables}
        self.env.pop("COMPOSE", None)
        config = None if program else compose_two()
        self.has_compose_two = config is not None
        if program:
            self.env["COMPOSE"] = program
        if config:
            self.env["DOCKER_CONFIG"] = config
        self.app = None

    def try_make(self, target, timeout=900, **variables):
        return subprocess.run([sys.executable, STACK, *target.split()], env={**self.env, **variables}, capture_output=True,
                              text=True, check=False, timeout=timeout)

    def make(self, target, **variables):
        """Return: what it printed. Raises Failed unless it ended with 0."""
        done = self.try_make(target, **variables)
        if done.returncode:
            raise Failed(f"{target} ended with {done.returncode}: {(done.stdout + done.stderr)[-3000:]}\n{self.tails()}")
        return done.stdout

    def compose(self, *words):
        return run(sys.executable, STACK, "compose", *words, env=self.env)

    def up(self):
        self.make("up")
        root_ca = self.exec("agent", "cat", "/run/credentials/notes-ca.pem")
        self.app = StackApp(self.ports["NOTES_PORT"], self.ports["NOTES_TLS_PORT"], root_ca)
        return self

    def remove(self):
        self.make("down", VOLUMES="1")

    # Containers

    def ids(self):
        """Return: {service: container}, those that have ended too."""
        shown = run("docker", "ps", "-a", "--no-trunc", "--filter", f"label=com.docker.compose.project={self.project}", "--format",
                    '{{.Label "com.docker.compose.service"}} {{.ID}}')
        return dict(line.split() for line in shown.splitlines())

    def inspect(self, service):
        return json.loads(run("docker", "inspect", self.ids()[service]))[0]

    def pid(self, service):
        return self.inspect(service)["State"]["Pid"]

    def healthy(self, service):
        state = self.inspect(service)["State"]
        return state["Running"] and state["Health"]["Status"] == "healthy"

    def wait_healthy(self, *services, seconds=90):
        for service in services:
            wait_until(f"{service} to be healthy", lambda s=service: self.healthy(s), seconds, 0.3)

    def kill(self, service):
        """As the kernel would: Docker does not know of it beforehand, and its restart policy holds."""
        pid = self.pid(service)
        os.kill(pid, signal.SIGKILL)
        wait_until(f"{service} to run again", lambda: self.pid(service) not in (0, pid), 60, 0.2)

    def try_exec(self, service, *words, user=None):
        options = ["-u", user] if user else []
        return subprocess.run(["docker", "exec", *options, self.ids()[service], *words], capture_output=True, text=True, check=False)

    def exec(self, service, *words, user=None):
        done = self.try_exec(service, *words, user=user)
        if done.returncode:
            raise Failed(f"in {service}, {words}: ended with {done.returncode}: {(done.stdout + done.stderr)[-1000:]}")
        return done.stdout

    def log(self, service):
        done = subprocess.run(["docker", "logs", self.ids()[service]], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def tails(self):
        return "\n".join(f"--- {s}\n" + "\n".join(self.log(s).splitlines()[-8:]) for s in self.ids() if s != "vault")

    # What the parts know

    def sql(self, text):
        shown = self.exec("db", *SQL, "--batch", "--skip-column-names", "--default-character-set=utf8mb4", "-e", text)
        return [line.split("\t") for line in shown.splitlines()]

    def table(self):
        """Return: the texts in the notes table (what Load checks against)."""
        return [row[0] for row in self.sql("SELECT text FROM notes.notes")]

    def users(self):
        return {row[0] for row in self.sql("SELECT User FROM mysql.user WHERE User LIKE 'v-approle-%'")}

    def status(self):
        return json.loads(self.exec("agent", "leasekeeper", "status", "-json"))

    def versions(self):
        return {s["name"]: s["version"] for s in self.status()["secrets"]}

    def audit(self):
        """Return: Vault's answers of the life so far, from its container's log."""
        entries = [json.loads(line) for line in self.log("vault").splitlines() if line.startswith('{"time":')]
        return [e for e in entries if e["type"] == "response" and not e.get("error")]

    def logins(self):
        return sum(1 for e in self.audit() if e["request"]["path"] == "auth/approle/login" and e["response"].get("auth"))

    def mints(self):
        return sum(1 for e in self.audit() if e["request"]["path"] == "database/creds/notes" and e["response"].get("secret"))

    def query(self, expression):
        """Return: Prometheus' answer to an instant query: [(labels, value)]. Raises Failed with its error."""
        url = f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(url, timeout=20) as answer:
                return [(r["metric"], float(r["value"][1])) for r in json.load(answer)["data"]["result"]]
        except urllib.error.HTTPError as e:
            raise Failed(f"{expression}: {e.read().decode()[:300]}") from None


class Unchanged:
    """No login and no lease comes in the meantime, and the versions stay."""

    def __init__(self, stack):
        self._stack = stack

    def _look(self):
        s = self._stack
        return {"logins": s.logins(), "leases": s.mints(), "users": s.users(), "versions": s.versions()}

    def __enter__(self):
        self._before = self._look()

    def __exit__(self, kind, error, trace):
        if kind is None:
            now = self._look()
            changed = {what: (self._before[what], now[what]) for what in now if now[what] != self._before[what]}
            assert not changed, changed


def one_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 1, text
    return re.sub(r"\s+", " ", lines[0])


@pytest.fixture(scope="session")
def stack():
    """The stack, images of this tree, database users that outlast the tests: what is replaced, a test asked for."""
    stack = Stack("test", DB_TTL="1h", DB_MAX_TTL="24h")
    try:
        stack.make("images")
        yield stack.up()
    finally:
        stack.remove()
