"""From numbers to verdicts: identities, claims and references, never mixed.

An *identity* must hold for the run to count. A *claim* is the paper's, with a bound fixed in its
manifest: ``supported``, ``not supported`` or ``inconclusive``, with a cause. A value within the bound
says nothing where the claim's control is within it too, nor does one beyond it that chance alone
reaches. A *reference* is what our own recorded runs gave, with a tolerance computed from them:
``within``, ``outside``, ``no tolerance`` (fewer than three recorded runs of any machine) or ``missing``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from repro.outcome.intervals import MIN_RUNS, Interval, clipped, prediction_interval
from repro.outcome.machines import by_machine
from repro.outcome.verdicts import (
    Cause,
    ClaimVerdict,
    ClaimWord,
    IdentityVerdict,
    ReferenceVerdict,
    ReferenceWord,
    Verdicts,
    meets,
)
from ssbrepro.contract import WITHOUT_POWER
from ssbrepro.domains import REAL, Domain

if TYPE_CHECKING:
    from repro.manifests.models import Claim, Figure, Identity, Reference
    from repro.outcome.references import RecordedRun


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
            replace(
                _claim(claim, metrics, missing, sound),
                recorded=_recorded_verdicts(claim.id, recorded_runs),
                expected=_is_expected(claim, figure, metrics, recorded_runs),
            )
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


def _identity(identity: "Identity", metrics: Mapping[str, float]) -> IdentityVerdict:
    value = metrics.get(identity.metric)
    # With H zero at every checkpoint there is nothing to violate; the claims then go missing.
    holds = value is not None and value <= identity.at_most
    return IdentityVerdict(
        identity.id, identity.metric, value, identity.at_most, "holds" if holds else "violated"
    )


def _claim(
    claim: "Claim", metrics: Mapping[str, float], missing: Mapping[str, str], sound: bool
) -> ClaimVerdict:
    found = _finding(claim, metrics, missing, sound)
    return ClaimVerdict(
        claim.id,
        claim.statement,
        claim.metric,
        _measured(claim.metric, metrics),
        claim.relation,
        claim.bound,
        found.verdict,
        found.reason,
        cause=found.cause,
        noise=_measured(claim.noise, metrics),
        control=_measured(claim.control, metrics),
        no_control=claim.no_control or "",
    )


class Finding(NamedTuple):
    """A verdict, and why it is no other one."""

    verdict: ClaimWord
    cause: Cause = ""
    reason: str = ""


def _finding(
    claim: "Claim", metrics: Mapping[str, float], missing: Mapping[str, str], sound: bool
) -> Finding:
    value, noise, control = (
        _measured(name, metrics) for name in (claim.metric, claim.noise, claim.control)
    )
    if value is None:
        why = _why_missing(claim.metric, missing)
        if why.startswith(WITHOUT_POWER):
            return Finding("inconclusive", "without power", why)
        return Finding("inconclusive", "not measured", f"not measured: {why}")
    if not sound:
        return Finding("inconclusive", "unsound", "the run's exact identities do not hold")
    if meets(value, claim.relation, claim.bound):
        return _within(claim, value, control, missing)
    return _beyond(claim, value, noise, missing)


def _within(
    claim: "Claim", value: float, control: float | None, missing: Mapping[str, str]
) -> Finding:
    """Of a value within the bound: whether it could have been another one."""
    if claim.control is None:
        return Finding("supported")
    if control is None:
        why = f"the control is not measured: {_why_missing(claim.control, missing)}"
        return Finding("inconclusive", "not measured", why)
    if meets(control, claim.relation, claim.bound):
        gives = f"the control, where the statement is false, gives {control:.3g}"
        why = f"{gives} and is within the bound as {value:.3g} is"
        return Finding("inconclusive", "without power", why)
    return Finding("supported")


def _beyond(
    claim: "Claim", value: float, noise: float | None, missing: Mapping[str, str]
) -> Finding:
    """Of a value beyond the bound: whether chance alone takes it there."""
    if claim.noise is None:
        return Finding("not supported")
    if noise is None:
        why = f"what chance alone does is not measured: {_why_missing(claim.noise, missing)}"
        return Finding("inconclusive", "not measured", why)
    if meets(value, claim.relation, noise):
        goes = "reaches" if claim.relation == "at_most" else "falls to"
        chance = f"chance alone {goes} {noise:.3g} at this profile if the statement holds exactly"
        return Finding("inconclusive", "by chance", f"{chance}; measured: {value:.3g}")
    return Finding("not supported")


def _measured(name: str | None, metrics: Mapping[str, float]) -> float | None:
    """A number of the run; none if it is missing, or not a number and so below and above nothing."""
    value = None if name is None else metrics.get(name)
    return None if value is None or math.isnan(value) else value


def _why_missing(name: str, missing: Mapping[str, str]) -> str:
    return missing.get(name, "no such number")


def _recorded_verdicts(claim_id: str, runs: Sequence["RecordedRun"]) -> tuple[ClaimWord, ...]:
    verdicts = {run.claims[claim_id] for run in runs if claim_id in run.claims}
    return tuple(sorted(verdicts))


def _is_expected(
    claim: "Claim",
    figure: "Figure",
    metrics: Mapping[str, float],
    runs: Sequence["RecordedRun"],
) -> bool:
    """Whether each number that the claim's verdict hangs on lies where recorded runs make expect.

    A verdict that no recorded seed gave is then no other behaviour: its number is just beyond the bound
    in a run of eleven, or its control is. It is one, though, if the bound has moved, and with it the
    verdicts of the recorded runs.
    """
    for run in runs:
        found = _finding(claim, run.metrics, run.missing, sound=True)
        if run.claims.get(claim.id) != found.verdict:
            return False
    resolutions = {reference.metric: reference.resolution for reference in figure.references}
    names = {name for one in figure.claims for name in _numbers_of(one)}
    for name in _numbers_of(claim):
        value = _measured(name, metrics)
        interval, _ = _expected(name, resolutions.get(name, 0.0), runs, len(names))
        if value is None or interval is None or not interval[0] <= value <= interval[1]:
            return False
    return True


def _numbers_of(claim: "Claim") -> list[str]:
    return [name for name in (claim.metric, claim.noise, claim.control) if name is not None]


def _reference(
    reference: "Reference",
    metrics: Mapping[str, float],
    runs: Sequence["RecordedRun"],
    together: int,
    domain: Domain,
) -> ReferenceVerdict:
    value = metrics.get(reference.metric)
    expected, num_runs = _expected(reference.metric, reference.resolution, runs, together)
    low, high = expected or (None, None)
    verdict: ReferenceWord
    if value is None:
        verdict = "missing"
    elif low is None or high is None:
        verdict = "no tolerance"
    else:
        verdict = "within" if low <= value <= high else "outside"
        low, high = clipped((low, high), domain)
    return ReferenceVerdict(reference.metric, value, low, high, num_runs, verdict)


def _expected(
    metric: str, resolution: float, runs: Sequence["RecordedRun"], together: int
) -> tuple[Interval | None, int]:
    """Where a new run is expected, and of how many runs that is known.

    One seed on two machines is not two independent runs: each machine with enough runs has an
    interval of its own, and what lies between the outermost ends of all is expected. Without any it
    is the most runs that a machine has.
    """
    machines = [
        [run.metrics[metric] for run in group if metric in run.metrics]
        for group in by_machine(runs).values()
    ]
    enough = [values for values in machines if len(values) >= MIN_RUNS]
    if not enough:
        return None, max(map(len, machines), default=0)
    ends = [prediction_interval(values, resolution, together) for values in enough]
    hull = min(low for low, _ in ends), max(high for _, high in ends)
    return hull, sum(map(len, enough))
