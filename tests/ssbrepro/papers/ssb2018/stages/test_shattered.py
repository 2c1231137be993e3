"""Gradients along lines and their autocorrelations: closed forms, exact identities, known noises."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssbrepro.contract import Context
from ssbrepro.data import cifar10
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018.stages import shattered
from ssbrepro.papers.ssb2018.stages.shattered import Parameters as ShatteredParameters
from ssbrepro.papers.ssb2018.stages.shattered import (
    along_line,
    autocorrelation,
    plain_output,
    residual_output,
)

BOTH = pytest.mark.parametrize("output", [plain_output, residual_output])


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def random_weights(depth, width=6, features=5):
    sizes = [features, *[width] * (depth - 1), 1]
    return [
        math.sqrt(2 / fan_in) * normal(fan_out, fan_in, seed=layer)
        for layer, (fan_in, fan_out) in enumerate(pairwise(sizes))
    ]


def test_autocorrelations_computed_by_hand():
    # Centred (-1.5, -0.5, 0.5, 1.5), squares 5: lags 0.75 - 0.25 + 0.75, -0.75 - 0.75, -2.25.
    np.testing.assert_allclose(autocorrelation(np.arange(4.0), 3), [0.25, -0.3, -0.45], rtol=1e-14)
    # Alternating: each lag loses one of the eight products.
    np.testing.assert_allclose(
        autocorrelation(np.array([1.0, -1.0] * 4), 2), [-7 / 8, 6 / 8], rtol=1e-14
    )


@given(st.integers(0, 1000), st.integers(2, 40))
def test_autocorrelations_agree_with_numpy(seed, points):
    series = np.random.default_rng(seed).standard_normal(points)
    centred = series - series.mean()
    full = np.correlate(centred, centred, "full")[points - 1 :]
    np.testing.assert_allclose(
        autocorrelation(series, points - 1), full[1:] / full[0], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("factor", [1e-200, -3.0, 1e200])
def test_autocorrelations_have_neither_scale_nor_offset(factor):
    series = np.random.default_rng(0).standard_normal((2, 3, 30))
    expected = autocorrelation(series, 5)
    assert expected.shape == (2, 3, 5)
    # Centring loses some roundings of an offset of the series' own size.
    np.testing.assert_allclose(autocorrelation(factor * (series + 2), 5), expected, atol=1e-13)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e300])
def test_a_constant_series_is_as_far_from_white_noise_as_can_be(value):
    series = np.full((2, 20), value)
    series[1] *= 1 + 1e-16 * np.random.default_rng(0).standard_normal(20)  # rounding is no noise
    assert (autocorrelation(series, 4) == 1).all()


@pytest.mark.parametrize("num_lags", [0, 5, 6])
def test_lags_are_fewer_than_points(num_lags):
    with pytest.raises(ValueError, match="lags of 5 points"):
        autocorrelation(np.arange(5.0), num_lags)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_series_is_finite(value):
    with pytest.raises(ValueError, match="finite"):
        autocorrelation(np.array([1.0, value, 2.0]), 1)


def test_an_autoregressive_series_has_the_powers_of_its_factor():
    noise = np.random.default_rng(0).standard_normal(20000)
    series = np.zeros_like(noise)
    for time in range(1, len(noise)):
        series[time] = 0.8 * series[time - 1] + noise[time]
    # Bartlett (1946): a standard error of at most sqrt((1 + φ²)/(1 - φ²)/n) = 0.015; three of them.
    np.testing.assert_allclose(autocorrelation(series, 6), 0.8 ** np.arange(1, 7), atol=0.045)


def test_the_plain_network_is_a_stack_of_layers():
    first, second, third = random_weights(3)
    inputs = normal(4, 5)
    expected = torch.relu(torch.relu(inputs @ first.T) @ second.T) @ third.T
    torch.testing.assert_close(plain_output([first, second, third], inputs), expected[:, 0])


def test_the_residual_network_adds_its_units_up():
    first, inner, outer, last = random_weights(4)
    inputs = normal(4, 5)
    hidden = torch.relu(inputs @ first.T)
    expected = (hidden + torch.relu(torch.relu(hidden @ inner.T) @ outer.T)) @ last.T
    received = residual_output([first, inner, outer, last], inputs)
    torch.testing.assert_close(received, expected[:, 0])


def test_units_without_weights_pass_their_input_on():
    weights = random_weights(8)
    silent = [weights[0], *[torch.zeros_like(weight) for weight in weights[1:-1]], weights[-1]]
    inputs = normal(4, 5)
    assert torch.equal(
        residual_output(silent, inputs), plain_output([weights[0], weights[-1]], inputs)
    )
    assert not plain_output(silent, inputs).any()


@BOTH
@pytest.mark.parametrize("depth", [2, 4, 10])
def test_towards_an_input_the_derivative_is_the_output_itself(output, depth):
    weights = random_weights(depth)
    point = normal(1, 5)
    # Homogeneous of degree one, hence Euler's identity; float64 over ten layers.
    received = along_line(output, weights, point, point[0])
    np.testing.assert_allclose(received, output(weights, point), rtol=1e-12)


@BOTH
def test_the_derivative_is_the_slope_of_a_piecewise_linear_function(output):
    weights, points, direction = random_weights(6), normal(7, 5), normal(5, seed=9)
    step = 1e-7 * direction  # so short that no kink lies in between
    slopes = (output(weights, points + step) - output(weights, points - step)) / 2e-7
    # Rounding of outputs of order one over the step.
    np.testing.assert_allclose(along_line(output, weights, points, direction), slopes, atol=1e-7)


@BOTH
def test_derivatives_add_up_to_the_difference_of_the_ends(output):
    weights, (start, end) = random_weights(4), normal(2, 5)
    position = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    points = torch.lerp(start, end, position[:, None])
    total = along_line(output, weights, points, end - start).mean()
    low, high = output(weights, torch.stack([start, end]))
    # Piecewise linear: only intervals with a kink, a few dozen of 4,000, are not exact.
    assert total == pytest.approx((high - low).item(), rel=0.01)


PARAMETERS = ShatteredParameters(
    num_networks=3, depths=(10, 4), width=20, num_points=32, num_lags=5
)


@pytest.fixture(autouse=True)
def images(monkeypatch):
    pixels = normal(shattered._NUM_IMAGES, 3, 2, 2).float()
    monkeypatch.setattr(
        cifar10,
        "load_classes",
        lambda root, number: cifar10.LabelledImages(
            pixels[:number], torch.zeros(number, dtype=torch.int64)
        ),
    )


def run(parameters=PARAMETERS, seed=0):
    return stage("ssb2018/shattered").run(parameters, Context(seed, "cpu", Path("unused")))


def test_numbers_are_those_of_the_gradients():
    result = run()
    gradient = result.arrays["gradient"]
    assert gradient.shape == (2, 3, 2, 32)
    distance = np.abs(autocorrelation(gradient, 5)).mean(axis=-1)
    np.testing.assert_array_equal(result.arrays["distance"], distance)
    np.testing.assert_array_equal(result.arrays["distance_quartiles"][1], np.median(distance, 1))
    difference = distance[1] - distance[0]
    assert result.numbers["difference_min"] == np.median(difference, axis=0).min()
    assert result.numbers["plain_difference_min"] == shattered._difference_among(distance[0])
    assert result.numbers["plain_closer_share"] == (difference > 0).mean()
    # The largest depth is the first one here.
    assert result.numbers["plain_deepest"] == np.median(distance[0, :, 0])
    assert result.numbers["residual_deepest"] == np.median(distance[1, :, 0])


def test_networks_differ_and_depend_on_the_seed_alone():
    first, again, other = run(), run(), run(seed=1)
    np.testing.assert_array_equal(first.arrays["gradient"], again.arrays["gradient"])
    assert first.numbers == again.numbers
    assert not np.isin(first.arrays["gradient"], other.arrays["gradient"]).any()
    assert len(np.unique(first.arrays["gradient"][:, :, :, 0])) == 2 * 3 * 2


def test_white_noise_is_as_theory_has_it_and_brown_noise_is_farther():
    parameters = ShatteredParameters(2, (4,), 5, 2000, 15)
    result = run(parameters)
    # Autocorrelations are normal with variance 1/n; the mean of 15,000 magnitudes to one per cent.
    assert result.numbers["white_noise"] == pytest.approx(np.sqrt(2 / np.pi / 2000), rel=0.02)
    brown = np.random.default_rng(0).standard_normal(2000).cumsum()
    assert np.abs(autocorrelation(brown, 15)).mean() > 0.8


def test_chance_undercuts_the_noise_in_one_of_twenty_cases():
    generator = np.random.default_rng(0)
    draws = generator.standard_normal((400, 9))
    undercut = np.mean(
        [np.median(row) < shattered._chance_difference(row, generator) for row in draws]
    )
    # Exact under symmetry but for the 999 patterns; 0.05 to 0.011 of 400 draws, three of them.
    assert 0.05 - 0.033 < undercut < 0.05 + 0.033


def test_among_networks_of_one_kind_no_difference_is_left():
    generator = np.random.default_rng(0)
    assert shattered._difference_among(np.tile([0.2, 0.7], (5, 1))) == 0
    # A depth makes a difference, and which network is compared with which makes none.
    distance = generator.permuted(np.tile([[0.2, 0.7], [0.4, 0.1]], (10, 1)), axis=0)
    assert abs(shattered._difference_among(distance)) <= 0.5
    for _ in range(20):
        alike = generator.standard_normal((20, 4)) + np.arange(4)
        # The smallest of four medians with a deviation of 0.4 each, in the middle of 19: below zero.
        assert -1.5 < shattered._difference_among(alike) < 0


def test_odd_depths_leave_half_a_unit():
    with pytest.raises(ValueError, match=r"depths \[5\]"):
        run(ShatteredParameters(2, (4, 5), 5, 16, 3))
