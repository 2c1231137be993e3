"""Running plans on an engine that computes nothing: order, reuse, failures, cancellation, limits."""

import json
import shutil
import signal
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro import machine, scheduler
from repro.budget import Budget
from repro.engines.engine import Capacity, Engine, Needs, Report, Reports, Task
from repro.errors import Interrupted, StageError, StoreError
from repro.machine import facts
from repro.plan import Plan, make_plan
from repro.scheduler import Scheduler, StepOutcome
from repro.settings import Settings
from repro.store import Store
from tests.fakes import (
    BOTH_STAGES,
    FakeExecutor,
    Listener,
    hidden,
    plan_of,
    publish,
    run_plan,
    settings_below,
    succeed,
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
        (event, stage) for stage in ("training", "spectrum") for event in ("submit", "poll")
    ]
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
        assert Path(task.content["scratch"]).is_dir()
        return succeed(task, report)

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
        (
            dies(0),  # and left no result
            "stage training: its result is not in {store} (StoreError; its log is {log})",
        ),
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
    plan: Plan,
    settings: Settings,
    behaviour: Callable[[Task, Report], int],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scheduler, "PUBLISHED_SECONDS", 0.0)
    engine = FakeExecutor(training=behaviour)
    with pytest.raises(StageError) as caught:
        run(plan, settings, engine)
    log, store = scratch_of(plan, settings) / "log.txt", settings.home / "store"
    assert str(caught.value) == message.format(log=log, store=store)
    assert caught.value.exit_status == 3
    assert engine.ran == ["training"]
    assert Store(settings.home / "store").read(plan.steps[0].key) is None
    assert hidden(settings.home) == []


def test_a_stage_killed_for_want_of_memory_says_what_allows_more(
    plan: Plan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = iter([3, 4])  # when the run begins, and when a step has been killed
    monkeypatch.setattr(machine, "memory_kills", lambda: next(kills))
    with pytest.raises(StageError) as caught:
        run(plan, settings, FakeExecutor(training=dies(-9)))
    assert str(caught.value) == (
        "stage training was killed by signal 9 for want of memory (SSBREPRO_MEMORY=32g allows a "
        "container more; --jobs 1 or a smaller profile needs less); its log is "
        f"{scratch_of(plan, settings) / 'log.txt'}"
    )


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


def test_an_engine_is_asked_until_it_knows_the_end(plan: Plan, settings: Settings) -> None:
    class Slow(FakeExecutor):
        asked = 0

        def poll(self, report: Reports, seconds: float) -> Mapping[str, int]:
            self.asked += 1
            return super().poll(report, seconds) if self.asked % 3 == 0 else {}

    engine = Slow()
    outcomes, _ = run(plan, settings, engine)
    assert [outcome.status for outcome in outcomes] == ["ran", "ran"]
    assert engine.asked == 6


def test_warnings_of_a_worker_are_passed_on(plan: Plan, settings: Settings) -> None:
    def behave(task: Task, report: Report) -> int:
        report({"warning": "epoch.npz is damaged; what it held is computed again"})
        return succeed(task, report)

    _, listener = run(plan, settings, FakeExecutor(training=behave))
    assert "epoch.npz is damaged; what it held is computed again" in listener.lines


class Together(FakeExecutor):
    """Several tasks at once; all that run end when no more are submitted, the last submitted first."""

    def __init__(self, capacity: Capacity, **behaviour: Callable[[Task, Report], int]) -> None:
        super().__init__(**behaviour)
        self.limits = capacity
        self.together: list[list[tuple[str, int]]] = []
        self.abandoned: list[str] = []

    def capacity(self) -> Capacity:
        return self.limits

    def poll(self, report: Reports, seconds: float) -> Mapping[str, int]:
        self.together.append([(one.step.stage, one.step.seed) for one in self.waiting.values()])
        ended: dict[str, int] = {}
        for key in reversed(list(self.waiting)):
            task = self.waiting.pop(key)
            behave = self.behaviour.get(task.step.stage, succeed)
            ended[key] = behave(task, lambda message, key=key: report(key, message))
        return ended

    def abandon(self, keys: Collection[str]) -> None:
        self.abandoned += keys
        super().abandon(keys)


def run_all(plans: list[Plan], settings: Settings, engine: Engine, **options: Any) -> Scheduler:
    """All plans, to the end; which were yielded, and in what order, is ``yielded``."""
    with Scheduler(plans, settings, engine, Listener(), **options) as done:
        done.yielded = list(done.run())  # type: ignore[attr-defined]
    return done


@pytest.fixture(scope="module")
def seeds() -> list[Plan]:
    """Two steps each, and of the last figure the first of them again."""
    return [plan_of(BOTH_STAGES, seed) for seed in range(3)] + [plan_of("li2022/fig8b", 2)]


def test_plans_are_merged_and_whatever_has_its_inputs_runs(
    seeds: list[Plan], settings: Settings
) -> None:
    engine = Together(Capacity(8))
    done = run_all(seeds, settings, engine)
    assert [sorted(one) for one in engine.together] == [
        [(stage, seed) for seed in range(3)] for stage in ("training", "spectrum")
    ]
    assert len(done.outcomes) == 6
    assert done.yielded[0] == 3  # type: ignore[attr-defined] # it needs one step alone
    assert sorted(done.yielded) == [0, 1, 2, 3]  # type: ignore[attr-defined]
    assert (done.failures, done.unfinished()) == ([], [])


@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_no_more_run_at_once_than_the_engine_takes(
    seeds: list[Plan], settings: Settings, tasks: int
) -> None:
    engine = Together(Capacity(tasks))
    run_all(seeds, settings, engine)
    assert max(map(len, engine.together)) == tasks
    assert sum(map(len, engine.together)) == 6


def test_memory_is_kept_to_and_what_needs_more_than_all_runs_alone(
    seeds: list[Plan], settings: Settings
) -> None:
    first, second, third = (plan.steps[0].key for plan in seeds[:3])
    needs = {first: Needs(9.0, 60), second: Needs(8.0, 50), third: Needs(7.0, 40)}
    engine = Together(Capacity(3, memory_bytes=100))
    run_all([plan_of("li2022/fig8b", seed) for seed in range(3)], settings, engine, needs=needs)
    # The second does not fit beside the first; the third, which comes after it, does.
    assert engine.together == [[("training", 0), ("training", 2)], [("training", 1)]]

    engine = Together(Capacity(3, memory_bytes=10))
    run_all(
        [plan_of("li2022/fig8b", seed) for seed in range(3)],
        settings,
        engine,
        needs=needs,
        fresh=list(needs),
    )
    assert engine.together == [[("training", 0)], [("training", 1)], [("training", 2)]]


def test_a_gpu_has_one_step_at_a_time_and_others_run_beside_it(settings: Settings) -> None:
    def on_gpu(plan: Plan) -> Plan:
        return make_plan(plan.manifest, plan.profile, plan.seed, replace(plan.facts, device="cuda"))

    plans = [plan_of("li2022/fig8b", seed) for seed in range(3)]
    engine = Together(Capacity(3, gpus=1))
    run_all([*map(on_gpu, plans[:2]), plans[2]], settings, engine)
    assert engine.together[0] == [("training", 0), ("training", 2)]
    assert ("training", 1) in engine.together[1]


def test_steps_of_unknown_memory_share_it(seeds: list[Plan], settings: Settings) -> None:
    engine = Together(Capacity(2, memory_bytes=100))
    run_all(seeds, settings, engine)
    assert max(map(len, engine.together)) == 2


def test_the_longest_chain_goes_first(settings: Settings) -> None:
    long, short = plan_of(BOTH_STAGES, 0), plan_of(BOTH_STAGES, 1)
    keys = [step.key for step in (*long.steps, *short.steps)]
    needs = {key: Needs(seconds) for key, seconds in zip(keys, (1.0, 9.5, 5.0, 4.0), strict=True)}
    engine = Together(Capacity(1))
    run_all([short, long], settings, engine, needs=needs)
    assert [one for (one,) in engine.together] == [
        ("training", 0), ("spectrum", 0), ("training", 1), ("spectrum", 1),
    ]  # fmt: skip


def test_a_failure_stops_what_needs_it_and_nothing_else(
    seeds: list[Plan], settings: Settings
) -> None:
    def second_fails(task: Task, report: Report) -> int:
        return -9 if task.step.seed == 1 else succeed(task, report)

    done = run_all(seeds, settings, Together(Capacity(2), training=second_fails))
    (failure,) = done.failures
    assert failure.step == seeds[1].steps[0]
    assert failure.dependants == (seeds[1].steps[1],)
    assert "was killed by signal 9" in failure.reason
    assert done.unfinished() == list(seeds[1].steps)
    assert sorted(done.yielded) == [0, 2, 3]  # type: ignore[attr-defined]


def test_whatever_ends_us_abandons_all_that_runs(seeds: list[Plan], settings: Settings) -> None:
    class Interrupts(Together):
        def poll(self, report: Reports, seconds: float) -> Mapping[str, int]:
            raise Interrupted(signal.SIGTERM)

    engine = Interrupts(Capacity(2))
    with pytest.raises(Interrupted):
        run_all(seeds, settings, engine)
    assert sorted(engine.abandoned) == sorted(seeds[seed].steps[0].key for seed in (0, 1))
    assert hidden(settings.home) == []


def test_what_a_killed_worker_had_begun_to_write_is_removed_and_what_it_saved_is_not(
    plan: Plan, settings: Settings
) -> None:
    def killed(task: Task, report: Report) -> int:
        (task.scratch / "epoch.npz").touch()
        (task.scratch / ".epoch.partial").touch()
        (settings.home / "store" / f".{task.step.key}.0123abcd").mkdir(parents=True)
        return -9

    with pytest.raises(StageError):
        run(plan, settings, FakeExecutor(training=killed))
    assert hidden(settings.home) == []
    assert (scratch_of(plan, settings) / "epoch.npz").exists()


def test_a_result_of_another_process_is_taken_even_where_ours_failed(
    plan: Plan, settings: Settings
) -> None:
    def beaten(task: Task, report: Report) -> int:
        publish(Store(settings.home / "store"), task.step)
        return 1

    outcomes, _ = run(plan, settings, FakeExecutor(training=beaten))
    assert [outcome.status for outcome in outcomes] == ["stored", "ran"]


def test_the_result_of_a_success_may_be_seen_later(plan: Plan, settings: Settings) -> None:
    """As on a file system that shows what others wrote some time after."""

    def unseen(task: Task, report: Report) -> int:
        store = Store(settings.home / "store")
        threading.Timer(0.3, publish, (store, task.step)).start()
        return 0

    outcomes, _ = run(plan, settings, FakeExecutor(training=unseen))
    assert [outcome.status for outcome in outcomes] == ["ran", "ran"]


class Beaten(FakeExecutor):
    """While it starts its first step, another process publishes that and removes its scratch folder."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.store: Store | None = Store(settings.home / "store")

    def submit(self, task: Task) -> None:
        if self.store is not None:
            publish(self.store, task.step)
            self.store = None
            shutil.rmtree(task.scratch)
            raise StoreError(f"{task.log}: cannot be written")
        super().submit(task)


def test_a_step_that_another_process_finishes_as_ours_begins_is_stored(
    plan: Plan, settings: Settings
) -> None:
    outcomes, listener = run(plan, settings, Beaten(settings))
    assert [outcome.status for outcome in outcomes] == ["stored", "ran"]
    assert listener.steps[:2] == [("training", "stored"), ("spectrum", "running")]


def test_a_step_that_cannot_begin_and_is_not_stored_says_why(
    plan: Plan, settings: Settings
) -> None:
    scratch = scratch_of(plan, settings)
    scratch.parent.mkdir(parents=True)
    scratch.write_text("no folder")
    with pytest.raises(StoreError, match=f"^{scratch}: cannot be written: "):
        run(plan, settings, FakeExecutor())


class TestBudget:
    """A command that stops by itself."""

    @pytest.fixture
    def clock(self) -> list[float]:
        return [0.0]

    def stops(
        self, plan: Plan, settings: Settings, clock: list[float], moments: list[tuple[float, Any]]
    ) -> tuple[FakeExecutor, Scheduler]:
        """Runs ten seconds; at each moment, the running step says something or, of None, ends."""
        remaining = iter(moments)

        class Talks(FakeExecutor):
            def poll(self, report: Reports, seconds: float) -> Mapping[str, int]:
                clock[0], message = next(remaining)
                if message is None:
                    return super().poll(report, seconds)
                report(next(iter(self.waiting)), message)
                return {}

        engine = Talks()
        done = run_all([plan], settings, engine, budget=Budget(10.0, lambda: clock[0]))
        assert list(remaining) == []
        return engine, done

    def test_a_step_that_will_not_save_again_in_time_is_stopped_once_it_has_saved(
        self, plan: Plan, settings: Settings, clock: list[float]
    ) -> None:
        saved = {"saved": "epoch"}
        engine, done = self.stops(plan, settings, clock, [(3.0, saved), (6.0, saved), (9.0, saved)])
        assert engine.events[-1] == ("cancel", "training")
        assert done.unfinished() == list(plan.steps)
        assert done.failures == []

    def test_one_that_never_saves_runs_to_the_end_of_the_budget(
        self, plan: Plan, settings: Settings, clock: list[float]
    ) -> None:
        progress = {"done": 1, "total": 2, "activity": "on its way"}
        engine, _ = self.stops(plan, settings, clock, [(5.0, progress), (10.0, progress)])
        assert engine.events[-1] == ("cancel", "training")

    def test_what_is_done_in_time_is_done_and_nothing_is_started_after_it(
        self, plan: Plan, settings: Settings, clock: list[float]
    ) -> None:
        engine, done = self.stops(plan, settings, clock, [(10.0, None)])
        assert engine.ran == ["training"]
        assert done.unfinished() == [plan.steps[1]]
