"""Intervals against tables, against SciPy, and against what they promise to cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit

from repro.outcome.intervals import (
    allowed_between_two,
    clipped,
    difference_interval,
    mean,
    mean_interval,
    prediction_interval,
    t_quantile,
)
from ssbrepro.domains import REAL, SHARE


@pytest.mark.parametrize("degrees", [*range(1, 30), 100, 999])
@pytest.mark.parametrize("probability", [0.6, 0.9, 0.975, 0.995, 0.99975])
def test_quantiles_are_those_of_scipy(probability: float, degrees: int) -> None:
    # One less the probability has 2.5e-4 at the least: rounding at 1e-16 of it is 4e-13.
    expected = stdtrit(degrees, probability)
    assert t_quantile(probability, degrees) == pytest.approx(expected, rel=2e-12)


def test_quantiles_with_closed_forms() -> None:
    # One degree of freedom: tan(π(p - 1/2)), so 1 at p = 3/4; two: √(2/(4p(1 - p)) · (2p - 1)²).
    assert t_quantile(0.75, 1) == pytest.approx(1, rel=1e-14)
    assert t_quantile(0.75, 2) == pytest.approx((2 / 3) ** 0.5, rel=1e-14)


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


def test_the_interval_of_a_mean_by_hand() -> None:
    # s² = 2.5 and t as above: half = 2.776445 · √(2.5/5) = 1.963243.
    low, high = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (low, high) == pytest.approx((3 - 1.963243, 3 + 1.963243), abs=1e-6)
    # Two values: t(0.975; 1) = 12.706205, s = √2/2, half = 12.706205 · s/√2.
    low, high = mean_interval([0.0, 1.0])
    assert (low, high) == pytest.approx((0.5 - 6.353102, 0.5 + 6.353102), abs=1e-6)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_one_value_has_no_interval(values: list[float]) -> None:
    with pytest.raises(ValueError, match="needs 2"):
        mean_interval(values)


@pytest.mark.parametrize("number", [5, 10])
def test_the_interval_of_a_mean_covers_it_19_times_in_20(number: int) -> None:
    trials = 2000
    draws = np.random.default_rng(9).normal(5.0, 2.0, size=(trials, number))
    covered = sum(low <= 5 <= high for low, high in map(mean_interval, draws.tolist()))
    # Four binomial standard deviations, as above. With 1.96 for t it were 0.88 of five, and with a
    # prediction interval 0.998.
    assert covered / trials == pytest.approx(0.95, abs=0.0195)


@given(st.floats(-1e9, 1e9), st.integers(2, 20))
def test_values_that_all_agree_are_their_own_interval(value: float, number: int) -> None:
    values = [value] * number
    assert mean(values) == value
    assert mean_interval(values) == (value, value)


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=20))
def test_a_mean_lies_among_its_values_and_in_its_interval(values: list[float]) -> None:
    low, high = mean_interval(values)
    assert min(values) <= mean(values) <= max(values)
    assert low <= mean(values) <= high


def test_an_interval_is_clipped_where_its_number_cannot_be() -> None:
    assert clipped((-0.5, 1.5), SHARE) == (0.0, 1.0)
    assert clipped((0.25, 0.5), SHARE) == (0.25, 0.5)
    assert clipped((-0.5, 1.5), REAL) == (-0.5, 1.5)
    # A sum of shares may round to more than one: no interval ends before it begins.
    assert clipped((1 + 1e-12, 1 + 1e-12), SHARE) == (1.0, 1.0)


def test_the_interval_of_a_difference_by_hand() -> None:
    # Equal spreads and sizes are Student's own case: s² = 1 each, 4 degrees of freedom,
    # t(0.975; 4) = 2.776445, half = 2.776445 · √(2/3) = 2.266958.
    low, high = difference_interval([1.0, 2.0, 3.0], [5.0, 6.0, 7.0])
    assert (low, high) == pytest.approx((4 - 2.266958, 4 + 2.266958), abs=1e-6)
    # Of values without a spread the other's degrees of freedom are left: t(0.975; 2) · √(1/3).
    low, high = difference_interval([2.0, 2.0, 2.0, 2.0], [5.0, 6.0, 7.0])
    assert (low, high) == pytest.approx((4 - 4.302653 / 3**0.5, 4 + 4.302653 / 3**0.5), abs=1e-6)
    assert difference_interval([1.0, 1.0], [3.0, 3.0]) == (2.0, 2.0)


@given(
    st.lists(st.floats(-100, 100), min_size=2, max_size=8),
    st.lists(st.floats(-100, 100), min_size=2, max_size=8),
)
def test_a_difference_is_that_of_scipy_but_for_whole_degrees(
    before: list[float], after: list[float]
) -> None:
    low, high = difference_interval(before, after)
    one, two = (np.var(values, ddof=1) / len(values) for values in (before, after))
    if one + two < 1e-9:  # SciPy calls that a loss of precision
        return
    degrees = (one + two) ** 2 / (one**2 / (len(before) - 1) + two**2 / (len(after) - 1))
    half = stdtrit(max(np.floor(degrees * (1 + 1e-12)), 1), 0.975) * np.sqrt(one + two)
    assert (high - low) / 2 == pytest.approx(half, rel=1e-6)
    assert low <= mean(after) - mean(before) <= high
    assert difference_interval(after, before) == pytest.approx((-high, -low), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("few", [([1.0], [1.0, 2.0]), ([1.0, 2.0], [1.0])])
def test_one_value_has_no_difference_of_means(few: tuple[list[float], list[float]]) -> None:
    with pytest.raises(ValueError, match="needs 2"):
        difference_interval(*few)


def test_two_new_runs_are_within_what_is_allowed_19_times_in_20() -> None:
    trials = 2000
    draws = np.random.default_rng(10).normal(5.0, 2.0, size=(trials, 7))
    within = 0
    for *seen, one, two in draws.tolist():
        within += abs(one - two) <= allowed_between_two(seen, 1e-9)
    # Four binomial standard deviations, as above.
    assert within / trials == pytest.approx(0.95, abs=0.0195)
    assert allowed_between_two([1.0, 2.0, 3.0], 100.0) == 100.0
    with pytest.raises(ValueError, match="needs 3"):
        allowed_between_two([1.0, 2.0], 0.1)


def test_means_that_hold_together_have_wider_intervals() -> None:
    # t quantiles of four degrees of freedom: 0.975 and 0.995.
    (low, _), (wider, _) = (mean_interval([1, 2, 3, 4, 5], k) for k in (1, 5))
    assert (3 - wider) / (3 - low) == pytest.approx(4.604095 / 2.776445, rel=1e-6)
