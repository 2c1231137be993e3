"""From numbers to verdicts: identities, claims and references, never mixed.

An *identity* must hold for the run to count. A *claim* is the paper's, with a bound fixed in its
manifest: ``supported``, ``not supported`` or ``inconclusive``. A *reference* is what our own recorded
runs gave, with a tolerance computed from them: ``within``, ``outside``, ``no tolerance`` (fewer than
three recorded runs) or ``missing``. What the paper says and whether the artifact does as recorded are
two answers to two questions; a missing value is never a yes.
"""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ssbrepro.stages import STAGES

if TYPE_CHECKING:
    from repro.manifest import Claim, Figure, Identity, Reference

MIN_RUNS = 3  # below, a spread says next to nothing: the t factor for two runs is 12.7
_LEVEL = 0.95

# What the paper says of the world, as far as this run can tell.
CLAIM_VERDICTS = ("supported", "not supported", "inconclusive")
# What the artifact does, against its recorded runs. A run whose exact identities do not hold counts as
# no measurement.
AS_RECORDED, CHANGED, NOT_RECORDED, FAILED = "as recorded", "changed", "not recorded", "failed"


@dataclass(frozen=True)
class IdentityVerdict:
    """Whether an exact identity held: ``holds`` or ``violated``."""

    id: str
    metric: str
    value: float | None
    bound: float
    verdict: str


@dataclass(frozen=True)
class ClaimVerdict:
    """What became of a claim, and which verdicts the recorded runs gave."""

    id: str
    statement: str
    metric: str
    value: float | None
    relation: str  # "at_most" or "at_least"
    bound: float
    verdict: str
    reason: str
    recorded: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether there are recorded runs and none came to this; to measure nothing is a change."""
        return bool(self.recorded) and (self.value is None or self.verdict not in self.recorded)


@dataclass(frozen=True)
class ReferenceVerdict:
    """Where a number stands against the recorded runs."""

    metric: str
    value: float | None
    low: float | None
    high: float | None
    runs: int
    verdict: str


@dataclass(frozen=True)
class Verdicts:
    """All verdicts of one figure."""

    identities: tuple[IdentityVerdict, ...]
    claims: tuple[ClaimVerdict, ...]
    references: tuple[ReferenceVerdict, ...]

    @property
    def violations(self) -> list[str]:
        """The exact identities that do not hold, one line each."""
        return [
            f"identity {one.id}: {one.verdict}" for one in self.identities if one.verdict != "holds"
        ]

    @property
    def failures(self) -> list[str]:
        """Every check that failed, one line each: these make the exit status 1.

        A claim whose verdict recorded runs share is none, whatever the verdict; without any, one that
        is not supported is.
        """
        claims = []
        for one in self.claims:
            if one.value is None:
                claims.append(f"claim {one.id}: {one.reason}")
            elif one.changed:
                claims.append(
                    f"claim {one.id}: {one.verdict}, recorded: {' or '.join(one.recorded)}"
                )
            elif not one.recorded and one.verdict == "not supported":
                claims.append(f"claim {one.id}: not supported, and nothing is recorded")
        references = [
            f"{one.metric}: {one.verdict}" if one.verdict == "missing"
            else f"{one.metric}: {one.verdict} what recorded runs make expect"
            for one in self.references
            if one.verdict in ("outside", "missing")
        ]  # fmt: skip
        return [*self.violations, *claims, *references]

    @property
    def status(self) -> str:
        """What the artifact does: ``as recorded``, ``changed``, ``not recorded`` or ``failed``."""
        if self.violations:
            return FAILED
        compared = [one for one in self.references if one.runs]
        if any(one.verdict in ("outside", "missing") for one in compared) or any(
            one.changed for one in self.claims
        ):
            return CHANGED
        known = all(one.verdict == "within" for one in self.references) and all(
            one.recorded for one in self.claims
        )
        return AS_RECORDED if known else NOT_RECORDED

    def as_data(self) -> dict[str, list[dict[str, Any]]]:
        """Plain data for the record and ``--json``."""
        return {
            "identities": [asdict(verdict) for verdict in self.identities],
            "claims": [asdict(verdict) for verdict in self.claims],
            "references": [asdict(verdict) for verdict in self.references],
        }


def judge(
    figure: "Figure",
    metrics: Mapping[str, float],
    missing: Mapping[str, str],
    recorded_runs: Sequence[Mapping[str, Any]],
) -> Verdicts:
    """All verdicts of a run.

    Args:
        figure: The manifest with the bounds.
        metrics: Measured numbers, "stage.number".
        missing: Why others could not be measured.
        recorded_runs: Recorded runs of this figure and profile, each with ``metrics`` and ``claims``.
    """
    identities = tuple(_identity(identity, metrics) for identity in figure.identities)
    sound = all(identity.verdict == "holds" for identity in identities)
    return Verdicts(
        identities=identities,
        claims=tuple(
            _claim(claim, metrics, missing, sound, _recorded_verdicts(claim.id, recorded_runs))
            for claim in figure.claims
        ),
        references=tuple(
            _reference(reference, metrics, recorded_runs, len(figure.references))
            for reference in figure.references
        ),
    )


def tally(claims: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many claims came to each verdict."""
    counts = Counter(claim["verdict"] for claim in claims)
    return {verdict: counts[verdict] for verdict in CLAIM_VERDICTS}


def changed_claims(
    declared: Sequence[Mapping[str, Any]], alternative: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Ids of the claims whose verdict is another one in a second run of the same figure."""
    pairs = zip(declared, alternative, strict=True)
    return [one["id"] for one, other in pairs if one["verdict"] != other["verdict"]]


def prediction_interval(
    values: Sequence[float], resolution: float, together: int = 1
) -> tuple[float, float]:
    """Where a new run is expected with 95 % probability: mean ± t s √(1 + 1/n).

    At least ``resolution`` to each side: recorded runs that all agree do not mean that a difference
    too small to matter is a failure.

    Args:
        values: Of the recorded runs.
        resolution: Smallest difference that matters.
        together: Number of intervals that are to hold a new run together with that probability
            (Bonferroni).

    Raises:
        ValueError: With fewer than ``MIN_RUNS`` values.
    """
    from scipy.special import stdtrit  # the t quantile of scipy.stats, which takes long to import

    n = len(values)
    if n < MIN_RUNS:
        raise ValueError(f"{n} runs; a prediction interval needs {MIN_RUNS}")
    mean = statistics.fmean(values)
    factor = float(stdtrit(n - 1, 1 - (1 - _LEVEL) / 2 / together))
    half = max(factor * statistics.stdev(values) * math.sqrt(1 + 1 / n), resolution)
    return mean - half, mean + half


def _identity(identity: "Identity", metrics: Mapping[str, float]) -> IdentityVerdict:
    value = metrics.get(identity.metric)
    # With H zero at every checkpoint there is nothing to violate; the claims then go missing.
    holds = value is not None and value <= identity.at_most
    verdict = "holds" if holds else "violated"
    return IdentityVerdict(identity.id, identity.metric, value, identity.at_most, verdict)


def _claim(
    claim: "Claim",
    metrics: Mapping[str, float],
    missing: Mapping[str, str],
    sound: bool,
    recorded: tuple[str, ...],
) -> ClaimVerdict:
    value = metrics.get(claim.metric)
    relation = "at_most" if claim.at_most is not None else "at_least"
    bound = claim.at_most if claim.at_most is not None else claim.at_least
    assert bound is not None
    noise = None if claim.noise is None else metrics.get(claim.noise)
    reason = ""
    if value is None:
        verdict = "inconclusive"
        reason = f"not measured: {missing.get(claim.metric, 'no such number')}"
    elif not sound:
        verdict, reason = "inconclusive", "the run's exact identities do not hold"
    elif value <= bound if relation == "at_most" else value >= bound:
        verdict = "supported"
    elif noise is not None and (value <= noise if relation == "at_most" else value >= noise):
        verdict = "inconclusive"
        goes = "reaches" if relation == "at_most" else "falls to"
        reason = f"chance alone {goes} {noise:.3g} at this profile if the statement holds exactly"
    else:
        verdict = "not supported"
    return ClaimVerdict(
        claim.id, claim.statement, claim.metric, value, relation, bound, verdict, reason, recorded
    )


def _recorded_verdicts(claim_id: str, runs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    verdicts = {run["claims"][claim_id] for run in runs if claim_id in run["claims"]}
    return tuple(sorted(verdicts))


def _reference(
    reference: "Reference",
    metrics: Mapping[str, float],
    runs: Sequence[Mapping[str, Any]],
    together: int,
) -> ReferenceVerdict:
    value = metrics.get(reference.metric)
    recorded = [
        run["metrics"][reference.metric] for run in runs if reference.metric in run["metrics"]
    ]
    low = high = None
    if len(recorded) >= MIN_RUNS:
        low, high = prediction_interval(recorded, reference.resolution, together)
    if value is None:
        verdict = "missing"
    elif low is None or high is None:
        verdict = "no tolerance"
    else:
        verdict = "within" if low <= value <= high else "outside"
        # The interval is as symmetric as t; the number need not be.
        stage, _, number = reference.metric.partition(".")
        domain = STAGES[stage].numbers[number]
        low, high = max(low, domain.low), min(high, domain.high)
    return ReferenceVerdict(reference.metric, value, low, high, len(recorded), verdict)
