"""Recorded runs on disk: what is written is read, and what is damaged is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from repro.errors import StoreError
from repro.machine import Facts
from repro.manifests.library import FigureManifest, Library
from repro.outcome import sums
from repro.outcome.record import Machine, RanStep, Record
from repro.outcome.references import (
    RecordedStep,
    recorded_profiles,
    recorded_run,
    recorded_runs,
    recorded_steps,
    write_references,
    write_runs,
)
from tests.fakes import FIGURE, MANIFESTS, copy_manifests, record_of, relist, replace_once


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


def test_the_file_holds_all_that_it_always_did(manifest: FigureManifest) -> None:
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
        assert set(mine) >= set(other)


def test_runs_from_before_reasons_were_kept_have_none(manifest: FigureManifest) -> None:
    write_references(manifest, "smoke", [record(0)])
    path = manifest.references_path("smoke")
    content = json.loads(path.read_text())
    del content["runs"][0]["missing"]
    path.write_text(json.dumps(content))
    relist(path)
    (run,) = recorded_runs(manifest, "smoke")
    assert (run.missing, run.metrics) == ({}, {"training.final_loss": 0.5})


def test_a_run_from_before_machines_had_names_is_of_none(manifest: FigureManifest) -> None:
    write_references(manifest, "smoke", [record(0)])
    path = manifest.references_path("smoke")
    content = json.loads(path.read_text())
    for name in ("processor", "instructions", "gpu", "limits"):
        del content["runs"][0]["machine"][name]
    path.write_text(json.dumps(content))
    relist(path)
    (run,) = recorded_runs(manifest, "smoke")
    assert not run.made_on.known
    assert run.machine == Machine("x86_64", "Linux", 2, None)


@pytest.mark.parametrize("moment", ["yesterday", "2026-01-02T03:04:05"])
def test_a_moment_that_is_none_is_refused(manifest: FigureManifest, moment: str) -> None:
    write_references(manifest, "smoke", [record(0)])
    path = manifest.references_path("smoke")
    replace_once(path, "2026-01-02T03:04:05+00:00", moment)
    relist(path)
    with pytest.raises(StoreError, match=r"smoke.json: is damaged: runs.0: .*" + moment):
        recorded_runs(manifest, "smoke")


def on(machine: Machine, seed: int, device: str = "cpu") -> Record:
    return record_of(seed=seed, machine=machine, device=device)


NAMELESS = Machine("x86_64", "Linux", 2, None)
INTEL = Machine("x86_64", "Linux", 2, None, processor="Intel Xeon", instructions="avx avx2")
AMD = Machine("x86_64", "Linux", 8, None, processor="AMD EPYC", instructions="avx avx2")
ARM = Machine("aarch64", "Linux", 8, None)


def machines_of(manifest: FigureManifest) -> list[tuple[str, int]]:
    return [(run.machine.processor, run.seed) for run in recorded_runs(manifest, "smoke")]


def test_a_recording_replaces_the_runs_of_its_own_machine_only(manifest: FigureManifest) -> None:
    write_references(manifest, "smoke", [on(INTEL, 0), on(INTEL, 1)])
    write_references(manifest, "smoke", [on(AMD, 1)])
    assert machines_of(manifest) == [("Intel Xeon", 0), ("AMD EPYC", 1), ("Intel Xeon", 1)]
    all_of_them = write_references(manifest, "smoke", [on(INTEL, 2)])
    assert machines_of(manifest) == [("AMD EPYC", 1), ("Intel Xeon", 2)]
    assert all_of_them == recorded_runs(manifest, "smoke")


def test_it_replaces_runs_of_no_named_machine_of_its_kind(manifest: FigureManifest) -> None:
    write_references(manifest, "smoke", [on(NAMELESS, 0), on(ARM, 1)])
    assert machines_of(manifest) == [("", 0), ("", 1)]
    write_references(manifest, "smoke", [on(INTEL, 5)])
    assert machines_of(manifest) == [("", 1), ("Intel Xeon", 5)]  # the other is of another kind
    write_references(manifest, "smoke", [on(NAMELESS, 7)])
    assert machines_of(manifest) == [("", 1), ("Intel Xeon", 5), ("", 7)]


def test_how_long_steps_took_is_asked_of_machines_like_the_one_to_run_them(
    manifest: FigureManifest,
) -> None:
    gpu = replace(AMD, gpu="H200")
    slow, slower, fast = (
        record_of(seed=seed, machine=machine, device=device,
                  steps=(RanStep("training", "k", seconds, 2, 1, {}),))
        for seed, (machine, device, seconds) in enumerate(
            [(INTEL, "cpu", 90.0), (NAMELESS, "cpu", 120.0), (gpu, "cuda", 2.0)]
        )
    )  # fmt: skip
    write_runs(manifest, "smoke", map(recorded_run, (slow, slower, fast)))

    def seconds(device: str, instructions: str, model: str = "") -> list[float]:
        facts = Facts(device, 1, "x86_64", instructions, {}, {}, {"model": model} if model else {})
        return [step.seconds for step in recorded_steps(manifest, "smoke", facts)["training"]]

    assert seconds("cpu", "avx avx2") == [90.0]
    assert seconds("cpu", "avx512f") == [90.0, 120.0]
    assert seconds("cuda", "avx avx2", "H200") == [2.0]
    assert seconds("cuda", "avx avx2", "A100") == [2.0]
    write_runs(manifest, "smoke", [recorded_run(slow)])
    assert seconds("cuda", "avx avx2", "H200") == [90.0]


def test_the_profiles_that_are_recorded(manifest: FigureManifest) -> None:
    assert recorded_profiles(manifest) == ()
    for profile in ("smoke", "paper", "desk"):
        write_references(manifest, profile, [record(0)])
    assert recorded_profiles(manifest) == ("smoke", "desk", "paper")


def test_the_same_runs_give_the_same_bytes(manifest: FigureManifest) -> None:
    write_references(manifest, "smoke", [record(0), record(1)])
    before = manifest.references_path("smoke").read_bytes()
    write_references(manifest, "smoke", [record(1), record(0)])
    assert manifest.references_path("smoke").read_bytes() == before


def test_runs_of_another_profile_are_refused(manifest: FigureManifest) -> None:
    write_references(manifest, "desk", [record(0)])
    relist(manifest.references_path("desk").rename(manifest.references_path("smoke")))
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
    relist(path)
    with pytest.raises(StoreError) as caught:
        recorded_runs(manifest, "smoke")
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_was_changed_or_is_missing_is_one_line_with_the_way_out(
    manifest: FigureManifest,
) -> None:
    write_references(manifest, "smoke", [record(0)])
    path = manifest.references_path("smoke")
    way = f"`repro references import {path}` checks it and lists it"
    path.write_text(path.read_text().replace("0.5", "0.25"))
    with pytest.raises(StoreError) as changed:
        recorded_runs(manifest, "smoke")
    assert str(changed.value).startswith(f"{path}: ")
    assert str(changed.value).endswith(f"; {way}")
    path.unlink()
    with pytest.raises(StoreError) as missing:
        recorded_runs(manifest, "smoke")
    assert str(missing.value).startswith(f"{path}: ")
    assert way not in str(missing.value)  # there is nothing to import


def test_the_committed_recordings_are_of_committed_figures() -> None:
    library = Library(MANIFESTS)
    known = {
        manifest.references_path(profile): (manifest.id, profile)
        for manifest in map(library.load, library.computed())
        for profile in library.profiles.names
    }
    for path in MANIFESTS.glob("*/references/*.json"):
        assert path in known, f"{path} belongs to no figure"
        figure_id, profile = known[path]
        manifest = library.load(figure_id)
        runs = recorded_runs(manifest, profile)
        seeds = [(run.made_on, run.seed) for run in runs]
        assert len(set(seeds)) == len(seeds) >= 1
        claims = {claim.id for claim in manifest.figure.claims}
        metrics = {reference.metric for reference in manifest.figure.references}
        for run in runs:
            measured = {*run.metrics, *run.missing}
            assert set(run.claims) == claims, f"{path}: repro record {figure_id} again"
            assert metrics <= measured, f"{path}: repro record {figure_id} again"
        assert "/home/" not in path.read_text()  # nothing of the machine it was recorded on


def test_the_committed_recordings_are_those_that_are_listed(tmp_path: Path) -> None:
    for folder in MANIFESTS.glob("*/references"):
        copied = shutil.copytree(folder, tmp_path / folder.parent.name)
        relist(copied / "any.json")
        assert (copied / sums.SUMS).read_text() == (folder / sums.SUMS).read_text()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("training.mean_loss", "training.loss", "number 'training.loss', which is not declared"),
        ("zero-loss", "no-loss", "claim 'no-loss', which is not declared, and no 'zero-loss'"),
    ],
)
def test_what_is_called_otherwise_is_told_from_what_was_declared_later(
    manifest: FigureManifest, old: str, new: str, said: str
) -> None:
    path = manifest.references_path("smoke")
    write_references(manifest, "smoke", [record(0)])
    (run,) = recorded_runs(manifest, "smoke")
    judged = {one.metric for one in manifest.figure.references}
    assert judged - run.metrics.keys() - run.missing.keys()  # as if it had been declared later
    replace_once(path, f'"{old}"', f'"{new}"')
    relist(path)
    with pytest.raises(StoreError, match=f"^{path}: seed 0: has the {said}.*; if it was renamed, "):
        recorded_runs(manifest, "smoke")
