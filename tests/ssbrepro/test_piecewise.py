"""Networks taken apart: what a trace holds, and what is refused by name."""

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from ssbrepro.networks.residual import ResidualUnit
from ssbrepro.piecewise import Gate, Layer, PiecewiseLinear, Pool, read
from tests.oracles.circuits import ARCHITECTURES, Case, case, cases, convolution, linear

ROUNDING = {"rtol": 0, "atol": 1e-12}  # sums of some hundred terms of order one, in float64


def assert_steps_replay_the_network(network: Case, num_examples: int = 3) -> None:
    """Every step, done by its table from what the trace kept, is the module's own output."""
    generator = torch.Generator().manual_seed(0)
    shape = (num_examples, *network.example.shape)
    inputs = torch.randn(shape, generator=generator, dtype=torch.float64)
    taken = PiecewiseLinear(network.model, network.example.shape)
    states, signals, outputs = taken.trace(inputs)
    torch.testing.assert_close(outputs, network.model(inputs).flatten(), **ROUNDING)
    channels = network.example.shape[0]
    current = inputs.reshape(num_examples, channels, taken.input_cells).transpose(0, 1)
    for step, state in zip(taken.steps, states, strict=True):
        if isinstance(step, Layer):
            torch.testing.assert_close(state, current, **ROUNDING)
            current = torch.einsum("ock,cnkp->onp", step.weight, read(current, step.sources))
        elif isinstance(step, Gate):
            assert torch.equal(state, current > 0)
            current = current * state
        elif step.selects:
            chosen = current.gather(-1, state)
            framed = torch.cat([current, torch.full_like(current[..., :1], -torch.inf)], dim=-1)
            # Of values that are equal but for rounding, either is the largest.
            torch.testing.assert_close(chosen, framed[..., step.sources].amax(-2), **ROUNDING)
            current = chosen
        else:
            assert state is None
            current = read(current, step.sources).mean(-2)
    torch.testing.assert_close(current.flatten(), outputs, **ROUNDING)
    # A layer's gradient is its signal times what its slots read.
    gradients = torch.autograd.grad(network.model(inputs).sum(), network.model.parameters())
    kept = [
        state for step, state in zip(taken.steps, states, strict=True) if isinstance(step, Layer)
    ]
    for layer, signal, state, gradient in zip(taken.layers, signals, kept, gradients, strict=True):
        product = torch.einsum("onp,cnkp->ock", signal, read(state, layer.sources))
        torch.testing.assert_close(product.flatten(), gradient.flatten(), **ROUNDING)


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


def test_steps_are_named_and_typed_in_their_order():
    taken = PiecewiseLinear(case("max-pooled").model, (1, 4, 4))
    names = [step.name for step in taken.steps]
    assert names[:3] == ["layer 0 (Conv2d)", "layer 1 (ReLU)", "layer 2 (MaxPool2d)"]
    assert [type(step) for step in taken.steps[:3]] == [Layer, Gate, Pool]
    assert [layer.outputs for layer in taken.layers] == [2, 2, 2, 1]


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


def flattened(*modules: nn.Module, size: int) -> list[nn.Module]:
    return [*modules, nn.Flatten(), *linear(size, 1)]


shared = nn.Linear(3, 3, bias=False)
MAP, VECTOR = (1, 4, 4), (3,)
REFUSED = {
    "bias": ([nn.Linear(3, 1)], VECTOR, r"layer 0 \(Linear\) has a bias"),
    "convolution with bias": (
        flattened(nn.Conv2d(1, 1, 1), size=16),
        MAP,
        r"layer 0 \(Conv2d\) has a bias",
    ),
    "dropout": ([*linear(3, 3), nn.Dropout(), *linear(3, 1)], VECTOR, r"layer 1 \(Dropout\)"),
    "batch norm": (flattened(nn.BatchNorm2d(1), size=16), MAP, r"layer 0 \(BatchNorm2d\)"),
    "tanh": ([*linear(3, 3), nn.Tanh(), *linear(3, 1)], VECTOR, r"layer 1 \(Tanh\)"),
    "one dimension": ([nn.Conv1d(3, 1, 1, bias=False)], VECTOR, r"layer 0 \(Conv1d\)"),
    "subclass": (
        [type("Odd", (nn.Linear,), {})(3, 1, bias=False)],
        VECTOR,
        r"layer 0 \(Odd\) is not supported",
    ),
    "several outputs": ([*linear(3, 2)], VECTOR, "has 2 outputs"),
    "a map as output": ([convolution(1, 1)], MAP, "has 4 outputs"),
    "no layer": ([nn.ReLU()], (1,), "circuits end in one output neuron"),
    "linear on a map": ([*linear(16, 1)], MAP, r"layer 0 \(Linear\).*put a Flatten before it"),
    "convolution on a vector": (
        [nn.Flatten(), convolution(1, 1)],
        MAP,
        r"layer 1 \(Conv2d\) acts on a flattened input",
    ),
    "shared": ([shared, nn.ReLU(), shared, *linear(3, 1)], VECTOR, r"layer 2 \(Linear\) shares"),
    "wrong features": ([*linear(4, 1)], VECTOR, r"layer 0 \(Linear\)"),
    "wrong channels": (flattened(convolution(2, 1), size=4), MAP, r"layer 0 \(Conv2d\)"),
    "groups": (
        flattened(nn.Conv2d(2, 2, 1, groups=2, bias=False), size=32),
        (2, 4, 4),
        "grouped convolution",
    ),
    "reflection": (
        flattened(convolution(1, 1, padding=1, padding_mode="reflect"), size=16),
        MAP,
        "pads with reflect",
    ),
    "ceiling": (flattened(nn.MaxPool2d(3, ceil_mode=True), size=4), MAP, r"layer 0 \(MaxPool2d\)"),
    "uneven mean": (
        flattened(nn.AvgPool2d(2, padding=1, count_include_pad=False), size=9),
        MAP,
        r"layer 0 \(AvgPool2d\) does not divide by the size of its window",
    ),
    "odd divisor": (
        flattened(nn.AvgPool2d(2, divisor_override=3), size=4),
        MAP,
        r"layer 0 \(AvgPool2d\) does not divide",
    ),
    "two means a channel": (
        flattened(nn.AdaptiveAvgPool2d((1, 2)), size=4),
        MAP,
        r"layer 0 \(AdaptiveAvgPool2d\) has more than one output a channel",
    ),
    "branch": (
        flattened(ResidualUnit(1, 1.0), size=16),
        MAP,
        r"layer 0 \(ResidualUnit\) has a branch; supported: bias-free",
    ),
    "half flattened": ([nn.Flatten(2), *linear(16, 1)], MAP, r"layer 0 \(Flatten\) flattens"),
    "no map and no vector": ([*linear(3, 1)], (3, 3), r"shape \(3, 3\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_refused_by_name(name):
    modules, shape, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        PiecewiseLinear(nn.Sequential(*modules), shape)


@pytest.mark.parametrize("name", ["dropout", "batch norm", "tanh", "bias", "groups"])
def test_a_refusal_says_what_is_supported(name):
    modules, shape, _ = REFUSED[name]
    with pytest.raises(ValueError, match="bias-free Conv2d and Linear, ReLU, MaxPool2d, AvgPool2d"):
        PiecewiseLinear(nn.Sequential(*modules), shape)


def test_a_network_that_is_no_sequence_is_refused():
    with pytest.raises(ValueError, match="network of class Linear is not supported"):
        PiecewiseLinear(nn.Linear(3, 1, bias=False), (3,))


def test_examples_of_another_shape_are_refused():
    model, example = case("padded")
    taken = PiecewiseLinear(model, example.shape)
    with pytest.raises(ValueError, match=r"examples of shape \(2, 3, 4\), not \(2, 3, 3\)"):
        taken.trace(torch.zeros(1, 2, 3, 4, dtype=torch.float64))
