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
from repro.errors import Interrupted, TrackingError
from repro.outcome.record import TRACKED, Run
from repro.outcome.tracking import _note, track
from repro.settings import Settings
from tests.fakes import (
    BOTH_STAGES,
    CLAIM,
    FIGURE,
    copy_manifests,
    record_of,
    recorded,
    settings_below,
)

# MLflow's own, about libraries it uses; ours are errors as everywhere.
pytestmark = [
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:sqlalchemy"),
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:pydantic"),
    pytest.mark.filterwarnings(r"ignore::ResourceWarning"),  # its database connections, at exit
]


@dataclass
class Tracked:
    settings: Settings
    run: Run
    run_id: str
    client: Any

    def rows(self) -> list[Any]:
        """All MLflow runs of the figure."""
        experiment = self.client.get_experiment_by_name(self.run.record.id)
        return list(self.client.search_runs([experiment.experiment_id]))

    def children(self) -> dict[str, Any]:
        return {
            row.data.tags["mlflow.runName"]: row
            for row in self.rows()
            if row.data.tags.get("mlflow.parentRunId") == self.run_id
        }

    def content(self) -> dict[str, Any]:
        """Everything that could double: runs, parameters, tags, metrics with their histories."""
        return {
            row.info.run_id: (
                row.data.params,
                row.data.tags,
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


def test_a_figure_is_an_experiment_and_a_step_a_child(tracked: Tracked) -> None:
    assert len(tracked.rows()) == 3
    assert set(tracked.children()) == {"training", "spectrum"}
    parent = tracked.client.get_run(tracked.run_id)
    assert parent.data.tags["mlflow.runName"] == "smoke seed 0"
    assert "mlflow.parentRunId" not in parent.data.tags
    for row in tracked.rows():
        assert row.info.status == "FINISHED"


def test_the_parent_holds_verdicts_and_numbers(tracked: Tracked) -> None:
    parent, record = tracked.client.get_run(tracked.run_id), tracked.run.record
    assert parent.data.params == {"profile": "smoke", "seed": "0", "device": "cpu"}
    assert parent.data.metrics == pytest.approx(dict(record.metrics), rel=0, abs=0)
    tags = parent.data.tags
    assert tags["figure"] == BOTH_STAGES
    assert (tags["verdict"], tags["status"]) == ("3 supported", "not recorded")
    assert tags["alternative"] == "none"
    assert tags["ssbrepro.digest"] == record.digest
    for claim in record.claims:
        assert tags[f"claim.{claim.id}"] == claim.verdict
    assert "| symmetric-spectrum | 0.05 | ≤ 0.25 | supported |" in tags["mlflow.note.content"]


def test_a_verdict_has_its_cause() -> None:
    claim = replace(CLAIM, verdict="inconclusive", cause="without power")
    assert "| zero-loss | 0.5 | ≤ 0.1 | inconclusive: without power |" in _note(
        record_of(claims=(claim,))
    )


def test_a_child_holds_parameters_with_their_origin(tracked: Tracked) -> None:
    training = tracked.children()["training"]
    assert training.data.params["num_examples"] == "112"
    assert training.data.params["cut_epochs"] == "[3]"
    assert training.data.tags["origin.num_examples"] == ("profile: sized for tests of the harness")
    assert training.data.tags["origin.momentum"].startswith("assumed: the usual value")
    assert training.data.tags["key"] == tracked.run.record.steps[0].key
    assert training.data.metrics["final_accuracy"] == 1.0
    assert training.data.metrics["seconds"] == 0.25


def test_curves_have_a_point_an_epoch(tracked: Tracked) -> None:
    children = tracked.children()
    history = tracked.client.get_metric_history(children["training"].info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [
        (0, 1.0), (1, 0.5), (2, 0.1), (3, 0.01), (4, 0.0),
    ]  # fmt: skip
    history = tracked.client.get_metric_history(children["spectrum"].info.run_id, "asymmetry")
    assert [(point.step, point.value) for point in history] == [(0, 0.05), (2, 0.02)]


def test_artifacts_are_the_files_of_the_run(tracked: Tracked) -> None:
    def artifacts(run_id: str) -> dict[str, bytes]:
        # Below the home, not wherever the command was started.
        folder = tracked.settings.artifacts / BOTH_STAGES / run_id / "artifacts"
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
        patched.setattr("repro.outcome.tracking._log_step", breaks)
        with pytest.raises(TrackingError, match="gone"):
            track(run, tracked.settings)
    assert not (run.folder / TRACKED).exists()
    track(run, tracked.settings)
    sent = [
        row
        for row in tracked.rows()
        if row.data.tags["ssbrepro.digest"].startswith(run.record.digest)
    ]
    assert len(sent) == 3
    assert {row.info.status for row in sent} == {"FINISHED"}


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
    assert set(json.loads((run.folder / TRACKED).read_text())) == {"mlflow.db"}


@pytest.mark.parametrize("ending", [Interrupted(2), KeyboardInterrupt()])
def test_ctrl_c_while_sending_is_no_matter_of_tracking(
    tracked: Tracked, monkeypatch: pytest.MonkeyPatch, ending: BaseException
) -> None:
    def interrupted(*arguments: object) -> str:
        raise ending

    run = recorded(tracked.settings, FIGURE, seed=7)
    monkeypatch.setattr("repro.outcome.tracking._send", interrupted)
    with pytest.raises(type(ending)):
        track(run, tracked.settings)


def test_an_alternative_is_another_run_and_says_which(tracked: Tracked) -> None:
    run_id = track(recorded(tracked.settings, FIGURE, alternative="cut_factor=1"), tracked.settings)
    found = tracked.client.get_run(run_id)
    assert found.data.tags["alternative"] == "cut_factor=1.0"
    assert found.data.tags["mlflow.runName"] == "smoke seed 0, cut_factor=1.0"


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
        monkeypatch.setattr("repro.outcome.tracking._send", None)
        assert track(moved.run, moved.settings) == moved.run_id

    def test_a_copy_leaves_the_original_alone(self, tracked: Tracked, moved: Tracked) -> None:
        from mlflow.exceptions import MlflowException

        before = contents(tracked.settings.home)
        run = recorded(moved.settings, BOTH_STAGES, seed=11)
        run_id = track(run, moved.settings)
        artifact = moved.settings.artifacts / BOTH_STAGES / run_id / "artifacts" / "record.json"
        assert artifact.read_bytes() == (run.folder / "record.json").read_bytes()
        assert contents(tracked.settings.home) == before
        with pytest.raises(MlflowException, match=run_id):
            tracked.client.get_run(run_id)

    def test_a_record_from_another_home_is_sent_though_it_was_there(
        self, moved: Tracked, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files.write_json(moved.run.folder / TRACKED, {"mlflow.db": "0" * 32})
        assert track(moved.run, moved.settings) == moved.run_id
        # As is every record where the database has been deleted.
        (moved.settings.home / "mlflow.db").unlink()
        monkeypatch.setattr("repro.outcome.tracking._send", lambda run, settings: "anew")
        assert track(moved.run, moved.settings) == "anew"

    def test_a_home_of_version_0_1_becomes_movable(self, moved: Tracked) -> None:
        """That located artifacts by their paths, here of a home that is no more."""
        database = moved.settings.home / "mlflow.db"
        with contextlib.closing(sqlite3.connect(database)) as opened, opened:
            opened.executescript("""
                UPDATE runs SET artifact_uri =
                    replace(artifact_uri, 'mlflow-artifacts:/', 'file:///gone/home/artifacts/');
                UPDATE experiments SET artifact_location = 'file:///gone/home/artifacts/' || name;
                UPDATE experiments SET artifact_location = '/gone/checkout/mlruns/0'
                    WHERE experiment_id = 0;
                INSERT INTO experiments (experiment_id, name, artifact_location, workspace)
                    VALUES (99, 'own', 'file:///elsewhere', 'default');
            """)
            rows = "SELECT run_uuid, artifact_uri FROM runs"
            runs = dict(opened.execute(rows).fetchall())
        assert set(map(type, runs.values())) == {str}
        assert all(uri.startswith("file:///gone/home/artifacts/li2022/") for uri in runs.values())
        note = {"sqlite:////gone/home/mlflow.db": moved.run_id, "http://server": "there"}
        files.write_json(moved.run.folder / TRACKED, note)

        assert track(moved.run, moved.settings) == moved.run_id
        assert files.read_json(moved.run.folder / TRACKED) == {
            "http://server": "there", "mlflow.db": moved.run_id
        }  # fmt: skip
        with contextlib.closing(sqlite3.connect(database)) as opened:
            assert dict(opened.execute(rows).fetchall()) == {
                run_id: uri.replace("file:///gone/home/artifacts", "mlflow-artifacts:")
                for run_id, uri in runs.items()
            }
            locations = dict(
                opened.execute("SELECT name, artifact_location FROM experiments").fetchall()
            )
        assert locations.pop("Default") == "mlflow-artifacts:/0"
        assert locations.pop("own") == "file:///elsewhere"  # of somebody who uses the file too
        assert BOTH_STAGES in locations
        for name, location in locations.items():
            assert location == f"mlflow-artifacts:/{name}"
        for content in contents(moved.settings.home).values():
            assert b"/gone/" not in content

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
        assert files.read_json(run.folder / TRACKED) == {uri: run_id}
        assert (moved.settings.artifacts / FIGURE / run_id / "artifacts" / "record.json").exists()
        with contextlib.closing(sqlite3.connect(database)) as opened:
            assert opened.execute(default).fetchone() == ("/theirs/0",)


def contents(home: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
