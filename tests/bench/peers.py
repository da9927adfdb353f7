"""The peers: the same service as others would write it. Installed here, pinned; one whose toolchain is missing is left out."""

import os
import shutil
import subprocess
import sys

from measure import HERE
from servers import Process, free_port

PEERS = os.path.join(HERE, "peers")
WORKERS = os.cpu_count() or 2


class Missing(Exception):
    """Cannot be had here; the text says why."""


def run(*words, cwd=None, env=None):
    done = subprocess.run(words, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"{os.path.basename(words[0])} {words[1]}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout.strip()


def need(program, also=()):
    """Return: the program's path, looked for beside the usual places too."""
    found = shutil.which(program) or next((p for p in also if os.access(p, os.X_OK)), None)
    if not found:
        raise Missing(f"{program} is not installed")
    return found


class Peer:
    """One of them. Its parts say how it is built and what is started."""

    name = label = ""

    def __init__(self, folder):
        self.source = os.path.join(PEERS, self.name.split("-", maxsplit=1)[0])
        self.folder = os.path.join(folder, self.name.split("-", maxsplit=1)[0])

    def install(self):
        """Builds it. Return: its versions, for people."""
        raise NotImplementedError

    def command(self, port, tls):
        """Return: what is run. tls: (certificate file, key file) or None."""
        raise NotImplementedError

    def env(self, port, tls):
        env = {"PORT": str(port), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        if tls:
            env.update(TLS_CERT=tls[0], TLS_KEY=tls[1])
        return env

    def start(self, database, log, tls=None, port=None):
        """Return: (Process, port). database: the DB_ variables."""
        port = port or free_port()
        return Process(self.name, self.command(port, tls), log, {**self.env(port, tls), **database}), port


class Python(Peer):
    """A virtual environment of Debian's Python with what requirements.txt pins by hash."""

    def install(self):
        python = os.path.join(self.folder, "bin", "python")
        wanted = os.path.join(self.source, "requirements.txt")
        mark = os.path.join(self.folder, "pinned.txt")
        with open(wanted, encoding="utf-8") as f:
            text = f.read()
        if not os.path.exists(mark) or open(mark, encoding="utf-8").read() != text:
            shutil.rmtree(self.folder, ignore_errors=True)
            run(sys.executable, "-m", "venv", self.folder)
            run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps",
                "--require-hashes", "-r", wanted)
            with open(mark, "w", encoding="utf-8") as f:
                f.write(text)
        versions = dict(line.split("==") for line in run(python, "-m", "pip", "freeze").splitlines() if "==" in line)
        versions = {name.lower(): version for name, version in versions.items()}
        return ", ".join([run(python, "--version")] + [f"{name} {versions[name]}" for name in self.packages])


class Flask(Python):
    """A worker process for each core, 8 threads in each, one kept connection in each thread."""

    name, label = "flask", "Flask + gunicorn + mysqlclient"
    packages = ("flask", "gunicorn", "mysqlclient")

    def command(self, port, tls):
        words = [os.path.join(self.folder, "bin", "gunicorn"), "--chdir", self.source, "--bind", f"127.0.0.1:{port}",
                 "--workers", str(WORKERS), "--worker-class", "gthread", "--threads", "8", "--keep-alive", "75",
                 "--worker-tmp-dir", "/dev/shm", "--log-level", "warning"]
        return words + (["--certfile", tls[0], "--keyfile", tls[1]] if tls else []) + ["app:app"]

    def env(self, port, tls):
        return {**super().env(port, tls), "PYTHONDONTWRITEBYTECODE": "1"}


class FlaskSample(Flask):
    """As the samples do it: a fresh credential of Vault's and a fresh connection for each request."""

    name, label = "flask-sample", "Flask, fresh credential and connection a request"

    def __init__(self, folder, vault):
        super().__init__(folder)
        self.vault = vault

    def env(self, port, tls):
        return {**super().env(port, tls), "SAMPLE": "1", **self.vault}


class FastApi(Python):
    """A worker process for each core with uvloop and httptools, a pool of 8 in each."""

    name, label = "fastapi", "FastAPI + uvicorn + asyncmy"
    packages = ("fastapi", "uvicorn", "asyncmy")

    def command(self, port, tls):
        words = [os.path.join(self.folder, "bin", "uvicorn"), "--app-dir", self.source, "--host", "127.0.0.1", "--port",
                 str(port), "--workers", str(WORKERS), "--no-access-log", "--log-level", "warning", "--timeout-keep-alive",
                 "75"]
        return words + (["--ssl-certfile", tls[0], "--ssl-keyfile", tls[1]] if tls else []) + ["app:app"]

    def env(self, port, tls):
        return {**super().env(port, tls), "PYTHONDONTWRITEBYTECODE": "1"}


class Go(Peer):
    """net/http and go-sql-driver, a pool of 16."""

    name, label = "go", "Go net/http + go-sql-driver"

    def install(self):
        go = need("go", ["/usr/local/go/bin/go", "/usr/lib/go/bin/go"])
        os.makedirs(self.folder, exist_ok=True)
        run(go, "build", "-mod=readonly", "-o", os.path.join(self.folder, "peer"), ".", cwd=self.source)
        module = run(go, "list", "-m", "github.com/go-sql-driver/mysql", cwd=self.source)
        return f"{run(go, 'version').split()[2]}, {module.replace('github.com/', '')}"

    def command(self, port, tls):
        return [os.path.join(self.folder, "peer")]


class Axum(Peer):
    """axum and sqlx, a pool of 16, rustls."""

    name, label = "axum", "Rust axum + sqlx"

    def install(self):
        home = os.path.expanduser("~/.cargo/bin")
        cargo = need("cargo", [os.path.join(home, "cargo")])
        run(cargo, "build", "--release", "--locked", "--quiet", "--target-dir", self.folder, cwd=self.source)
        with open(os.path.join(self.source, "Cargo.lock"), encoding="utf-8") as f:
            lines = f.read().splitlines()
        found = {name: lines[lines.index(f'name = "{name}"') + 1].split('"')[1] for name in ("axum", "sqlx", "rustls")}
        rustc = run(need("rustc", [os.path.join(home, "rustc")]), "--version").split()[1]
        return f"rustc {rustc}, " + ", ".join(f"{name} {version}" for name, version in found.items())

    def command(self, port, tls):
        return [os.path.join(self.folder, "release", "axum-peer")]
