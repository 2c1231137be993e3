"""What is whole is told from what is not, and what is needed stays."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from repro import files
from repro.errors import ManifestError, UsageError
from repro.housekeeping import (
    PARTIAL,
    RESULT,
    RUN,
    SET_ASIDE,
    STATE,
    Checked,
    Waste,
    check,
    remove,
    wasted,
)
from repro.inventory import Home
from repro.machine import facts
from repro.manifests.library import FigureManifest, Library
from repro.needed import Needed, all_figures
from repro.outcome.record import RECORD
from repro.plan import Plan, Step, make_plan
from repro.settings import Settings
from repro.store import ARRAYS, META
from tests.fakes import (
    BOTH_STAGES,
    FIGURE,
    PROFILES,
    contents,
    copy_two_figures,
    hidden,
    plan_of,
    recorded,
    save_state,
    settings_below,
    store_steps,
    write_sealed,
)
from tests.faults import killed_at_each_call


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_two_figures(tmp_path_factory.mktemp("two") / "manifests")


@pytest.fixture(scope="module")
def figures(manifests: Path) -> list[FigureManifest]:
    return all_figures(Library(manifests))


@pytest.fixture(scope="module")
def needed(figures: list[FigureManifest]) -> Needed:
    return Needed(figures, PROFILES)


@pytest.fixture
def settings(tmp_path: Path, manifests: Path) -> Settings:
    return settings_below(tmp_path, manifests)


def of_old_code(step: Step) -> Step:
    """The same step as a module was before."""
    code = dict(step.parts["code"])
    code[min(code)] = "0" * 64
    parts = {**step.parts, "code": code}
    return replace(step, parts=parts, key=files.canonical_digest(parts))


def kinds(wastes: list[Waste]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for waste in wastes:
        found.setdefault(waste.kind, []).append(waste.path.name)
    return found


def quiet(done: int, total: int) -> None:
    """How far it is."""


class TestCheck:
    @pytest.fixture
    def full(self, settings: Settings) -> Settings:
        recorded(settings, BOTH_STAGES)
        recorded(settings, FIGURE, seed=1)
        save_state(settings, plan_of(FIGURE, 7).steps[0], "epoch")
        return settings

    def test_a_home_that_is_whole(self, full: Settings) -> None:
        before, locks = contents(full.home), [*full.home.rglob("*.lock")]
        told: list[tuple[int, int]] = []
        found = check(Home(full.home), lambda done, total: told.append((done, total)))
        assert found == Checked(results=3, states=1, runs=2)
        assert contents(full.home) == before
        assert [*full.home.rglob("*.lock")] == locks
        assert told[-1][0] == told[-1][1] > 0

    def test_no_home_is_whole(self, settings: Settings) -> None:
        assert check(Home(settings.home), quiet) == Checked()
        assert not settings.home.exists()

    @pytest.mark.parametrize(
        ("pattern", "damage", "problem"),
        [
            ("store/*/arrays.npz", lambda data: data[:-1], "arrays.npz does not match its digest"),
            ("store/*/result.json", lambda data: data + b" ", "does not match its digest"),
            ("store/*/meta.json", lambda data: data[:50], "cannot be read"),
            ("scratch/*/epoch.npz", lambda data: data[:50], "not a zip file"),
            ("runs/*/*/*/record.json", lambda data: b"[]", "does not match its seal"),
            ("runs/*/*/*/*.svg", None, "is missing"),
            ("runs/*/*/*/*.png", lambda data: data + b" ", "does not match its digest"),
            ("runs/*/*/*/record.json", None, "is missing"),
        ],
    )
    def test_whatever_is_damaged_is_named_and_stays_as_it_is(
        self,
        full: Settings,
        pattern: str,
        damage: Callable[[bytes], bytes] | None,
        problem: str,
    ) -> None:
        path = min(full.home.glob(pattern))
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage(path.read_bytes()))
        before = contents(full.home)
        found = check(Home(full.home), quiet)
        (one,) = found.damaged
        assert str(path).startswith(one.path)
        assert problem in one.problem
        assert found.results + found.states + found.runs == 5
        assert contents(full.home) == before

    def test_a_run_whose_results_are_gone(self, full: Settings) -> None:
        step = plan_of(FIGURE, 1).steps[0]
        shutil.rmtree(full.home / "store" / step.key)
        (one,) = check(Home(full.home), quiet).damaged
        assert one.problem == "no result is stored of training"

    def test_what_is_not_looked_into(self, full: Settings) -> None:
        (run,) = full.home.glob(f"runs/{FIGURE}/*")
        files.write_json(run / RECORD, {"schema_version": 1})
        (full.home / "store" / "damaged" / "one").mkdir(parents=True)
        (full.home / "store" / ".one.01234567").mkdir()
        found = check(Home(full.home), quiet)
        assert found == Checked(
            results=3, states=1, runs=1, runs_of_another_release=1, set_aside=1, partial=1
        )

    def test_a_result_that_is_replaced_meanwhile_is_not_damaged(
        self, full: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = Home(full.home)
        answers = iter(["no such file", None, None, None])
        monkeypatch.setattr(home.store, "problem", lambda key: next(answers))
        assert check(home, quiet).damaged == []


class TestNeeded:
    def test_every_machine_profile_seed_and_alternative(
        self, settings: Settings, figures: list[FigureManifest], needed: Needed
    ) -> None:
        elsewhere = replace(
            plan_of().facts, threads=3, architecture="aarch64", libraries={"torch": "1"}
        )
        gpu = replace(elsewhere, device="cuda", gpu={"model": "H200", "driver": "1.2"})
        plans = [
            plan
            for figure in figures
            for profile, seed, facts in zip(
                PROFILES[:3], (0, 5, 10**17), (plan_of().facts, elsewhere, gpu), strict=True
            )
            for declared in [make_plan(figure, profile, seed, facts)]
            for plan in (declared, *map(declared.with_alternative, figure.alternatives()))
        ]
        store_steps(settings, {step.key: step for plan in plans for step in plan.steps}.values())
        assert wasted(Home(settings.home), needed, replaced_runs=True) == []

    @pytest.mark.parametrize(
        "change",
        [
            lambda parts: parts["code"].popitem(),
            lambda parts: parts["code"].update(new="0"),
            lambda parts: parts["parameters"].update(num_epochs=5),
            lambda parts: parts.update(data="0" * 64),
            lambda parts: parts.update(stage="li2022/surfaces"),
            lambda parts: parts.pop("seed"),
            lambda parts: parts.pop("threads"),
            lambda parts: parts.update(more="facts"),
            lambda parts: parts["inputs"].update(training="0" * 64),
        ],
    )
    def test_whatever_else_is_different_is_not_needed(
        self, settings: Settings, needed: Needed, change: Callable[[dict[str, Any]], Any]
    ) -> None:
        step = plan_of(FIGURE).steps[0]
        parts = json.loads(json.dumps(step.parts))
        change(parts)
        old = replace(step, parts=parts, key=files.canonical_digest(parts))
        store_steps(settings, [step, old])
        assert kinds(wasted(Home(settings.home), needed, False)) == {RESULT: [old.key]}

    def test_no_manifests_are_a_wrong_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no manifests below"):
            all_figures(Library(tmp_path))

    def test_a_manifest_with_a_fault_asks_for_nobody_knows_what(self, tmp_path: Path) -> None:
        folder = copy_two_figures(tmp_path / "manifests")
        (folder / "li2022" / "fig8b.yaml").write_text("kind: figure\n")
        with pytest.raises(ManifestError):
            all_figures(Library(folder))


class TestWasted:
    def test_results_of_other_code_and_what_nobody_continues_from(
        self, settings: Settings, needed: Needed
    ) -> None:
        kept, finished = plan_of(FIGURE, 1).steps[0], plan_of(FIGURE, 2).steps[0]
        old, unfinished = of_old_code(kept), of_old_code(finished)
        store_steps(settings, [kept, finished, old])
        for step in (finished, unfinished, plan_of(FIGURE, 3).steps[0]):
            save_state(settings, step, "epoch")
        found = wasted(Home(settings.home), needed, False)
        assert kinds(found) == {RESULT: [old.key], STATE: sorted([finished.key, unfinished.key])}
        sizes = {waste.path.name: waste.size for waste in found if waste.kind == RESULT}
        assert sizes[old.key] == sum(map(len, contents(settings.home / "store" / old.key).values()))

    def test_what_a_run_names_stays_with_it(
        self, settings: Settings, figures: list[FigureManifest]
    ) -> None:
        other = Needed([one for one in figures if one.id != BOTH_STAGES], PROFILES)
        run = recorded(settings, BOTH_STAGES)
        assert wasted(Home(settings.home), other, False) == []
        shutil.rmtree(run.folder)
        spectrum = run.record.steps[1]
        assert kinds(wasted(Home(settings.home), other, False)) == {RESULT: [spectrum.key]}

    def test_runs_that_later_ones_replaced(self, settings: Settings, needed: Needed) -> None:
        step = of_old_code(plan_of(FIGURE).steps[0])
        store_steps(settings, [step])
        recorded(settings, FIGURE)
        old = as_recorded_earlier(settings, step.key)
        recorded(settings, FIGURE, seed=1)
        home = Home(settings.home)
        assert wasted(home, needed, replaced_runs=False) == []
        record = files.read_json(old / RECORD)
        elsewhere = record | {"machine": record["machine"] | {"processor": "another"}}
        write_sealed(old / RECORD, elsewhere)
        assert wasted(home, needed, replaced_runs=True) == []
        write_sealed(old / RECORD, record)
        found = wasted(home, needed, replaced_runs=True)
        assert kinds(found) == {RUN: [old.name], RESULT: [step.key]}
        assert remove(home, found) == found
        assert len(home.runs()) == 2
        assert check(home, quiet) == Checked(results=2, runs=2)

    def test_what_cannot_be_told_stays(self, settings: Settings, needed: Needed) -> None:
        step, other = (of_old_code(plan_of(FIGURE, seed).steps[0]) for seed in (1, 2))
        store_steps(settings, [step])
        (settings.home / "store" / step.key / META).write_text("{")
        (save_state(settings, other, "epoch").parent / "task.json").unlink()
        assert wasted(Home(settings.home), needed, True) == []

    def test_a_state_that_a_damaged_result_needs_again_stays(
        self, settings: Settings, needed: Needed
    ) -> None:
        step = plan_of(FIGURE).steps[0]
        store_steps(settings, [step])
        save_state(settings, step, "epoch")
        (settings.home / "store" / step.key / ARRAYS).write_bytes(b"")
        assert wasted(Home(settings.home), needed, False) == []

    def test_what_was_set_aside_and_what_killed_processes_left(
        self, settings: Settings, needed: Needed
    ) -> None:
        run = recorded(settings, FIGURE)
        names = [
            f"store/.{'1' * 64}.01234567",
            "store/.import.01234567",
            f"scratch/.{'2' * 64}.01234567",
            "runs/.import.01234567",
            f"runs/{FIGURE}/.{run.folder.name}.01234567",
            f"runs/{FIGURE}/.smoke-seed9-0123456789ab.01234567",
        ]
        aside = [f"store/damaged/{'3' * 64}.12345", f"store/damaged/.{'4' * 64}.12345.01234567"]
        for name in (*names, *aside):
            (settings.home / name).mkdir(parents=True)
            (settings.home / name / "file").write_text("123")
        home = Home(settings.home)
        found = wasted(home, needed, False)
        assert {waste.path.relative_to(home.root).as_posix() for waste in found} == {*names, *aside}
        assert [waste.kind for waste in found] == [SET_ASIDE] * 2 + [PARTIAL] * 6
        assert {waste.size for waste in found} == {3}
        assert remove(home, found) == found
        assert hidden(home.root) == []
        assert check(home, quiet) == Checked(results=1, runs=1)

    def test_what_a_process_holds_stays(self, settings: Settings, needed: Needed) -> None:
        run = recorded(settings, FIGURE)
        step = of_old_code(plan_of(FIGURE, 1).steps[0])
        store_steps(settings, [step])
        partials = {
            f"store/.{step.key}.01234567": step.key,
            "store/.import.01234567": "import",
            f"runs/{FIGURE}/.{run.folder.name}.01234567": run.record.digest,
        }
        home = Home(settings.home)
        for name in partials:
            (home.root / name).mkdir(parents=True)
        found = wasted(home, needed, False)
        assert len(found) == 4
        for waste in found:
            with home.store.lock(waste.lock):
                assert waste not in remove(home, [waste])
            assert waste.path.exists()
        assert remove(home, found) == found

    def test_what_a_running_step_reads_stays(self, settings: Settings, needed: Needed) -> None:
        training, spectrum = map(of_old_code, plan_of(BOTH_STAGES).steps)
        store_steps(settings, [training])
        task = save_state(settings, spectrum, "checkpoint-0").parent / "task.json"
        content = json.loads(task.read_text())
        folder = settings.home / "store" / training.key
        files.write_json(task, content | {"inputs": {"training": {"folder": str(folder)}}})
        home = Home(settings.home)
        found = wasted(home, needed, False)
        assert kinds(found) == {RESULT: [training.key], STATE: [spectrum.key]}
        with home.store.lock(spectrum.key):
            assert remove(home, found) == []
        assert remove(home, found) == found


def as_recorded_earlier(settings: Settings, key: str) -> Path:
    """A second run beside the one that is recorded, of another result, and older."""
    (run,) = settings.home.glob(f"runs/{FIGURE}/*")
    record = files.read_json(run / RECORD)
    digest = "0" * 64
    record |= {"digest": digest, "recorded_at": "2020-01-01T00:00:00+00:00"}
    record["steps"][0]["key"] = key
    old = run.with_name(f"{run.name.rpartition('-')[0]}-{digest[:12]}")
    shutil.copytree(run, old)
    write_sealed(old / RECORD, record)
    return old


_PLANS = st.lists(
    st.tuples(
        st.sampled_from([FIGURE, BOTH_STAGES]),
        st.sampled_from(PROFILES),
        st.integers(0, 3),
        st.sampled_from([1, 2, 8]),
        st.integers(0, 2),
    ),
    max_size=4,
)


@settings_of_hypothesis(max_examples=30)  # a millisecond for each file
@given(whole=_PLANS, begun=_PLANS, old=_PLANS, replaced_runs=st.booleans())
def test_every_figure_that_was_stored_still_is(
    tmp_path_factory: pytest.TempPathFactory,
    manifests: Path,
    figures: list[FigureManifest],
    needed: Needed,
    whole: list[tuple[str, str, int, int, int]],
    begun: list[tuple[str, str, int, int, int]],
    old: list[tuple[str, str, int, int, int]],
    replaced_runs: bool,
) -> None:
    by_id = {figure.id: figure for figure in figures}
    here = facts("cpu")

    def plan(figure: str, profile: str, seed: int, threads: int, alternative: int) -> Plan:
        manifest = by_id[figure]
        labels = [*manifest.alternatives()]
        if alternative:
            manifest = manifest.with_alternative(labels[alternative % len(labels)])
        return make_plan(manifest, profile, seed, replace(here, threads=threads))

    settings = settings_below(tmp_path_factory.mktemp("example"), manifests)
    plans = [plan(*one) for one in whole]
    store_steps(settings, (step for one in plans for step in one.steps))
    for one in (plan(*one) for one in begun):
        store_steps(settings, one.steps[:-1])
        save_state(settings, one.steps[-1], "epoch")
    junk = [of_old_code(step) for one in old for step in plan(*one).steps]
    store_steps(settings, junk)
    home = Home(settings.home)
    states = {key for key in home.scratches() if not home.store.has(key)}
    before = {*home.results()}

    remove(home, wasted(home, needed, replaced_runs))

    assert all(home.store.problem(step.key) is None for one in plans for step in one.steps)
    assert {*home.results()} == before - {step.key for step in junk}
    assert {*home.scratches()} == states
    assert wasted(home, needed, True) == []


def test_a_result_that_is_being_removed_is_whole_or_gone(
    settings: Settings, needed: Needed, tmp_path: Path
) -> None:
    store_steps(settings, plan_of(BOTH_STAGES).steps)
    home = Home(settings.home)
    whole = {key: contents(home.store.folder(key)) for key in home.results()}

    def attempt(root: Path) -> None:
        remove(home, [Waste(RESULT, home.store.folder(key), key, 1) for key in whole])

    removing = 0
    for root in killed_at_each_call(attempt, settings.home):
        left = Home(root)
        removing += len(left.partials())
        for key in left.results():
            assert contents(left.store.folder(key)) in (whole[key], {})
        remove(left, wasted(left, needed, False))
        assert hidden(root) == []
    assert removing
