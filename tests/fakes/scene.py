"""One leasekeeperd of its own on a Vault that misbehaves on cue, and what must hold in every scene, whatever happened in it."""

import concurrent.futures
import contextlib
import functools
import http.client
import os
import re
import secrets
import shutil
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(TOP, "compose", "local"), os.path.dirname(os.path.abspath(__file__))]

# servers.py makes provision importable: it stands first.
from servers import Process, free_port, wait_until, write_private  # noqa: E402
from daemons import Agent, AgentConfig, UnixConnection, ask, base_env, bin_dir  # noqa: E402
from vault import Authority, FakeVault  # noqa: E402

LOG_DIR = os.path.join(TOP, "build", "test-logs")
AT_ONCE = 10  # scenes side by side: they wait more than they work
TICKS = os.sysconf("SC_CLK_TCK")
SANITIZED = "ASAN_OPTIONS" in os.environ
CALM_MB = 40 if not SANITIZED else 400
LIVELY_CPU = 0.25 if not SANITIZED else 1.0  # of a core; a busy loop takes all of it


def secret(name, path=None, *lines):
    """Return: a block of the configuration that gives a secret to whoever runs the test."""
    body = "\n  ".join([f'path = "{path or "database/creds/" + name}"', *lines, f'allow {{ user = "{os.geteuid()}" }}'])
    return f'secret "{name}" {{\n  {body}\n}}\n'


def certificate(name, path, *lines):
    body = "\n  ".join([f'path = "{path}"', 'common_name = "notes.localhost"', *lines,
                        f'allow {{ user = "{os.geteuid()}" }}'])
    return f'certificate "{name}" {{\n  {body}\n}}\n'


def forever(reply):
    """Return: a script that never ends."""
    return [{**reply, "forever": True}]


class FakeAgent(Agent):
    """leasekeeperd with a configuration for the fake Vault. blocks and vault_lines may be changed before a reload."""

    def __init__(self, scratch, vault, name):
        super().__init__(scratch, None, None, AgentConfig(log_level="debug"), name)
        self.vault = vault
        self.blocks, self.vault_lines = [], []
        self.before = []  # words before the command that starts it
        self.address = vault.address
        self.ca_file = os.path.join(self.conf, "vault-ca.pem")

    def write_ca(self, source):
        with open(source, encoding="ascii") as f:
            self._own(self.ca_file + ".new", f.read())
        os.rename(self.ca_file + ".new", self.ca_file)

    def write_credentials(self):
        self._own(os.path.join(self.conf, "role-id"), "role")
        self._own(os.path.join(self.conf, "secret-id"), next(iter(self.vault.model.secret_ids)))

    def launch(self, env=None):
        words = [*self.before, *self.ids.prefix(self.uid), self.scratch.program(os.path.join(bin_dir(), "leasekeeperd"), self.uid),
                 "-config", self.config_file, "-log-level", self.config.log_level]
        self.process = Process("leasekeeperd", words, self.log, {**base_env(), **(env or {})})

    def config_text(self):
        lines = "\n  ".join(self.vault_lines)
        return f"""
vault {{
  address = "{self.address}"
  ca_cert = "{self.ca_file}"
  {lines}
}}
auto_auth {{
  method "approle" {{
    config {{
      role_id_file_path = "{self.conf}/role-id"
      secret_id_file_path = "{self.conf}/secret-id"
      remove_secret_id_file_after_reading = false
    }}
  }}
}}
listener "unix" {{ address = "{self.socket}" }}
listener "tcp" {{
  address = "127.0.0.1:{self.metrics_port}"
  role = "metrics_only"
}}
state_dir = "{self.state}"
{"".join(self.blocks)}
"""


class Scene:
    """The agent, its Vault, and what a test does to both."""

    number = 0
    shared = None  # one CA for all: making one takes longer than most scenes

    def __init__(self, scratch):
        Scene.number += 1
        Scene.shared = Scene.shared or Authority(scratch.folder("fake-vault", os.geteuid(), 0o700))
        self.scratch = scratch
        self.vault = FakeVault(authority=Scene.shared, port=free_port())
        self.model = self.vault.model
        secret_id = "sid-" + secrets.token_urlsafe(16)
        self.model.secret_ids = {secret_id}
        self.model.given.add(secret_id)
        self.agent = FakeAgent(scratch, self.vault, f"scene{Scene.number}")
        self.agent.write_ca(self.vault.ca_cert)
        self._others = []

    # --- the agent
    def start(self, *blocks, ready=True, env=None, vault=()):
        self.agent.blocks = list(blocks)
        self.agent.vault_lines = list(vault)
        self.agent.start(ready, env)
        return self.agent

    def relaunch(self, env=None, seconds=20):
        self.agent.launch(env)
        self.agent.wait_ready(seconds)

    def ask(self, method, path, body=None, timeout=10):
        return ask(UnixConnection(self.agent.socket, timeout), method, path, body)

    def read(self, name):
        """Return: the answer for a secret."""
        return self.ask("GET", f"/agent/v1/secrets/{name}?consumer=test")

    def data(self, name):
        answer = self.read(name)
        assert answer.status == 200, f"{name}: {answer.status} {answer.text}"
        return answer.json()

    def rotate(self, *names):
        for name in names:
            answer = self.ask("POST", f"/agent/v1/rotate/{name}")
            assert answer.status == 202, f"{name}: {answer.status} {answer.text}"

    def versions(self):
        return self.agent.versions()

    def status_of(self, name):
        return next(s for s in self.agent.status()["secrets"] if s["name"] == name)

    def wait_other(self, name, before, seconds=20):
        """Return: the version of a secret once it is there and not `before`."""
        return wait_until(f"another version of {name} than {before}",
                          lambda: v if (v := self.versions()[name]) not in (0, before) else None, seconds, 0.05)

    def wait_status(self, name, what, test, seconds=20):
        return wait_until(f"{name}: {what}", lambda: s if test(s := self.status_of(name)) else None, seconds, 0.05)

    def wait_log(self, text, seconds=15):
        wait_until(f"'{text}' in the log", lambda: text in self.agent.process.log_text(), seconds, 0.1)

    def wait_good(self, seconds=20):
        wait_until("health to be ok", lambda: self.health()["status"] == "ok", seconds, 0.1)

    def health(self):
        return self.ask("GET", "/agent/v1/health").json()

    def metric(self, name):
        """Return: the value of one sample, its labels included in the name; None where there is none."""
        found = re.search(r"^%s (\S+)$" % re.escape(name), self.metrics(), re.M)
        return float(found[1]) if found else None

    def metrics(self):
        return ask(http.client.HTTPConnection("127.0.0.1", self.agent.metrics_port, timeout=5), "GET", "/metrics").text

    # --- its Vault
    def other_vault(self, **kwargs):
        vault = FakeVault(**{"authority": Scene.shared, "port": free_port(), **kwargs})
        self._others.append(vault)
        return vault

    def count(self, pattern="*"):
        return len(self.vault.requests(pattern))

    @contextlib.contextmanager
    def at_most(self, count, pattern="*"):
        """The block makes at most so many requests for a path."""
        before = self.count(pattern)
        yield
        made = self.vault.requests(pattern)[before:]
        assert len(made) <= count, f"{len(made)} requests for {pattern}: {[r.path for r in made][:40]}"

    # --- what the agent costs
    def cpu(self):
        """Return: seconds of CPU that it took so far."""
        with open(f"/proc/{self.agent.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_mb(self):
        with open(f"/proc/{self.agent.process.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) / 1024

    @contextlib.contextmanager
    def calm(self, share=LIVELY_CPU):
        """The block makes it no busy loop; one that is over at once is watched for two seconds: a tick is 10 ms."""
        began, before = time.monotonic(), self.cpu()
        yield
        time.sleep(max(0, began + 2 - time.monotonic()))
        share_taken = (self.cpu() - before) / (time.monotonic() - began)
        assert share_taken < share, f"{share_taken:.0%} of a core"

    # --- what holds in every scene
    def check(self):
        agent = self.agent
        if agent.process:
            assert agent.process.running(), f"it ended with {agent.process.popen.returncode}: {agent.process.tail()}"
            began = time.monotonic()
            assert "leasekeeper_build_info" in self.metrics()
            assert time.monotonic() - began < 1
            assert self.resident_mb() < CALM_MB, f"{self.resident_mb():.0f} MB"
            assert self.metric("process_open_fds") < 60
        with open(agent.log, encoding="utf-8", errors="replace") as f:
            log = f.read()
        for value in list(self.model.given):
            assert value not in log, "a secret is in the log"
        for word in ("AddressSanitizer", "runtime error", "BEGIN PRIVATE KEY", "BEGIN EC PRIVATE KEY"):
            assert word not in log, word

    def close(self):
        """Return: the exit code of the agent, None if it did not run."""
        code = self.agent.stop()
        for vault in [self.vault, *self._others]:
            vault.close()
        return code

    # --- for the report of a failure
    def logs(self):
        """Without the lines that our own polling made."""
        short = self.agent.log + ".short"
        with open(self.agent.log, encoding="utf-8", errors="replace") as f:
            write_private(short, "".join(line for line in f if "connection closed: the peer" not in line))
        return [short]

    def keep_logs(self, test_name):
        folder = os.path.join(LOG_DIR, re.sub(r"[^\w.-]+", "-", test_name)[:100])
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        shutil.copy(self.agent.log, folder)
        return folder


def scene_of(function):
    """Marks test_x(scene): it runs at the same time as the other scenes."""

    @functools.wraps(function)
    def test(scenes, request):
        scenes.take(request.node, function)

    del test.__wrapped__  # pytest would look through to the arguments of the function itself
    test.scene = function
    return test


class Scenes:
    """Runs the marked tests of all modules at once, each in a scene of its own."""

    def __init__(self, scratch, functions):
        self._scratch, self._lock, self._scenes = scratch, threading.Lock(), {}
        self._pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
        self._futures = {f: self._pool.submit(self._run, f) for f in functions}

    def _run(self, function):
        with self._lock:
            scene = self._scenes[function] = Scene(self._scratch)
        try:
            function(scene)
            scene.check()
        except BaseException:
            scene.close()
            raise
        code = scene.close()
        assert code in (0, None), f"the agent ended with {code} on SIGTERM"

    def take(self, node, function):
        """Waits for the end of one test and takes what it raised."""
        try:
            self._futures[function].result()
        finally:
            node.funcargs["stand"] = self._scenes[function]  # whose logs are kept if it failed

    def end(self):
        self._pool.shutdown(wait=True, cancel_futures=True)


def all_scenes(request, scratch):
    """The body of each module's fixture `scenes`, of the session: the scenes of all modules begin with the first of them."""
    if not hasattr(request.session, "fake_scenes"):
        functions = [item.function.scene for item in request.session.items
                     if hasattr(item.function, "scene") and not item.get_closest_marker("skip")]
        request.session.fake_scenes = Scenes(scratch, functions)
        request.addfinalizer(request.session.fake_scenes.end)
    return request.session.fake_scenes
