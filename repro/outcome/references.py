"""Recorded runs: raw values with seeds, versions and machine, one file a figure and profile.

The files of a paper are known by their digests (:mod:`repro.outcome.sums`).
"""

import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from repro import files
from repro.errors import StoreError
from repro.manifests.library import FigureManifest
from repro.names import nearest
from repro.outcome import sums
from repro.outcome.machines import MachineName, nearest_machine
from repro.outcome.record import Machine, Record
from repro.outcome.verdicts import ClaimWord

if TYPE_CHECKING:
    from repro.machine import Facts


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

    def __post_init__(self) -> None:
        if self.moment.tzinfo is None:  # it could not be told from which of two runs is newer
            raise ValueError(f"{self.recorded_at!r} has no time zone")

    @property
    def moment(self) -> datetime.datetime:
        """When it was recorded."""
        return datetime.datetime.fromisoformat(self.recorded_at)

    @property
    def made_on(self) -> MachineName:
        """The machine."""
        return MachineName.of(self.device, self.machine)


@dataclass(frozen=True)
class RecordedRuns:
    """A file of recorded runs."""

    schema_version: Literal[1]
    id: str
    profile: str
    runs: tuple[RecordedRun, ...]


def recorded_runs(manifest: FigureManifest, profile: str) -> tuple[RecordedRun, ...]:
    """The recorded runs of a figure at a profile, by seed; none if nothing was recorded.

    What is recorded is of figures as declared: there is nothing of an alternative.

    Raises:
        StoreError: If the file is not as it was recorded, or the manifest calls things otherwise.
    """
    if manifest.alternative is not None:
        return ()
    path = manifest.references_path(profile)
    try:
        recorded = sums.read(path)
    except StoreError as error:
        meant = (
            f"; `repro references import {path}` checks it and lists it" if path.is_file() else ""
        )
        raise StoreError(f"{error}{meant}") from error
    if recorded is None:
        return ()
    try:
        content = files.checked(recorded, RecordedRuns)
    except ValueError as error:
        raise StoreError(f"{path}: is damaged: {error}") from error
    if (content.id, content.profile) != (manifest.id, profile):
        raise StoreError(f"{path}: is not about {manifest.id} at {profile}")
    for run in content.runs:
        if renamed := _renamed(manifest, run):
            raise StoreError(
                f"{path}: seed {run.seed}: {renamed}; if it was renamed, record it again: repro record "
                f"{manifest.id} --profile {profile} --seeds 0-9"
            )
    return content.runs


def _renamed(manifest: FigureManifest, run: RecordedRun) -> str | None:
    """What a run names that is not declared, where something that is judged is lacking.

    A number that was declared later is lacking too, and says so itself: of it nothing is recorded.
    """
    figure = manifest.figure
    judged = {one.metric for one in figure.references}
    judged.update(
        name for one in figure.claims for name in (one.metric, one.noise, one.control) if name
    )
    measured = run.metrics.keys() | run.missing.keys()
    claims = {one.id for one in figure.claims}
    pairs = (
        (
            "number",
            measured,
            judged - measured,
            manifest.domains.keys() if judged - measured else (),
        ),
        ("claim", run.claims.keys(), claims - run.claims.keys(), claims),
    )
    for kind, named, lacking, known in pairs:
        strangers = sorted(set(named) - set(known))
        if lacking and strangers:
            (stranger, *_) = strangers
            (name, *_) = [*nearest(stranger, lacking), *sorted(lacking)]
            return f"has the {kind} {stranger!r}, which is not declared, and no {name!r}"
    return None


def recorded_profiles(manifest: FigureManifest) -> tuple[str, ...]:
    """The profiles at which runs of a figure are recorded, in order of size.

    Raises:
        StoreError: If the list of what is recorded is damaged.
    """
    return tuple(one for one in manifest.profiles if sums.is_known(manifest.references_path(one)))


def recorded_steps(
    manifest: FigureManifest, profile: str, facts: "Facts"
) -> dict[str, list[RecordedStep]]:
    """What each stage took in the recorded runs of a figure at a profile, none if none is recorded.

    Args:
        manifest: The figure.
        profile: Of the runs.
        facts: Those of the machine to run it: runs of the machines most like it count.

    Raises:
        StoreError: If the file is damaged.
    """
    steps: dict[str, list[RecordedStep]] = {}
    for run in nearest_machine(recorded_runs(manifest, profile), facts):
        for step in run.steps:
            steps.setdefault(step.stage, []).append(step)
    return steps


def write_references(
    manifest: FigureManifest, profile: str, records: Iterable[Record]
) -> tuple[RecordedRun, ...]:
    """Replace a figure's recorded runs of the machine that made these; those of others stay.

    Returns:
        All that is recorded now.

    Raises:
        StoreError: If the file cannot be written, or what is there is damaged.
    """
    new = [recorded_run(record) for record in records]
    machines = {run.made_on for run in new}
    with sums.locked(manifest.references_path(profile).parent):
        kept = [
            run
            for run in recorded_runs(manifest, profile)
            if not any(machine.takes_the_place_of(run.made_on) for machine in machines)
        ]
        return write_runs(manifest, profile, [*new, *kept])


def write_runs(
    manifest: FigureManifest, profile: str, runs: Iterable[RecordedRun]
) -> tuple[RecordedRun, ...]:
    """Write all that is recorded of a figure at a profile, by seed and machine, and return it.

    Raises:
        StoreError: If the file cannot be written.
    """
    ordered = tuple(sorted(runs, key=lambda run: (run.seed, run.made_on)))
    content = RecordedRuns(1, manifest.id, profile, ordered)
    path = manifest.references_path(profile)
    with sums.locked(path.parent):
        sums.write_json(path, asdict(content))
    return ordered


def merged(runs: Iterable[RecordedRun]) -> tuple[RecordedRun, ...]:
    """Of each seed on each machine the newest run, by seed and machine, in whatever order they come."""
    newest: dict[tuple[int, MachineName], RecordedRun] = {}
    for run in runs:
        place = run.seed, run.made_on
        if place not in newest or _age(run) > _age(newest[place]):
            newest[place] = run
    return tuple(newest[place] for place in sorted(newest))


def _age(run: RecordedRun) -> tuple[datetime.datetime, str]:
    """By which one of two runs is newer; of one moment, one of them, always the same."""
    return run.moment, json.dumps(asdict(run), sort_keys=True)


def recorded_run(record: Record) -> RecordedRun:
    """What is recorded of a run."""
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
