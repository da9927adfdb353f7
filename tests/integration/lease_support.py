"""What the tests of the lease engine share: counting in the audit log, further daemons, tests that run side by side."""

import concurrent.futures
import contextlib
import functools
import json
import os
import subprocess
import threading

from daemons import App, base_env, bin_dir
from load import Load
from servers import wait_until
from stand import Stand

CALM = {"default_ttl": "1h", "max_ttl": "24h", "quota": False}
NAMES = ("db", "dbinfo", "tls")
TOGETHER = 5  # tests at once: they wait more than they work


# Counting

class Made:
    """What one stand's agents asked of OpenBao since this was made, by the audit log."""

    def __init__(self, stand):
        self._log = stand.bao.audit_log
        self._names = stand.names
        self._mark = f'"{stand.names.prefix}'.encode()
        self._offset = self._whole_lines()
        self._entries = []
        self._lock = threading.Lock()

    def _whole_lines(self):
        """Return: the size of the log less a line that is just being written."""
        with open(self._log, "rb") as f:
            size = f.seek(0, os.SEEK_END)
            start = max(0, size - (1 << 20))
            f.seek(start)
            return start + f.read(size - start).rfind(b"\n") + 1

    def entries(self):
        """Return: the entries that name something of this stand, oldest first."""
        with self._lock:
            with open(self._log, "rb") as f:
                f.seek(self._offset)
                for line in f:
                    if not line.endswith(b"\n"):
                        break
                    self._offset += len(line)
                    if self._mark in line:
                        self._entries.append(json.loads(line))
            return list(self._entries)

    def logins(self):
        return sum(1 for e in self.entries() if e["type"] == "response" and e["request"]["path"] == "auth/approle/login"
                   and self._names.policy in ((e.get("response") or {}).get("auth") or {}).get("policies", ()))

    def leases(self):
        return sum(1 for e in self.entries() if e["type"] == "response"
                   and e["request"]["path"].startswith(self._names.database_mount + "/creds/")
                   and (e.get("response") or {}).get("secret"))

    def asked(self, path=""):
        """Return: the agent's own requests below a path, as (operation, path)."""
        requests = [e["request"] for e in self.requests()]
        return [(r["operation"], r["path"]) for r in requests if r["path"].startswith(path)]

    def requests(self):
        """Return: the entries of the agent's own requests."""
        return [e for e in self.entries() if e["type"] == "request"
                and self._names.policy in e.get("auth", {}).get("policies", ())]


# Daemons

def daemon_command(agent, program, uid=None):
    """Return: the words that run one of our programs under a user id, by default the agent's."""
    uid = agent.uid if uid is None else uid
    return [*agent.ids.prefix(uid, groups=[agent.ids.app_group]),
            agent.scratch.program(os.path.join(bin_dir(), program), uid)]


def run_leasekeeperd(agent, *words, seconds=20):
    """A second leasekeeperd on the agent's own configuration. Return: (exit code, what it said)."""
    run = subprocess.run([*daemon_command(agent, "leasekeeperd"), "-config", agent.config_file, *words],
                         capture_output=True, text=True, check=False, cwd="/", env=base_env(), timeout=seconds)
    return run.returncode, run.stdout + run.stderr


def reload(agent):
    """Writes the agent's configuration as it is set now and has it read. Return: the answer."""
    agent.write_config()
    return agent.ask("POST", "/agent/v1/reload")


@contextlib.contextmanager
def second_app(stand):
    """One more notesd of the same user on the same agent."""
    app = App(stand.scratch, stand.agent, stand.pair.root_ca, name=f"{stand.tag}-second")
    app.start()
    try:
        yield app
    finally:
        app.stop()


def block(stand, name, path, *lines, user=None):
    """Return: one more secret block of a configuration, for the app's user."""
    body = "\n  ".join([f'path = "{path}"', *lines, f'allow {{ user = "{user or stand.ids.app}" }}'])
    return f'secret "{name}" {{\n  {body}\n}}\n'


def relaunch(agent, seconds=30):
    agent.launch()
    agent.wait_ready(seconds)


def versions(stand):
    return stand.agent.versions()


def version_of(stand, name="db"):
    return stand.agent.versions()[name]


def wait_for_other_version(stand, before, name="db", seconds=30):
    """Return: the version of a secret once it is there and another one than before."""
    def other():
        version = version_of(stand, name)
        return version if version != before else None
    return wait_until(f"another version of {name} than {before}", other, seconds, step=0.05)


def status_of(agent, name):
    return next(s for s in agent.status()["secrets"] if s["name"] == name)


def wait_for_log(agent, text, seconds=15):
    wait_until(f"'{text}' in the agent's log", lambda: text in agent.process.log_text(), seconds, step=0.1)


def put_file(agent, name, text):
    """A file in the agent's configuration folder, replaced as a whole."""
    path = os.path.join(agent.conf, name)
    agent._own(path + ".new", text)
    os.rename(path + ".new", path)


def set_role(stand, **settings):
    """Changes the AppRole role: what is not named stays."""
    stand.vault.write(f"auth/approle/role/{stand.names.role}", settings)


def accessor(stand):
    return stand.agent.status()["token"]["accessor"]


def token_lives(stand, token_accessor):
    return stand.vault.raw("POST", "auth/token/lookup-accessor", {"accessor": token_accessor})[0] == 200


def user_of(stand):
    return stand.secret("db")["data"]["username"]


def wait_for_only_user(stand, user, seconds=30):
    wait_until(f"{user} to be the only one", lambda: stand.users() == {user}, seconds, step=0.1)


@contextlib.contextmanager
def under_load(stand, name, app=None, each=1, pause=0.1):
    """Writes and reads all the while, and until it is worth something; nothing may fail."""
    with Load(app or stand.app, each=each, pause=pause, name=name) as load:
        yield load
        wait_until("enough requests", lambda: load.requests > 120, 60)
    load.check(stand)


# Side by side

def side_by_side(function):
    """Marks test_x(stand): it runs at the same time as the others of its module that are marked."""

    @functools.wraps(function)
    def test(together, request):
        together.take(request.node, function)

    del test.__wrapped__  # pytest would look through to the arguments of the function itself
    test.scenario = function
    return test


class Together:
    """Runs the marked tests of one module at once, each on a stand of its own."""

    def __init__(self, scratch, pair, log_dir, functions):
        self._stands = {f: Stand(scratch, pair, log_dir) for f in functions}
        self._pool = concurrent.futures.ThreadPoolExecutor(TOGETHER)
        self._futures = {f: self._pool.submit(self._run, f) for f in functions}

    def _run(self, function):
        stand = self._stands[function]
        try:
            function(stand)
        except BaseException:
            stand.stop()
            raise
        codes = stand.stop()
        assert all(code == 0 for code in codes), f"a daemon ended with {codes} on SIGTERM"

    def take(self, node, function):
        """Waits for the end of one test and takes what it raised."""
        node.funcargs["stand"] = self._stands[function]  # whose logs are kept if it failed
        self._futures[function].result()

    def end(self):
        self._pool.shutdown(wait=True, cancel_futures=True)


def run_together(request, scratch, pair, log_dir):
    """The body of a module's fixture `together`."""
    functions = [item.function.scenario for item in request.session.items
                 if item.module is request.module and hasattr(item.function, "scenario")]
    together = Together(scratch, pair, log_dir, functions)
    yield together
    together.end()
