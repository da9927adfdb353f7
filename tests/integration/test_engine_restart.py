"""Rule 10: a restart is not a new life. The agent is killed, stopped, started; what it saved is what goes on."""

import json
import os
import signal
import subprocess
import time

import pytest

import provision

from conftest import LOG_DIR
from lease_support import (CALM, Made, accessor, block, put_file, relaunch, run_leasekeeperd, run_together,
                           side_by_side, status_of, token_lives, under_load, user_of, version_of, versions,
                           wait_for_log, wait_for_only_user, wait_for_other_version)
from servers import wait_until

KILLS = 50


@pytest.fixture(scope="module")
def together(request, scratch, pair):
    yield from run_together(request, scratch, pair, LOG_DIR)


def kill_often(agent, pauses):
    """kill -9 at every moment of a start: before the socket is there, while Vault is asked, when all is calm."""
    for i in range(KILLS):
        agent.stop(signal.SIGKILL)
        agent.launch()
        time.sleep(pauses[i % len(pauses)])
        if i % 10 == 9:
            agent.wait_ready()
    agent.wait_ready()


@side_by_side
def test_killed_fifty_times_with_a_lease_of_an_hour(stand):
    """No login, no lease, no failed request; the same versions, the same database user."""
    stand.start(CALM)
    before, user, made = versions(stand), user_of(stand), Made(stand)
    with under_load(stand, "killed"):
        kill_often(stand.agent, [0, 0.02, 0.05, 0.1, 0.2, 0.4])
    assert (made.logins(), made.leases()) == (0, 0)
    assert versions(stand) == before
    assert stand.users() == {user}


@side_by_side
def test_killed_fifty_times_with_a_role_of_10_s_and_30_s(stand):
    """No login; leases: those that were due, and at most one more for a kill between Vault's answer and the saving."""
    stand.start({"default_ttl": "10s", "max_ttl": "30s", "quota": False})
    made, began = Made(stand), time.monotonic()
    with under_load(stand, "killed-short"):
        kill_often(stand.agent, [0.05, 0.3, 0.6, 0.9, 1.2, 1.5])
        # A lease is replaced when a fifth and a tenth of 10 s are left of its 30 s.
        due = int((time.monotonic() - began) / 26.5) + 1
    assert made.logins() == 0
    assert 1 <= made.leases() <= due + 1, f"{made.leases()} leases, {due} due"


@pytest.mark.smoke
@side_by_side
def test_stop_and_start_adopts_everything(stand):
    """Five times SIGTERM and start, the last with another configuration for other secrets: 0 logins, 0 leases."""
    stand.start(CALM)
    before, made = versions(stand), Made(stand)
    assert not os.path.exists(os.path.join(stand.agent.conf, "secret-id"))
    with under_load(stand, "stopped"):
        for _ in range(5):
            assert stand.agent.stop() == 0
            relaunch(stand.agent)
        assert stand.agent.stop() == 0
        stand.agent.config.secrets = block(stand, "more", stand.names.kv2_path)
        stand.agent.config.refresh = "10m"
        stand.agent.write_config()
        relaunch(stand.agent)
        wait_until("the added secret", lambda: version_of(stand, "more"))
    after = versions(stand)
    assert {name: after[name] for name in before} == before
    assert (made.logins(), made.leases()) == (0, 0)
    assert stand.secret("more")["data"] == stand.dbinfo()


@pytest.mark.smoke
@side_by_side
def test_what_ended_while_nobody_was_there_is_not_served(stand):
    """Down for longer than the lease: one new lease under the saved token, and no login."""
    stand.provision(default_ttl="3s", max_ttl="6s", quota=False).start_agent()
    first, made = stand.secret("db"), Made(stand)
    stand.agent.stop(signal.SIGKILL)
    wait_until("the database user's end", lambda: first["data"]["username"] not in stand.users(), 15)
    relaunch(stand.agent)
    second = stand.secret("db")
    assert second["version"] > first["version"]
    assert second["data"]["username"] in stand.users()
    assert (made.logins(), made.leases()) == (0, 1)


@side_by_side
def test_a_restart_with_nothing_but_the_state_logs_in_again(stand):
    """The wrapped secret-id is gone, the token is revoked: what the state holds is enough (rule 8)."""
    stand.provision(**CALM).start_agent()
    token = accessor(stand)
    assert stand.agent.stop() == 0
    assert not os.path.exists(os.path.join(stand.agent.conf, "secret-id"))
    stand.vault.write("auth/token/revoke-accessor", {"accessor": token})
    made = Made(stand)
    stand.agent.launch()
    wait_until("another token", lambda: stand.agent.health() and accessor(stand) not in ("", token), 15)
    stand.agent.wait_ready()
    wait_until("a database user that lives", lambda: user_of(stand) in stand.users(), 15)
    assert (made.logins(), made.leases()) == (1, 1)


@side_by_side
def test_a_restart_forgets_no_reader(stand):
    """Somebody without a name read the version: killed and started, the agent still gives him the whole grace."""
    stand.provision(**CALM).start_agent(grace="5s")
    user = stand.app_peer.ask(stand.agent.socket, "GET", "/agent/v1/secrets/db").json()["data"]["username"]
    stand.agent.stop(signal.SIGKILL)
    relaunch(stand.agent)
    watch = stand.watch("db")
    first = watch.wait_for_version("db", 1)
    assert first["data"]["username"] == user
    assert stand.agent.ask("POST", "/agent/v1/rotate/db").status == 202
    watch.wait_for_version("db", 2)
    began = time.monotonic()
    wait_until("the old user's end", lambda: user not in stand.users(), 20, 0.1)
    assert time.monotonic() - began > 3


@side_by_side
def test_a_second_agent_on_the_same_state_is_refused(stand):
    stand.provision(**CALM).start_agent()
    before, made = versions(stand), Made(stand)
    code, said = run_leasekeeperd(stand.agent)
    assert code == 1
    assert "another leasekeeperd runs on this state" in said
    assert stand.agent.health() == 200
    assert versions(stand) == before
    assert not made.asked()


@side_by_side
def test_a_secret_that_is_gone_from_the_configuration_after_a_restart(stand):
    """Not served again; its lease is revoked after g, which the new life counts anew."""
    stand.provision(**CALM)
    agent = stand.make_agent(secrets=block(stand, "second", stand.names.creds_path, 'grace = "2s"'))
    agent.start()
    before, user, made = versions(stand), stand.secret("second")["data"]["username"], Made(stand)
    assert agent.stop() == 0
    agent.config.secrets = ""
    agent.write_config()
    relaunch(agent)
    assert stand.app_peer.ask(agent.socket, "GET", "/agent/v1/secrets/second").status == 403
    wait_until("the end of its user", lambda: user not in stand.users(), 10, 0.1)
    after = versions(stand)
    assert after == {name: before[name] for name in after}
    assert (made.logins(), made.leases()) == (0, 0)
    wait_until("its file in the state to go", lambda: "secret-second.json" not in os.listdir(agent.state), 5)


@side_by_side
def test_other_parameters_after_a_restart_replace_what_was_saved(stand):
    """Served until the new one is there; what did not change is adopted as it is."""
    stand.start(CALM)
    before, made = versions(stand), Made(stand)
    serial = stand.secret("tls")["data"]["serial_number"]
    with under_load(stand, "parameters"):
        assert stand.agent.stop() == 0
        text = stand.agent.config_text().replace('alt_names = ["localhost"]', "alt_names = []")
        stand.agent.config_text = lambda: text
        stand.agent.write_config()
        relaunch(stand.agent)
        wait_for_other_version(stand, before["tls"], "tls")
    after = versions(stand)
    assert stand.secret("tls")["data"]["serial_number"] != serial
    assert (after["db"], after["dbinfo"]) == (before["db"], before["dbinfo"])
    assert (made.logins(), made.leases()) == (0, 0)


def damage(agent, name):
    with open(os.path.join(agent.state, name), "r+b") as f:
        f.seek(os.path.getsize(f.name) // 2)
        f.truncate()


@pytest.mark.smoke
@side_by_side
def test_a_damaged_file_of_the_state_is_set_aside_alone(stand):
    """A secret's file: that secret is minted anew. The tokens' file: one login, and leases are replaced under it."""
    stand.start(CALM, wrapped=False, grace="2s")
    before, made = versions(stand), Made(stand)
    stand.agent.stop(signal.SIGKILL)
    damage(stand.agent, "secret-db.json")
    relaunch(stand.agent)
    after = versions(stand)
    assert after["db"] > before["db"]
    assert (after["dbinfo"], after["tls"]) == (before["dbinfo"], before["tls"])
    assert (made.logins(), made.leases()) == (0, 1)
    assert os.path.exists(os.path.join(stand.agent.state, "secret-db.json.aside"))
    wait_for_log(stand.agent, "secret-db.json: damaged; set aside")

    with under_load(stand, "tokens-damaged"):
        stand.agent.stop(signal.SIGKILL)
        damage(stand.agent, "tokens.json")
        stand.agent.launch()
        wait_until("the saved versions, at once", lambda: stand.agent.health() == 200, 5)
        wait_for_other_version(stand, after["db"])
    assert (made.logins(), made.leases()) == (1, 2)
    assert versions(stand)["tls"] == before["tls"]
    assert os.path.exists(os.path.join(stand.agent.state, "tokens.json.aside"))


@pytest.mark.root
@side_by_side
def test_an_agent_that_cannot_save_says_so_and_does_not_mint(stand):
    stand.provision(**CALM)
    agent = stand.make_agent()
    os.mkdir(agent.state)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=256k,mode=700,uid={agent.uid},gid={agent.uid}",
                            "tmpfs", agent.state], capture_output=True, text=True, check=False)
    if mount.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mount.stderr.strip()}")
    try:
        agent.start()
        before, made = versions(stand), Made(stand)
        filler = os.path.join(agent.state, "filler")
        with open(filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(4096))
            except OSError:
                pass
        agent.ask("POST", "/agent/v1/rotate")
        wait_for_log(agent, "the state cannot be written")
        wait_until("it in the status", lambda: "cannot be written" in (status_of(agent, "db")["last_error"] or ""), 10)
        health = agent.ask("GET", "/agent/v1/health")
        assert health.status == 200 and health.json()["status"] == "degraded"
        assert any(reason.startswith("state: it cannot be written") for reason in health.json()["reasons"])
        assert stand.secret("db")["version"] == before["db"]
        assert made.leases() == 0
        os.unlink(filler)
        wait_for_other_version(stand, before["db"])
        wait_for_log(agent, "the state can be written again")
        assert made.leases() == 1
        assert agent.stop() == 0
    finally:
        stand.stop()
        subprocess.run(["umount", "-l", agent.state], check=False)


@side_by_side
def test_a_wrapped_secret_id_that_comes_early_is_unwrapped_at_once_and_kept(stand):
    """Rule 8: it is used when a login is due, which may be long after the wrapping has run out."""
    stand.provision(**CALM).start_agent()
    token, made = accessor(stand), Made(stand)
    old = [key for key in stand.vault.call("LIST", stand.names.secret_id_path)["data"]["keys"]]
    before = saved_secret_id(stand.agent)
    put_file(stand.agent, "secret-id", provision.wrapped_secret_id(stand.vault, stand.names, ttl="5s"))
    wait_for_log(stand.agent, "new login credentials were read")
    wait_until("the unwrapped secret-id in the state", lambda: saved_secret_id(stand.agent) not in (None, before), 5)
    assert made.logins() == 0
    # What was there before is of no use any more: only the new one can log in.
    for key in old:
        stand.vault.write(stand.names.secret_id_path + "-accessor/destroy", {"secret_id_accessor": key})
    stand.agent.stop(signal.SIGKILL)
    stand.vault.write("auth/token/revoke-accessor", {"accessor": token})
    stand.agent.launch()
    wait_until("a living token", lambda: stand.agent.health() and accessor(stand) not in ("", token)
               and token_lives(stand, accessor(stand)), 15)
    assert made.logins() == 1
    wait_until("its file to be removed", lambda: not os.path.exists(os.path.join(stand.agent.conf, "secret-id")), 5)
    wait_until("a user that lives", lambda: stand.agent.health() == 200 and user_of(stand) in stand.users(), 15)
    wait_for_only_user(stand, user_of(stand))


def saved_secret_id(agent):
    """Return: the unwrapped one; None: there is none, or another waits to be unwrapped."""
    with open(os.path.join(agent.state, "tokens.json"), encoding="utf-8") as f:
        saved = json.load(f)["content"]
    return None if saved.get("wrapping") else saved.get("kept")
