"""Sends rows to MLflow, whose client is imported here alone."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from repro import files
from repro.errors import StoreError, TrackingError
from repro.outcome.record import TRACKED, Record, Run
from repro.outcome.tracking import notes, rows, views
from repro.outcome.tracking.database import ROOT, holds, make_movable, set_aside
from repro.outcome.tracking.deadline import within
from repro.outcome.tracking.rows import Row
from repro.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

LIMIT = 60.0  # seconds that a server may cost a run which only wants to be recorded
_LAYOUT = 2  # of what is sent; 1 had an experiment for each figure
_TRAINING = "custom_model_development"  # which of its pages MLflow opens an experiment with
_NOTE, _PARENT = "mlflow.note.content", "mlflow.parentRunId"
_MAX_METRICS, _MAX_OTHERS = 800, 100  # of one request, and no more than 1,000 of all
_SUPERSEDED = "Sent by an earlier release. What is sent now goes to the experiment **{}**."

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Sent:
    """Where a run was sent, with its MLflow run id there."""

    layout: int
    runs: dict[str, str]


def track(run: Run, settings: Settings, say: Say, limit: float | None = LIMIT) -> str:
    """Send a run to MLflow, unless that was done; returns its MLflow run id.

    Args:
        run: What to send.
        settings: Where to.
        say: Told if the home's own database was set aside.
        limit: Seconds that it may take; None for as long as it takes.

    Raises:
        TrackingError: If MLflow cannot be reached, refuses or does not end; nothing of ours is lost.
    """
    own = settings.own_database
    place = settings.tracking_uri if own is None else own.name
    path = run.folder / TRACKED
    sent = _sent(path)
    if place not in sent or (own is not None and not holds(own, sent[place])):
        with _as_tracking_error(settings):
            sent[place] = within(limit, lambda: _send(run, settings, say))
        files.write_json(path, {"layout": _LAYOUT, "runs": sent})
    return sent[place]


def prepare(settings: Settings, say: Say) -> None:
    """Set the home's own database aside if this release cannot go on with it.

    Raises:
        TrackingError: If it cannot be read.
    """
    if settings.own_database is not None:
        with _as_tracking_error(settings), _locked(settings):
            _make_room(settings, say)


def pages(settings: Settings) -> dict[str, str]:
    """Where a server of an SQLite file shows each paper's verdicts, relative to its own address.

    Raises:
        TrackingError: If the file cannot be read.
    """
    with _as_tracking_error(settings), _locked(settings):
        client = _local_client(settings)
        return {
            found.name: views.address(found.experiment_id, views.VERDICTS)
            for found in client.search_experiments(order_by=["name"])
            if views.has_verdicts(found.tags)
        }


@contextlib.contextmanager
def _as_tracking_error(settings: Settings) -> Iterator[None]:
    """Make one line of whatever goes wrong, from name resolution to a full disk on the server.

    Raises:
        TrackingError: If anything does.
    """
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise TrackingError(f"MLflow at {settings.tracking_uri}: {reason}") from error


@contextlib.contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """No other process of ours at an SQLite file: two that both create its tables would break it."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.home / "mlflow.lock"):
        yield


def _sent(path: Path) -> dict[str, str]:
    try:
        noted = files.read_as(path, _Sent)
    except StoreError:  # none, or damaged, or an earlier release's: sending again changes nothing
        return {}
    return noted.runs if noted.layout == _LAYOUT else {}


def _send(run: Run, settings: Settings, say: Say) -> str:
    _configure()
    from mlflow import MlflowClient

    if not settings.local_tracking:
        return _log(MlflowClient(settings.tracking_uri), run, None)
    with _locked(settings):
        _make_room(settings, say)
        client = _local_client(settings)
        if settings.own_database is not None:
            make_movable(settings.own_database)
        return _log(client, run, ROOT)


def _configure() -> None:
    """Settle what MLflow reads when it is imported."""
    for name, value in {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # The address a container knows the server by is of no use to a browser.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",  # not each table it creates
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }.items():
        os.environ.setdefault(name, value)


def _make_room(settings: Settings, say: Say) -> None:
    """Set the home's own database aside if this release cannot go on with it."""
    database = settings.own_database
    if database is None or not database.exists():
        return
    _configure()
    done = set_aside(database, _schema_revision())
    if done is not None:
        aside, reason = done
        say(f"{database} {reason}: set aside as {aside.name}; `repro track` fills a new one")


@functools.cache
def _schema_revision() -> str:
    """Of the databases that the MLflow which is installed works with; it refuses any other."""
    from alembic.script import ScriptDirectory
    from mlflow.store import db_migrations

    (scripts,) = db_migrations.__path__
    return str(ScriptDirectory(scripts).get_current_head())


def _local_client(settings: Settings) -> "MlflowClient":
    """A client of an SQLite file that writes artifacts to where ``repro ui`` serves them from.

    MLflow's own client would hand artifacts located below ``ROOT`` to a server, and none need run.
    """
    _configure()
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    @functools.lru_cache(maxsize=1)  # a run's files are sent one after the other
    def repository(client: MlflowClient, run_id: str) -> "ArtifactRepository":
        location = client.get_run(run_id).info.artifact_uri
        return get_artifact_repository(location.replace(ROOT, f"{settings.artifacts.as_uri()}/"))

    class LocalClient(MlflowClient):
        def log_artifact(
            self, run_id: str, local_path: str, artifact_path: str | None = None
        ) -> None:
            repository(self, run_id).log_artifact(local_path, artifact_path)

    return LocalClient(settings.tracking_uri)


def _log(client: "MlflowClient", run: Run, artifact_root: str | None) -> str:
    record = run.record
    experiment = _experiment(client, record, artifact_root)
    figure, steps = rows.figure_row(run), rows.step_rows(run)
    own = {figure.digest, *(row.digest for row in steps)}
    query = f"tags.`{rows.DIGEST}` LIKE '{figure.digest}%'"
    begun = {}
    for found in client.search_runs([experiment], query):
        digest = found.data.tags[rows.DIGEST]
        if digest not in own:  # the query's pattern matches more, if a record's digest is none
            continue
        if found.data.tags.get("recorded_at") == record.recorded_at:
            begun[digest] = str(found.info.run_id)
        else:  # what was computed afresh took the place of the record that this is of
            client.delete_run(found.info.run_id)

    def run_of(row: Row, parent: str | None = None) -> str:
        """The MLflow run with this row's digest: the one an earlier attempt began, or a new one."""
        if row.digest in begun:
            return begun[row.digest]
        tags = {name: row.tags[name] for name in (rows.DIGEST, "recorded_at")}
        tags |= {} if parent is None else {_PARENT: parent}
        return str(client.create_run(experiment, row.started, tags, row.name).info.run_id)

    run_id = run_of(figure)
    _fill(client, run_id, figure, {_NOTE: notes.of_figure(record, experiment, run_id)})
    for row, step in zip(steps, record.steps, strict=True):
        _fill(client, run_of(row, run_id), row, {_NOTE: notes.of_step(record, step.stage)})
    return run_id


def _experiment(client: "MlflowClient", record: Record, artifact_root: str | None) -> str:
    """The id of the paper's experiment, with the views that the run is in."""
    name = rows.paper(record)
    found = client.get_experiment_by_name(name) or _new_experiment(client, record, artifact_root)
    if found.lifecycle_stage == "deleted":  # by somebody who now asks for it again
        client.restore_experiment(found.experiment_id)
    for tag, value in views.of_run(record).items():
        if found.tags.get(tag) != value:
            client.set_experiment_tag(found.experiment_id, tag, value)
    return str(found.experiment_id)


def _new_experiment(
    client: "MlflowClient", record: Record, artifact_root: str | None
) -> "Experiment":
    name = rows.paper(record)
    location = None if artifact_root is None else f"{artifact_root}{name}"
    tags = {"mlflow.experimentKind": _TRAINING, "identifier": record.declared().paper.identifier}
    experiment = str(client.create_experiment(name, location, tags))
    note = notes.of_paper(record.declared().paper, experiment)
    client.set_experiment_tag(experiment, _NOTE, note)
    for former in client.search_experiments(filter_string=f"name LIKE '{name}/%'"):
        if _NOTE not in former.tags:
            client.set_experiment_tag(former.experiment_id, _NOTE, _SUPERSEDED.format(name))
    return client.get_experiment(experiment)


def _fill(client: "MlflowClient", run_id: str, row: Row, tags: dict[str, str]) -> None:
    """Everything of a row, in requests within MLflow's limits."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

    metrics = [Metric(name, value, row.ended, 0) for name, value in row.metrics.items()]
    metrics += [
        Metric(name, value, row.ended, int(epoch))
        for name, curve in row.curves.items()
        for epoch, value in zip(curve.epochs, curve.values, strict=True)
    ]
    parameters = [Param(name, value) for name, value in row.parameters.items()]
    others = [RunTag(name, value) for name, value in {**row.tags, **tags}.items()]
    while metrics or parameters or others:
        client.log_batch(
            run_id, metrics[:_MAX_METRICS], parameters[:_MAX_OTHERS], others[:_MAX_OTHERS]
        )
        metrics, parameters = metrics[_MAX_METRICS:], parameters[_MAX_OTHERS:]
        others = others[_MAX_OTHERS:]
    if row.data:
        context = [InputTag("mlflow.data.context", "training")]
        data = [Dataset(name, digest, "local", "{}") for name, digest in row.data]
        client.log_inputs(run_id, [DatasetInput(one, context) for one in data])
    for path in row.files:
        client.log_artifact(run_id, str(path))
    for name, content in row.documents.items():
        client.log_dict(run_id, content, name)
    client.set_terminated(run_id, "FINISHED", row.ended)
