"""Fixtures: servers for the whole run, a stand for each test, the rule that a daemon ends cleanly."""

import os
import shutil

import pytest

from stand import TOP, Pair, Stand
from servers import Scratch

LOG_DIR = os.path.join(TOP, "build", "test-logs")


def pytest_configure(config):
    config.addinivalue_line("markers", "smoke: part of the named set that also runs under the sanitizers")
    config.addinivalue_line("markers", "root: proves a boundary between user ids; skipped unless started by root")


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        skip = pytest.mark.skip(reason="needs root: without it all runs under one user id and there is no boundary")
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(skip)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.test_failed = report.failed
        stand = item.funcargs.get("stand") or item.funcargs.get("own_stand")
        if report.failed and stand:
            report.sections.append(("logs of the daemons", stand.keep_logs(item.name)))
            for log in stand.logs():
                with open(log, encoding="utf-8", errors="replace") as f:
                    tail = f.read()[-3000:]
                report.sections.append((os.path.basename(log), tail))


@pytest.fixture(scope="session")
def scratch():
    scratch = Scratch("leasekeeper-test")
    yield scratch
    scratch.remove()


@pytest.fixture(scope="session")
def pair(scratch):
    """The servers that most tests share. Who seals, stops or fills something takes own_stand."""
    pair = Pair(scratch)
    yield pair
    pair.stop()


def finish(request, stand):
    codes = stand.stop()
    if not getattr(request.node, "test_failed", True):
        assert all(code == 0 for code in codes), f"a daemon ended with {codes} on SIGTERM: {stand.keep_logs('end')}"


@pytest.fixture
def stand(request, scratch, pair):
    stand = Stand(scratch, pair, LOG_DIR)
    yield stand
    finish(request, stand)


@pytest.fixture
def own_stand(request, scratch):
    """A stand on a pair of servers of its own."""
    pair = Pair(scratch, name=f"-own{Stand.number}")
    stand = Stand(scratch, pair, LOG_DIR)
    yield stand
    finish(request, stand)
    pair.stop()
    for folder in (pair.bao.folder, pair.mariadb.folder):
        shutil.rmtree(folder, ignore_errors=True)
