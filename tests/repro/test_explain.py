"""Against what is stored, why a step is computed."""

from typing import Any

import pytest

from repro import machine
from repro import plan as planning
from repro.explain import StoredParts
from repro.plan import Plan, Step
from tests.fakes import BOTH_STAGES, plan_of


def plan_with(monkeypatch: pytest.MonkeyPatch, threads: int = 1, **changes: Any) -> Plan:
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    return plan_of(BOTH_STAGES, **changes)


def metas(*plans: Plan) -> list[dict[str, Any]]:
    return [{"parts": step.parts} for plan in plans for step in plan.steps]


def computed_anew(stored: list[dict[str, Any]], steps: tuple[Step, ...]) -> list[str]:
    return StoredParts(stored, steps).computed_anew(steps)


def test_other_threads_are_told_of_a_step_and_of_what_builds_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, now = plan_with(monkeypatch, threads=2), plan_with(monkeypatch)
    assert computed_anew(metas(before), now.steps) == [
        "training, spectrum: stored, but with other threads (OMP_NUM_THREADS): 2 → 1; computed anew"
    ]


def test_the_same_computation_is_nearer_than_another_with_fewer_differences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "library_versions", lambda: {"torch": "1", "numpy": "1"})
    before = plan_with(monkeypatch, threads=2)
    monkeypatch.setattr(machine, "library_versions", lambda: {"torch": "2", "numpy": "2"})
    another_seed, now = plan_with(monkeypatch, seed=1), plan_with(monkeypatch)
    known = StoredParts(metas(another_seed, before), now.steps)
    assert known.nearest(now.steps[0]) == before.steps[0].parts
    (line,) = known.computed_anew(now.steps)
    assert (
        "libraries.numpy: 1 → 2, libraries.torch: 1 → 2, threads (OMP_NUM_THREADS): 2 → 1" in line
    )


@pytest.mark.parametrize("change", [{"seed": 1}, {"profile": "desk"}])
def test_another_computation_is_no_surprise(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    before, now = plan_with(monkeypatch, threads=2, **change), plan_with(monkeypatch)
    assert computed_anew(metas(before), now.steps) == []


def test_other_code_is_no_surprise(monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan_with(monkeypatch, threads=2)
    monkeypatch.setattr(planning, "module_digests", lambda module: {module: "0"})
    assert computed_anew(metas(before), plan_with(monkeypatch).steps) == []


def test_a_result_without_a_part_that_keys_have_now_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = plan_with(monkeypatch)
    parts = {name: part for name, part in now.steps[0].parts.items() if name != "instructions"}
    (line,) = computed_anew([{"parts": parts}], now.steps[:1])
    assert "instructions: absent → " in line


def test_of_nothing_stored_nothing_is_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    now = plan_with(monkeypatch)
    assert StoredParts([], now.steps).nearest(now.steps[0]) is None
    assert computed_anew([], now.steps) == []
