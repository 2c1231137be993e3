"""Recorded runs on disk: what is written is read, and what is damaged is refused."""

import json
from pathlib import Path

import pytest

from repro.errors import StoreError
from repro.manifests.library import FigureManifest, Library
from repro.outcome.record import Record
from repro.outcome.references import (
    RecordedStep,
    largest_recorded,
    recorded_runs,
    write_references,
)
from tests.fakes import FIGURE, MANIFESTS, copy_manifests, record_of


@pytest.fixture
def manifest(tmp_path: Path) -> FigureManifest:
    return Library(copy_manifests(tmp_path / "manifests")).load(FIGURE)


def record(seed: int) -> Record:
    return record_of(
        seed=seed,
        metrics={"training.final_loss": 0.5 + seed},
        missing={"training.mean_loss": "without power: a reason"},
    )


def test_nothing_recorded_is_no_runs(manifest: FigureManifest) -> None:
    assert recorded_runs(manifest, "smoke") == ()


def test_runs_are_kept_by_seed_with_all_that_made_them(manifest: FigureManifest) -> None:
    write_references(manifest, "smoke", [record(2), record(0), record(1)])
    runs = recorded_runs(manifest, "smoke")
    assert [run.seed for run in runs] == [0, 1, 2]
    assert runs[0].metrics == {"training.final_loss": 0.5}
    assert runs[0].missing == {"training.mean_loss": "without power: a reason"}
    assert runs[0].claims == {"zero-loss": "supported"}
    assert runs[0].versions == {"torch": "2"}
    assert runs[0].device == "cpu"
    assert runs[0].steps == (RecordedStep("training", 1.0, 2, 1),)
    assert recorded_runs(manifest, "desk") == ()


def test_the_file_holds_what_it_always_did(manifest: FigureManifest) -> None:
    write_references(manifest, "smoke", [record(0)])
    ours = json.loads(manifest.references_path("smoke").read_text())
    (path, *_) = sorted(MANIFESTS.glob("*/references/*.json"))
    theirs = json.loads(path.read_text())
    assert set(ours) == set(theirs)
    assert set(ours["runs"][0]) == set(theirs["runs"][0]) | {"missing"}
    for part in ("machine", "steps"):
        mine, other = (
            next(iter(one if isinstance(one, list) else [one]))
            for one in (ours["runs"][0][part], theirs["runs"][0][part])
        )
        assert set(mine) == set(other)


def test_runs_from_before_reasons_were_kept_have_none(manifest: FigureManifest) -> None:
    write_references(manifest, "smoke", [record(0)])
    path = manifest.references_path("smoke")
    content = json.loads(path.read_text())
    del content["runs"][0]["missing"]
    path.write_text(json.dumps(content))
    (run,) = recorded_runs(manifest, "smoke")
    assert (run.missing, run.metrics) == ({}, {"training.final_loss": 0.5})


def test_the_largest_profile_that_is_recorded(manifest: FigureManifest) -> None:
    assert largest_recorded(manifest) is None
    for profile in ("smoke", "paper", "desk"):
        write_references(manifest, profile, [record(0)])
    assert largest_recorded(manifest) == "paper"


def test_the_same_runs_give_the_same_bytes(manifest: FigureManifest) -> None:
    write_references(manifest, "smoke", [record(0), record(1)])
    before = manifest.references_path("smoke").read_bytes()
    write_references(manifest, "smoke", [record(1), record(0)])
    assert manifest.references_path("smoke").read_bytes() == before


def test_runs_of_another_profile_are_refused(manifest: FigureManifest) -> None:
    write_references(manifest, "desk", [record(0)])
    manifest.references_path("desk").rename(manifest.references_path("smoke"))
    with pytest.raises(StoreError, match=f"is not about {FIGURE} at smoke"):
        recorded_runs(manifest, "smoke")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"id": "li2022/fig8b", "profile": "smoke"}',
        '{"id": "li2022/fig8b", "profile": "smoke", "runs": {}}',
        '{"id": "li2022/fig8b", "profile": "smoke", "runs": [1]}',
        '{"id": "li2022/fig8b", "profile": "smoke", "runs": [{}]}',
        '{"id": "li2022/fig8b", "profile": "smoke", "runs": [{"metrics": {}}]}',
        '{"id": "li2022/fig8b", "profile": "smoke", '
        '"runs": [{"metrics": {"training.final_loss": NaN}, "claims": {}}]}',
        '{"id": "li2022/fig8b", "profile": "smoke", '
        '"runs": [{"metrics": {"training.final_loss": "0.5"}, "claims": {}}]}',
    ],
)
def test_a_damaged_file_is_one_line_with_its_path(manifest: FigureManifest, content: str) -> None:
    path = manifest.references_path("smoke")
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(StoreError) as caught:
        recorded_runs(manifest, "smoke")
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_the_committed_recordings_are_of_committed_figures() -> None:
    library = Library(MANIFESTS)
    known = {
        manifest.references_path(profile): (manifest.id, profile)
        for manifest in map(library.load, library.computed())
        for profile in ("smoke", "desk", "paper")
    }
    for path in MANIFESTS.glob("*/references/*.json"):
        assert path in known, f"{path} belongs to no figure"
        figure_id, profile = known[path]
        manifest = library.load(figure_id)
        runs = recorded_runs(manifest, profile)
        seeds = [run.seed for run in runs]
        assert len(set(seeds)) == len(seeds) >= 1
        claims = {claim.id for claim in manifest.figure.claims}
        metrics = {reference.metric for reference in manifest.figure.references}
        for run in runs:
            # Desk takes days to record: claims may be newer than what is recorded of it.
            assert set(run.claims) <= claims, f"{path}: repro record {figure_id} again"
            if profile != "desk":
                measured = {*run.metrics, *run.missing}
                assert set(run.claims) == claims, f"{path}: repro record {figure_id} again"
                assert metrics <= measured, f"{path}: repro record {figure_id} again"
        assert "/home/" not in path.read_text()  # nothing of the machine it was recorded on
