"""The service as a Debian package under a real systemd: what an operator does to it, and that no request fails by it."""

import os
import re
import socket
import time

import pytest

from box import Unchanged, other_version, settle
from load import Load
from servers import free_port, wait_until


def exposure(deployment, unit):
    shown = deployment.box.sh(f"systemd-analyze security --no-pager {unit}")
    return float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", shown).group(1))


# What the units promise

def test_the_sandbox_is_tight(deployed):
    """systemd-analyze's measure: at most 1.5 for what holds the token, 2.0 for the app."""
    assert exposure(deployed, "leasekeeperd.service") <= 1.5
    assert exposure(deployed, "notesd.service") <= 2.0
    units = "leasekeeperd.service leasekeeperd.socket notesd.service notesd.socket run-leasekeeper.mount"
    assert deployed.box.sh(f"systemd-analyze verify --man=no {units} 2>&1") == ""


@pytest.mark.parametrize("unit", ["leasekeeperd", "notesd"])
def test_a_daemon_has_no_privilege_and_leaves_no_core(deployed, unit):
    pid = deployed.box.pid(unit)
    status = dict(line.split(":\t", 1) for line in deployed.box.sh(f"cat /proc/{pid}/status").splitlines() if ":\t" in line)
    assert {status[k] for k in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "CapInh")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert "0" not in status["Uid"].split()
    limits = deployed.box.sh(f"cat /proc/{pid}/limits")
    assert re.search(r"^Max core file size +0 +0 ", limits, re.M)
    assert deployed.box.show(unit, "MemorySwapMax")["MemorySwapMax"] == "0"


def test_neither_user_reads_what_is_the_others(deployed):
    agent, app = deployed.box.pid("leasekeeperd"), deployed.box.pid("notesd")

    def may(user, command):
        return deployed.box.try_sh(f"setpriv --reuid {user} --regid {user} --init-groups {command}").returncode == 0
    assert may("notes", "true") and may("leasekeeper", "true")
    for path in ("/run/leasekeeper/state", "/etc/leasekeeper", "/run/credentials/leasekeeperd.service",
                 "/etc/credstore.encrypted"):
        assert not may("notes", f"ls {path}"), path
    assert not may("notes", f"head -c 1 /proc/{agent}/environ")
    assert not may("leasekeeper", f"head -c 1 /proc/{app}/environ")
    assert not may("leasekeeper", "ls /etc/credstore.encrypted")
    assert may("notes", "cat /run/leasekeeper/out/db.env")
    assert not may("nobody", "cat /run/leasekeeper/out/db.env")


def test_the_folder_is_kept_from_swap_where_the_kernel_can(deployed):
    release = tuple(int(n) for n in os.uname().release.split(".")[:2])
    mounts = [line.split() for line in deployed.box.sh("cat /proc/mounts").splitlines()]
    options = [m[3] for m in mounts if m[1] == "/run/leasekeeper"]
    if release < (6, 4):
        assert not options
        pytest.skip(f"kernel {release[0]}.{release[1]} has no noswap: the folder lies on /run, as it must")
    assert len(options) == 1 and "noswap" in options[0].split(",")


def test_a_connect_starts_the_agent(deployed):
    """Socket activation, for who enables it: the socket is there before the agent, and who connects waits."""
    deployed.box.sh("systemctl stop notesd leasekeeperd")
    wait_until("the socket to go", lambda: not deployed.box.is_active("leasekeeperd.socket"))
    deployed.box.sh("systemctl enable --now leasekeeperd.socket")
    try:
        assert not deployed.box.is_active("leasekeeperd")
        assert deployed.versions()
        assert deployed.box.is_active("leasekeeperd")
    finally:
        deployed.box.sh("systemctl disable leasekeeperd.socket")
    assert deployed.box.sh("stat -c '%a %U %G' /run/leasekeeper/agent.sock").split() == ["660", "leasekeeper", "notes"]


def test_a_connect_starts_the_app(deployed):
    """Stopped, it stays stopped; where its socket is enabled its ports are there before it, and who connects waits."""
    deployed.box.sh("systemctl stop notesd")
    wait_until("the ports to close", lambda: not deployed.box.is_active("notesd.socket"))
    assert not deployed.app.is_ready()
    deployed.box.sh("systemctl enable --now notesd.socket")
    try:
        assert not deployed.box.is_active("notesd")
        deployed.app.add("woken up")
        assert deployed.box.is_active("notesd")
    finally:
        deployed.box.sh("systemctl disable notesd.socket")
    said = deployed.box.sh("journalctl -q --no-pager _PID=%d" % deployed.box.pid("notesd"))
    assert said.count("handed this socket over") == 2
    assert "never answered" not in said


def test_a_port_of_the_unit_that_nobody_serves_is_named(deployed):
    other = free_port()
    deployed.box.put("/etc/systemd/system/notesd.socket.d/zz-more.conf", f"[Socket]\nListenStream=127.0.0.1:{other}\n")
    try:
        deployed.box.sh("systemctl daemon-reload && systemctl stop notesd && systemctl start notesd")
        deployed.wait_ready()
        said = deployed.box.sh("journalctl -q --no-pager _PID=%d" % deployed.box.pid("notesd"))
        assert f"127.0.0.1:{other} for us, but no listener of ours has that address" in said
    finally:
        deployed.box.sh("rm /etc/systemd/system/notesd.socket.d/zz-more.conf && systemctl daemon-reload && systemctl stop notesd")


# What an operator does, under load

def test_reload_replaces_under_load(deployed):
    before, users = deployed.versions(), deployed.stand.users()
    with Load(deployed.app, each=1, name="reload") as load:
        settle(deployed)
        deployed.box.sh("systemctl reload leasekeeperd")
        wait_until("new versions", lambda: all(deployed.versions()[n] != before[n] for n in ("db", "tls")))
        wait_until("the old user to be gone", lambda: not users & deployed.stand.users())
        settle(deployed, 2)
    load.check(deployed.stand)
    assert deployed.versions()["dbinfo"] == before["dbinfo"]


def test_reload_of_the_app_under_load(deployed):
    with Unchanged(deployed), Load(deployed.app, each=1, name="reload-app") as load:
        settle(deployed)
        deployed.box.sh("systemctl reload notesd")
        settle(deployed, 2)
    load.check(deployed.stand)


def test_restart_of_the_app_under_load(deployed):
    """Who connects anew waits in the socket; who keeps a connection gets an answer that says it is the last one there."""
    pid = deployed.box.pid("notesd")
    with Unchanged(deployed), Load(deployed.app, each=2, name="restart-app") as load:
        for _ in range(3):
            settle(deployed)
            deployed.box.sh("systemctl restart notesd")
        settle(deployed, 2)
    load.check(deployed.stand)
    assert deployed.box.pid("notesd") not in (0, pid)
    assert "connections open" not in deployed.box.sh(f"journalctl -q --no-pager _PID={pid}")


def test_a_stop_of_the_app_waits_ten_seconds_at_most(deployed):
    """For somebody who sends his request without ever ending it."""
    with socket.create_connection(("127.0.0.1", deployed.app.port), 20) as slow:
        slow.sendall(b"POST /api/v1/notes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     b"Content-Length: 99\r\n\r\n{")
        deployed.app.add("so that the other has been taken")
        began = time.monotonic()
        deployed.box.sh("systemctl stop notesd")
        assert 1 < time.monotonic() - began < 12
    assert deployed.box.show("notesd", "Result")["Result"] == "success"


def test_restart_is_not_a_new_life(deployed):
    def opened():
        return deployed.box.show("leasekeeperd.socket", "ActiveEnterTimestampMonotonic")
    pid, before = deployed.box.pid("leasekeeperd"), opened()
    with Unchanged(deployed), Load(deployed.app, each=1, name="restart") as load:
        settle(deployed)
        deployed.box.sh("systemctl restart leasekeeperd")
        settle(deployed, 2)
    load.check(deployed.stand)
    assert deployed.box.pid("leasekeeperd") not in (0, pid)
    assert opened() == before  # who connects meanwhile waits


def test_stop_and_start_is_not_a_new_life(deployed):
    with Unchanged(deployed), Load(deployed.app, each=1, name="stop") as load:
        settle(deployed)
        deployed.box.sh("systemctl stop leasekeeperd")
        settle(deployed, 4)
        # The app has tried to connect meanwhile: a stopped agent stays stopped all the same.
        assert not deployed.box.is_active("leasekeeperd")
        assert not deployed.box.is_active("leasekeeperd.socket")
        assert deployed.box.is_active("notesd.socket")
        deployed.box.sh("systemctl start leasekeeperd")
        settle(deployed, 2)
    load.check(deployed.stand)


@pytest.mark.parametrize("how", ["KILL", "TERM"])
def test_a_killed_agent_comes_back(deployed, how):
    restarts = deployed.box.restarts("leasekeeperd")
    with Unchanged(deployed), Load(deployed.app, each=1, name=f"kill-{how}") as load:
        settle(deployed)
        deployed.box.sh(f"systemctl kill -s {how} leasekeeperd")
        wait_until("a restart", lambda: deployed.box.restarts("leasekeeperd") == restarts + 1)
        wait_until("the agent", lambda: deployed.box.is_active("leasekeeperd"))
        settle(deployed, 2)
    load.check(deployed.stand)
    assert deployed.box.is_active("leasekeeperd.socket")


def test_a_hung_agent_is_ended_by_the_watchdog(deployed):
    deployed.box.drop_in("leasekeeperd.service", "[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n")
    deployed.box.sh("systemctl restart leasekeeperd")
    restarts, pid = deployed.box.restarts("leasekeeperd"), deployed.box.pid("leasekeeperd")
    with Unchanged(deployed), Load(deployed.app, each=1, name="hang") as load:
        settle(deployed)
        deployed.box.sh(f"kill -STOP {pid}")
        wait_until("a restart", lambda: deployed.box.restarts("leasekeeperd") == restarts + 1)
        wait_until("the agent", lambda: deployed.box.is_active("leasekeeperd"))
        settle(deployed, 2)
    load.check(deployed.stand)
    assert "Watchdog timeout" in deployed.box.sh("journalctl -q --no-pager -u leasekeeperd")


def test_a_configuration_that_does_not_check_changes_nothing(deployed):
    config = deployed.agent_config()
    with Unchanged(deployed):
        deployed.box.put("/etc/leasekeeper/agent.hcl", config.replace("grace", "graze"), "0640", "root:leasekeeper")
        deployed.box.sh("systemctl reload leasekeeperd")
        wait_until("the status to say so", lambda: "graze" in deployed.box.show("leasekeeperd", "StatusText")["StatusText"])
        deployed.box.put("/etc/leasekeeper/agent.hcl", config, "0640", "root:leasekeeper")
    deployed.box.sh("leasekeeper reload")
    assert deployed.box.is_active("leasekeeperd")


# Boot

# Longer than one extension, 30 s, which the second has to follow. DEPLOY_AWAY_SECONDS=300 is the whole promise.
AWAY_SECONDS = float(os.environ.get("DEPLOY_AWAY_SECONDS", "45"))


def test_vault_away_at_boot(own_box, deb):
    """
    Longer than TimeoutStartSec= and longer than one extension of it: no restart, the status says why, what is ordered
    after waits and does not fail. Then the reboot's login needs nobody at the keyboard.
    """
    d = own_box
    d.box.install(deb)
    d.provision()
    d.configure()
    d.start()
    d.box.drop_in("leasekeeperd.service", "[Service]\nTimeoutStartSec=3\n")
    logins, pid = d.logins(), d.box.pid("leasekeeperd")
    d.bao.stop()
    try:
        d.box.reboot()
        wait_until("the agent to be tried", lambda: "Vault" in (d.box.try_sh(
            "systemctl show -p StatusText leasekeeperd").stdout), 30)
        began = time.monotonic()
        pid = d.box.pid("leasekeeperd")
        while time.monotonic() - began < AWAY_SECONDS:
            shown = d.box.show("leasekeeperd", "ActiveState", "NRestarts", "MainPID", "StatusText")
            assert shown["ActiveState"] == "activating", shown
            assert (shown["NRestarts"], int(shown["MainPID"])) == ("0", pid)
            time.sleep(1)
        assert re.search("waiting for .*db.*Vault: ", shown["StatusText"]), shown
        assert d.box.show("notesd", "ActiveState")["ActiveState"] == "inactive"
    finally:
        d.bao.start()
    d.wait_ready()
    d.box.wait_up()
    assert d.box.restarts("leasekeeperd") == 0
    assert d.box.restarts("notesd") == 0
    assert d.logins() == logins + 1
    d.app.add("after the reboot")


def test_a_secret_id_in_the_clear(deployed):
    """LoadCredential= in a drop-in takes the encrypted one's place."""
    import provision
    d = deployed
    d.box.put("/etc/leasekeeper/secret-id", provision.secret_id(d.vault, d.stand.names), "0600")
    d.box.drop_in("leasekeeperd.service", "[Service]\nLoadCredential=secret-id:/etc/leasekeeper/secret-id\n")
    d.box.sh("mv /etc/credstore.encrypted/leasekeeper.secret-id /etc/credstore.encrypted/away")
    logins = d.logins()
    try:
        d.box.sh("systemctl stop leasekeeperd && rm -rf /run/leasekeeper/state && systemctl start leasekeeperd")
        d.wait_ready()
        assert d.logins() == logins + 1
    finally:
        d.box.sh("mv /etc/credstore.encrypted/away /etc/credstore.encrypted/leasekeeper.secret-id")


# The package

def listing(deployment):
    """All that lies there, but what every package's coming and going leaves in logs and lists."""
    shown = deployment.box.sh(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /var/log -o -path /var/lib/dpkg -o -path /var/cache -o -path /tmp "
        "-o -path /var/tmp -o -name '*-' -path '/etc/*' \\) -prune -o -print; find /run /etc/passwd /etc/group -name '*leasekeeper*'")
    accounts = deployment.box.sh("cat /etc/passwd /etc/group /etc/shadow /etc/gshadow | cut -d: -f1")
    return set(shown.splitlines()), accounts


def test_installed_without_a_configuration_nothing_fails(own_box, deb):
    d = own_box
    d.box.install(deb)
    d.box.wait_up()
    for unit in ("leasekeeperd.service", "leasekeeperd.socket", "notesd.service", "notesd.socket"):
        shown = d.box.show(unit, "ActiveState", "Result")
        assert (shown["ActiveState"], shown["Result"]) == ("inactive", "success"), unit
    assert d.box.sh("getent passwd leasekeeper notes").count("nologin") == 2
    assert d.box.sh("stat -c '%a %U %G' /etc/leasekeeper").split() == ["750", "root", "leasekeeper"]


def test_purge_leaves_nothing(own_box, deb):
    d = own_box
    before = listing(d)
    d.box.install(deb)
    d.provision()
    d.configure()
    d.start()
    d.app.add("once")
    said = d.box.sh("dpkg -P leasekeeper 2>&1")
    assert "warning" not in said, said
    assert d.box.try_sh("pgrep -a 'leasekeeperd|notesd'").stdout == ""
    d.box.sh("rm -r /etc/systemd/system/notesd.socket.d")  # the operator's own
    d.box.sh("rmdir --ignore-fail-on-non-empty /etc/credstore.encrypted; rm -f /var/lib/systemd/credential.secret")
    files, accounts = listing(d)
    assert files - before[0] == set()
    assert accounts == before[1]
    assert "leasekeeper" not in d.box.sh("cat /proc/mounts")
    assert d.box.sh("systemctl list-units --all --no-legend 'leasekeeper*' 'notesd*' 'run-leasekeeper*'") == ""
    d.box.wait_up()


def test_upgrade_under_load(own_box, deb, packages):
    """The configuration stays, the agent's life goes on, and nobody sees that notesd was replaced."""
    d = own_box
    d.box.install(other_version(deb, "0.0.9", packages))
    d.provision()
    d.configure()
    d.start()
    pids = [d.box.pid(unit) for unit in ("leasekeeperd", "notesd")]
    sums = "sha256sum /etc/leasekeeper/* /etc/default/notesd /etc/credstore.encrypted/leasekeeper.secret-id"
    before = d.box.sh(sums)
    with Unchanged(d), Load(d.app, each=1, name="upgrade") as load:
        settle(d)
        said = d.box.install(deb)
        d.wait_ready()
        settle(d, 2)
    assert "0.0.9" in said and "conff" not in said.lower()
    assert d.box.sh(sums) == before
    assert not set(pids) & {d.box.pid(unit) for unit in ("leasekeeperd", "notesd")}
    load.check(d.stand)
