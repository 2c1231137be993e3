"""Recorded runs: raw values with seeds, versions and device, one file a figure and profile."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from repro import files
from repro.errors import StoreError
from repro.library import FigureManifest


class _Step(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    stage: str
    seconds: float
    peak_memory_bytes: int
    threads: int


class _Run(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    metrics: dict[str, float]
    claims: dict[str, str]
    steps: list[_Step]


class _File(BaseModel):
    id: str
    profile: str
    runs: list[_Run]


def recorded_runs(manifest: FigureManifest, profile: str) -> list[dict[str, Any]]:
    """The recorded runs of a figure at a profile, by seed; none if nothing was recorded.

    What is recorded is of figures as declared: there is nothing of an alternative.

    Raises:
        StoreError: If the file is damaged.
    """
    path = manifest.references_path(profile)
    if manifest.alternative is not None or not path.exists():
        return []
    content = files.read_json(path)
    try:
        _File.model_validate(content)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise StoreError(f"{path}: is damaged: {place}: {fault['msg']}") from error
    if content["id"] != manifest.id or content["profile"] != profile:
        raise StoreError(f"{path}: is not about {manifest.id} at {profile}")
    runs: list[dict[str, Any]] = content["runs"]
    return runs


def recorded_steps(manifest: FigureManifest, profile: str) -> dict[str, list[dict[str, Any]]]:
    """What each stage took in the recorded runs of a figure at a profile, none if none is recorded.

    Raises:
        StoreError: If the file is damaged.
    """
    steps: dict[str, list[dict[str, Any]]] = {}
    for run in recorded_runs(manifest, profile):
        for step in run["steps"]:
            steps.setdefault(step["stage"], []).append(step)
    return steps


def write_references(
    manifest: FigureManifest, profile: str, records: list[Mapping[str, Any]]
) -> None:
    """Replace a figure's recorded runs.

    Raises:
        StoreError: If the file cannot be written.
    """
    runs = [_recorded(record) for record in sorted(records, key=lambda record: record["seed"])]
    content = {"schema_version": 1, "id": manifest.id, "profile": profile, "runs": runs}
    files.write_json(manifest.references_path(profile), content)


def _recorded(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "seed": record["seed"],
        "recorded_at": record["recorded_at"],
        "device": record["device"],
        "versions": record["versions"],
        "machine": record["machine"],
        "metrics": record["metrics"],
        "claims": {claim["id"]: claim["verdict"] for claim in record["claims"]},
        "steps": [
            {name: step[name] for name in ("stage", "seconds", "peak_memory_bytes", "threads")}
            for step in record["steps"]
        ],
    }
