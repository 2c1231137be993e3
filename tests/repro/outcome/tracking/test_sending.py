"""Runs in MLflow: complete, the same however often they are sent, and never in a run's way."""

import contextlib
import json
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from repro import files
from repro.errors import TrackingError
from repro.outcome import tracking
from repro.outcome.record import TRACKED, Run
from repro.outcome.tracking import pages, prepare
from repro.settings import Settings
from tests.fakes import BOTH_STAGES, FIGURE, copy_manifests, recorded, settings_below

# MLflow's own, about libraries it uses; ours are errors as everywhere.
pytestmark = [
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:sqlalchemy"),
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:pydantic"),
    pytest.mark.filterwarnings(r"ignore::ResourceWarning"),  # its database connections, at exit
]


def track(run: Run, settings: Settings) -> str:
    """Send a run, in this process; that the database is set aside is a failure here."""

    def send(run: Run, known: str | None = None) -> str:
        return tracking.send(run, settings, pytest.fail, known)

    return tracking.track(run, settings, send)


@dataclass
class Tracked:
    settings: Settings
    run: Run
    run_id: str
    client: Any

    def rows(self) -> list[Any]:
        """All MLflow runs of the paper."""
        return list(self.client.search_runs([self.experiment().experiment_id]))

    def experiment(self) -> Any:
        return self.client.get_experiment_by_name("li2022")

    def of(self, run: Run) -> list[Any]:
        """The MLflow runs of a recorded run."""
        digest = run.record.digest
        return [row for row in self.rows() if row.data.tags["record"].startswith(digest)]

    def children(self) -> dict[str, Any]:
        return {
            row.data.tags["stage"]: row
            for row in self.rows()
            if row.data.tags.get("mlflow.parentRunId") == self.run_id
        }

    def content(self) -> dict[str, Any]:
        """Everything that could double: runs, parameters, tags, data, metrics with their histories."""
        return {
            row.info.run_id: (
                row.data.params,
                row.data.tags,
                [(one.dataset.name, one.dataset.digest) for one in row.inputs.dataset_inputs],
                (row.info.start_time, row.info.end_time),
                {
                    name: [
                        (point.step, point.timestamp, point.value)
                        for point in self.client.get_metric_history(row.info.run_id, name)
                    ]
                    for name in row.data.metrics
                },
            )
            for row in self.rows()
        }


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracked]:
    """One run sent to a database of its own; making that takes seconds, so once."""
    folder = tmp_path_factory.mktemp("tracking")
    settings = settings_below(folder, copy_manifests(folder / "manifests"))
    settings = replace(settings, tracking_uri=f"sqlite:///{settings.home}/mlflow.db")
    run = recorded(settings, BOTH_STAGES)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLFLOW_TRACKING_URI", settings.tracking_uri)
        run_id = track(run, settings)
        from mlflow import MlflowClient

        yield Tracked(settings, run, run_id, MlflowClient(settings.tracking_uri))


def test_a_paper_is_an_experiment_a_figure_a_run_and_a_step_a_child(tracked: Tracked) -> None:
    assert len(tracked.of(tracked.run)) == 3
    assert set(tracked.children()) == {"training", "spectrum"}
    parent = tracked.client.get_run(tracked.run_id)
    assert parent.info.run_name == "fig8a smoke seed 0"
    assert "mlflow.parentRunId" not in parent.data.tags
    for row in tracked.rows():
        assert row.info.status == "FINISHED"


def test_an_experiment_says_what_it_is_about(tracked: Tracked) -> None:
    tags = tracked.experiment().tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert tags["identifier"] == "arXiv:2201.07934"
    note = tags["mlflow.note.content"]
    assert note.startswith("Complexity from Adaptive-Symmetries Breaking: ")
    assert "](https://arxiv.org/abs/2201.07934)" in note
    view = json.loads(json.loads(tags["mlflow.sharedViewState.fig8a"])["state"])
    assert "tags.`fig8a/balanced-extremes`" in view["selectedColumns"]


def test_its_verdicts_have_an_address(tracked: Tracked) -> None:
    shown = "runs?workflowType=machine_learning&viewStateShareKey=verdicts"
    page = f"#/experiments/{tracked.experiment().experiment_id}/{shown}"
    assert pages(tracked.settings) == {"li2022": page}
    assert page in tracked.experiment().tags["mlflow.note.content"]


def test_the_parent_holds_verdicts_and_what_they_were_made_of(tracked: Tracked) -> None:
    parent, record = tracked.client.get_run(tracked.run_id), tracked.run.record
    assert parent.data.params == {
        "profile": "smoke", "seed": "0", "device": "cpu", "alternative": "none"
    }  # fmt: skip
    tags = parent.data.tags
    assert (tags["figure"], tags["profile"], tags["seed"]) == ("fig8a", "smoke", "0")
    assert (tags["verdict"], tags["status"]) == ("3 supported", "not recorded")
    assert tags["alternative"] == "none"
    assert tags["record"] == record.digest
    assert tags["mlflow.source.name"] == "repro run li2022/fig8a --profile smoke --seed 0"
    for claim in record.claims:
        assert tags[f"fig8a/{claim.id}"] == claim.verdict
    numbers = {"value": 0.05, "bound": 0.25, "chance": 0.1, "control": 0.5}
    for name, number in numbers.items():
        assert parent.data.metrics[f"fig8a/symmetric-spectrum.{name}"] == number
    assert "fig8a/balanced-extremes.control" not in parent.data.metrics
    assert parent.data.metrics["seconds"] == 0.5
    note = tags["mlflow.note.content"]
    assert "| symmetric-spectrum | supported | 0.05 | ≤ 0.25 | 0.1 | 0.5 |" in note
    assert f"![fig8a](get-artifact?path=fig8a.svg&run_uuid={tracked.run_id})" in note


def test_a_child_holds_parameters_with_their_origin(tracked: Tracked) -> None:
    training = tracked.children()["training"]
    assert training.info.run_name == "fig8a training seed 0"
    assert training.data.params["num_examples"] == "112"
    assert training.data.params["cut_epochs"] == "[3]"
    note = training.data.tags["mlflow.note.content"]
    assert "| num\\_examples | 112 | profile | sized for tests of the harness |" in note
    assert "| momentum | 0.9 | assumed | the usual value" in note
    assert training.data.tags["key"] == tracked.run.record.steps[0].key
    assert training.data.metrics["final_accuracy"] == 1.0
    assert training.data.metrics["seconds"] == 0.25


def test_a_step_has_the_times_at_which_it_ran(tracked: Tracked) -> None:
    for row in tracked.children().values():
        assert row.info.start_time == 1767323045250  # 2026-01-02T03:04:05.250Z
        assert row.info.end_time == 1767323045500


def test_a_dataset_is_one_however_many_runs_read_it(tracked: Tracked) -> None:
    run = recorded(tracked.settings, BOTH_STAGES, seed=3)
    rows = [*tracked.of(tracked.run)]
    track(run, tracked.settings)
    rows += tracked.of(run)
    assert len(rows) == 6
    for row in rows:
        (data,) = row.inputs.dataset_inputs
        assert data.dataset.name == "cifar-10-python"
        assert data.dataset.digest == "md5:c58f30108f718f92721af3b95e74349a"
    with contextlib.closing(sqlite3.connect(tracked.settings.home / "mlflow.db")) as opened:
        assert opened.execute("SELECT count(*) FROM datasets").fetchone() == (1,)


def test_curves_have_a_point_an_epoch(tracked: Tracked) -> None:
    children = tracked.children()
    history = tracked.client.get_metric_history(children["training"].info.run_id, "curves/loss")
    assert [(point.step, point.value) for point in history] == [
        (0, 1.0), (1, 0.5), (2, 0.1), (3, 0.01), (4, 0.0),
    ]  # fmt: skip
    history = tracked.client.get_metric_history(
        children["spectrum"].info.run_id, "curves/asymmetry"
    )
    assert [(point.step, point.value) for point in history] == [(0, 0.05), (2, 0.02)]


def test_artifacts_are_the_files_of_the_run(tracked: Tracked) -> None:
    def artifacts(run_id: str) -> dict[str, bytes]:
        # Below the home, not wherever the command was started.
        folder = tracked.settings.artifacts / "li2022" / run_id / "artifacts"
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    sent = artifacts(tracked.run_id)
    manifest = json.loads(sent.pop("manifest.json"))
    assert manifest == json.loads(json.dumps(tracked.run.record.manifest))
    assert set(sent) == {"fig8a.png", "fig8a.svg", "verdicts.json", "record.json"}
    for name, content in sent.items():
        assert content == (tracked.run.folder / name).read_bytes()
    for step in tracked.run.record.steps:
        folder = tracked.run.step_folder(step)
        assert artifacts(tracked.children()[step.stage].info.run_id) == {
            name: (folder / name).read_bytes() for name in ("arrays.npz", "result.json")
        }


def test_sending_again_leaves_the_same_rows(tracked: Tracked) -> None:
    before = tracked.content()
    assert track(tracked.run, tracked.settings) == tracked.run_id
    assert tracked.content() == before
    # As after a failure that came between MLflow's answer and our note of it.
    (tracked.run.folder / TRACKED).unlink()
    assert track(tracked.run, tracked.settings) == tracked.run_id
    assert tracked.content() == before


def test_what_broke_off_half_way_is_completed(
    tracked: Tracked, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recorded(tracked.settings, BOTH_STAGES, seed=5)

    def breaks(*arguments: object, **named: object) -> None:
        raise ConnectionError("gone")

    with monkeypatch.context() as patched:
        patched.setattr("repro.outcome.tracking.notes.of_step", breaks)
        with pytest.raises(TrackingError, match="gone"):
            track(run, tracked.settings)
    assert not (run.folder / TRACKED).exists()
    track(run, tracked.settings)
    sent = tracked.of(run)
    assert len(sent) == 3
    assert {row.info.status for row in sent} == {"FINISHED"}


def test_what_is_computed_afresh_takes_the_place_of_the_record_it_replaces(
    tracked: Tracked,
) -> None:
    run = recorded(tracked.settings, FIGURE, seed=6)
    first = track(run, tracked.settings)
    (run.folder / TRACKED).unlink()  # as the new record's folder is
    anew = replace(run, record=replace(run.record, recorded_at="2026-01-03T00:00:00+00:00"))
    second = track(anew, tracked.settings)
    assert {row.info.run_id for row in tracked.of(run)} >= {second}
    assert len(tracked.of(run)) == 2
    assert first != second
    # A forged digest that is a pattern takes no other's place.
    before = len(tracked.rows())
    forged = replace(anew, record=replace(anew.record, digest="_"))
    (run.folder / TRACKED).unlink()
    track(forged, tracked.settings)
    assert len(tracked.rows()) == before + 2


def test_a_damaged_note_of_what_was_sent_is_no_failure(tracked: Tracked) -> None:
    path = tracked.run.folder / TRACKED
    before = tracked.content()
    for content in ("", "[]", "null"):
        path.write_text(content)
        assert track(tracked.run, tracked.settings) == tracked.run_id
    assert tracked.content() == before


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_that_is_not_there_is_one_line(tracked: Tracked) -> None:
    uri = f"http://127.0.0.1:{closed_port()}"
    run = recorded(tracked.settings, FIGURE)
    with pytest.raises(TrackingError) as caught:
        track(run, replace(tracked.settings, tracking_uri=uri))
    assert str(caught.value).startswith(f"MLflow at {uri}: ")
    assert len(str(caught.value).splitlines()) == 1
    assert not (run.folder / TRACKED).exists()
    # It is sent once a server is there.
    assert track(run, tracked.settings)
    assert set(json.loads((run.folder / TRACKED).read_text())["runs"]) == {"mlflow.db"}


def test_an_alternative_is_another_run_and_says_which(tracked: Tracked) -> None:
    run_id = track(recorded(tracked.settings, FIGURE, alternative="cut_factor=1"), tracked.settings)
    found = tracked.client.get_run(run_id)
    assert found.data.tags["alternative"] == "cut_factor=1.0"
    assert found.info.run_name == "fig8b smoke seed 0, cut_factor=1.0"


class TestMoving:
    """Copied or renamed, a home is whole where it now is, and has nothing to do with where it was."""

    @pytest.fixture
    def moved(self, tracked: Tracked, tmp_path: Path) -> Tracked:
        """A copy of the home, in a folder whose name is none for an address."""
        home = tmp_path / "für später, 100 % #2"
        shutil.copytree(tracked.settings.home, home)
        uri = f"sqlite:///{home}/mlflow.db"
        settings = replace(tracked.settings, home=home, tracking_uri=uri)
        folder = home / tracked.run.folder.relative_to(tracked.settings.home)
        return Tracked(settings, Run(home, folder, tracked.run.record), tracked.run_id, None)

    def test_a_home_says_nowhere_where_it_is(self, tracked: Tracked) -> None:
        for content in contents(tracked.settings.home).values():
            for place in (tracked.settings.home.parent, Path.cwd()):
                assert str(place).encode() not in content

    def test_what_was_sent_is_known_in_a_copy(
        self, moved: Tracked, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("repro.outcome.tracking.send", None)
        assert track(moved.run, moved.settings) == moved.run_id

    def test_a_copy_leaves_the_original_alone(self, tracked: Tracked, moved: Tracked) -> None:
        from mlflow.exceptions import MlflowException

        before = contents(tracked.settings.home)
        run = recorded(moved.settings, BOTH_STAGES, seed=11)
        run_id = track(run, moved.settings)
        artifact = moved.settings.artifacts / "li2022" / run_id / "artifacts" / "record.json"
        assert artifact.read_bytes() == (run.folder / "record.json").read_bytes()
        assert contents(tracked.settings.home) == before
        with pytest.raises(MlflowException, match=run_id):
            tracked.client.get_run(run_id)

    def test_a_record_from_another_home_is_sent_though_it_was_there(
        self, moved: Tracked, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files.write_json(moved.run.folder / TRACKED, {"layout": 2, "runs": {"mlflow.db": "0" * 32}})
        assert track(moved.run, moved.settings) == moved.run_id
        # As is every record where the database has been deleted.
        (moved.settings.home / "mlflow.db").unlink()
        monkeypatch.setattr("repro.outcome.tracking.send", lambda *sent: "anew")
        assert track(moved.run, moved.settings) == "anew"

    @pytest.mark.parametrize(
        ("damage", "reason"),
        [
            ("UPDATE alembic_version SET version_num = '39d1c3be5f05'", "is of another version"),
            (
                "UPDATE tags SET key = 'ssbrepro.digest' WHERE key = 'record'",
                "has an experiment for each figure",
            ),
            (None, "is damaged"),
        ],
    )
    def test_a_database_that_is_of_no_use_is_set_aside_and_filled_anew(
        self, moved: Tracked, monkeypatch: pytest.MonkeyPatch, damage: str | None, reason: str
    ) -> None:
        database, said = moved.settings.home / "mlflow.db", list[str]()
        if damage is None:
            database.write_bytes(b"no database" * 999)
        else:
            with contextlib.closing(sqlite3.connect(database)) as opened, opened:
                opened.execute(damage)
        before = database.read_bytes()
        prepare(moved.settings, said.append)
        (line,) = said
        assert f"{database} {reason}" in line
        (aside,) = moved.settings.home.glob("mlflow.db.*")
        assert aside.name in line
        assert aside.read_bytes() == before
        assert not database.exists()
        prepare(moved.settings, pytest.fail)
        monkeypatch.setattr("repro.outcome.tracking.send", lambda *sent: "anew")
        assert track(moved.run, moved.settings) == "anew"

    def test_what_an_earlier_release_sent_is_sent_in_the_new_layout(self, moved: Tracked) -> None:
        """Where others may have sent too, their experiments stay, and say where to look now."""
        from mlflow import MlflowClient

        uri = f"sqlite:///{moved.settings.home}/theirs.db"
        (moved.settings.home / "mlflow.db").rename(moved.settings.home / "theirs.db")
        client, settings = MlflowClient(uri), replace(moved.settings, tracking_uri=uri)
        old = client.create_experiment("ssb2018/fig1")
        run = recorded(settings, "li2022/fig8b", seed=13)
        client.rename_experiment(client.get_experiment_by_name("li2022").experiment_id, "x")
        former = client.create_experiment("li2022/fig8b")
        files.write_json(run.folder / TRACKED, {uri: "0" * 32})  # as earlier releases noted it
        run_id = track(run, settings)
        assert client.get_experiment(client.get_run(run_id).info.experiment_id).name == "li2022"
        note = client.get_experiment(former).tags["mlflow.note.content"]
        assert "**li2022**" in note
        assert client.get_experiment(old).tags == {}
        assert files.read_json(run.folder / TRACKED) == {"layout": 2, "runs": {uri: run_id}}

    def test_a_deleted_experiment_is_restored(self, moved: Tracked) -> None:
        from mlflow import MlflowClient

        client = MlflowClient(moved.settings.tracking_uri)
        experiment = client.get_experiment_by_name("li2022").experiment_id
        client.delete_experiment(experiment)
        assert track(recorded(moved.settings, FIGURE, seed=14), moved.settings)
        assert client.get_experiment(experiment).lifecycle_stage == "active"

    def test_a_database_of_the_users_is_theirs(self, moved: Tracked, tmp_path: Path) -> None:
        """Wherever it is named to be, it does not move with the home and keeps what it holds."""
        database, uri = tmp_path / "theirs.db", f"sqlite:///{tmp_path}/theirs.db"
        (moved.settings.home / "mlflow.db").rename(database)
        default = "SELECT artifact_location FROM experiments WHERE experiment_id = 0"
        with contextlib.closing(sqlite3.connect(database)) as opened, opened:
            opened.execute(
                "UPDATE experiments SET artifact_location = '/theirs/0' WHERE experiment_id = 0"
            )
        run = recorded(moved.settings, FIGURE, seed=12)
        run_id = track(run, replace(moved.settings, tracking_uri=uri))
        assert files.read_json(run.folder / TRACKED) == {"layout": 2, "runs": {uri: run_id}}
        folder = moved.settings.artifacts / "li2022" / run_id / "artifacts"
        assert (folder / "record.json").exists()
        with contextlib.closing(sqlite3.connect(database)) as opened:
            assert opened.execute(default).fetchone() == ("/theirs/0",)


def contents(home: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
