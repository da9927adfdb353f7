"""The ground that all else stands on: what the provisioned roles may do and may not."""

import subprocess

import pytest

import provision
from servers import wait_until


@pytest.fixture
def token(stand):
    """An API with the rights of the agent."""
    stand.provision(default_ttl="60s", max_ttl="120s")
    body = {"role_id": provision.role_id(stand.vault, stand.names),
            "secret_id": provision.secret_id(stand.vault, stand.names)}
    auth = stand.vault.with_token(None).write("auth/approle/login", body)["auth"]
    return stand.vault.with_token(auth["client_token"])


def session(stand, data, sql):
    """A living session of a short-lived user: an open client that runs sql each time it is fed."""
    return subprocess.Popen(
        ["mariadb", "--no-defaults", f"--socket={stand.mariadb.socket}", "-u", data["username"],
         f"--password={data['password']}", "--batch", "--skip-column-names", "--unbuffered", "--skip-reconnect",
         stand.names.database],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_living_session_ends_at_revocation(stand, token):
    creds = token.read(stand.names.creds_path)
    living = session(stand, creds["data"], "")
    living.stdin.write("SELECT 'here';\n")
    living.stdin.flush()
    assert living.stdout.readline().strip() == "here"

    token.write("sys/leases/revoke", {"lease_id": creds["lease_id"], "sync": True})

    assert creds["data"]["username"] not in stand.users()
    sessions = f"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = '{creds['data']['username']}'"
    wait_until("the session to be gone", lambda: stand.mariadb.sql(sessions) == [["0"]], 5)
    living.stdin.write("SELECT 'still here';\n")
    out, _ = living.communicate(timeout=10)
    assert "still here" not in out
    assert living.returncode != 0


def test_the_dynamic_user_may_read_and_insert_notes_and_nothing_else(stand, token):
    data = token.read(stand.names.creds_path)["data"]
    grants = [row[0] for row in stand.mariadb.sql(f"SHOW GRANTS FOR '{data['username']}'@'%'")]
    rights = [g.split(" IDENTIFIED")[0] for g in grants]
    assert rights == [f"GRANT USAGE ON *.* TO `{data['username']}`@`%`",
                      f"GRANT SELECT, INSERT ON `{stand.names.database}`.`notes` TO `{data['username']}`@`%`"]


def test_vaults_own_user_may_make_users_and_hand_out_that_table(stand, token):
    user = stand.names.database_user
    grants = [row[0].split(" IDENTIFIED")[0] for row in stand.mariadb.sql(f"SHOW GRANTS FOR '{user}'@'%'")]
    assert grants == [f"GRANT CREATE USER, CONNECTION ADMIN ON *.* TO `{user}`@`%`",
                      f"GRANT SELECT, INSERT ON `{stand.names.database}`.`notes` TO `{user}`@`%` WITH GRANT OPTION"]


def test_the_policy_opens_no_other_path(stand, token):
    """Neither what Vault's default policy would give, nor a neighbour of what the agent uses, nor another verb."""
    names = stand.names
    stand.vault.write(f"{names.kv1_mount}/notes/other", {"a": "b"})
    closed = [("GET", "sys/mounts"), ("GET", "sys/auth"), ("LIST", "sys/policies/acl"), ("LIST", "auth/approle/role"),
              ("POST", "cubbyhole/x"), ("POST", "sys/wrapping/wrap"), ("POST", "sys/tools/hash"),
              ("POST", "sys/capabilities-self"), ("POST", "auth/token/create"),
              ("GET", f"{names.kv1_mount}/notes/other"), ("LIST", f"{names.kv1_mount}/notes"),
              ("GET", f"{names.database_mount}/creds/other"), ("GET", f"{names.database_mount}/config/notes"),
              ("POST", f"{names.pki_mount}/sign/other"), ("POST", f"{names.pki_mount}/issue/other")]
    closed += [(verb, path) for verb in ("POST", "DELETE") for path in (names.kv1_path, names.kv2_path)]
    answers = {(verb, path): token.raw(verb, path, {"a": "b"} if verb == "POST" else None)[0] for verb, path in closed}
    assert answers == dict.fromkeys(closed, 403)


def test_the_policy_opens_what_the_agent_uses(stand, token):
    names = stand.names
    for path in (names.kv1_path, names.kv2_path, "auth/token/lookup-self"):
        assert token.raw("GET", path)[0] == 200, path
    lease = token.read(names.creds_path)["lease_id"]
    for path, body in (("sys/leases/lookup", {"lease_id": lease}), ("sys/leases/renew", {"lease_id": lease}),
                       ("sys/leases/revoke", {"lease_id": lease}), ("auth/token/renew-self", {})):
        assert token.raw("POST", path, body)[0] in (200, 202, 204), path


def test_whoever_knows_a_lease_may_revoke_it_and_nobody_may_list_them(stand, token):
    """What docs/SECURITY.md warns of: no policy can tell the agent's leases from those of others."""
    path = stand.names.creds_path
    others = stand.vault.read(path)
    assert token.raw("POST", "sys/leases/revoke", {"lease_id": others["lease_id"], "sync": True})[0] in (200, 204)
    assert others["data"]["username"] not in stand.users()
    assert token.raw("LIST", f"sys/leases/lookup/{path}")[0] == 403
    assert token.raw("POST", f"sys/leases/revoke-prefix/{path}", {})[0] == 403


def test_the_quota_blocks_whoever_mints_in_a_loop(stand, token):
    statuses = [token.raw("GET", stand.names.creds_path)[0] for _ in range(8)]
    assert statuses[:5] == [200] * 5
    assert statuses[5:] == [429] * 3
    assert stand.throttled() >= 3


def test_a_wrapped_secret_id_can_be_unwrapped_once(stand, token):
    wrapping = stand.vault.with_token(provision.wrapped_secret_id(stand.vault, stand.names))
    looked_up = wrapping.write("sys/wrapping/lookup", {})["data"]
    assert looked_up["creation_path"] == stand.names.secret_id_path
    assert wrapping.write("sys/wrapping/unwrap")["data"]["secret_id"]
    assert wrapping.raw("POST", "sys/wrapping/unwrap", {})[0] in (400, 403)


@pytest.mark.root
def test_the_servers_run_under_user_ids_of_their_own(stand):
    uids = set()
    for process in (stand.bao.process, stand.mariadb.process):
        with open(f"/proc/{process.pid}/status", encoding="utf-8") as f:
            status = dict(line.split(":\t", 1) for line in f if ":\t" in line)
        uids |= set(status["Uid"].split())
        assert status["Groups"].strip() == ""
        assert int(status["CapEff"], 16) == 0
    assert uids == {str(stand.ids.openbao), str(stand.ids.mariadb)}
