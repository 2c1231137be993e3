"""The stage ``graph``: a small network, one of its circuits, and its picture."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ssbrepro.contract import Context
from ssbrepro.papers import stage
from ssbrepro.papers.li2022.figures import fig2
from ssbrepro.papers.li2022.stages import graph
from ssbrepro.papers.li2022.stages.graph import Parameters as GraphParameters
from ssbrepro.probes.circuits import perturbations
from tests.oracles.circuits import enumerate_circuits, linear

PARAMETERS = GraphParameters(layer_sizes=(4, 5, 5, 4, 1))


def run(parameters: GraphParameters = PARAMETERS, seed: int = 0):
    return stage("li2022/graph").run(
        parameters, Context(seed=seed, device="cpu", data_root=Path("unused"))
    )


@pytest.fixture(scope="module")
def result():
    return run()


def network_of(arrays) -> nn.Sequential:
    model = nn.Sequential(*linear(*PARAMETERS.layer_sizes)).double()
    with torch.no_grad():
        for number, weight in enumerate(model.parameters(), 1):
            weight.copy_(torch.from_numpy(arrays[f"weight_{number}"]))
    return model


def test_the_arrays_are_a_network_and_one_of_its_active_circuits(result):
    arrays = result.arrays
    circuits = enumerate_circuits(network_of(arrays), torch.from_numpy(arrays["input"]))
    (drawn,) = (circuit for circuit in circuits if circuit.units == tuple(arrays["units"]))
    assert drawn.active
    first, second = arrays["layers_removed"].tolist()
    assert 0 <= first < second < 4
    expected = [drawn.value(removed) for removed in ((), (first,), (first, second))]
    # Exponentials of sums of logarithms of order one, in float64.
    np.testing.assert_allclose(arrays["values"], expected, rtol=1e-13)
    # A sum of a few hundred terms of order one.
    total = sum(circuit.value() for circuit in circuits)
    assert arrays["output"].item() == pytest.approx(total, abs=1e-12)
    assert result.numbers["num_circuits"] == len(circuits)
    assert result.numbers["num_active"] == sum(circuit.active for circuit in circuits)


def test_gates_are_those_of_the_network(result):
    signal = torch.from_numpy(result.arrays["input"])[None]
    numbers = iter(range(1, 4))
    for module in network_of(result.arrays):
        signal = module(signal)
        if isinstance(module, nn.ReLU):
            gate = result.arrays[f"gate_{next(numbers)}"]
            assert np.array_equal(gate, (signal[0] > 0).double().numpy())


@pytest.mark.parametrize("seed", range(5))
def test_residuals_are_rounding_for_every_seed(seed):
    numbers = run(seed=seed).numbers
    # The manifest's own bounds.
    assert numbers["value_residual"] <= 1e-12
    assert numbers["output_residual"] <= 1e-12
    assert numbers["value_residual_control"] > 1e-3  # weights of other edges, nowhere near


def test_a_network_of_one_unit_a_layer_has_no_other_weights():
    numbers = run(GraphParameters(layer_sizes=(1, 1, 1))).numbers
    assert numbers["value_residual_control"] <= 1e-12


def test_a_wrong_value_and_a_missing_circuit_show_in_the_residuals(monkeypatch):
    right = perturbations.circuit_values
    monkeypatch.setattr(
        perturbations,
        "circuit_values",
        lambda *arguments: (right(*arguments)[0], -right(*arguments)[1]),
    )
    assert run().numbers["value_residual"] == pytest.approx(2)
    monkeypatch.undo()
    every = graph._all_circuits
    monkeypatch.setattr(
        graph, "_all_circuits", lambda *arguments: every(*arguments)[every(*arguments) != 0][1:]
    )
    assert run().numbers["output_residual"] > 1e-6


def test_the_seed_decides(result):
    assert run().numbers == result.numbers
    for name, values in run().arrays.items():
        assert np.array_equal(values, result.arrays[name])
    assert not np.array_equal(run(seed=1).arrays["input"], result.arrays["input"])


def test_a_dead_network_is_drawn_again():
    # Seven in eight of these have their one gate a layer shut somewhere.
    for seed in range(5):
        numbers = run(GraphParameters(layer_sizes=(1, 1, 1, 1, 1)), seed).numbers
        assert numbers["num_active"] == 1


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((100, 100, 101, 1), "more than 1,000,000 circuits"),
        ((2, 2, 2), "2 outputs"),
    ],
)
def test_networks_that_cannot_be_drawn_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        run(dataclasses.replace(PARAMETERS, layer_sizes=sizes))


def test_networks_that_stay_dead_are_given_up(monkeypatch):
    monkeypatch.setattr(graph, "_MAX_ATTEMPTS", 3)
    with pytest.raises(ValueError, match=r"of 3 networks .* none has an active circuit"):
        run(GraphParameters(layer_sizes=(1,) * 60))  # active with probability 2^-58


@pytest.mark.parametrize("sizes", [(4, 5, 5, 4, 1), (1, 1, 1), (2, 9, 1)])
def test_the_figure_can_be_drawn(sizes, tmp_path):
    arrays = run(GraphParameters(layer_sizes=sizes)).arrays
    figure = fig2.draw({"graph": arrays})
    figure.savefig(tmp_path / "fig2.png")
    assert len(figure.axes) == 3  # the circuit and its two perturbations
