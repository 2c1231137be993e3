"""The worker's command line: alone, in any environment, with nothing to read."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from repro.engines import compute
from repro.engines.engine import Report, Task
from repro.store import Store
from tests.fakes import (
    CHECKOUT,
    FIGURE,
    FakeExecutor,
    Listener,
    plan_of,
    publish,
    run_plan,
    settings_below,
)
from tests.processes import assert_ends_with_its_parent

COMMAND = [sys.executable, "-m", "repro.engines.worker"]
ENVIRONMENT = {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": ""}


class Stop(Exception):
    pass


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A task as the scheduler makes it, of a training that takes seconds."""
    kept: list[Task] = []

    def keep(task: Task, report: Report) -> int:
        kept.append(task)
        raise Stop

    with pytest.raises(Stop):
        run_plan(
            plan_of(FIGURE),
            settings_below(tmp_path),
            FakeExecutor(training=keep),
            Listener(),
        )
    return kept[0]


def work(*arguments: Any, **options: Any) -> tuple[int, list[dict[str, Any]], str]:
    """Exit status, messages, and standard error of a worker that ends by itself."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        **({"stdin": subprocess.DEVNULL} | options),
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_without_a_task_it_says_what_it_wants() -> None:
    assert work() == (2, [], "usage: python -m repro.engines.worker TASK\n")


@pytest.mark.parametrize(
    ("content", "kind"), [(None, "FileNotFoundError"), ("{", "JSONDecodeError"), ("{}", "KeyError")]
)
def test_a_file_that_is_no_task_is_a_message(
    tmp_path: Path, content: str | None, kind: str
) -> None:
    path = tmp_path / "task.json"
    if content is not None:
        path.write_text(content)
    status, [message], log = work(path)
    assert (status, message["kind"]) == (1, kind)
    assert "Traceback" in log  # which is for the log


def test_a_refusal_names_fact_expected_and_found(task: Task) -> None:
    facts = asdict(task.step.facts) | {"architecture": "abacus"}
    refused = replace(task, content={**task.content, "facts": facts})
    status, [message], _ = work(refused.write())
    assert status == 1
    expected, found = "architecture: abacus", os.uname().machine
    assert message["error"].startswith(
        "this is not the machine of the step's key (expected → found)"
    )
    assert f"{expected} → {found}" in message["error"]
    assert not Path(task.content["store"], task.step.key).exists()


def test_all_that_it_says_is_heard_before_it_ends(task: Task) -> None:
    publish(Store(Path(task.content["store"])), task.step)
    assert work(task.write()) == (0, [{"stored": True}], "")


def test_with_a_lifeline_it_ends_when_standard_input_does(task: Task) -> None:
    assert work(task.write(lifeline=True)) == (1, [], "")


# Starts a worker and hands its output on, until it is killed.
_PARENT = """
import subprocess, sys, time
worker = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
print(worker.pid, flush=True)
time.sleep(600)
"""


def imports(pid: int) -> bool:
    """Whether PyTorch is being imported."""
    return "libtorch" in Path(f"/proc/{pid}/maps").read_text()


def runs(scratch: Path) -> Callable[[int], bool]:
    return lambda pid: (scratch / "epoch.npz").exists()


@pytest.mark.parametrize("moment", ["imports", "runs"])
def test_without_one_it_lives_as_long_as_its_parent(task: Task, moment: str) -> None:
    reached = {"imports": imports, "runs": runs(task.scratch)}[moment]
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, *COMMAND, str(task.write())],
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        try:
            while not reached(worker):  # it computes although nobody holds its standard input
                time.sleep(0.01)
        finally:
            parent.kill()
    assert_ends_with_its_parent(worker)


def test_what_another_machine_has_published_is_not_computed_again(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the name of the result was looked for in vain, and that is remembered for a while."""
    store = Store(Path(task.content["store"]))
    publish(store, task.step)
    shutil.rmtree(task.scratch)  # by whoever has published
    seen = []
    has, listed = Path.is_dir, Path.iterdir
    monkeypatch.setattr(
        Path, "is_dir", lambda path: has(path) and (path.name != task.step.key or bool(seen))
    )
    monkeypatch.setattr(Path, "iterdir", lambda path: seen.append(path) or listed(path))
    monkeypatch.setattr(compute, "_run", lambda *_: pytest.fail("computed again"))
    messages: list[Any] = []
    compute.compute(task.content, messages.append)
    assert messages == [{"stored": True}]
