"""The artifact appendix: commands that can be typed, recorded times, and every claim."""

from pathlib import Path

import pytest

from repro.manifests.library import Library
from repro.outcome.appendix import appendix
from repro.outcome.references import RecordedStep, recorded_runs, write_runs
from tests.fakes import FIGURE, copy_two_figures, recorded, recorded_run_of, settings_below
from tests.repro.conftest import Cli


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Two machines have recorded one of two figures: one five seeds, one a sixth."""
    library = Library(copy_two_figures(tmp_path / "manifests"))
    manifest = library.load(FIGURE)
    run = recorded(settings_below(tmp_path, library.root), FIGURE)
    runs = [
        recorded_run_of(
            seed,
            processor,
            run.record.metrics,
            steps=(RecordedStep("training", seconds, 1, 1),),
        )
        for seed, processor, seconds in [
            *((s, "Fast", 60.0) for s in range(5)),
            (7, "Slow", 9000.0),
        ]
    ]
    write_runs(manifest, "desk", runs)
    assert len(recorded_runs(manifest, "desk")) == 6
    return library


def sections(library: Library, profile: str) -> dict[str, list[str]]:
    _, *parts = appendix(library, "li2022", profile).split("\n## ")
    return {name: lines for name, _, *lines in (part.strip().splitlines() for part in parts)}


def test_each_claim_has_its_command_time_expectation_and_verdict(library: Library) -> None:
    found = sections(library, "desk")
    assert list(found) == ["fig1", "fig8a", "fig8b"]
    assert "Not computable: " in found["fig1"][0]
    assert found["fig8a"][0].endswith("Nothing is recorded at desk.")
    said, _, command, _, _, _, loss, accuracy = found["fig8b"]
    assert said.endswith(
        "Recorded: about 5 min for 5 seeds on Fast; about 2.5 h for 1 seed on Slow."
    )
    assert command == f"    repro run {FIGURE} --profile desk --seeds 0-4,7"
    assert loss == (
        "| `zero-loss`: the empirical risk converges to zero | II.F.5 and fig. 8b "
        "| 0.0005 (0.0005 to 0.0005) `training.final_loss` | ≤ 0.001 "
        "| supported |"
    )
    assert accuracy.endswith("| 1 (1 to 1) `training.final_accuracy` | ≥ 0.9999 | supported |")


def test_the_command_prints_it(repro: Cli) -> None:
    done = repro.call("table", "li2022", "--appendix")
    assert done.status == 0
    assert done.out.startswith("# Artifact appendix: li2022 at desk\n")
