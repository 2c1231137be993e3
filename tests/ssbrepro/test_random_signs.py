"""Asymmetry under random signs: the short cut against flipping and sorting again."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ssbrepro.laws.random_signs import random_sign_asymmetries
from ssbrepro.statistics import reflection_asymmetries, sign_flip_test

# Sums of up to 60 terms in two orders, relative to their sum.
ROUNDING = 1e-13

integers = arrays(
    np.float64,
    st.tuples(st.integers(1, 3), st.integers(1, 60)),
    elements=st.integers(-5, 5).map(float),
)


def signs(seed, num_draws, num_values):
    """The sign patterns that a generator of that seed yields."""
    generator = np.random.default_rng(seed)
    rows = [generator.integers(0, 2, num_values, dtype=np.int8) for _ in range(num_draws)]
    return 2.0 * np.stack(rows) - 1


@given(integers)  # with ties and zeros
def test_it_is_the_asymmetry_of_the_flipped_values(samples):
    received = random_sign_asymmetries(samples, np.random.default_rng(3), 4)
    flipped = signs(3, 4, samples.shape[1])[:, None, :] * samples
    np.testing.assert_allclose(received, reflection_asymmetries(flipped), rtol=0, atol=ROUNDING)


def test_one_value_is_one_signed_whatever_its_sign():
    received = random_sign_asymmetries(np.array([[-3.0]]), np.random.default_rng(0), 5)
    assert received.tolist() == [[2.0]] * 5


def test_two_equal_values_cancel_or_agree():
    received = random_sign_asymmetries(np.array([[1.0, 1.0]]), np.random.default_rng(0), 400)
    assert set(received.ravel().tolist()) == {0.0, 2.0}
    # Half of the patterns agree; four standard deviations of 400 fair coins are 40.
    assert abs(np.count_nonzero(received) - 200) < 40


def test_a_value_has_the_same_sign_in_all_samples():
    sample = np.random.default_rng(0).normal(size=50)
    once, again = random_sign_asymmetries(
        np.stack([sample, -3 * sample]), np.random.default_rng(1), 20
    ).T
    np.testing.assert_allclose(once, again, rtol=0, atol=ROUNDING)


def test_a_sample_of_zeros_has_none():
    received = random_sign_asymmetries(
        np.array([[0.0, 0.0], [1.0, 2.0]]), np.random.default_rng(0), 3
    )
    assert np.isnan(received[:, 0]).all()
    assert np.isfinite(received[:, 1]).all()


def test_its_mean_is_that_of_a_random_walk():
    magnitudes = np.linspace(2.0, 0.1, 20)
    null = random_sign_asymmetries(magnitudes[None], np.random.default_rng(1), 4000)
    # A fair walk is on average |S_k| = k C(k-1, floor((k-1)/2)) / 2^(k-1) from 0 after k steps.
    walk = [k * comb(k - 1, (k - 1) // 2) / 2 ** (k - 1) for k in range(1, 21)]
    expected = 2 * (-np.diff(magnitudes, append=0) @ walk) / magnitudes.sum()
    # Four standard errors.
    assert null.mean() == pytest.approx(expected, abs=4 * null.std() / np.sqrt(4000))


def test_its_law_is_that_of_the_sign_flip_test():
    values = np.random.default_rng(0).normal(size=200)
    null = random_sign_asymmetries(values[None], np.random.default_rng(1), 2000)
    _, expected = sign_flip_test(values, np.random.default_rng(2), 2000)
    # The standard error of a 95 % quantile is sqrt(0.05 0.95 / 2000) / density there, about 2 % of a
    # quantile of such a law; four of them, for a difference of two.
    assert np.quantile(null, 0.95) == pytest.approx(expected, rel=0.12)
