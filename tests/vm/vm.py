"""A virtual machine (qemu, no KVM) with Debian's own kernel, systemd and cgroup v2; the tests' shell is a virtio port."""

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile

from box import SUITE, SYSTEM, TOP, Machine, depends_of, run
from servers import Failed

PACKAGES = ["e2fsprogs", "initramfs-tools", "iproute2", "kmod", "linux-image-cloud-amd64", "udev", "util-linux"]
ADDRESS, GATEWAY = "10.0.2.15/24", "10.0.2.2"  # of qemu's user network; the gateway is the host's loopback

SHELL = """#!/bin/sh
# One command a line, in base64; the answer: exit code, output, errors.
exec 3<>/dev/virtio-ports/test.shell
while read -r line <&3; do
        printf '%s' "$line" | base64 -d >/run/test-command
        /bin/sh /run/test-command >/run/test-out 2>/run/test-err </dev/null
        printf '%s o%s e%s\\n' "$?" "$(base64 -w0 /run/test-out)" "$(base64 -w0 /run/test-err)" >&3
done
"""
SHELL_UNIT = """[Unit]
After=multi-user.target dev-virtio\\x2dports-test.shell.device
[Service]
Type=idle
ExecStart=/usr/local/sbin/test-shell
[Install]
WantedBy=multi-user.target
"""
NETWORK = f"[Match]\nName=en* eth*\n[Network]\nAddress={ADDRESS}\nGateway={GATEWAY}\n"


def _write(root, path, text, mode=0o644):
    path = os.path.join(root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


def make_disk(deb):
    """Return: a folder with disk.img, vmlinuz and initrd. Made once; some minutes."""
    packages = sorted(depends_of(deb) | set(SYSTEM) | set(PACKAGES))
    tag = hashlib.sha256(" ".join([SUITE, SHELL, SHELL_UNIT, NETWORK, *packages]).encode()).hexdigest()[:12]
    folder = os.path.join(TOP, "build", "deploy", f"vm-{SUITE}-{tag}")
    if os.path.exists(folder):
        return folder
    root = tempfile.mkdtemp(prefix="leasekeeper-vm.")
    fresh = folder + ".new"
    shutil.rmtree(fresh, ignore_errors=True)
    os.makedirs(fresh)
    try:
        run("debootstrap", "--variant=minbase", "--include=" + ",".join(packages), SUITE, root)
        shutil.rmtree(os.path.join(root, "var/cache/apt/archives"), ignore_errors=True)
        _write(root, "usr/local/sbin/test-shell", SHELL, 0o755)
        _write(root, "etc/systemd/system/test-shell.service", SHELL_UNIT)
        _write(root, "etc/systemd/network/10-all.network", NETWORK)
        run("systemctl", f"--root={root}", "enable", "test-shell.service", "systemd-networkd.service")
        boot = os.path.join(root, "boot")
        for name, kept in (("vmlinuz-", "vmlinuz"), ("initrd.img-", "initrd")):
            found = [n for n in os.listdir(boot) if n.startswith(name)]
            shutil.copy(os.path.join(boot, found[0]), os.path.join(fresh, kept))
        run("mkfs.ext4", "-q", "-d", root, os.path.join(fresh, "disk.img"), "1500M")
        os.rename(fresh, folder)
    finally:
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


class Vm(Machine):
    """One boot of the disk; what is written to it goes with the machine."""

    host, listen = GATEWAY, "0.0.0.0"

    def __init__(self, disk, ports, console):
        self._folder = tempfile.mkdtemp(prefix="leasekeeper-vm.")
        path = os.path.join(self._folder, "shell")
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{p}-:{p}" for p in ports)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            listener.settimeout(30)
            self._qemu = subprocess.Popen([
                "qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024",
                "-no-reboot", "-display", "none", "-monitor", "none", "-serial", f"file:{console}",
                "-drive", f"id=d0,file={disk}/disk.img,format=raw,if=none,snapshot=on", "-device", "virtio-blk-pci,drive=d0",
                "-netdev", f"user,id=n0{forwards}", "-device", "virtio-net-pci,netdev=n0", "-device", "virtio-serial-pci",
                "-chardev", f"socket,id=c0,path={path}", "-device", "virtserialport,chardev=c0,name=test.shell",
                "-kernel", f"{disk}/vmlinuz", "-initrd", f"{disk}/initrd", "-append",
                "root=/dev/vda rw console=ttyS0 quiet systemd.mask=serial-getty@ttyS0.service"],
                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                self._port, _ = listener.accept()
            except OSError:
                self._qemu.kill()
                raise Failed(f"qemu did not start: {self._qemu.communicate()[1].decode()}") from None
        self._port.settimeout(240)
        self._lines = self._port.makefile("rb")

    def try_sh(self, command, text=None):
        script = command
        if text is not None:
            script = f"printf %s {base64.b64encode(text.encode()).decode()} | base64 -d | {{ {command}\n}}"
        self._port.sendall(base64.b64encode(script.encode()) + b"\n")
        line = self._lines.readline().decode().split()
        if len(line) != 3:
            raise Failed(f"the machine's shell ended during: {command}")
        out, err = (base64.b64decode(word[1:]).decode(errors="replace") for word in line[1:])
        return subprocess.CompletedProcess(command, int(line[0]), out, err)

    def copy_in(self, source, path):
        with open(source, "rb") as f:
            text = base64.b64encode(f.read()).decode()
        self.sh(f"base64 -d >{path}", text)

    def remove(self):
        self._qemu.kill()
        self._qemu.wait()
        self._port.close()
        shutil.rmtree(self._folder, ignore_errors=True)
