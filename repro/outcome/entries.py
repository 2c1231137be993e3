"""The entries of ``--json``: what a command has to say of a figure.

Others read these fields: they keep their names and shapes, and are only ever added to.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from repro.names import NOT_COMPUTABLE
from repro.outcome import wording
from repro.outcome.pooling import PooledVerdict, largest_judged, pool, pool_runs
from repro.outcome.record import Record, Run
from repro.outcome.references import recorded_profiles, recorded_runs
from repro.outcome.verdicts import (
    FAILED,
    ClaimVerdict,
    IdentityVerdict,
    PredictionVerdict,
    ReferenceVerdict,
    changed_claims,
    tally,
)

if TYPE_CHECKING:
    from repro.manifests.library import FigureManifest
    from repro.manifests.models import NotComputable


@dataclass(frozen=True)
class Done:
    """A recorded run, and of each of its stages whether it "ran" just now or was "stored"."""

    run: Run
    statuses: Mapping[str, str]


@dataclass(frozen=True)
class StepEntry:
    """A step, and how it came to be."""

    stage: str
    key: str
    status: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class AlternativeEntry:
    """A figure with an alternative of an assumed value; ``changed`` names claims it decides over."""

    alternative: str
    changed: tuple[str, ...]
    status: str
    metrics: Mapping[str, float]
    verdicts: Mapping[str, int]
    identities: tuple[IdentityVerdict, ...]
    claims: tuple[ClaimVerdict, ...]
    steps: tuple[StepEntry, ...]
    artifacts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FigureEntry:
    """A figure that was run or verified; ``failures`` make the exit status of a run 1."""

    id: str
    profile: str
    seed: int
    status: str
    failures: tuple[str, ...] = ()
    metrics: Mapping[str, float]
    missing: Mapping[str, str] = field(default_factory=dict)
    verdicts: Mapping[str, int]
    identities: tuple[IdentityVerdict, ...] = ()
    claims: tuple[ClaimVerdict, ...] = ()
    references: tuple[ReferenceVerdict, ...] = ()
    predictions: tuple[PredictionVerdict, ...] = ()
    steps: tuple[StepEntry, ...] = ()
    artifacts: tuple[str, ...] = ()
    alternatives: tuple[AlternativeEntry, ...] = ()


@dataclass(frozen=True)
class ListEntry:
    """A manifest, what its last run on this machine came to, and its recorded runs, if there are any.

    What is recorded is the verdicts over all seeds, at the largest profile there is; ``omitted`` says
    why there is nothing at some profiles.
    """

    id: str
    title: str
    kind: str
    status: str | None
    profile: str | None = None
    verdict: str | None = None
    verdicts: Mapping[str, int] | None = None
    recorded_profile: str | None = None
    recorded_verdicts: Mapping[str, int] | None = None
    omitted: Mapping[str, str] = field(default_factory=dict)

    def recorded(self) -> str:
        """How many of the paper's claims the recorded runs support together, and their profile."""
        return _supported(self.recorded_verdicts, self.recorded_profile)

    def last_run(self) -> tuple[str, str]:
        """How many of the paper's claims the last run on this machine supported, and what it was."""
        return _supported(self.verdicts, self.profile), self.status or "not run here"


def _supported(verdicts: Mapping[str, int] | None, profile: str | None) -> str:
    if verdicts is None:
        return ""
    return f"{verdicts['supported']}/{sum(verdicts.values())} {profile}"


@dataclass(frozen=True, kw_only=True)
class PooledEntry:
    """What became of a figure's claims over several seeds."""

    id: str
    profile: str
    seeds: tuple[int, ...]
    claims: tuple[PooledVerdict, ...]


def figure_entry(done: Done, alternatives: Sequence[Done]) -> FigureEntry:
    """The entry of a figure as declared and with alternatives.

    It fails by its own verdicts. With an alternative, only exact identities can fail it: which claims
    then hold is what was to be found out.
    """
    record = done.run.record
    failed = [other.run.record for other in alternatives if other.run.record.status == FAILED]
    failures = [f"with {one.alternative}: {failure}" for one in failed for failure in one.failures]
    return FigureEntry(
        id=record.id,
        profile=record.profile,
        seed=record.seed,
        status=FAILED if failed else record.status,
        failures=(*record.failures, *failures),
        missing=record.missing,
        references=record.references,
        predictions=record.predictions,
        alternatives=tuple(_alternative_entry(record, other) for other in alternatives),
        **_measured(done),
    )


def pooled_entry(manifest: "FigureManifest", entries: Sequence[FigureEntry]) -> PooledEntry:
    """The entry of a figure over the seeds it was run with, of at least one."""
    return PooledEntry(
        id=manifest.id,
        profile=entries[0].profile,
        seeds=tuple(entry.seed for entry in entries),
        claims=pool(manifest.figure, entries, manifest.domains),
    )


def not_computable_entry(figure_id: str, profile: str, seed: int) -> FigureEntry:
    """The entry of a figure that nothing computes."""
    return FigureEntry(
        id=figure_id,
        profile=profile,
        seed=seed,
        status=NOT_COMPUTABLE,
        metrics={},
        verdicts=tally(()),
    )


def without_entry(figure_id: str, figure: "NotComputable") -> ListEntry:
    """The entry of a figure that nothing computes in the list of all."""
    return ListEntry(figure_id, figure.title, NOT_COMPUTABLE, NOT_COMPUTABLE)


def list_entry(manifest: "FigureManifest", last: Record | None) -> ListEntry:
    """The entry of a figure in the list of all, given its last run.

    Raises:
        StoreError: If its recorded runs are damaged.
    """
    figure = manifest.figure
    recorded = cache(partial(recorded_runs, manifest))
    profile = largest_judged(
        recorded_profiles(manifest), lambda one: len({run.seed for run in recorded(one)})
    )
    entry = ListEntry(
        manifest.id,
        figure.title,
        figure.kind,
        None,
        recorded_profile=profile,
        recorded_verdicts=None
        if profile is None
        else tally(pool_runs(manifest, recorded(profile))),
        omitted=manifest.omitted,
    )
    if last is None:
        return entry
    counts = tally(last.claims)
    return replace(
        entry,
        status=last.status,
        profile=last.profile,
        verdict=wording.claims(counts),
        verdicts=counts,
    )


def as_data(entries: Iterable[FigureEntry | ListEntry]) -> dict[str, Any]:
    """What ``--json`` writes."""
    return {"figures": [asdict(entry) for entry in entries]}


def pooled_data(entries: Iterable[PooledEntry]) -> dict[str, Any]:
    """What ``--json`` of a run has beside its figures: none where one seed was run."""
    return {"pooled": [asdict(entry) for entry in entries]}


def omitted_data(omitted: Mapping[str, str]) -> dict[str, Any]:
    """What ``--json`` says of figures that are left out of all: why they omit the profile."""
    return {"omitted": [{"id": figure_id, "why": why} for figure_id, why in omitted.items()]}


def _alternative_entry(declared: Record, done: Done) -> AlternativeEntry:
    record = done.run.record
    assert record.alternative is not None
    return AlternativeEntry(
        alternative=record.alternative,
        changed=changed_claims(declared.claims, record.claims),
        status=record.status,
        **_measured(done),
    )


def _measured(done: Done) -> dict[str, Any]:
    """The fields that entries of a figure as declared and with an alternative share."""
    record = done.run.record
    return {
        "metrics": record.metrics,
        "verdicts": tally(record.claims),
        "identities": record.identities,
        "claims": record.claims,
        "steps": tuple(
            StepEntry(step.stage, step.key, done.statuses[step.stage], step.seconds)
            for step in record.steps
        ),
        "artifacts": tuple(str(path) for path in done.run.artifacts()),
    }
