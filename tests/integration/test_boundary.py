"""docs/SECURITY.md, promise by promise: who can reach what, and where secrets must not stand."""

import json
import os
import re

import pytest

import provision
from servers import wait_until

CALM = {"default_ttl": "1h", "max_ttl": "24h"}


def read_bytes(path):
    with open(path, "rb") as f:
        return f.read()


def memory(pid):
    """All that a process has mapped and may read."""
    chunks = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            if "r" not in rights or line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            if end - start > 1 << 30:  # a sanitizer's shadow, terabytes of it
                continue
            try:
                mem.seek(start)
                chunks.append(mem.read(end - start))
            except (OSError, ValueError):
                continue
    return b"\0".join(chunks)


def agents_token(stand):
    """The token's bytes, found where they must be: in the agent."""
    found = {t.decode() for t in re.findall(rb"\bs\.[A-Za-z0-9]{24}\b", memory(stand.agent.process.pid))}
    alive = [t for t in found if stand.vault.with_token(t).raw("GET", "auth/token/lookup-self")[0] == 200]
    assert alive, "the agent's memory was not read well enough to find its own token"
    return alive


def saved_secret_id(stand):
    """The secret-id that was unwrapped, as the state keeps it for the next login."""
    with open(os.path.join(stand.agent.state, "tokens.json"), encoding="utf-8") as f:
        return json.load(f)["content"]["kept"]


@pytest.mark.root
def test_no_token_within_the_apps_reach(stand):
    stand.start(CALM)
    stand.app.add("a note")
    tokens = agents_token(stand)
    needles = [t.encode() for t in tokens]
    app_pid = stand.app.process.pid
    places = {
        "memory": memory(app_pid),
        "environment": read_bytes(f"/proc/{app_pid}/environ"),
        "command line": read_bytes(f"/proc/{app_pid}/cmdline"),
        "log": read_bytes(stand.app.log),
    }
    requests = [("GET", "/agent/v1/secrets", None), ("GET", "/agent/v1/health", None),
                ("GET", "/agent/v1/metrics", None), ("GET", "/agent/v1/status", None),
                ("POST", "/agent/v1/rotate", None), ("GET", "/v1/auth/token/lookup-self", None),
                ("GET", "/v1/" + stand.names.creds_path, None)]
    requests += [("GET", f"/agent/v1/secrets/{name}?consumer=looker", None) for name in ("db", "dbinfo", "tls")]
    answers = stand.app_peer.ask_all(stand.agent.socket, requests)
    for (method, target, _), answer in zip(requests, answers):
        places[f"{method} {target}"] = (answer.text + json.dumps(answer.headers)).encode()
    for place, content in places.items():
        for needle in needles:
            assert needle not in content, f"the Vault token stands in the app's {place}"
    # What the search is worth: it does find what the app has been granted.
    password = stand.secret("db")["data"]["password"].encode()
    assert password in places["memory"]


@pytest.mark.root
def test_an_operator_sees_no_secret(stand):
    """Status, metrics and health hold all that the agent knows but the secrets."""
    stand.provision(**CALM).start_agent()
    needles = {*agents_token(stand), saved_secret_id(stand), provision.role_id(stand.vault, stand.names),
               stand.secret("db")["data"]["password"], stand.secret("tls")["data"]["private_key"].splitlines()[1]}
    for target in ("status", "metrics", "health", "secrets"):
        answer = stand.agent.ask("GET", "/agent/v1/" + target)
        assert answer.status == 200
        assert not [n for n in needles if n in answer.text + json.dumps(answer.headers)], target


@pytest.mark.root
def test_the_apps_open_files_lead_nowhere_secret(stand):
    stand.start(CALM)
    pid = stand.app.process.pid
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            continue
        assert not target.startswith((stand.agent.conf, stand.agent.state)), target
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        status = dict(line.split(":\t", 1) for line in f if ":\t" in line)
    assert set(status["Uid"].split()) == {str(stand.ids.app)}
    assert int(status["CapEff"], 16) == 0


@pytest.mark.root
def test_state_and_configuration_are_closed_to_the_app(stand):
    stand.provision(**CALM)
    agent = stand.make_agent()
    agent.config.db_extra = f'file "{agent.out}/db.json" {{ format = "json" }}'
    agent.start()
    paths = [agent.conf, agent.config_file, os.path.join(agent.conf, "role-id"), agent.state,
             os.path.join(agent.out, "db.json"), stand.bao.folder, stand.bao.keys, stand.mariadb.data,
             stand.mariadb.client_config, stand.mariadb.general_log,
             f"/proc/{agent.process.pid}/mem", f"/proc/{agent.process.pid}/environ"]
    paths += [os.path.join(agent.state, name) for name in os.listdir(agent.state)]
    for path in paths:
        assert os.path.exists(path), path
    assert set(stand.app_peer.touch(*paths).values()) == {"PermissionError"}
    for name in os.listdir(agent.state):
        assert os.stat(os.path.join(agent.state, name)).st_mode & 0o077 == 0


@pytest.mark.root
def test_peer_denied(stand):
    """Another user gets 403, and cannot tell a forbidden name from an unknown one."""
    stand.provision(**CALM).start_agent()
    targets = ["/agent/v1/secrets/db", "/agent/v1/secrets/tls", "/agent/v1/secrets/nothing",
               "/agent/v1/watch?name=db&consumer=x", "/agent/v1/status"]
    answers = stand.stranger.ask_all(stand.agent.socket, [("GET", t, None) for t in targets])
    assert [a.status for a in answers] == [403] * len(targets)
    assert answers[0].text.replace("db", "NAME") == answers[2].text.replace("nothing", "NAME")
    for path, body in (("secrets/db/ack", {"version": 1, "consumer": "x"}),
                       ("secrets/db/reject", {"version": 1, "consumer": "x", "reason": "denied"}), ("rotate", None)):
        assert stand.stranger.ask(stand.agent.socket, "POST", f"/agent/v1/{path}", body).status == 403
    assert stand.stranger.ask(stand.agent.socket, "GET", "/agent/v1/secrets").json() == {"secrets": []}


@pytest.mark.root
def test_the_app_is_no_operator(stand):
    stand.provision(**CALM).start_agent()
    for method, target in (("GET", "/agent/v1/status"), ("POST", "/agent/v1/rotate"), ("POST", "/agent/v1/rotate/db")):
        assert stand.app_peer.ask(stand.agent.socket, method, target).status == 403


@pytest.mark.root
def test_who_is_outside_the_group_cannot_connect(stand):
    stand.provision(**CALM).start_agent()
    info = os.stat(stand.agent.socket)
    assert info.st_mode & 0o777 == 0o660
    assert info.st_gid == stand.ids.app_group
    with pytest.raises(PermissionError):
        stand.outsider.ask(stand.agent.socket, "GET", "/agent/v1/health")


@pytest.mark.root
def test_a_rule_by_supplementary_group(stand):
    """allow { group } counts the groups that the kernel tells of, not the first alone."""
    stand.provision(**CALM)
    agent = stand.make_agent(secrets="".join(
        f'secret "{name}" {{ path = "{stand.names.kv1_path}"\nallow {{ group = "{group}" }} }}\n'
        for name, group in (("shared", stand.ids.app_group), ("unshared", stand.ids.openbao))))
    agent.start()
    assert stand.stranger.ask(agent.socket, "GET", "/agent/v1/secrets/shared").status == 200
    assert stand.stranger.ask(agent.socket, "GET", "/agent/v1/secrets/unshared").status == 403
    assert stand.stranger.ask(agent.socket, "GET", "/agent/v1/secrets/db").status == 403


@pytest.mark.root
def test_root_needs_a_rule_like_anybody_else(stand):
    stand.provision(**CALM).start_agent()
    assert stand.agent.ask("GET", "/agent/v1/secrets/db").status == 403
    assert stand.agent.ask("GET", "/agent/v1/status").status == 200


@pytest.mark.smoke
def test_no_secret_in_log(stand):
    """At debug level, through minting, rotation, a wrapped login and a reject: not one secret stands in a log."""
    note = provision.random_password()
    stand.provision(default_ttl="4s", max_ttl="8s", quota=False, dbinfo={**stand.dbinfo(), "note": note})
    agent = stand.make_agent(certificate_path=stand.names.issue_path)
    agent.write_config()
    agent.write_credentials()
    secrets = {note, read_bytes(os.path.join(agent.conf, "secret-id")).decode().strip()}
    agent.launch()
    agent.wait_ready()
    watch = stand.watch("db", "dbinfo", "tls")
    stand.start_app()
    watch.wait_for_version("db", 1)
    watch.wait_for_version("tls", 1)
    stand.app.add("a note")
    stand.agent.ask("POST", "/agent/v1/rotate")
    watch.wait_for_version("db", 3)
    watch.wait_for_version("tls", 2)
    stand.vault.write("sys/leases/revoke-prefix/" + stand.names.creds_path, {"sync": True})
    wait_until("the app to work again", lambda: stand.app.ask("GET", "/api/v1/notes").status == 200, 20)

    secrets |= {provision.role_id(stand.vault, stand.names), saved_secret_id(stand)}
    if stand.ids.enforced:
        secrets |= set(agents_token(stand))
    for version in watch.secrets("db"):
        secrets.add(version["data"]["password"])
    for version in watch.secrets("tls"):
        secrets.update(line for line in version["data"]["private_key"].splitlines() if not line.startswith("-"))
    assert len(secrets) > 10
    for log in stand.logs():
        text = read_bytes(log).decode(errors="replace")
        assert len(text) > 200, f"{log} says nothing at debug level"
        for secret in secrets:
            assert secret not in text, f"a secret stands in {log}"


@pytest.mark.root
def test_the_agent_leaves_no_core_and_is_not_dumpable(stand):
    """Nor does the app."""
    stand.start(CALM)
    for part in (stand.agent, stand.app):
        pid = part.process.pid
        with open(f"/proc/{pid}/limits", encoding="utf-8") as f:
            core = next(line for line in f if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"], part.log
        # The kernel gives the files of an undumpable process to root.
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0, part.log


@pytest.mark.root
def test_what_was_replaced_is_gone_from_the_memory(stand):
    """Of the password and the key before, no copy is left in the agent once their version is."""
    stand.provision(**CALM).start_agent(grace="1s")
    password = stand.secret("db")["data"]["password"].encode()
    key = stand.secret("tls")["data"]["private_key"].splitlines()[1].encode()
    versions = stand.agent.versions()
    assert password in memory(stand.agent.process.pid) and key in memory(stand.agent.process.pid)
    assert stand.agent.ask("POST", "/agent/v1/rotate").status == 202
    wait_until("the next ones", lambda: all(stand.agent.versions()[n] != versions[n] for n in ("db", "tls")))
    wait_until("the old user's end", lambda: len(stand.users()) == 1)
    wait_until("the last copy to go", lambda: not any(
        old in memory(stand.agent.process.pid) for old in (password, key)), 10, 0.5)
