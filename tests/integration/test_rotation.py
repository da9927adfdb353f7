"""The main promise: credentials are replaced, under load, and no request fails because of it."""

import datetime
import re
import signal
import threading
import time

import pytest

from load import Load
from servers import wait_until

# The sample's own role: 5 s, at most 10 s.
SAMPLE = {"default_ttl": "5s", "max_ttl": "10s", "quota": True}
CALM = {"default_ttl": "1h", "max_ttl": "24h"}


class UserLog:
    """Notes when each short-lived database user was last seen."""

    def __init__(self, stand):
        self.last_seen = {}
        self._stand = stand
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._ended.wait(0.1):
            began = time.time()
            for user in self._stand.users():
                self.last_seen[user] = began

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._ended.set()
        self._thread.join(10)


def unix_time(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_rotate_under_load(stand):
    """60 s with the sample's role and quota: nothing fails, users and certificates are replaced."""
    stand.start(SAMPLE, certificate_ttl="24s")
    watch = stand.watch("db", "tls")
    watch.wait_for_version("db", 1)
    with UserLog(stand) as users, Load(stand.app, name="rotate") as load:
        time.sleep(60)
        end = time.time()
    load.check(stand)

    versions = watch.secrets("db")
    replaced = [v for v in versions[:-1]]
    assert len(replaced) >= 5, f"{len(replaced)} database users were replaced"
    assert len(watch.secrets("tls")) >= 3, "less than 2 certificates were replaced"
    assert len(load.serials) >= 3, f"clients saw {len(load.serials)} certificates"
    assert stand.throttled() == 0
    for version in replaced:
        user, expiry = version["data"]["username"], unix_time(version["expires_at"])
        seen = users.last_seen.get(user, 0)
        assert seen < min(expiry, end), f"{user} was still there {seen - expiry:+.1f} s from the end of its lease"
    assert not watch.of("lost", "db")


def user_of(stand):
    return stand.secret("db")["data"]["username"]


def versions(stand):
    return {name: stand.secret(name)["version"] for name in ("db", "dbinfo", "tls")}


def wait_for_new(stand, before, names, seconds=30):
    def all_new():
        now = stand.agent.versions()
        return all(now[name] != before[name] for name in names)
    wait_until(f"new versions of {names}", all_new, seconds)


def wait_gone(stand, user, seconds=30):
    wait_until(f"{user} to be gone", lambda: user not in stand.users(), seconds)


def test_sighup_to_the_agent_under_load(stand):
    """db and tls are new, the static secret is not, the old user is gone, nothing fails."""
    stand.start(CALM, grace="3s")
    before, user = versions(stand), user_of(stand)
    with Load(stand.app, each=1, name="hup") as load:
        time.sleep(1)
        stand.agent.process.send(signal.SIGHUP)
        wait_for_new(stand, before, ["db", "tls"])
        wait_gone(stand, user)
        time.sleep(2)
    load.check(stand)
    after = versions(stand)
    assert after["dbinfo"] == before["dbinfo"]
    assert stand.users() == {user_of(stand)}


def test_sighup_publishes_a_static_secret_whose_content_changed(stand):
    import provision
    stand.start(CALM)
    before = versions(stand)
    provision.write_dbinfo(stand.vault, stand.names, {**stand.dbinfo(), "note": "changed"})
    stand.agent.process.send(signal.SIGHUP)
    wait_for_new(stand, before, ["dbinfo"])
    assert stand.secret("dbinfo")["data"]["note"] == "changed"


@pytest.mark.smoke
def test_sighup_to_the_app_under_load(stand):
    """The app reads all again and swaps, even to the same version; nothing fails."""
    stand.start(CALM)
    before, user = versions(stand), user_of(stand)
    sessions = f"SELECT GROUP_CONCAT(ID ORDER BY ID) FROM information_schema.PROCESSLIST WHERE USER = '{user}'"
    old = stand.mariadb.sql(sessions)
    with Load(stand.app, each=1, name="app-hup") as load:
        time.sleep(1)
        stand.app.process.send(signal.SIGHUP)
        wait_until("other database sessions", lambda: not common(old, stand.mariadb.sql(sessions)))
        time.sleep(1)
    load.check(stand)
    assert versions(stand) == before


def common(one, other):
    return set(one[0][0].split(",")) & set(other[0][0].split(","))


def test_an_operators_rotate_under_load(stand):
    stand.start(CALM, grace="3s")
    before, user = versions(stand), user_of(stand)
    with Load(stand.app, each=1, name="rotate-now") as load:
        answer = stand.agent.ask("POST", "/agent/v1/rotate")
        assert answer.status == 202, answer.text
        assert set(answer.json()["rotating"]) >= {"db", "tls"}
        wait_for_new(stand, before, ["db", "tls"])
        wait_gone(stand, user)
        time.sleep(1)
    load.check(stand)


def test_rotate_of_one_secret_leaves_the_others(stand):
    stand.provision(**CALM).start_agent()
    before = versions(stand)
    assert stand.agent.ask("POST", "/agent/v1/rotate/tls").status == 202
    wait_for_new(stand, before, ["tls"])
    after = versions(stand)
    assert after["db"] == before["db"]
    assert stand.mints() == 1


@pytest.mark.smoke
def test_a_revocation_at_vault_is_survived(stand):
    """Somebody revokes the lease behind the agent's back: the app says so, the agent replaces it, the app recovers."""
    stand.start(CALM)
    user = user_of(stand)
    stand.app.add("before")
    stand.vault.write("sys/leases/revoke-prefix/" + stand.names.creds_path, {"sync": True})
    wait_until("the app to work again", lambda: stand.app.ask("GET", "/api/v1/notes").status == 200, 20)
    stand.app.add("after")
    assert user_of(stand) != user
    assert stand.table() == ["before", "after"]
    assert stand.mints() == 2


def test_a_renewal_keeps_the_version(stand):
    """Rule 1: renewing moves expires_at alone."""
    stand.provision(default_ttl="4s", max_ttl="1h", quota=False).start_agent()
    watch = stand.watch("db")
    first = watch.wait_for_version("db", 1)
    wait_until("two renewals", lambda: len(watch.of("lease", "db")) >= 2, 15)
    assert len(watch.secrets("db")) == 1
    assert unix_time(watch.secrets("db")[0]["expires_at"]) > unix_time(first["issued_at"]) + 4
    assert stand.mints() == 1


def test_the_old_user_goes_when_every_consumer_has_acknowledged(stand):
    """Rule 3: with named readers alone the old lease does not wait for its grace."""
    stand.provision(**CALM).start_agent(grace="5m")
    watch = stand.watch("db")
    first = watch.wait_for_version("db", 1)
    wait_until("the acknowledgement", lambda: stand.agent.health() == 200)
    stand.agent.ask("POST", "/agent/v1/rotate/db")
    watch.wait_for_version("db", 2)
    wait_gone(stand, first["data"]["username"], 10)


def test_a_read_without_a_name_holds_the_old_user_for_the_grace(stand):
    """Rule 3: who gave no name cannot acknowledge, so he is given the whole grace, whoever else has acknowledged."""
    stand.provision(**CALM).start_agent(grace="4s")
    watch = stand.watch("db")
    watch.wait_for_version("db", 1)
    answer = stand.app_peer.ask(stand.agent.socket, "GET", "/agent/v1/secrets/db")
    user = answer.json()["data"]["username"]
    stand.agent.ask("POST", "/agent/v1/rotate/db")
    watch.wait_for_version("db", 2)
    assert len(stand.users()) == 2
    began = time.monotonic()
    wait_gone(stand, user, 15)
    assert time.monotonic() - began > 2.5


def test_the_app_goes_on_while_the_agent_restarts(stand):
    stand.start(CALM)
    with Load(stand.app, each=1, name="restart") as load:
        assert stand.agent.stop() == 0
        time.sleep(2)
        stand.agent.write_credentials()
        stand.agent.launch()
        stand.agent.wait_ready()
        time.sleep(2)
    load.check(stand)
    page = stand.app.ask("GET", "/").text
    assert re.search(r"<form", page)


def test_the_app_survives_the_agents_death(stand):
    stand.start(CALM)
    with Load(stand.app, each=1, name="killed") as load:
        stand.agent.stop(signal.SIGKILL)
        time.sleep(1)
        stand.agent.write_credentials()
        stand.agent.launch()
        stand.agent.wait_ready()
        time.sleep(2)
    load.check(stand)


def test_outage_is_not_expiry(own_stand):
    """Rule 9: a sealed Vault changes nothing while the lease lives; unsealed, renewals go on."""
    stand = own_stand
    stand.start({"default_ttl": "12s", "max_ttl": "1h", "quota": False})
    version = stand.secret("db")["version"]
    with Load(stand.app, each=1, name="sealed") as load:
        stand.bao.seal()
        wait_until("the secret to be stale", lambda: stand.secret("db")["stale"], 12)
        stand.bao.unseal()
        wait_until("the secret to be fresh", lambda: not stand.secret("db")["stale"], 12)
        time.sleep(1)
    load.check(stand)
    assert stand.secret("db")["version"] == version
