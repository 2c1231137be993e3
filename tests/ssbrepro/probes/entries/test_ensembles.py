"""What counts as a live entry, and what is made of those recorded."""

import numpy as np
import pytest

from ssbrepro.probes.entries.ensembles import recorded


def written(values, examples, num_examples):
    """One checkpoint as the stage ``entries`` records it."""
    return {
        "epoch": np.array([7]),
        "num_examples": np.array(num_examples),
        "examples_0": np.asarray(examples),
        "values_0": np.asarray(values, dtype=np.float32),
    }


def test_an_entry_is_live_where_it_differs_between_examples():
    values = [[0, 2, 1, 0], [0, 2, 1, 3]]
    (some,) = recorded(written(values, [1, 4], 5))
    assert some.epoch == 7
    assert some.live.tolist() == [1, 2, 3]  # a constant differs from the zeros of the others
    (every,) = recorded(written(values, [0, 1], 2))
    assert every.live.tolist() == [3]
    assert every.values.tolist() == [[0], [3]]


def test_standardised_values_have_mean_zero_and_variance_one_over_all_examples():
    values = np.random.default_rng(0).normal(1, 3, size=(4, 3))
    (ensemble,) = recorded(written(values, [0, 2, 3, 8], 10))
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
    (ensemble,) = recorded(written(values, [0, 2, 3, 8], 10))
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
    assert list(recorded(written(values, examples, num_examples))) == [None]


def test_correlations_are_those_of_all_examples():
    values = np.random.default_rng(2).normal(0.5, 1, size=(4, 3))
    (ensemble,) = recorded(written(values, [0, 2, 3, 8], 10))
    every = np.zeros((10, 3))
    every[[0, 2, 3, 8]] = values.astype(np.float32)
    expected = np.corrcoef(every, rowvar=False)
    np.testing.assert_allclose(ensemble.correlations(), expected, rtol=0, atol=1e-14)


def test_thinned_examples_keep_their_entries_and_lose_those_that_no_longer_differ():
    values = np.diag([1.0, 2, 3, 4])  # each entry is live by one example alone
    (ensemble,) = recorded(written(values, [1, 2, 5, 7], 9))
    chosen = set()
    for seed in range(40):
        thinned = ensemble.thinned(2, np.random.default_rng(seed))
        assert thinned.num_examples == 9
        assert thinned.examples.tolist() == [[1, 2, 5, 7][index] for index in thinned.live]
        np.testing.assert_array_equal(thinned.values, np.diag(thinned.live + 1.0))
        chosen.add(tuple(thinned.live))
    assert len(chosen) == 6  # 40 draws miss one of the six pairs with probability 6 (5/6)^40, 0.4 %
    assert ensemble.thinned(4, np.random.default_rng(9)).live.tolist() == [0, 1, 2, 3]


def test_resampled_examples_are_drawn_with_replacement():
    values = np.diag([1.0, 2, 3, 4])
    (ensemble,) = recorded(written(values, [1, 2, 5, 7], 9))
    times = np.zeros(4)
    for seed in range(300):
        resampled = ensemble.resampled(np.random.default_rng(seed))
        assert resampled.values.shape == (4, len(resampled.live))
        assert resampled.num_examples == 9
        assert set(np.unique(resampled.values)) - {0} == set(resampled.live + 1.0)
        times[resampled.live] += (resampled.values > 0).sum(axis=0)
    assert times.sum() == 1200
    # Binomial with 1,200 draws of probability 1/4: mean 300, standard deviation 15.
    np.testing.assert_allclose(times, 300, atol=75)
