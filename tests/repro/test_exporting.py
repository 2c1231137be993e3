"""What is carried: all that is whole, or what figures need of it, as it was at one moment."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from repro import exporting, files
from repro.archive import opened
from repro.errors import StoreError, UsageError
from repro.exporting import Exported, Selection, export
from repro.inventory import Home
from repro.manifests.library import Library
from repro.needed import Needed
from repro.plan import Plan, make_plan
from repro.settings import Settings
from repro.store import ARRAYS, META, RESULT, Store
from tests.fakes import (
    BOTH_STAGES,
    FIGURE,
    PROFILES,
    contents,
    hidden,
    plan_of,
    recorded,
    save_state,
    settings_below,
    store_steps,
)
from tests.faults import killed_at_each_call


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with two runs and a step that is not finished."""
    settings = settings_below(tmp_path)
    recorded(settings, FIGURE, seed=1)
    recorded(settings, BOTH_STAGES)
    save_state(settings, plan_of(FIGURE, seed=7).steps[0], "epoch")
    return settings


def exported(settings: Settings, selection: Selection | None = None) -> tuple[Exported, set[str]]:
    """What is said, and the folders that are carried."""
    path = settings.home.parent / "export.zip"
    done = export(path, Home(settings.home), selection, lambda done, total: None)
    with opened(path) as found:
        return done, {entry.path.rpartition("/")[0] for entry in found.entries}


def keys(plan: Plan) -> set[str]:
    return {f"store/{step.key}" for step in plan.steps}


def of(
    settings: Settings,
    *ids: str,
    profiles: Sequence[str] = PROFILES,
    seeds: Sequence[int] | None = None,
) -> Selection:
    library = Library(settings.manifests)
    return Selection(Needed(map(library.load, ids), profiles), seeds)


def test_all_is_carried_and_nothing_changes(settings: Settings) -> None:
    before = contents(settings.home)
    locks = [*settings.home.rglob("*.lock")]
    done, folders = exported(settings)
    assert done == Exported(
        (settings.home.parent / "export.zip").stat().st_size, results=3, steps=1, runs=2
    )
    runs = {path.relative_to(settings.home).as_posix() for path in settings.home.glob("runs/*/*/*")}
    state = f"scratch/{plan_of(FIGURE, seed=7).steps[0].key}"
    assert folders == keys(plan_of(FIGURE, 1)) | keys(plan_of(BOTH_STAGES)) | runs | {state}
    assert contents(settings.home) == before
    assert [*settings.home.rglob("*.lock")] == locks


def test_a_note_of_where_a_run_was_sent_stays_here(settings: Settings) -> None:
    for run in settings.home.glob("runs/*/*/*"):
        (run / "tracked.json").write_text("{}")
    exported(settings)
    with opened(settings.home.parent / "export.zip") as found:
        assert not [entry for entry in found.entries if "tracked" in entry.path]


def test_figures_are_carried_with_all_that_is_here_of_them(settings: Settings) -> None:
    """Their alternatives, and what other machines computed."""
    manifest = Library(settings.manifests).load(FIGURE)
    other = make_plan(manifest, "desk", 4, replace(plan_of().facts, threads=3))
    alternative = plan_of(FIGURE, 2).with_alternative(next(iter(manifest.alternatives())))
    for plan in (other, alternative):
        store_steps(settings, plan.steps)
    done, folders = exported(settings, of(settings, FIGURE))
    # fig8a needs fig8b's one stage, and has one more.
    shared = keys(plan_of(FIGURE))
    assert shared < keys(plan_of(BOTH_STAGES))
    assert {name for name in folders if name.startswith("store/")} == (
        keys(plan_of(FIGURE, 1)) | shared | keys(other) | keys(alternative)
    )
    assert {name.rpartition("/")[0] for name in folders if name.startswith("runs/")} == {
        f"runs/{FIGURE}"
    }
    assert (done.steps, done.damaged) == (1, [])


@pytest.mark.parametrize(
    ("profiles", "seeds", "found"),
    [
        (["smoke"], None, {1, 7}),
        (["desk"], None, {4}),
        (PROFILES, [1, 2], {1}),
        (PROFILES, range(4, 8), {4, 7}),
        (["desk"], [1], set()),
    ],
)
def test_of_a_figure_one_profile_or_some_seeds(
    tmp_path: Path, profiles: Sequence[str], seeds: Sequence[int] | None, found: set[int]
) -> None:
    settings = settings_below(tmp_path)
    recorded(settings, FIGURE, seed=1)
    store_steps(settings, plan_of(FIGURE, 4, "desk").steps)
    save_state(settings, plan_of(FIGURE, seed=7).steps[0], "epoch")
    of_seeds = {
        1: keys(plan_of(FIGURE, 1)),
        4: keys(plan_of(FIGURE, 4, "desk")),
        7: {f"scratch/{plan_of(FIGURE, seed=7).steps[0].key}"},
    }
    selection = of(settings, FIGURE, profiles=profiles, seeds=seeds)
    if not found:
        with pytest.raises(UsageError, match="holds nothing whole to export of these"):
            exported(settings, selection)
        assert not (settings.home.parent / "export.zip").exists()
        return
    _, folders = exported(settings, selection)
    folders = {name for name in folders if not name.startswith("runs/")}
    assert folders == set().union(*(of_seeds[seed] for seed in found))


def test_a_state_that_came_without_its_task_is_its_figures(settings: Settings) -> None:
    """As after an import: then the results here tell what machines there are."""
    step = plan_of(FIGURE, seed=1).steps[0]
    shutil.rmtree(settings.home / "store" / step.key)
    (save_state(settings, step, "epoch").parent / "task.json").unlink()
    _, folders = exported(settings, of(settings, FIGURE, seeds=[1, 7]))
    assert f"scratch/{step.key}" not in folders  # nothing else is of seed 1
    store_steps(settings, plan_of(FIGURE, 1, "desk").steps)
    _, folders = exported(settings, of(settings, FIGURE, seeds=[1, 7]))
    assert f"scratch/{step.key}" in folders


@pytest.mark.parametrize("name", [ARRAYS, META, RESULT])
def test_a_damaged_result_is_left_out_and_said(settings: Settings, name: str) -> None:
    folder = settings.home / "store" / plan_of(FIGURE, seed=1).steps[0].key
    (folder / name).write_bytes((folder / name).read_bytes()[:-2])
    done, folders = exported(settings)
    assert (done.results, done.steps, done.runs) == (2, 1, 2)
    (line,) = done.damaged
    assert line.startswith(f"{folder}")
    assert f"store/{folder.name}" not in folders


def test_the_state_of_a_step_whose_result_is_damaged_is_carried(settings: Settings) -> None:
    step = plan_of(FIGURE, seed=7).steps[0]
    store_steps(settings, [step])
    done, _ = exported(settings)
    assert done == Exported(done.size, results=4, steps=0, runs=2)
    (settings.home / "store" / step.key / ARRAYS).write_bytes(b"")
    done, _ = exported(settings)
    assert (done.results, done.steps) == (3, 1)


def test_a_damaged_state_and_a_damaged_run_are_left_out_and_said(settings: Settings) -> None:
    (state,) = settings.home.glob("scratch/*/*.npz")
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)
    (run,) = settings.home.glob(f"runs/{FIGURE}/*")
    (run / "fig8b.png").unlink()
    done, folders = exported(settings)
    assert (done.results, done.steps, done.runs) == (3, 0, 1)
    assert sorted(line.split(":")[0] for line in done.damaged) == [
        str(run / "fig8b.png"),
        str(state),
    ]
    assert not [name for name in folders if "scratch" in name or run.name in name]


def test_a_run_of_another_release_is_passed_over(settings: Settings) -> None:
    (run,) = settings.home.glob(f"runs/{FIGURE}/*")
    files.write_json(run / "record.json", {"schema_version": 1})
    done, _ = exported(settings)
    assert (done.runs, done.damaged) == (1, [])


def test_an_empty_home_is_one_line_and_no_file(tmp_path: Path) -> None:
    settings = settings_below(tmp_path)
    with pytest.raises(UsageError, match=r"holds nothing whole to export$"):
        exported(settings)
    assert [*tmp_path.iterdir()] == []


def test_states_are_those_of_one_moment(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that runs replaces one after the other: what was opened is opened again."""
    step = plan_of(FIGURE, seed=7).steps[0]
    save_state(settings, step, "checkpoint")
    listed: list[int] = []

    def states(home: Home, key: str) -> list[Path]:
        found = sorted(home.scratch(key).glob("*.npz"))
        listed.append(len(found))
        if len(listed) == 1:
            (home.scratch(key) / "checkpoint.npz").unlink()  # between the list and the opening
        if len(listed) == 2:
            for name in ("epoch", "later"):  # before the last is opened
                save_state(settings, step, name, 1.0)
        return found

    monkeypatch.setattr(Home, "states", states)
    _, folders = exported(settings)
    assert f"scratch/{step.key}" in folders
    with opened(settings.home.parent / "export.zip") as found:
        names = [
            entry.path.rpartition("/")[2] for entry in found.entries if "scratch" in entry.path
        ]
    assert names == ["epoch.npz", "later.npz"]


def test_a_state_that_is_replaced_is_opened_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bool] = []

    def samestat(one: object, other: object) -> bool:
        looked.append(len(looked) == 2)
        return looked[-1]

    monkeypatch.setattr(exporting.os.path, "samestat", samestat)
    exported(settings)
    assert looked == [False, False, True]
    monkeypatch.setattr(exporting.os.path, "samestat", lambda one, other: False)
    with pytest.raises(StoreError, match="changes all the time"):
        exported(settings)


def test_a_step_that_finishes_meanwhile_is_carried(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(FIGURE, seed=7)

    def states(home: Home, key: str) -> list[Path]:
        shutil.rmtree(home.scratch(key), ignore_errors=True)
        store_steps(settings, plan.steps)
        return []

    monkeypatch.setattr(Home, "states", states)
    done, folders = exported(settings)
    assert (done.results, done.steps) == (4, 0)
    assert keys(plan) < folders


def test_a_result_that_is_replaced_by_another_ends_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "problem", lambda store, key: None)
    key = plan_of(FIGURE, seed=1).steps[0].key
    (settings.home / "store" / key / ARRAYS).write_bytes(b"other")
    with pytest.raises(StoreError, match="changed meanwhile; the same command tries again"):
        exported(settings)
    assert not (settings.home.parent / "export.zip").exists()
    assert hidden(settings.home.parent) == []


def test_how_far_it_is_ends_at_the_whole(settings: Settings) -> None:
    told: list[tuple[int, int]] = []
    export(
        settings.home.parent / "export.zip",
        Home(settings.home),
        None,
        lambda done, total: told.append((done, total)),
    )
    assert all(done <= total for done, total in told)
    assert told[-1][0] > 0.95 * told[-1][1]  # a step's log and task are not carried


def test_an_export_that_is_killed_leaves_the_file_that_was_there_or_the_new_one(
    settings: Settings, tmp_path: Path
) -> None:
    home = Home(settings.home)
    exported(settings)
    whole = (settings.home.parent / "export.zip").read_bytes()
    before = contents(settings.home)

    def attempt(folder: Path) -> None:
        folder.mkdir()
        for _ in range(3):
            export(folder / "export.zip", home, None, lambda done, total: None)

    found = set()
    for folder in killed_at_each_call(attempt, tmp_path / "exports"):
        path = folder / "export.zip"
        found.add(path.exists())
        assert not path.exists() or path.read_bytes() == whole
        export(path, home, None, lambda done, total: None)
        assert [path.name for path in folder.iterdir()] == ["export.zip"]
    assert found == {True, False}
    assert contents(settings.home) == before
