"""What every engine must do, to be inherited by a class of tests with a fixture ``engine``."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from repro import files
from repro.engines.engine import Engine, Report, Task
from repro.engines.local import LocalEngine
from repro.errors import Interrupted, StageError, UsageError
from repro.machine import Facts
from repro.plan import Plan
from repro.scheduler import StepOutcome, run_plan
from repro.settings import Settings
from repro.store import Store
from tests.fakes import (
    BOTH_STAGES,
    FIGURE,
    Listener,
    copy_manifests,
    hidden,
    plan_of,
    settings_below,
)


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Figures that take seconds."""
    return copy_manifests(tmp_path_factory.mktemp("tiny") / "manifests")


def digests(outcomes: list[StepOutcome]) -> dict[str, Any]:
    """Of each step's files, by its key."""
    return {outcome.step.key: outcome.result.meta["digests"] for outcome in outcomes}


@pytest.fixture(scope="module")
def expected(manifests: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The digests of both stages, as the command line's default engine computes them."""
    settings = settings_below(tmp_path_factory.mktemp("expected"))
    plan = plan_of(BOTH_STAGES, manifests=manifests)
    return digests(run_plan(plan, settings, LocalEngine(), Listener()))


@dataclass
class Altered:
    """An engine, but for what it is told and what is done to its tasks."""

    engine: Engine
    content: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda content: content
    submitted: Callable[[Any], None] = lambda handle: None
    tasks: list[Task] = field(default_factory=list)
    handles: list[Any] = field(default_factory=list)

    def facts(self, device: str) -> Facts:
        return self.engine.facts(device)

    def capacity(self) -> int:
        return self.engine.capacity()

    def submit(self, task: Task) -> Any:
        self.tasks.append(task)
        handle = self.engine.submit(replace(task, content=self.content(task.content)))
        self.handles.append(handle)
        self.submitted(handle)
        return handle

    def poll(self, handle: Any, report: Report, seconds: float) -> int | None:
        return self.engine.poll(handle, report, seconds)

    def cancel(self, handle: Any) -> None:
        self.engine.cancel(handle)


class Conformance:
    """An engine's promises, kept on stages that compute."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        """The engine that is tested."""
        raise NotImplementedError

    @pytest.fixture
    def plan(self, manifests: Path, engine: Engine) -> Plan:
        plan = plan_of(FIGURE, manifests=manifests)
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
        assert engine.capacity() >= 1

    def test_a_figure_runs_and_its_bits_are_those_of_any_engine(
        self, engine: Engine, manifests: Path, settings: Settings, expected: dict[str, Any]
    ) -> None:
        listener = Listener()
        plan = plan_of(BOTH_STAGES, manifests=manifests)
        outcomes = run_plan(plan, settings, engine, listener)
        assert [outcome.status for outcome in outcomes] == ["ran", "ran"]
        assert digests(outcomes) == expected
        assert all(outcome.result.seconds > 0 for outcome in outcomes)
        assert all(outcome.result.meta["peak_memory_bytes"] > 2**20 for outcome in outcomes)
        assert {tuple(message) for message in listener.messages} == {("done", "total", "activity")}
        assert hidden(settings.home) == []

    def test_a_stage_that_fails_says_why_and_leaves_nothing(
        self, engine: Engine, plan: Plan, settings: Settings
    ) -> None:
        def diverging(content: Mapping[str, Any]) -> Mapping[str, Any]:
            return {**content, "parameters": {**content["parameters"], "step_size": 1e30}}

        fails = Altered(engine, diverging)
        told = r"stage training: the loss is \S+ after epoch \d+ \(ArithmeticError; its log is "
        with pytest.raises(StageError, match=told):
            run_plan(plan, settings, fails, Listener())
        assert engine.poll(fails.handles[0], print, 1) == 1
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
        assert hidden(settings.home) == []

        listener = Listener()
        outcomes = run_plan(plan, settings, engine, listener)
        assert listener.steps[0] == ("training", "continued")
        assert digests(outcomes) == {step.key: expected[step.key]}

    def test_a_task_cancelled_at_once_never_succeeds_and_the_engine_goes_on(
        self, engine: Engine, plan: Plan, settings: Settings
    ) -> None:
        cancels = Altered(engine, submitted=engine.cancel)
        with pytest.raises(StageError):
            run_plan(plan, settings, cancels, Listener())
        assert engine.poll(cancels.handles[0], print, 1) not in (0, None)
        assert hidden(settings.home) == []
        assert [one.status for one in run_plan(plan, settings, engine, Listener())] == ["ran"]

    def test_what_has_ended_keeps_its_status_and_says_nothing_again(
        self, engine: Engine, plan: Plan, settings: Settings
    ) -> None:
        watched = Altered(engine)
        run_plan(plan, settings, watched, Listener())
        (handle,), said = watched.handles, []
        for _ in range(2):
            assert engine.poll(handle, said.append, 1) == 0
            engine.cancel(handle)
        assert said == []
