"""A release of Debian in a container, in it a fresh clone of this tree, and the package as it is built there."""

import glob
import os
import platform
import shutil
import subprocess
import sys
import tempfile

import pytest

from box import SUITE, TOP, run
from servers import Failed

STACK = os.path.join(TOP, "compose", "stack.py")
# What the tests do as root: they mount, they set clocks of a process's own, they try to look into the daemons.
FLAGS = ["--network", "host", "--tmpfs", "/run:exec", "--shm-size", "2g", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE",
         "--cap-add", "SYS_TIME", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"]
INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends"


def base_image(suite):
    """The base of that suite, made if there is none. Skips, with the reason, where Debian's archive does not give it."""
    name = f"leasekeeper-base:{suite}"
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode:
        done = subprocess.run([sys.executable, "-B", STACK, "base-image"], capture_output=True, text=True, check=False,
                              env={**os.environ, "SUITE": suite})
        if done.returncode:
            pytest.skip(f"no base image of Debian {suite}: {done.stderr.strip()[-300:]}")
    return name


def as_this_machine():
    """Return: flags by which pip reaches its registry as it does here, with this machine's settings and authorities."""
    flags = []
    for path in ("/etc/pip.conf", "/usr/local/share/ca-certificates"):
        if os.path.exists(path):
            flags += ["-v", f"{path}:{path}:ro"]
    for name in os.environ:
        if name.startswith("PIP_") or name.lower() in ("http_proxy", "https_proxy", "no_proxy"):
            flags += ["-e", name]
    return flags


def end(name):
    """Ends a container, if it is there."""
    subprocess.run(["docker", "rm", "-f", "-v", name], capture_output=True, check=False)


def run_in_clone(suite, command, log_dir, result, name):
    """
    Runs the command as root in a container of that suite and name, in a clone of this tree. What it says goes to log_dir/log;
    what it leaves in the clone's folder `result` is copied there too. Return: (exit code, what it said).
    """
    image = base_image(suite)
    shutil.rmtree(log_dir, ignore_errors=True)
    os.makedirs(log_dir)
    log = os.path.join(log_dir, "log")
    with tempfile.TemporaryDirectory(prefix=f"{suite}.", dir=os.path.join(TOP, "build", "deploy")) as tree:
        run("git", "clone", "-q", TOP, tree)
        os.chmod(tree, 0o755)
        command = f"update-ca-certificates >/dev/null 2>&1; apt-get update -qq && cd /tree && {command}"
        try:
            with open(log, "w", encoding="utf-8") as f:
                code = subprocess.run(["docker", "run", "--name", name, "--pull", "never", *FLAGS, *as_this_machine(), "-v",
                                       f"{tree}:/tree", image, "/bin/sh", "-c", command],
                                      stdout=f, stderr=f, check=False, timeout=2400).returncode
        finally:
            end(name)
            if os.path.isdir(os.path.join(tree, result)):
                shutil.copytree(os.path.join(tree, result), log_dir, dirs_exist_ok=True)
    with open(log, encoding="utf-8", errors="replace") as f:
        return code, f.read().rstrip()


def build_deb():
    """Return: the package of this tree, built here or, for another release, there; or that of the environment's DEB."""
    if os.environ.get("DEB"):
        return os.environ["DEB"]
    if SUITE == platform.freedesktop_os_release().get("VERSION_CODENAME"):
        shown = run("make", "--no-print-directory", "-C", TOP, "deb")
        return os.path.join(TOP, [line for line in shown.split() if "/leasekeeper_" in line][-1])
    folder = os.path.join(TOP, "build", "deploy", f"deb-{SUITE}")
    tools = f"{INSTALL} make git dpkg-dev lintian && apt-get build-dep -y -qq --no-install-recommends ./systemd"
    code, said = run_in_clone(SUITE, f"({tools}) >/dev/null 2>&1 && make deb", folder, "build/deb", f"leasekeeper-deb-{os.getpid()}")
    if code:
        raise Failed(f"make deb on Debian {SUITE}: {said[-3000:]}")
    return glob.glob(os.path.join(folder, "leasekeeper_*.deb"))[0]
