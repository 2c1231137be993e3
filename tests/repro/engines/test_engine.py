"""One set of promises, kept by both engines and by one that somebody adds without changing anything."""

import json
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from repro import machine
from repro.engines.engine import Capacity, Engine, Needs, Reports, Task
from repro.engines.inline import InlineEngine
from repro.engines.local import LocalEngine
from repro.machine import Facts, facts
from repro.plan import Step
from tests.fakes import CHECKOUT
from tests.repro.engines.conformance import Conformance, expected

__all__ = ["expected"]  # a fixture


@pytest.fixture(scope="module")
def local() -> LocalEngine:
    """One for all tests: what its steps are forked from imports libraries once."""
    return LocalEngine()


class TestLocal(Conformance):
    @pytest.fixture
    def engine(self, local: LocalEngine) -> Engine:
        return local


class TestInline(Conformance):
    @pytest.fixture
    def engine(self) -> Engine:
        return InlineEngine()


class AnotherEngine:
    """Starts the worker's command line as a cluster would: with no input and its own environment."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def facts(self, device: str) -> Facts:
        return machine.facts(device)

    def capacity(self) -> Capacity:
        return Capacity(1)

    def submit(self, task: Task) -> None:
        command = [sys.executable, "-m", "repro.engines.worker", str(task.write())]
        with task.log.open("w") as log:
            self._processes[task.step.key] = subprocess.Popen(
                command,
                env={"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "7", "MKL_CBWR": "COMPATIBLE"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def poll(self, report: Reports, seconds: float) -> Mapping[str, int]:
        ended = {}
        for key, process in list(self._processes.items()):
            assert process.stdout is not None
            for line in process.stdout:
                report(key, json.loads(line))
            process.stdout.close()
            ended[key] = process.wait()
            del self._processes[key]
        return ended

    def cancel(self, key: str) -> None:
        if process := self._processes.pop(key, None):
            process.kill()
            process.communicate()

    def abandon(self, keys: Collection[str]) -> None:
        for key in keys:
            self.cancel(key)


@pytest.mark.slow
class TestAnotherEngine(Conformance):
    @pytest.fixture
    def engine(self) -> Engine:
        return AnotherEngine()


def test_a_task_is_written_as_its_worker_reads_it(tmp_path: Path) -> None:
    step = Step("", {}, 0, facts("cpu"), {}, {}, "")
    task = Task(step, Needs(2.5, 10**9), tmp_path / "scratch", {"stage": "training"})
    task.log.parent.mkdir()
    task.log.write_text("of an earlier attempt")
    assert json.loads(task.write().read_text()) == {"stage": "training"}
    assert json.loads(task.write(lifeline=True).read_text()) == {
        "stage": "training",
        "lifeline": True,
    }
    assert task.log.read_text() == ""
    assert {path.name for path in task.scratch.iterdir()} == {"task.json", "log.txt"}
