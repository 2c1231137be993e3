"""One set of promises, kept by both engines and by one that somebody adds without changing anything."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from repro import machine
from repro.engines.engine import Engine, Report, Task
from repro.engines.inline import InlineEngine
from repro.engines.local import LocalEngine
from repro.machine import Facts, facts
from repro.plan import Step
from tests.fakes import CHECKOUT
from tests.repro.engines.conformance import Conformance, expected, manifests

__all__ = ["expected", "manifests"]  # fixtures


class TestLocal(Conformance):
    @pytest.fixture
    def engine(self) -> Engine:
        return LocalEngine()


class TestInline(Conformance):
    @pytest.fixture
    def engine(self) -> Engine:
        return InlineEngine()


class AnotherEngine:
    """Starts the worker's command line as a cluster would: with no input and its own environment."""

    def facts(self, device: str) -> Facts:
        return machine.facts(device)

    def capacity(self) -> int:
        return 1

    def submit(self, task: Task) -> Any:
        command = [sys.executable, "-m", "repro.engines.worker", str(task.write())]
        with task.log.open("w") as log:
            return subprocess.Popen(
                command,
                env={"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "7", "MKL_CBWR": "COMPATIBLE"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def poll(self, handle: Any, report: Report, seconds: float) -> int:
        if not handle.stdout.closed:
            for line in handle.stdout:
                report(json.loads(line))
            handle.stdout.close()
        return int(handle.wait())

    def cancel(self, handle: Any) -> None:
        handle.kill()
        handle.wait()
        handle.stdout.close()


class TestAnotherEngine(Conformance):
    @pytest.fixture
    def engine(self) -> Engine:
        return AnotherEngine()


def test_a_task_is_written_as_its_worker_reads_it(tmp_path: Path) -> None:
    step = Step("", {}, 0, facts("cpu"), {}, {}, "")
    task = Task(step, tmp_path / "output", tmp_path / "scratch", {"stage": "training"})
    task.log.parent.mkdir()
    task.log.write_text("of an earlier attempt")
    assert json.loads(task.write().read_text()) == {"stage": "training"}
    assert json.loads(task.write(lifeline=True).read_text()) == {
        "stage": "training",
        "lifeline": True,
    }
    assert task.log.read_text() == ""
    assert {path.name for path in task.scratch.iterdir()} == {"task.json", "log.txt"}
