"""Processes end with those that wanted their results: on Linux, elsewhere, and by their input."""

import os
import signal
import subprocess
import sys

import pytest

from repro.engines import lifeline
from tests.fakes import CHECKOUT
from tests.processes import assert_ends_with_its_parent, is_running

# A parent ends as its child does, which says who it is once it ends with its parent.
_PARENT = """
import subprocess, sys
sys.exit(subprocess.call([sys.executable, "-c", *sys.argv[1:]]))
"""
_CHILD = """
import ctypes, os, sys, time
parent = os.getppid()
sys.platform = sys.argv[1]
if sys.platform != "linux":
    ctypes.CDLL = None  # there is no prctl
from repro.engines import lifeline
lifeline.end_with(parent)
print(os.getpid(), flush=True)
time.sleep(float(sys.argv[2]))
"""
_LATE = """
from repro.engines import lifeline
lifeline.end_with(999999999)
print("goes on")
"""
_READER = """
import sys, time
from repro.engines import lifeline
lifeline.end_with_standard_input()
sys.stdout.write("reads")
sys.stdout.flush()
time.sleep(600)
"""
_LONGER_THAN_A_POLL = lifeline._POLL_SECONDS + 0.2


def started(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", *arguments],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_a_child_lives_as_long_as_it_wants_while_its_parent_does(system: str) -> None:
    with started(_PARENT, _CHILD, system, str(_LONGER_THAN_A_POLL)) as parent:
        assert parent.wait(60) == 0


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_a_child_ends_when_its_parent_is_killed(system: str) -> None:
    with started(_PARENT, _CHILD, system, "600") as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.send_signal(signal.SIGKILL)
    assert_ends_with_its_parent(child)


def test_a_child_whose_parent_has_died_already_does_nothing() -> None:
    with started(_LATE) as late:
        assert late.stdout is not None
        assert (late.stdout.read(), late.wait(60)) == (b"", 1)


def test_what_comes_by_standard_input_ends_nothing_and_its_end_does() -> None:
    with started(_READER) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.read(5) == b"reads"
        process.stdin.write(b"a line\n" * 1024)
        process.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.stdin.close()
        assert process.wait(60) == 1
