"""The stack in containers: what separates its parts, what outlasts what, and that no request fails by it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import pytest

from box import TOP, run
from compose_stack import Stack, Unchanged, one_line
from load import Load
from release import STACK
from servers import Failed, free_port, wait_until

SERVICES = ["agent", "app", "db", "prometheus", "vault"]
IMAGES = [*SERVICES, "provisioner"]
CONNECT = "exec 3<>/dev/tcp/{}/{}"


def settle(stack, seconds=1.5):
    """A moment under load: what an event breaks may break a little later."""
    time.sleep(seconds)
    assert stack.inspect("app")["State"]["Running"]


# What separates the parts

def test_all_parts_are_up_and_the_notes_are_served(stack):
    stack.wait_healthy(*SERVICES)
    assert stack.inspect("provisioner")["State"]["ExitCode"] == 0
    note = stack.app.add("Milch für 3 €,日本 ✓", tls=True)
    assert note["id"] in [n["id"] for n in stack.app.notes()]
    assert stack.app.is_ready()


def test_the_app_has_no_way_to_vault(stack):
    def connects(service, host, port):
        return stack.try_exec(service, "timeout", "3", "bash", "-c", CONNECT.format(host, port)).returncode == 0
    networks = {s: set(stack.inspect(s)["NetworkSettings"]["Networks"]) for s in SERVICES}
    assert not networks["app"] & networks["vault"]
    assert connects("agent", "vault", 8200)
    addresses = [n["IPAddress"] for n in stack.inspect("vault")["NetworkSettings"]["Networks"].values()]
    assert len(addresses) == 2
    for host in ("vault", *addresses):
        assert not connects("app", host, 8200), host
    assert connects("app", "db", 3306)
    # Nor has the agent a way to the database: it needs none.
    assert not connects("agent", stack.inspect("db")["NetworkSettings"]["Networks"][f"{stack.project}_data"]["IPAddress"], 3306)


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_no_privilege(stack, service):
    shown = stack.inspect(service)
    host = shown["HostConfig"]
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"]
    assert any(o.startswith("no-new-privileges") for o in host["SecurityOpt"])
    assert shown["Config"]["User"].split(":")[0].isdigit() and not shown["Config"]["User"].startswith("0")
    status = dict(line.split(":\t", 1) for line in stack.exec(service, "cat", "/proc/1/status").splitlines() if ":\t" in line)
    assert {status[k] for k in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "CapInh")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert "0" not in status["Uid"].split()
    limits = [line.split() for line in stack.exec(service, "cat", "/proc/1/limits").splitlines()]
    assert next(words for words in limits if words[:3] == ["Max", "core", "file"])[4:6] == ["0", "0"]
    if service in ("agent", "app"):
        assert 0 < host["Memory"] == host["MemorySwap"]  # no swap


def test_each_secret_lies_where_it_belongs(stack):
    holders = {"operator": {"provisioner"}, "credentials": {"provisioner", "agent"}, "vault-seal": {"vault"}, "vault-data": {"vault"},
               "db-data": {"db"}, "run": {"agent", "app"}, "db-socket": {"db", "provisioner"}}
    seen = {}
    for service in IMAGES:
        for mount in stack.inspect(service)["Mounts"]:
            if mount["Type"] == "volume":
                seen.setdefault(mount["Name"].removeprefix(stack.project + "_"), set()).add(service)
    assert {name: seen[name] for name in holders} == holders
    assert not [m for m in stack.inspect("app")["Mounts"] if m["RW"]]
    assert stack.exec("agent", "stat", "-c", "%a %U", "/run/leasekeeper/state").split() == ["700", "leasekeeper"]
    for path in ("/run/leasekeeper", "/run/leasekeeper/state", "/run/credentials/secret-id"):
        assert stack.try_exec("app", "ls", path).returncode != 0, path
    for service, options in (("agent", {"rw", "nosuid", "nodev", "noexec"}), ("app", {"ro"})):
        shared = stack.exec(service, "grep", " /run/leasekeeper ", "/proc/mounts").split()
        assert shared[2] == "tmpfs" and options <= set(shared[3].split(",")), shared


def provisioner(stack, code):
    """Python, where the operator's token lies."""
    return run("docker", "run", "--rm", "--network", f"{stack.project}_vault", "-v", f"{stack.project}_operator:/var/lib/provisioner",
               "-v", f"{stack.project}_vault-ca:/run/vault-ca:ro", "--entrypoint", "/usr/bin/python3",
               stack.inspect("provisioner")["Image"], "-B", "-c",
               f"import sys, os; sys.path.insert(0, '/usr/lib/leasekeeper'); import setup, provision\n{code}")


def test_the_root_token_is_thrown_away_and_the_operators_can_revoke_alone(stack):
    listed = provisioner(stack, """
for name in sorted(os.listdir(setup.HERE)):
    print(name, oct(os.stat(os.path.join(setup.HERE, name)).st_mode & 0o777), os.stat(os.path.join(setup.HERE, name)).st_uid)
""").splitlines()
    assert listed == ["done 0o600 64016", "operator-token 0o600 64016"]
    answers = provisioner(stack, """
v = provision.Vault(setup.ADDRESS, setup.CA_FILE, setup.read(setup.OPERATOR_TOKEN))
for method, path in (("GET", "sys/mounts"), ("GET", "database/creds/notes"), ("POST", "sys/leases/revoke-prefix/database"),
                     ("POST", "sys/leases/revoke-prefix/auth"), ("GET", "kv/notes/dbinfo"), ("POST", "auth/token/create"),
                     ("GET", "auth/token/lookup-self"), ("POST", "sys/seal"), ("POST", "auth/approle/role/notes/secret-id")):
    print(v.raw(method, path, {} if method == "POST" else None)[0], path)
""").splitlines()
    assert len(answers) == 9 and all(a.startswith("403 ") for a in answers), answers


def test_no_secret_in_image_environment_or_log(stack):
    secrets = provisioner(stack, "print(setup.read(setup.OPERATOR_TOKEN))").split()
    secrets.append(stack.exec("agent", "cat", "/run/credentials/secret-id").strip())
    key = stack.exec("vault", "openssl", "base64", "-in", "/var/lib/openbao-seal/key").strip()
    secrets += [key, stack.exec("vault", "od", "-An", "-tx1", "-v", "/var/lib/openbao-seal/key").replace(" ", "").replace("\n", "")]
    assert all(len(s) > 20 for s in secrets)
    for service in IMAGES:
        container = stack.inspect(service)
        seen = {"container": str(container), "log": stack.log(service),
                "image": run("docker", "image", "inspect", container["Image"]) +
                run("docker", "history", "--no-trunc", container["Image"])}
        for where, text in seen.items():
            for secret in secrets:
                assert secret not in text, f"{service}: {where}"
        names = {e.split("=")[0] for e in container["Config"]["Env"]}
        assert not [n for n in names if any(w in n.upper() for w in ("PASS", "TOKEN", "SECRET", "KEY"))], names


@pytest.mark.parametrize("service", IMAGES)
def test_an_image_says_what_it_is_and_holds(stack, service):
    image = json.loads(run("docker", "image", "inspect", stack.inspect(service)["Image"]))[0]
    labels = image["Config"]["Labels"]
    for label in ("title", "description", "version", "licenses"):
        assert labels[f"org.opencontainers.image.{label}"]
    assert image["Config"]["User"].split(":")[0] not in ("", "0", "root")
    inside = ["docker", "run", "--rm", "--network", "none", "--entrypoint"]
    sbom = json.loads(run(*inside, "cat", image["Id"], labels["org.leasekeeper.sbom"]))
    assert sbom["spdxVersion"] == "SPDX-2.3"
    packages = {p["name"]: p["versionInfo"] for p in sbom["packages"]}
    assert packages[labels["org.opencontainers.image.title"]] == labels["org.opencontainers.image.version"]
    installed = run(*inside, "dpkg-query", image["Id"], "-W", "-f", "${Package}\n")
    assert set(installed.split()) <= set(packages)
    assert len({p["SPDXID"] for p in sbom["packages"]}) == len(sbom["packages"])
    needed = {"agent": "leasekeeper", "app": "leasekeeper", "vault": "openbao"}.get(service)
    assert not needed or needed in packages
    # What built it stayed behind.
    assert not {"gcc", "make", "python3-pip", "libssl-dev"} & set(packages)


# What outlasts what

def test_a_killed_agent_adopts_its_token_and_leases(stack):
    with Unchanged(stack), Load(stack.app, each=1, name="kill") as load:
        settle(stack)
        stack.kill("agent")
        stack.wait_healthy("agent")
        settle(stack)
    load.check(stack)


def test_a_restarted_and_a_recreated_agent_adopt_too(stack):
    with Unchanged(stack), Load(stack.app, each=1, name="recreate") as load:
        settle(stack)
        stack.compose("restart", "agent")
        stack.wait_healthy("agent")
        settle(stack)
        old = stack.ids()["agent"]
        stack.compose("up", "-d", "--force-recreate", "agent")
        stack.wait_healthy("agent")
        assert stack.ids()["agent"] != old
        settle(stack)
    load.check(stack)


def test_hup_rotates_under_load(stack):
    before, users = stack.versions(), stack.users()
    with Load(stack.app, each=1, name="hup") as load:
        settle(stack)
        stack.compose("kill", "-s", "HUP", "agent")
        wait_until("new versions", lambda: all(stack.versions()[n] != before[n] for n in ("db", "tls")))
        wait_until("the old user to be gone", lambda: not users & stack.users())
        settle(stack)
    load.check(stack)
    assert len(load.serials) == 2


def test_vault_comes_back_unsealed(stack):
    with Unchanged(stack), Load(stack.app, each=1, name="vault") as load:
        settle(stack)
        stack.kill("vault")
        stack.wait_healthy("vault")
        settle(stack)
    load.check(stack)
    # It can do its work again, not just answer.
    before = stack.versions()["db"]
    stack.try_make("rotate")
    # The mint budget may hold it back; its turn comes by itself.
    wait_until("a new user", lambda: stack.versions()["db"] != before, 90, 1)


def test_a_machine_that_starts_again_needs_nobody(stack):
    """All containers stop and start, in no order: memory is lost, so the agent logs in anew, with nobody at the keyboard."""
    note, logins = stack.app.add("before the machine went down"), stack.logins()
    ids = [stack.ids()[s] for s in SERVICES]
    run("docker", "kill", *ids)
    run("docker", "start", *ids)
    wait_until("notesd to be ready", stack.app.is_ready, 90, 0.5)
    stack.wait_healthy(*SERVICES)
    assert stack.logins() == logins + 1
    assert note["id"] in [n["id"] for n in stack.app.notes()]


# The commands

def test_newer_images_adopt_too(stack):
    """The agent is replaced while the old app runs, then the app: a version that is valid stays the one in use."""
    versions, users, tag = stack.versions(), stack.users(), "next"
    images = [stack.inspect(s)["Config"]["Image"] for s in IMAGES]
    newer = [name.rsplit(":", 1)[0] + ":" + tag for name in images]
    note = stack.app.add("before the upgrade")
    try:
        for old, new in zip(images, newer):
            run("docker", "tag", old, new)
        stack.make("up", LEASEKEEPER_TAG=tag)
        assert {stack.inspect(s)["Config"]["Image"] for s in IMAGES} == set(newer)
        assert stack.versions() == versions and stack.users() == users
        assert note["id"] in [n["id"] for n in stack.app.notes()]
    finally:
        stack.make("up")
        run("docker", "rmi", *newer)
    assert stack.versions() == versions


def test_up_again_changes_nothing(stack):
    ids = stack.ids()
    with Unchanged(stack):
        shown = stack.make("up")
    assert f"http://localhost:{stack.ports['NOTES_PORT']}" in shown
    assert {s: stack.ids()[s] for s in SERVICES} == {s: ids[s] for s in SERVICES}


def test_the_query_log_is_on_while_watched_and_shows_no_password(stack):
    assert stack.sql("SELECT @@general_log") == [["0"]]
    with subprocess.Popen([sys.executable, STACK, "db-query-logs"], env=stack.env, stdout=subprocess.PIPE, text=True) as watcher:
        try:
            wait_until("the log to be on", lambda: stack.sql("SELECT @@general_log") == [["1"]])
            stack.make("rotate")
            stack.app.add("seen in the log")
        finally:
            watcher.terminate()
        shown = watcher.communicate(timeout=30)[0]
    assert "INSERT INTO notes" in shown
    assert "IDENTIFIED BY '***'" in shown and shown.count("IDENTIFIED BY '") == shown.count("IDENTIFIED BY '***'")
    wait_until("the log to be off", lambda: stack.sql("SELECT @@general_log") == [["0"]])
    assert not [line for line in stack.exec("db", "sh", "-c", "cat /proc/[0-9]*/cmdline").split("\0") if line == "tail"]


def test_the_dashboards_are_a_profile(stack):
    """Grafana's image cannot be had on every machine: what is checked is that the file asks for it rightly."""
    assert "grafana" not in stack.ids()
    assert "grafana" in stack.compose("--profile", "dashboards", "config", "--services").split()


# Wrong use: one line each

def refused(stack, target="up", **variables):
    done = subprocess.run([sys.executable, "-B", STACK, target], env={**stack.env, **variables}, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1, done.stdout
    assert done.stdout == ""
    return one_line(done.stderr)


def test_a_port_that_is_taken_is_said_in_one_line(stack):
    taken = str(stack.ports["NOTES_PORT"])
    other = {"COMPOSE_PROJECT_NAME": "leasekeeper-other", "NOTES_TLS_PORT": str(free_port()), "PROMETHEUS_PORT": str(free_port())}
    said = refused(stack, NOTES_PORT=taken, **other)
    assert f"port {taken} on 127.0.0.1" in said and "make up NOTES_PORT=" in said
    assert "no port" in refused(stack, NOTES_PORT="http", **other)
    assert not run("docker", "ps", "-aq", "--filter", "label=com.docker.compose.project=leasekeeper-other")


def test_an_engine_that_does_not_run_is_said_in_one_line(stack):
    said = refused(stack, DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert "Docker does not answer at unix:///nonexistent/docker.sock" in said and "systemctl start docker" in said
    nobody = {"COMPOSE_PROJECT_NAME": "leasekeeper-none"}
    said = refused(stack, "db-users", **nobody) if not demo_runs() else "make demo, or make up"
    assert "make demo, or make up" in said


def demo_runs():
    sys.path.insert(0, os.path.join(TOP, "compose", "local"))
    import demo
    try:
        return bool(demo.running_demo())
    except Failed:
        return False


def test_no_right_to_the_engine_is_said_in_one_line(stack):
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody without rights")
    # A door of our own in a folder that anybody may enter: what refuses must be the door itself.
    folder = tempfile.mkdtemp(prefix="leasekeeper-door.")
    try:
        os.chmod(folder, 0o755)
        copy = shutil.copytree(os.path.join(TOP, "compose"), os.path.join(folder, "compose"))
        os.chmod(copy, 0o755)
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(os.path.join(folder, "docker.sock"))
            door.listen()
            os.chmod(os.path.join(folder, "docker.sock"), 0o660)
            done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", sys.executable, "-B",
                                   os.path.join(copy, "stack.py"), "up"], capture_output=True, text=True, check=False, cwd="/",
                                  env={"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{folder}/docker.sock", "HOME": "/"})
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 1
    assert "you may not talk to Docker" in one_line(done.stderr)


# The older Compose, and what stays

def test_compose_1_29_and_the_notes_outlast_down(stack):
    """The same file with Compose 1.29: up, down, up again; the notes stay, memory does not. The test's stack runs beside it."""
    done = subprocess.run(["docker-compose", "version", "--short"], capture_output=True, text=True, check=False)
    if not done.stdout.startswith("1.29"):
        pytest.skip("Compose 1.29 is not installed here")
    old = Stack("v1", program="docker-compose")
    try:
        old.up()
        note = old.app.add("to outlast it")
        assert old.mints() == 1
        old.make("rotate")
        old.make("vault-revoke")
        wait_until("a new user", lambda: old.users() and old.app.is_ready(), 30)
        old.app.add("after the revocation")
        old.make("down")
        assert not old.ids()
        old.up()
        assert note["id"] in [n["id"] for n in old.app.notes()]
        assert old.logins() == 1
    finally:
        old.remove()
    left = run("docker", "volume", "ls", "-q", "--filter", f"name={old.project}_")
    assert not left.split()
    assert stack.app.is_ready()
