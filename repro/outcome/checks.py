"""From numbers to verdicts: identities, claims and references, never mixed.

An *identity* must hold for the run to count. A *claim* is the paper's, with a bound fixed in its
manifest: ``supported``, ``not supported`` or ``inconclusive``. A *reference* is what our own recorded
runs gave, with a tolerance computed from them: ``within``, ``outside``, ``no tolerance`` (fewer than
three recorded runs) or ``missing``.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from repro.outcome.verdicts import (
    ClaimVerdict,
    ClaimWord,
    IdentityVerdict,
    ReferenceVerdict,
    ReferenceWord,
    Verdicts,
)
from ssbrepro.domains import REAL, Domain

if TYPE_CHECKING:
    from repro.manifests.models import Claim, Figure, Identity, Reference
    from repro.outcome.references import RecordedRun

MIN_RUNS = 3  # below, a spread says next to nothing: the t factor for two runs is 12.7
_LEVEL = 0.95


def judge(
    figure: "Figure",
    metrics: Mapping[str, float],
    missing: Mapping[str, str],
    recorded_runs: Sequence["RecordedRun"],
    domains: Mapping[str, Domain] | None = None,
) -> Verdicts:
    """All verdicts of a run.

    Args:
        figure: The manifest with the bounds.
        metrics: Measured numbers, "stage.number".
        missing: Why others could not be measured.
        recorded_runs: Recorded runs of this figure and profile.
        domains: Where numbers can lie, "stage.number"; all others anywhere.
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
            _reference(
                reference,
                metrics,
                recorded_runs,
                len(figure.references),
                (domains or {}).get(reference.metric, REAL),
            )
            for reference in figure.references
        ),
    )


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
    return IdentityVerdict(
        identity.id, identity.metric, value, identity.at_most, "holds" if holds else "violated"
    )


def _claim(
    claim: "Claim",
    metrics: Mapping[str, float],
    missing: Mapping[str, str],
    sound: bool,
    recorded: tuple[ClaimWord, ...],
) -> ClaimVerdict:
    value = metrics.get(claim.metric)
    relation: Literal["at_most", "at_least"] = (
        "at_most" if claim.at_most is not None else "at_least"
    )
    bound = claim.at_most if claim.at_most is not None else claim.at_least
    assert bound is not None
    noise = None if claim.noise is None else metrics.get(claim.noise)
    verdict: ClaimWord
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


def _recorded_verdicts(claim_id: str, runs: Sequence["RecordedRun"]) -> tuple[ClaimWord, ...]:
    verdicts = {run.claims[claim_id] for run in runs if claim_id in run.claims}
    return tuple(sorted(verdicts))


def _reference(
    reference: "Reference",
    metrics: Mapping[str, float],
    runs: Sequence["RecordedRun"],
    together: int,
    domain: Domain,
) -> ReferenceVerdict:
    value = metrics.get(reference.metric)
    recorded = [run.metrics[reference.metric] for run in runs if reference.metric in run.metrics]
    low = high = None
    if len(recorded) >= MIN_RUNS:
        low, high = prediction_interval(recorded, reference.resolution, together)
    verdict: ReferenceWord
    if value is None:
        verdict = "missing"
    elif low is None or high is None:
        verdict = "no tolerance"
    else:
        verdict = "within" if low <= value <= high else "outside"
        # The interval is as symmetric as t; the number need not be.
        low, high = max(low, float(domain.low)), min(high, float(domain.high))
    return ReferenceVerdict(reference.metric, value, low, high, len(recorded), verdict)
