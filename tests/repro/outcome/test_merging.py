"""Runs recorded elsewhere: checked, merged with ours, and none lost whatever the order."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import ReproError, StoreError, UsageError
from repro.manifests.library import FigureManifest, Library
from repro.outcome import sums
from repro.outcome.merging import merge_files
from repro.outcome.references import RecordedRun, merged, recorded_runs, write_runs
from tests.fakes import FIGURE, MANIFESTS, PROFILES, copy_manifests, recorded_run_of, relist

SMOKE = "smoke"
LOSS = "training.final_loss"


def moment(second: int) -> str:
    return f"2026-01-02T03:04:{second:02}+00:00"


RUNS = st.lists(
    st.builds(
        lambda seed, processor, second, value: recorded_run_of(
            seed, processor, {LOSS: value}, recorded_at=moment(second)
        ),
        st.integers(0, 3),
        st.sampled_from(["A", "B", ""]),
        st.integers(0, 2),
        st.sampled_from([0.1, 0.2]),
    ),
    max_size=12,
)


@given(RUNS)
def test_merging_twice_is_merging_once(runs: list[RecordedRun]) -> None:
    once = merged(runs)
    assert merged(once) == merged([*once, *runs]) == merged([*runs, *once]) == once


@given(st.data(), RUNS, RUNS, RUNS)
def test_the_order_of_merging_does_not_matter(
    data: st.DataObject, one: list[RecordedRun], two: list[RecordedRun], three: list[RecordedRun]
) -> None:
    everything = [*one, *two, *three]
    shuffled = data.draw(st.permutations(everything))
    assert merged(shuffled) == merged(everything)
    assert merged([*merged([*one, *two]), *three]) == merged([*one, *merged([*two, *three])])


@given(RUNS)
def test_no_run_is_lost_but_to_a_newer_one_of_its_seed_and_machine(
    runs: list[RecordedRun],
) -> None:
    kept = merged(runs)
    assert all(run in runs for run in kept)
    places = [(run.seed, run.machine.processor) for run in kept]
    assert len(places) == len(set(places))
    assert set(places) == {(run.seed, run.machine.processor) for run in runs}
    for run in runs:
        (instead,) = [one for one in kept if (one.seed, one.made_on) == (run.seed, run.made_on)]
        assert instead.recorded_at >= run.recorded_at


def test_which_one_is_newer_is_asked_of_the_moment_and_not_of_how_it_is_written() -> None:
    early = recorded_run_of(0, "A", recorded_at="2026-01-02T05:00:00+03:00")  # 02:00 UTC
    late = recorded_run_of(0, "A", recorded_at="2026-01-02T03:00:00+00:00")
    assert merged([early, late]) == merged([late, early]) == (late,)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(copy_manifests(tmp_path / "manifests"))


@pytest.fixture
def manifest(library: Library) -> FigureManifest:
    return library.load(FIGURE)


def sound(seed: int, processor: str = "AMD EPYC", **changes: Any) -> RecordedRun:
    numbers = {
        "training.final_accuracy": 1.0, "training.max_order_parameter": 0.5, LOSS: 5e-4,
        "training.mean_loss": 0.1, "training.final_order_parameter": 0.0,
    }  # fmt: skip
    claims = {"zero-loss": "supported", "full-accuracy": "supported"}
    return recorded_run_of(seed, processor, numbers, **{"claims": claims} | changes)


def foreign(path: Path, of: Sequence[RecordedRun], **changes: Any) -> Path:
    content = {"schema_version": 1, "id": FIGURE, "profile": SMOKE, "runs": [*map(asdict, of)]}
    path.write_text(json.dumps(content | changes))
    return path


def test_runs_of_another_machine_stand_beside_ours(
    library: Library, manifest: FigureManifest, tmp_path: Path
) -> None:
    ours = write_runs(manifest, SMOKE, [sound(0, "Intel Xeon"), sound(1, "Intel Xeon")])
    theirs = [sound(0), sound(2)]
    (merge,) = merge_files(library, [foreign(tmp_path / "theirs.json", theirs)])
    assert recorded_runs(manifest, SMOKE) == ours  # nothing is written before all is checked
    assert merge.new == theirs
    merge.write()
    assert recorded_runs(manifest, SMOKE) == (theirs[0], *ours, theirs[1])
    (again,) = merge_files(library, [tmp_path / "theirs.json"])
    assert again.new == []


def test_files_of_one_figure_are_merged_with_each_other(
    library: Library, manifest: FigureManifest, tmp_path: Path
) -> None:
    paths = [
        foreign(tmp_path / f"{name}.json", [sound(seed, name) for seed in range(2)])
        for name in ("A", "B")
    ]
    (merge,) = merge_files(library, paths)
    merge.write()
    assert len(recorded_runs(manifest, SMOKE)) == 4
    assert {str(machine) for machine in merge.machines} == {"A", "B"}


def test_ours_are_not_written_again_where_there_is_nothing_new(
    library: Library, manifest: FigureManifest, tmp_path: Path
) -> None:
    write_runs(manifest, SMOKE, [sound(0)])
    path = manifest.references_path(SMOKE)
    path.write_text(path.read_text().replace("\n", "\n "))
    relist(path)
    before = path.read_text()
    (merge,) = merge_files(library, [foreign(tmp_path / "f.json", [sound(0)])])
    merge.write()
    assert path.read_text() == before


def number(name: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda run: run["metrics"].update({name: value})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (number("training.final_los", 0.1), "has no number 'training.final_los' (did you mean"),
        (lambda run: run["missing"].update({"other.x": "w"}), "has no number 'other.x'"),
        (number("training.final_accuracy", 1.5), "training.final_accuracy = 1.5, which is not in"),
        (number(LOSS, 0.5), "claim zero-loss is 'supported' there, and 'not supported' by the"),
        (lambda run: run["claims"].update({"zero-los": "supported"}), "has no claim 'zero-los' ("),
        (lambda run: run["claims"].pop("zero-loss"), "says nothing of claim 'zero-loss'"),
        (lambda run: run["metrics"].pop("training.mean_loss"), "nothing of training.mean_loss"),
        (lambda run: run["steps"][0].update(stage="spectrum"), "has no stage 'spectrum'"),
        (lambda run: run["steps"][0].update(seconds=-1.0), "a seed or a time is negative"),
        (lambda run: run["machine"].update(processor=""), "not say which machine it is of"),
    ],
)
def test_a_run_that_would_not_have_been_recorded_here_is_refused(
    library: Library,
    manifest: FigureManifest,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
    told: str,
) -> None:
    ours = write_runs(manifest, SMOKE, [sound(9, "Intel Xeon")])
    good = foreign(tmp_path / "good.json", [sound(0)])
    path = foreign(tmp_path / "bad.json", [sound(3)])
    content = json.loads(path.read_text())
    change(content["runs"][0])
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError) as caught:
        merge_files(library, [good, path])
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: seed 3: ")
    assert told in line
    assert line.endswith("; record it there again, with the release that is here")
    assert recorded_runs(manifest, SMOKE) == ours


def test_a_run_whose_identities_do_not_hold_is_refused(tmp_path: Path) -> None:
    manifests = tmp_path / "manifests"
    shutil.copytree(MANIFESTS, manifests)
    path = manifests / "li2022" / "references" / "fig2.smoke.json"
    content = json.loads(path.read_text())
    content["runs"] = [*{run["seed"]: run for run in content["runs"]}.values()]  # of one machine
    for run in content["runs"]:
        run["machine"]["processor"] = "Zilog Z80"
    library = Library(manifests)
    identity = library.load("li2022/fig2").figure.identities[0]
    theirs = tmp_path / "theirs.json"
    theirs.write_text(json.dumps(content))
    (merge,) = merge_files(library, [theirs])  # what is recorded here would be taken
    assert len(merge.new) == len(content["runs"])
    content["runs"][4]["metrics"][identity.metric] = 2 * identity.at_most
    theirs.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=rf"seed 4: identity {identity.id}: violated; record it"):
        merge_files(library, [theirs])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"id": "li2022/fig8c"}, "is of li2022/fig8c (did you mean li2022/fig8"),
        ({"id": "li2022/fig1"}, "which no manifest here declares"),
        ({"profile": "huge"}, f"is at 'huge'; there are {', '.join(PROFILES)}"),
        ({"schema_version": 2}, "is damaged: schema_version"),
        ({"runs": 3}, "is damaged: runs"),
    ],
)
def test_a_file_of_something_else_is_one_line(
    library: Library, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    path = foreign(tmp_path / "f.json", [sound(0)], **changes)
    with pytest.raises(ReproError) as caught:
        merge_files(library, [path])
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: ")
    assert told in line


def test_a_file_that_is_not_there_says_what_would_be_one(library: Library, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No such file.*; recorded runs are what `repro record`"):
        merge_files(library, [tmp_path / "none.json"])


def test_ours_that_is_not_as_listed_is_listed_by_importing_it(
    library: Library, manifest: FigureManifest, tmp_path: Path
) -> None:
    runs = write_runs(manifest, SMOKE, [sound(0), sound(1)])
    path = manifest.references_path(SMOKE)
    recorded, listed = path.read_bytes(), path.with_name(sums.SUMS)
    for before in ("", f"{'0' * 64}  {path.name}\n"):
        listed.write_text(before)
        with pytest.raises(StoreError, match=f"`repro references import {path}` checks it and "):
            recorded_runs(manifest, SMOKE)
        (merge,) = merge_files(library, [path])
        merge.write()
        assert path.read_bytes() == recorded
        assert recorded_runs(manifest, SMOKE) == runs
    theirs = foreign(tmp_path / "theirs.json", runs)
    (tmp_path / sums.SUMS).write_text(f"{'0' * 64}  {theirs.name}\n")
    with pytest.raises(StoreError, match=f"^{theirs}: is not as listed"):
        merge_files(library, [theirs])
