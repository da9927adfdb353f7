"""All of `make test` on the next release, Debian 13: newer compilers, libraries, servers, browser and Python."""

import re

import pytest

from conftest import DEBIAN13_LOGS


@pytest.mark.last
def test_a_fresh_clone_passes_its_tests_on_debian_13(debian13):
    code, said = debian13.result()
    counts = re.fullmatch(r"(\d+) passed, (\d+) failed(, \d+ skipped)?", said.rsplit("\n", 1)[-1])
    assert counts and code == 0, f"{DEBIAN13_LOGS}/log:\n{said[-8000:]}"
    assert int(counts[1]) > 0 and int(counts[2]) == 0
