"""Networks taken apart: which steps they have, and what is refused by name."""

import copy
from dataclasses import dataclass

import pytest
from torch import nn

from ssbrepro.networks import tracing
from ssbrepro.networks.reading import Branch, Fork, Gate, Join, Layer, Pool, read_steps
from ssbrepro.networks.residual import ResidualUnit
from ssbrepro.networks.tracing import PiecewiseLinear
from ssbrepro.probes.operators.linear_maps import linear_map
from tests.oracles.circuits import case, convolution, flattened, linear


def test_steps_are_named_and_typed_in_their_order():
    taken = PiecewiseLinear(case("max-pooled").model, (1, 4, 4))
    names = [step.name for step in taken.steps]
    assert names[:3] == ["layer 0 (Conv2d)", "layer 1 (ReLU)", "layer 2 (MaxPool2d)"]
    assert [type(step) for step in taken.steps[:3]] == [Layer, Gate, Pool]
    assert [layer.outputs for layer in taken.layers] == [2, 2, 2, 1]


def test_a_residual_unit_is_a_branch_of_two_gated_layers():
    steps, outputs = read_steps(nn.Sequential(nn.ReLU(), ResidualUnit(2, 0.5)), (2, 3, 3))
    assert [(type(step), step.name) for step in steps] == [
        (Gate, "layer 0 (ReLU)"),
        (Fork, "layer 1 (ResidualUnit)"),
        (Layer, "layer 1.first (Conv2d)"),
        (Gate, "layer 1 (ReLU)"),
        (Layer, "layer 1.second (Conv2d)"),
        (Gate, "layer 1 (ReLU)"),
        (Join, "layer 1 (ResidualUnit)"),
    ]
    assert steps[-1].scale == 0.5
    assert outputs == 2 * 3 * 3


class Described(nn.Module):
    """Modules in sequence that read as what a function makes of them."""

    def __init__(self, description, *held):
        super().__init__()
        self.held = nn.Sequential(*held)
        self._description = description

    def forward(self, inputs):
        return self.held(inputs)

    def reads_as(self):
        return self._description(self)


def test_a_whole_network_may_describe_itself():
    network = Described(lambda own: [own.held], *linear(3, 2, 1))
    assert [step.name for step in PiecewiseLinear(network, (3,)).steps] == [
        "layer held.0 (Linear)",
        "layer held.1 (ReLU)",
        "layer held.2 (Linear)",
    ]


def test_a_network_may_be_a_class_of_sequences_but_not_a_part_of_it():
    class Chain(nn.Sequential):
        pass

    assert len(PiecewiseLinear(Chain(*linear(3, 2, 1)), (3,)).steps) == 3
    with pytest.raises(ValueError, match=r"layer 0 \(Chain\) is not supported"):
        PiecewiseLinear(nn.Sequential(Chain(*linear(3, 1))), (3,))


MISDESCRIBED = {
    "another order": (
        lambda own: [own.held[1], own.held[0]],
        r"layer 0 \(Described\).*their order",
    ),
    "copies": (lambda own: [copy.deepcopy(own.held)], "do not hold its own weights"),
    "too few": (lambda own: [own.held[0]], "do not hold its own weights"),
    "twice": (lambda own: [own.held, own.held[1]], "its own weights, each once"),
    "itself": (lambda own: [own], r"layer 0 \(Described\) reads as itself"),
    "an unknown part": (lambda own: [own.held, nn.Tanh()], r"layer 0 \(Tanh\) is not supported"),
    "a branch that widens": (
        lambda own: [Branch([own.held[0]], 1.0), own.held[1]],
        r"layer 0 \(Described\) has a branch that changes the shape",
    ),
}


@pytest.mark.parametrize("name", MISDESCRIBED)
def test_a_description_that_cannot_be_is_refused_by_name(name):
    description, message = MISDESCRIBED[name]
    with pytest.raises(ValueError, match=message):
        read_steps(nn.Sequential(Described(description, *linear(3, 4, 3)[::2])), (3,))


def test_a_part_goes_by_its_own_name():
    kind = Described(lambda own: [own.held], nn.Linear(3, 1))
    with pytest.raises(ValueError, match=r"layer 0.held.0 \(Linear\) has a bias"):
        PiecewiseLinear(nn.Sequential(kind), (3,))


def test_a_step_that_the_probes_have_not_been_taught_is_refused_by_name(monkeypatch):
    @dataclass
    class Fold:
        name: str

    fold = Fold("layer 4 (Origami)")
    with pytest.raises(ValueError, match=r"4 \(Origami\): Hessian products do not .* step Fold"):
        linear_map(fold)
    monkeypatch.setattr(tracing, "read_steps", lambda *_: ([fold], 1))
    with pytest.raises(ValueError, match=r"4 \(Origami\): circuits and entries do not .* Fold"):
        PiecewiseLinear(nn.Sequential(), (3,))


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
