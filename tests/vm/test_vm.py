"""What only a machine with Debian 12's own kernel and cgroup v2 shows: the older paths, and swap for real."""

import re

import pytest

from box import Unchanged, settle
from load import Load
from servers import wait_until


@pytest.mark.parametrize("unit", ["leasekeeperd", "notesd"])
def test_a_daemon_is_kept_from_swap(deployed, unit):
    """MemorySwapMax=0 is the kernel's word here, and MemoryDenyWriteExecute= and the filter stand."""
    group = deployed.box.sh(f"cat /sys/fs/cgroup/system.slice/{unit}.service/memory.swap.max")
    assert group.strip() == "0"
    status = deployed.box.sh(f"cat /proc/{deployed.box.pid(unit)}/status")
    assert re.search(r"^VmSwap:\s+0 kB", status, re.M)
    assert re.search(r"^Seccomp:\s+2", status, re.M)


def test_a_kernel_without_noswap_and_peerpidfd(deployed):
    """The mount is skipped and nothing fails by it; status says which way is in use."""
    assert deployed.box.sh("uname -r").startswith("6.1.")
    shown = deployed.box.show("run-leasekeeper.mount", "ActiveState", "ConditionResult")
    assert (shown["ActiveState"], shown["ConditionResult"]) == ("inactive", "no")
    assert deployed.box.sh("stat -f -c %T /run/leasekeeper").strip() == "tmpfs"
    assert deployed.box.sh("stat -c '%a %U' /run/leasekeeper/state").split() == ["700", "leasekeeper"]
    assert deployed.status()["kernel"]["peerpidfd"] is False
    assert deployed.box.sh("setpriv --reuid notes --regid notes --clear-groups leasekeeper get dbinfo database").strip()
    assert deployed.box.try_sh("setpriv --reuid nobody --regid notes --clear-groups leasekeeper get dbinfo").returncode == 1


def test_swap_is_told(deployed):
    """In the status at once, and in the log at the start: without noswap what lies in /run may reach a disk."""
    def warnings():
        said = deployed.box.sh(f"journalctl -q --no-pager _PID={deployed.box.pid('leasekeeperd')}")
        return [line for line in said.splitlines() if "swap is on and this tmpfs may be swapped out" in line]
    assert deployed.status()["kernel"]["swap"] is False
    assert not warnings()
    deployed.box.sh("dd if=/dev/zero of=/swap bs=1M count=32 status=none && chmod 600 /swap && mkswap -q /swap && swapon /swap")
    try:
        assert deployed.status()["kernel"]["swap"] is True
        deployed.box.sh("systemctl restart leasekeeperd")
        assert any(" /run/leasekeeper/state: " in line for line in warnings()), warnings()
    finally:
        deployed.box.sh("swapoff /swap && rm /swap")


def test_limits_are_the_units(deployed):
    limits = deployed.box.sh(f"cat /proc/{deployed.box.pid('notesd')}/limits")
    assert re.search(r"^Max open files +\d+ +8192 ", limits, re.M)
    assert re.search(r"^Max core file size +0 +0 ", limits, re.M)


def test_reload_restart_and_death_under_load(deployed):
    before, users = deployed.versions(), deployed.stand.users()
    with Load(deployed.app, each=1, name="vm") as load:
        settle(deployed)
        deployed.box.sh("systemctl reload leasekeeperd")
        wait_until("new versions", lambda: all(deployed.versions()[n] != before[n] for n in ("db", "tls")), 60)
        wait_until("the old user to be gone", lambda: not users & deployed.stand.users(), 60)
        with Unchanged(deployed):
            deployed.box.sh("systemctl restart leasekeeperd")
            settle(deployed)
            restarts = deployed.box.restarts("leasekeeperd")
            deployed.box.sh("systemctl kill -s KILL leasekeeperd")
            wait_until("a restart", lambda: deployed.box.restarts("leasekeeperd") == restarts + 1, 60)
            wait_until("the agent", lambda: deployed.box.is_active("leasekeeperd"), 60)
            settle(deployed, 2)
    load.check(deployed.stand)
