"""What every engine must do, to be inherited by a class of tests with a fixture ``engine``."""

import functools
import json
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from repro import files
from repro.engines.engine import Capacity, Engine, Reports, Task
from repro.engines.inline import InlineEngine
from repro.errors import Interrupted, StageError, UsageError
from repro.machine import Facts
from repro.plan import Plan
from repro.scheduler import StepOutcome
from repro.settings import Settings
from repro.store import Store
from tests.fakes import (
    BOTH_STAGES,
    FIGURE,
    Listener,
    hidden,
    plan_of,
    publish,
    run_plan,
    settings_below,
)


def digests(outcomes: list[StepOutcome]) -> dict[str, Any]:
    """Of each step's files, by its key."""
    return {outcome.step.key: outcome.result.meta["digests"] for outcome in outcomes}


@functools.cache
def _computed_here() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_below(Path(folder))
        engine = InlineEngine()
        engine.facts("cpu")
        return digests(run_plan(plan_of(BOTH_STAGES), settings, engine, Listener()))


@pytest.fixture
def expected() -> dict[str, Any]:
    """The digests of both stages, computed once and in this process."""
    return _computed_here()


@dataclass
class Altered:
    """An engine, but for what it is told and what is done to its tasks."""

    engine: Engine
    content: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda content: content
    tasks: list[Task] = field(default_factory=list)
    ended: dict[str, int] = field(default_factory=dict)

    def facts(self, device: str) -> Facts:
        return self.engine.facts(device)

    def capacity(self) -> Capacity:
        return self.engine.capacity()

    def submit(self, task: Task) -> None:
        self.tasks.append(task)
        self.engine.submit(replace(task, content=self.content(task.content)))

    def poll(self, report: Reports, seconds: float) -> Mapping[str, int]:
        ended = self.engine.poll(report, seconds)
        assert not ended.keys() & self.ended.keys()  # each is told once
        self.ended |= ended
        return ended

    def cancel(self, key: str) -> None:
        self.engine.cancel(key)

    def abandon(self, keys: Collection[str]) -> None:
        self.engine.abandon(keys)


class Conformance:
    """An engine's promises, kept on stages that compute."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        """The engine that is tested."""
        raise NotImplementedError

    @pytest.fixture
    def plan(self, engine: Engine) -> Plan:
        plan = plan_of(FIGURE)
        assert plan.facts == engine.facts("cpu")  # it runs on this machine
        return plan

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return settings_below(tmp_path)

    def test_its_facts_are_plain_data_and_those_of_the_device(self, engine: Engine) -> None:
        facts = engine.facts("cpu")
        assert facts.device == "cpu"
        assert json.loads(json.dumps(facts.parts())) == facts.parts()
        automatic = engine.facts("auto")
        if automatic.device == "cpu":
            with pytest.raises(UsageError, match="CUDA"):
                engine.facts("cuda")
        else:
            assert engine.facts("cuda") == automatic

    def test_it_has_room(self, engine: Engine) -> None:
        assert engine.capacity().tasks >= 1

    def test_a_figure_runs_and_its_bits_are_those_of_any_engine(
        self, engine: Engine, settings: Settings, expected: dict[str, Any]
    ) -> None:
        listener, watched = Listener(), Altered(engine)
        plan = plan_of(BOTH_STAGES)
        before = datetime.now(UTC) - timedelta(seconds=0.002)  # moments are kept in milliseconds
        outcomes = run_plan(plan, settings, watched, listener)
        assert [outcome.status for outcome in outcomes] == ["ran", "ran"]
        assert digests(outcomes) == expected
        assert all(outcome.result.seconds > 0 for outcome in outcomes)
        assert all(outcome.result.meta["peak_memory_bytes"] > 2**20 for outcome in outcomes)
        assert all(outcome.result.meta["processor"] for outcome in outcomes)
        first, second = (outcome.result.meta for outcome in outcomes)  # the one needs the other
        began, then = (datetime.fromisoformat(meta["started_at"]) for meta in (first, second))
        assert before <= began <= began + timedelta(seconds=first["seconds"] - 0.002) <= then
        assert {tuple(message) for message in listener.messages} == {("done", "total", "activity")}
        assert hidden(settings.home) == []
        # What has ended is told once, and says nothing again.
        assert watched.ended == dict.fromkeys(expected, 0)
        for key in watched.ended:
            engine.cancel(key)
        assert engine.poll(lambda key, message: pytest.fail(str(message)), 0) == {}

    def test_a_stage_that_fails_says_why_and_leaves_nothing(
        self, engine: Engine, plan: Plan, settings: Settings
    ) -> None:
        def diverging(content: Mapping[str, Any]) -> Mapping[str, Any]:
            return {**content, "parameters": {**content["parameters"], "step_size": 1e30}}

        fails = Altered(engine, diverging)
        told = r"stage training: the loss is \S+ after epoch \d+ .*\(ArithmeticError; its log is "
        with pytest.raises(StageError, match=told):
            run_plan(plan, settings, fails, Listener())
        assert fails.ended == {plan.steps[0].key: 1}
        assert Store(settings.home / "store").read(plan.steps[0].key) is None
        assert hidden(settings.home) == []

    @pytest.mark.parametrize(
        ("fact", "other", "told"),
        [
            ("architecture", "abacus", "architecture: abacus → "),
            ("instructions", "avx99", "instructions: avx99 → "),
            ("gpu", {"model": "A", "driver": "1.0"}, "gpu.driver: 1.0 → absent, gpu.model: A → absent"),
            ("libraries", {}, "libraries.numpy: absent → "),
        ],
    )  # fmt: skip
    def test_another_machine_than_the_keys_is_refused(
        self, engine: Engine, plan: Plan, settings: Settings, fact: str, other: Any, told: str
    ) -> None:
        elsewhere = Altered(
            engine, lambda content: {**content, "facts": {**content["facts"], fact: other}}
        )
        with pytest.raises(StageError) as refused:
            run_plan(plan, settings, elsewhere, Listener())
        assert "this is not the machine of the step's key (expected → found): " in str(
            refused.value
        )
        assert told in str(refused.value)
        assert len(str(refused.value).splitlines()) == 1
        assert hidden(settings.home) == []

    def test_other_code_than_the_keys_is_refused(
        self, engine: Engine, plan: Plan, settings: Settings
    ) -> None:
        changed = Altered(
            engine, lambda content: {**content, "code": {"ssbrepro.training.hinge": "0"}}
        )
        with pytest.raises(StageError, match="the code changed since the run began"):
            run_plan(plan, settings, changed, Listener())

    def test_an_interrupted_task_is_cancelled_and_continues_to_the_same_bits(
        self, engine: Engine, plan: Plan, settings: Settings, expected: dict[str, Any]
    ) -> None:
        (step,) = plan.steps
        scratch = settings.home / "scratch" / step.key

        class Impatient(Listener):
            def progress(self, step: Any, message: Mapping[str, Any]) -> None:
                if list(scratch.glob("*.npz")):
                    raise Interrupted(2)

        with pytest.raises(Interrupted):
            run_plan(plan, settings, engine, Impatient())
        state = {path: files.sha256(path) for path in scratch.glob("*.npz")}
        assert state
        # It is killed wherever it is, perhaps while it saves: the next attempt writes over that.
        assert [path for path in hidden(settings.home) if path.parent != scratch] == []

        listener = Listener()
        outcomes = run_plan(plan, settings, engine, listener)
        assert listener.steps[0] == ("training", "continued")
        assert digests(outcomes) == {step.key: expected[step.key]}

    def test_a_task_cancelled_at_once_never_succeeds_and_the_engine_goes_on(
        self, engine: Engine, plan: Plan, settings: Settings, expected: dict[str, Any]
    ) -> None:
        (step,) = plan.steps

        class Hasty(Altered):
            def submit(self, task: Task) -> None:
                super().submit(task)
                for _ in range(2):  # again does nothing
                    engine.cancel(task.step.key)
                raise Interrupted(2)

        with pytest.raises(Interrupted):
            run_plan(plan, settings, Hasty(engine), Listener())
        assert engine.poll(lambda key, message: pytest.fail(str(message)), 0) == {}
        store = Store(settings.home / "store")
        assert store.read(step.key) is None
        assert hidden(settings.home) == []

        # It goes on with a result that is to be replaced.
        publish(store, step)
        outcomes = run_plan(plan, settings, engine, Listener(), [step.key])
        assert [outcome.status for outcome in outcomes] == ["ran"]
        assert digests(outcomes) == {step.key: expected[step.key]}

    def test_what_another_process_has_published_meanwhile_is_not_computed_again(
        self, engine: Engine, plan: Plan, settings: Settings
    ) -> None:
        (step,) = plan.steps

        class Late(Altered):
            def submit(self, task: Task) -> None:
                publish(Store(settings.home / "store"), step)
                super().submit(task)

        listener = Listener()
        (outcome,) = run_plan(plan, settings, Late(engine), listener)
        assert outcome.status == "stored"
        assert outcome.result.seconds == 0.25
        assert listener.messages == []
        assert list((settings.home / "scratch").iterdir()) == []
