"""Rank correlation against SciPy's and against enumeration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from ssbrepro.statistics.ranks import permuted_rank_correlations, rank_correlation

pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12)


def test_any_rising_relation_is_one_and_any_falling_one_minus_one():
    x = np.array([0.1, 3.0, 0.5, 90.0])
    assert rank_correlation(x, np.exp(x / 10)) == pytest.approx(1, rel=1e-14)
    assert rank_correlation(x, -(x**3)) == pytest.approx(-1, rel=1e-14)


@given(pairs)
def test_it_is_scipys_ties_included(values):
    left, right = np.array(values).T
    if np.ptp(left) and np.ptp(right):
        expected = spearmanr(left, right).statistic
        assert rank_correlation(left, right) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("pair", [([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [0, 0, 0])])
def test_what_stays_the_same_has_no_order(pair):
    with pytest.raises(ValueError, match="stays the same"):
        rank_correlation(*pair)


def test_shuffled_series_correlate_as_all_orders_do():
    draws = permuted_rank_correlations([5, 7, 9], [1, 2, 8], np.random.default_rng(0), 3000)
    # The six orders of three: 1, -1, and twice each 1/2 and -1/2.
    values, counts = np.unique(draws.round(12), return_counts=True)
    np.testing.assert_allclose(values, [-1, -0.5, 0.5, 1], atol=1e-12)
    # Binomial shares of 3000 draws: a standard error of at most 0.009, five of them.
    np.testing.assert_allclose(counts / 3000, [1 / 6, 1 / 3, 1 / 3, 1 / 6], atol=0.045)


def test_the_generator_determines_the_orders():
    first, again = (
        permuted_rank_correlations(range(6), range(6), np.random.default_rng(1), 5)
        for _ in range(2)
    )
    assert np.array_equal(first, again)
