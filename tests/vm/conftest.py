"""Fixtures: one virtual machine in which the service is deployed, on servers of the host."""

import os
import sys

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "deploy"))

# box.py makes the modules of the other test folders and of compose/ importable: it stands first.
from box import Deployment  # noqa: E402
from release import build_deb  # noqa: E402
from servers import Scratch  # noqa: E402
from stand import Pair  # noqa: E402
from vm import Vm, make_disk  # noqa: E402

LOG_DIR = os.path.join(TOP, "build", "test-logs")


@pytest.fixture(scope="session")
def deployed():
    deb = build_deb()
    disk = make_disk(deb)
    scratch = Scratch("leasekeeper-vm")
    pair = Pair(scratch)
    deployment = Deployment(None, scratch, pair, LOG_DIR)
    ports = (deployment.app.port, deployment.app.tls_port)
    deployment.box = Vm(disk, ports, os.path.join(LOG_DIR, "vm-console.log"))
    try:
        deployment.box.wait_up(240)
        deployment.box.install(deb)
        deployment.provision()
        deployment.configure()
        deployment.start()
        yield deployment
    finally:
        deployment.keep_logs("vm")
        deployment.remove()
        pair.stop()
        scratch.remove()
