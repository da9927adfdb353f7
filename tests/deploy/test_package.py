"""make install and make uninstall, and what the package says of itself."""

import os
import re

from box import TOP, run

# What the operator may have changed is left.
KEPT = {"etc/default/notesd"}


def files(folder):
    return {os.path.relpath(os.path.join(where, name), folder) for where, _, names in os.walk(folder) for name in names}


def make(target, folder, prefix):
    run("make", "--no-print-directory", "-C", TOP, target, f"DESTDIR={folder}", f"PREFIX={prefix}")


def test_install_and_uninstall(tmp_path):
    make("install", tmp_path, "/usr/local")
    installed = files(tmp_path)
    assert {"usr/local/sbin/leasekeeperd", "usr/local/sbin/notesd", "usr/local/bin/leasekeeper",
            "usr/local/share/man/man8/leasekeeperd.8", "usr/local/share/man/man8/notesd.8",
            "usr/local/share/man/man1/leasekeeper.1", "usr/local/share/man/man5/leasekeeperd.hcl.5",
            "usr/local/lib/sysusers.d/leasekeeper.conf", "usr/local/lib/tmpfiles.d/leasekeeper.conf"} <= installed
    for unit in ("leasekeeperd", "notesd"):
        text = (tmp_path / f"usr/local/lib/systemd/system/{unit}.service").read_text()
        assert f"ExecStart=/usr/local/sbin/{unit}" in text
        assert "dir@" not in text
    (tmp_path / "etc/default/notesd").write_text("mine\n")
    make("install", tmp_path, "/usr/local")
    assert (tmp_path / "etc/default/notesd").read_text() == "mine\n"
    make("uninstall", tmp_path, "/usr/local")
    assert files(tmp_path) == KEPT


def test_notesd_listens_where_its_socket_unit_does():
    """As packaged: an address that only one of them has is either closed during a restart or never answered."""
    def at(name, pattern):
        with open(os.path.join(TOP, "systemd", name), encoding="utf-8") as f:
            return sorted(re.findall(pattern, f.read(), re.M))
    sockets = at("notesd.socket", r"^ListenStream=(.+)$")
    assert len(sockets) == 4
    assert at("notesd.default", r"https?://([^ \"]+)") == sockets


def test_the_package_lists_its_configuration(deb):
    assert "/etc/default/notesd" in run("dpkg-deb", "-I", deb, "conffiles").split()
    shown = run("dpkg-deb", "-c", deb)
    assert "/etc/leasekeeper" not in shown
    for page in ("man1/leasekeeper.1.gz", "man5/leasekeeperd.hcl.5.gz", "man8/leasekeeperd.8.gz", "man8/notesd.8.gz"):
        assert page in shown
