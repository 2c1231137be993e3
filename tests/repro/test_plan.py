"""Keys: what changes them, what does not, and how a change is put into words."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro import kernels
from repro import plan as planning
from repro.files import canonical_digest
from repro.machine import facts
from repro.plan import Step, changed_parts, make_step
from ssbrepro.data import DATASETS
from tests.fakes import (
    BOTH_STAGES,
    CHECKOUT,
    copy_manifests,
    plan_of,
    replace_once,
)

TORCH = facts("cpu").libraries["torch"]
PARAMETERS = {"width": 1.0, "cut_epochs": [3], "momentum": 0.9}


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def step(**changes: Any) -> Step:
    given: dict[str, Any] = {
        "stage_id": "li2022/training",
        "parameters": PARAMETERS,
        "seed": 0,
        "facts": facts("cpu"),
        "inputs": {},
    }
    return make_step(**(given | changes))


def test_the_same_parts_give_the_same_key_in_any_order() -> None:
    assert step().key == step().key
    assert step(parameters=dict(reversed(PARAMETERS.items()))).key == step().key
    assert step(parameters=PARAMETERS | {"cut_epochs": (3,)}).key == step().key
    assert len(step().key) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": PARAMETERS | {"momentum": 0.8}},
        {"parameters": PARAMETERS | {"another": 1}},
        {"parameters": {"width": 1.0}},
        {"parameters": PARAMETERS | {"cut_epochs": [3, 4]}},
        {"seed": 1},
        {"facts": replace(facts("cpu"), device="cuda")},
        {"inputs": {"training": "0" * 64}},
        {"stage_id": "li2022/spectrum"},
    ],
)
def test_each_argument_is_part_of_the_key(change: dict[str, Any]) -> None:
    assert step(**change).key != step().key


def test_code_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = step()
    monkeypatch.setattr(planning, "module_digests", lambda module: {module: "0"})
    assert step().key != before.key
    module = "ssbrepro.papers.li2022.stages.training"
    assert f"code.{module}: changed" in changed_parts(step().parts, before.parts)


def test_the_dataset_is_part_of_the_key_of_what_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before, without = step(), step(stage_id="li2022/weights")
    changed = replace(DATASETS["cifar10"], digest="another")
    monkeypatch.setitem(DATASETS, "cifar10", changed)
    assert step().key != before.key
    assert changed_parts(step().parts, before.parts) == [f"data: {before.parts['data']} → another"]
    assert step(stage_id="li2022/weights").key == without.key
    assert without.parts["data"] is None


@pytest.mark.parametrize(
    ("fact", "line"),
    [
        ({"threads": 7}, "threads: 1 → 7"),
        ({"architecture": "abacus"}, f"architecture: {platform.machine()} → abacus"),
        ({"instructions": "avx99"}, f"instructions: {kernels.instructions()} → avx99"),
        ({"limits": {"MKL_CBWR": "AVX2"}}, "limits.MKL_CBWR: absent → AVX2"),
        ({"libraries": facts("cpu").libraries | {"torch": "0"}}, f"libraries.torch: {TORCH} → 0"),
        ({"gpu": {"model": "A", "driver": "550.54.15"}}, "gpu.driver: absent → 550.54.15"),
    ],
)
def test_each_fact_of_the_machine_is_part_of_the_key(fact: dict[str, Any], line: str) -> None:
    before, after = step(), step(facts=replace(facts("cpu"), **fact))
    assert before.key != after.key
    assert line in changed_parts(after.parts, before.parts)


def test_the_key_is_the_digest_of_the_parts_and_they_survive_json() -> None:
    parts = step().parts
    assert json.loads(json.dumps(parts)) == parts
    assert canonical_digest(parts) == step().key
    assert set(parts) == {
        "stage", "parameters", "seed", "inputs", "data", "code", "device", "threads",
        "architecture", "instructions", "limits", "libraries",
    }  # fmt: skip


def test_a_number_that_is_none_makes_no_key() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        step(parameters={"width": float("nan")})


def test_steps_come_in_order_and_build_on_each_other() -> None:
    training, spectrum = plan_of(BOTH_STAGES).steps
    assert spectrum.inputs == {"training": training.key}
    assert training.inputs == {}
    # The code of the one stage is no part of the other's key.
    assert "ssbrepro.probes.spectra.lanczos" in spectrum.parts["code"]
    assert "ssbrepro.probes.spectra.lanczos" not in training.parts["code"]


def test_figures_share_their_steps() -> None:
    assert plan_of("li2022/fig8b").steps[0] == plan_of(BOTH_STAGES).steps[0]


@pytest.mark.parametrize("change", [{"seed": 1}, {"profile": "desk"}])
def test_a_change_reaches_all_that_builds_on_it(change: dict[str, Any]) -> None:
    before, after = plan_of(BOTH_STAGES).steps, plan_of(BOTH_STAGES, **change).steps
    assert all(one.key != other.key for one, other in zip(before, after, strict=True))


def test_a_change_does_not_reach_what_it_builds_on() -> None:
    training, spectrum = plan_of(BOTH_STAGES).steps
    longer = make_step(
        "li2022/spectrum",
        dict(spectrum.parameters) | {"num_steps": 99},
        0,
        facts("cpu"),
        spectrum.inputs,
    )
    assert longer.key != spectrum.key
    assert longer.inputs["training"] == training.key


def test_an_alternative_keeps_the_keys_of_what_it_does_not_affect(tmp_path: Path) -> None:
    manifests = copy_manifests(tmp_path / "manifests")
    replace_once(
        manifests / f"{BOTH_STAGES}.yaml",
        "      why: resolves p-values to 0.001\n",
        "      why: resolves p-values to 0.001\n"
        "      alternatives: [{value: 99, why: a coarser test}]\n",
    )
    declared = plan_of(BOTH_STAGES, manifests=manifests)
    later = declared.with_alternative("num_flips=99")
    assert later.name == "li2022/fig8a with num_flips=99"
    assert declared.name == "li2022/fig8a"
    assert later.steps[0] == declared.steps[0]
    assert changed_parts(later.steps[1].parts, declared.steps[1].parts) == [
        "parameters.num_flips: 999 → 99"
    ]
    earlier = declared.with_alternative("cut_factor=1")
    assert all(
        one.key != other.key for one, other in zip(earlier.steps, declared.steps, strict=True)
    )


def test_planning_imports_no_torch() -> None:
    """`repro list`, `plan`, `explain` and stored runs then answer at once."""
    script = (
        "import sys\n"
        "from tests.fakes import plan_of\n"
        f"assert len(plan_of({BOTH_STAGES!r}).steps) == 2\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False"


def test_changes_in_words() -> None:
    before = step(inputs={"training": "a"}).parts
    now = dict(
        step(parameters=PARAMETERS | {"momentum": 0.8}, seed=3, inputs={"training": "b"}).parts
    )
    (module, *_) = before["code"]
    now["code"] = {module: "x", "ssbrepro.new": "y"}
    lines = changed_parts(now, before)
    assert "parameters.momentum: 0.9 → 0.8" in lines
    assert "seed: 0 → 3" in lines
    assert "inputs.training: changed" in lines
    assert f"code.{module}: changed" in lines
    assert "code.ssbrepro.new: new or gone" in lines
    assert "code.ssbrepro.seeding: new or gone" in lines
    assert not any(line.startswith(("device", "threads", "libraries", "data")) for line in lines)
    assert changed_parts(before, before) == []


def test_what_is_absent_on_one_side_is_named() -> None:
    assert changed_parts({"parameters": {"a": 1}}, {"parameters": {}}) == [
        "parameters.a: absent → 1"
    ]
    assert changed_parts({}, {"seed": 1}) == ["seed: 1 → absent"]
