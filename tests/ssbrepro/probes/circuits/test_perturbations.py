"""Values of circuits and their perturbations, against products written out and dense derivatives."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from ssbrepro.networks.tracing import PiecewiseLinear
from ssbrepro.probes.circuits.perturbations import circuit_values
from ssbrepro.training.losses import hinge
from tests.oracles.circuits import (
    ARCHITECTURES,
    Case,
    Circuit,
    case,
    cases,
    enumerate_circuits,
    linear,
)
from tests.oracles.hessians import dense_derivatives


def values_of(
    network: Case, circuits: list[Circuit], removed: tuple[int, ...] = (), **options: bool
) -> Tensor:
    """What the code under test makes of these circuits, as plain numbers."""
    units = torch.tensor([circuit.units for circuit in circuits])
    layers_removed = torch.tensor(removed, dtype=torch.int64).expand(len(circuits), -1)
    log_abs, sign = circuit_values(
        PiecewiseLinear(network.model, network.example.shape),
        network.example,
        units,
        layers_removed,
        **options,
    )
    assert log_abs.dtype == torch.float64
    assert sign.dtype == torch.int8
    assert torch.equal(sign == 0, log_abs == -math.inf)
    return sign * log_abs.exp()


def assert_values_are_products(network: Case) -> None:
    circuits = enumerate_circuits(network.model, network.example)
    num_layers = len(circuits[0].weights)
    for order in range(min(num_layers, 2) + 1):
        for removed in itertools.combinations(range(num_layers), order):
            for options in ({}, {"with_input": False}):  # with it, unless one says otherwise
                expected = [circuit.value(removed, **options) for circuit in circuits]
                values = values_of(network, circuits, removed, **options)
                # A sum of a few logarithms of order 10, rounded to 1e-15 each, and its exponential.
                torch.testing.assert_close(
                    values, torch.tensor(expected, dtype=torch.float64), rtol=1e-13, atol=0
                )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_values_are_the_products_along_the_circuits(name):
    assert_values_are_products(case(name))


@settings(max_examples=25)
@given(cases())
def test_values_hold_for_any_architecture(network):
    assert_values_are_products(network)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_circuits_add_up_to_the_output_the_gradient_and_the_hessian(name):
    """Identity 8: the sums over all circuits, over those through one weight and through two."""
    network = case(name)
    circuits = enumerate_circuits(network.model, network.example)
    output = network.model(network.example[None])
    target = torch.where(output > 0, -1.0, 1.0).double()  # inside the margin for certain
    gradient, hessian = dense_derivatives(network.model, hinge, network.example[None], target)
    slope = -target.item()
    values = values_of(network, circuits)
    # Sums of a few hundred terms of order one, in float64.
    assert values.sum().item() == pytest.approx(output.item(), rel=0, abs=1e-12)
    parameters = torch.tensor([circuit.parameters for circuit in circuits])
    summed = torch.zeros_like(gradient)
    mixed = torch.zeros_like(hessian)
    layers = range(parameters.shape[1])
    for layer in layers:
        perturbations = slope * values_of(network, circuits, (layer,))
        summed.index_add_(0, parameters[:, layer], perturbations)
    for pair in itertools.combinations(layers, 2):
        perturbations = slope * values_of(network, circuits, pair)
        first, second = parameters[:, pair].unbind(1)
        mixed.index_put_((first, second), perturbations, accumulate=True)
        mixed.index_put_((second, first), perturbations, accumulate=True)
    assert gradient.count_nonzero() > 5
    assert hessian.count_nonzero() > 5
    torch.testing.assert_close(summed, gradient, rtol=0, atol=1e-12)
    torch.testing.assert_close(mixed, hessian, rtol=0, atol=1e-12)


def test_a_weight_of_zero_is_left_out_like_any_other():
    network = Case(nn.Sequential(*linear(1, 1, 1)).double(), torch.tensor([3.0]).double())
    nn.init.constant_(network.model[0].weight, 2.0)
    nn.init.constant_(network.model[2].weight, 0.0)
    circuits = enumerate_circuits(network.model, network.example)
    for removed, value in (((), 0.0), ((0,), 0.0), ((1,), 6.0), ((0, 1), 3.0)):
        # Exponentials of sums of two logarithms of order one: some roundings of 1e-16.
        assert values_of(network, circuits, removed).item() == pytest.approx(value, rel=1e-14)


def test_deep_products_do_not_underflow():
    model = nn.Sequential(*linear(*[1] * 201)).double()
    for weight in model.parameters():
        nn.init.constant_(weight, 1e-3)
    network = PiecewiseLinear(model, (1,))
    units = torch.zeros(1, 201, dtype=torch.int64)
    # 10^-600 is no float64, and the gates of so small activations are shut from some layer on: an
    # example as large as that brings them back.
    example = torch.tensor([1e300], dtype=torch.float64)
    log_abs, sign = circuit_values(network, example, units, torch.zeros(1, 0), with_input=False)
    assert sign.item() == 1
    # 200 roundings of sums up to 1,400.
    assert log_abs.item() == pytest.approx(200 * math.log(1e-3), rel=1e-13)


@pytest.mark.parametrize(
    ("name", "units", "layer"),
    [
        ("padded", [8, 0, 0, 0], r"layer 0 \(Conv2d\)"),  # the corners of the map
        ("max-pooled", [0, 0, 1, 0, 0, 0], r"layer 2 \(MaxPool2d\)"),  # a neighbouring window
        ("max-pooled", [0, 0, 4, 0, 0, 0], r"layer 2 \(MaxPool2d\)"),  # another channel
        ("average-pooled", [0, 0, 24, 0, 0], r"layer 2 \(AvgPool2d\)"),
    ],
)
def test_units_that_are_not_connected_are_no_circuit(name, units, layer):
    network = case(name)
    with pytest.raises(ValueError, match=f"{layer} does not connect"):
        circuit_values(
            PiecewiseLinear(network.model, network.example.shape),
            network.example,
            torch.tensor([units]),
            torch.zeros(1, 0),
        )


@pytest.mark.parametrize("change", [-1, 1])
def test_circuits_of_another_length_are_refused(change):
    network = case("padded")
    length = len(enumerate_circuits(network.model, network.example)[0].units) + change
    with pytest.raises(ValueError, match="zip"):
        circuit_values(
            PiecewiseLinear(network.model, network.example.shape),
            network.example,
            torch.zeros(1, length, dtype=torch.int64),
            torch.zeros(1, 0),
        )
