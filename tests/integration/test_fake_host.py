"""What the machine does to the agent: descriptors, signals, full file systems, clocks. The real daemon on a fake Vault."""

import contextlib
import errno
import glob
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fakes"))

from scene import SANITIZED, TOP, all_scenes, certificate, scene_of, secret  # noqa: E402
from servers import wait_until  # noqa: E402


@pytest.fixture(scope="session")
def scenes(request, scratch):
    return all_scenes(request, scratch)


def passed(seconds):
    end = time.monotonic() + seconds
    wait_until(f"{seconds} s", lambda: time.monotonic() > end, seconds + 5, 0.1)


# Descriptors and signals

def fill(path, number):
    """Opens connections until there are so many or the backlog is full. Return: them."""
    held = []
    for _ in range(number):
        s = socket.socket(socket.AF_UNIX)
        s.setblocking(False)
        try:
            s.connect(path)
        except OSError:
            s.close()
            break
        held.append(s)
    return held


@scene_of
def test_no_descriptors_left(scene):
    """40 descriptors and 100 clients: no busy loop, no lease lost, one line in the log, and well again when they are gone."""
    scene.model.lease_ttl = 5
    scene.agent.before = ["prlimit", "--nofile=40:40"]
    scene.start(secret("db"))
    before, renewals = scene.versions(), scene.count("sys/leases/renew")
    held = fill(scene.agent.socket, 100)
    assert len(held) > 50
    scene.wait_log("no connection can be accepted")
    with scene.calm(0.1):
        wait_until("two renewals", lambda: scene.count("sys/leases/renew") >= renewals + 2, 15, 0.1)
    for s in held:
        s.close()
    wait_until("the agent to answer", lambda: scene.agent.health() == 200, 10)
    assert scene.versions() == before
    log = scene.agent.process.log_text()
    assert "no longer served" not in log and log.count("no connection can be accepted") <= 2


@scene_of
def test_who_neither_sends_nor_reads_is_closed(scene):
    """Half a head, and a stream whose first versions lie unread: both end after 10 s, and nobody else is disturbed."""
    scene.model.kv |= {f"kv/notes/big{i}": {"value": "x" * 60000} for i in range(40)}
    scene.start(secret("db"), *(secret(f"big{i}", f"kv/notes/big{i}") for i in range(40)))
    names = "&".join(f"name=big{i}" for i in range(40))
    began, held = time.monotonic(), {}
    for what, text in (("half a head", "GET /agent"),
                       ("an unread stream", f"GET /agent/v1/watch?{names} HTTP/1.1\r\nHost: x\r\n\r\n")):
        held[what] = socket.socket(socket.AF_UNIX)
        held[what].connect(scene.agent.socket)
        held[what].sendall(text.encode())
    for what, s in held.items():
        poll = select.poll()
        poll.register(s, 0)
        assert poll.poll(1000 * max(0, began + 30 - time.monotonic())), f"{what} is still there"
        assert time.monotonic() - began > 5, what
        s.close()
    assert scene.data("big0") and scene.data("db")


@scene_of
def test_a_storm_of_sighup(scene):
    """500 at once: the configuration is read, no more is minted than the budget, no reader fails."""
    scene.start(secret("db"), secret("info", "kv/notes/dbinfo"), certificate("tls", "pki/sign/notes"))
    for _ in range(500):
        scene.agent.process.send(signal.SIGHUP)
        time.sleep(0.002)
    assert scene.read("db").status == 200
    scene.agent.process.send(signal.SIGHUP)
    passed(1)
    with scene.calm(), scene.at_most(5):
        passed(1)
    # Three at a time, one kept back; one an hour's lease and a minute later.
    assert scene.count("database/creds/db") <= 3 and scene.count("pki/sign/notes") <= 3
    assert scene.health()["status"] == "ok"


@scene_of
def test_a_storm_of_interrupted_calls(scene):
    """SIGWINCH and SIGCONT as fast as they can be sent, while it renews, reads and is read: as if nothing were."""
    scene.model.lease_ttl = 5
    scene.start(secret("db"), secret("info", "kv/notes/dbinfo", 'refresh = "1s"'))
    before, renewals = scene.versions(), scene.count("sys/leases/renew")
    storm = subprocess.Popen(["/bin/sh", "-c", f"while kill -WINCH {scene.agent.process.pid} && "
                              f"kill -CONT {scene.agent.process.pid}; do :; done"], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while scene.count("sys/leases/renew") < renewals + 2:
            assert time.monotonic() < end
            assert scene.data("db")["version"] == before["db"]
            assert "leasekeeper_build_info" in scene.metrics()
    finally:
        storm.kill()
        storm.wait()
    assert scene.versions() == before and scene.health()["status"] == "ok"


# File systems

@contextlib.contextmanager
def tmpfs(scene, folder, options):
    """A small tmpfs of its own that belongs to the agent."""
    os.makedirs(folder)
    mount = ["mount", "-t", "tmpfs", "-o", f"{options},mode=0700,uid={scene.agent.uid}", "tmpfs", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        subprocess.run([w.replace(",noswap", "") for w in mount], check=True)
    try:
        yield folder
    finally:
        scene.agent.stop()
        subprocess.run(["umount", folder], check=True)


def litter(folder):
    """Makes files until there is no room for another. Return: them."""
    made = []
    with contextlib.suppress(OSError):
        while True:
            made.append(os.path.join(folder, f"litter{len(made)}"))
            with open(made[-1], "wb"):
                pass
    return made[:-1]


def stuff(folder):
    """Fills a file system to its last byte. Return: the files that do."""
    path = os.path.join(folder, "ballast")
    with open(path, "wb", buffering=0) as f:
        for size in (4096, 512, 1):
            with contextlib.suppress(OSError):
                while True:
                    f.write(b"x" * size)
    return [path]


@pytest.mark.root
@scene_of
def test_the_state_cannot_be_written(scene):
    """No room, then no inodes: nothing new is minted, what is there is served and renewed; well again when there is some."""
    scene.model.lease_ttl = 8
    folder = scene.agent.state = os.path.join(scene.agent.run, "small")
    with tmpfs(scene, folder, "size=256k,nr_inodes=40,noswap"):
        scene.start(secret("db", None, "mint_burst = 100", f'file "{folder}-out/db.json" {{ format = "json" }}'))
        version = scene.versions()["db"]
        status = scene.agent.status()
        swap = status["kernel"]
        warned = [w for w in status["warnings"] if "swap is on" in w]
        assert bool(warned) is (swap["swap"] and not swap["noswap"])
        assert ("swap is on" in scene.agent.process.log_text()) is bool(warned)
        with open("/proc/self/mountinfo", encoding="ascii") as f:
            options = next(line for line in f if f" {folder} " in line)
        assert swap["noswap"] is ("noswap" in options)
        for fill_up in (stuff, litter):
            used = fill_up(folder)
            mints = scene.count("database/creds/db")
            scene.ask("POST", "/agent/v1/rotate/db")
            scene.wait_status("db", "the error", lambda s: "state cannot be written" in (s["last_error"] or ""))
            renewed = scene.count("sys/leases/renew")
            with scene.calm():
                wait_until("a renewal", lambda: scene.count("sys/leases/renew") > renewed, 10, 0.1)
            assert scene.count("database/creds/db") == mints and scene.data("db")["version"] == version
            for path in used:
                os.unlink(path)
            version = scene.wait_other("db", version, 20)
            scene.wait_good()


@contextlib.contextmanager
def successor_unsaved(scene):
    """Another version is minted, and the state is gone when its answer comes; it is back after the block. Gives the old version."""
    old = scene.data("db")
    mints = scene.model.counts["mint"]
    scene.vault.script("database/creds/db", [{"usual": True, "delay": 1}])
    asked = scene.count("database/creds/db")
    scene.rotate("db")
    scene.vault.wait_for("database/creds/db", asked + 1, 5)
    os.rename(scene.agent.state, scene.agent.state + ".away")
    try:
        wait_until("another lease", lambda: scene.model.counts["mint"] > mints, 5, 0.02)
        scene.wait_log("the state cannot be written")
        yield old
    finally:
        os.rename(scene.agent.state + ".away", scene.agent.state)


@scene_of
def test_what_has_ended_is_not_served_for_want_of_a_saved_one(scene):
    """The new version cannot be saved, so the old one is served on: to its own end."""
    scene.model.lease_ttl = 8
    scene.start(secret("db", None, "mint_burst = 100"))
    with successor_unsaved(scene) as old:
        assert scene.data("db")["version"] == old["version"]
        wait_until("the old one to have ended", lambda: scene.read("db").status == 503, 10, 0.05)
        assert "cannot be saved" in scene.read("db").text
    scene.wait_other("db", old["version"])
    scene.wait_good()


@scene_of
def test_what_waits_to_be_saved_is_not_mixed_with_what_is_served(scene):
    """The state can be written again, another reader comes, and the agent is killed: number and content belong together."""
    scene.start(secret("db"))
    with successor_unsaved(scene) as old:
        pass
    assert scene.ask("GET", "/agent/v1/secrets/db?consumer=another").status == 200
    scene.agent.process.send(signal.SIGKILL)
    scene.agent.process.popen.wait()
    scene.relaunch()
    after = scene.data("db")
    assert (after["version"] == old["version"]) == (after["data"] == old["data"])


@pytest.mark.root
@scene_of
def test_an_output_cannot_be_written(scene):
    """The old file stays whole, the socket serves, status and log tell; written as soon as there is room."""
    folder = os.path.join(scene.agent.run, "out")
    with tmpfs(scene, folder, "size=64k"):
        scene.model.kv["kv/notes/dbinfo"] = {"value": "first"}
        scene.start(secret("info", "kv/notes/dbinfo", f'file "{folder}/info.json" {{ format = "json" }}'))
        path = os.path.join(folder, "info.json")
        with open(path, encoding="ascii") as f:
            first = f.read()
        [ballast] = stuff(folder)
        before = scene.versions()["info"]
        scene.model.kv["kv/notes/dbinfo"] = {"value": "second" * 1000}
        scene.rotate("info")
        scene.wait_other("info", before)
        scene.wait_log(os.strerror(errno.ENOSPC))
        with open(path, encoding="ascii") as f:
            assert f.read() == first
        assert "second" in scene.read("info").text
        os.unlink(ballast)

        def written():
            with open(path, encoding="ascii") as f:
                return "second" in f.read()
        wait_until("the file to be written", written, 15, 0.1)
        assert os.listdir(folder) == ["info.json"]


class Reader(threading.Thread):
    """Opens a directory as often as it can and reads what stands side by side in it."""

    def __init__(self, path, certificates):
        super().__init__(daemon=True)
        self.path, self.owner = path, {c.strip(): k.strip() for c, k in certificates}
        self.seen, self.reads, self.wrong, self.done = set(), 0, None, False

    def run(self):
        while not self.done and not self.wrong:
            try:
                self._once()
            except FileNotFoundError:
                pass  # two swaps while it was being read: as a reader must, read again
            except OSError as e:
                self.wrong = repr(e)

    def _once(self):
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            texts = []
            for name in ("cert.pem", "key.pem"):
                fd = os.open(name, os.O_RDONLY, dir_fd=folder)
                texts.append(os.read(fd, 65536).decode())
                os.close(fd)
        finally:
            os.close(folder)
        self.reads += 1
        self.seen.add(texts[0])
        if self.owner.get(texts[0].strip()) != texts[1].strip():
            self.wrong = "a key beside another certificate: " + texts[0][:200]


@scene_of
def test_a_directory_is_never_a_mixture(scene):
    """A reader that never rests sees hundreds of replacements, and each time a certificate with its own key."""
    tomorrow = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + 86400))
    yesterday = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() - 86400))
    pairs = [scene.vault.authority.make_for("notes.localhost", yesterday, tomorrow) for _ in range(3)]
    turn = [0]

    def edit(content):
        turn[0] += 1
        certificate_pem, key = pairs[turn[0] % len(pairs)]
        return {**content, "data": {**content["data"], "certificate": certificate_pem, "private_key": key}}

    names = [f"tls{i}" for i in range(3)]
    for name in names:  # a ready answer: nothing is signed for each
        usual = {"request_id": "r", "lease_id": "", "lease_duration": 0, "renewable": False, "mount_type": "pki", "data": {}}
        scene.vault.script(f"pki/issue/{name}", [{"usual": True, "edit": edit, "forever": True}])
        scene.model.ready[f"pki/issue/{name}"] = usual
    out = os.path.join(scene.agent.out, "")
    scene.start(*(certificate(name, f"pki/issue/{name}", "mint_burst = 100", f'directory "{out}{name}" {{ }}') for name in names))
    readers = [Reader(out + name, pairs) for name in names]
    for reader in readers:
        reader.start()
    for _ in range(95):
        made = scene.model.counts["ready"]
        scene.rotate(*names)
        wait_until("three new ones", lambda: scene.model.counts["ready"] >= made + len(names), 10, 0.002)
    wait_until("the files", lambda: scene.health()["status"] == "ok", 5)
    for reader in readers:
        reader.done = True
        reader.join(10)
        assert not reader.wrong, reader.wrong
        assert reader.reads > 50 and len(reader.seen) == len(pairs)
    assert scene.model.counts["ready"] >= 3 * 95
    for name in names:
        # The current one, and the one before for a reader that opened it.
        assert len([f for f in os.listdir(out) if f.startswith(f".{name}.")]) == 2


# Clocks and boots

def change_state(scene, change):
    """Edits each state file while the agent is stopped."""
    for path in glob.glob(os.path.join(scene.agent.state, "*.json")):
        with open(path, encoding="utf-8") as f:
            content = json.load(f)
        change(content)
        scene.agent._own(path, json.dumps(content))


@scene_of
def test_the_state_of_another_boot_is_not_trusted(scene):
    """Its clock means nothing any more: set aside with a warning, one login, one new lease."""
    scene.start(secret("db"))
    before = scene.versions()["db"]
    scene.agent.stop()
    change_state(scene, lambda content: content.update(boot_id="00000000-0000-0000-0000-000000000000"))
    scene.relaunch()
    scene.wait_log("made before this boot")
    assert scene.versions()["db"] > before
    assert scene.count("auth/approle/login") == 2 and scene.model.counts["mint"] == 2


@scene_of
def test_a_state_that_is_damaged_is_set_aside_alone(scene):
    """Half a file, no JSON, nothing: that secret is fetched anew, its neighbours are adopted, and no login is made."""
    names = ["cut", "text", "empty", "format", "fine"]
    scene.start(*(secret(name) for name in names))
    before = scene.versions()
    scene.agent.stop()
    files = {name: os.path.join(scene.agent.state, f"secret-{name}.json") for name in names}
    with open(files["cut"], encoding="utf-8") as f:
        half = f.read()
    scene.agent._own(files["cut"], half[:len(half) // 2])
    scene.agent._own(files["text"], "hello")
    scene.agent._own(files["empty"], "")
    with open(files["format"], encoding="utf-8") as f:
        scene.agent._own(files["format"], json.dumps({**json.load(f), "format": 99}))
    scene.relaunch()
    after = scene.versions()
    assert after["fine"] == before["fine"] and all(after[name] > before[name] for name in names if name != "fine")
    assert scene.count("auth/approle/login") == 1 and scene.model.counts["mint"] == len(names) + 4


@pytest.mark.root
@scene_of
def test_a_machine_that_slept(scene):
    """
    BOOTTIME jumps by 43 min: the lease of 1 h is renewed at once and stays; then by more than it had left: it is not served for
    a moment, and there is another one. A stop and a start under another offset are what a suspend is to the saved times.
    """
    scene.start(secret("db"), secret("info", "kv/notes/dbinfo"))
    before, renewals = scene.versions(), scene.count("sys/leases/renew")
    scene.agent.stop()
    scene.agent.before = ["unshare", "-T", "--boottime", str(43 * 60)]
    scene.relaunch()
    scene.vault.wait_for("sys/leases/renew", renewals + 1, 5)
    assert scene.versions() == before and scene.count("auth/approle/login") == 1
    scene.agent.stop()
    scene.agent.before = ["unshare", "-T", "--boottime", str(2 * 3600)]
    scene.relaunch()
    assert scene.versions()["db"] > before["db"] and scene.versions()["info"] >= before["info"]
    assert scene.model.counts["mint"] == 2


class FakeClock:
    """A wall clock that the agent alone sees, and that can be set."""

    def __init__(self, scene):
        self.folder = os.path.join(scene.agent.run, "clock")
        os.mkdir(self.folder)
        self.library = tempfile.mkdtemp(prefix="leasekeeper-clock.")  # not on a file system without exec
        os.chmod(self.library, 0o755)
        self.offset, self.bell = (os.path.join(self.folder, name) for name in ("offset", "bell"))
        with open(self.offset, "w", encoding="ascii") as f:
            f.write("0")
        os.mkfifo(self.bell)
        scene.scratch.ids.give(self.folder, scene.agent.uid, 0o700)
        for path in (self.offset, self.bell):
            scene.scratch.ids.give(path, scene.agent.uid, 0o600)
        subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", self.library + "/clock.so",
                        os.path.join(TOP, "tests", "fakes", "clock.c")], check=True)
        self.env = {"LD_PRELOAD": self.library + "/clock.so", "FAKE_CLOCK": self.folder}

    def set(self, seconds):
        with open(self.offset, "r+", encoding="ascii") as f:
            f.write(f"{seconds:<20d}")
        fd = os.open(self.bell, os.O_WRONLY | os.O_NONBLOCK)
        os.write(fd, b"x")
        os.close(fd)

    def remove(self):
        shutil.rmtree(self.library, ignore_errors=True)


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's runtime must be the first library of a process")
@scene_of
def test_the_wall_clock_is_set(scene):
    """
    An hour on, an hour back: leases do not move, each is looked up once, certificates stay. Ten years on: the certificate has
    ended and says so, the lease does not care; and back: all is well.
    """
    clock = FakeClock(scene)
    try:
        scene.start(secret("db"), certificate("tls", "pki/sign/notes", "mint_burst = 10"), env=clock.env)
        before = scene.versions()
        for number, seconds in enumerate((3600, -3600)):
            asked = scene.count("sys/leases/lookup")
            clock.set(seconds)
            scene.vault.wait_for("sys/leases/lookup", asked + 1, 10)
            text = f"the wall clock was set by {seconds - (3600 if number else 0)} s"
            assert text in re.sub(r"by (-?\d+) s", lambda m: f"by {round(int(m[1]), -1)} s", scene.agent.process.log_text())
            passed(0.5)
            assert scene.versions() == before and scene.count("sys/leases/lookup") == asked + 1
        clock.set(10 * 365 * 86400)
        wait_until("the certificate to have ended", lambda: scene.read("tls").status == 503, 10, 0.1)
        assert scene.data("db")["version"] == before["db"]
        scene.wait_status("tls", "the reason", lambda s: "clock" in (s["last_error"] or ""), 10)
        clock.set(0)
        scene.wait_other("tls", before["tls"], 30)
        assert scene.versions()["db"] == before["db"] and scene.count("auth/approle/login") == 1
        scene.wait_good()
    finally:
        scene.agent.stop()
        clock.remove()
