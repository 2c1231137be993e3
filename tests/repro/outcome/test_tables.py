"""The tables of a paper: every claim of it, and nothing that breaks a table."""

from pathlib import Path

import pytest

from repro.manifests.library import Library
from repro.outcome.catalogue import catalogue, paper_verdicts
from repro.outcome.references import write_references
from repro.outcome.tables import counts, highlights, verdict_tables
from tests.fakes import FIGURE, copy_manifests, record_of, replace_once


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Of two figures, one of which has runs recorded at desk."""
    folder = copy_manifests(tmp_path / "manifests")
    for path in folder.glob("*/*.yaml"):
        if path.stem not in ("paper", "experiment", "fig8a", "fig8b"):
            path.unlink()
    replace_once(folder / f"{FIGURE}.yaml", "the empirical risk converges", '"a | b\\nrisk turns')
    replace_once(folder / f"{FIGURE}.yaml", "risk turns to zero", 'risk turns: slowly"')
    library = Library(folder)
    records = [record_of(seed=seed, metrics={"training.final_accuracy": 1.0}) for seed in range(6)]
    write_references(library.load(FIGURE), "desk", records)
    return library


def tables(library: Library, paper: str, profile: str) -> dict[str, list[str]]:
    """The lines below each figure's heading."""
    text = verdict_tables(paper_verdicts(library, paper), profile)
    parts = [part.strip().splitlines() for part in text.split("## ")[1:]]
    return {name: lines for name, _, *lines in parts}


def test_a_figure_has_its_own_claims_or_says_that_nothing_is_recorded(library: Library) -> None:
    found = tables(library, "li2022", "desk")
    assert list(found) == ["fig8a", "fig8b"]
    assert found["fig8a"][-1] == "Nothing is recorded."
    assert [line.partition("`:")[0] for line in found["fig8b"][4:]] == [
        "| `zero-loss",
        "| `full-accuracy",
    ]
    assert tables(library, "ssb2018", "desk") == {}


def test_a_bar_or_a_line_break_ends_no_cell(library: Library) -> None:
    loss, _ = tables(library, "li2022", "desk")["fig8b"][4:]
    assert loss.startswith("| `zero-loss`: a \\| b risk turns: slowly | `training.final_loss` |")


def test_seeds_without_a_value_are_told(library: Library) -> None:
    loss, accuracy = tables(library, "li2022", "desk")["fig8b"][4:]
    assert loss.endswith("|  |  |  |  | ≤ 0.001 | inconclusive: not measured (0 of 6 seeds) |")
    assert accuracy.endswith(
        "| 1 (1 to 1) | 1 to 1 |  | a stand-in | ≥ 0.9999 | supported (6 of 6 seeds) |"
    )


def test_highlights_are_short_and_in_the_order_asked_for(library: Library) -> None:
    claims = [f"{FIGURE}/full-accuracy", f"{FIGURE}/zero-loss"]
    _, _, first, second = highlights(catalogue(library), "desk", claims).splitlines()
    assert first == (
        "| fig8b | the training accuracy converges to 1 | 1 (1 to 1) `training.final_accuracy` |  "
        "| ≥ 0.9999 | **supported** |"
    )
    assert second == (
        "| fig8b | a \\| b risk turns | `training.final_loss` |  | ≤ 0.001 "
        "| **inconclusive**: not measured |"
    )


def test_verdicts_are_counted_at_what_is_recorded(library: Library) -> None:
    _, _, row = counts(catalogue(library)).splitlines()
    assert row == "| li2022 | desk, 6 seeds | 1 | 0 | 0 | 1 | 1 of 1 |"
