"""make up and its like: the stack of compose.yaml, with either version of Docker Compose.

stack.py up [SERVICE...]   builds the images that are missing and starts all; returns when it is ready and says where
stack.py down              ends it; the data stays. With VOLUMES=1 the data goes too
stack.py images            builds all images
stack.py base-image        makes the images' base with debootstrap, for machines that reach no registry (as root)
stack.py logs              follows all logs until Ctrl-C
stack.py compose WORD...   Docker Compose, called as the commands above call it
stack.py db-users | db-query-logs | rotate | vault-revoke
                           against the running stack or the running demo (make demo), whichever is up

DB=mysql takes MySQL in place of MariaDB. NOTES_PORT, NOTES_TLS_PORT, PROMETHEUS_PORT, BIND_ADDRESS say where to listen.
BASE_IMAGE and SID_IMAGE name the images' bases. DB_TTL and DB_MAX_TTL are the lives of database users. COMPOSE names the
program (default: docker compose, else docker-compose).
"""

import glob
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
FILE = os.path.join(HERE, "compose.yaml")
PROJECT = os.environ.get("COMPOSE_PROJECT_NAME") or "leasekeeper"
BASES = {"BASE_IMAGE": ("bookworm", "debian:bookworm-slim"), "SID_IMAGE": ("sid", "debian:sid-slim")}
PORTS = {"NOTES_PORT": 5000, "NOTES_TLS_PORT": 5443, "PROMETHEUS_PORT": 9090}
READY_SECONDS = 300


class Failed(Exception):
    """One line that says what is wrong and what to do."""


def say(text):
    print(text, flush=True)


def output(*words):
    """Return: (exit code, what it printed, what it said)."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as e:
        return 127, "", str(e)
    return done.returncode, done.stdout, done.stderr


# Docker and Compose

def check_engine():
    if not shutil.which("docker"):
        raise Failed("Docker is not installed; on Debian: sudo apt-get install docker.io docker-compose")
    code, _, said = output("docker", "version", "--format", "{{.Server.Version}}")
    if code == 0:
        return
    if "permission denied" in said.lower():
        raise Failed("you may not talk to Docker; use sudo, or join its group: sudo adduser $USER docker")
    where = os.environ.get("DOCKER_HOST", "")
    raise Failed(f"Docker does not answer{f' at {where}' if where else ''}; start it: sudo systemctl start docker")


def compose_program():
    """Return: the words of Docker Compose 2, else 1.29."""
    if os.environ.get("COMPOSE"):
        return shlex.split(os.environ["COMPOSE"])
    if output("docker", "compose", "version")[0] == 0:
        return ["docker", "compose"]
    code, version, _ = output("docker-compose", "version", "--short")
    if code == 0 and tuple(int(n) for n in re.findall(r"\d+", version)[:2]) >= (1, 29):
        return ["docker-compose"]
    raise Failed("Docker Compose (1.29 or 2) is missing; on Debian: sudo apt-get install docker-compose")


def compose_env():
    env = dict(os.environ)
    env["COMPOSE_PROJECT_NAME"] = PROJECT
    for variable, (suite, _) in BASES.items():
        local = f"leasekeeper-base:{suite}"
        if not env.get(variable) and image_exists(local):
            env[variable] = local
    release = tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2])
    # The name of the running kernel is Docker's too, unless Docker is elsewhere.
    if "TMPFS_MORE" not in env and release >= (6, 4) and is_local():
        env["TMPFS_MORE"] = ",noswap"
    return env


def compose(*words, check=True, **kwargs):
    done = subprocess.run([*compose_program(), "-f", FILE, *words], env=compose_env(), check=False, **kwargs)
    if check and done.returncode:
        raise Failed(f"{words[0]} failed; what went wrong stands above")
    return done


def is_local():
    return os.environ.get("DOCKER_HOST", "unix://").startswith("unix://")


def image_exists(name):
    return output("docker", "image", "inspect", name)[0] == 0


def containers(running=True):
    """Return: {service: container id} of the stack."""
    words = ["docker", "ps", "--no-trunc", "--filter", f"label=com.docker.compose.project={PROJECT}",
             "--filter", "label=com.docker.compose.oneoff=False", "--format",
             '{{.ID}} {{.Label "com.docker.compose.service"}}']
    code, text, _ = output(*words, *([] if running else ["-a"]))
    return {line.split()[1]: line.split()[0] for line in text.splitlines()} if code == 0 else {}


# Building

def bring_authorities():
    """The authorities that this machine trusts beyond the usual ones: one stage of one image fetches over HTTPS."""
    folder = os.path.join(HERE, "vault", "ca")
    for path in glob.glob("/usr/local/share/ca-certificates/*.crt"):
        shutil.copy(path, folder)


def check_base():
    """A base that is neither here nor can be had is said in one line, before ten others are."""
    env = compose_env()
    for variable, (suite, usual) in BASES.items():
        if variable == "SID_IMAGE" and env.get("DB") != "mysql":
            continue
        base = env.get(variable) or usual
        if image_exists(base):
            continue
        say(f"fetching {base} ...")
        if output("docker", "pull", "-q", base)[0]:
            hint = "" if suite == "bookworm" else f" SUITE={suite}"
            raise Failed(f"the base image {base} cannot be fetched; where no registry can be reached: sudo make base-image{hint}")


def images():
    check_engine()
    check_base()
    bring_authorities()
    compose("build")
    return 0


def base_image():
    """Debian's minimal system, without what only people read, imported under the name that the builds look for."""
    check_engine()
    suite = os.environ.get("SUITE") or "bookworm"
    if os.geteuid() != 0:
        raise Failed("debootstrap needs root: sudo make base-image")
    if not shutil.which("debootstrap"):
        raise Failed("debootstrap is missing: sudo apt-get install debootstrap")
    root = tempfile.mkdtemp(prefix="leasekeeper-base.")
    try:
        code, text, said = output("debootstrap", "--variant=minbase", "--include=ca-certificates", suite, root)
        if code:
            raise Failed(f"debootstrap {suite}: {(said or text).strip().splitlines()[-1:]}")
        for unread in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(os.path.join(root, unread), ignore_errors=True)
        for needed in ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial"):
            os.makedirs(os.path.join(root, needed))
        # What packages bring later stays out too.
        with open(os.path.join(root, "etc/dpkg/dpkg.cfg.d/unread"), "w", encoding="utf-8") as f:
            f.write("".join(f"path-exclude=/usr/share/{d}/*\n" for d in ("doc", "man", "locale", "info")) +
                    "path-include=/usr/share/doc/*/copyright\n")
        with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as tar:
            code = subprocess.run(["docker", "import", "-", f"leasekeeper-base:{suite}"], stdin=tar.stdout, check=False).returncode
        if code:
            raise Failed("docker import failed; what went wrong stands above")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    variable = next(v for v, (s, _) in BASES.items() if s == suite) if suite in [s for s, _ in BASES.values()] else "BASE_IMAGE"
    say(f"leasekeeper-base:{suite} is made; make up takes it by itself, plain docker compose with: "
        f"export {variable}=leasekeeper-base:{suite}")
    return 0


# Up and down

def port_of(variable):
    text = os.environ.get(variable) or str(PORTS[variable])
    if not text.isdigit() or not 0 < int(text) <= 65535:
        raise Failed(f"{variable}={text} is no port")
    return int(text)


def check_ports():
    """Ports that somebody else has. What our own containers have is theirs."""
    address = os.environ.get("BIND_ADDRESS") or "127.0.0.1"
    ours = containers()
    for variable in PORTS:
        port = port_of(variable)
        service = "prometheus" if variable == "PROMETHEUS_PORT" else "app"
        if service in ours or not is_local():
            continue
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((address.strip("[]"), port))
            except OSError as e:
                raise Failed(f"port {port} on {address} cannot be had ({e.strerror}); take another: make up {variable}=...") from None


def services_wanted():
    config = compose("config", "--services", stdout=subprocess.PIPE, text=True).stdout
    return sorted(set(config.split()) - {"grafana", "provisioner"})


def state_of(container):
    code, text, _ = output("docker", "inspect", "-f", "{{json .State}}", container)
    return json.loads(text) if code == 0 else {}


def wait_ready(wanted):
    """Until each has said that it is well. One that keeps ending is not waited for."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        present = containers(running=False)
        bad = {}
        for service in wanted:
            health = state_of(present.get(service, "")).get("Health", {}).get("Status", "not started")
            if health != "healthy":
                bad[service] = health
        if not bad:
            return
        if time.monotonic() > deadline:
            listed = ", ".join(f"{service} ({health})" for service, health in bad.items())
            raise Failed(f"not ready after {READY_SECONDS} s: {listed}; see: make logs")
        time.sleep(0.5)


def up(*services):
    check_engine()
    check_ports()
    wanted = list(services) or services_wanted()
    config = compose("config", stdout=subprocess.PIPE, text=True).stdout
    if not all(image_exists(name) for name in re.findall(r"image: (leasekeeper/\S+)", config)):
        check_base()
        bring_authorities()
    # A new agent first, while the old app holds the memory that they share: where both were replaced at once, token and
    # leases would be lost.
    if not services and "app" in containers():
        compose("up", "-d", "agent")
        wait_ready(["agent"])
    compose("up", "-d", *services)
    wait_ready(wanted)
    address = os.environ.get("BIND_ADDRESS") or "127.0.0.1"
    shown = "localhost" if address == "127.0.0.1" else address
    say(f"""
The notes page:   http://{shown}:{port_of("NOTES_PORT")}
with TLS:         https://{shown}:{port_of("NOTES_TLS_PORT")}
Prometheus:       http://localhost:{port_of("PROMETHEUS_PORT")}

make db-users, db-query-logs, rotate, vault-revoke, logs; make down ends it. docs/tour.md shows you around.""")
    return 0


def down():
    check_engine()
    profile = ["--profile", "dashboards"]
    compose(*profile, "down", "--remove-orphans", *(["-v"] if os.environ.get("VOLUMES") else []))
    return 0


def logs():
    check_engine()
    try:
        return compose("logs", "-f", "--tail=100", check=False).returncode
    except KeyboardInterrupt:
        return 0


def pass_on(*words):
    check_engine()
    return compose(*words, check=False).returncode


# Against what runs

def in_container(service, *words, **kwargs):
    return subprocess.run(["docker", "exec", "-i", containers()[service], *words], check=False, **kwargs)


def sql(statement, *options):
    return in_container("db", "mariadb", "--no-defaults", "--socket=/run/db/db.sock", "--user=mysql", *options, "-e", statement)


def db_users():
    # MySQL's PROCESSLIST fails on statements with bytes in them; MariaDB's performance_schema is off.
    _, image, _ = output("docker", "inspect", "-f", "{{.Config.Image}}", containers()["db"])
    column, table = (("PROCESSLIST_USER", "performance_schema.threads") if image.startswith("leasekeeper/mysql:") else
                     ("USER", "information_schema.PROCESSLIST"))
    return sql(f"SELECT u.User, u.Host, COUNT(p.{column}) AS Sessions FROM mysql.user u LEFT JOIN {table} p ON p.{column} = u.User "
               "WHERE u.User NOT LIKE 'mariadb.%' AND u.User NOT LIKE 'mysql.%' GROUP BY u.User, u.Host ORDER BY u.User",
               "--table").returncode


def db_query_logs():
    """Statements are logged only while somebody watches. Passwords are left out of what is shown."""
    secret = re.compile(r"(IDENTIFIED (?:BY|WITH '[^']*' (?:BY|AS)) )(?:'(?:[^'\\]|\\.)*'|0x[0-9A-F]+)", re.I)
    # timeout(1) and the like end us with SIGTERM; the log must go off then too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    if sql("SET GLOBAL general_log = ON").returncode:
        return 1
    # What runs in a container does not end with the client that asked for it; it ends with its input.
    follow = ["docker", "exec", "-i", containers()["db"], "sh", "-c",
              "tail -n +1 -F /tmp/general.log & cat >/dev/null; kill $!; : >/tmp/general.log"]
    watcher = subprocess.Popen(follow, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               errors="replace", start_new_session=True)
    try:
        for line in watcher.stdout:
            print(secret.sub(r"\1'***'", line), end="", flush=True)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        sql("SET GLOBAL general_log = OFF")
        watcher.stdin.close()
        try:
            watcher.wait(5)
        except subprocess.TimeoutExpired:
            watcher.kill()


def rotate():
    return in_container("agent", "leasekeeper", "rotate").returncode


def vault_revoke():
    # In a container of its own: only the provisioner's volume holds the operator's token.
    done = compose("run", "--rm", "-T", "--no-deps", "provisioner", "revoke", check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        print(done.stderr, end="", file=sys.stderr)
    return done.returncode


AGAINST_STACK = {"db-users": db_users, "db-query-logs": db_query_logs, "rotate": rotate, "vault-revoke": vault_revoke}


def demo_runs():
    sys.path.insert(0, os.path.join(HERE, "local"))
    import demo
    try:
        demo.running_demo()
        return True
    except demo.Failed:
        return False


def against(command):
    """The stack goes first where both run."""
    if shutil.which("docker") and {"agent", "db"} <= set(containers()):
        return AGAINST_STACK[command]()
    if demo_runs():
        os.execv(sys.executable, [sys.executable, "-B", os.path.join(HERE, "local", "demo.py"), command])
    raise Failed("neither the demo nor the stack of containers is running; start one: make demo, or make up")


COMMANDS = {"compose": pass_on, "up": up, "down": down, "images": images, "base-image": base_image, "logs": logs}


def main():
    words = sys.argv[1:]
    try:
        if len(words) == 1 and words[0] in AGAINST_STACK:
            return against(words[0])
        if words and words[0] in COMMANDS and (words[0] in ("up", "compose") or len(words) == 1):
            return COMMANDS[words[0]](*words[1:])
    except (Failed, OSError) as e:
        print(f"stack: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
