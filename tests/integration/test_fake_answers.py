"""What Vault, or what stands in front of it, may answer: the real daemon against a Vault that misbehaves on cue."""

import gzip
import json
import os
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fakes"))

from daemons import bin_dir  # noqa: E402
from scene import all_scenes, forever, scene_of, secret  # noqa: E402
from servers import wait_until  # noqa: E402


@pytest.fixture(scope="session")
def scenes(request, scratch):
    return all_scenes(request, scratch)


def changed(**fields):
    """A reply: the usual one with other fields; one that is `...` is left out."""
    def edit(content):
        content = {**content, **fields}
        return {key: value for key, value in content.items() if value is not ...}
    return {"usual": True, "edit": edit}


def twice(key):
    """A reply with a key in it twice."""
    def edit(content):
        text = json.dumps(content)
        return text[:-1] + f', "{key}": {json.dumps(content[key])}' + "}"
    return {"usual": True, "edit": edit}


PROXY_PAGE = {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<html><body>Please log in</body></html>"}
BOMB = {"headers": {"Content-Encoding": "gzip"}, "body": gzip.compress(b"x" * (8 << 20))}

# What cannot be used as new credentials, and as the answer to a renewal.
BAD_MINTS = {
    "no-json": {"body": "this is not JSON"},
    "array": {"body": "[1, 2, 3]"},
    "empty": {"body": ""},
    "nothing": {"status": 204},
    "twice": twice("lease_duration"),
    "deep": {"body": '{"data":' + "[" * 3000 + "]" * 3000 + "}"},
    "nul": {"body": '{"data": {"password": "a\0b"}}'},
    "nul-escape": changed(data={"password": "a\0b"}),
    "zero": changed(lease_duration=0),
    "negative": changed(lease_duration=-5),
    "huge-number": changed(lease_duration=2 ** 63),
    "eleven-years": changed(lease_duration=11 * 366 * 86400),
    "text-number": changed(lease_duration="3600"),
    "fraction": changed(lease_duration=3600.5),
    "no-duration": changed(lease_duration=...),
    "id-number": changed(lease_id=17),
    "no-data": changed(data=...),
    "null-data": changed(data=None),
    "data-array": changed(data=["a"]),
    "long": {"huge": 2 << 20},
    "long-chunked": {"huge": 2 << 20, "chunked": True},
    "gibibyte": {"huge": 1 << 30, "chunked": True},
    "gibibyte-said": {"huge": 1 << 30},
    "long-head": {"huge_head": 200000, "usual": True},
    "gzip-bomb": BOMB,
    "proxy-page": PROXY_PAGE,
}
BAD_WIRE = {
    "cut-body": {"usual": True, "cut": "body"},
    "reset-body": {"usual": True, "reset": "body"},
    "reset-head": {"usual": True, "reset": "head"},
    "reset-request": {"reset": "request"},
    "raw": {"raw": "SSH-2.0-OpenSSH_9.2\r\n"},
    "two-lengths": {"raw": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 900\r\n\r\n{}"},
    "status-line": {"raw": "HTTP/1.1 2000 OK\r\n\r\n"},
}
REFUSALS = {
    "bad-request": {"status": 400, "body": {"errors": ["no"]}},
    "odd-errors": {"status": 400, "body": {"errors": {"a": [None, 3]}}},
    "no-errors": {"status": 400, "body": "nope"},
    "missing": {"status": 404, "body": {"errors": []}},
    "teapot": {"status": 418, "body": "\x1b[31mred"},
    "consistency": {"status": 412, "body": {"errors": ["required index state not present"]}},
    "secondary": {"status": 472, "body": {"errors": []}},
    "standby": {"status": 473, "body": {"errors": []}},
    "broken": {"status": 500, "body": {"errors": ["1 error occurred:\n\t* internal error\n\n"]}},
    "gateway": {"status": 502, "headers": {"Content-Type": "text/html"}, "body": "<html>502 Bad Gateway</html>"},
    "gateway-timeout": {"status": 504, "body": "upstream timed out"},
    "odd-status": {"status": 999, "body": "?"},
}
QUICK = {k: v for k, v in REFUSALS.items() if v["status"] >= 412 and v["status"] != 418}


def start_with(scene, names, *lines):
    scene.start(*(secret(name, None, "mint_burst = 100", 'verify = "0"', *lines) for name in names))
    return scene.versions(), {name: scene.data(name)["data"] for name in names}


def still_there(scene, before, contents):
    assert scene.versions() == before
    for name, content in contents.items():
        assert scene.data(name)["data"] == content, name


def mint_badly(scene, replies, recovers):
    """Each is asked for a new version and gets a bad answer: the old one stays, the next tries are apart, then all is well."""
    names = list(replies)
    before, contents = start_with(scene, names)
    for name, reply in replies.items():
        scene.vault.script(f"database/creds/{name}", forever(reply))
    began = time.monotonic()
    with scene.calm(0.5):
        scene.rotate(*names)
        for name in names:
            scene.vault.wait_for(f"database/creds/{name}", 2, 30)  # the first one was good
            scene.wait_status(name, "an error", lambda s: s["last_error"], 30)
        wait_until("three seconds", lambda: time.monotonic() > began + 3, 5)
        still_there(scene, before, contents)
    failing = time.monotonic() - began
    for name in names:
        # At least 0.1, 0.2, 0.4, 0.8, 1.5 s apart, and thrice that as a rule, where it is tried again soon at all.
        tries = scene.metric(f'leasekeeper_mints_total{{secret="{name}"}}') - 1
        assert 1 <= tries <= 6 + failing / 1.5, (name, tries)
    assert scene.health()["status"] == "degraded"
    for name in names:
        scene.vault.script(f"database/creds/{name}", [])
    if recovers:
        for name in names:
            scene.wait_other(name, before[name], 2 * 2 * failing + 10)
        scene.wait_good()


@scene_of
def test_a_mint_that_cannot_be_used_changes_nothing(scene):
    mint_badly(scene, BAD_MINTS, recovers=True)


@scene_of
def test_a_mint_that_breaks_on_the_wire_changes_nothing(scene):
    """And no path that breaks makes the whole Vault pass for away."""
    mint_badly(scene, BAD_WIRE, recovers=True)
    assert "answers again" not in scene.agent.process.log_text()


@scene_of
def test_a_mint_that_is_refused_changes_nothing(scene):
    mint_badly(scene, {k: v for k, v in REFUSALS.items() if k not in QUICK}, recovers=False)


@scene_of
def test_a_mint_that_fails_for_a_while_changes_nothing(scene):
    mint_badly(scene, QUICK, recovers=True)


@scene_of
def test_a_renewal_that_cannot_be_used_never_mints(scene):
    """Stale while it fails, renewed as soon as it works again, the same version all the while."""
    replies = {**BAD_WIRE, **REFUSALS, **{k: v for k, v in BAD_MINTS.items() if "data" not in k}}
    replies["nul-escape"] = {"body": "\0"}
    replies["no-id"] = changed(lease_id=...)
    scene.model.lease_ttl = 20
    for name, reply in replies.items():
        scene.vault.script("sys/leases/renew", forever(reply), body=f"*creds/{name}/*")
    before, contents = start_with(scene, replies, 'grace = "1s"')
    failing = set(replies)

    def all_have_failed():
        for secret_status in scene.agent.status()["secrets"]:
            name = secret_status["name"]
            if name in failing and secret_status["state"] == "stale":
                failing.remove(name)
                scene.vault.script("sys/leases/renew", [], body=f"*creds/{name}/*")
        return not failing

    wait_until("each to be stale", all_have_failed, 25, 0.1)
    wait_until("all to be valid", lambda: {s["state"] for s in scene.agent.status()["secrets"]} == {"valid"}, 10, 0.1)
    still_there(scene, before, contents)
    assert scene.model.counts["mint"] == len(replies)
    # Rule 4: min(10 s, 2 %) x2 with full jitter, at most a tenth of the lease.
    assert scene.count("sys/leases/renew") < 14 * len(replies)


@scene_of
def test_a_redirect_is_not_followed(scene):
    """Neither token nor credentials go to another host, whatever is asked."""
    elsewhere = scene.other_vault()
    scene.model.lease_ttl = 8
    away = {"headers": {"Location": elsewhere.address + "/v1/database/creds/db"}, "body": ""}
    names = {f"to{status}": {**away, "status": status} for status in (301, 302, 303, 307, 308)}
    before, contents = start_with(scene, names)
    for name, reply in names.items():
        scene.vault.script(f"database/creds/{name}", forever(reply))
        scene.vault.script("sys/leases/renew", [reply], body=f"*creds/{name}/*")
    scene.rotate(*names)
    for name in names:
        scene.wait_status(name, "an error that says what to do", lambda s: "vault.address" in (s["last_error"] or ""))
    scene.vault.wait_for("sys/leases/renew", 2 * len(names), 15)
    still_there(scene, before, contents)
    scene.vault.script("auth/approle/login", forever({**away, "status": 307}))
    scene.model.revoke_all_tokens()
    scene.wait_log("login to Vault (approle): refused or failed: Vault sends us on to", 15)
    assert elsewhere.connects == 0


@scene_of
def test_retry_after_is_honoured(scene):
    """429 on a mint and on a renewal, as a number and as a date: nothing is asked before the time that Vault names."""
    scene.model.lease_ttl = 12
    wait = {"status": 429, "headers": {"Retry-After": "3"}, "body": {"errors": ["rate limit quota exceeded"]}}
    late = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 4))
    scene.vault.script("database/creds/db", [wait])
    scene.vault.script("database/creds/dated", [{**wait, "headers": {"Retry-After": late}}])
    scene.vault.script("sys/leases/renew", [{**wait, "headers": {"Retry-After": "2"}}], body="*creds/renewed/*")
    before, _ = start_with(scene, ["db", "dated", "renewed"])
    for name, least in (("db", 3), ("dated", 1.5)):
        times = [r.time for r in scene.vault.requests(f"database/creds/{name}")]
        assert len(times) == 2 and least <= times[1] - times[0] < 8, name
    renewals = wait_until("the second renewal", lambda: r if len(r := [
        r.time for r in scene.vault.requests("sys/leases/renew") if "creds/renewed/" in r.body]) >= 2 else None, 20, 0.1)
    assert 2 <= renewals[1] - renewals[0] < 4
    assert scene.versions()["renewed"] == before["renewed"]


@scene_of
def test_rotate_while_vault_is_sealed_says_that_it_waits(scene):
    """Nothing is rotating, for nothing can; it comes by itself when Vault is back."""
    scene.start(secret("db"), secret("info", "kv/notes/dbinfo", 'refresh = "1s"'))
    before = scene.versions()["db"]
    scene.vault.seal()
    scene.wait_status("info", "Vault to be away", lambda s: s["next_action"] == "wait for Vault")
    answer = scene.ask("POST", "/agent/v1/rotate")
    assert answer.status == 429 and int(answer.headers["retry-after"]) > 0
    assert answer.json()["rotating"] == [] and {w["name"] for w in answer.json()["waiting"]} == {"db", "info"}
    said = subprocess.run([os.path.join(bin_dir(), "leasekeeper"), "-socket", scene.agent.socket, "rotate", "db"],
                          capture_output=True, text=True, check=False, timeout=20)
    assert said.returncode == 1 and "db: waits for Vault" in said.stdout, said
    scene.vault.unseal()
    scene.wait_other("db", before)


@scene_of
def test_a_vault_that_answers_health_alone_is_no_reason_to_loop(scene):
    """sys/health is 200 and every audited call 500: what is served stays, the calls are few, and all is well afterwards."""
    scene.model.lease_ttl = 12
    scene.model.token_ttl = 30
    scene.model.kv["kv/notes/fast"] = {"a": "b"}
    before, _ = start_with(scene, ["db"])
    scene.agent.blocks.append(secret("fast", "kv/notes/fast", 'refresh = "1s"'))
    scene.agent.write_config()
    assert scene.ask("POST", "/agent/v1/reload").status == 200
    scene.wait_other("fast", 0)
    broken = forever({"status": 500, "body": {"errors": ["failed to audit request"]}})
    for path in ("auth/*", "database/*", "kv/*", "sys/leases/*"):
        scene.vault.script(path, broken)
    scene.wait_status("db", "stale", lambda s: s["state"] == "stale", 12)
    with scene.calm(), scene.at_most(12):
        end = time.monotonic() + 1.5
        wait_until("a while", lambda: time.monotonic() > end, 5)
    assert scene.read("db").json()["stale"] is True and scene.versions()["db"] == before["db"]
    for path in ("auth/*", "database/*", "kv/*", "sys/leases/*"):
        scene.vault.script(path, [])
    scene.wait_good()


@scene_of
def test_one_path_that_always_resets_is_no_outage(scene):
    """Its own back-off counts and nobody else is touched; sys/health is asked no more often than it fails."""
    scene.model.lease_ttl = 5
    scene.vault.script("kv/notes/dbinfo", forever({"reset": "request"}))
    scene.start(secret("db"), secret("odd", "kv/notes/dbinfo", "required = false", 'refresh = "1s"'))
    scene.vault.wait_for("kv/notes/dbinfo", 1)
    began, renewed = time.monotonic(), scene.count("sys/leases/renew")
    with scene.calm():
        wait_until("two renewals", lambda: scene.count("sys/leases/renew") >= renewed + 2, 15, 0.1)
    # 1 s x2 with full jitter: at the very least 0.1, 0.2, 0.4, 0.8, 1.5 s apart.
    tries = scene.agent.process.log_text().count("odd: reading failed")
    assert 2 <= tries <= 6 + (time.monotonic() - began) / 1.5
    assert scene.count("sys/health") <= scene.count("kv/notes/dbinfo")
    assert scene.status_of("db")["state"] == "valid" and scene.health()["status"] == "degraded"
    assert "answers again" not in scene.agent.process.log_text()
    scene.vault.script("kv/notes/dbinfo", [])
    scene.wait_other("odd", 0, 20)


@scene_of
def test_a_policy_that_loses_renew_self(scene):
    """Renewing the token is forbidden: a try per back-off step, and another token before this one ends."""
    scene.model.token_ttl = 12
    scene.model.lease_ttl = 3600
    start_with(scene, ["db"])
    scene.model.forbidden = {"auth/token/renew-self"}
    scene.vault.wait_for("auth/token/renew-self", 1, 15)
    asked = scene.count("auth/token/*")
    with scene.calm():
        scene.vault.wait_for("auth/approle/login", 2, 15)
    assert scene.count("auth/token/*") - asked <= 16
    assert scene.data("db")


@scene_of
def test_a_revoked_token_and_a_refused_login_do_not_hammer(scene):
    """Nothing is served any more, and Vault hears of it a few times; a fresh secret-id is used within 2 s."""
    start_with(scene, [f"db{i}" for i in range(20)])
    good = scene.model.secret_ids
    scene.model.secret_ids = {"sid-of-somebody-else"}
    scene.model.revoke_all_tokens()
    seen = scene.count()
    assert scene.ask("POST", "/agent/v1/rotate").status == 202
    wait_until("the loss to be noticed", lambda: scene.agent.health() == 503, 15, 0.1)
    time.sleep(0.5)
    logins = scene.count("auth/approle/login")
    with scene.calm(), scene.at_most(0, "auth/approle/login"):
        end = time.monotonic() + 4
        wait_until("four seconds", lambda: time.monotonic() > end, 6)
    assert logins == 2 and scene.count() - seen < 20 * 3
    answer = scene.read("db0")
    assert answer.status == 503 and "retry-after" in answer.headers
    scene.model.secret_ids = good
    fresh = "sid-fresh-" + str(time.time())
    scene.model.secret_ids = {fresh}
    scene.model.given.add(fresh)
    scene.agent.write_credentials()
    wait_until("all to be served", lambda: scene.health()["status"] == "ok", 8, 0.1)
    assert scene.count("auth/approle/login") == 3


@scene_of
def test_a_clock_that_is_far_off_is_told_once(scene):
    """A Date an hour ahead: a warning and a gauge, and nothing else comes of it."""
    ahead = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 3600))
    scene.vault.script("*", forever({"usual": True, "headers": {"Date": ahead}}))
    scene.model.lease_ttl = 5
    before, _ = start_with(scene, ["db"])
    scene.vault.wait_for("sys/leases/renew", 1, 10)
    assert 3500 < scene.metric("leasekeeper_vault_clock_skew_seconds") < 3700
    assert scene.agent.process.log_text().count("Vault's clock is") == 1
    assert scene.versions() == before
    scene.vault.script("*", [])
    wait_until("the gauge to be back", lambda: scene.metric("leasekeeper_vault_clock_skew_seconds") == 0, 10, 0.1)
