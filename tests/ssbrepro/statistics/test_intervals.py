"""The growth between two measurements against laws of known spread."""

import numpy as np
import pytest

from ssbrepro.statistics.intervals import growth


def means(loc, generator, size=40):
    """A sample's mean, and means of its bootstrap samples."""
    sample = generator.normal(loc, size=size)
    again = generator.choice(sample, size=(200, size)).mean(axis=1)
    return sample.mean(), again


def test_one_growth_in_numbers():
    # Deviations 3 and 4 of two values each: root 9 + 16.
    starts, ends = np.array([-1, 1]) * 3 / 2**0.5, np.array([-1, 1]) * 4 / 2**0.5
    found = growth(2.0, 12.0, starts, ends)
    assert found.value == 10
    assert found.low == pytest.approx(10 - 1.959964 * 5, rel=1e-6)
    assert found.value_noise == pytest.approx(-1.644854 * 5, rel=1e-6)
    assert found.low_noise == pytest.approx(-(1.959964 + 1.644854) * 5, rel=1e-6)


def test_where_nothing_grows_the_ends_are_as_rare_as_they_claim():
    generator = np.random.default_rng(0)
    found = []
    for _ in range(600):
        (start, starts), (end, ends) = means(0, generator), means(0, generator)
        found.append(growth(start, end, starts, ends))
    # 2.5 % and 5 % of 600 with binomial deviations of 0.6 % and 0.9 %, and t tails of 40 values.
    assert np.mean([one.low > 0 for one in found]) < 0.025 + 3 * 0.007
    assert abs(np.mean([one.value < one.value_noise for one in found]) - 0.05) < 0.03
    assert abs(np.mean([one.low < one.low_noise for one in found]) - 0.05) < 0.03


def test_what_grows_enough_is_seen():
    generator = np.random.default_rng(1)
    (start, starts), (end, ends) = means(0, generator), means(2, generator)
    assert growth(start, end, starts, ends).low > 0 > growth(end, start, ends, starts).value
