"""Fixtures: the package, the image, the servers on the host, and a box in which the service is deployed."""

import os
import tempfile

import pytest

from box import TOP, Box, Deployment, make_image
from compose_stack import stack  # noqa: F401
from release import build_deb
from servers import Scratch
from stand import Pair

LOG_DIR = os.path.join(TOP, "build", "test-logs")


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: it runs before the others, whose servers are not there yet")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("alone") is None)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    deployment = item.funcargs.get("deployed") or item.funcargs.get("own_box")
    if report.when == "call" and report.failed and deployment:
        journal = deployment.keep_logs(item.name)
        with open(journal, encoding="utf-8") as f:
            report.sections.append((journal, "\n".join(f.read().splitlines()[-60:])))


@pytest.fixture(scope="session")
def deb():
    return build_deb()


@pytest.fixture(scope="session")
def image(deb):
    return make_image(deb)


@pytest.fixture(scope="session")
def packages():
    """A folder for packages that a test makes."""
    with tempfile.TemporaryDirectory(prefix="leasekeeper-deploy.") as folder:
        yield folder


@pytest.fixture(scope="session")
def scratch():
    scratch = Scratch("leasekeeper-deploy")
    yield scratch
    scratch.remove()


@pytest.fixture(scope="session")
def pair(scratch):
    pair = Pair(scratch)
    yield pair
    pair.stop()


def boot(image, scratch, pair):
    deployment = Deployment(Box(image), scratch, pair, LOG_DIR)
    try:
        deployment.box.wait_up()
    except Exception:
        deployment.keep_logs("boot")
        deployment.remove()
        raise
    return deployment


@pytest.fixture(scope="session")
def _shared(deb, image, scratch, pair):
    deployment = boot(image, scratch, pair)
    try:
        deployment.box.install(deb)
        deployment.provision()
        deployment.configure()
        deployment.start()
        yield deployment
    finally:
        deployment.keep_logs("shared")
        deployment.remove()


@pytest.fixture
def deployed(_shared):
    """The service, running; shared by tests that leave it running."""
    _shared.box.sh("systemctl start leasekeeperd notesd")
    _shared.wait_ready()
    yield _shared
    _shared.box.sh("rm -rf /etc/systemd/system/leasekeeperd.service.d && systemctl daemon-reload")


@pytest.fixture
def own_box(image, scratch, pair):
    """A box of the test's own, booted, without the package."""
    deployment = boot(image, scratch, pair)
    yield deployment
    deployment.remove()
