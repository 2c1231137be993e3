"""The residual network: its units, its shapes and its initial weights."""

import itertools
import math

import pytest
import torch
from torch import nn

from ssbrepro.networks import ResidualUnit, residual_net


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one_channel_unit(first: float, second: float, scale: float) -> ResidualUnit:
    """A unit whose convolutions only multiply each pixel by a number."""
    unit = ResidualUnit(1, scale).double()
    with torch.no_grad():
        for layer, factor in ((unit.first, first), (unit.second, second)):
            layer.weight.zero_()
            layer.weight[0, 0, 1, 1] = factor
    return unit


def test_a_unit_adds_the_branch_of_the_footnote():
    # F(x) = s R(w2 R(w1 x)) of one number; halves and small integers are exact.
    inputs = torch.tensor([[[[2.0, -3.0], [0.0, 1.0]]]], dtype=torch.float64)
    unit = one_channel_unit(2.0, 3.0, 0.5)
    assert unit.branch(inputs).flatten().tolist() == [6, 0, 0, 3]
    assert unit(inputs).flatten().tolist() == [8, -3, 0, 4]
    # The ReLU after the second layer is part of the branch: a negative weight leaves nothing.
    assert not one_channel_unit(2.0, -3.0, 0.5).branch(inputs).any()
    # So is the one after the first: a negative product of two negative factors is not seen.
    assert one_channel_unit(-2.0, 3.0, 0.5).branch(inputs).flatten().tolist() == [0, 9, 0, 0]


@pytest.mark.parametrize("scale", [0.25, 2.0])
def test_the_branch_is_proportional_to_its_scale(scale):
    inputs = torch.randn(2, 3, 4, 4, generator=generator(0))
    unit = ResidualUnit(3, 1.0)
    with torch.no_grad():
        for weight in unit.parameters():
            weight.normal_(generator=generator(1))
    plain = unit.branch(inputs)
    assert plain.any()
    unit.branch_scale = scale  # powers of two: exact
    assert torch.equal(unit.branch(inputs), scale * plain)
    assert torch.equal(unit(inputs), inputs + scale * plain)


@pytest.mark.parametrize(("channels", "num_units"), [(4, 1), (3, 2)])
def test_three_groups_double_the_channels_and_end_in_ten_classes(channels, num_units):
    model = residual_net(channels, num_units)
    widths = [3, channels, 2 * channels, 4 * channels]
    expected = []
    for narrow, wide in itertools.pairwise(widths):
        expected += [(wide, narrow, 3, 3), *[(wide, wide, 3, 3)] * (2 * num_units)]
    shapes = [tuple(weight.shape) for weight in model.parameters()]
    assert shapes == [*expected, (10, 4 * channels)]
    assert not list(model.buffers())
    assert [type(layer) for layer in model][:4] == [nn.Conv2d, nn.ReLU, nn.MaxPool2d, ResidualUnit]
    assert sum(isinstance(layer, ResidualUnit) for layer in model) == 3 * num_units


def test_a_network_of_two_units_a_group_has_the_weights_counted_by_hand():
    # 9 (3c + 2c² + 8c²) + 4·9 (c² + 4c² + 16c²) + 40c at c = 8, two units a group.
    assert sum(weight.numel() for weight in residual_net(8, 2).parameters()) == 54_680


def test_convolutions_are_he_normal_and_the_last_layer_is_zero():
    *convolutions, last = residual_net(16, 1, generator=generator(0)).parameters()
    assert not last.any()
    for weight in convolutions:
        size, fan_in = weight.numel(), weight[0].numel()
        scaled = weight.detach().double() / math.sqrt(2 / fan_in)
        # Five standard errors of a sample of independent standard normal values.
        assert abs(scaled.mean().item()) < 5 / math.sqrt(size)
        assert abs(scaled.var().item() - 1) < 5 * math.sqrt(2 / size)


def test_an_untrained_network_prefers_no_class_and_its_images_are_told_apart():
    model = residual_net(4, 1, generator=generator(1))
    images = torch.randn(3, 3, 32, 32, generator=generator(2))
    assert model(images).shape == (3, 10)
    assert not model(images).any()
    features = model[:-1](images)
    assert features.shape == (3, 16)
    assert not torch.equal(features[0], features[1])


def test_the_mean_over_space_feeds_the_linear_layer():
    model = residual_net(2, 1, num_classes=4, generator=generator(1)).double()
    with torch.no_grad():
        model[-1].weight.normal_(generator=generator(3))
    images = torch.randn(2, 3, 32, 32, generator=generator(2)).double()
    before = model[:-3](images)
    assert before.shape == (2, 8, 4, 4)
    expected = before.mean(dim=(2, 3)) @ model[-1].weight.T
    # Sums of 16 and of 8 terms in another order.
    torch.testing.assert_close(model(images), expected, rtol=1e-12, atol=1e-13)


def test_the_generator_determines_the_weights():
    def flat(seed):
        return torch.cat(
            [w.detach().reshape(-1) for w in residual_net(2, 1, generator=seed).parameters()]
        )

    torch.manual_seed(4)
    before = torch.get_rng_state()
    first = flat(generator(7))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(flat(generator(7)), first)
    assert not torch.equal(flat(generator(8)), first)
    drawn = flat(None)
    torch.manual_seed(4)
    assert torch.equal(flat(None), drawn)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1), "0 channels"),
        ((4, 0), "0 units"),
        ((4, 1, 1.0, 0), "0 classes"),
        ((4, 1, 0.0), "branch_scale 0.0"),
        ((4, 1, -1.0), "branch_scale"),
        ((4, 1, math.nan), "branch_scale"),
        ((4, 1, math.inf), "branch_scale"),
    ],
)
def test_an_impossible_network_is_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        residual_net(*arguments)
