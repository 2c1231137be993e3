"""Uniform pairs of weights, and what counts as a live entry."""

import itertools

import numpy as np
import pytest
from scipy.stats import chisquare

from ssbrepro.probes.entries.sampling import draw_pairs, ensembles, same_layer_share


def layers_of(places, sizes):
    return np.repeat(np.arange(len(sizes)), sizes)[places]


def different(sizes):
    """All ordered pairs of weights of different layers, written out."""
    layers = [layer for layer, size in enumerate(sizes) for _ in range(size)]
    pairs = itertools.product(range(len(layers)), repeat=2)
    return [(i, j) for i, j in pairs if layers[i] != layers[j]]


@pytest.mark.parametrize("sizes", [(1, 1), (3, 1, 4), (2, 7)])
def test_pairs_are_uniform_over_the_ordered_pairs_of_different_layers(sizes):
    expected = different(sizes)
    rows, columns = draw_pairs(sizes, 400 * len(expected), np.random.default_rng(0))
    found = dict.fromkeys(expected, 0)
    for pair in zip(rows.tolist(), columns.tolist(), strict=True):
        found[pair] += 1  # KeyError: a pair of one layer
    # Fails once in a thousand seeds; the seed is fixed. 400 a cell: a tenth too many of a fourth of
    # them would be 2 standard deviations in each.
    assert chisquare(list(found.values())).pvalue > 1e-3


def test_the_two_weights_of_a_pair_are_drawn_alike():
    sizes = (1, 1000)
    rows, columns = draw_pairs(sizes, 4000, np.random.default_rng(0))
    first = layers_of(rows, sizes) == 0
    # A fair coin 4000 times: 2000 within 5 standard deviations of 32.
    assert abs(int(first.sum()) - 2000) < 160
    assert (layers_of(columns, sizes) == first).all()


@pytest.mark.parametrize("count", [0, 1, 2, 5000])
def test_as_many_pairs_come_as_are_asked_for(count):
    # Nearly all pairs are of one layer, so most draws are thrown away.
    rows, columns = draw_pairs((1, 99), count, np.random.default_rng(1))
    assert rows.shape == columns.shape == (count,)
    assert ((rows == 0) != (columns == 0)).all()


def test_the_same_generator_gives_the_same_pairs():
    one, same, other = (draw_pairs((3, 4), 50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_one_layer_has_no_pairs():
    with pytest.raises(ValueError, match="every entry of the Hessian is zero"):
        draw_pairs((7,), 1, np.random.default_rng(0))


@pytest.mark.parametrize("sizes", [(5,), (1, 1), (3, 1, 4), (2, 7, 7, 1)])
def test_the_share_of_pairs_of_one_layer_is_exact(sizes):
    total = sum(sizes) ** 2
    # Ratios of whole numbers: one rounding.
    assert same_layer_share(sizes) == pytest.approx(1 - len(different(sizes)) / total, abs=1e-15)


def recorded(values, examples, num_examples):
    """One checkpoint as the stage ``entries`` records it."""
    return {
        "epoch": np.array([7]),
        "num_examples": np.array(num_examples),
        "examples_0": np.asarray(examples),
        "values_0": np.asarray(values, dtype=np.float32),
    }


def test_an_entry_is_live_where_it_differs_between_examples():
    values = [[0, 2, 1, 0], [0, 2, 1, 3]]
    (some,) = ensembles(recorded(values, [1, 4], 5))
    assert some.epoch == 7
    assert some.live.tolist() == [1, 2, 3]  # a constant differs from the zeros of the others
    (every,) = ensembles(recorded(values, [0, 1], 2))
    assert every.live.tolist() == [3]
    assert every.values.tolist() == [[0], [3]]


def test_standardised_values_have_mean_zero_and_variance_one_over_all_examples():
    values = np.random.default_rng(0).normal(1, 3, size=(4, 3))
    (ensemble,) = ensembles(recorded(values, [0, 2, 3, 8], 10))
    every = np.zeros((10, 3))
    every[[0, 2, 3, 8]] = values.astype(np.float32)
    expected = (every - every.mean(axis=0)) / every.std(axis=0)
    standardised = ensemble.standardised()
    # Sums of ten terms of order one.
    np.testing.assert_allclose(standardised, expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose((standardised**2).mean(axis=0), 1, rtol=1e-14)


def test_the_first_entries_are_those_alone():
    values = np.random.default_rng(1).normal(size=(4, 6))
    values[:, 1] = 0  # not live
    (ensemble,) = ensembles(recorded(values, [0, 2, 3, 8], 10))
    first = ensemble.first(3)
    assert first.live.tolist() == [0, 2, 3]
    # Sums of ten terms of order one; of fewer columns they may be taken in another order.
    np.testing.assert_allclose(
        first.standardised(), ensemble.standardised()[:, :3], rtol=0, atol=1e-14
    )
    assert np.array_equal(ensemble.first(9).values, ensemble.values)


@pytest.mark.parametrize(
    ("values", "examples", "num_examples"),
    [
        (np.zeros((0, 3)), [], 6),  # nothing is active
        (np.zeros((2, 3)), [1, 2], 6),  # a dead network
        (np.ones((2, 3)), [0, 1], 2),  # all alike
        (np.zeros((2, 0)), [0, 1], 2),  # no entries were found
    ],
)
def test_a_checkpoint_without_live_entries_is_none(values, examples, num_examples):
    assert list(ensembles(recorded(values, examples, num_examples))) == [None]
