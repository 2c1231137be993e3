"""Networks taken apart: which steps they have, and what is refused by name."""

import pytest
from torch import nn

from ssbrepro.models.reading import Gate, Layer, Pool
from ssbrepro.models.residual import ResidualUnit
from ssbrepro.models.tracing import PiecewiseLinear
from tests.oracles.circuits import case, convolution, flattened, linear


def test_steps_are_named_and_typed_in_their_order():
    taken = PiecewiseLinear(case("max-pooled").model, (1, 4, 4))
    names = [step.name for step in taken.steps]
    assert names[:3] == ["layer 0 (Conv2d)", "layer 1 (ReLU)", "layer 2 (MaxPool2d)"]
    assert [type(step) for step in taken.steps[:3]] == [Layer, Gate, Pool]
    assert [layer.outputs for layer in taken.layers] == [2, 2, 2, 1]


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
