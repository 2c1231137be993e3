"""SSBREPRO_NO_SKIPS, by which nothing that a test needs may be missing, e.g. in a release's checks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes import CHECKOUT

TESTS = """
import pytest

@pytest.fixture
def dataset():
    pytest.skip("no dataset")

def test_passes(): pass

def test_needs_a_fixture(dataset): pass

@pytest.mark.skipif(True, reason="no engine")
def test_needs_an_engine(): pass

def test_finds_out_late():
    pytest.skip("no disk")

@pytest.mark.xfail
def test_fails_as_expected(): assert False
"""
MODULE = "import pytest; pytest.importorskip('no_such_package', reason='no package')"


@pytest.mark.parametrize(
    ("switch", "counts"),
    [("", "1 passed, 4 skipped, 1 xfailed"), ("1", "1 failed, 1 passed, 1 xfailed, 3 errors")],
)
def test_every_skip_is_a_failure_that_names_the_reason_where_none_may_be(
    tmp_path: Path, switch: str, counts: str
) -> None:
    (tmp_path / "test_one.py").write_text(TESTS)
    (tmp_path / "test_other.py").write_text(MODULE)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-q", "--continue-on-collection-errors", "."],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT), "SSBREPRO_NO_SKIPS": switch},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1].startswith(counts), done.stdout + done.stderr
    for reason in ("no dataset", "no engine", "no disk", "no package"):
        assert (f"{reason}, and SSBREPRO_NO_SKIPS is set" in done.stdout) == bool(switch)
    assert done.returncode == (1 if switch else 0)
