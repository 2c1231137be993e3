"""What a trace holds: enough to do every step again by its table."""

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from ssbrepro.networks.tracing import PiecewiseLinear
from tests.oracles.circuits import (
    ARCHITECTURES,
    Case,
    case,
    cases,
    convolution,
    flattened,
    linear,
)
from tests.oracles.replay import assert_steps_replay_the_network


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_tables_replay_the_network(name):
    assert_steps_replay_the_network(case(name))


@settings(max_examples=40)
@given(cases())
def test_the_tables_replay_any_architecture(network):
    assert_steps_replay_the_network(network)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_may_be_given_by_name(padding):
    layer = convolution(1, 2, (3, 5), padding=padding, dilation=(2, 1))
    height, width = layer(torch.zeros(1, 1, 6, 5)).shape[-2:]
    model = nn.Sequential(*flattened(layer, size=2 * height * width)).double()
    assert_steps_replay_the_network(Case(model, torch.zeros(1, 6, 5)))


def test_the_mean_over_a_whole_map_is_a_pool_over_it():
    model = nn.Sequential(*flattened(nn.AdaptiveAvgPool2d(1), size=2)).double()
    assert_steps_replay_the_network(Case(model, torch.arange(40.0).double().reshape(2, 4, 5)))


def test_nested_sequences_are_one_sequence():
    flat = nn.Sequential(*linear(3, 2, 2, 1))
    nested = nn.Sequential(nn.Sequential(flat[0], flat[1]), nn.Sequential(nn.Sequential(*flat[2:])))
    inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    taken = PiecewiseLinear(nested, (3,))
    assert [layer.name for layer in taken.layers][-1] == "layer 1.0.2 (Linear)"
    assert torch.equal(
        taken.trace(inputs).outputs, PiecewiseLinear(flat, (3,)).trace(inputs).outputs
    )


def test_a_gate_used_twice_is_two_gates():
    gate = nn.ReLU()
    first, _, second, _, third = linear(3, 2, 2, 1)
    inputs = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    again = PiecewiseLinear(nn.Sequential(first, gate, second, gate, third), (3,))
    apart = PiecewiseLinear(nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third), (3,))
    assert len(again.steps) == len(apart.steps) == 5
    assert torch.equal(again.trace(inputs).outputs, apart.trace(inputs).outputs)


def test_weights_that_need_no_gradient_are_traced_too():
    model, example = case("padded")
    expected = PiecewiseLinear(model, example.shape).trace(example[None])
    model.requires_grad_(False)
    with torch.no_grad():
        trace = PiecewiseLinear(model, example.shape).trace(example[None])
    for signal, same in zip(trace.signals, expected.signals, strict=True):
        assert torch.equal(signal, same)
    assert not trace.outputs.requires_grad


def test_examples_of_another_shape_are_refused():
    model, example = case("padded")
    taken = PiecewiseLinear(model, example.shape)
    with pytest.raises(ValueError, match=r"examples of shape \(2, 3, 4\), not \(2, 3, 3\)"):
        taken.trace(torch.zeros(1, 2, 3, 4, dtype=torch.float64))
