"""Growth of a ratio over epochs, by hand, and what cannot be measured."""

from pathlib import Path

import numpy as np
import pytest

from ssbrepro.contract import Context, Input
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018.stages.gradient_variance import (
    Parameters as GradientVarianceParameters,
)
from ssbrepro.papers.ssb2018.stages.gradient_variance import growth_of_ratio

NUM_EPOCHS = 20


def curves(*rows, num_networks=3):
    """(networks, layers, epochs), the same for each network."""
    return np.tile(np.array(rows, dtype=float), (num_networks, 1, 1))


def measure(tishby, residual, window_share=0.1, growth_above=10.0):
    """The stage where the size of the mean gradient is 2 in all epochs."""
    inputs = {}
    for name, ratio in (("tishby", tishby), ("residual", residual)):
        before = np.full((*ratio.shape[:2], 1), np.nan)
        arrays = {
            "epoch": np.arange(ratio.shape[-1] + 1),
            "gradient_mean": np.concatenate([before, np.full(ratio.shape, 2.0)], axis=2),
            "gradient_deviation": np.concatenate([before, 2 * ratio], axis=2),
        }
        inputs[f"{name}_training"] = Input(None, arrays)
    parameters = GradientVarianceParameters(window_share=window_share, growth_above=growth_above)
    context = Context(0, "cpu", Path("unused"), inputs)
    return stage("ssb2018/gradient_variance").run(parameters, context)


RISE = np.repeat([4.0, 1.0, 2.0, 16.0], 5)  # from its minimum to the end by 16
FALL = np.repeat([8.0, 4.0, 2.0, 1.0], 5)  # the minimum is the end
BUMP = np.repeat([1.0, 32.0, 4.0, 2.0], 5)  # by 2, whatever happened in between


def test_growth_is_from_the_minimum_to_the_end():
    measured = growth_of_ratio(curves(RISE, FALL, BUMP), 0.25)
    assert measured.growth.tolist() == [16, 1, 2]
    assert measured.epoch.tolist() == [3, 8, 13, 18]
    assert measured.ratio[0].tolist() == [[4, 1, 2, 16], [8, 4, 2, 1], [1, 32, 4, 2]]


def test_a_window_is_represented_by_its_median():
    spiky = RISE.copy()
    spiky[[6, 19]] = [1e-6, 1e6]  # one epoch of five
    assert growth_of_ratio(curves(spiky), 0.25).growth.tolist() == [16]
    assert growth_of_ratio(curves(spiky), 0.05).growth.tolist() == [1e12]


@pytest.mark.parametrize(("share", "number"), [(0.5, 2), (0.3, 3), (0.05, 20), (1e-3, 20)])
def test_windows_divide_the_epochs(share, number):
    ratio = curves(np.arange(1, NUM_EPOCHS + 1))
    measured = growth_of_ratio(ratio, share)
    assert measured.ratio.shape == (3, 1, number)
    # The ratio is the epoch, so the median of a window is its mean epoch.
    assert measured.ratio[0, 0].tolist() == measured.epoch.tolist()


def test_networks_are_summarised_by_their_median_growth():
    ratio = np.concatenate([curves(RISE, num_networks=1), curves(FALL, num_networks=2)])
    assert growth_of_ratio(ratio, 0.25).growth.tolist() == [1]
    # The median ratio over networks would have grown by another factor.
    mixed = np.concatenate([curves(c, num_networks=1) for c in (RISE, BUMP, FALL)])
    assert growth_of_ratio(mixed, 0.25).growth.tolist() == [2]


def test_a_scale_of_the_gradients_changes_nothing():
    ratio = np.random.default_rng(0).uniform(1, 5, (3, 4, NUM_EPOCHS))
    expected = growth_of_ratio(ratio, 0.1).growth
    np.testing.assert_array_equal(growth_of_ratio(8 * ratio, 0.1).growth, expected)


def test_one_window_cannot_grow():
    with pytest.raises(ValueError, match=r"20 epochs in windows of 0\.9 of them are 1 window"):
        growth_of_ratio(curves(RISE), 0.9)
    with pytest.raises(ValueError, match="1 epochs"):
        growth_of_ratio(curves([1.0]), 0.1)


def test_layers_are_counted_in_both_kinds_of_networks():
    result = measure(curves(RISE, FALL, BUMP, RISE), curves(FALL, BUMP), growth_above=16.0)
    numbers = {name: result.numbers[name] for name in result.numbers if "shuffled" not in name}
    assert numbers == {
        "tishby_growing_share": 0.5,
        "tishby_variance_growing_share": 0.5,
        "tishby_growth_median": 9,
        "tishby_growth_min": 1,
        "tishby_growth_max": 16,
        "residual_growing_share": 0,
        "residual_variance_growing_share": 0,
        "residual_growth_median": 1.5,
        "residual_growth_min": 1,
        "residual_growth_max": 2,
    }
    arrays = result.arrays
    assert arrays["tishby_epoch"].tolist() == list(range(1, NUM_EPOCHS + 1))
    assert arrays["tishby_ratio"].tolist() == [list(row) for row in (RISE, FALL, BUMP, RISE)]
    assert arrays["residual_growth"].tolist() == [1, 2]
    assert arrays["residual_window_ratio"].shape == (3, 2, 10)
    medians = np.median(RISE.reshape(10, 2), axis=1)
    assert (arrays["tishby_window_ratio"][:, 0] == medians).all()


def test_the_variance_grows_by_the_square_of_the_ratio():
    numbers = measure(curves(RISE, FALL, BUMP), curves(BUMP, FALL), growth_above=4.0).numbers
    assert numbers["tishby_growing_share"] == 1 / 3
    assert numbers["tishby_variance_growing_share"] == 2 / 3  # by 2, so the variance by 4
    assert numbers["residual_growing_share"] == 0
    assert numbers["residual_variance_growing_share"] == 0.5


LATE = np.repeat([1.0, 16.0], [90, 10])  # by 16, in the last tenth


def test_epochs_in_another_order_do_not_grow_towards_the_end():
    # That five of a window's ten epochs are of the late ten has a probability of 1e-4.
    result = measure(curves(LATE, np.ones(100)), curves(LATE, LATE))
    assert result.numbers["tishby_growing_share"] == 0.5
    assert result.numbers["residual_growing_share"] == 1
    for family in ("tishby", "residual"):
        assert result.arrays[f"{family}_shuffled_growth"].tolist() == [1, 1]
        for name in ("growing_share", "variance_growing_share"):
            assert result.numbers[f"{family}_shuffled_{name}"] == 0


def test_single_epochs_end_anywhere():
    # The last of twenty different epochs in random order is any of them: 95 in 100 are below 2^19.
    result = measure(curves(2.0 ** np.arange(20)), curves(FALL), window_share=0.05, growth_above=4)
    assert result.arrays["tishby_growth"].tolist() == [2.0**19]
    # The rank of a 95 % quantile of 99 draws scatters by 0.05.
    assert 2.0**17 <= result.arrays["tishby_shuffled_growth"][0] <= 2.0**19
    assert result.numbers["tishby_shuffled_growing_share"] == 1  # 18 of 20 are at 4 and above


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_vanished_gradient_has_no_growth(bad):
    ratio = curves(RISE, FALL)
    ratio[1, 0, 6] = bad
    result = measure(curves(RISE, FALL), ratio)
    assert set(result.missing) == {
        name for name in stage("ssb2018/gradient_variance").numbers if name.startswith("residual")
    }
    assert "layer 1 of network 1 in epoch 7" in result.missing["residual_growth_min"]
    assert result.numbers["tishby_growing_share"] == 0.5
    assert "residual_growth" not in result.arrays
    assert result.arrays["residual_ratio"].shape == (2, NUM_EPOCHS)


def test_a_mean_of_zero_is_no_warning():
    inputs = {
        f"{name}_training": Input(
            None,
            {
                "epoch": np.arange(3),
                "gradient_mean": np.zeros((2, 1, 3)),
                "gradient_deviation": np.zeros((2, 1, 3)),
            },
        )
        for name in ("tishby", "residual")
    }
    parameters = GradientVarianceParameters(window_share=0.1, growth_above=10.0)
    result = stage("ssb2018/gradient_variance").run(
        parameters, Context(0, "cpu", Path("unused"), inputs)
    )
    assert not result.numbers
    assert "mean 0 and deviation 0" in result.missing["tishby_growing_share"]
