"""What MLflow is to hold of a recorded run, without MLflow: a row for the figure, one for each step."""

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repro import files
from repro.outcome import wording
from repro.outcome.record import Curve, RanStep, Record, Run
from repro.outcome.verdicts import ClaimVerdict, tally
from repro.store import ARRAYS, RESULT

DIGEST = "record"  # the tag by which a row is found again
_MAX_UPLOAD_BYTES = 64 * 2**20  # more is named by key and digest instead; uploads are slow
_MAX_PARAMETER, _MAX_NAME = 500, 120
_MAX_DATASET_DIGEST = 36  # as MLflow has it


@dataclass(frozen=True, kw_only=True)
class Row:
    """An MLflow run: of a figure, or of one of its steps.

    ``started`` and ``ended`` are in milliseconds since 1970. ``data`` are names of datasets with the
    digests of their content, and ``documents`` files that are made of JSON.
    """

    digest: str
    name: str
    started: int
    ended: int
    tags: Mapping[str, str]
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    curves: Mapping[str, Curve] = field(default_factory=dict)
    data: tuple[tuple[str, str], ...] = ()
    files: tuple[Path, ...] = ()
    documents: Mapping[str, Any] = field(default_factory=dict)


def safe(text: str) -> str:
    """A name as MLflow takes it, whatever a record that came from elsewhere holds.

    It has no slash, so that it is one part of a metric's name and one folder of artifacts.
    """
    return re.sub(r"[^\w.\- ]", ".", text)[:_MAX_NAME].strip(". ") or "_"


def paper(record: Record) -> str:
    """The name of the experiment that a run belongs to."""
    return safe(record.id.partition("/")[0])


def figure(record: Record) -> str:
    """The figure's name within its paper."""
    return safe(record.id.partition("/")[2])


def claim_name(record: Record, claim: ClaimVerdict) -> str:
    """The tag that holds a claim's verdict, such as "fig8a/balanced-extremes".

    Two figures of a paper may have claims of one name.
    """
    return f"{figure(record)}/{safe(claim.id)}"


def figure_row(run: Run) -> Row:
    """The row of a run: verdicts, what they were made of, and all its files."""
    record, digest = run.record, safe(run.record.digest)
    times = _times(record)
    changed = "" if record.alternative is None else f", {record.alternative}"
    return Row(
        digest=digest,
        name=f"{figure(record)} {record.profile} seed {record.seed}{changed}",
        started=min(start for start, _ in times),
        ended=max(end for _, end in times),
        tags={
            **_common_tags(record, "figure", digest),
            "verdict": wording.claims(tally(record.claims)),
            "status": record.status,
            "manifest_sha256": files.canonical_digest(record.manifest),
            **{claim_name(record, one): wording.verdict(one) for one in record.claims},
        },
        parameters={
            "profile": record.profile,
            "seed": str(record.seed),
            "device": record.device,
            "alternative": record.alternative or "none",
        },
        metrics={
            f"{claim_name(record, one)}.{name}": number
            for one in record.claims
            for name, number in (
                ("value", one.value),
                ("bound", one.bound),
                ("chance", one.noise),
                ("control", one.control),
            )
            if number is not None
        }
        | {
            "seconds": sum(step.seconds for step in record.steps),
            "peak_memory_bytes": max(step.peak_memory_bytes for step in record.steps),
        },
        data=tuple(dict.fromkeys(one for step in record.steps for one in _data(step))),
        files=tuple(run.folder / name for name in record.files),
        documents={"manifest.json": dict(record.manifest)},
    )


def step_rows(run: Run) -> list[Row]:
    """The rows of a run's steps, in their order."""
    record = run.record
    return [
        _step_row(run, step, times)
        for step, times in zip(record.steps, _times(record), strict=True)
    ]


def _step_row(run: Run, step: RanStep, times: tuple[int, int]) -> Row:
    record, own = run.record, f"{step.stage}."
    digest = f"{safe(record.digest)}/{safe(step.stage)}"
    folder = run.step_folder(step)
    arrays = folder / ARRAYS
    small = arrays.stat().st_size <= _MAX_UPLOAD_BYTES
    pointer = {"key": step.key, "sha256": step.digests.get(ARRAYS, "")}
    return Row(
        digest=digest,
        name=f"{figure(record)} {step.stage} seed {record.seed}",
        started=times[0],
        ended=times[1],
        tags={**_common_tags(record, "step", digest), "stage": step.stage, "key": step.key},
        parameters={
            safe(name): json.dumps(origin.value)[:_MAX_PARAMETER]
            for name, origin in record.declared().stages.get(step.stage, {}).items()
        },
        metrics={
            safe(name.removeprefix(own)): value
            for name, value in record.metrics.items()
            if name.startswith(own)
        }
        | {"seconds": step.seconds, "peak_memory_bytes": step.peak_memory_bytes},
        curves={
            f"curves/{safe(name.removeprefix(own))}": curve  # MLflow shows these first
            for name, curve in record.series.items()
            if name.startswith(own)
        },
        data=_data(step),
        files=(folder / RESULT, *((arrays,) if small else ())),
        documents={} if small else {"arrays.pointer.json": pointer},
    )


def _common_tags(record: Record, kind: str, digest: str) -> dict[str, str]:
    """What a figure and its steps share, the tags that MLflow's own pages read among it."""
    commit, _, changed = record.commit.partition("-")
    tags = {
        DIGEST: digest,
        "recorded_at": record.recorded_at,
        "kind": kind,
        "figure": figure(record),
        "profile": record.profile,
        "seed": str(record.seed),
        "alternative": record.alternative or "none",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": record.command,
    }
    if commit:
        tags |= {
            "mlflow.source.git.commit": commit,
            "mlflow.source.git.dirty": str(bool(changed)).lower(),
        }
    if record.machine.image:
        tags["image_digest"] = record.machine.image
    return tags


def _data(step: RanStep) -> tuple[tuple[str, str], ...]:
    """The dataset that a step read, if any, such as ("cifar-10-python", "md5:c58f…")."""
    if not step.data:
        return ()
    name, _, digest = step.data.rpartition(" ")
    return ((name or step.data, digest[:_MAX_DATASET_DIGEST]),)


def _times(record: Record) -> list[tuple[int, int]]:
    """When each step started and ended.

    Of a step whose start was not kept, only how long it took is known: it is put before the next one,
    or before the run was recorded.
    """
    next_start = _milliseconds(record.recorded_at) or 0
    times = []
    for step in reversed(record.steps):
        took = int(1000 * step.seconds)
        start = _milliseconds(step.started_at)
        start = next_start - took if start is None else start
        times.append((start, start + took))
        next_start = min(next_start, start)
    return times[::-1]


def _milliseconds(moment: str) -> int | None:
    try:
        return int(datetime.datetime.fromisoformat(moment).timestamp() * 1000)
    except ValueError:
        return None
