"""Recorded runs: raw values with seeds, versions and device, one file a figure and profile."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from repro import files
from repro.errors import StoreError
from repro.manifests.library import FigureManifest
from repro.names import PROFILES
from repro.outcome.record import Machine, Record
from repro.outcome.verdicts import ClaimWord


@dataclass(frozen=True)
class RecordedStep:
    """What a stage took."""

    stage: str
    seconds: float
    peak_memory_bytes: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """A run that others are compared with: its numbers and verdicts, and all that made them.

    ``missing`` says why it has no other numbers; runs recorded before it was kept have none.
    """

    seed: int
    recorded_at: str
    device: str
    versions: Mapping[str, str]
    machine: Machine
    metrics: Mapping[str, float]
    missing: Mapping[str, str] = field(default_factory=dict)
    claims: Mapping[str, ClaimWord]
    steps: tuple[RecordedStep, ...]


@dataclass(frozen=True)
class _File:
    schema_version: Literal[1]
    id: str
    profile: str
    runs: tuple[RecordedRun, ...]


def recorded_runs(manifest: FigureManifest, profile: str) -> tuple[RecordedRun, ...]:
    """The recorded runs of a figure at a profile, by seed; none if nothing was recorded.

    What is recorded is of figures as declared: there is nothing of an alternative.

    Raises:
        StoreError: If the file is damaged.
    """
    path = manifest.references_path(profile)
    if manifest.alternative is not None or not path.exists():
        return ()
    content = files.read_as(path, _File)
    if (content.id, content.profile) != (manifest.id, profile):
        raise StoreError(f"{path}: is not about {manifest.id} at {profile}")
    return content.runs


def largest_recorded(manifest: FigureManifest) -> str | None:
    """The largest profile at which runs of a figure are recorded, if any are."""
    sizes = reversed(PROFILES)
    return next((one for one in sizes if manifest.references_path(one).exists()), None)


def recorded_steps(manifest: FigureManifest, profile: str) -> dict[str, list[RecordedStep]]:
    """What each stage took in the recorded runs of a figure at a profile, none if none is recorded.

    Raises:
        StoreError: If the file is damaged.
    """
    steps: dict[str, list[RecordedStep]] = {}
    for run in recorded_runs(manifest, profile):
        for step in run.steps:
            steps.setdefault(step.stage, []).append(step)
    return steps


def write_references(manifest: FigureManifest, profile: str, records: Iterable[Record]) -> None:
    """Replace a figure's recorded runs.

    Raises:
        StoreError: If the file cannot be written.
    """
    runs = tuple(_recorded(record) for record in sorted(records, key=lambda record: record.seed))
    content = _File(1, manifest.id, profile, runs)
    files.write_json(manifest.references_path(profile), asdict(content))


def _recorded(record: Record) -> RecordedRun:
    return RecordedRun(
        seed=record.seed,
        recorded_at=record.recorded_at,
        device=record.device,
        versions=record.versions,
        machine=record.machine,
        metrics=record.metrics,
        missing=record.missing,
        claims={claim.id: claim.verdict for claim in record.claims},
        steps=tuple(
            RecordedStep(step.stage, step.seconds, step.peak_memory_bytes, step.threads)
            for step in record.steps
        ),
    )
