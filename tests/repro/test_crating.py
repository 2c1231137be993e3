"""A crate: whole, true, checkable with the commands that check a home, or not there."""

import datetime
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from repro import files
from repro.crating import Crate, chosen_runs
from repro.errors import StoreError, UsageError
from repro.housekeeping import check
from repro.inventory import Home
from repro.manifests.library import Library
from repro.outcome.crate import METADATA
from repro.outcome.reading import all_runs
from repro.outcome.record import RECORD, Run
from repro.outcome.references import recorded_runs, write_runs
from repro.outcome.sums import SUMS
from repro.settings import Settings
from repro.store import ARRAYS, META, Store
from tests.fakes import (
    BOTH_STAGES,
    FIGURE,
    STARTED,
    contents,
    copy_two_figures,
    hidden,
    recorded,
    recorded_run_of,
    replace_once,
    settings_below,
    write_sealed,
)
from tests.repro.conftest import Cli


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two figures that share a stage, one of them with two seeds, of which the second was run first."""
    settings = settings_below(tmp_path, copy_two_figures(tmp_path / "manifests"))
    first = recorded(settings, FIGURE, seed=1).folder / RECORD
    write_sealed(first, files.read_json(first) | {"recorded_at": "2026-01-01T00:00:00+00:00"})
    recorded(settings, FIGURE)
    recorded(settings, BOTH_STAGES)
    return settings


def crate_of(settings: Settings, runs: Sequence[Run] | None = None) -> Path:
    folder = settings.home.parent / "crate"
    made = Crate(settings, all_runs(settings) if runs is None else runs)
    made.write(folder, lambda done, total: None)
    return folder


def graph_of(crate: Path) -> dict[str, dict[str, Any]]:
    entities = json.loads((crate / METADATA).read_text("utf-8"))["@graph"]
    found = {entity["@id"]: entity for entity in entities}
    assert len(found) == len(entities)
    return found


def references(value: Any) -> Iterator[str]:
    """What an entity refers to, without what types of others are defined by."""
    if isinstance(value, list):
        for one in value:
            yield from references(one)
    elif isinstance(value, dict):
        yield value["@id"]


def named(entity: dict[str, Any], name: str) -> list[str]:
    return list(references(entity.get(name, [])))


class TestWhatIsSaid:
    def test_what_is_recorded_goes_along_with_the_list_of_digests(self, tmp_path: Path) -> None:
        settings = settings_below(tmp_path, copy_two_figures(tmp_path / "manifests"))
        write_runs(Library(settings.manifests).load(FIGURE), "smoke", [recorded_run_of(3)])
        recorded(settings, FIGURE)
        crate = crate_of(settings)
        listed = graph_of(crate)[f"manifests/li2022/references/{SUMS}"]
        assert listed["encodingFormat"] == "text/plain"
        (run,) = recorded_runs(Library(crate / "manifests").load(FIGURE), "smoke")
        assert run.seed == 3

    def test_every_file_is_listed_with_its_size_and_digest(self, settings: Settings) -> None:
        crate = crate_of(settings)
        graph = graph_of(crate)
        listed = named(graph["./"], "hasPart")
        assert {*listed} == {*contents(crate)} - {METADATA}
        for place in listed:
            entity = graph[place]
            assert entity["@type"] == "File"
            assert entity["sha256"] == files.sha256(crate / place)
            assert int(entity["contentSize"]) == (crate / place).stat().st_size

    def test_what_is_referred_to_is_there(self, settings: Settings) -> None:
        graph = graph_of(crate_of(settings))
        for entity in graph.values():
            for name, value in entity.items():
                if name not in ("conformsTo", "additionalType"):
                    assert {*references(value)} <= graph.keys(), name
        assert named(graph["./"], "conformsTo")[0] in graph

    def test_steps_lead_to_results_and_these_to_verdicts(self, settings: Settings) -> None:
        (run,) = chosen_runs(settings, [BOTH_STAGES], None, None)
        graph = graph_of(crate_of(settings, [run]))
        training, spectrum = run.record.steps
        judged = graph[f"#{run.record.digest}"]
        actions = [graph[f"#{training.key}"], graph[f"#{spectrum.key}"], judged]
        assert named(graph["./"], "mentions") == [action["@id"] for action in actions]
        assert {action["@type"] for action in actions} == {"CreateAction"}
        assert {one for action in actions for one in named(action, "instrument")} == {"#ssbrepro"}

        arrays = f"store/{training.key}/{ARRAYS}"
        assert arrays in named(actions[0], "result")
        assert arrays in named(actions[1], "object")
        assert arrays in named(judged, "object")
        assert f"manifests/{BOTH_STAGES}.yaml" in named(actions[0], "object")
        data = next(graph[name] for name in named(actions[0], "object") if name.startswith("#data"))
        assert (data["name"], data["identifier"][:20]) == ("CIFAR-10", "cifar-10-python md5:")
        assert graph["#ssbrepro"]["softwareVersion"] == run.record.versions["ssbrepro"]

        numbers = {graph[name]["name"]: graph[name] for name in named(actions[1], "result")}
        assert numbers["spectrum.asymmetry_max"]["value"] == 0.05
        claims = {
            graph[name]["name"]: graph[name]
            for name in named(judged, "result")
            if graph[name]["@type"] == "PropertyValue"
        }
        assert len(claims) == len(run.record.claims) + len(run.record.identities)
        claim = claims["claim symmetric-spectrum"]
        assert (
            claim["propertyID"],
            claim["value"],
            claim["maxValue"],
            claim["valueReference"],
        ) == (
            "spectrum.asymmetry_max",
            0.05,
            0.25,
            "supported",
        )

    def test_times_are_those_that_were_kept(self, settings: Settings) -> None:
        store = Store(settings.home / "store")
        new, old = chosen_runs(settings, [FIGURE], None, [0, 1])
        # Results of earlier releases do not say when their step began.
        folder = store.folder(old.record.steps[0].key)
        meta = files.read_json(folder / META)
        del meta["started_at"], meta["digest"]
        files.write_json(folder / META, meta | {"digest": files.canonical_digest(meta)})
        graph = graph_of(crate_of(settings, [new, old]))
        step = graph[f"#{new.record.steps[0].key}"]
        started, ended = (
            datetime.datetime.fromisoformat(step[n]) for n in ("startTime", "endTime")
        )
        assert started == datetime.datetime.fromisoformat(STARTED)
        assert (ended - started).total_seconds() == 0.25
        assert not {"startTime", "endTime"} & graph[f"#{old.record.steps[0].key}"].keys()
        assert graph[f"#{old.record.digest}"]["endTime"] == old.record.recorded_at


class TestWhatIsWritten:
    def test_a_crate_is_a_home_that_is_whole(self, settings: Settings) -> None:
        crate = crate_of(settings)
        found = check(Home(crate), lambda done, total: None)
        assert (found.results, found.runs, found.damaged) == (3, 3, [])
        assert hidden(crate.parent) == []

    def test_nothing_is_replaced_and_nothing_left_half_done(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = settings.home.parent / "crate"
        folder.mkdir()
        made = Crate(settings, all_runs(settings))

        def arrive(done: int, total: int) -> None:
            (folder / "arrived").touch()

        with pytest.raises(StoreError, match="cannot be written: Directory not empty"):
            made.write(folder, arrive)
        assert [path.name for path in folder.iterdir()] == ["arrived"]
        assert hidden(folder.parent) == []

    def test_a_result_that_is_damaged_is_not_handed_on(self, settings: Settings) -> None:
        run = all_runs(settings)[0]
        made = Crate(settings, [run])
        (run.step_folder(run.record.steps[0]) / ARRAYS).write_bytes(b"damaged meanwhile")
        with pytest.raises(StoreError, match="is not what the run was made of"):
            made.write(settings.home.parent / "crate", lambda done, total: None)
        with pytest.raises(StoreError, match=f"does not match its digest; repro run {FIGURE} "):
            crate_of(settings)
        assert not (settings.home.parent / "crate").exists()

    def test_a_run_that_would_not_be_made_again_is_refused(self, settings: Settings) -> None:
        replace_once(settings.manifests / f"{FIGURE}.yaml", "at_most: 1.0e-3", "at_most: 1.0e-4")
        with pytest.raises(UsageError) as refused:
            crate_of(settings)
        assert str(refused.value).splitlines() == [
            f"{FIGURE} at smoke, seed {seed}: code, manifest or recorded runs have changed since it "
            f"was run; repro run {FIGURE} --profile smoke --seed {seed}"
            for seed in (1, 0)
        ]
        (run,) = chosen_runs(settings, [BOTH_STAGES], None, None)
        crate_of(settings, [run])

    def test_what_was_not_run_is_named(self, settings: Settings) -> None:
        assert [run.record.seed for run in chosen_runs(settings, [FIGURE], "smoke", None)] == [0]
        with pytest.raises(UsageError) as missing:
            chosen_runs(settings, [BOTH_STAGES, FIGURE], None, [0, 1, 7])
        assert str(missing.value).splitlines() == [
            f"not run here: repro run {BOTH_STAGES} --profile smoke --seed 1",
            f"not run here: repro run {BOTH_STAGES} --profile smoke --seed 7",
            f"not run here: repro run {FIGURE} --profile smoke --seed 7",
        ]
        with pytest.raises(UsageError, match=f"repro run {FIGURE} --profile desk --seed 0"):
            chosen_runs(settings, [FIGURE], "desk", None)


class TestCommand:
    def test_a_copy_of_the_crate_is_run_without_computing(
        self, repro: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert repro.call("run", BOTH_STAGES, FIGURE, "--profile", "smoke").status == 0
        crate = repro.home.parent / "crate"
        done = repro.call("export", "fig8a", "fig8b", "--crate", str(crate))
        assert (done.status, done.out) == (0, f"{crate}: 2 runs, 2 results\n")
        assert done.err.startswith("2 runs, 2 results: ")
        monkeypatch.setenv("SSBREPRO_HOME", str(crate))
        monkeypatch.setenv("SSBREPRO_MANIFESTS", str(crate / "manifests"))
        ran = len(repro.executor.ran)
        assert repro.call("store", "check").status == 0
        assert repro.call("run", "--all", "--profile", "smoke").status == 0
        assert len(repro.executor.ran) == ran

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("fig8a",), "not run here: repro run li2022/fig8a --seed 0"),
            ((), "name figures, or --all"),
            (("fig8b", "--all"), "not both: fig8b --all"),
            (("fig1",), "there is no run of what nothing computes"),
            (("fig8a", "--profile", "dest"), "no profile 'dest' (did you mean desk"),
        ],
    )
    def test_what_cannot_be_exported(
        self, repro: Cli, arguments: tuple[str, ...], message: str
    ) -> None:
        crate = repro.home.parent / "crate"
        done = repro.call("export", *arguments, "--crate", str(crate))
        assert done.status == 2
        assert message in done.err
        assert not crate.exists()

    def test_a_folder_that_is_not_empty_is_refused_at_once(self, repro: Cli) -> None:
        done = repro.call("export", "fig8a", "--crate", str(repro.manifests))
        assert (done.status, done.out) == (2, "")
        assert "is not empty, and nothing is replaced; name another folder" in done.err
