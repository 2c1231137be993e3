"""Verdicts: every one of them, and that nothing unknown or unmeasured ever passes."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from repro.manifests.models import Claim, Figure, Identity, Reference
from repro.outcome.checks import judge
from repro.outcome.intervals import MIN_RUNS, prediction_interval
from repro.outcome.record import Machine
from repro.outcome.references import RecordedRun
from repro.outcome.verdicts import ClaimVerdict, ReferenceVerdict
from ssbrepro.domains import SHARE

ASYMMETRY, NOISE = "spectrum.asymmetry_max", "spectrum.asymmetry_noise"
BROKEN = "spectrum.asymmetry_broken"
EULER = "spectrum.euler_residual_max"
ACCURACY = "training.final_accuracy"

SYMMETRIC = Claim(
    id="symmetric", statement="s", where="w", metric=ASYMMETRY, at_most=0.25, noise=NOISE,
    no_control="n",
)  # fmt: skip
CONTROLLED = Claim(
    id="controlled", statement="s", where="w", metric=ASYMMETRY, at_most=0.25, control=BROKEN
)
ACCURATE = Claim(
    id="accurate", statement="s", where="w", metric=ACCURACY, at_least=0.9, no_control="n"
)
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
    ],
)
def test_an_upper_bound_and_its_noise(value: float, noise: float, expected: str) -> None:
    verdict = claim_verdict(SYMMETRIC, {ASYMMETRY: value, NOISE: noise})
    assert verdict.verdict == expected
    assert (verdict.value, verdict.relation, verdict.bound) == (value, "at_most", 0.25)
    assert verdict.noise == noise
    by_chance = f"chance alone reaches {noise:g} at this profile if the statement holds exactly; "
    by_chance += f"measured: {value:g}"
    assert (verdict.cause, verdict.reason) == (
        ("by chance", by_chance) if expected == "inconclusive" else ("", "")
    )


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
    ],
)
def test_a_lower_bound_and_its_noise(value: float, noise: float, expected: str) -> None:
    claim = Claim(
        id="lopsided", statement="s", where="w", metric=ASYMMETRY, at_least=0.25, noise=NOISE,
        no_control="n",
    )  # fmt: skip
    verdict = claim_verdict(claim, {ASYMMETRY: value, NOISE: noise})
    assert verdict.verdict == expected
    assert ("chance alone falls to" in verdict.reason) == (expected == "inconclusive")


@pytest.mark.parametrize("noise", [None, math.nan])
def test_chance_that_is_not_measured_excuses_nothing_and_is_no_verdict(noise: float | None) -> None:
    chance = {} if noise is None else {NOISE: noise}
    verdict = claim_verdict(SYMMETRIC, {ASYMMETRY: 0.3} | chance)
    assert (verdict.verdict, verdict.cause) == ("inconclusive", "not measured")
    assert verdict.reason == "what chance alone does is not measured: no such number"
    # Where the bound is met, chance decides over nothing.
    assert claim_verdict(SYMMETRIC, {ASYMMETRY: 0.2} | chance).verdict == "supported"


@pytest.mark.parametrize(
    ("value", "control", "expected", "cause"),
    [
        (0.2, 0.3, "supported", ""),
        (0.2, 0.25, "inconclusive", "without power"),  # the bound itself belongs to the claim
        (0.2, 0.1, "inconclusive", "without power"),
        (0.2, None, "inconclusive", "not measured"),
        (0.2, math.nan, "inconclusive", "not measured"),
        (0.3, 0.1, "not supported", ""),  # beyond the bound, whatever the control does
        (0.3, None, "not supported", ""),
    ],
)
def test_an_upper_bound_and_its_control(
    value: float, control: float | None, expected: str, cause: str
) -> None:
    metrics = {ASYMMETRY: value} | ({} if control is None else {BROKEN: control})
    verdict = claim_verdict(CONTROLLED, metrics)
    assert (verdict.verdict, verdict.cause) == (expected, cause)
    assert verdict.control == (None if cause == "not measured" else control)
    if cause == "without power":
        gives = f"the control, where the statement is false, gives {control:g}"
        assert verdict.reason == f"{gives} and is within the bound as 0.2 is"


@pytest.mark.parametrize(("control", "expected"), [(0.8, "supported"), (0.9, "inconclusive")])
def test_a_lower_bound_and_its_control(control: float, expected: str) -> None:
    claim = Claim(
        id="accurate", statement="s", where="w", metric=ACCURACY, at_least=0.9, control=BROKEN
    )
    verdict = claim_verdict(claim, {ACCURACY: 0.95, BROKEN: control})
    assert (verdict.verdict, verdict.cause) == (
        expected, "without power" if expected == "inconclusive" else ""
    )  # fmt: skip


def test_a_control_that_was_not_measured_fails_with_the_stages_reason() -> None:
    missing = {BROKEN: "no copy trains"}
    verdicts = judge(figure(claims=(CONTROLLED,)), {ASYMMETRY: 0.1}, missing, [])
    assert verdicts.failures == ["claim controlled: the control is not measured: no copy trains"]


def test_a_reason_why_there_is_no_control_is_kept() -> None:
    verdict = claim_verdict(ACCURATE, {ACCURACY: 1.0})
    assert (verdict.verdict, verdict.control, verdict.no_control) == ("supported", None, "n")


def test_a_measurement_without_power_is_a_finding_and_no_failure() -> None:
    reason = "without power: broken copies are as symmetric as intact ones"
    recorded = [run({}, {"symmetric": "inconclusive"})]
    verdicts = judge(figure(claims=(SYMMETRIC,)), {}, {ASYMMETRY: reason}, recorded)
    (claim,) = verdicts.claims
    assert (claim.verdict, claim.cause, claim.reason) == ("inconclusive", "without power", reason)
    assert (verdicts.status, verdicts.failures) == ("as recorded", [])
    # Where it had power when it was recorded, that is a change.
    recorded = runs(0.1, claims={"symmetric": "supported"})
    verdicts = judge(figure(claims=(SYMMETRIC,)), {}, {ASYMMETRY: reason}, recorded)
    assert verdicts.status == "changed"
    assert verdicts.failures == ["claim symmetric: inconclusive, recorded: supported"]


def test_a_claim_not_measured_is_inconclusive_with_the_stages_reason_and_fails() -> None:
    missing = {ASYMMETRY: "the Hessian is zero"}
    verdicts = judge(figure(claims=(SYMMETRIC,)), {}, missing, [])
    assert (verdicts.claims[0].verdict, verdicts.claims[0].cause) == (
        "inconclusive",
        "not measured",
    )
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
    assert {claim.cause for claim in verdicts.claims} == {"unsound"}
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
    assert {(claim.verdict, claim.cause) for claim in verdicts.claims} == {
        ("inconclusive", "not measured")
    }
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


def of_machine(processor: str, *values: float) -> list[RecordedRun]:
    machine = Machine("x86_64", "Linux", 2, None, processor)
    return [replace(one, machine=machine) for one in runs(*values)]


class TestSeveralMachines:
    """One seed on two machines is not two independent runs."""

    def verdict(self, recorded: list[RecordedRun], value: float = 1.0) -> ReferenceVerdict:
        (verdict,) = judge(
            figure(references=(REFERENCE,)), {ASYMMETRY: value}, {}, recorded
        ).references
        return verdict

    def test_what_any_of_them_makes_expect_is_expected(self) -> None:
        one, two = (1.0, 1.1, 1.2), (2.0, 2.1, 2.3, 2.2)
        both = self.verdict([*of_machine("A", *one), *of_machine("B", *two)])
        low, high = prediction_interval(one, 0.01)[0], prediction_interval(two, 0.01)[1]
        assert (both.low, both.high, both.runs, both.verdict) == (low, high, 7, "within")
        # What lies between machines is no sign that a run changed: it is what they differ by.
        assert self.verdict([*of_machine("A", *one), *of_machine("B", *two)], 1.7).low == low
        assert (
            self.verdict([*of_machine("A", *one), *of_machine("B", *two)], high).verdict == "within"
        )
        assert self.verdict(
            [*of_machine("A", *one), *of_machine("B", *two)], high + 0.01
        ).verdict == ("outside")

    def test_the_same_seeds_again_make_no_interval_narrower(self) -> None:
        values = (1.0, 1.1, 1.2)
        alone = self.verdict(of_machine("A", *values))
        twice = self.verdict([*of_machine("A", *values), *of_machine("B", *values)])
        assert (twice.low, twice.high) == (alone.low, alone.high)
        assert (alone.low, alone.high) == prediction_interval(values, 0.01)

    def test_a_machine_with_too_few_runs_adds_nothing(self) -> None:
        alone = self.verdict(of_machine("A", 1.0, 1.1, 1.2))
        assert self.verdict([*of_machine("A", 1.0, 1.1, 1.2), *of_machine("B", 7.0, 9.0)]) == alone

    def test_few_runs_of_many_machines_are_few(self) -> None:
        recorded = [*of_machine("A", 1.0, 1.1), *of_machine("B", 1.0), *of_machine("C", 1.0, 1.2)]
        verdict = self.verdict(recorded)
        assert (verdict.verdict, verdict.low, verdict.runs) == ("no tolerance", None, 2)


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
    metrics = {ASYMMETRY: 9.0, NOISE: 0.1}
    (claim,) = judge(figure(claims=(SYMMETRIC,)), metrics, {}, recorded).claims
    assert claim.recorded == ("not supported", "supported")
    assert not claim.changed


NEAR = [
    run({ASYMMETRY: value, BROKEN: control}, {"controlled": "not supported"})
    for value, control in [(0.255, 1.0), (0.262, 1.1), (0.27, 1.05), (0.28, 0.95), (0.26, 1.0)]
]


@pytest.mark.parametrize(
    ("value", "control", "bound", "verdict", "changed"),
    [
        (0.249, 1.02, 0.25, "supported", False),  # a draw of the same law, on the other side
        (0.1, 1.02, 0.25, "supported", True),
        (0.249, 0.2, 0.25, "inconclusive", True),  # the control is another one
        (0.249, 9.0, 0.25, "supported", True),
        (0.26, 1.02, 0.3, "supported", True),  # the bound has moved
    ],
)
def test_another_verdict_is_a_change_unless_its_numbers_are_as_recorded(
    value: float, control: float, bound: float, verdict: str, changed: bool
) -> None:
    claim = CONTROLLED.model_copy(update={"at_most": bound})
    metrics = {ASYMMETRY: value, BROKEN: control}
    (found,) = judge(figure(claims=(claim,)), metrics, {}, NEAR).claims
    assert (found.verdict, found.changed) == (verdict, changed)


def test_two_recorded_runs_make_no_verdict_expected() -> None:
    metrics = {ASYMMETRY: 0.249, BROKEN: 1.0}
    (found,) = judge(figure(claims=(CONTROLLED,)), metrics, {}, NEAR[:2]).claims
    assert found.changed
