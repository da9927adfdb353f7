"""Writes the configuration of leasekeeperd, starts it and notesd under their user ids, and asks them things."""

import dataclasses
import http.client
import json
import os
import signal
import socket
import ssl

# servers.py makes provision importable: it stands first.
from servers import TOP, Failed, Process, free_port, write_private
import provision


def bin_dir():
    return os.environ.get("BIN_DIR") or os.path.join(TOP, "build")


def schema():
    with open(os.path.join(TOP, "app", "schema.sql"), encoding="utf-8") as f:
        return f.read()


class UnixConnection(http.client.HTTPConnection):
    """http.client over a UNIX socket."""

    def __init__(self, path, timeout=10):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclasses.dataclass
class Answer:
    """One HTTP answer, read to its end."""

    status: int
    headers: dict
    text: str

    def json(self):
        return json.loads(self.text)


def ask(connection, method, path, body=None, headers=None):
    """One request on a connection of its own."""
    headers = dict(headers or {})
    data = body
    if isinstance(body, dict):
        data = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, text)
    finally:
        connection.close()


@dataclasses.dataclass
class AgentConfig:
    """What the demo and the tests vary in the agent's configuration."""

    grace: str = "30s"
    certificate_ttl: str = "24h"
    refresh: str = "5m"
    dbinfo_path: str = ""  # empty: KV version 1
    certificate_path: str = ""  # empty: sign
    wrapped: bool = True
    mint_burst: int = 3
    secrets: str = ""  # more blocks
    db_extra: str = ""  # more lines in secret "db"
    tls_extra: str = ""
    top_extra: str = ""
    log_level: str = "info"


class Agent:
    """leasekeeperd with a folder of its own: configuration (0700), run folder with the socket, state, outputs."""

    def __init__(self, scratch, bao, names, config=None, name="agent"):
        self.scratch, self.ids, self.bao, self.names = scratch, scratch.ids, bao, names
        self.config = config or AgentConfig()
        self.name = name
        self.uid = self.ids.agent
        self.conf = scratch.folder(f"{name}-conf", self.uid, 0o700)
        # The app's group may pass to the socket; it can neither list the folder nor enter state.
        self.run = scratch.folder(f"{name}-run", self.uid, 0o710, gid=self.ids.app_group)
        self.out = scratch.folder(f"{name}-out", self.uid, 0o711)
        self.socket = os.path.join(self.run, "agent.sock")
        self.state = os.path.join(self.run, "state")
        self.config_file = os.path.join(self.conf, "agent.hcl")
        self.log = os.path.join(scratch.root, f"{name}.log")
        self.metrics_port = free_port()
        self.process = None
        write_private(self.log, "")

    def _own(self, path, text):
        write_private(path, text)
        self.ids.give(path, self.uid, 0o600)

    def write_credentials(self):
        """A new secret-id, wrapped or plain as configured, and the role-id."""
        vault = self.bao.vault()
        make = provision.wrapped_secret_id if self.config.wrapped else provision.secret_id
        self._own(os.path.join(self.conf, "role-id"), provision.role_id(vault, self.names))
        self._own(os.path.join(self.conf, "secret-id"), make(vault, self.names))

    def config_text(self):
        c, names = self.config, self.names
        wrapping = f'secret_id_response_wrapping_path = "{names.secret_id_path}"' if c.wrapped else ""
        return f"""
vault {{
  address = "{self.bao.address}"
  ca_cert = "{self.bao.ca_file}"
}}
auto_auth {{
  method "approle" {{
    mount_path = "auth/approle"
    config {{
      role_id_file_path   = "{self.conf}/role-id"
      secret_id_file_path = "{self.conf}/secret-id"
      {wrapping}
      remove_secret_id_file_after_reading = {"true" if c.wrapped else "false"}
    }}
  }}
}}
listener "unix" {{
  address = "{self.socket}"
  socket_mode = "0660"
  socket_group = "{self.ids.app_group}"
}}
listener "tcp" {{
  address = "127.0.0.1:{self.metrics_port}"
  role = "metrics_only"
}}
secret "db" {{
  path = "{names.creds_path}"
  grace = "{c.grace}"
  mint_burst = {c.mint_burst}
  allow {{ user = "{self.ids.app}" }}
  {c.db_extra}
}}
secret "dbinfo" {{
  path = "{c.dbinfo_path or names.kv1_path}"
  refresh = "{c.refresh}"
  allow {{ user = "{self.ids.app}" }}
}}
certificate "tls" {{
  path = "{c.certificate_path or names.sign_path}"
  common_name = "notes.localhost"
  alt_names = ["localhost"]
  ip_sans = ["127.0.0.1", "::1"]
  ttl = "{c.certificate_ttl}"
  grace = "{c.grace}"
  allow {{ user = "{self.ids.app}" }}
  {c.tls_extra}
}}
{c.secrets}
state_dir = "{self.state}"
{c.top_extra}
"""

    def write_config(self):
        self._own(self.config_file, self.config_text())

    def start(self, ready=True, env=None):
        self.write_config()
        self.write_credentials()
        self.launch(env)
        if ready:
            self.wait_ready()
        return self

    def launch(self, env=None):
        """Starts the process alone, with the files as they are."""
        program = self.scratch.program(os.path.join(bin_dir(), "leasekeeperd"), self.uid)
        # The app's group is one of the agent's: it hands the socket to it.
        command = [*self.ids.prefix(self.uid, groups=[self.ids.app_group]), program, "-config", self.config_file,
                   "-log-level", self.config.log_level]
        self.process = Process("leasekeeperd", command, self.log, {**base_env(), **(env or {})})

    def ask(self, method, path, body=None, headers=None, timeout=40):
        """As ourselves: root, or the one user of an unenforced run."""
        return ask(UnixConnection(self.socket, timeout), method, path, body, headers)

    def health(self):
        try:
            return self.ask("GET", "/agent/v1/health").status
        except (OSError, http.client.HTTPException):
            return 0

    def wait_ready(self, seconds=30):
        self.process.wait_for("the agent's required secrets", lambda: self.health() == 200, seconds)

    def status(self):
        return self.ask("GET", "/agent/v1/status").json()

    def versions(self):
        """Return: {name: version} of what status tells."""
        return {s["name"]: s["version"] for s in self.status()["secrets"]}

    def stop(self, number=signal.SIGTERM):
        """Return: the exit code, None if it did not run."""
        process, self.process = self.process, None
        return process.stop(number) if process else None


def base_env():
    """No secret and nothing of our own environment goes to the daemons, but what a sanitizer needs."""
    env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    return env


class App:
    """notesd on ports of its own, reading from one agent."""

    def __init__(self, scratch, agent, root_ca, port=None, tls_port=None, hosts=("127.0.0.1",), name="notesd"):
        self.scratch, self.ids, self.agent = scratch, scratch.ids, agent
        self.uid = self.ids.app
        self.hosts = hosts
        self.port, self.tls_port = port or free_port(), tls_port or free_port()
        self.log = os.path.join(scratch.root, f"{name}.log")
        self.log_level = "info"
        self.process = None
        self.tls = ssl.create_default_context(cadata=root_ca)
        write_private(self.log, "")

    def listen_words(self):
        words = []
        for host in self.hosts:
            words += ["--listen", f"http://{host}:{self.port}", "--listen", f"https://{host}:{self.tls_port}"]
        return words

    def start(self, ready=True, words=(), env=None):
        program = self.scratch.program(os.path.join(bin_dir(), "notesd"), self.uid)
        command = [*self.ids.prefix(self.uid), program, *self.listen_words(), "--agent", self.agent.socket,
                   "--db-secret", "db", "--db-info-secret", "dbinfo", "--tls-secret", "tls",
                   "--log-level", self.log_level, *words]
        self.process = Process("notesd", command, self.log, {**base_env(), **(env or {})})
        if ready:
            self.wait_ready()
        return self

    def connection(self, tls=False, timeout=5):
        if tls:
            return http.client.HTTPSConnection("127.0.0.1", self.tls_port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, path, body=None, headers=None, tls=False):
        return ask(self.connection(tls), method, path, body, headers)

    def is_ready(self):
        try:
            return self.ask("GET", "/readyz").status == 200 and self.ask("GET", "/readyz", tls=True).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def wait_ready(self, seconds=30):
        self.process.wait_for("notesd to be ready", self.is_ready, seconds)

    def add(self, text, tls=False):
        """Return: the note. Raises Failed unless it was made."""
        answer = self.ask("POST", "/api/v1/notes", {"text": text}, tls=tls)
        if answer.status != 201:
            raise Failed(f"POST /api/v1/notes: {answer.status} {answer.text}")
        return answer.json()

    def notes(self, tls=False, query=""):
        answer = self.ask("GET", "/api/v1/notes" + query, tls=tls)
        if answer.status != 200:
            raise Failed(f"GET /api/v1/notes: {answer.status} {answer.text}")
        return answer.json()["notes"]

    def stop(self, number=signal.SIGTERM):
        process, self.process = self.process, None
        return process.stop(number) if process else None
