"""The search for the largest size against planted limits, and contrasts where they are known."""

import numpy as np
import pytest

from ssbrepro.papers.li2022.capacities import (
    bounds,
    contrast,
    learnt_by,
    num_learnt,
    slope_weights,
)

SIZES = [2**power for power in range(4, 13)]
NUM_WEIGHTS = np.array([2400, 9500, 38000])
SLOPE = np.stack([slope_weights(NUM_WEIGHTS), np.zeros(3)])
ADVANTAGE = np.stack([np.full(3, 1 / 3), np.full(3, -1 / 3)])


@pytest.mark.parametrize("limit", range(len(SIZES) + 1))
def test_bisection_finds_the_limit_at_either_end_and_between(limit):
    asked = []

    def learns(place):
        asked.append(place)
        return place < limit

    assert num_learnt(len(SIZES), learns) == limit
    assert len(asked) == len({*asked}) <= 4  # the logarithm of ten outcomes, rounded up


def test_so_many_learn_a_size_as_have_their_limit_there_or_above():
    generator = np.random.default_rng(0)
    places = generator.integers(10, size=(2, 3, 5))
    found = learnt_by(places, 4)
    for place in range(1, 10):
        assert ((found >= place) == ((places >= place).sum(axis=-1) >= 4)).all()


def test_n_c_is_a_bound_at_the_ends_of_the_grid():
    lows, highs = bounds([16, 32, 64], np.arange(4))
    # Logarithms of the same numbers.
    assert np.exp(lows).tolist() == pytest.approx([0, 16, 32, 64], rel=1e-14)
    assert np.exp(highs).tolist() == pytest.approx([16, 16, 32, np.inf], rel=1e-14)


def places_of(limits):
    """How many of SIZES networks learn whose limits are given."""
    return np.searchsorted(SIZES, limits, side="right")


def measured(weights, places, alike=None, seed=0, num_replicates=99):
    alike = places if alike is None else alike
    generator = np.random.default_rng(seed)
    return contrast(weights, SIZES, places, alike, 4, generator, num_replicates)


def test_a_planted_power_law_is_recovered_but_for_the_grid():
    true = 2.0 * np.sqrt(NUM_WEIGHTS)
    limits = np.stack([true, true / 4])[..., None].repeat(5, axis=-1)
    limits[..., 0] = 20  # one network of five may fail
    places = places_of(limits)
    # A factor of two in sizes leaves log n_c off by up to log 2 at each width.
    assert measured(SLOPE, places).value == pytest.approx(0.5, abs=0.25)
    assert measured(ADVANTAGE, places).value == pytest.approx(np.log(4), rel=1e-12)
    # On a grid that holds the very numbers nothing is off.
    exact = np.array([[5, 6, 7], [1, 1, 1]])[..., None].repeat(5, axis=-1)
    slope = np.polyfit(np.log(NUM_WEIGHTS), np.log([256, 512, 1024]), 1)[0]
    assert measured(SLOPE, exact).value == pytest.approx(slope, rel=1e-12)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        (9, 3, "bound"),  # all is learnt by the wide ones: the slope is at least so much
        (5, 0, "bound"),  # nothing by the narrow ones: likewise
        (9, 9, "open"),
        (0, 0, "open"),
        (0, 9, "fall"),
    ],
)
def test_ends_of_the_grid_give_a_bound_or_leave_the_sign_open(wide, narrow, expected):
    places = np.array([narrow, narrow, wide])[None, :, None].repeat(2, axis=0).repeat(5, axis=-1)
    found = measured(SLOPE, places)
    within = np.clip(places[0, :, 0] - 1, 0, None)
    least = np.polyfit(np.log(NUM_WEIGHTS), np.log(np.array(SIZES)[within]), 1)[0]
    if expected == "bound":
        assert found.value == pytest.approx(least, rel=1e-12)
        assert found.value > 0
    elif expected == "fall":
        assert found.value < 0
    else:
        assert np.isnan(found.value)
        assert np.isnan(found.low)
        # Nothing to choose from; sums of weights that add up to zero.
        assert (found.noise, found.control) == pytest.approx((0, 0), abs=1e-12)


def noisy(generator, exponent, factor, runs):
    """Networks whose limits scatter by three tenths about power laws, less by a factor if random."""
    limits = 250 * (NUM_WEIGHTS / NUM_WEIGHTS[1])[:, None] ** exponent
    limits = limits * np.array([1, 1 / factor])[:, None, None]
    return places_of(limits * np.exp(0.3 * generator.standard_normal((runs, 2, 3, 5))))


def contrasts(many, weights):
    slope = weights is SLOPE
    return [
        measured(weights, places, places[:, [1, 1, 1]] if slope else places[[1, 1]], seed)
        for seed, places in enumerate(many)
    ]


@pytest.mark.parametrize(("weights", "planted"), [(SLOPE, (0.6, 1)), (ADVANTAGE, (0, 3))])
def test_an_interval_tells_a_difference_from_none(weights, planted):
    generator = np.random.default_rng(1)
    runs = 100
    there = contrasts(noisy(generator, *planted, runs), weights)
    none = contrasts(noisy(generator, 0, 1, runs), weights)
    assert np.mean([one.low > 0 for one in there]) > 0.95
    # 2.5 % and 95 % but for three standard errors of a hundred runs, and for a grid that is coarser than
    # networks scatter: where a limit is at an edge of it, they scatter more there than elsewhere.
    assert np.mean([one.low > 0 for one in none]) <= 0.1
    assert np.mean([one.low >= one.noise for one in none]) > 0.88
    assert np.mean([one.low for one in none]) < -0.05  # five runs together are never mistaken
    # Were there none, a lower end would not be above zero, whatever there is; rounding apart.
    for found in (there, none):
        assert np.mean([one.control < 1e-12 for one in found]) > 0.97
        assert all(one.noise < 1e-12 for one in found)


def test_networks_keep_their_labels_together():
    generator = np.random.default_rng(2)
    true = noisy(generator, 0.5, 1, 1)[0][:1]
    pairs = np.concatenate(
        [true, true - 1]
    )  # a grid step less with random labels, in every network
    found = measured(ADVANTAGE, pairs, pairs[[1, 1]])
    assert found.value == pytest.approx(np.log(2), rel=1e-12)
    assert found.low == pytest.approx(found.value, rel=1e-12)  # whichever networks are drawn
    assert found.noise == pytest.approx(0, abs=1e-12)
