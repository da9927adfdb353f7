"""Rules 6, 7, 15: leases and tokens that end or are taken away behind the agent's back, and tokens of each sort."""

import os
import time

import pytest

from conftest import LOG_DIR
from lease_support import (CALM, Made, accessor, put_file, run_together, set_role, side_by_side, token_lives,
                           under_load, user_of, versions, wait_for_log, wait_for_only_user, wait_for_other_version)
from servers import wait_until

import provision

FRESH = 5  # seconds from the loss to fresh credentials


@pytest.fixture(scope="module")
def together(request, scratch, pair):
    yield from run_together(request, scratch, pair, LOG_DIR)


def wait_for_fresh(stand, user):
    """The app works with another database user, and that is soon enough."""
    began = time.monotonic()
    wait_until("another database user", lambda: user_of(stand) != user, 30, step=0.05)
    wait_until("the app to write", lambda: stand.app.ask("POST", "/api/v1/notes", {"text": "fresh"}).status == 201, 30)
    assert time.monotonic() - began < FRESH


@side_by_side
def test_leases_revoked_by_prefix(stand):
    """The app notices first; no request fails, and one lease is made."""
    stand.start(CALM)
    user, before, made = user_of(stand), versions(stand), Made(stand)
    with under_load(stand, "prefix"):
        stand.vault.write("sys/leases/revoke-prefix/" + stand.names.creds_path, {"sync": True})
        wait_for_fresh(stand, user)
        wait_for_only_user(stand, user_of(stand))
    assert (made.logins(), made.leases()) == (0, 1)
    after = versions(stand)
    assert (after["dbinfo"], after["tls"]) == (before["dbinfo"], before["tls"])


@side_by_side
def test_a_database_user_dropped_by_hand(stand):
    """Vault does not notice, the lease lives on: the app's second word is enough."""
    stand.start(CALM)
    user, made = user_of(stand), Made(stand)
    with under_load(stand, "dropped"):
        stand.mariadb.sql(f"DROP USER '{user}'@'%'; KILL USER '{user}'")
        wait_for_fresh(stand, user)
    assert (made.logins(), made.leases()) == (0, 1)


@side_by_side
def test_a_revocation_that_nobody_reports_is_noticed(stand):
    """Rule 15: no app uses it, and the look-up finds that it is gone."""
    stand.provision(**CALM).start_agent(db_extra='verify = "2s"')
    user, made = user_of(stand), Made(stand)
    stand.vault.write("sys/leases/revoke-prefix/" + stand.names.creds_path, {"sync": True})
    wait_until("another user", lambda: stand.agent.health() == 200 and user_of(stand) != user, 10, step=0.1)
    assert (made.logins(), made.leases()) == (0, 1)


@pytest.mark.smoke
@side_by_side
def test_the_token_revoked(stand):
    """Its lease dies with it: one login, one lease, no failed request; the certificate keeps its version."""
    stand.start(CALM)
    user, before, old, made = user_of(stand), versions(stand), accessor(stand), Made(stand)
    with under_load(stand, "token-revoked"):
        stand.vault.write("auth/token/revoke-accessor", {"accessor": old})
        wait_for_fresh(stand, user)
    after = versions(stand)
    assert (made.logins(), made.leases()) == (1, 1)
    assert (after["dbinfo"], after["tls"]) == (before["dbinfo"], before["tls"])
    assert token_lives(stand, accessor(stand)) and not token_lives(stand, old)


@side_by_side
def test_the_token_at_its_max_ttl(stand):
    """It is replaced before it ends: one login, one lease a dynamic secret; the old one is revoked."""
    stand.provision(**CALM, token_ttl="6s", token_max_ttl="14s")
    stand.start_agent(grace="1s")
    stand.start_app()
    before, old, made = versions(stand), accessor(stand), Made(stand)
    with under_load(stand, "max-ttl"):
        wait_until("another token", lambda: accessor(stand) != old, 20, step=0.05)
        wait_until("the old one to be gone", lambda: not token_lives(stand, old), 10, step=0.05)
        assert (made.logins(), made.leases()) == (1, 1)
    after = versions(stand)
    assert after["db"] != before["db"]
    assert (after["dbinfo"], after["tls"]) == (before["dbinfo"], before["tls"])


@side_by_side
def test_a_batch_token(stand):
    """It cannot be renewed and caps its leases: another login at 2/3 of its life, and nothing fails."""
    stand.provision(**CALM, token_ttl="12s", token_max_ttl="12s")
    set_role(stand, token_type="batch")
    stand.start_agent(grace="1s")
    stand.start_app()
    before, made, began = versions(stand), Made(stand), time.monotonic()
    with under_load(stand, "batch"):
        wait_for_other_version(stand, before["db"])
        assert time.monotonic() - began > 5
        wait_until("the old user's end", lambda: stand.users() == {user_of(stand)}, 15, step=0.1)
    assert (made.logins(), made.leases()) == (1, 1)
    assert versions(stand)["tls"] == before["tls"]
    assert not made.asked("auth/token/renew-self")


@side_by_side
def test_a_periodic_token_is_renewed_for_ever(stand):
    """Its max_ttl does not bind it, its leases stay."""
    stand.provision(**CALM, token_ttl="3s", token_max_ttl="5s")
    set_role(stand, token_period="3s")
    stand.start_agent()
    before, made = versions(stand), Made(stand)
    wait_until("five renewals", lambda: len(made.asked("auth/token/renew-self")) >= 5, 30, step=0.1)
    assert (made.logins(), made.leases()) == (0, 0)
    assert versions(stand) == before
    assert user_of(stand) in stand.users()


@side_by_side
def test_a_token_for_a_few_uses_is_refused_with_a_clear_word(stand):
    stand.provision(**CALM)
    set_role(stand, token_num_uses=10)
    agent, made = stand.make_agent(), Made(stand)
    agent.start(ready=False)
    wait_until("the refusal in the status", lambda: agent.health() == 503
               and "token_num_uses = 0" in agent.status()["token"]["error"], 10, step=0.1)
    assert "10 times only" in agent.status()["token"]["error"]
    assert (made.logins(), made.leases()) == (1, 0)


def start_refused(stand, wrong):
    """An agent whose file `wrong` holds another identifier, refused at its first login. Return: (agent, what is right, made)."""
    stand.provision(**CALM)
    agent, made = stand.make_agent(wrapped=False), Made(stand)
    agent.write_config()
    agent.write_credentials()
    with open(os.path.join(agent.conf, wrong), encoding="ascii") as f:
        right = f.read()
    put_file(agent, wrong, "11111111-2222-3333-4444-555555555555")
    agent.launch()
    wait_for_log(agent, "invalid role or secret ID")
    return agent, right, made


@side_by_side
def test_a_secret_id_file_that_changes_after_a_refusal_is_used_at_once(stand):
    """Rule 8: refused ones are not repeated, new ones do not wait."""
    agent, _, made = start_refused(stand, "secret-id")
    put_file(agent, "secret-id", provision.secret_id(stand.vault, stand.names))
    began = time.monotonic()
    agent.wait_ready(10)
    assert time.monotonic() - began < 3
    assert (made.logins(), made.leases()) == (1, 1)


@side_by_side
def test_a_role_id_file_that_is_corrected_after_a_refusal_is_used_at_once(stand):
    """Rule 8: the role-id is as easily wrong as the secret-id, and Vault does not say which of them was."""
    agent, right, made = start_refused(stand, "role-id")
    put_file(agent, "role-id", right)
    agent.wait_ready(10)
    assert (made.logins(), made.leases()) == (1, 1)


def set_policy(stand, without):
    """The policy of provision.py less one path."""
    lines = [line for line in provision.policy_text(stand.names).splitlines() if f'path "{without}"' not in line]
    stand.vault.call("PUT", f"sys/policies/acl/{stand.names.policy}", {"policy": "\n".join(lines)})


@side_by_side
def test_a_token_that_may_not_renew_itself_is_replaced_before_it_ends(stand):
    """Rules 6, 7: the token lives, its policy forbids that one path: another login in time, and nothing fails."""
    stand.provision(**CALM, token_ttl="8s", token_max_ttl="1h")
    set_policy(stand, without="auth/token/renew-self")
    stand.start_agent(grace="1s")
    stand.start_app()
    before, old, made = versions(stand), accessor(stand), Made(stand)
    with under_load(stand, "no-renew-self"):
        wait_until("another token", lambda: accessor(stand) != old, 10, 0.05)
        wait_for_other_version(stand, before["db"])
        wait_until("the old one to be gone", lambda: not token_lives(stand, old), 10, 0.05)
        assert (made.logins(), made.leases()) == (1, 1)
    wait_for_log(stand.agent, 'path "auth/token/renew-self"')
    assert versions(stand)["tls"] == before["tls"]


@side_by_side
def test_a_token_that_may_not_look_itself_up(stand):
    """Rule 7: said once; a 403 does not condemn it, a failed renewal leads to one login."""
    stand.provision(**CALM, token_ttl="6s", token_max_ttl="1h")
    set_policy(stand, without="auth/token/lookup-self")
    stand.start_agent(grace="1s")
    wait_for_log(stand.agent, 'path "auth/token/lookup-self"')
    user, made = user_of(stand), Made(stand)
    wait_until("a renewal", lambda: made.asked("auth/token/renew-self"), 10, 0.1)
    assert (made.logins(), made.leases()) == (0, 0)
    stand.vault.write("auth/token/revoke-accessor", {"accessor": accessor(stand)})
    wait_until("another user", lambda: stand.agent.health() == 200 and user_of(stand) != user, 15, 0.1)
    wait_until("a user that lives", lambda: user_of(stand) in stand.users(), 10)
    assert (made.logins(), made.leases()) == (1, 1)


@pytest.mark.smoke
@side_by_side
def test_a_swapped_wrapping_token_is_not_unwrapped_and_what_is_kept_stays_good(stand):
    """It was made for something else: said, dropped, no login counted as refused; the kept secret-id still logs in."""
    stand.provision(**CALM).start_agent()
    old, made = accessor(stand), Made(stand)
    other = stand.vault.call("GET", stand.names.kv1_path, headers={"X-Vault-Wrap-TTL": "60s"})["wrap_info"]["token"]
    put_file(stand.agent, "secret-id", other)
    wait_for_log(stand.agent, "may have been swapped; not unwrapped")
    assert stand.vault.with_token(other).raw("POST", "sys/wrapping/unwrap")[0] == 200
    assert stand.agent.status()["token"]["login_refusals"] == 0
    stand.vault.write("auth/token/revoke-accessor", {"accessor": old})
    stand.agent.ask("POST", "/agent/v1/rotate/db")
    wait_until("another token", lambda: accessor(stand) != old, 10, 0.05)
    stand.agent.wait_ready()
    wait_until("a database user that lives", lambda: user_of(stand) in stand.users(), 10)
    assert (made.logins(), made.leases()) == (1, 1)


@side_by_side
def test_a_token_that_may_not_revoke_leases_leaves_them_to_their_end(stand):
    """Rule 16: said once; replacing goes on."""
    stand.provision(default_ttl="6s", max_ttl="6s", quota=False)
    set_policy(stand, without="sys/leases/revoke")
    stand.start_agent(grace="1s")
    first = stand.secret("db")
    second = wait_for_other_version(stand, first["version"])
    wait_for_log(stand.agent, 'path "sys/leases/revoke"')
    wait_for_other_version(stand, second)
    assert stand.agent.process.log_text().count('path "sys/leases/revoke"') == 1
    wait_until("the first user's own end", lambda: first["data"]["username"] not in stand.users(), 10, step=0.1)
