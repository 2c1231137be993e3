"""Sends recorded runs to MLflow. The record is the truth: what is sent can be sent again.

A figure is an experiment; a run of it a parent run, with a child run for each step. Everything is
read from the record with its recorded time, and a run is found again by its record's digest, so
sending twice leaves the same rows.
"""

import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from repro import files
from repro.errors import StoreError, TrackingError
from repro.outcome import wording
from repro.outcome.database import ROOT, holds, make_movable
from repro.outcome.record import TRACKED, Curve, RanStep, Record, Run
from repro.outcome.verdicts import tally
from repro.settings import Settings
from repro.store import ARRAYS, RESULT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

_DIGEST_TAG = "ssbrepro.digest"
_MAX_UPLOAD_BYTES = 64 * 2**20  # more is named by key and digest instead; uploads are slow
_MAX_PARAM = 500
_TRAINING = "custom_model_development"  # which of its pages MLflow opens an experiment with


def track(run: Run, settings: Settings) -> str:
    """Send a run to MLflow, unless that was done; returns its MLflow run id.

    Raises:
        TrackingError: If MLflow cannot be reached or refuses; nothing of ours is lost.
    """
    own = settings.own_database
    place = settings.tracking_uri if own is None else own.name
    path = run.folder / TRACKED
    sent = _noted(path, place)
    if place not in sent or (own is not None and not holds(own, sent[place])):
        try:
            sent[place] = _send(run, settings)
        except Exception as error:
            # Whatever it is, from name resolution to a full disk on the server: tracking never
            # decides over a run.
            reason = " ".join(str(error).split())[:300]
            raise TrackingError(f"MLflow at {settings.tracking_uri}: {reason}") from error
        files.write_json(path, sent)
    return str(sent[place])


def _noted(path: Path, place: str) -> dict[str, Any]:
    """Where a run was sent, with its MLflow run id there.

    SQLite files other than the one in use are left out: version 0.1 named the home's own by a path
    that a moved home no longer has.
    """
    try:
        sent = dict(files.read_json(path))
    except (StoreError, TypeError, ValueError):  # none, or damaged: sending again changes nothing
        return {}
    return {
        name: run for name, run in sent.items() if name == place or not name.startswith("sqlite:")
    }


def _send(run: Run, settings: Settings) -> str:
    # A run must not hang for minutes on a server that is not there.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # The address a container knows the server by is of no use to a browser.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # not each table it creates
    from mlflow import MlflowClient

    if not settings.local_tracking:
        return _log(MlflowClient(settings.tracking_uri), run, None)
    settings.home.mkdir(parents=True, exist_ok=True)
    # Two processes that both create the database's tables would break it.
    with FileLock(settings.home / "mlflow.lock"):
        client = _local_client(settings)
        if settings.own_database is not None:
            make_movable(settings.own_database)
        return _log(client, run, ROOT)


def _local_client(settings: Settings) -> "MlflowClient":
    """A client of an SQLite file that writes artifacts to where ``repro ui`` serves them from.

    MLflow's own client would hand artifacts located below ``ROOT`` to a server, and none need run.
    """
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    class LocalClient(MlflowClient):
        def log_artifact(
            self, run_id: str, local_path: str, artifact_path: str | None = None
        ) -> None:
            location = self.get_run(run_id).info.artifact_uri
            folder = location.replace(ROOT, f"{settings.artifacts.as_uri()}/")
            get_artifact_repository(folder).log_artifact(local_path, artifact_path)

    return LocalClient(settings.tracking_uri)


def _log(client: "MlflowClient", run: Run, artifact_root: str | None) -> str:
    record = run.record
    found = client.get_experiment_by_name(record.id)
    if found is not None:
        experiment = found.experiment_id
    else:
        location = None if artifact_root is None else f"{artifact_root}{record.id}"
        experiment = client.create_experiment(
            record.id, artifact_location=location, tags={"mlflow.experimentKind": _TRAINING}
        )
    changed = "" if record.alternative is None else f", {record.alternative}"
    parent = _run(
        client,
        experiment,
        record.digest,
        f"{record.profile} seed {record.seed}{changed}",
        _milliseconds(record) - int(1000 * sum(step.seconds for step in record.steps)),
    )
    _describe(
        client,
        parent,
        record,
        parameters={"profile": record.profile, "seed": record.seed, "device": record.device},
        metrics={name.replace("/", "."): value for name, value in record.metrics.items()},
        tags={
            "figure": record.id,
            "profile": record.profile,
            "alternative": record.alternative or "none",
            "verdict": wording.claims(tally(record.claims)),
            "status": record.status,
            "manifest_sha256": files.canonical_digest(record.manifest),
            "image_digest": record.machine.image or "none",
            "mlflow.note.content": _note(record),
            **{f"claim.{claim.id}": wording.verdict(claim) for claim in record.claims},
        },
    )
    for name in record.files:
        client.log_artifact(parent.info.run_id, str(run.folder / name))
    client.log_dict(parent.info.run_id, dict(record.manifest), "manifest.json")
    for step in record.steps:
        _log_step(client, experiment, parent.info.run_id, run, step)
    client.set_terminated(parent.info.run_id, "FINISHED", _milliseconds(record))
    return str(parent.info.run_id)


def _log_step(
    client: "MlflowClient",
    experiment: str,
    parent_id: str,
    run: Run,
    step: RanStep,
) -> None:
    record, stage = run.record, step.stage
    started = _milliseconds(record) - int(1000 * step.seconds)
    child = _run(client, experiment, f"{record.digest}/{stage}", stage, started, parent_id)
    origins = record.declared().stages[stage]
    own = f"{stage}."
    _describe(
        client,
        child,
        record,
        parameters={name: json.dumps(origin.value) for name, origin in origins.items()},
        metrics={
            name.removeprefix(own): value
            for name, value in record.metrics.items()
            if name.startswith(own)
        }
        | {"seconds": step.seconds, "peak_memory_bytes": step.peak_memory_bytes},
        tags={
            "figure": record.id,
            "profile": record.profile,
            "key": step.key,
            **{
                f"origin.{name}": f"{origin.provenance}: {origin.reason}"
                for name, origin in origins.items()
            },
        },
        series={
            name.removeprefix(own): curve
            for name, curve in record.series.items()
            if name.startswith(own)
        },
    )
    run_id, folder = child.info.run_id, run.step_folder(step)
    client.log_artifact(run_id, str(folder / RESULT))
    if (folder / ARRAYS).stat().st_size <= _MAX_UPLOAD_BYTES:
        client.log_artifact(run_id, str(folder / ARRAYS))
    else:
        pointer = {"key": step.key, "sha256": step.digests[ARRAYS]}
        client.log_dict(run_id, pointer, "arrays.pointer.json")
    client.set_terminated(run_id, "FINISHED", _milliseconds(record))


def _run(
    client: "MlflowClient",
    experiment: str,
    digest: str,
    name: str,
    started: int,
    parent_id: str | None = None,
) -> "MlflowRun":
    """The MLflow run with this digest: the one an earlier attempt began, or a new one."""
    begun = client.search_runs([experiment], f"tags.`{_DIGEST_TAG}` = '{digest}'", max_results=1)
    if begun:
        return begun[0]
    tags = {_DIGEST_TAG: digest}
    if parent_id is not None:
        tags["mlflow.parentRunId"] = parent_id
    return client.create_run(experiment, start_time=started, tags=tags, run_name=name)


def _describe(
    client: "MlflowClient",
    run: "MlflowRun",
    record: Record,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    series: Mapping[str, Curve] | None = None,
) -> None:
    """Parameters, tags, metrics and curves, in requests within MLflow's limits."""
    from mlflow.entities import Metric, Param, RunTag

    when = _milliseconds(record)
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(name, value, when, 0) for name, value in metrics.items()],
        params=[Param(name, str(value)[:_MAX_PARAM]) for name, value in parameters.items()],
        tags=[RunTag(name, text) for name, text in tags.items()],
    )
    for name, curve in (series or {}).items():  # at most some 300 points each
        points = zip(curve.epochs, curve.values, strict=True)
        client.log_batch(
            run.info.run_id,
            metrics=[Metric(name, value, when, int(epoch)) for epoch, value in points],
        )


def _note(record: Record) -> str:
    """What MLflow's page of the run says first: the title and a table of the claims."""
    rows = [
        f"**{record.title}**",
        "",
        "| claim | measured | bound | verdict |",
        "|---|---|---|---|",
    ]
    for claim in record.claims:
        cells = (
            claim.id,
            wording.number(claim.value),
            wording.bound(claim),
            wording.verdict(claim),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _milliseconds(record: Record) -> int:
    return int(datetime.datetime.fromisoformat(record.recorded_at).timestamp() * 1000)
