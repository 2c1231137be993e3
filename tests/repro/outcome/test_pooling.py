"""Verdicts over seeds: the truth is known of each, and what is not known supports nothing."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.manifests.library import FigureManifest, Library
from repro.manifests.models import Claim, Figure, Identity
from repro.outcome import wording
from repro.outcome.intervals import mean_interval
from repro.outcome.pooling import (
    MIN_SEEDS,
    ClaimStatistics,
    PooledVerdict,
    Spread,
    pool,
    pool_runs,
    spreads_of,
)
from repro.outcome.references import (
    RecordedRun,
    recorded_runs,
    write_references,
    write_runs,
)
from ssbrepro.contract import WITHOUT_POWER
from ssbrepro.domains import NON_NEGATIVE, SHARE, Domain
from tests.fakes import FIGURE, copy_manifests, record_of, recorded_run_of

VALUE, NOISE, CONTROL, EULER = "stage.value", "stage.noise", "stage.control", "stage.euler"

# The interval of these five is 3 ± 1.963243 (s² = 2.5, t(0.975; 4) = 2.776445).
FIVE = (1.0, 2.0, 3.0, 4.0, 5.0)
LOW, HIGH = 3 - 1.963243, 3 + 1.963243


class Seed(NamedTuple):
    """What one seed measured."""

    metrics: Mapping[str, float]
    missing: Mapping[str, str] = {}


def seeds(values: Sequence[float | None], **others: float) -> list[Seed]:
    """One a value, each with the other numbers; where there is no value, for want of power."""
    extra = {f"stage.{name}": number for name, number in others.items()}
    return [
        Seed({VALUE: value} | extra)
        if value is not None
        else Seed(extra, {VALUE: f"{WITHOUT_POWER}: alike"})
        for value in values
    ]


def claim(**parts: Any) -> Claim:
    parts = {"no_control": "n"} | parts if "control" not in parts else parts
    return Claim(id="c", statement="s", where="w", metric=VALUE, **parts)


def pooled(
    of: Claim,
    runs: Sequence[Seed],
    identities: tuple[Identity, ...] = (),
    **domains: Domain,
) -> PooledVerdict:
    figure = Figure(
        schema_version=1, kind="figure", title="t", caption="c", claims=(of,), identities=identities
    )
    known = {f"stage.{name}": domain for name, domain in domains.items()}
    (verdict,) = pool(figure, runs, known)
    return verdict


@pytest.mark.parametrize(
    ("bound", "verdict", "cause"),
    [
        ({"at_most": HIGH + 1e-5}, "supported", ""),
        ({"at_most": HIGH - 1e-5}, "inconclusive", "crosses the bound"),
        ({"at_most": LOW + 1e-5}, "inconclusive", "crosses the bound"),
        ({"at_most": LOW - 1e-5}, "not supported", ""),
        ({"at_least": LOW - 1e-5}, "supported", ""),
        ({"at_least": LOW + 1e-5}, "inconclusive", "crosses the bound"),
        ({"at_least": HIGH - 1e-5}, "inconclusive", "crosses the bound"),
        ({"at_least": HIGH + 1e-5}, "not supported", ""),
    ],
)
def test_the_interval_decides(bound: dict[str, float], verdict: str, cause: str) -> None:
    found = pooled(claim(**bound), seeds(FIVE))
    assert (found.verdict, found.cause) == (verdict, cause)
    assert (found.low, found.high) == pytest.approx((LOW, HIGH), abs=2e-6)
    assert (found.mean, found.smallest, found.largest) == (3.0, 1.0, 5.0)
    assert (found.seeds, found.measured, found.unsound) == (5, 5, 0)


def test_why_there_is_no_control_is_said_along() -> None:
    without = pooled(claim(at_most=4.0), seeds(FIVE))
    assert (without.no_control, without.control) == ("n", None)
    controlled = pooled(claim(at_most=4.0, control="stage.control"), seeds(FIVE, control=9.0))
    assert (controlled.no_control, controlled.control) == ("", 9.0)


@pytest.mark.parametrize("relation", ["at_most", "at_least"])
def test_the_bound_itself_is_within(relation: str) -> None:
    # Seeds that all agree have an interval of no width: both of its ends are on the bound.
    found = pooled(claim(**{relation: 0.1}), seeds([0.1] * 7))
    assert (found.low, found.high, found.verdict) == (0.1, 0.1, "supported")
    # One end on the bound, the other within and beyond it.
    low, high = mean_interval(FIVE)
    ends = {"at_most": (high, low), "at_least": (low, high)}[relation]
    verdicts = [pooled(claim(**{relation: end}), seeds(FIVE)).verdict for end in ends]
    assert verdicts == ["supported", "inconclusive"]


def test_the_interval_ends_where_its_number_does() -> None:
    shares = [0.9, 1.0, 1.0, 1.0, 1.0]
    found = pooled(claim(at_least=0.9), seeds(shares), value=SHARE)
    low, high = mean_interval(shares)
    assert high > 1
    assert (found.low, found.high) == (low, 1.0)
    # What cannot be above its bound is not held against a claim: a mean of no shares but whole ones.
    assert pooled(claim(at_least=1.0), seeds([1.0] * 5), value=SHARE).verdict == "supported"
    # A number that may be zero is not wholly beyond zero, and that it may not be less is no support.
    found = pooled(claim(at_most=0.0), seeds([0, 0, 0, 0, 1]), value=NON_NEGATIVE)
    assert (found.low, found.verdict) == (0.0, "inconclusive")


@pytest.mark.parametrize("number", range(MIN_SEEDS))
def test_few_seeds_say_nothing(number: int) -> None:
    found = pooled(claim(at_most=1.0), seeds([0.5] * number))
    assert (found.verdict, found.cause) == ("inconclusive", "not measured")
    noun = "seed" if number == 1 else "seeds"
    assert found.reason == f"{number} {noun}; a pooled verdict needs 5"
    assert found.mean == (0.5 if number else None)
    assert found.low == (0.5 if number > 1 else None)
    assert found.has_few_seeds == (number > 0)
    said = f"too few seeds ({number} supported)" if number else "not measured"
    assert wording.verdict(found) == f"inconclusive: {said}"


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ([1.0] * 5 + [None] * 5, ""),  # enough had power
        ([1.0] * 4 + [None], "without power"),
        ([None] * 5, "without power"),
        ([1.0] * 3 + [None], "not measured"),  # nor would power have made them enough
    ],
)
def test_seeds_without_power(values: list[float | None], cause: str) -> None:
    found = pooled(claim(at_most=2.0), seeds(values))
    assert found.cause == cause
    assert found.verdict == ("inconclusive" if cause else "supported")
    assert (found.seeds, found.measured) == (len(values), sum(one is not None for one in values))
    if cause == "without power":
        assert found.reason == f"no power at {values.count(None)} of 5 seeds"


def test_a_value_that_is_missing_for_another_reason_is_not_measured() -> None:
    runs = [*seeds([1.0] * 4), Seed({}, {VALUE: "the Hessian is zero"})]
    assert pooled(claim(at_most=2.0), runs).cause == "not measured"


CONTROLLED = claim(at_most=6.0, control=CONTROL)


def with_controls(controls: Sequence[float]) -> list[Seed]:
    pairs = zip(FIVE, controls, strict=False)
    return [Seed({VALUE: value, CONTROL: control}) for value, control in pairs]


@pytest.mark.parametrize(
    ("controls", "verdict", "cause"),
    [
        ([9.0] * 5, "supported", ""),
        ([5.0] * 5, "inconclusive", "without power"),
        ([6.0] * 5, "inconclusive", "without power"),  # on the bound is within
        # One seed of five, whatever the others are.
        ([6.0, 70.0, 80.0, 90.0, 100.0], "inconclusive", "without power"),
        # None, though the interval of their mean reaches far into the bound.
        ([6.1, 7.0, 8.0, 9.0, 1e4], "supported", ""),
    ],
)
def test_support_that_the_control_has_too_is_without_power(
    controls: list[float], verdict: str, cause: str
) -> None:
    found = pooled(CONTROLLED, with_controls(controls))
    assert (found.verdict, found.cause) == (verdict, cause)
    assert found.control == np.median(controls)
    assert (
        "the control, where the statement is false, meets the bound in" in found.reason
    ) == bool(cause)


def test_a_control_decides_over_nothing_but_support() -> None:
    alike = [one._replace(metrics={**one.metrics, CONTROL: 0.0}) for one in seeds(FIVE)]
    for bound, cause in ((LOW - 0.1, ""), (3.0, "crosses the bound")):
        assert pooled(claim(at_most=bound, control=CONTROL), alike).cause == cause


def test_a_control_that_was_not_recorded_supports_nothing() -> None:
    found = pooled(CONTROLLED, seeds(FIVE))
    assert (found.verdict, found.cause) == ("inconclusive", "not measured")
    assert (found.control, found.reason) == (None, "the control is not recorded")
    some = [*with_controls([9.0] * 4), Seed({VALUE: 5.0})]
    found = pooled(CONTROLLED, some)
    assert found.cause == "not measured"
    assert found.reason == "the control is known of 4 seeds; a pooled verdict needs 5"


@pytest.mark.parametrize(
    ("noises", "verdict", "cause"),
    [
        ([2.9] * 5, "not supported", ""),
        ([3.0] * 5, "inconclusive", "by chance"),  # the mean is 3
        ([0.0, 0.0, 0.0, 0.0, 15.0], "inconclusive", "by chance"),  # so is theirs
        ([0.0, 0.0, 0.0, 0.0, 14.0], "not supported", ""),
    ],
)
def test_a_miss_that_chance_alone_makes_is_inconclusive(
    noises: list[float], verdict: str, cause: str
) -> None:
    runs = [Seed({VALUE: value, NOISE: noise}) for value, noise in zip(FIVE, noises, strict=True)]
    found = pooled(claim(at_most=1.0, noise=NOISE), runs)
    assert (found.verdict, found.cause) == (verdict, cause)
    assert found.noise == np.median(noises)


def test_chance_below_a_lower_bound() -> None:
    lower = claim(at_least=6.0, noise=NOISE)
    assert pooled(lower, seeds(FIVE, noise=3.0)).cause == "by chance"
    assert pooled(lower, seeds(FIVE, noise=2.9)).cause == "by chance"
    assert pooled(lower, seeds(FIVE, noise=3.1)).verdict == "not supported"


def test_chance_that_was_not_recorded_is_no_verdict() -> None:
    found = pooled(claim(at_most=1.0, noise=NOISE), seeds(FIVE))
    assert (found.cause, found.reason) == ("not measured", "what chance alone does is not recorded")


def test_runs_whose_identities_do_not_hold_count_for_nothing() -> None:
    exact = Identity(id="euler", metric=EULER, at_most=1e-4, why="w")
    good, bad = seeds([1.0] * 5, euler=1e-5), seeds([9.0] * 3, euler=1e-3)
    found = pooled(claim(at_most=2.0), good + bad, (exact,))
    assert (found.verdict, found.seeds, found.unsound, found.largest) == ("supported", 5, 3, 1.0)
    found = pooled(claim(at_most=2.0), good[:4] + bad + seeds([1.0]), (exact,))
    assert (found.cause, found.measured, found.unsound) == ("not measured", 4, 4)


def test_statistics_count_what_control_and_chance_would_be_called() -> None:
    numbers = [(1.0, 7.0), (6.0, 5.0), (7.0, 4.0), (8.0, 3.0), (9.0, 6.0)]
    runs = [
        Seed({VALUE: value, CONTROL: control, NOISE: noise})
        for value, (control, noise) in zip(FIVE, numbers, strict=True)
    ]
    found = pooled(claim(at_most=6.0, control=CONTROL, noise=NOISE), [*runs, Seed({VALUE: 3.0})])
    # Controls 1 and 6 are within 6; of the noises all but 7. The sixth seed measured neither.
    assert found.statistics == ClaimStatistics(2, 5, 4, 5)
    # Of the five, the third: a measured 3 within 6 whose control misses it. The sixth has none.
    assert found.own == {"supported": 3, "not supported": 0, "inconclusive": 3}


VALUES = st.lists(st.floats(-1e6, 1e6), min_size=MIN_SEEDS, max_size=12)


@given(VALUES, st.floats(-1e6, 1e6))
def test_what_is_claimed_below_and_above_a_bound_is_never_both(
    values: list[float], bound: float
) -> None:
    runs = seeds(values)
    below = pooled(claim(at_most=bound), runs)
    above = pooled(claim(at_least=bound), runs)
    words = {below.verdict, above.verdict}
    assert words in ({"supported", "not supported"}, {"inconclusive"}, {"supported", "inconclusive"},
                     {"supported"})  # fmt: skip
    # An end on the bound is within both: then neither is refuted, and both hold of a point only.
    if words == {"supported"}:
        assert below.low == below.high == bound


@given(VALUES, st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_a_weaker_claim_never_fares_worse(values: list[float], bound: float, more: float) -> None:
    order = ("not supported", "inconclusive", "supported")
    strict, weak = (pooled(claim(at_most=one), seeds(values)) for one in (bound, bound + more))
    assert order.index(weak.verdict) >= order.index(strict.verdict)


@given(VALUES, st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_control_only_takes_support_away(
    values: list[float], bound: float, control: float
) -> None:
    plain = pooled(claim(at_most=bound), seeds(values))
    controlled = pooled(claim(at_most=bound, control=CONTROL), seeds(values, control=control))
    if plain.verdict == "supported" and control <= bound:
        assert controlled.cause == "without power"
    else:
        assert (controlled.verdict, controlled.cause) == (plain.verdict, plain.cause)


@given(VALUES, st.permutations(range(MIN_SEEDS)))
def test_the_order_of_seeds_is_nothing(values: list[float], order: list[int]) -> None:
    few = values[:MIN_SEEDS]
    shuffled = [few[index] for index in order]
    assert pooled(claim(at_most=0.0), seeds(few)) == pooled(claim(at_most=0.0), seeds(shuffled))


@pytest.mark.parametrize(("mean", "wrong"), [(0.25, 0.025), (0.0, 0.0)])
def test_a_true_claim_is_refuted_at_most_once_in_forty(mean: float, wrong: float) -> None:
    """Seeds of a normal law whose mean is on the bound, where it is hardest, or well within."""
    trials = 1500
    draws = np.random.default_rng(11).normal(mean, 0.1, size=(trials, MIN_SEEDS))
    found = [pooled(claim(at_most=0.25), seeds(row)).verdict for row in draws.tolist()]
    # Four binomial standard deviations: 4 √(0.025 · 0.975 / 1500) = 0.0161.
    assert found.count("not supported") / trials == pytest.approx(wrong, abs=0.0162)
    if mean == 0.25:  # nor is it then supported more often
        assert found.count("supported") / trials == pytest.approx(wrong, abs=0.0162)
    else:  # the bound is 5.6 deviations of the mean away, and the interval takes 2.8 of those measured
        assert found.count("supported") / trials > 0.95


def test_recorded_runs_are_pooled_with_where_their_numbers_lie(tmp_path: Any) -> None:
    manifest = Library(copy_manifests(tmp_path / "manifests")).load(FIGURE)
    assert {one.reason for one in pool_runs(manifest, recorded_runs(manifest, "smoke"))} == {
        "0 seeds; a pooled verdict needs 5"
    }
    accuracies = [0.9, 1.0, 1.0, 1.0, 1.0]
    write_references(
        manifest,
        "smoke",
        [
            record_of(seed=seed, metrics={"training.final_accuracy": accuracy}, missing={
                "training.final_loss": "without power: alike"
            })
            for seed, accuracy in enumerate(accuracies)
        ],
    )  # fmt: skip
    loss, accuracy = pool_runs(manifest, recorded_runs(manifest, "smoke"))
    assert (loss.verdict, loss.cause) == ("inconclusive", "without power")
    assert (accuracy.high, accuracy.cause) == (1.0, "crosses the bound")
    assert math.isclose(accuracy.mean or 0, 0.98)
    assert spreads_of(manifest, recorded_runs(manifest, "smoke")) == {
        "zero-loss": Spread((), (), ()),
        "full-accuracy": Spread((0.9, 1.0, 1.0, 1.0, 1.0), (), ()),
    }


class TestSeveralMachines:
    @pytest.fixture
    def manifest(self, tmp_path: Path) -> FigureManifest:
        return Library(copy_manifests(tmp_path / "manifests")).load(FIGURE)

    def runs(self, processor: str, losses: Sequence[float]) -> list[RecordedRun]:
        return [
            recorded_run_of(seed, processor, {
                "training.final_loss": loss, "training.max_order_parameter": 0.5,
                "training.final_accuracy": 1.0,
            })
            for seed, loss in enumerate(losses)
        ]  # fmt: skip

    def loss(self, manifest: FigureManifest, runs: Sequence[RecordedRun]) -> PooledVerdict:
        write_runs(manifest, "smoke", runs)
        return pool_runs(manifest, recorded_runs(manifest, "smoke"))[0]

    def test_the_same_seeds_on_another_machine_are_no_more_seeds(
        self, manifest: FigureManifest
    ) -> None:
        losses = [1e-4, 2e-4, 3e-4, 4e-4, 5e-4]
        alone = self.loss(manifest, self.runs("A", losses))
        assert (alone.verdict, alone.seeds) == ("supported", 5)
        again = self.loss(manifest, [*self.runs("A", losses), *self.runs("B", losses)])
        assert again == alone
        # Three seeds on two machines are not six.
        few = self.loss(manifest, [*self.runs("A", losses[:3]), *self.runs("B", losses[:3])])
        assert few.reason == "3 seeds; a pooled verdict needs 5"

    def test_a_seed_is_the_mean_of_its_machines(self, manifest: FigureManifest) -> None:
        runs = [*self.runs("A", [1e-4] * 6), *self.runs("B", [3e-4, 5e-4])]
        found = self.loss(manifest, runs)
        assert (found.seeds, found.measured) == (6, 6)
        assert found.mean == pytest.approx((2e-4 + 3e-4 + 4 * 1e-4) / 6, rel=1e-12)
        assert (found.smallest, found.largest) == pytest.approx((1e-4, 3e-4), rel=1e-12)
        assert found.own["supported"] == 6
