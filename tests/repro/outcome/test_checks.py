"""Verdicts: every one of them, and that nothing unknown or unmeasured ever passes."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from repro.manifests.models import Claim, Figure, Identity, Reference
from repro.outcome.checks import MIN_RUNS, judge, prediction_interval
from repro.outcome.record import Machine
from repro.outcome.references import RecordedRun
from repro.outcome.verdicts import (
    ClaimVerdict,
)
from ssbrepro.domains import SHARE

ASYMMETRY, NOISE = "spectrum.asymmetry_max", "spectrum.asymmetry_noise"
EULER = "spectrum.euler_residual_max"
ACCURACY = "training.final_accuracy"

SYMMETRIC = Claim(
    id="symmetric", statement="s", where="w", metric=ASYMMETRY, at_most=0.25, noise=NOISE
)
ACCURATE = Claim(id="accurate", statement="s", where="w", metric=ACCURACY, at_least=0.9)
EXACT = Identity(id="euler", metric=EULER, at_most=1e-4, why="w")
REFERENCE = Reference(metric=ASYMMETRY, resolution=0.01, why="w")


def figure(**parts: Any) -> Figure:
    return Figure(schema_version=1, kind="figure", title="t", caption="c", **parts)


def run(metrics: Mapping[str, float], claims: Mapping[str, Any] | None = None) -> RecordedRun:
    return RecordedRun(
        seed=0,
        recorded_at="2026-01-02T03:04:05+00:00",
        device="cpu",
        versions={},
        machine=Machine("x86_64", "Linux", 2, None),
        metrics=metrics,
        claims=claims or {},
        steps=(),
    )


def runs(*values: float, claims: Mapping[str, Any] | None = None) -> list[RecordedRun]:
    return [run({ASYMMETRY: value}, claims) for value in values]


def claim_verdict(claim: Claim, metrics: Mapping[str, float], **parts: Any) -> ClaimVerdict:
    (verdict,) = judge(figure(claims=(claim,), **parts), metrics, {}, []).claims
    return verdict


def reference_verdict(metrics: Mapping[str, float], recorded: list[RecordedRun]) -> str:
    (verdict,) = judge(figure(references=(REFERENCE,)), metrics, {}, recorded).references
    return verdict.verdict


@pytest.mark.parametrize(
    ("value", "noise", "expected"),
    [
        (0.25, 0.1, "supported"),  # the bound itself belongs to the claim
        (0.2, 9.0, "supported"),  # below the bound, whatever chance could do
        (0.3, 0.4, "inconclusive"),  # chance alone reaches further
        (0.3, 0.3, "inconclusive"),
        (0.5, 0.4, "not supported"),
        (0.3, None, "not supported"),
    ],
)
def test_an_upper_bound_and_its_noise(value: float, noise: float | None, expected: str) -> None:
    metrics = {ASYMMETRY: value} | ({} if noise is None else {NOISE: noise})
    verdict = claim_verdict(SYMMETRIC, metrics)
    assert verdict.verdict == expected
    assert (verdict.value, verdict.relation, verdict.bound) == (value, "at_most", 0.25)
    assert ("chance alone reaches" in verdict.reason) == (expected == "inconclusive")


@pytest.mark.parametrize(
    ("value", "expected"), [(0.9, "supported"), (1.0, "supported"), (0.8999, "not supported")]
)
def test_a_lower_bound(value: float, expected: str) -> None:
    verdict = claim_verdict(ACCURATE, {ACCURACY: value})
    assert (verdict.verdict, verdict.relation, verdict.bound) == (expected, "at_least", 0.9)


@pytest.mark.parametrize(
    ("value", "noise", "expected"),
    [
        (0.25, 0.3, "supported"),  # the bound itself belongs to the claim
        (0.3, 0.4, "supported"),
        (0.2, 0.1, "inconclusive"),  # chance alone falls further
        (0.2, 0.2, "inconclusive"),
        (0.05, 0.1, "not supported"),
        (0.2, None, "not supported"),
        (0.2, math.nan, "not supported"),
    ],
)
def test_a_lower_bound_and_its_noise(value: float, noise: float | None, expected: str) -> None:
    claim = Claim(
        id="lopsided", statement="s", where="w", metric=ASYMMETRY, at_least=0.25, noise=NOISE
    )
    verdict = claim_verdict(claim, {ASYMMETRY: value} | ({} if noise is None else {NOISE: noise}))
    assert verdict.verdict == expected
    assert ("chance alone falls to" in verdict.reason) == (expected == "inconclusive")


def test_a_claim_not_measured_is_inconclusive_with_the_stages_reason_and_fails() -> None:
    missing = {ASYMMETRY: "the Hessian is zero"}
    verdicts = judge(figure(claims=(SYMMETRIC,)), {}, missing, [])
    assert verdicts.claims[0].verdict == "inconclusive"
    assert verdicts.claims[0].value is None
    assert verdicts.claims[0].reason == "not measured: the Hessian is zero"
    assert verdicts.status == "not recorded"
    assert verdicts.failures == ["claim symmetric: not measured: the Hessian is zero"]
    # Not even where the recorded runs could not measure it either.
    recorded = runs(0.1, claims={"symmetric": "inconclusive"})
    again = judge(figure(claims=(SYMMETRIC,)), {}, missing, recorded)
    assert (again.status, again.failures) == ("changed", verdicts.failures)


@pytest.mark.parametrize("residual", [2e-4, math.nan, math.inf, None])
def test_a_violated_identity_leaves_no_claim_standing(residual: float | None) -> None:
    metrics = {ASYMMETRY: 0.1, ACCURACY: 1.0} | ({} if residual is None else {EULER: residual})
    verdicts = judge(figure(claims=(SYMMETRIC, ACCURATE), identities=(EXACT,)), metrics, {}, [])
    assert verdicts.identities[0].verdict == "violated"
    assert [claim.verdict for claim in verdicts.claims] == ["inconclusive", "inconclusive"]
    assert all("identities do not hold" in claim.reason for claim in verdicts.claims)
    assert verdicts.status == "failed"


def test_an_identity_holds_up_to_its_bound() -> None:
    verdicts = judge(
        figure(claims=(ACCURATE,), identities=(EXACT,)), {ACCURACY: 1, EULER: 1e-4}, {}, []
    )
    assert verdicts.identities[0].verdict == "holds"
    assert verdicts.claims[0].verdict == "supported"
    assert verdicts.failures == []


def test_nan_supports_nothing() -> None:
    metrics = {ASYMMETRY: math.nan, NOISE: math.nan, ACCURACY: math.nan}
    verdicts = judge(
        figure(claims=(SYMMETRIC, ACCURATE), references=(REFERENCE,)), metrics, {}, runs(1, 2, 3)
    )
    assert [claim.verdict for claim in verdicts.claims] == ["not supported", "not supported"]
    assert verdicts.references[0].verdict == "outside"
    assert verdicts.status == "changed"


def test_references() -> None:
    recorded = runs(1.0, 1.1, 1.2)
    assert reference_verdict({ASYMMETRY: 1.15}, recorded) == "within"
    assert reference_verdict({ASYMMETRY: 1.7}, recorded) == "outside"
    assert reference_verdict({}, recorded) == "missing"
    assert reference_verdict({}, []) == "missing"
    for few in range(MIN_RUNS):
        assert reference_verdict({ASYMMETRY: 1.0}, runs(*[1.0] * few)) == "no tolerance"
    # Runs that could not measure it say nothing about its spread.
    without = [run({}), *runs(1.0, 1.0)]
    assert reference_verdict({ASYMMETRY: 1.0}, without) == "no tolerance"


def test_recorded_runs_that_all_agree_leave_the_resolution() -> None:
    recorded = runs(1.0, 1.0, 1.0)
    assert reference_verdict({ASYMMETRY: 1.0099}, recorded) == "within"
    assert reference_verdict({ASYMMETRY: 0.9901}, recorded) == "within"
    assert reference_verdict({ASYMMETRY: 1.0101}, recorded) == "outside"


def test_the_prediction_interval_by_hand() -> None:
    # Mean 3, s² = (4+1+0+1+4)/4 = 2.5, t(0.975; 4) = 2.776445 (table), so
    # half = 2.776445 · √2.5 · √1.2 = 4.808944.
    low, high = prediction_interval([1.0, 2.0, 3.0, 4.0, 5.0], 0.01)
    # The table's six decimals, times √3 and rounded once more.
    assert (low, high) == pytest.approx((3 - 4.808944, 3 + 4.808944), abs=2e-6)
    # Two degrees of freedom: t(0.975; 2) = 4.302653, s = 1, half = 4.302653 · √(4/3) = 4.968276.
    low, high = prediction_interval([1.0, 2.0, 3.0], 0.01)
    assert (low, high) == pytest.approx((2 - 4.968276, 2 + 4.968276), abs=2e-6)


def test_a_resolution_wider_than_the_spread_wins() -> None:
    assert prediction_interval([1.0, 2.0, 3.0], 10.0) == (-8.0, 12.0)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0]])
def test_too_few_runs_have_no_interval(values: list[float]) -> None:
    with pytest.raises(ValueError, match="needs 3"):
        prediction_interval(values, 0.01)


def test_intervals_that_hold_together_are_wider():
    # t quantiles of four degrees of freedom: 0.975 and 0.995.
    (low, _), (wider, _) = (prediction_interval([1, 2, 3, 4, 5], 0.01, k) for k in (1, 5))
    assert (3 - wider) / (3 - low) == pytest.approx(4.604095 / 2.776445, rel=1e-6)


@pytest.mark.parametrize("recorded", [3, 10])
def test_the_prediction_interval_covers_a_new_run_19_times_in_20(recorded: int) -> None:
    trials = 2000
    draws = np.random.default_rng(8).normal(5.0, 2.0, size=(trials, recorded + 1))
    covered = 0
    for *seen, new in draws.tolist():
        low, high = prediction_interval(seen, 1e-9)
        covered += low <= new <= high
    # Four binomial standard deviations: 4 √(0.05 · 0.95 / 2000) = 0.0195. The interval of the mean,
    # without the new run's own spread, would cover some 66 % (n = 3), one with 1.96 for t some 82 %.
    assert covered / trials == pytest.approx(0.95, abs=0.0195)


def test_an_interval_stays_where_its_number_can_be() -> None:
    shares = [0.9, 1.0, 0.95, 0.99]
    recorded = [run({ACCURACY: share}) for share in shares]
    reference = Reference(metric=ACCURACY, resolution=0.01, why="a hundredth")
    (verdict,) = judge(
        figure(references=(reference,)), {ACCURACY: 0.97}, {}, recorded, {ACCURACY: SHARE}
    ).references
    low, high = prediction_interval(shares, 0.01)
    assert high > 1
    assert (verdict.low, verdict.high, verdict.verdict) == (low, 1.0, "within")
    assert isinstance(verdict.high, float)  # as when it is read back


def test_recorded_verdicts_are_collected_over_runs() -> None:
    recorded = [
        *runs(1.0, claims={"symmetric": "supported"}),
        *runs(1.0, claims={"symmetric": "not supported"}),
        *runs(1.0, claims={"another": "inconclusive"}),
    ]
    (claim,) = judge(figure(claims=(SYMMETRIC,)), {ASYMMETRY: 9.0}, {}, recorded).claims
    assert claim.recorded == ("not supported", "supported")
    assert not claim.changed
