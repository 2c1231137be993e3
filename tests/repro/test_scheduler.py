"""Running a plan on an engine that computes nothing: order, reuse, failures, cancellation."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro.engines.engine import Engine, Report, Task
from repro.errors import Interrupted, StageError, StoreError
from repro.machine import facts
from repro.plan import Plan
from repro.scheduler import StepOutcome, run_plan
from repro.settings import Settings
from repro.store import Store
from tests.fakes import (
    BOTH_STAGES,
    FakeExecutor,
    Listener,
    hidden,
    plan_of,
    settings_below,
    write_result,
)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_of(BOTH_STAGES)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_below(tmp_path)


def run(
    plan: Plan, settings: Settings, engine: FakeExecutor, fresh: bool = False
) -> tuple[list[StepOutcome], Listener]:
    accepted: Engine = engine
    listener = Listener()
    keys = [step.key for step in plan.steps] if fresh else ()
    return run_plan(plan, settings, accepted, listener, keys), listener


def scratch_of(plan: Plan, settings: Settings, index: int = 0) -> Path:
    return settings.home / "scratch" / plan.steps[index].key


def test_steps_run_in_order_and_are_then_stored(plan: Plan, settings: Settings) -> None:
    engine = FakeExecutor()
    outcomes, listener = run(plan, settings, engine)
    assert [(outcome.step.stage, outcome.status) for outcome in outcomes] == [
        ("training", "ran"),
        ("spectrum", "ran"),
    ]
    assert engine.events == [
        (event, stage) for stage in ("training", "spectrum") for event in ("submit", "poll", "cancel")
    ]  # fmt: skip
    assert listener.steps == [
        (stage, status) for stage in ("training", "spectrum") for status in ("running", "ran")
    ]
    assert [message["done"] for message in listener.messages] == [1, 1]
    assert outcomes[0].result.meta["seconds"] == 0.25

    again, listener = run(plan, settings, engine)
    assert [outcome.status for outcome in again] == ["stored", "stored"]
    assert engine.ran == ["training", "spectrum"]  # and not once more
    assert listener.steps == [("training", "stored"), ("spectrum", "stored")]
    assert [one.result.content for one in again] == [one.result.content for one in outcomes]
    assert not list((settings.home / "scratch").iterdir())
    assert hidden(settings.home) == []


def test_another_figure_reuses_what_it_shares(plan: Plan, settings: Settings) -> None:
    run(plan_of("li2022/fig8b"), settings, FakeExecutor())
    engine = FakeExecutor()
    outcomes, _ = run(plan, settings, engine)
    assert [outcome.status for outcome in outcomes] == ["stored", "ran"]
    assert engine.ran == ["spectrum"]


def test_the_task_says_all_a_worker_needs(plan: Plan, settings: Settings) -> None:
    tasks: list[dict[str, Any]] = []

    def look(task: Task, report: Report) -> int:
        tasks.append(json.loads(json.dumps(task.content)))
        assert Path(task.content["output"]).is_dir()
        assert Path(task.content["scratch"]).is_dir()
        write_result(task.step, task.output)
        report({"seconds": 1.0, "peak_memory_bytes": 1})
        return 0

    run(plan, settings, FakeExecutor(training=look, spectrum=look))
    training, spectrum = tasks
    assert training["stage"] == "li2022/training"
    assert training["parameters"]["num_epochs"] == plan.steps[0].parameters["num_epochs"]
    assert training["code"] == plan.steps[0].parts["code"]
    assert training["inputs"] == {}
    assert Path(spectrum["inputs"]["training"]["folder"], "arrays.npz").exists()
    assert spectrum["inputs"]["training"]["parameters"] == training["parameters"]
    for task in tasks:
        assert (task["seed"], task["data_root"]) == (0, str(settings.data))
        assert task["facts"] == facts("cpu").parts()


def test_fresh_computes_again_without_old_scratch(plan: Plan, settings: Settings) -> None:
    run(plan, settings, FakeExecutor())
    scratch = scratch_of(plan, settings)
    scratch.mkdir(parents=True)
    (scratch / "epoch.npz").write_text("of an earlier attempt")
    engine = FakeExecutor()
    outcomes, listener = run(plan, settings, engine, fresh=True)
    assert engine.ran == ["training", "spectrum"]
    assert [outcome.status for outcome in outcomes] == ["ran", "ran"]
    assert ("training", "continued") not in listener.steps


def test_only_the_steps_named_are_computed_again(plan: Plan, settings: Settings) -> None:
    run(plan, settings, FakeExecutor())
    engine = FakeExecutor()
    outcomes = run_plan(plan, settings, engine, Listener(), [plan.steps[1].key])
    assert engine.ran == ["spectrum"]
    assert [outcome.status for outcome in outcomes] == ["stored", "ran"]


def test_scratch_of_an_interrupted_run_is_continued(plan: Plan, settings: Settings) -> None:
    scratch = scratch_of(plan, settings)
    scratch.mkdir(parents=True)
    (scratch / "epoch.npz").write_text("")
    _, listener = run(plan, settings, FakeExecutor())
    assert listener.steps[0] == ("training", "continued")
    assert not scratch.exists()


def test_a_damaged_result_is_computed_again(plan: Plan, settings: Settings) -> None:
    before, _ = run(plan, settings, FakeExecutor())
    path = before[0].result.folder / "arrays.npz"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    engine = FakeExecutor()
    after, listener = run(plan, settings, engine)
    assert engine.ran == ["training"]
    assert [outcome.status for outcome in after] == ["ran", "stored"]
    assert after[0].result.meta["digests"] == before[0].result.meta["digests"]
    assert any(
        "is damaged (arrays.npz does not match its digest)" in line for line in listener.lines
    )


def dies(status: int) -> Callable[[Task, Report], int]:
    return lambda task, report: status


def speaks(status: int = 1, **words: Any) -> Callable[[Task, Report], int]:
    def behave(task: Task, report: Report) -> int:
        report(words)
        return status

    return behave


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (dies(-9), "stage training was killed by signal 9 (out of memory?); its log is {log}"),
        (dies(-11), "stage training was killed by signal 11; its log is {log}"),
        (dies(4), "stage training ended with status 4; its log is {log}"),
        (dies(0), "stage training ended with status 0; its log is {log}"),  # and said nothing
        (
            speaks(error="the loss is nan after epoch 3", kind="ArithmeticError"),
            "stage training: the loss is nan after epoch 3 (ArithmeticError; its log is {log})",
        ),
        (
            speaks(error="x: expected MD5 0, the file is missing", kind="DataError"),
            "x: expected MD5 0, the file is missing\n`repro data fetch` downloads the official files; "
            "SSBREPRO_DATA=FOLDER names the folder that holds yours",
        ),
    ],
)
def test_a_stage_that_fails_says_how(
    plan: Plan, settings: Settings, behaviour: Callable[[Task, Report], int], message: str
) -> None:
    engine = FakeExecutor(training=behaviour)
    with pytest.raises(StageError) as caught:
        run(plan, settings, engine)
    assert str(caught.value) == message.format(log=scratch_of(plan, settings) / "log.txt")
    assert caught.value.exit_status == 3
    assert engine.ran == ["training"]
    assert Store(settings.home / "store").read(plan.steps[0].key) is None
    assert hidden(settings.home) == []


def test_what_was_finished_before_a_failure_is_kept(plan: Plan, settings: Settings) -> None:
    with pytest.raises(StageError):
        run(plan, settings, FakeExecutor(spectrum=dies(-9)))
    engine = FakeExecutor()
    outcomes, _ = run(plan, settings, engine)
    assert [outcome.status for outcome in outcomes] == ["stored", "ran"]


@pytest.mark.parametrize("error", [RuntimeError(), KeyboardInterrupt(), Interrupted(signal.SIGINT)])
def test_whatever_ends_us_cancels_the_task(
    plan: Plan, settings: Settings, error: BaseException
) -> None:
    def behave(task: Task, report: Report) -> int:
        raise error

    engine = FakeExecutor(training=behave)
    with pytest.raises(type(error)):
        run(plan, settings, engine)
    assert engine.events[-1] == ("cancel", "training")
    assert hidden(settings.home) == []
    # The key is free for the next run.
    assert len(run(plan, settings, FakeExecutor())[0]) == 2


def test_a_listener_that_fails_cancels_the_task(plan: Plan, settings: Settings) -> None:
    engine = FakeExecutor()
    listener = Listener()
    listener.progress = lambda step, message: 1 / 0  # type: ignore[assignment, method-assign]
    with pytest.raises(ZeroDivisionError):
        run_plan(plan, settings, engine, listener)
    assert engine.events[-1] == ("cancel", "training")


def test_a_worker_that_leaves_no_result_is_no_success(plan: Plan, settings: Settings) -> None:
    behaviour = speaks(0, seconds=1.0, peak_memory_bytes=1)
    with pytest.raises((StageError, StoreError)):
        run(plan, settings, FakeExecutor(training=behaviour))
    assert Store(settings.home / "store").read(plan.steps[0].key) is None
    assert hidden(settings.home) == []


def test_an_engine_is_asked_until_it_knows_the_end(plan: Plan, settings: Settings) -> None:
    class Slow(FakeExecutor):
        asked = 0

        def poll(self, handle: Task, report: Report, seconds: float) -> int | None:
            self.asked += 1
            return super().poll(handle, report, seconds) if self.asked % 3 == 0 else None

    engine = Slow()
    outcomes, _ = run(plan, settings, engine)
    assert [outcome.status for outcome in outcomes] == ["ran", "ran"]
    assert engine.asked == 6


def test_warnings_of_a_worker_are_passed_on(plan: Plan, settings: Settings) -> None:
    def behave(task: Task, report: Report) -> int:
        report({"warning": "epoch.npz is damaged; what it held is computed again"})
        write_result(task.step, task.output)
        report({"seconds": 1.0, "peak_memory_bytes": 1})
        return 0

    _, listener = run(plan, settings, FakeExecutor(training=behave))
    assert "epoch.npz is damaged; what it held is computed again" in listener.lines
