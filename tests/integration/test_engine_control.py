"""Rules 14 and 16: signals, another configuration, the ways to end."""

import os
import signal
import subprocess
import time

import pytest

from conftest import LOG_DIR
from daemons import bin_dir
from lease_support import (CALM, Made, accessor, block, put_file, reload, run_leasekeeperd, run_together, side_by_side,
                           token_lives, under_load, user_of, version_of, versions, wait_for_log, wait_for_other_version)
from servers import wait_until

BROKEN = "secret \"db\" { path = 7\n"


@pytest.fixture(scope="module")
def together(request, scratch, pair):
    yield from run_together(request, scratch, pair, LOG_DIR)


def more_secret(stand):
    return block(stand, "more", stand.names.kv2_path)


def break_config(agent):
    put_file(agent, os.path.basename(agent.config_file), BROKEN)


@side_by_side
def test_a_reload_applies_the_difference_alone(stand):
    """Untouched secrets keep their version and cause no request; the added one is there."""
    stand.start(CALM)
    before, made = versions(stand), Made(stand)
    with under_load(stand, "reload"):
        stand.agent.config.secrets = more_secret(stand)
        answer = reload(stand.agent)
        assert answer.status == 200, answer.text
        wait_until("the added secret", lambda: version_of(stand, "more"), 10)
    after = versions(stand)
    assert {name: after[name] for name in before} == before
    assert made.asked() == [("read", stand.names.kv2_path)]
    assert stand.secret("more")["data"] == stand.dbinfo()


@side_by_side
def test_on_hup_reload_leaves_out_the_replacing(stand):
    stand.provision(**CALM).start_agent(top_extra='on_hup = "reload"')
    before, made = versions(stand), Made(stand)
    stand.agent.config.secrets = more_secret(stand)
    stand.agent.write_config()
    stand.agent.process.send(signal.SIGHUP)
    wait_until("the added secret", lambda: versions(stand).get("more"), 10)
    after = versions(stand)
    assert {name: after[name] for name in before} == before
    assert made.asked() == [("read", stand.names.kv2_path)]


@side_by_side
def test_sighup_reads_the_difference_and_then_replaces(stand):
    stand.start(CALM, grace="2s")
    before, user, made = versions(stand), user_of(stand), Made(stand)
    with under_load(stand, "hup"):
        stand.agent.config.secrets = more_secret(stand)
        stand.agent.write_config()
        stand.agent.process.send(signal.SIGHUP)
        wait_for_other_version(stand, before["db"], "db")
        wait_for_other_version(stand, before["tls"], "tls")
        wait_until("the added secret", lambda: versions(stand).get("more"), 10)
        wait_until("the old user's end", lambda: user not in stand.users(), 15, 0.1)
    assert versions(stand)["dbinfo"] == before["dbinfo"]
    assert (made.logins(), made.leases()) == (0, 1)


@side_by_side
def test_sigusr1_replaces_without_reading_the_configuration(stand):
    stand.start(CALM, grace="2s")
    before, made = versions(stand), Made(stand)
    break_config(stand.agent)
    with under_load(stand, "usr1"):
        stand.agent.process.send(signal.SIGUSR1)
        wait_for_other_version(stand, before["db"], "db")
        wait_for_other_version(stand, before["tls"], "tls")
    assert versions(stand)["dbinfo"] == before["dbinfo"]
    assert (made.logins(), made.leases()) == (0, 1)
    assert stand.agent.ask("GET", "/agent/v1/health").json() == {"status": "ok", "reasons": []}


@pytest.mark.smoke
@side_by_side
def test_a_bad_configuration_is_refused_as_a_whole(stand):
    """By SIGHUP and by reload: nothing changes, nothing is replaced; log, status and the answer say so."""
    stand.provision(**CALM).start_agent()
    agent, before, made = stand.agent, versions(stand), Made(stand)
    agent.config.secrets = more_secret(stand) + more_secret(stand)  # twice the same name
    answer = reload(agent)
    assert answer.status == 400
    assert "more" in answer.json()["errors"][0] and "agent.hcl:" in answer.json()["errors"][0]
    agent.config.secrets = more_secret(stand) + "no_such_key = 1\n"
    agent.write_config()
    agent.process.send(signal.SIGHUP)
    wait_until("it in the status", lambda: any(
        "no_such_key" in reason for reason in agent.status()["health"]["reasons"]), 10, 0.1)
    assert agent.status()["health"]["status"] == "degraded"
    assert agent.health() == 200
    wait_for_log(agent, "nothing has changed")
    assert versions(stand) == before
    assert not made.asked()
    agent.config.secrets = ""
    assert reload(agent).status == 200
    assert agent.status()["health"] == {"status": "ok", "reasons": []}


@side_by_side
def test_another_vault_needs_a_restart(stand):
    stand.provision(**CALM).start_agent()
    before, made = versions(stand), Made(stand)
    text = stand.agent.config_text().replace('mount_path = "auth/approle"', 'mount_path = "auth/other"')
    put_file(stand.agent, "agent.hcl", text)
    answer = stand.agent.ask("POST", "/agent/v1/reload")
    assert answer.status == 400
    assert "needs a restart" in answer.text
    assert versions(stand) == before
    assert not made.asked()


@side_by_side
def test_a_reload_tells_what_waits_for_a_restart(stand):
    """Each time, until the restart or the old text; all else is in force."""
    agent = stand.provision(**CALM).start_agent()
    before, text = versions(stand), agent.config_text()
    assert reload(agent).json() == {"warnings": []}
    put_file(agent, "agent.hcl", text.replace("vault {", "vault {\n  rate_limit = 50", 1)
             + 'listener "tcp" { address = "127.0.0.1:1" role = "metrics_only" }\n')
    for _ in range(2):
        answer = agent.ask("POST", "/agent/v1/reload")
        assert answer.status == 200
        vault, listeners = answer.json()["warnings"]
        assert "vault block" in vault and "restart" in vault
        assert "listeners" in listeners and "restart" in listeners
        for warning in (vault, listeners):
            wait_for_log(agent, warning)
    told = subprocess.run([os.path.join(bin_dir(), "leasekeeper"), "-socket", agent.socket, "reload"], check=False,
                          capture_output=True, text=True)
    assert told.returncode == 0 and vault in told.stdout and listeners in told.stdout
    put_file(agent, "agent.hcl", text)
    assert agent.ask("POST", "/agent/v1/reload").json() == {"warnings": []}
    assert versions(stand) == before


@pytest.mark.smoke
@side_by_side
def test_a_removed_secret_is_lost_unlinked_and_revoked(stand):
    """Its readers are told, its files go at once, its lease after g; the others are not touched."""
    stand.provision(**CALM)
    agent = stand.make_agent(grace="2s")
    path = os.path.join(agent.out, "second.json")
    agent.config.secrets = block(stand, "second", stand.names.creds_path, 'grace = "2s"',
                                 f'file "{path}" {{ format = "json" }}')
    agent.start()
    before, user, made = versions(stand), stand.secret("second")["data"]["username"], Made(stand)
    watch = stand.watch("second", consumer="watcher")
    watch.wait_for_version("second", 1)
    assert os.path.exists(path)
    agent.config.secrets = ""
    removed = time.monotonic()
    assert reload(agent).status == 200
    wait_until("the word to its reader", lambda: watch.of("lost", "second"), 5)
    assert watch.of("lost", "second")[0]["reason"] == "removed"
    assert not os.path.exists(path)
    assert stand.app_peer.ask(agent.socket, "GET", "/agent/v1/secrets/second").status == 403
    assert user in stand.users()
    wait_until("the end of its user", lambda: user not in stand.users(), 10, 0.05)
    assert time.monotonic() - removed > 1.5
    wait_until("its file in the state to go", lambda: "secret-second.json" not in os.listdir(agent.state), 5)
    after = versions(stand)
    assert after == {name: before[name] for name in after}
    assert made.asked() == [("update", "sys/leases/revoke")]


@pytest.mark.root
@side_by_side
def test_a_right_that_is_taken_away_closes_the_stream_at_once(stand):
    """The stream of who lost it ends; that of who kept his goes on."""
    stand.provision(**CALM)
    agent = stand.make_agent(secrets=block(stand, "shared", stand.names.kv1_path,
                                           f'allow {{ user = "{stand.ids.stranger}" }}')).start()
    loser = stand.watch("shared", consumer="loser", peer=stand.stranger)
    keeper = stand.watch("shared", consumer="keeper")
    loser.wait_for_version("shared", 1)
    keeper.wait_for_version("shared", 1)
    agent.config.secrets = block(stand, "shared", stand.names.kv1_path)
    assert reload(agent).status == 200
    wait_until("the end of the stream", lambda: loser.events[-1]["event"] == "end", 3)
    assert stand.stranger.ask(agent.socket, "GET", "/agent/v1/secrets/shared").status == 403
    assert keeper.events[-1]["event"] != "end"
    assert stand.app_peer.ask(agent.socket, "GET", "/agent/v1/secrets/shared").status == 200


@side_by_side
def test_on_stop_keep_leaves_lease_token_and_files(stand):
    stand.provision(**CALM)
    agent = stand.make_agent()
    path = os.path.join(agent.out, "db.json")
    agent.config.db_extra = f'file "{path}" {{ format = "json" }}'
    agent.start()
    user, token, made = user_of(stand), accessor(stand), Made(stand)
    began = time.monotonic()
    assert agent.stop() == 0
    assert time.monotonic() - began < 3
    assert stand.users() == {user}
    assert token_lives(stand, token)
    assert os.path.exists(path)
    assert not made.asked()


@pytest.mark.smoke
@side_by_side
def test_on_stop_revoke_leaves_nothing(stand):
    """Streams are told, files unlinked, token and lease revoked, the state removed; the next start is a new life."""
    stand.provision(**CALM)
    agent = stand.make_agent(wrapped=False)
    agent.config.top_extra = 'on_stop = "revoke"'
    path = os.path.join(agent.out, "db.json")
    agent.config.db_extra = f'file "{path}" {{ format = "json" }}'
    agent.start()
    version, token, made = version_of(stand), accessor(stand), Made(stand)
    watch = stand.watch("db", "tls")
    watch.wait_for_version("tls", 1)
    code, said = run_leasekeeperd(agent, "-check")
    assert code == 0
    assert "on_stop" in said, "-check must warn that a restart is an outage"
    began = time.monotonic()
    agent.process.send(signal.SIGTERM)
    assert agent.process.popen.wait(15) == 0
    assert time.monotonic() - began < 10
    for name in ("db", "tls"):
        assert [lost["reason"] for lost in watch.of("lost", name)] == ["agent stopping"]
    assert not os.path.exists(path)
    assert not [name for name in os.listdir(agent.state) if name.endswith(".json")]
    assert not token_lives(stand, token)
    wait_until("no database user", lambda: not stand.users(), 5)
    agent.launch()
    agent.wait_ready()
    assert version_of(stand) > version
    assert (made.logins(), made.leases()) == (1, 1)


@side_by_side
def test_exit_after_auth(stand):
    """0 once everything is published to the outputs; 1 where the login is refused."""
    stand.provision(**CALM)
    agent = stand.make_agent(wrapped=False)
    path = os.path.join(agent.out, "db.json")
    agent.config.db_extra = f'file "{path}" {{ format = "json" }}'
    agent.write_config()
    agent.write_credentials()
    made = Made(stand)
    code, said = run_leasekeeperd(agent, "-exit-after-auth")
    assert code == 0, said
    assert os.path.exists(path)
    assert (made.logins(), made.leases()) == (1, 1)
    # The token is taken away: only a login helps, and that is refused.
    stand.vault.call("DELETE", f"auth/approle/role/{stand.names.role}")
    for name in os.listdir(agent.state):
        if name.endswith(".json"):
            os.unlink(os.path.join(agent.state, name))
    code, said = run_leasekeeperd(agent, "-exit-after-auth")
    assert code == 1, said
    assert "refused" in said
