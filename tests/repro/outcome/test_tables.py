"""The table of a paper: every claim of it, and nothing that breaks the table."""

from pathlib import Path

import pytest

from repro.manifests.library import Library
from repro.outcome.references import write_references
from repro.outcome.tables import verdict_table
from tests.fakes import FIGURE, copy_manifests, record_of, replace_once


@pytest.fixture
def library(tmp_path: Path) -> Library:
    folder = copy_manifests(tmp_path / "manifests")
    for path in folder.glob("*/*.yaml"):
        if path.stem not in ("paper", "experiment", "fig8a", "fig8b"):
            path.unlink()
    return Library(folder)


def test_a_bar_or_a_line_break_ends_no_cell(library: Library) -> None:
    path = library.root / f"{FIGURE}.yaml"
    replace_once(path, "the empirical risk converges", '"a | b\\nrisk converges')
    replace_once(path, "risk converges to zero", 'risk converges"')
    lines = verdict_table(library, "li2022", "smoke").splitlines()
    assert len(lines) == 2 + 5
    assert "| `zero-loss`: a \\| b risk converges | `training.final_loss` |" in lines[5]


def test_a_paper_has_its_own_figures_only(library: Library) -> None:
    assert len(verdict_table(library, "ssb2018", "smoke").splitlines()) == 2


def test_seeds_without_a_value_are_told(library: Library) -> None:
    manifest = library.load(FIGURE)
    records = [record_of(seed=seed, metrics={"training.final_accuracy": 1.0}) for seed in range(6)]
    write_references(manifest, "desk", records)
    *_, loss, accuracy = verdict_table(library, "li2022", "desk").splitlines()
    assert loss.endswith("|  |  |  |  | ≤ 0.001 | inconclusive: not measured (0 of 6 seeds) |")
    assert accuracy.endswith(
        "| 1 (1 to 1) | 1 to 1 |  | a stand-in | ≥ 0.9999 | supported (6 of 6 seeds) |"
    )
