"""What one test works on: its own mounts, role, database and quota on shared servers, and daemons of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "compose", "local"))

# servers.py makes provision importable: it stands first.
from servers import MariaDb, OpenBao, wait_until  # noqa: E402
from daemons import Agent, AgentConfig, Answer, App, schema  # noqa: E402
import provision  # noqa: E402

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer.py"), encoding="utf-8") as _f:
    PEER = _f.read()


class Pair:
    """One OpenBao and one MariaDB."""

    def __init__(self, scratch, name=""):
        self.mariadb = MariaDb(scratch, f"mariadb{name}")
        self.mariadb.start()
        self.bao = OpenBao(scratch, f"openbao{name}")
        self.bao.start()
        provision.provision_root(self.bao.vault())
        self.root_ca = provision.root_certificate(self.bao.vault())

    def stop(self):
        self.bao.stop()
        self.mariadb.stop()


class Peer:
    """Somebody on this machine: a user id, groups, and what he sees."""

    def __init__(self, ids, uid, groups=()):
        self._prefix = ids.prefix(uid, groups)

    def _command(self, *words):
        return [*self._prefix, "/usr/bin/python3", "-I", "-c", PEER, *words]

    def _lines(self, *words):
        # Longer than the longest long poll: a stream that was to be refused does not end, and then this is what ends it.
        run = subprocess.run(self._command(*words), capture_output=True, text=True, check=False, cwd="/", timeout=90,
                             env={"PATH": "/usr/bin:/bin"})
        if run.returncode:
            # A refused connect is an answer too: the socket's own mode speaks before the agent does.
            raise PermissionError(run.stderr) if "PermissionError" in run.stderr else AssertionError(run.stderr)
        return [json.loads(line) for line in run.stdout.splitlines()]

    def ask(self, socket_path, method, target, body=None, headers=None):
        line = self._lines("ask", socket_path, json.dumps([method, target, body, headers]))[0]
        return Answer(**line)

    def ask_all(self, socket_path, requests):
        """requests: (method, target, body). Return: the answers, in order, from one process."""
        words = [json.dumps([method, target, body, None]) for method, target, body in requests]
        return [Answer(**line) for line in self._lines("ask", socket_path, *words)]

    def touch(self, *paths):
        """Return: {path: name of the error, or None where it could be read}."""
        return {line["path"]: line["error"] for line in self._lines("touch", *paths)}

    def watch(self, socket_path, consumer, *names):
        return Watch(self._command("watch", socket_path, consumer, *names))


class Watch:
    """A consumer under its own user id that follows secrets and acknowledges them."""

    def __init__(self, command):
        self.events = []
        self._popen = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self._popen.stdout:
            self.events.append(json.loads(line))

    def of(self, event, name):
        return [e["data"] for e in list(self.events) if e.get("event") == event and e["data"]["name"] == name]

    def secrets(self, name):
        """Return: the versions of a secret so far, oldest first, each with its last known expires_at."""
        versions = {}
        for e in list(self.events):
            if e.get("event") not in ("secret", "lease") or e["data"]["name"] != name:
                continue
            if e["event"] == "secret":
                versions[e["data"]["version"]] = dict(e["data"])
            elif e["data"]["version"] in versions:
                versions[e["data"]["version"]]["expires_at"] = e["data"]["expires_at"]
        return list(versions.values())

    def wait_for_version(self, name, count, seconds=30):
        """Waits until count versions of a secret have come. Return: the newest."""
        return wait_until(f"{count} versions of {name} on the watch",
                          lambda: self.secrets(name)[-1] if len(self.secrets(name)) >= count else None, seconds)

    def stop(self):
        self._popen.kill()
        self._popen.wait()
        self._thread.join()
        self._popen.stdout.close()


class Stand:
    """The test's own set on a pair of servers."""

    number = 0

    def __init__(self, scratch, pair, log_dir):
        Stand.number += 1
        self.scratch, self.ids, self.pair, self.log_dir = scratch, scratch.ids, pair, log_dir
        self.bao, self.mariadb = pair.bao, pair.mariadb
        self.tag = f"t{Stand.number}"
        self.names = provision.Names(self.tag + "-")
        self.vault = self.bao.vault()
        self.agent = self.app = None
        self._watches = []
        self.app_peer = Peer(self.ids, self.ids.app)
        # In the app's group, so that he gets past the socket's mode and meets the agent's own rules.
        self.stranger = Peer(self.ids, self.ids.stranger, [self.ids.app_group])
        self.outsider = Peer(self.ids, self.ids.stranger)

    def dbinfo(self):
        return {"socket": self.mariadb.socket, "database": self.names.database}

    def provision(self, **settings):
        settings.setdefault("dbinfo", self.dbinfo())
        self.settings = provision.Settings(connection=self.mariadb.connection, **settings)
        provision.provision(self.vault, self.names, self.settings, self.mariadb.sql, schema())
        return self

    def make_agent(self, **config):
        config.setdefault("log_level", "debug")
        self.agent = Agent(self.scratch, self.bao, self.names, AgentConfig(**config), name=f"{self.tag}-agent")
        return self.agent

    def start_agent(self, **config):
        return self.make_agent(**config).start()

    def start_app(self, *words, **kwargs):
        self.app = App(self.scratch, self.agent, self.pair.root_ca, name=f"{self.tag}-notesd", **kwargs)
        self.app.log_level = "debug"
        return self.app.start(words=words)

    def start(self, settings=None, **config):
        """Provisions and starts the whole chain."""
        self.provision(**(settings or {}))
        self.start_agent(**config)
        return self.start_app()

    def watch(self, *names, consumer="test", peer=None):
        watch = (peer or self.app_peer).watch(self.agent.socket, consumer, *names)
        self._watches.append(watch)
        return watch

    def secret(self, name, query=""):
        """The secret as the app's user reads it, as a named consumer; where nothing is valid for a moment it waits."""
        query = query or "?consumer=looker&after=0&wait=10s"
        answer = self.app_peer.ask(self.agent.socket, "GET", f"/agent/v1/secrets/{name}{query}")
        assert answer.status == 200, answer.text
        return answer.json()

    def users(self):
        return self.mariadb.users(self.names.database_role)

    def table(self):
        """Return: the texts in the notes table."""
        return [row[0] for row in self.mariadb.sql(f"SELECT text FROM `{self.names.database}`.notes")]

    def sql_count(self, where="1"):
        return int(self.mariadb.sql(f"SELECT COUNT(*) FROM `{self.names.database}`.notes WHERE {where}")[0][0])

    def audit(self, path=None):
        """Return: the audit log's answers for this test's own paths, or for one."""
        def ours(request_path):
            return request_path == path if path else request_path.startswith(self.names.prefix)
        return [e for e in self.bao.audit_entries() if ours(e.get("request", {}).get("path", ""))]

    def mints(self):
        """Return: how many leases the role has made."""
        return sum(1 for e in self.audit(self.names.creds_path)
                   if e["type"] == "response" and e.get("response", {}).get("secret"))

    def throttled(self):
        """Return: how many requests for database credentials were answered 429."""
        return sum(1 for e in self.audit(self.names.creds_path) if "quota exceeded" in e.get("error", ""))

    def logs(self):
        return [part.log for part in (self.agent, self.app) if part]

    def stop(self):
        for watch in self._watches:
            watch.stop()
        codes = [part.stop() for part in (self.app, self.agent) if part]
        return [code for code in codes if code is not None]

    def keep_logs(self, test_name):
        folder = os.path.join(self.log_dir, re.sub(r"[^\w.-]+", "-", test_name)[:100])
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder, exist_ok=True)
        for log in self.logs():
            shutil.copy(log, folder)
        return folder
