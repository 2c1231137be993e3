"""What MLflow is to hold of a record, told without MLflow."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro.outcome.record import RanStep, Record, Run
from repro.outcome.tracking import notes
from repro.outcome.tracking.rows import claim_name, figure_row, safe, step_rows
from repro.store import ARRAYS
from tests.fakes import CLAIM, record_of

NOON = 1767355200000  # 2026-01-02T12:00:00Z
MANIFEST = {
    "paper": {"identifier": "arXiv:1", "title": "T", "inconsistencies": []},
    "figure": {"caption": "", "claims": []},
    "stages": {},
}


def row_times(tmp_path: Path, *starts: str) -> list[tuple[int, int]]:
    """When steps of 60, 120, 180 ... seconds that started then, as far as is known, are shown."""
    steps = tuple(
        RanStep(f"s{number}", f"k{number}", 60.0 * number, 1, 1, {}, started_at=start)
        for number, start in enumerate(starts, 1)
    )
    run = run_of(tmp_path, recorded_at="2026-01-02T12:00:00+00:00", steps=steps)
    rows = step_rows(run)
    figure = figure_row(run)
    assert figure.started == min(row.started for row in rows)
    assert figure.ended == max(row.ended for row in rows)
    return [((row.started - NOON) // 1000, (row.ended - NOON) // 1000) for row in rows]


def run_of(home: Path, **changes: Any) -> Run:
    record = record_of(manifest=MANIFEST, **changes)
    run = Run(home, home / "run", record)
    for step in record.steps:
        folder = run.step_folder(step)
        folder.mkdir(parents=True)
        (folder / ARRAYS).write_bytes(b"")
    return run


def test_steps_are_shown_when_they_ran(tmp_path: Path) -> None:
    times = row_times(
        tmp_path,
        "2026-01-02T11:00:00+00:00",
        "2026-01-02T12:30:00.500+01:00",
        "2026-01-01T12:00:00Z",
    )
    assert times == [(-3600, -3540), (-1800, -1680), (-86400, -86220)]


@pytest.mark.parametrize("unknown", ["", "yesterday"])
def test_steps_of_unknown_times_are_shown_one_after_another(tmp_path: Path, unknown: str) -> None:
    assert row_times(tmp_path, *(unknown,) * 3) == [(-360, -300), (-300, -180), (-180, 0)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("balanced-extremes", "balanced-extremes"),
        ("share in [0, 1]", "share in .0. 1"),
        ("a/b", "a.b"),
        ("..", "_"),
        ("", "_"),
        ("/etc", "etc"),
        ("tab\tnew\nline`'", "tab.new.line"),
        ("x" * 999, "x" * 120),
        ("grün", "grün"),
    ],
)
def test_names_are_such_as_mlflow_takes(text: str, name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name, _validate_tag_name

    assert safe(text) == name
    record = record_of(id=f"li2022/{text}")
    for written in (
        claim_name(record, replace(CLAIM, id=text)),
        f"{safe(text)}/{safe(text)}.value",
    ):
        _validate_metric_name(written)
        _validate_tag_name(written)


def test_a_hostile_record_leaves_its_experiment_and_its_page_whole(tmp_path: Path) -> None:
    hostile = replace(CLAIM, id="a|b", statement="<img src=x>\n\n# [x](y) | **z**")
    run = run_of(tmp_path, id="../..", title="<script>", claims=(hostile,), digest="' OR 1=1")
    row = figure_row(run)
    assert "'" not in row.digest
    assert "/" not in row.name
    note = notes.of_figure(run.record, "1", "r")
    assert "<" not in note
    (line,) = [line for line in note.splitlines() if "img" in line]
    cells = line.replace("\\|", "").split("|")
    assert len(cells) == 9  # seven, and what is before and after
    assert cells[7].strip() == "&lt;img src=x&gt; \\# \\[x\\](y)  \\*\\*z\\*\\*"


def test_a_verdict_has_its_cause(tmp_path: Path) -> None:
    claim = replace(CLAIM, verdict="inconclusive", cause="without power", control=0.05)
    run = run_of(tmp_path, claims=(claim,))
    row = figure_row(run)
    assert row.tags["fig8b/zero-loss"] == "inconclusive: without power"
    assert row.tags["verdict"] == "1 inconclusive"
    assert "| zero-loss | inconclusive: without power | 0.5 | ≤ 0.1 |" in notes.of_figure(
        run.record, "1", "r"
    )


def test_a_commit_is_told_from_what_was_changed_since(tmp_path: Path) -> None:
    def tags(commit: str) -> dict[str, str]:
        record: Record = replace(run.record, commit=commit)
        found = figure_row(replace(run, record=record)).tags
        return {name: value for name, value in found.items() if ".git." in name}

    run = run_of(tmp_path)
    assert tags("0ab") == {"mlflow.source.git.commit": "0ab", "mlflow.source.git.dirty": "false"}
    assert tags("0ab-dirty")["mlflow.source.git.dirty"] == "true"
    assert tags("") == {}


def test_a_note_has_as_many_rows_as_a_tag_has_room_for() -> None:
    claims = tuple(replace(CLAIM, id=f"c{number}", statement="x" * 500) for number in range(50))
    note = notes.of_figure(record_of(manifest=MANIFEST, claims=claims), "1", "r")
    assert len(note) <= 8000
    assert "| c0 |" in note
    assert "| … |" in note
