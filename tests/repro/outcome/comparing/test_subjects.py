"""What can be compared is found by whatever it is called, and what is not there is said in a line."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from repro.errors import ReproError, UsageError
from repro.manifests.library import FigureManifest, Library
from repro.outcome.comparing.subjects import find
from repro.outcome.record import RECORD
from repro.outcome.references import RecordedRuns, recorded_run, write_runs
from repro.settings import Settings
from tests.fakes import (
    FIGURE,
    PROFILES,
    copy_manifests,
    recorded,
    recorded_run_of,
    settings_below,
    write_sealed,
)

LOSS = "training.final_loss"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Recorded: seeds 0 to 2 of two machines; run here: two seeds, and one with an alternative."""
    folder = tmp_path_factory.mktemp("subjects")
    settings = settings_below(folder, copy_manifests(folder / "manifests"))
    runs = [
        recorded_run_of(seed, processor, {LOSS: 0.1 * seed})
        for processor in ("AMD EPYC", "Intel Xeon")
        for seed in range(3)
    ]
    write_runs(manifest_of(settings), "smoke", runs)
    for seed in (4, 3):
        recorded(settings, FIGURE, seed)
    recorded(settings, FIGURE, 3, "cut_factor=1")
    return settings


def manifest_of(settings: Settings) -> FigureManifest:
    return Library(settings.manifests).load(FIGURE)


@pytest.mark.parametrize(
    ("text", "source", "runs"),
    [
        ("fig8b@smoke", "recorded", [(s, m) for s in range(3) for m in ("AMD EPYC", "Intel Xeon")]),
        ("li2022/fig8b@smoke:1", "recorded", [(1, "AMD EPYC"), (1, "Intel Xeon")]),
        ("fig8b@smoke@amd", "recorded", [(0, "AMD EPYC"), (1, "AMD EPYC"), (2, "AMD EPYC")]),
        ("fig8b@smoke@xeon:0,2", "recorded", [(0, "Intel Xeon"), (2, "Intel Xeon")]),
    ],
)
def test_recorded_runs(
    settings: Settings, text: str, source: str, runs: list[tuple[int, str]]
) -> None:
    subject = find(text, settings)
    assert [(run.seed, run.machine.processor) for run in subject.runs] == runs
    assert (subject.text, subject.source, subject.profile) == (text, source, "smoke")
    assert (subject.manifest.id, subject.alternative) == (FIGURE, None)


def test_runs_of_this_machine(settings: Settings) -> None:
    subject = find("here:fig8b@smoke", settings)
    assert (subject.seeds, subject.source, subject.alternative) == ([3, 4], "run here", None)
    assert find("here:fig8b@smoke:4", settings).seeds == [4]
    for prefix in ("", "here:"):
        other = find(f"{prefix}fig8b@smoke+cut_factor=1.0", settings)
        assert (other.seeds, other.source, other.alternative) == ([3], "run here", "cut_factor=1.0")


def test_of_a_seed_that_was_run_twice_the_latest_counts(settings: Settings, tmp_path: Path) -> None:
    own = replace(settings, home=tmp_path / "home")
    run = recorded(own, FIGURE, 3)
    older = json.loads((run.folder / RECORD).read_text()) | {
        "recorded_at": "2020-01-01T00:00:00+00:00",
        "digest": "0" * 64,
    }
    folder = run.folder.with_name("smoke-seed3-000000000000")
    folder.mkdir()
    for path in run.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    write_sealed(folder / RECORD, older)
    (found,) = find("here:fig8b@smoke", own).runs
    assert found == recorded_run(run.record)


def test_a_run_by_its_folder_or_record(settings: Settings) -> None:
    run = recorded(settings, FIGURE, 3)
    for path in (run.folder, run.folder / RECORD):
        subject = find(str(path), settings)
        assert subject.runs == (recorded_run(run.record),)
        assert (subject.profile, subject.source) == ("smoke", "a run")
    alternative = recorded(settings, FIGURE, 3, "cut_factor=1")
    assert find(str(alternative.folder), settings).alternative == "cut_factor=1.0"


def test_a_file_of_recorded_runs_of_another_checkout(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "theirs.json"
    runs = (recorded_run_of(7, "H200", {LOSS: 1.0}),)
    path.write_text(json.dumps(asdict(RecordedRuns(1, FIGURE, "desk", runs))))
    subject = find(str(path), settings)
    assert (subject.runs, subject.profile, subject.machines) == (runs, "desk", ["H200"])
    path.write_text(json.dumps(asdict(RecordedRuns(1, FIGURE, "desk", ()))))
    with pytest.raises(UsageError, match="holds no run"):
        find(str(path), settings)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fig8b", f"fig8b: at which profile? {', '.join(f'fig8b@{one}' for one in PROFILES)}"),
        ("fig8b@smok", "fig8b@smok: at which profile? fig8b@smoke, "),
        ("fig8@smoke", "no figure 'fig8' (did you mean"),
        ("li2022/fig1@smoke", "li2022/fig1 is not computable: there are no runs of it"),
        (
            "fig8b@desk",
            "nothing is recorded of li2022/fig8b at desk, but at smoke; "
            "repro record li2022/fig8b --seeds 0-9 --profile desk",
        ),
        (
            "here:fig8b@desk",
            "li2022/fig8b was not run here at desk, but at smoke; "
            "repro run li2022/fig8b --profile desk",
        ),
        (
            "fig8b@desk+cut_factor=1",
            "li2022/fig8b with cut_factor=1.0 was not run here at desk, but at smoke; "
            "repro run li2022/fig8b --profile desk --alternative 'cut_factor=1.0'",
        ),
        ("fig8b@smoke:9", "fig8b@smoke:9: there is no seed 9; there are 0, 1, 2"),
        ("fig8b@smoke:3-", "fig8b@smoke:3-: '3-': write 0-9 or 0,3,5"),
        (
            "fig8b@smoke@amd epic",
            "fig8b@smoke@amd epic: no machine is called 'amd epic'; "
            "there are: AMD EPYC; Intel Xeon",
        ),
        ("fig8b@smoke@e", "fig8b@smoke@e: several machines are called 'e'; there are: AMD EPYC; "),
        ("fig8b@smoke+cut=1", "li2022/fig8b has no alternative 'cut=1'; it has:"),
        ("fig8b@smoke:", "'fig8b@smoke:': write FIGURE@PROFILE, such as fig8a@smoke"),
        ("", "'': write FIGURE@PROFILE"),
        ("nowhere/record.json", "nowhere/record.json: no such file; write FIGURE@PROFILE"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(settings: Settings, text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(text, settings)
    assert str(caught.value).startswith(told)
    assert len(str(caught.value).splitlines()) == 1 or "it has:" in told


def test_a_folder_without_a_run(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run; write FIGURE@PROFILE"):
        find(str(tmp_path), settings)


@pytest.mark.parametrize("name", [RECORD, "theirs.json", "page.html"])
@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 9, "id": "li2022/fig8b"}'])
def test_a_file_of_anything_else_is_one_line(
    settings: Settings, tmp_path: Path, name: str, content: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UsageError, match=rf"^{re.escape(str(path))}: .*; r") as caught:
        find(str(path), settings)
    assert len(str(caught.value).splitlines()) == 1


def test_a_run_of_a_figure_that_is_not_here(settings: Settings, tmp_path: Path) -> None:
    record = json.loads((recorded(settings, FIGURE, 3).folder / RECORD).read_text())
    write_sealed(tmp_path / RECORD, record | {"id": "li2022/fig8c"})
    with pytest.raises(ReproError, match=r"is of li2022/fig8c \(did you mean"):
        find(str(tmp_path / RECORD), settings)
