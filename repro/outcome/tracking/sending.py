"""Sends rows to MLflow, through the client that ``connecting`` makes."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from filelock import FileLock

from repro.errors import TrackingError
from repro.outcome.record import Record, Run
from repro.outcome.tracking import notes, rows, views
from repro.outcome.tracking.connecting import as_tracking_error, connected, schema_revision
from repro.outcome.tracking.database import ROOT, make_movable, set_aside
from repro.outcome.tracking.rows import Row
from repro.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment
    from mlflow.entities import Run as MlflowRun

_TRAINING = "custom_model_development"  # which of its pages MLflow opens an experiment with
_NOTE, _PARENT = "mlflow.note.content", "mlflow.parentRunId"
_MAX_METRICS, _MAX_OTHERS = 800, 100  # of one request, and no more than 1,000 of all
_SUPERSEDED = "Sent by an earlier release. What is sent now goes to the experiment **{}**."
_ID = re.compile(r"[\w-]{1,64}")
_LOCK_SECONDS = 30.0  # more than a command takes to send one run

Say = Callable[[str], None]


def send(run: Run, settings: Settings, say: Say, known: str | None = None) -> str:
    """Send a run to MLflow, in this process; what is there already is completed.

    Args:
        run: What to send.
        settings: Where to.
        say: Told if the home's own database was set aside.
        known: The run's id there if it was sent before. If it is still whole there, that is all.

    Returns:
        Its MLflow run id.

    Raises:
        TrackingError: If MLflow cannot be reached, refuses, or keeps something else.
    """
    with as_tracking_error(settings), _locked(settings):
        _make_room(settings, say)
        client = connected(settings)
        if settings.own_database is not None:
            make_movable(settings.own_database)
        return _log(client, run, ROOT if settings.local_tracking else None, known)


def prepare(settings: Settings, say: Say) -> None:
    """Set the home's own database aside if this release cannot go on with it.

    Raises:
        TrackingError: If it cannot be read.
    """
    if settings.own_database is not None:
        with as_tracking_error(settings), _locked(settings):
            _make_room(settings, say)


def pages(settings: Settings) -> dict[str, str]:
    """Where a server of an SQLite file shows each paper's verdicts, relative to its own address.

    Raises:
        TrackingError: If the file cannot be read.
    """
    with as_tracking_error(settings), _locked(settings):
        client = connected(settings)
        return {
            found.name: views.address(found.experiment_id, views.VERDICTS)
            for found in client.search_experiments(order_by=["name"])
            if views.has_verdicts(found.tags)
        }


@contextlib.contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """No other process of ours sends this home's runs: both would begin what neither has found.

    Two that both create an SQLite file's tables would break it, too.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.home / "mlflow.lock", timeout=_LOCK_SECONDS):
        yield


def _make_room(settings: Settings, say: Say) -> None:
    """Set the home's own database aside if this release cannot go on with it."""
    database = settings.own_database
    if database is None or not database.exists():
        return
    done = set_aside(database, schema_revision())
    if done is not None:
        aside, reason = done
        say(f"{database} {reason}: set aside as {aside.name}; `repro track` fills a new one")


def _log(client: "MlflowClient", run: Run, artifact_root: str | None, known: str | None) -> str:
    record = run.record
    experiment = _experiment(client, record, artifact_root)
    figure, steps = rows.figure_row(run), rows.step_rows(run)
    digests = {figure.digest, *(row.digest for row in steps)}
    found = _found(client, experiment, record, digests)
    if known is not None and _whole(found, digests, figure, known):
        return known

    def run_of(row: Row, parent: str | None = None) -> str:
        """The MLflow run with this row's digest: the one an earlier attempt began, or a new one.

        Raises:
            TrackingError: If a server gives another.
        """
        if row.digest in found:
            return str(found[row.digest].info.run_id)
        tags = {name: row.tags[name] for name in (rows.DIGEST, "recorded_at")}
        tags |= {} if parent is None else {_PARENT: parent}
        begun = client.create_run(experiment, row.started, tags, row.name)
        if begun.data.tags.get(rows.DIGEST) != row.digest or not _ID.fullmatch(begun.info.run_id):
            raise TrackingError("it answers with another run than it was asked to begin")
        return str(begun.info.run_id)

    run_id = run_of(figure)
    _fill(client, run_id, figure, {_NOTE: notes.of_figure(record, experiment, run_id)})
    for row, step in zip(steps, record.steps, strict=True):
        tags = {_NOTE: notes.of_step(record, step.stage), _PARENT: run_id}
        _fill(client, run_of(row, run_id), row, tags)
    # That a server answers "done" is not yet a run that it keeps.
    if not _whole(_found(client, experiment, record, digests), digests, figure, run_id):
        raise TrackingError("it does not keep what it took")
    return run_id


def _found(
    client: "MlflowClient", experiment: str, record: Record, digests: set[str]
) -> dict[str, "MlflowRun"]:
    """What is there of a record, by digest; what is there instead of it is deleted."""
    query = f"tags.`{rows.DIGEST}` LIKE '{rows.safe(record.digest)}%'"
    found: dict[str, MlflowRun] = {}
    for one in client.search_runs([experiment], query):
        digest = one.data.tags.get(rows.DIGEST)
        if digest not in digests:  # the pattern matches more, if a record's digest is none
            continue
        # What was computed afresh took the place of the record that this is of, or earlier releases
        # began it twice, when an answer got lost.
        if digest in found or one.data.tags.get("recorded_at") != record.recorded_at:
            client.delete_run(one.info.run_id)
        else:
            found[digest] = one
    return found


def _whole(found: dict[str, "MlflowRun"], digests: set[str], figure: Row, run_id: str) -> bool:
    """Whether all of a record is there, a figure's row as the run with this id."""
    return (
        found.keys() == digests
        and all(one.info.status == "FINISHED" for one in found.values())
        and found[figure.digest].info.run_id == run_id
    )


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
