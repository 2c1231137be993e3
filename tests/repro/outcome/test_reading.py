"""Runs read from their folders: what is not as it was written is named, and is no run."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro.errors import StoreError
from repro.outcome import recording
from repro.outcome.reading import all_runs, compare_results, read_folder
from repro.outcome.record import RECORD, Run
from repro.outcome.recording import record_run
from repro.settings import Settings
from tests.fakes import (
    FIGURE,
    FakeExecutor,
    Listener,
    draw_a_pixel,
    plan_of,
    run_plan,
    settings_below,
    write_sealed,
)

AGAIN = f"left out; `repro run {FIGURE} --profile smoke --seed 0` makes it again"


@pytest.fixture(autouse=True)
def _quick_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "draw", draw_a_pixel)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_below(tmp_path)


def recorded(settings: Settings, seed: int = 0, said: list[str] | None = None) -> Run:
    plan = plan_of(FIGURE, seed)
    outcomes = run_plan(plan, settings, FakeExecutor(), Listener())
    return record_run(plan, outcomes, settings, ([] if said is None else said).append)


def left_out(settings: Settings) -> list[str]:
    """What is said of runs, none of which is read."""
    said: list[str] = []
    assert all_runs(settings, said.append) == []
    return said


def test_no_byte_of_a_run_can_be_changed_added_or_lost(settings: Settings) -> None:
    folder = recorded(settings).folder
    draws = random.Random(0)
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        places = [draws.randrange(len(content)) for _ in range(60)]
        changed = [
            content[:one] + bytes([content[one] ^ 1 << draws.randrange(8)]) + content[one + 1 :]
            for one in places
        ]
        for other in [*changed, content + b" ", content[:-1], b""]:
            path.write_bytes(other)
            with pytest.raises(StoreError, match=f"^{folder}/.*{path.name}: "):
                read_folder(folder)
        path.write_bytes(content)
    assert read_folder(folder).files == ("fig8b.png", "fig8b.svg", "verdicts.json", RECORD)


def test_what_is_damaged_is_named_with_the_command_that_makes_it_again(settings: Settings) -> None:
    first = recorded(settings)
    picture = first.folder / "fig8b.svg"
    picture.write_text("<svg/>")
    assert left_out(settings) == [f"{picture}: does not match its digest: {AGAIN}"]
    assert picture.read_text() == "<svg/>"  # looking changes nothing
    said: list[str] = []
    assert recorded(settings, said=said).record.claims == first.record.claims
    (aside,) = settings.home.glob("store/damaged/*")
    assert said == [f"{picture}: does not match its digest; set aside as {aside}"]
    assert (aside / picture.name).read_text() == "<svg/>"
    assert len(all_runs(settings, pytest.fail)) == 1


def test_a_run_in_the_place_of_another_is_none(settings: Settings) -> None:
    folders = [recorded(settings, seed).folder for seed in (0, 1)]
    aside = folders[0].with_name("aside")
    folders[0].rename(aside)
    folders[1].rename(folders[0])
    aside.rename(folders[1])
    said = left_out(settings)
    assert len(said) == 2
    assert "holds the record of another run, li2022/fig8b/smoke-seed1-" in said[0]


@pytest.mark.parametrize("field", ["claims", "status", "metrics"])
def test_a_record_that_its_results_do_not_give_is_set_aside_whatever_its_seal(
    settings: Settings, field: str
) -> None:
    first = recorded(settings)
    content: dict[str, Any] = json.loads((first.folder / RECORD).read_text())
    forged = {
        "claims": [one | {"verdict": "not supported"} for one in content["claims"]],
        "status": "as recorded",
        "metrics": {name: value * 2 for name, value in content["metrics"].items()},
    }
    write_sealed(first.folder / RECORD, content | {field: forged[field]})
    said: list[str] = []
    again = recorded(settings, said=said)
    assert getattr(again.record, field) == getattr(first.record, field)
    assert f"{RECORD}: {field}: is not what the stored results give; set aside as" in said[0]


def gone(folder: Path) -> None:
    (folder / "arrays.npz").unlink()


def another(folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    meta["digests"]["arrays.npz"] = "0" * 64
    (folder / "meta.json").write_text(json.dumps(meta))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (gone, "no result is stored of training"),
        (another, "was made of another result of training than is stored"),
    ],
)
def test_a_run_whose_results_are_no_longer_there_is_left_out(
    settings: Settings, change: Callable[[Path], None], problem: str
) -> None:
    run = recorded(settings)
    change(run.step_folder(run.record.steps[0]))
    assert left_out(settings) == [f"{run.folder}: {problem}: {AGAIN}"]


def test_results_are_compared_before_they_are_sent(settings: Settings) -> None:
    run = recorded(settings)
    compare_results(run)
    arrays = run.step_folder(run.record.steps[0]) / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-1])
    with pytest.raises(StoreError, match=f"^{arrays}: is not what "):
        compare_results(run)


def test_runs_of_an_earlier_release_are_one_line_until_they_are_made_again(
    settings: Settings,
) -> None:
    for seed in (0, 1):
        folder = recorded(settings, seed).folder
        content = json.loads((folder / RECORD).read_text())
        del content["seal"], content["digests"]
        (folder / RECORD).write_text(json.dumps(content, indent=1) + "\n")
    (line,) = left_out(settings)
    assert "2 runs of another release, whose records have no seal: left out; such as `repro" in line
    recorded(settings, 0)
    said: list[str] = []
    assert len(all_runs(settings, said.append)) == 1
    assert said == [
        f"{settings.home / 'runs'}: 1 run of another release, whose records have no seal: left out; "
        f"`repro run {FIGURE} --profile smoke --seed 1` makes it again"
    ]


def test_a_damaged_run_of_other_code_is_set_aside_by_the_run_that_takes_its_place(
    settings: Settings,
) -> None:
    run = recorded(settings)
    old, own = (run.folder.with_name(f"smoke-seed0-{name}") for name in ("0" * 12, "copy"))
    for folder in (old, own):
        shutil.copytree(run.folder, folder)
    assert len(all_runs(settings, (said := []).append)) == 1
    assert [line.partition(":")[0] for line in said] == [str(old), str(own)]
    recorded(settings)
    assert not old.exists()
    assert own.exists()  # somebody's own copy, by its name
