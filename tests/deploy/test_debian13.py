"""All of `make test` on the next release, Debian 13: newer compilers, libraries, servers, browser and Python."""

import os
import re

import pytest

from box import TOP
from release import INSTALL, run_in_clone

LOG_DIR = os.path.join(TOP, "build", "test-logs", "debian13")


@pytest.mark.alone
def test_a_fresh_clone_passes_its_tests_on_debian_13():
    code, said = run_in_clone("trixie", f"{INSTALL} make >/dev/null 2>&1 && make test", LOG_DIR, "build/test-logs",
                              f"leasekeeper-debian13-{os.getpid()}")
    counts = re.fullmatch(r"(\d+) passed, (\d+) failed(, \d+ skipped)?", said.rsplit("\n", 1)[-1])
    assert counts and code == 0, f"{LOG_DIR}/log:\n{said[-8000:]}"
    assert int(counts[1]) > 0 and int(counts[2]) == 0
