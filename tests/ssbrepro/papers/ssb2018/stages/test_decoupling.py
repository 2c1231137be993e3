"""Sizes of branches: units whose branch is known, inputs without a size, and the stage's numbers."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ssbrepro.networks import ResidualUnit
from ssbrepro.networks.flattening import load_weights
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018 import residual_networks
from ssbrepro.papers.ssb2018.residual_networks import untrained
from ssbrepro.papers.ssb2018.stages import decoupling
from ssbrepro.papers.ssb2018.stages.decoupling import Parameters as DecouplingParameters
from ssbrepro.papers.ssb2018.stages.decoupling import branch_ratios
from tests.oracles.residual_family import TINY, context_of, random_paths, tiny_images


def multiplying(factor, branch_scale=1.0, channels=2):
    """A unit whose branch is ``branch_scale`` times ``factor`` times the positive part of its input."""
    unit = ResidualUnit(channels, branch_scale)
    with torch.no_grad():
        for layer, centre in ((unit.first, 1.0), (unit.second, factor)):
            layer.weight.zero_()
            layer.weight[range(channels), range(channels), 1, 1] = centre
    return unit


def drawn():
    """A unit of two channels with random weights."""
    unit = ResidualUnit(2, 0.7)
    with torch.no_grad():
        for seed, weight in enumerate(unit.parameters()):
            weight.copy_(normal(*weight.shape, seed=seed))
    return unit


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_units_that_multiply_have_their_factors_for_ratios():
    model = nn.Sequential(multiplying(0.5), nn.Sequential(multiplying(3.0, 0.25)))
    ratios = branch_ratios(model, normal(7, 2, 4, 4).abs())
    assert ratios.shape == (2, 7)
    assert ratios.dtype == np.float64
    # A few roundings of float32 activations.
    np.testing.assert_allclose(ratios, [[0.5] * 7, [0.75] * 7], rtol=1e-6)


def test_the_branch_sees_the_positive_part_and_the_input_counts_whole():
    inputs = torch.tensor([3.0, -4.0]).expand(1, 1, 1, 2)
    ratios = branch_ratios(multiplying(1.0, channels=1), inputs)
    assert ratios.item() == pytest.approx(3 / 5, rel=1e-6)


def test_the_ratio_is_to_the_input_not_to_the_output():
    (ratio,) = branch_ratios(multiplying(2.0), normal(1, 2, 4, 4).abs())
    assert ratio == pytest.approx(2, rel=1e-6)  # to the output, 3 times the input, it were 2/3


def test_a_zero_input_has_no_ratio_and_the_others_keep_theirs():
    inputs = normal(3, 2, 4, 4).abs()
    inputs[1] = 0
    ratios = branch_ratios(multiplying(0.5), inputs)
    np.testing.assert_allclose(ratios, [[0.5, math.nan, 0.5]], rtol=1e-6)


def test_examples_keep_their_order_across_forward_passes(monkeypatch):
    unit, inputs = drawn(), normal(5, 2, 4, 4)
    monkeypatch.setattr(decoupling, "_CHUNK", 2)
    with torch.no_grad():
        expected = [unit.branch(image[None]).norm() / image.norm() for image in inputs]
    np.testing.assert_allclose(branch_ratios(unit, inputs), [expected], rtol=1e-6)


@pytest.mark.parametrize("exponent", [-40, 7])
def test_ratios_have_no_scale(exponent):
    unit, inputs = drawn(), normal(4, 2, 4, 4)
    # Powers of two only change exponents.
    np.testing.assert_array_equal(
        branch_ratios(unit, inputs * 2.0**exponent), branch_ratios(unit, inputs)
    )


def test_no_hook_stays_behind_even_after_a_failure():
    unit = multiplying(0.5)
    branch_ratios(unit, normal(1, 2, 4, 4))
    with pytest.raises(RuntimeError):
        branch_ratios(unit, normal(1, 3, 4, 4))  # three channels instead of two
    assert not unit._forward_pre_hooks


def test_a_model_without_units_has_nothing_to_measure():
    with pytest.raises(ValueError, match="no residual unit"):
        branch_ratios(nn.Linear(2, 2), normal(1, 2))


@pytest.fixture(autouse=True)
def images(monkeypatch):
    monkeypatch.setattr(residual_networks, "images", tiny_images)


def run(paths, num_examples=TINY.num_examples):
    return stage("ssb2018/decoupling").run(DecouplingParameters(num_examples), context_of(paths))


def test_numbers_are_those_of_the_first_and_the_last_kept_weights():
    paths = random_paths()
    result = run(paths, num_examples=5)
    model, ratios = untrained(TINY, 0, 0), {}
    for network in range(2):
        for checkpoint in (0, 3):
            load_weights(model, paths[network, checkpoint])
            ratios[network, checkpoint] = branch_ratios(model, tiny_images(num_examples=5).inputs)
    assert result.arrays["quantile"].shape == (2, 3, 3, 5)
    np.testing.assert_array_equal(
        result.arrays["quantile"][1, 0, :, 2], np.median(ratios[1, 0], axis=1)
    )
    end = np.array([ratios[0, 3], ratios[1, 3]])
    medians = [np.median(network) for network in end]
    assert result.numbers == {
        "ratio_start_median": np.median([ratios[0, 0], ratios[1, 0]]),
        "ratio_median": np.median(end),
        "ratio_median_min": min(medians),
        "ratio_median_max": max(medians),
        "unit_median_max": np.median(end, axis=2).max(),
        "below_one_share": (end < 1).mean(),
        "untrained_ratio_median_max": max(np.median(ratios[network, 0]) for network in range(2)),
        "unscaled_ratio_median_max": result.arrays["median"][:, 2].max(),
    }


def test_without_the_factor_the_first_branch_is_larger_by_it():
    quantile = run(random_paths()).arrays["quantile"]
    assert TINY.branch_scale == 0.5  # a power of two, so exactly
    np.testing.assert_array_equal(quantile[:, 2, 0], 2 * quantile[:, 0, 0])
    # The units behind it see other inputs, and their branches are of the size of those all the same.
    assert (quantile[:, 2, 1:, 2] > quantile[:, 0, 1:, 2]).all()


def test_a_unit_without_a_branch_has_ratio_zero():
    paths = random_paths()
    branch = slice(27, 36)  # of the first unit, after the 3x3 convolution from 3 channels to 1
    paths[:, -1, branch] = 0
    result = run(paths)
    assert not result.arrays["quantile"][:, 1, 0].any()
    assert result.arrays["quantile"][:, 0, 0].all()


def test_units_behind_a_dead_layer_are_left_out():
    paths = random_paths()
    dead = slice(45, 63)  # the convolution from 1 to 2 channels, after the first unit
    paths[0, -1, dead] = 0
    result = run(paths)
    assert np.isnan(result.arrays["quantile"][0, 1, 1:]).all()
    assert not np.isnan(result.arrays["quantile_median"]).any()
    assert result.numbers["ratio_median_min"] > 0


def test_a_dead_network_leaves_every_number_missing():
    paths = random_paths()
    paths[1, -1] = 0
    result = run(paths)
    assert not result.numbers
    assert set(result.missing) == set(stage("ssb2018/decoupling").numbers)
    assert set(result.missing.values()) == {
        "the inputs of all residual units of a network are zero"
    }
