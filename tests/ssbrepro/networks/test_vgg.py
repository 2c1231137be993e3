"""The twelve-layer VGG of the paper."""

import itertools
import math

import pytest
import torch
from torch import nn

from ssbrepro.networks import vgg12

CHANNELS = (3, 64, 64, 128, 128, 256, 256, 512, 512, 512, 512)
SUPPORTED = (nn.Conv2d, nn.Linear, nn.ReLU, nn.MaxPool2d, nn.Flatten)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def full_width() -> nn.Sequential:
    return vgg12(generator=generator(0))


def test_full_width_has_twelve_layers_and_9664704_weights(full_width):
    weights = list(full_width.parameters())
    assert len(weights) == 12
    assert sum(weight.numel() for weight in weights) == 9_664_704


def test_full_width_has_the_shapes_of_the_paper(full_width):
    shapes = [tuple(weight.shape) for weight in full_width.parameters()]
    convolutions = [(wide, narrow, 3, 3) for narrow, wide in itertools.pairwise(CHANNELS)]
    assert shapes == [*convolutions, (512, 512), (1, 512)]


def test_weights_are_he_normal(full_width):
    for weight in full_width.parameters():
        size, fan_in = weight.numel(), weight[0].numel()
        scaled = weight.detach().double() / math.sqrt(2 / fan_in)
        # Five standard errors of a sample of independent standard normal values: 1/sqrt(n) of the
        # mean, sqrt(2/n) of the variance, sqrt(96/n) of the fourth moment, 3.
        assert abs(scaled.mean().item()) < 5 / math.sqrt(size)
        assert abs(scaled.var().item() - 1) < 5 * math.sqrt(2 / size)
        assert abs((scaled**4).mean().item() - 3) < 5 * math.sqrt(96 / size)


@pytest.mark.parametrize("width", [1 / 64, 1 / 16, 1 / 8, 0.3])
def test_width_scales_the_hidden_channels_alone(width):
    shapes = [tuple(weight.shape) for weight in vgg12(width).parameters()]
    scaled = [3, *(round(channels * width) for channels in CHANNELS[1:])]
    last = scaled[-1]
    convolutions = [(wide, narrow, 3, 3) for narrow, wide in itertools.pairwise(scaled)]
    assert shapes == [*convolutions, (last, last), (1, last)]


@pytest.mark.parametrize("width", [0.0, -1.0, 1 / 200, math.nan, math.inf])
def test_a_width_without_channels_is_an_error(width):
    with pytest.raises(ValueError, match="width"):
        vgg12(width)


def test_it_is_a_sequence_of_supported_layers_without_biases():
    model = vgg12(1 / 16)
    assert isinstance(model, nn.Sequential)
    assert {type(layer) for layer in model} == set(SUPPORTED)
    assert all(layer.bias is None for layer in model if hasattr(layer, "bias"))
    assert not list(model.buffers())
    assert all(weight.requires_grad for weight in model.parameters())
    # Every weight layer but the last is followed by a ReLU.
    kinds = [type(layer) for layer in model if not isinstance(layer, nn.MaxPool2d | nn.Flatten)]
    assert kinds[1::2] == [nn.ReLU] * 11
    assert nn.ReLU not in kinds[::2]


@pytest.mark.parametrize("num_examples", [1, 3])
def test_each_image_gives_one_number_of_its_own(num_examples):
    model = vgg12(1 / 16, generator(1))
    images = torch.randn(num_examples, 3, 32, 32, generator=generator(2))
    outputs = model(images)
    assert outputs.shape == (num_examples,)
    assert outputs.abs().min() > 0
    alone = torch.cat([model(image[None]) for image in images])
    # Batched convolutions may sum in another order: some float32 roundings.
    torch.testing.assert_close(outputs, alone, rtol=1e-5, atol=1e-7)


def test_the_generator_determines_the_weights():
    def flat(seed):
        model = vgg12(1 / 16, generator(seed))
        return torch.cat([weight.detach().reshape(-1) for weight in model.parameters()])

    torch.manual_seed(1)
    first = flat(7)
    torch.manual_seed(2)  # the global generator has no say
    assert torch.equal(flat(7), first)
    assert not torch.equal(flat(8), first)


def test_without_a_generator_the_global_one_is_used():
    def last():
        torch.manual_seed(3)
        return list(vgg12(1 / 16).parameters())[-1].detach()

    first = last()
    assert torch.equal(last(), first)
    assert not torch.equal(list(vgg12(1 / 16).parameters())[-1].detach(), first)


def test_with_a_generator_the_global_one_is_left_alone():
    torch.manual_seed(4)
    before = torch.get_rng_state()
    vgg12(1 / 16, generator(1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("factor", [0.5, 3.0, 1e-3])
def test_the_output_is_homogeneous_in_each_layer(factor):
    model = vgg12(1 / 16, generator(1)).double()
    images = torch.randn(4, 3, 32, 32, generator=generator(2)).double()
    with torch.no_grad():
        plain = model(images)
        assert plain.abs().min() > 0
        for weight in model.parameters():
            weight.mul_(factor)
            # One more rounding a layer, over sums of 72 or fewer terms.
            torch.testing.assert_close(model(images), factor * plain, rtol=1e-12, atol=0)
            weight.div_(factor)


def test_no_input_and_no_weights_give_no_output():
    model = vgg12(1 / 16, generator(1))
    assert not model(torch.zeros(2, 3, 32, 32)).any()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    assert not model(torch.randn(2, 3, 32, 32, generator=generator(2))).any()


def test_nine_convolutions_leave_three_linear_layers_and_lose_a_convolution():
    shapes = [tuple(weight.shape) for weight in vgg12(1 / 16, num_convolutions=9).parameters()]
    ten = [tuple(weight.shape) for weight in vgg12(1 / 16).parameters()]
    assert shapes == [*ten[:9], (32, 32), (32, 32), (1, 32)]


def test_a_split_or_a_law_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="8 convolutions: there are splits with 10 and with 9"):
        vgg12(1 / 16, num_convolutions=8)
    with pytest.raises(ValueError, match="unknown initialisation 'zeros'"):
        vgg12(1 / 16, initialisation="zeros")


def test_uniform_weights_have_the_deviation_of_normal_ones_and_end_at_root_three_of_it():
    layer = list(vgg12(1 / 4, generator(1), initialisation="he_uniform").parameters())[8]
    deviation = math.sqrt(2 / layer[0].numel())
    # Of n even values the deviation scatters by sqrt(1/(5n)), some 0.0007 of it here: five of those.
    assert layer.std().item() == pytest.approx(deviation, rel=0.004)
    assert layer.abs().max().item() <= math.sqrt(3) * deviation * (1 + 1e-6)
    assert layer.abs().max().item() > 0.999 * math.sqrt(3) * deviation
