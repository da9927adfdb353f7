"""Sets Vault and the database up for the notes service, once; revokes the database leases on demand.

setup.py          initialises Vault, provisions it and the database, leaves the agent's credentials and an operator's token
                  where each belongs, and throws the root token away. Where that is done already it does nothing.
setup.py revoke   revokes all leases of database/creds/notes, with the operator's token
"""

import contextlib
import os
import subprocess
import sys
import time

import provision

ADDRESS = "https://vault:8200"
CA_FILE = "/run/vault-ca/ca.pem"
DB_FOLDER = "/run/db"
CREDENTIALS = "/run/credentials"
HERE = "/var/lib/provisioner"
ROOT_TOKEN = os.path.join(HERE, "root-token")
OPERATOR_TOKEN = os.path.join(HERE, "operator-token")
DONE = os.path.join(HERE, "done")
OPERATOR_YEARS = 10
REVOKE_PATH = "sys/leases/revoke-prefix/database/creds/notes"


class Failed(Exception):
    """One line that says what is wrong and what to do."""


def say(text):
    print(f"provisioner: {text}", flush=True)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read().strip()


def write(path, text, mode=0o600):
    """As a whole, under its final mode, and on the disk before anything is built on it."""
    new = path + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as f:
        f.write(text)
        f.flush()
        os.fchmod(f.fileno(), mode)
        os.fsync(f.fileno())
    os.replace(new, path)


def connect():
    """Return: the API without a token, initialised and active. The root token lies in its file afterwards."""
    vault = provision.Vault(ADDRESS, CA_FILE)
    if not vault.read("sys/init")["initialized"]:
        for stale in (DONE, OPERATOR_TOKEN, ROOT_TOKEN):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(stale)
        # Recovery keys would bring the root token back, so they go the way it goes: nobody keeps them.
        keys = vault.write("sys/init", {"recovery_shares": 1, "recovery_threshold": 1})
        write(ROOT_TOKEN, keys["root_token"])
        say("Vault is initialised")
    deadline = time.monotonic() + 60
    while vault.raw("GET", "sys/health")[0] != 200:
        if time.monotonic() > deadline:
            raise Failed("Vault stays sealed; its own log says why: make logs")
        time.sleep(0.2)
    return vault


def run_sql(text):
    """As the database's administrator: the kernel tells it who we are."""
    done = subprocess.run(["mariadb", "--no-defaults", f"--socket={DB_FOLDER}/db.sock", "--user=provisioner", "--batch",
                           "--default-character-set=utf8mb4"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"the database refused what the set-up needs: {done.stderr.strip()}")


def settings():
    ca = read(os.path.join(DB_FOLDER, "ca.pem")) + "\n"
    return provision.Settings(
        default_ttl=os.environ.get("DB_TTL") or "5m", max_ttl=os.environ.get("DB_MAX_TTL") or "1h",
        secret_id_ttl="0", database_kind=os.environ.get("DB_KIND") or "mariadb", connection="tcp(db:3306)", connection_ca=ca,
        dbinfo={"host": "db", "port": 3306, "database": provision.Names().database, "ca_cert": ca})


def clear(vault, names):
    """Takes away what an attempt that was cut short has left: nobody uses it yet."""
    mounts = vault.read("sys/mounts")["data"]
    for mount in (names.database_mount, names.pki_mount, names.kv1_mount, names.kv2_mount):
        if mount + "/" in mounts:
            vault.call("DELETE", f"sys/mounts/{mount}")


def make_operator(vault):
    """A token that may revoke the database leases and do nothing else; root is not needed for it again."""
    vault.call("PUT", "sys/policies/acl/operator", {"policy": f'path "{REVOKE_PATH}" {{ capabilities = ["update", "sudo"] }}\n'})
    hours = f"{OPERATOR_YEARS * 365 * 24}h"
    vault.write("sys/auth/token/tune", {"max_lease_ttl": hours})
    return vault.write("auth/token/create-orphan", {
        "policies": ["operator"], "no_default_policy": True, "ttl": hours, "renewable": False, "display_name": "operator",
    })["auth"]["client_token"]


def throw_root_away(vault):
    """Revoked first, then forgotten: cut short in between, the next run does it again."""
    with contextlib.suppress(FileNotFoundError):
        status, text = vault.with_token(read(ROOT_TOKEN)).raw("POST", "auth/token/revoke-self", {})
        if status not in (200, 204, 403):
            raise provision.VaultError("POST", "auth/token/revoke-self", status, text)
        os.unlink(ROOT_TOKEN)


def set_up():
    vault = connect()
    if os.path.exists(DONE):
        throw_root_away(vault)
        say("all is set up already")
        return
    try:
        root = vault.with_token(read(ROOT_TOKEN))
    except FileNotFoundError:
        raise Failed("Vault was initialised by somebody else and nobody left a root token; begin anew with: "
                     "make down VOLUMES=1") from None
    names = provision.Names()
    clear(root, names)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "schema.sql"), encoding="utf-8") as f:
        provision.provision(root, names, settings(), run_sql, f.read())
    # The folder's group is the agent's, and so is theirs.
    write(os.path.join(CREDENTIALS, "role-id"), provision.role_id(root, names), 0o640)
    write(os.path.join(CREDENTIALS, "secret-id"), provision.secret_id(root, names), 0o640)
    write(os.path.join(CREDENTIALS, "notes-ca.pem"), provision.root_certificate(root), 0o644)
    write(OPERATOR_TOKEN, make_operator(root))
    write(DONE, "")
    throw_root_away(vault)
    say("Vault and the database are set up; the root token is revoked")


def revoke():
    try:
        vault = provision.Vault(ADDRESS, CA_FILE, read(OPERATOR_TOKEN))
    except FileNotFoundError:
        raise Failed("nothing is set up yet; run: make up") from None
    vault.write(REVOKE_PATH, {"sync": True})
    print("all leases of database/creds/notes are revoked: their users are dropped, their sessions end", flush=True)


def main():
    commands = {(): set_up, ("revoke",): revoke}
    command = commands.get(tuple(sys.argv[1:]))
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        command()
        return 0
    except (Failed, provision.VaultError, OSError) as e:
        say(str(e))
        return 1


if __name__ == "__main__":
    sys.exit(main())
