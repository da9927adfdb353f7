"""A machine with systemd as PID 1 (a container), the package in it, and what a test asks of both."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "integration"))

# stand.py makes the modules of compose/ importable: it stands first.
from stand import Stand  # noqa: E402
from daemons import App  # noqa: E402
from servers import Failed, wait_until  # noqa: E402
import provision  # noqa: E402

SUITE = os.environ.get("DEPLOY_SUITE", "bookworm")
SYSTEM = ["ca-certificates", "dbus", "libnss-systemd", "procps", "systemd", "systemd-sysv"]
# mount --make-rshared: systemd prepares credentials in a mount namespace of its own and relies on propagation to bring
# them back. SYS_PTRACE: PrivateUsers= together with ProtectProc=. The host's network: so that servers and clients on its
# loopback are the same for both; without NET_ADMIN the box cannot change it.
BOX_FLAGS = ["--cgroupns=host", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE",
             "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--network", "host",
             "--tmpfs", "/run:exec", "--tmpfs", "/tmp:exec", "--stop-signal", "SIGRTMIN+3", "-e", "container=docker"]
BOX_COMMAND = ["-c", "mount --make-rshared / && exec /sbin/init"]


def run(*words, **kwargs):
    """Return: what it printed. Raises Failed with what it said."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, **kwargs)
    if done.returncode:
        raise Failed(f"{' '.join(words[:6])} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def other_version(deb, version, folder):
    """Return: the same package under another version number."""
    tree = tempfile.mkdtemp(dir=folder)
    run("dpkg-deb", "-R", deb, tree)
    control = os.path.join(tree, "DEBIAN", "control")
    with open(control, encoding="utf-8") as f:
        lines = [f"Version: {version}" if line.startswith("Version:") else line for line in f.read().splitlines()]
    with open(control, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    path = os.path.join(folder, f"leasekeeper_{version}.deb")
    run("dpkg-deb", "--root-owner-group", "-b", tree, path)
    shutil.rmtree(tree)
    return path


def depends_of(deb):
    """Return: the names of the packages that it depends on."""
    depends = run("dpkg-deb", "-f", deb, "Depends").replace("\n", " ").split(",")
    return {word.split("|")[0].split("(")[0].strip() for word in depends}


def make_image(deb):
    """Return: the name of an image of the suite with systemd and what the package depends on. Made once."""
    packages = sorted(depends_of(deb) | set(SYSTEM))
    tag = hashlib.sha256(" ".join([SUITE, *packages]).encode()).hexdigest()[:12]
    name = f"leasekeeper-deploy:{SUITE}-{tag}"
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0:
        return name
    root = tempfile.mkdtemp(prefix="leasekeeper-deploy.")
    try:
        run("debootstrap", "--variant=minbase", "--include=" + ",".join(packages), SUITE, root)
        shutil.rmtree(os.path.join(root, "var/cache/apt/archives"), ignore_errors=True)
        with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as tar:
            run("docker", "import", "-", name, stdin=tar.stdout)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return name


class Machine:
    """What a test asks of a machine with systemd, whatever it is made of."""

    host = "127.0.0.1"  # by which it reaches the servers, and on which notesd listens
    listen = "127.0.0.1"

    def try_sh(self, command, text=None):
        """Return: as subprocess.run() does, of the command in the machine."""
        raise NotImplementedError

    def copy_in(self, source, path):
        raise NotImplementedError

    def wait_up(self, seconds=60):
        def state():
            shown = self.try_sh("systemctl is-system-running").stdout.strip()
            if shown == "degraded":
                raise Failed("units failed at boot:\n" + self.try_sh("systemctl --no-pager --failed").stdout)
            return shown == "running"
        wait_until("the box to be up", state, seconds, 0.2)

    def sh(self, command, text=None):
        """Return: what the command printed. Raises Failed unless it ended with 0."""
        done = self.try_sh(command, text)
        if done.returncode:
            raise Failed(f"in the box, {command}: ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
        return done.stdout

    def put(self, path, text, mode="0644", owner="root:root"):
        self.sh(f"mkdir -p $(dirname {path}) && umask 077 && cat >{path} && chown {owner} {path} && chmod {mode} {path}", text)

    def install(self, deb):
        """As an operator does, with nobody at the keyboard. Return: what dpkg said."""
        self.copy_in(deb, "/var/tmp/package.deb")
        said = self.sh("DEBIAN_FRONTEND=noninteractive dpkg -i /var/tmp/package.deb 2>&1 </dev/null")
        self.sh("rm /var/tmp/package.deb")
        return said

    def show(self, unit, *properties):
        """Return: the unit's properties, as texts."""
        shown = self.sh(f"systemctl show {unit} " + " ".join(f"-p {p}" for p in properties))
        return dict(line.split("=", 1) for line in shown.splitlines())

    def is_active(self, unit):
        return self.try_sh(f"systemctl is-active --quiet {unit}").returncode == 0

    def drop_in(self, unit, text):
        self.put(f"/etc/systemd/system/{unit}.d/test.conf", text)
        self.sh("systemctl daemon-reload")

    def pid(self, unit):
        return int(self.show(unit, "MainPID")["MainPID"])

    def restarts(self, unit):
        return int(self.show(unit, "NRestarts")["NRestarts"])

    def journal(self):
        return self.try_sh("journalctl -q --no-pager -o short-precise").stdout


class Box(Machine):
    """A container."""

    def __init__(self, image):
        self.name = run("docker", "run", "-d", "--pull", "never", *BOX_FLAGS, "--entrypoint", "/bin/sh", image,
                        *BOX_COMMAND).strip()[:12]

    def try_sh(self, command, text=None):
        return subprocess.run(["docker", "exec", "-i", self.name, "/bin/sh", "-c", command], input=text or "",
                              capture_output=True, text=True, check=False)

    def copy_in(self, source, path):
        run("docker", "cp", source, f"{self.name}:{path}")

    def reboot(self):
        run("docker", "restart", "-t", "20", self.name)

    def remove(self):
        subprocess.run(["docker", "rm", "-f", "-v", self.name], capture_output=True, check=False)


class Deployment:
    """The package in a machine, set up as leasekeeperd(8) says, on servers of the host."""

    def __init__(self, box, scratch, pair, log_dir):
        self.box = box
        self.stand = Stand(scratch, pair, log_dir)
        self.vault, self.mariadb = self.stand.vault, pair.mariadb
        self.app = App(scratch, None, pair.root_ca, name=f"{self.stand.tag}-notesd")
        self.bao = pair.bao

    def dbinfo(self):
        return {"host": self.box.host, "port": self.mariadb.port, "database": self.stand.names.database}

    def agent_config(self):
        names = self.stand.names
        return f"""
vault {{
  address = "https://{self.box.host}:{self.bao.port}"
  ca_cert = "/etc/leasekeeper/vault-ca.pem"
  tls_server_name = "localhost"
}}
auto_auth {{
  method "approle" {{
    config {{
      role_id_file_path   = "/etc/leasekeeper/role-id"
      secret_id_file_path = "/run/credentials/leasekeeperd.service/secret-id"
      remove_secret_id_file_after_reading = false
    }}
  }}
}}
listener "unix" {{
  address      = "/run/leasekeeper/agent.sock"
  socket_mode  = "0660"
  socket_group = "notes"
}}
secret "db" {{
  path  = "{names.creds_path}"
  grace = "5s"
  allow {{ user = "notes" }}
  file "/run/leasekeeper/out/db.env" {{
    format = "env"
    group  = "notes"
  }}
}}
secret "dbinfo" {{
  path = "{names.kv1_path}"
  allow {{ user = "notes" }}
}}
certificate "tls" {{
  path        = "{names.sign_path}"
  common_name = "notes.localhost"
  alt_names   = ["localhost"]
  ip_sans     = ["127.0.0.1"]
  ttl         = "24h"
  grace       = "5s"
  allow {{ user = "notes" }}
}}
"""

    def provision(self):
        self.stand.provision(default_ttl="1h", max_ttl="24h", quota=True, dbinfo=self.dbinfo())

    def configure(self):
        """What an operator writes down once: the configuration, the CA, role-id and the encrypted secret-id."""
        with open(self.bao.ca_file, encoding="utf-8") as f:
            self.box.put("/etc/leasekeeper/vault-ca.pem", f.read())
        self.box.put("/etc/leasekeeper/agent.hcl", self.agent_config(), "0640", "root:leasekeeper")
        self.box.put("/etc/leasekeeper/role-id", provision.role_id(self.vault, self.stand.names), "0640", "root:leasekeeper")
        self.box.sh("mkdir -p -m 0700 /etc/credstore.encrypted && systemd-creds encrypt --name=secret-id - "
                    "/etc/credstore.encrypted/leasekeeper.secret-id", provision.secret_id(self.vault, self.stand.names))
        at = [f"{self.box.listen}:{port}" for port in (self.app.port, self.app.tls_port)]
        self.box.put("/etc/default/notesd", f'NOTESD_LISTEN="http://{at[0]} https://{at[1]}"\n')
        self.box.drop_in("notesd.socket", f"[Socket]\nListenStream=\nListenStream={at[0]}\nListenStream={at[1]}\n")

    def start(self):
        self.box.sh("systemctl enable --now leasekeeperd notesd")
        self.wait_ready()

    def wait_ready(self, seconds=30):
        wait_until("the agent to be active", lambda: self.box.is_active("leasekeeperd"), seconds)
        wait_until("notesd to be ready", self.app.is_ready, seconds)

    def status(self):
        return json.loads(self.box.sh("leasekeeper status -json"))

    def versions(self):
        return {s["name"]: s["version"] for s in self.status()["secrets"]}

    def logins(self):
        """Return: how many logins the server has granted in all."""
        return sum(1 for e in self.bao.audit_entries() if e["type"] == "response" and not e.get("error")
                   and e["request"].get("path") == "auth/approle/login" and e.get("response", {}).get("auth"))

    def keep_logs(self, test_name):
        folder = os.path.join(self.stand.log_dir, "deploy-" + test_name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "journal"), "w", encoding="utf-8") as f:
            f.write(self.box.journal())
        return os.path.join(folder, "journal")

    def remove(self):
        self.box.remove()


def settle(deployment, seconds=1.0):
    """A moment under load: what an event breaks may break a little later."""
    time.sleep(seconds)
    assert deployment.box.is_active("notesd")


class Unchanged:
    """Neither a login nor a lease comes in the meantime, and the versions stay."""

    def __init__(self, deployment):
        self._deployment = deployment

    def _look(self):
        d = self._deployment
        return {"logins": d.logins(), "leases": d.stand.mints(), "users": d.stand.users(), "versions": d.versions()}

    def __enter__(self):
        self._before = self._look()

    def __exit__(self, kind, error, trace):
        if kind is None:
            assert self._look() == self._before
