"""Predictions: made once, before the fact, and then held to."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from repro.errors import ManifestError, StoreError, UsageError
from repro.manifests.library import FigureManifest, Library
from repro.outcome import wording
from repro.outcome.catalogue import paper_verdicts
from repro.outcome.predictions import (
    HeldPredictions,
    freeze,
    frozen_predictions,
    held_predictions,
    judge_predictions,
)
from repro.outcome.record import Run
from repro.outcome.references import write_runs
from repro.outcome.tables import verdict_tables
from tests.fakes import FIGURE, copy_manifests, record_of, recorded_run_of, relist, replace_once

LOSS, ACCURACY = "training.final_loss", "training.final_accuracy"
_PREDICTIONS = f"""\
predictions:
  by: smoke
  of: [desk, paper]
  numbers:
    - metric: {LOSS}
      low: training.mean_loss
      high: training.max_order_parameter
claims:
"""


@pytest.fixture
def manifest(tmp_path: Path) -> FigureManifest:
    """A figure whose five recorded seeds predict its final loss; a sixth measured neither end."""
    folder = copy_manifests(tmp_path / "manifests")
    replace_once(folder / f"{FIGURE}.yaml", "claims:\n", _PREDICTIONS)
    manifest = Library(folder).load(FIGURE)
    ends = [(1.0, 2.0), (1.1, 2.2), (0.9, 900.0), (1.2, 2.1), (-5.0, 1.9)]
    runs = [
        recorded_run_of(
            seed, metrics={"training.mean_loss": low, "training.max_order_parameter": high}
        )
        for seed, (low, high) in enumerate(ends)
    ]
    write_runs(manifest, "smoke", [*runs, recorded_run_of(5)])
    return manifest


def run_at(profile: str, folder: Path) -> Run:
    return Run(folder, folder / "run", record_of(id=FIGURE, profile=profile))


def test_each_end_is_the_median_over_seeds(manifest: FigureManifest) -> None:
    made = freeze(manifest, [])
    (number,) = made.numbers
    assert (number.metric, number.low, number.high) == (LOSS, 1.0, 2.1)
    assert (made.made_by, made.seeds) == ("smoke", (0, 1, 2, 3, 4, 5))
    assert frozen_predictions(manifest) == made


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (1.0, "as predicted"),
        (1.7, "as predicted"),
        (2.1, "as predicted"),
        (0.99, "not as predicted"),
        (2.11, "not as predicted"),
    ],
)
def test_a_run_is_held_against_what_was_predicted(
    manifest: FigureManifest, value: float, verdict: str
) -> None:
    freeze(manifest, [])
    (judged,) = judge_predictions(manifest, "desk", {LOSS: value, ACCURACY: 1.0})
    assert (judged.metric, judged.value) == (LOSS, value)
    assert (judged.low, judged.high, judged.verdict) == (1.0, 2.1, verdict)


def test_without_a_prediction_nothing_was_predicted(manifest: FigureManifest) -> None:
    (judged,) = judge_predictions(manifest, "paper", {LOSS: 1.7})
    assert (judged.low, judged.high, judged.verdict) == (None, None, "not predicted")


def test_only_what_is_about_a_prediction_is_judged(manifest: FigureManifest) -> None:
    freeze(manifest, [])
    assert judge_predictions(manifest, "smoke", {LOSS: 1.7}) == ()
    assert judge_predictions(manifest, "desk", {ACCURACY: 1.0}) == ()  # not measured there
    other = manifest.with_alternative("cut_factor=1.0")
    assert judge_predictions(other, "desk", {LOSS: 1.7}) == ()


def test_a_prediction_after_the_fact_is_refused(manifest: FigureManifest, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"has been run at desk.*what is known cannot be predicted"
    ):
        freeze(manifest, [run_at("smoke", tmp_path), run_at("desk", tmp_path)])
    write_runs(manifest, "paper", [recorded_run_of(0)])
    with pytest.raises(UsageError, match=r"has been run at paper.*fig8b\.paper\.json"):
        freeze(manifest, [])
    assert frozen_predictions(manifest) is None


def test_a_prediction_is_made_once(manifest: FigureManifest) -> None:
    made = freeze(manifest, [])
    with pytest.raises(UsageError, match="has been predicted at"):
        freeze(manifest, [])
    assert frozen_predictions(manifest) == made


def test_too_few_seeds_predict_nothing(manifest: FigureManifest) -> None:
    write_runs(manifest, "smoke", [recorded_run_of(seed) for seed in range(9)])
    with pytest.raises(UsageError, match=r"recorded of 0 seeds at smoke; a prediction needs 5"):
        freeze(manifest, [])


def test_more_seeds_than_are_needed_predict_too(manifest: FigureManifest) -> None:
    ends = [{"training.mean_loss": seed, "training.max_order_parameter": 9.0} for seed in range(6)]
    write_runs(manifest, "smoke", [recorded_run_of(n, metrics=one) for n, one in enumerate(ends)])
    (number,) = freeze(manifest, []).numbers
    assert (number.low, number.high) == (2.5, 9.0)


def test_a_figure_may_predict_nothing(tmp_path: Path) -> None:
    manifest = Library(copy_manifests(tmp_path / "manifests")).load(FIGURE)
    with pytest.raises(UsageError, match="predicts nothing"):
        freeze(manifest, [])
    assert judge_predictions(manifest, "desk", {LOSS: 1.0}) == ()


def test_a_prediction_that_was_moved_is_refused(manifest: FigureManifest) -> None:
    freeze(manifest, [])
    path = manifest.predictions_path
    content = json.loads(path.read_text("utf-8"))
    content["numbers"][0]["high"] = 3.0
    path.write_text(json.dumps(content), "utf-8")
    relist(path)
    with pytest.raises(StoreError, match="was changed after it had been made"):
        judge_predictions(manifest, "desk", {LOSS: 2.5})


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": "li2022/fig8b"}'])
def test_damaged_predictions_are_one_line_with_their_path(
    manifest: FigureManifest, content: str
) -> None:
    path = manifest.predictions_path
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, "utf-8")
    relist(path)
    with pytest.raises(StoreError) as damaged:
        frozen_predictions(manifest)
    assert str(damaged.value).startswith(f"{path}: is damaged: ")
    assert len(str(damaged.value).splitlines()) == 1


def test_another_figures_predictions_are_refused(manifest: FigureManifest) -> None:
    made = replace(freeze(manifest, []), id="li2022/another")
    sealed = replace(made, digest=made.sealed())
    manifest.predictions_path.write_text(json.dumps(asdict(sealed)), "utf-8")
    relist(manifest.predictions_path)
    with pytest.raises(StoreError, match=f"is not about {manifest.id}"):
        frozen_predictions(manifest)


def test_a_profile_does_not_predict_itself(tmp_path: Path) -> None:
    folder = copy_manifests(tmp_path / "manifests")
    replace_once(
        folder / f"{FIGURE}.yaml", "claims:\n", _PREDICTIONS.replace("[desk, paper]", "[smoke]")
    )
    with pytest.raises(ManifestError, match="cannot predict what they are themselves"):
        Library(folder).load(FIGURE)


def test_what_is_recorded_since_stands_beside_the_prediction(manifest: FigureManifest) -> None:
    assert held_predictions(manifest) is None
    freeze(manifest, [])
    (number,) = held(manifest).numbers
    assert (number.low, number.high, number.later) == (1.0, 2.1, ())
    assert (wording.later(number), wording.fate(number)) == ("not yet", "")
    write_runs(manifest, "desk", [recorded_run_of(0, metrics={LOSS: 2.2})])
    (number,) = held(manifest).numbers
    assert (wording.later(number), wording.fate(number)) == ("desk: 2.2", "not as predicted")
    later = [
        recorded_run_of(seed, metrics={LOSS: loss}) for seed, loss in enumerate([1.8, 0.8, 1.5])
    ]
    write_runs(manifest, "paper", [*later, recorded_run_of(3)])
    (number,) = held(manifest).numbers
    assert wording.later(number) == "desk: 2.2; paper: 0.8, 1.5, 1.8"
    assert wording.fate(number) == "as predicted in 2 of 4 seeds"
    assert "| 1 to 2.1 | desk: 2.2; paper: 0.8, 1.5, 1.8 | as predicted in 2 of 4 seeds |" in (
        verdict_tables(paper_verdicts(Library(manifest.folder.parent), "li2022"), "desk")
    )


def held(manifest: FigureManifest) -> HeldPredictions:
    found = held_predictions(manifest)
    assert found is not None
    return found
