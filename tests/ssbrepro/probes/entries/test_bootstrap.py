"""Bootstrap means against the law written out: all resamples of a few examples."""

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from ssbrepro.probes.entries import bootstrap
from ssbrepro.probes.entries.bootstrap import bootstrap_cumulants, bootstrap_means

# Sums of at most some hundred terms of order ten in float64.
EXACT = 1e-12
SIZES = range(1, 5)


def examples(rows=4, columns=3, seed=0):
    """Skewed values, of which no two resamples have the same mean by accident."""
    return np.random.default_rng(seed).exponential(size=(rows, columns)) - 0.4


def all_means(values, resample_size):
    """The mean of each of the n^b resamples, all equally likely, (n^b, columns)."""
    resamples = itertools.product(range(len(values)), repeat=resample_size)
    return np.array([values[list(one)].mean(axis=0) for one in resamples])


def cumulants(sample):
    """Of the law that is uniform over the sample, by its definition from central moments."""
    mean = sample.mean(axis=0)
    second, third, fourth = (((sample - mean) ** order).mean(axis=0) for order in (2, 3, 4))
    return np.stack([mean, second, third, fourth - 3 * second**2])


@pytest.mark.parametrize("resample_size", SIZES)
def test_the_closed_form_is_that_of_all_resamples(resample_size):
    values = examples()
    received = bootstrap_cumulants(values, 4, resample_size)
    expected = cumulants(all_means(values, resample_size))
    assert np.abs(expected).min() > 1e-3
    np.testing.assert_allclose(received, expected, rtol=0, atol=EXACT)
    # Of one draw divided by powers of b, by another way.
    powers = float(resample_size) ** np.arange(4)[:, None]
    np.testing.assert_allclose(received * powers, cumulants(values), rtol=0, atol=EXACT)


@pytest.mark.parametrize("resample_size", SIZES)
def test_examples_that_are_not_given_are_zero(resample_size):
    values = examples(rows=2)
    padded = np.concatenate([values, np.zeros((2, 3))])
    received = bootstrap_cumulants(values, 4, resample_size)
    np.testing.assert_allclose(received, cumulants(all_means(padded, resample_size)), atol=EXACT)
    one, other = (
        bootstrap_means(given, 4, resample_size, 500, np.random.default_rng(0))
        for given in (values, padded)
    )
    np.testing.assert_allclose(one, other, rtol=0, atol=EXACT)


@pytest.mark.parametrize("rows", [4, 2])
@pytest.mark.parametrize("resample_size", SIZES)
def test_draws_have_the_law_of_all_resamples(resample_size, rows):
    values = examples(rows=rows, columns=1)
    every = np.concatenate([values, np.zeros((4 - rows, 1))])

    def outcomes(means):
        return Counter(np.round(means[:, 0], 9).tolist())  # the order of a sum does not matter

    likely = outcomes(all_means(every, resample_size))
    # At least 10 expected in the rarest of the 4^b outcomes.
    draws = 10 * 4**resample_size
    drawn = outcomes(bootstrap_means(values, 4, resample_size, draws, np.random.default_rng(1)))
    assert set(drawn) <= set(likely)
    observed = [drawn[outcome] for outcome in likely]
    expected = [draws * count / 4**resample_size for count in likely.values()]
    # Fails once in a thousand seeds; the seed is fixed.
    assert chisquare(observed, expected).pvalue > 1e-3


@pytest.mark.parametrize("resample_size", [1, 7, 30])
def test_many_examples_keep_to_the_closed_form_within_the_monte_carlo_error(resample_size):
    values = examples(rows=20)  # of 30; with 30 a draw the usual bootstrap of the mean
    draws = 20_000
    exact = bootstrap_cumulants(values, 30, resample_size)
    means = bootstrap_means(values, 30, resample_size, draws, np.random.default_rng(2))
    assert means.shape == (draws, 3)
    found = cumulants(means)
    # Standard errors of a sample's mean and variance; five of them.
    errors = np.sqrt(np.stack([exact[1], exact[3] + 2 * exact[1] ** 2]) / draws)
    assert (np.abs(found[:2] - exact[:2]) < 5 * errors).all()


def test_all_columns_see_the_same_examples():
    values = examples(rows=6, columns=1) * [1, -2]
    means = bootstrap_means(values, 9, 3, 100, np.random.default_rng(3))
    np.testing.assert_allclose(means[:, 1], -2 * means[:, 0], rtol=0, atol=EXACT)
    assert means[:, 0].std() > 0


@pytest.mark.parametrize("block", [1, 50, 1000])
def test_how_many_draws_are_held_at_once_changes_nothing_but_rounding(block, monkeypatch):
    def draws():
        return bootstrap_means(examples(), 5, 3, 101, np.random.default_rng(4))

    expected = draws()
    monkeypatch.setattr(bootstrap, "_BLOCK", block)
    np.testing.assert_allclose(draws(), expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize("sizes", [(3, 1, 1), (0, 1, 1), (4, 0, 1), (4, 1, 0)])
def test_sizes_that_make_no_sense_are_refused(sizes):
    with pytest.raises(ValueError, match="4 given"):
        bootstrap_means(examples(), *sizes, np.random.default_rng(0))


@pytest.mark.parametrize("resample_size", [1, 3, 4, 80])  # some as sparse products, some dense
@pytest.mark.parametrize("given", [60, 64, 80])
def test_means_are_those_of_the_examples_drawn(resample_size, given):
    values = examples(rows=given)
    padded = np.concatenate([values, np.zeros((80 - given, 3))])
    drawn = np.random.default_rng(3).integers(80, size=(50, resample_size))
    received = bootstrap_means(values, 80, resample_size, 50, np.random.default_rng(3))
    np.testing.assert_allclose(received, padded[drawn].mean(axis=1), rtol=0, atol=EXACT)
