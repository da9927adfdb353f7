"""Rule 12: certificate, key and chain are one unit; one that does not hold together is refused alone, and the old one stays."""

import os
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fakes"))

from scene import all_scenes, certificate, forever, scene_of, secret  # noqa: E402
from vault import Authority  # noqa: E402


@pytest.fixture(scope="session")
def scenes(request, scratch):
    return all_scenes(request, scratch)


def stamp(days):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * 86400))


def with_data(**fields):
    """A reply: the usual certificate with other fields; one that is None is left out."""
    def edit(content):
        data = {key: value for key, value in {**content["data"], **fields}.items() if value is not None}
        return {**content, "data": data}
    return {"usual": True, "edit": edit}


def twice(content):
    return {**content, "data": {**content["data"], "certificate": "\n".join([content["data"]["certificate"]] * 2)}}


def swapped(content):
    data = content["data"]
    return {**content, "data": {**data, "certificate": data["private_key"], "private_key": data["certificate"]}}


def bad_answers(scene):
    """Return: {name: (reply, what the error says)}, for .../issue/ and, where the name says so, for .../sign/."""
    folder = os.path.join(scene.scratch.root, "foreign-ca")
    os.mkdir(folder)
    foreign = Authority(folder)
    with open(foreign.ca_cert, encoding="ascii") as f:
        foreign_ca = f.read().strip()
    ended, ended_key = scene.vault.authority.make_for("notes.localhost", stamp(-3), stamp(-1))
    other, other_key = scene.vault.authority.make_for("notes.localhost", stamp(-1), stamp(1))
    return {
        "other-key": (with_data(private_key=other_key), "does not belong"),
        "no-intermediate": (with_data(issuing_ca=foreign_ca, ca_chain=[foreign_ca]), "has issued it"),
        "ended": (with_data(certificate=ended, private_key=ended_key), "ended already"),
        "no-certificate": (with_data(certificate=None), ""),
        "no-key": (with_data(private_key=None), "no private key"),
        "empty": (with_data(certificate=""), ""),
        "no-pem": (with_data(certificate="MIIB"), "PEM"),
        "broken-pem": (with_data(certificate="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"), "cannot be read"),
        "broken-key": (with_data(private_key="-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"), "key cannot be read"),
        "broken-chain": (with_data(ca_chain=["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]), "chain"),
        "number-chain": (with_data(ca_chain=[17]), ""),
        "two": ({"usual": True, "edit": twice}, "more than one"),
        "swapped": ({"usual": True, "edit": swapped}, "cannot be read"),
        "sign-other": (with_data(certificate=other), "does not belong"),
        "sign-csr": (with_data(certificate="-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"), ""),
    }


@scene_of
def test_a_local_key_never_goes_to_vault(scene):
    """No line of the keys of two versions stands in anything that the fake was ever sent."""
    scene.start(certificate("tls", "pki/sign/notes"))
    first = scene.data("tls")
    scene.rotate("tls")
    scene.wait_other("tls", first["version"])
    keys = {line for data in (first["data"], scene.data("tls")["data"]) for line in data["private_key"].splitlines()
            if line and not line.startswith("-")}
    assert len(keys) >= 4
    asked = scene.vault.requests("pki/sign/notes")
    assert len(asked) == 2 and all("BEGIN CERTIFICATE REQUEST" in r.body for r in asked)
    assert not [r.path for r in scene.vault.requests() for line in keys if line in r.body]


@scene_of
def test_one_unit_is_refused_alone(scene):
    """Each of fifteen gets a certificate that cannot be: its old one stays, the good ones beside it are replaced."""
    bad = bad_answers(scene)
    paths = {name: f"pki/{'sign' if name.startswith('sign') else 'issue'}/{name}" for name in (*bad, "good", "sign-good")}
    scene.start(*(certificate(name, path, "mint_burst = 100") for name, path in paths.items()), secret("db"))
    before, contents = scene.versions(), {name: scene.data(name)["data"] for name in bad}
    for name, (reply, _) in bad.items():
        scene.vault.script(paths[name], forever(reply))
    scene.rotate(*bad, "good", "sign-good")
    for name, (_, text) in bad.items():
        scene.wait_status(name, f"an error with '{text}'", lambda s, text=text: s["last_error"] and text in s["last_error"], 20)
    for name in ("good", "sign-good"):
        scene.wait_other(name, before[name])
    after = scene.versions()
    for name, content in contents.items():
        assert after[name] == before[name] and scene.data(name)["data"] == content, name
    assert scene.health()["status"] == "degraded"
    for name in bad:
        scene.vault.script(paths[name], [])
    for name in bad:
        scene.wait_other(name, before[name], 40)
    scene.wait_good()


@scene_of
def test_a_certificate_of_tomorrow_is_published_with_a_warning(scene):
    """notBefore ahead of our clock: more often our clock is wrong than the certificate."""
    later, key = scene.vault.authority.make_for("notes.localhost", stamp(0.01), stamp(1))
    scene.vault.script("pki/issue/later", [with_data(certificate=later, private_key=key)])
    scene.start(certificate("later", "pki/issue/later"))
    assert scene.data("later")["data"]["certificate"] == later
    scene.wait_log("later: the certificate begins in the future: is a clock wrong?")
