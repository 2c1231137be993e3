"""The record of a run: complete, reproducible, made once, and never taken half-finished."""

import errno
import json
import shutil
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro.errors import StoreError
from repro.machine import facts
from repro.manifests.library import Library
from repro.outcome import recording
from repro.outcome.reading import all_runs
from repro.outcome.record import RECORD, VERDICTS, Curve, Run
from repro.outcome.recording import record_run
from repro.outcome.references import write_references
from repro.plan import Plan, make_plan
from repro.scheduler import StepOutcome
from repro.settings import Settings
from tests.fakes import (
    BOTH_STAGES,
    FIGURE,
    FakeExecutor,
    Listener,
    copy_manifests,
    draw_a_pixel,
    hidden,
    plan_of,
    replace_once,
    run_plan,
    settings_below,
    write_sealed,
)

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def _quick_drawing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "really_drawn" not in request.fixturenames:
        monkeypatch.setattr(recording, "draw", draw_a_pixel)


@pytest.fixture
def really_drawn() -> None:
    """Asked for by tests of the pictures themselves."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_below(tmp_path, copy_manifests(tmp_path / "manifests"))


@pytest.fixture
def whole(tmp_path: Path) -> Settings:
    """With all stages that a figure draws."""
    return settings_below(tmp_path, copy_manifests(tmp_path / "manifests", controls=True))


def outcomes_of(plan: Plan, settings: Settings) -> list[StepOutcome]:
    return run_plan(plan, settings, FakeExecutor(), Listener())


def as_read(run: Run) -> Any:
    """The content of a record as JSON has it."""
    return json.loads(json.dumps(run.record.as_data()))


def recorded(settings: Settings, figure_id: str = FIGURE, seed: int = 0) -> Run:
    plan = plan_of(figure_id, seed, manifests=settings.manifests)
    return record_run(plan, outcomes_of(plan, settings), settings)


def test_a_record_holds_all_that_a_verdict_follows_from(settings: Settings) -> None:
    run = recorded(settings, BOTH_STAGES)
    record = json.loads((run.folder / RECORD).read_text())
    assert record == json.loads(json.dumps(run.record.as_data()))
    assert set(record) == {
        "schema_version", "id", "title", "alternative", "profile", "seed", "device", "recorded_at",
        "digest", "manifest", "commit", "versions", "machine", "steps", "metrics", "missing", "series",
        "status", "failures", "identities", "claims", "references", "predictions", "files",
        "digests", "seal",
    }  # fmt: skip
    assert (record["id"], record["profile"], record["seed"]) == (BOTH_STAGES, "smoke", 0)
    assert {"python", "torch", "numpy", "ssbrepro"} <= set(record["versions"])
    assert [step["stage"] for step in record["steps"]] == ["training", "spectrum"]
    for step in record["steps"]:
        assert set(step["digests"]) == {"arrays.npz", "result.json"}
    assert record["metrics"]["training.final_accuracy"] == 1.0
    assert {claim["verdict"] for claim in record["claims"]} == {"supported"}
    assert record["status"] == "not recorded"  # nothing is recorded to compare with
    assert record["alternative"] is None
    assert keys(record) == {
        "machine": {
            "architecture", "system", "cores", "image", "processor", "instructions", "gpu", "limits"
        },
        "steps": {
            "stage", "key", "seconds", "peak_memory_bytes", "threads", "digests", "started_at", "data",
            "inputs",
        },
        "series": {"epochs", "values"},
        "identities": {"id", "metric", "value", "bound", "verdict"},
        "claims": {
            "id", "statement", "metric", "value", "relation", "bound", "verdict", "reason", "recorded",
            "cause", "noise", "control", "no_control", "expected",
        },
        "references": {"metric", "value", "low", "high", "runs", "verdict"},
    }  # fmt: skip
    verdicts = json.loads((run.folder / VERDICTS).read_text())
    assert verdicts == {
        name: record[name]
        for name in ("status", "failures", "identities", "claims", "references", "predictions")
    }


@pytest.mark.parametrize(
    ("computed_by", "named"),
    [
        (("AMD EPYC", "AMD EPYC"), "AMD EPYC"),  # on a node, or before the results were moved here
        (("Intel Xeon", "AMD EPYC"), "AMD EPYC and Intel Xeon"),
        ((None, None), "this one's"),  # from before it was kept
    ],
)
def test_a_run_names_the_processor_that_computed_it(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    computed_by: tuple[str | None, ...],
    named: str,
) -> None:
    monkeypatch.setattr(recording, "processor", lambda: "this one's")
    plan = plan_of(BOTH_STAGES, manifests=settings.manifests)
    outcomes = [
        replace(one, result=replace(one.result, meta={**one.result.meta, "processor": processor}))
        for one, processor in zip(outcomes_of(plan, settings), computed_by, strict=True)
    ]
    machine = record_run(plan, outcomes, settings).record.machine
    assert machine.processor == named
    assert (machine.instructions, machine.gpu) == (plan.facts.instructions, "")


def keys(record: dict[str, Any]) -> dict[str, set[str]]:
    """Names of the fields of each part of a record."""
    parts = record | {"series": list(record["series"].values()), "machine": [record["machine"]]}
    names = ("machine", "steps", "series", "identities", "claims", "references")
    return {name: set(parts[name][0]) for name in names}


def test_curves_leave_out_what_is_undefined(settings: Settings) -> None:
    series = recorded(settings, BOTH_STAGES).record.series
    assert series["training.loss"] == Curve((0, 1, 2, 3, 4), (1.0, 0.5, 0.1, 0.01, 0.0))
    assert series["spectrum.asymmetry"] == Curve((0, 2), (0.05, 0.02))


@pytest.mark.usefixtures("really_drawn")
def test_artifacts_exist_and_are_pictures(whole: Settings) -> None:
    run = recorded(whole, BOTH_STAGES)
    names = [path.name for path in run.artifacts()]
    assert names == ["fig8a.png", "fig8a.svg", VERDICTS, RECORD, *["arrays.npz"] * 3]
    assert all(path.is_file() for path in run.artifacts())
    assert (run.folder / "fig8a.png").read_bytes().startswith(PNG)
    svg = (run.folder / "fig8a.svg").read_text("utf-8")
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    # The small print: what it is of, and each verdict.
    for text in ("li2022/fig8a · profile smoke · seed 0", "n = 112 examples",
                 "symmetric spectrum: 0.05 (≤ 0.25 claimed): supported"):  # fmt: skip
        assert text in svg


@pytest.mark.usefixtures("really_drawn")
def test_the_same_run_draws_the_same_bytes(whole: Settings, tmp_path: Path) -> None:
    other = settings_below(tmp_path / "other", whole.manifests)
    one, two = recorded(whole, BOTH_STAGES), recorded(other, BOTH_STAGES)
    assert one.record.digest == two.record.digest
    for name in ("fig8a.png", "fig8a.svg", VERDICTS):
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes()


def test_a_finished_run_is_found_and_not_made_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = recorded(settings)
    monkeypatch.setattr(recording, "draw", lambda *a: pytest.fail("it was drawn before"))
    again = recorded(settings)
    assert again.folder == first.folder
    assert as_read(again) == as_read(first)


def test_a_run_that_lost_a_file_is_made_again(settings: Settings) -> None:
    first = recorded(settings)
    (first.folder / "fig8b.png").unlink()
    assert all_runs(settings) == []
    assert (recorded(settings).folder / "fig8b.png").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '{"files": 1, "steps": []}'])
def test_a_damaged_record_is_no_run_and_is_made_again(settings: Settings, content: str) -> None:
    first = recorded(settings)
    (first.folder / RECORD).write_text(content)
    assert all_runs(settings) == []
    assert recorded(settings).record.digest == first.record.digest
    assert len(all_runs(settings)) == 1


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda record: record.pop(name)


@pytest.mark.parametrize(
    "damage",
    [
        *map(without, ("id", "claims", "manifest", "digest", "machine", "schema_version")),
        lambda record: record.update(seed="0"),
        lambda record: record.update(seed=True),
        lambda record: record.update(status="passed"),
        lambda record: record.update(schema_version=3),
        lambda record: record.update(files=["../../outside"]),
        lambda record: record.update(files=[*record["files"], ""]),
        lambda record: record["claims"][0].update(verdict="proven"),
        lambda record: record["claims"][0].update(value="5e-4"),
        lambda record: record["claims"][0].pop("bound"),
        lambda record: record["references"][0].update(runs=0.5),
        lambda record: record["steps"][0].update(key="../store"),
        lambda record: record["series"]["training.loss"].update(epochs=None),
        lambda record: record["metrics"].update({"training.final_loss": None}),
        lambda record: record["machine"].update(cores="2"),
        lambda record: record["manifest"]["paper"].pop("identifier"),
        lambda record: record["manifest"]["stages"]["training"]["momentum"].pop("provenance"),
    ],
)
def test_a_record_of_other_types_is_no_run_and_is_made_again(
    settings: Settings, damage: Callable[[dict[str, Any]], object]
) -> None:
    first = recorded(settings)
    path = first.folder / RECORD
    content = json.loads(path.read_text())
    damage(content)
    write_sealed(path, content)
    assert all_runs(settings) == []
    assert as_read(recorded(settings))["digest"] == first.record.digest
    assert len(all_runs(settings)) == 1


@pytest.mark.parametrize("number", ["NaN", "1e999", "[" * 100_000])
def test_a_number_that_is_none_makes_no_run(settings: Settings, number: str) -> None:
    path = recorded(settings).folder / RECORD
    replace_once(path, '"training.final_loss": 0.0005', f'"training.final_loss": {number}')
    assert all_runs(settings) == []


def test_what_a_killed_process_left_is_no_run(settings: Settings) -> None:
    run = recorded(settings)
    shutil.copytree(run.folder, run.folder.with_name(f".{run.folder.name}.0123abcd"))
    assert [found.folder for found in all_runs(settings)] == [run.folder]


@pytest.mark.parametrize("change", ["claim", "bound", "provenance", "seed", "references", "plot"])
def test_whatever_a_record_follows_from_gives_a_new_one(
    settings: Settings, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = recorded(settings)
    figure = settings.manifests / f"{FIGURE}.yaml"
    if change == "claim":
        replace_once(figure, "the training accuracy converges to 1", "it converges")
    elif change == "bound":
        replace_once(figure, "at_most: 1.0e-3", "at_most: 1.0e-5")
    elif change == "provenance":
        replace_once(figure.with_name("experiment.yaml"), "why: the usual factor", "why: a factor")
    elif change == "references":
        manifest = Library(settings.manifests).load(FIGURE)
        write_references(manifest, "smoke", [first.record])
    elif change == "plot":
        real = recording.module_digests
        monkeypatch.setattr(
            recording, "module_digests", lambda name: real(name) | {"changed": "code"}
        )
    second = recorded(settings, seed=1 if change == "seed" else 0)
    assert second.folder != first.folder
    assert first.folder.exists()
    if change == "bound":
        assert second.record.failures == (
            "claim zero-loss: not supported, and nothing is recorded",
        )


def test_runs_come_oldest_first(settings: Settings) -> None:
    runs = [recorded(settings, seed=seed) for seed in (2, 0, 1)]
    for day, run in enumerate(runs, 1):
        path = run.folder / RECORD
        moment = f"2026-01-{day:02}T00:00:00+00:00"
        write_sealed(path, as_read(run) | {"recorded_at": moment})
    assert [run.record.seed for run in all_runs(settings)] == [2, 0, 1]


def test_a_disk_that_is_full_when_drawing_is_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    plan = plan_of(FIGURE, manifests=settings.manifests)
    outcomes = outcomes_of(plan, settings)
    with monkeypatch.context() as patched:
        patched.setattr(recording, "draw", full)
        with pytest.raises(StoreError, match=r"^/.+: cannot be written: No space left on device$"):
            record_run(plan, outcomes, settings)
    assert hidden(settings.home) == []
    assert all_runs(settings) == []
    assert record_run(plan, outcomes, settings).folder.exists()


def test_two_that_record_the_same_run_at_once_do_not_disturb_each_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(FIGURE, manifests=settings.manifests)
    outcomes = outcomes_of(plan, settings)
    started, real = threading.Event(), recording.draw
    second: list[Run] = []
    errors: list[Exception] = []

    def other() -> None:
        try:
            second.append(record_run(plan, outcomes, settings))
        except (OSError, StoreError) as error:
            errors.append(error)

    thread = threading.Thread(target=other)

    def slow(*arguments: object) -> object:
        if not started.is_set():
            started.set()
            thread.start()
            thread.join(1.0)  # time enough for the other one to do harm, were it not kept out
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(recording, "draw", slow)
    first = record_run(plan, outcomes, settings)
    thread.join(60)
    assert errors == []
    assert second[0].folder == first.folder
    assert all(path.exists() for path in first.artifacts())


def test_make_plan_twice_records_once(settings: Settings) -> None:
    manifest = Library(settings.manifests).load(FIGURE)
    folders = set()
    for _ in range(2):
        plan = make_plan(manifest, "smoke", 0, facts("cpu"))
        folders.add(record_run(plan, outcomes_of(plan, settings), settings).folder)
    assert len(folders) == 1


class TestAlternatives:
    @pytest.fixture
    def alternative(self, settings: Settings) -> Plan:
        declared = plan_of(FIGURE, manifests=settings.manifests)
        write_references(declared.manifest, "smoke", [recorded(settings).record] * 3)
        return declared.with_alternative("cut_factor=1")

    def test_it_is_a_run_of_its_own_and_says_what_it_is(
        self, settings: Settings, alternative: Plan
    ) -> None:
        run = record_run(alternative, outcomes_of(alternative, settings), settings)
        assert run.record.alternative == "cut_factor=1.0"
        assert run.folder != recorded(settings).folder
        assert run.record.manifest["stages"]["training"]["cut_factor"] == {
            "value": 1.0,
            "provenance": "alternative",
            "why": "a constant step size",
        }
        assert "li2022/fig8b with cut_factor=1.0 · profile smoke · seed 0" in (
            run.folder / "fig8b.svg"
        ).read_text("utf-8")
        assert {found.record.alternative for found in all_runs(settings)} == {
            None,
            "cut_factor=1.0",
        }

    def test_nothing_recorded_judges_it(self, settings: Settings, alternative: Plan) -> None:
        record = record_run(alternative, outcomes_of(alternative, settings), settings).record
        assert recorded(settings).record.references
        assert record.references == ()
        assert {claim.recorded for claim in record.claims} == {()}
        assert (record.status, record.failures) == ("not recorded", ())

    @pytest.mark.parametrize(
        ("metric", "status"),
        [("spectrum.asymmetry_max", "not recorded"), ("spectrum.euler_residual_max", "failed")],
    )
    def test_its_identities_alone_decide_over_its_status(
        self, settings: Settings, metric: str, status: str
    ) -> None:
        plan = plan_of(BOTH_STAGES, manifests=settings.manifests).with_alternative("cut_factor=1.0")
        outcomes = outcomes_of(plan, settings)
        outcomes[1].result.content["numbers"][metric.partition(".")[2]] = 9.0
        run = record_run(plan, outcomes, settings)
        assert run.record.status == status
        assert json.loads((run.folder / VERDICTS).read_text())["status"] == status
        assert "supported" not in {claim.verdict for claim in run.record.claims[:1]}

    def test_a_record_of_an_older_schema_is_made_again(self, settings: Settings) -> None:
        run = recorded(settings)
        path = run.folder / RECORD
        write_sealed(path, as_read(run) | {"schema_version": 1, "status": "passed"})
        assert all_runs(settings) == []
        assert recorded(settings).record.status == run.record.status
        assert len(all_runs(settings)) == 1
