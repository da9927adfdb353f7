"""Provisions a running OpenBao or Vault server for the notes service: one set of mounts, role, policy and quota.

Used by the demo, by the tests (each test with a prefix of its own) and by the containers. Only the standard library.
"""

import argparse
import dataclasses
import http.client
import json
import secrets
import shlex
import ssl
import string
import subprocess
import sys
import time
import urllib.parse


class VaultError(Exception):
    """An answer that was not 2xx."""

    def __init__(self, method, path, status, body):
        super().__init__(f"{method} {path}: {status} {body[:500]}")
        self.status = status
        self.body = body


class Vault:
    """The HTTP API, one call a connection: provisioning is not worth a pool."""

    def __init__(self, address, ca_file=None, token=None, timeout=30):
        url = urllib.parse.urlsplit(address)
        self.address = address
        self.ca_file = ca_file
        self.token = token
        self._host, self._port, self._timeout = url.hostname, url.port, timeout
        self._tls = ssl.create_default_context(cafile=ca_file) if url.scheme == "https" else None

    def with_token(self, token):
        return Vault(self.address, self.ca_file, token, self._timeout)

    def _connect(self):
        if self._tls:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)

    def raw(self, method, path, body=None, headers=None):
        """Return: (status, body text). Raises only what the transport raises."""
        all_headers = {"X-Vault-Request": "true", **(headers or {})}
        if self.token:
            all_headers["X-Vault-Token"] = self.token
        connection = self._connect()
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, "/v1/" + path, data, all_headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def call(self, method, path, body=None, headers=None):
        status, text = self.raw(method, path, body, headers)
        if status >= 300:
            raise VaultError(method, path, status, text)
        return json.loads(text) if text.strip() else {}

    def read(self, path):
        return self.call("GET", path)

    def write(self, path, body=None, headers=None):
        return self.call("POST", path, body or {}, headers)


@dataclasses.dataclass
class Names:
    """What is called how. A prefix keeps one test's things apart from all others'."""

    prefix: str = ""

    def __post_init__(self):
        p = self.prefix
        self.database_mount = f"{p}database"
        # Part of the names of the database users that Vault makes: v-approle-ROLE-...
        self.database_role = p.rstrip("-") or "notes"
        self.pki_mount = f"{p}pki_int"
        self.kv1_mount = f"{p}kv"
        self.kv2_mount = f"{p}kv2"
        self.role = f"{p}notes"
        self.policy = f"{p}notes"
        self.quota = f"{p}database-creds"
        self.database = f"{p}notes".replace("-", "_")
        self.database_user = f"{p}vault"
        self.creds_path = f"{self.database_mount}/creds/{self.database_role}"
        self.sign_path = f"{self.pki_mount}/sign/notes"
        self.issue_path = f"{self.pki_mount}/issue/notes"
        self.kv1_path = f"{self.kv1_mount}/notes/dbinfo"
        self.kv2_path = f"{self.kv2_mount}/data/notes/dbinfo"
        self.secret_id_path = f"auth/approle/role/{self.role}/secret-id"


@dataclasses.dataclass
class Settings:
    """The times and the places. Times are what Vault takes: seconds, or text such as 90s."""

    default_ttl: str = "5s"
    max_ttl: str = "10s"
    token_ttl: str = "1h"
    token_max_ttl: str = "24h"
    secret_id_ttl: str = "24h"
    certificate_max_ttl: str = "24h"
    certificate_key_type: str = "ec"
    certificate_key_bits: int = 256
    quota: bool = True
    connection: str = "tcp(127.0.0.1:3306)"  # as in a Go DSN: what OpenBao dials
    connection_ca: str = ""  # PEM: TLS to the database, identity checked
    database_kind: str = "mariadb"  # or mysql
    dbinfo: dict = dataclasses.field(default_factory=dict)


def random_password():
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(32))


def database_sql(names, password, schema, kind="mariadb"):
    """
    The statements that a database administrator runs once: the schema, and the user with which Vault logs in.

    CREATE USER makes and drops users; CONNECTION ADMIN lets KILL USER end the sessions of others (without it the
    statement reports success and the session lives on); the grant option covers exactly what it hands out.
    """
    user = f"`{names.database_user}`@`%`"
    table = f"`{names.database}`.`notes`"
    # MySQL knows neither OR REPLACE here nor KILL USER: there old sessions end when their client ends them, as notesd does.
    create = f"DROP USER IF EXISTS {user};\nCREATE USER" if kind == "mysql" else "CREATE OR REPLACE USER"
    rights = "CREATE USER" if kind == "mysql" else "CREATE USER, CONNECTION ADMIN"
    return f"""
CREATE DATABASE IF NOT EXISTS `{names.database}` CHARACTER SET utf8mb4;
USE `{names.database}`;
{schema}
{create} {user} IDENTIFIED BY '{password}';
GRANT {rights} ON *.* TO {user};
GRANT SELECT, INSERT ON {table} TO {user} WITH GRANT OPTION;
"""


def policy_text(names):
    """
    Exactly the paths that the agent uses; the default policy is left out.

    sys/leases/revoke is in no default policy. With it the old database user is gone when its replacement is in use,
    not when its lease ends; without it the agent says so once and leaves the old lease to its end.
    """
    rules = [
        (names.creds_path, "read"),
        (names.sign_path, "update"),
        (names.issue_path, "update"),
        (names.kv1_path, "read"),
        (names.kv2_path, "read"),
        ("auth/token/lookup-self", "read"),
        ("auth/token/renew-self", "update"),
        ("auth/token/revoke-self", "update"),
        ("sys/leases/lookup", "update"),
        ("sys/leases/renew", "update"),
        ("sys/leases/revoke", "update"),
    ]
    return "".join(f'path "{path}" {{ capabilities = ["{can}"] }}\n' for path, can in rules)


def mount(vault, path, kind, options=None, max_lease=None):
    body = {"type": kind, "options": options or {}}
    if max_lease:
        body["config"] = {"max_lease_ttl": max_lease}
    vault.write(f"sys/mounts/{path}", body)


def provision_root(vault):
    """What all sets share: the AppRole method, the root authority, quotas that show themselves. May run twice."""
    if "approle/" not in vault.read("sys/auth")["data"]:
        vault.write("sys/auth/approle", {"type": "approle"})
    if "pki/" not in vault.read("sys/mounts")["data"]:
        mount(vault, "pki", "pki", max_lease="87600h")
        vault.write("pki/root/generate/internal", {"common_name": "Leasekeeper demo root", "ttl": "87600h",
                                                   "key_type": "ec", "key_bits": 256})
    vault.write("sys/quotas/config", {"enable_rate_limit_audit_logging": True,
                                      "enable_rate_limit_response_headers": True})


def root_certificate(vault):
    """Return: the root authority's certificate, PEM."""
    status, text = vault.raw("GET", "pki/ca/pem")
    if status != 200:
        raise VaultError("GET", "pki/ca/pem", status, text)
    return text if text.endswith("\n") else text + "\n"


def provision_pki(vault, names, settings):
    """An intermediate authority, signed by the root, and its role."""
    mount(vault, names.pki_mount, "pki", max_lease="43800h")
    csr = vault.write(f"{names.pki_mount}/intermediate/generate/internal",
                      {"common_name": f"Leasekeeper demo intermediate {names.prefix}".strip(),
                       "key_type": "ec", "key_bits": 256})["data"]["csr"]
    signed = vault.write("pki/root/sign-intermediate", {"csr": csr, "format": "pem_bundle", "ttl": "43800h"})["data"]
    vault.write(f"{names.pki_mount}/intermediate/set-signed",
                {"certificate": signed["certificate"] + "\n" + root_certificate(vault)})
    vault.write(f"{names.pki_mount}/roles/notes", {
        "allowed_domains": ["notes.localhost", "localhost"], "allow_bare_domains": True, "allow_localhost": True,
        "allow_ip_sans": True, "key_type": settings.certificate_key_type, "key_bits": settings.certificate_key_bits,
        "max_ttl": settings.certificate_max_ttl, "no_store": True})


def provision_database(vault, names, settings, password):
    """The connection as the user of database_sql(), and the role that makes short-lived users."""
    mount(vault, names.database_mount, "database")
    vault.write(f"{names.database_mount}/config/notes", {
        "plugin_name": "mysql-database-plugin", "allowed_roles": names.database_role,
        "connection_url": "{{username}}:{{password}}@" + settings.connection + "/",
        "username": names.database_user, "password": password,
        **({"tls_ca": settings.connection_ca} if settings.connection_ca else {})})
    provision_database_role(vault, names, settings)


def provision_database_role(vault, names, settings):
    # A dropped user's sessions live on until they are killed.
    kill = [] if settings.database_kind == "mysql" else ["KILL USER '{{name}}'"]
    vault.write(f"{names.database_mount}/roles/{names.database_role}", {
        "db_name": "notes", "default_ttl": settings.default_ttl, "max_ttl": settings.max_ttl,
        "creation_statements": [
            "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'",
            f"GRANT SELECT, INSERT ON `{names.database}`.`notes` TO '{{{{name}}}}'@'%'"],
        "revocation_statements": ["DROP USER IF EXISTS '{{name}}'@'%'", *kill]})


def provision_kv(vault, names, settings):
    mount(vault, names.kv1_mount, "kv", {"version": "1"})
    mount(vault, names.kv2_mount, "kv", {"version": "2"})
    write_dbinfo(vault, names, settings.dbinfo)


def write_dbinfo(vault, names, dbinfo):
    vault.write(names.kv1_path, dbinfo)
    write_kv2(vault, names, dbinfo)


def write_kv2(vault, names, dbinfo):
    """A version 2 mount upgrades itself for a moment after it was made and refuses until then."""
    for attempt in range(50):
        try:
            vault.write(names.kv2_path, {"data": dbinfo})
            return
        except VaultError as e:
            if e.status != 400 or "pgrad" not in e.body or attempt == 49:
                raise
            time.sleep(0.1)


def provision_approle(vault, names, settings):
    vault.call("PUT", f"sys/policies/acl/{names.policy}", {"policy": policy_text(names)})
    vault.write(f"auth/approle/role/{names.role}", {
        "token_policies": [names.policy], "token_no_default_policy": True, "token_ttl": settings.token_ttl,
        "token_max_ttl": settings.token_max_ttl, "secret_id_ttl": settings.secret_id_ttl})


def provision_quota(vault, names):
    """5 requests in 10 s, then nothing for 30 s: an agent that mints in a loop shuts itself out."""
    vault.write(f"sys/quotas/rate-limit/{names.quota}", {
        "path": names.creds_path, "rate": 5, "interval": "10s", "block_interval": "30s"})


def role_id(vault, names):
    return vault.read(f"auth/approle/role/{names.role}/role-id")["data"]["role_id"]


def secret_id(vault, names):
    return vault.write(names.secret_id_path)["data"]["secret_id"]


def wrapped_secret_id(vault, names, ttl="10m"):
    """Return: a token that is good for one unwrapping of a new secret-id."""
    return vault.write(names.secret_id_path, headers={"X-Vault-Wrap-TTL": ttl})["wrap_info"]["token"]


def provision(vault, names, settings, run_sql, schema):
    """
    Makes one whole set. run_sql(text) runs statements as the database's administrator.

    The password of Vault's database user is made here and kept by nobody but Vault.
    """
    provision_root(vault)
    password = random_password()
    run_sql(database_sql(names, password, schema, settings.database_kind))
    provision_database(vault, names, settings, password)
    provision_pki(vault, names, settings)
    provision_kv(vault, names, settings)
    provision_approle(vault, names, settings)
    if settings.quota:
        provision_quota(vault, names)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", default="https://127.0.0.1:8200")
    parser.add_argument("--ca-cert", help="PEM file of the authority of the server's certificate")
    parser.add_argument("--token-file", required=True, help="file with a token that may do all this")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--default-ttl", default="1h")
    parser.add_argument("--max-ttl", default="24h")
    parser.add_argument("--certificate-max-ttl", default="24h")
    parser.add_argument("--connection", default="tcp(127.0.0.1:3306)", help="the database, as OpenBao dials it")
    parser.add_argument("--dbinfo", required=True, help='JSON for the app: {"host", "port", "database", ...}')
    parser.add_argument("--schema", required=True, help="app/schema.sql")
    parser.add_argument("--sql-command", default="mariadb --no-auto-rehash", help="a command that runs the SQL on its input"
                        " as the database's administrator")
    parser.add_argument("--no-quota", action="store_true")
    args = parser.parse_args()

    with open(args.token_file, encoding="utf-8") as f:
        vault = Vault(args.address, args.ca_cert, f.read().strip())
    names = Names(args.prefix)
    settings = Settings(default_ttl=args.default_ttl, max_ttl=args.max_ttl, connection=args.connection,
                        certificate_max_ttl=args.certificate_max_ttl, quota=not args.no_quota,
                        dbinfo=json.loads(args.dbinfo))
    with open(args.schema, encoding="utf-8") as f:
        schema = f.read()

    def run_sql(text):
        subprocess.run(shlex.split(args.sql_command), input=text, text=True, check=True)

    provision(vault, names, settings, run_sql, schema)
    return 0


if __name__ == "__main__":
    sys.exit(main())
