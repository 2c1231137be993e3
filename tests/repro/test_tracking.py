"""Runs in MLflow: complete, the same however often they are sent, and never in a run's way."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from repro.errors import Interrupted, TrackingError
from repro.execution import run_plan
from repro.record import TRACKED, Run, record_run
from repro.settings import Settings
from repro.tracking import track
from tests.fakes import (
    BOTH_STAGES,
    FIGURE,
    FakeExecutor,
    Listener,
    copy_manifests,
    draw_a_pixel,
    plan_of,
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
        experiment = self.client.get_experiment_by_name(self.run.record["id"])
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


def recorded(
    settings: Settings, figure_id: str, seed: int = 0, alternative: str | None = None
) -> Run:
    plan = plan_of(figure_id, seed, manifests=settings.manifests)
    plan = plan if alternative is None else plan.with_alternative(alternative)
    outcomes = run_plan(plan, settings, FakeExecutor(), Listener())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("repro.record.draw", draw_a_pixel)
        return record_run(plan, outcomes, settings)


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
    assert parent.data.metrics == pytest.approx(dict(record["metrics"]), rel=0, abs=0)
    tags = parent.data.tags
    assert tags["figure"] == BOTH_STAGES
    assert (tags["verdict"], tags["status"]) == ("3 supported", "not recorded")
    assert tags["alternative"] == "none"
    assert tags["ssbrepro.digest"] == record["digest"]
    for claim in record["claims"]:
        assert tags[f"claim.{claim['id']}"] == claim["verdict"]
    assert "| symmetric-spectrum | 0.05 | ≤ 0.25 | supported |" in tags["mlflow.note.content"]


def test_a_child_holds_parameters_with_their_origin(tracked: Tracked) -> None:
    training = tracked.children()["training"]
    assert training.data.params["num_examples"] == "48"
    assert training.data.params["cut_epochs"] == "[3]"
    assert training.data.tags["origin.num_examples"] == ("profile: sized for tests of the harness")
    assert training.data.tags["origin.momentum"].startswith("assumed: the usual value")
    assert training.data.tags["key"] == tracked.run.record["steps"][0]["key"]
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


def test_artifacts_are_the_files_of_the_run(tracked: Tracked, tmp_path: Path) -> None:
    def names(run_id: str) -> set[str]:
        return {artifact.path for artifact in tracked.client.list_artifacts(run_id)}

    assert names(tracked.run_id) == {
        "fig8a.png", "fig8a.svg", "verdicts.json", "record.json", "manifest.json"
    }  # fmt: skip
    for child in tracked.children().values():
        assert names(child.info.run_id) == {"arrays.npz", "result.json"}
    # Below the home, not wherever the command was started.
    artifacts = tracked.settings.home / "artifacts"
    (record,) = artifacts.rglob("record.json")
    assert record.read_bytes() == (tracked.run.folder / "record.json").read_bytes()
    (manifest,) = artifacts.rglob("manifest.json")
    assert json.loads(manifest.read_text()) == json.loads(
        json.dumps(tracked.run.record["manifest"])
    )


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
        patched.setattr("repro.tracking._log_step", breaks)
        with pytest.raises(TrackingError, match="gone"):
            track(run, tracked.settings)
    assert not (run.folder / TRACKED).exists()
    track(run, tracked.settings)
    sent = [
        row
        for row in tracked.rows()
        if row.data.tags["ssbrepro.digest"].startswith(run.record["digest"])
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
    assert set(json.loads((run.folder / TRACKED).read_text())) == {tracked.settings.tracking_uri}


@pytest.mark.parametrize("ending", [Interrupted(2), KeyboardInterrupt()])
def test_ctrl_c_while_sending_is_no_matter_of_tracking(
    tracked: Tracked, monkeypatch: pytest.MonkeyPatch, ending: BaseException
) -> None:
    def interrupted(*arguments: object) -> str:
        raise ending

    run = recorded(tracked.settings, FIGURE, seed=7)
    monkeypatch.setattr("repro.tracking._send", interrupted)
    with pytest.raises(type(ending)):
        track(run, tracked.settings)


def test_an_alternative_is_another_run_and_says_which(tracked: Tracked) -> None:
    run_id = track(recorded(tracked.settings, FIGURE, alternative="cut_factor=1"), tracked.settings)
    found = tracked.client.get_run(run_id)
    assert found.data.tags["alternative"] == "cut_factor=1.0"
    assert found.data.tags["mlflow.runName"] == "smoke seed 0, cut_factor=1.0"
