"""Files and folders: formats, owners, modes, and that they change as a whole."""

import json
import os
import ssl
import stat

import pytest

from servers import wait_until

CALM = {"default_ttl": "1h", "max_ttl": "24h"}


@pytest.fixture
def agent(stand):
    stand.provision(**CALM)
    agent = stand.make_agent()
    group = stand.ids.app_group
    agent.config.db_extra = (f'file "{agent.out}/db.json" {{ format = "json" }}\n'
                             f'  file "{agent.out}/db.env" {{ format = "env"  perms = "0440"  group = "{group}" }}')
    agent.config.tls_extra = (f'file "{agent.out}/tls.pem" {{ format = "pem"  group = "{group}" }}\n'
                              f'  directory "{agent.out}/tls" {{ group = "{group}" }}')
    return agent.start()


def read(agent, name):
    with open(os.path.join(agent.out, name), encoding="utf-8") as f:
        return f.read()


def mode(agent, name):
    return stat.S_IMODE(os.stat(os.path.join(agent.out, name)).st_mode)


def test_json_and_env_hold_the_current_version(stand, agent):
    data = stand.secret("db")["data"]
    written = json.loads(read(agent, "db.json"))
    assert data.items() <= written.items() or written.get("data") == data
    env = read(agent, "db.env")
    for value in data.values():
        assert value in env
    assert all("=" in line for line in env.splitlines() if line)


def test_pem_is_one_bundle_that_openssl_takes(stand, agent):
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(os.path.join(agent.out, "tls.pem"))
    bundle = read(agent, "tls.pem")
    assert bundle.index("PRIVATE KEY") < bundle.index("BEGIN CERTIFICATE")
    assert bundle.count("BEGIN CERTIFICATE") >= 2


def test_a_directory_holds_certificate_key_and_chain(stand, agent):
    folder = os.path.join(agent.out, "tls")
    assert {"cert.pem", "key.pem", "ca.pem"} <= set(os.listdir(folder))
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(os.path.join(folder, "cert.pem"),
                                                            os.path.join(folder, "key.pem"))


def test_modes_and_owners(stand, agent):
    assert mode(agent, "db.json") == 0o400
    assert mode(agent, "db.env") == 0o440
    assert mode(agent, "tls.pem") == 0o440
    assert mode(agent, "tls") == 0o550
    assert mode(agent, "tls/key.pem") == 0o440
    for name in ("db.json", "db.env", "tls.pem", "tls/key.pem"):
        info = os.stat(os.path.join(agent.out, name))
        assert info.st_uid == stand.ids.agent
        if name != "db.json":
            assert info.st_gid == stand.ids.app_group


@pytest.mark.root
def test_the_group_reads_what_it_was_given(stand, agent):
    paths = [os.path.join(agent.out, name) for name in ("db.json", "db.env", "tls.pem", "tls/key.pem")]
    assert list(stand.app_peer.touch(*paths).values()) == ["PermissionError", None, None, None]
    assert set(stand.outsider.touch(*paths).values()) == {"PermissionError"}


def test_a_directory_is_swapped_as_a_whole(stand, agent):
    """Who opened the old one reads the old key beside the old certificate, for as long as he holds it."""
    folder = os.path.join(agent.out, "tls")
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    before = os.readlink(folder)

    def held_pair():
        texts = []
        for name in ("cert.pem", "key.pem"):
            with open(os.open(name, os.O_RDONLY, dir_fd=held), "rb") as f:
                texts.append(f.read())
        return texts
    old, old_pair = os.stat("cert.pem", dir_fd=held).st_ino, held_pair()
    version = agent.versions()["tls"]
    agent.ask("POST", "/agent/v1/rotate/tls")
    wait_until("another certificate", lambda: agent.versions()["tls"] != version)
    wait_until("another folder", lambda: os.readlink(folder) != before)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(os.path.join(folder, "cert.pem"),
                                                            os.path.join(folder, "key.pem"))
    assert os.stat(os.path.join(folder, "cert.pem")).st_ino != old
    assert held_pair() == old_pair
    os.close(held)
    # Nothing half-written, and of the folders the current one and the one before.
    assert len([n for n in os.listdir(agent.out) if n.startswith(".tls.")]) == 2
    assert {n for n in os.listdir(agent.out) if not n.startswith(".tls.")} == {"db.json", "db.env", "tls.pem", "tls"}


def test_a_file_changes_by_rename_and_only_with_its_content(stand, agent):
    path = os.path.join(agent.out, "db.json")
    inode, when = os.stat(path).st_ino, os.stat(path).st_mtime_ns
    version = agent.versions()
    agent.ask("POST", "/agent/v1/rotate/tls")
    wait_until("another certificate", lambda: agent.versions()["tls"] != version["tls"])
    assert (os.stat(path).st_ino, os.stat(path).st_mtime_ns) == (inode, when)
    with open(path, encoding="utf-8") as held:
        agent.ask("POST", "/agent/v1/rotate/db")
        wait_until("another file", lambda: os.stat(path).st_ino != inode)
        assert json.load(held)
    assert stand.secret("db")["data"]["username"] in read(agent, "db.json")


def test_a_file_that_cannot_be_written_is_told(stand, agent):
    """In the health, with its path and the reason, until it is written; what is read through the socket goes on."""
    path = os.path.join(agent.out, "db.json")
    os.unlink(path)
    os.mkdir(path)
    agent.ask("POST", "/agent/v1/rotate/db")
    wait_until("the word of it", lambda: agent.ask("GET", "/agent/v1/health").json()["status"] == "degraded")
    reasons = agent.ask("GET", "/agent/v1/health").json()["reasons"]
    assert len(reasons) == 1 and path in reasons[0] and "directory" in reasons[0]
    assert stand.secret("db")["version"] == agent.versions()["db"]
    os.rmdir(path)
    wait_until("the file", lambda: os.path.exists(path), 30)
    assert agent.ask("GET", "/agent/v1/health").json() == {"status": "ok", "reasons": []}
    assert stand.secret("db")["data"]["username"] in read(agent, "db.json")
