"""Sampled circuits: uniform over the circuits written out, with their values."""

import itertools
import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import nn

from ssbrepro.networks import vgg12
from ssbrepro.networks.tracing import PiecewiseLinear
from ssbrepro.probes.circuits import sample_circuits, sampling
from ssbrepro.probes.circuits.perturbations import circuit_values
from tests.oracles.circuits import (
    ARCHITECTURES,
    Case,
    Circuit,
    case,
    cases,
    enumerate_circuits,
    linear,
)

# The seeds are fixed, so no test fails by chance twice: a right sampler gives a smaller p-value with
# one seed in a thousand, one that is off by as little as a tenth in some places gives 1e-10 and less.
SMALLEST_P_VALUE = 1e-3


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_uniform(draws: list[tuple[int, ...]], possible: list[tuple[int, ...]]) -> None:
    counts = Counter(draws)
    assert set(counts) <= set(possible)
    assert chisquare([counts[outcome] for outcome in possible]).pvalue > SMALLEST_P_VALUE


@pytest.mark.parametrize("active", [True, False], ids=["active", "all"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_circuits_are_drawn_uniformly(name, active):
    network = case(name)
    possible = [
        circuit.units
        for circuit in enumerate_circuits(network.model, network.example)
        if circuit.active or not active
    ]
    # The chi-square law of the statistic wants some ten draws a circuit.
    size = 20 * len(possible)
    sample = sample_circuits(*network, size, active=active, generator=generator())
    assert sample.units.shape == (size, len(possible[0]))
    assert sample.units.dtype == torch.int64
    assert_uniform([tuple(units) for units in sample.units.tolist()], possible)


@pytest.mark.parametrize("order", [1, 2])
def test_removed_layers_are_drawn_uniformly_and_apart_from_the_circuits(order):
    network = case("padded")
    sample = sample_circuits(*network, 3000, order=order, generator=generator())
    assert sample.layers_removed.shape == (3000, order)
    assert sample.layers_removed.dtype == torch.int64
    removed = [tuple(layers) for layers in sample.layers_removed.tolist()]
    choices = [*itertools.combinations(range(3), order)]
    assert_uniform(removed, choices)
    # Independence: removed layers together with the first hidden unit of the circuit.
    units = sample.units[:, -2].tolist()
    joint = [(*layers, unit) for layers, unit in zip(removed, units, strict=True)]
    assert_uniform(joint, [(*layers, unit) for layers in choices for unit in sorted(set(units))])


def laws(table: sampling._Table) -> torch.Tensor:
    """The probabilities a table draws with, (rows, columns), added up from what it looks up."""
    ends = table.ends.reshape(-1, table.columns)
    others, own = table.outcomes.reshape(*ends.shape, 2).long().unbind(-1)
    kept = ends - torch.arange(table.columns)
    assert torch.equal(own, torch.arange(table.columns).expand_as(own))
    assert ((kept >= 0) & (kept <= 1)).all()
    return (kept.scatter_add(1, others, 1 - kept)) / table.columns


# What is hard: zeros at either end, equal entries whose shares round to either side of 1, entries above
# the mean by less than a sum resolves, entries that hardly count, one that takes all, a single column,
# large and small numbers.
WEIGHTS = {
    "zeros": [[0, 3, 0, 1e-300, 2, 0], [0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0]],
    "equal": [[1.0] * 49, [0.1] * 49, [0.0, *[1 / 3] * 48], [*[7.0] * 24, *[0.0] * 25]],
    "unresolved": [[9.0, *[1 + 2**-51] * 20, 9.1, *[0.3] * 23]],
    "uneven": [[2.0**-k for k in range(60)], [2.0**k for k in range(60)]],
    "single": [[3.0], [1e-300]],
    "extreme": [[1e300, 1e300, 1e307], [1e-300, 2e-300, 0]],
}


def assert_laws_are_the_weights(weights: torch.Tensor) -> None:
    found = laws(sampling._Table(weights))
    # Sums of as many shares as there are columns, each rounded in units of the mean share.
    columns = weights.shape[1]
    torch.testing.assert_close(
        found, weights / weights.sum(1, keepdim=True), rtol=0, atol=1e-15 + columns * 1e-16
    )
    assert (found[weights == 0] == 0).all()


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_table_draws_in_proportion_to_its_weights(name):
    assert_laws_are_the_weights(torch.tensor(WEIGHTS[name], dtype=torch.float64))


@settings(max_examples=60)
@given(st.integers(1, 80), st.integers(0, 2**31), st.sampled_from([2, 5, 1000, 2**52]))
def test_a_table_of_random_counts_draws_in_proportion_to_them(columns, seed, largest):
    weights = torch.randint(largest, (20, columns), generator=generator(seed)).double()
    weights[:, seed % columns] += 1  # a row of zeros is no table
    assert_laws_are_the_weights(weights)


def test_rows_without_weights_do_no_harm_to_others():
    weights = torch.tensor([[0.0, 0.0], [1.0, 3.0], [0.0, 0.0]], dtype=torch.float64)
    assert laws(sampling._Table(weights))[1].tolist() == [0.25, 0.75]


@pytest.mark.parametrize("columns", [1, 3, 6, 49, 64])
def test_not_even_the_extreme_draws_hit_an_entry_of_zero(columns, monkeypatch):
    edges = [edge / columns for edge in range(columns)]
    shares = torch.tensor(
        [*edges, *(math.nextafter(edge, 1) for edge in edges), math.nextafter(1, 0)],
        dtype=torch.float64,
    )
    monkeypatch.setattr(sampling, "_uniform", lambda size, *_: shares)
    weights = torch.randint(3, (40, columns), generator=generator()).double()
    weights[:, 0] += weights.sum(1) == 0
    table = sampling._Table(weights)
    for row in range(len(weights)):
        drawn = table.draw(torch.full((len(shares),), row, dtype=torch.int32), None)
        assert (weights[row, drawn.long()] > 0).all()


def test_circuits_of_several_chunks_are_drawn_uniformly(monkeypatch):
    network = case("max-pooled")
    circuits = enumerate_circuits(network.model, network.example)
    possible = [circuit.units for circuit in circuits if circuit.active]
    monkeypatch.setattr(sampling, "_CHUNK", 7)
    sample = sample_circuits(*network, 20 * len(possible), generator=generator())
    assert_uniform([tuple(units) for units in sample.units.tolist()], possible)


@pytest.mark.parametrize("active", [True, False], ids=["active", "all"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_values_are_those_of_the_same_circuits_given_from_outside(name, active, monkeypatch):
    network = case(name)
    monkeypatch.setattr(sampling, "_CHUNK", 30)  # the last of a hundred are fewer
    for order, with_input in itertools.product((0, 1, 2), (True, False)):
        sample = sample_circuits(
            *network, 100, order, active=active, with_input=with_input, generator=generator()
        )
        log_abs, sign = circuit_values(
            PiecewiseLinear(network.model, network.example.shape),
            network.example,
            sample.units,
            sample.layers_removed,
            with_input,
        )
        # In other parts, which may be rounded otherwise: a few logarithms of order 10.
        torch.testing.assert_close(log_abs, sample.log_abs, rtol=0, atol=1e-13)
        assert torch.equal(sign, sample.sign)


def assert_values_are_the_circuits_own(
    network: Case, possible: list[Circuit], order: int, active: bool, with_input: bool
) -> None:
    circuits = {circuit.units: circuit for circuit in possible if circuit.active or not active}
    if not circuits:
        with pytest.raises(ValueError, match="no active circuit"):
            sample_circuits(*network, 1, generator=generator())
        return
    sample = sample_circuits(
        *network, 100, order, active=active, with_input=with_input, generator=generator()
    )
    assert sample.log_abs.shape == sample.sign.shape == (100,)
    assert sample.log_abs.dtype == torch.float64
    for log_abs, sign, removed, units in zip(*(part.tolist() for part in sample), strict=True):
        assert len(set(removed)) == order
        assert removed == sorted(removed)
        value = circuits[tuple(units)].value(removed, with_input)
        if value == 0:
            assert (sign, log_abs) == (0, -math.inf)
        else:
            # A sum of a few logarithms of order 10, rounded to 1e-15 each, and its exponential.
            assert sign * math.exp(log_abs) == pytest.approx(value, rel=1e-13, abs=0)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_values_are_those_of_the_circuits_written_out(name):
    network = case(name)
    circuits = enumerate_circuits(network.model, network.example)
    for order, active, with_input in itertools.product((0, 1, 2), (True, False), (True, False)):
        assert_values_are_the_circuits_own(network, circuits, order, active, with_input)


@settings(max_examples=40)
@given(cases(), st.booleans(), st.booleans(), st.data())
def test_values_hold_for_any_architecture(network, active, with_input, data):
    circuits = enumerate_circuits(network.model, network.example)
    order = data.draw(st.integers(0, min(2, len(circuits[0].weights))))
    assert_values_are_the_circuits_own(network, circuits, order, active, with_input)


def test_without_gates_circuits_of_shut_gates_are_drawn_and_are_zero():
    network = case("padded")
    circuits = enumerate_circuits(network.model, network.example)
    shut = sum(not circuit.active for circuit in circuits) / len(circuits)
    sample = sample_circuits(*network, 10_000, active=False, generator=generator())
    zeros = (sample.sign == 0).double().mean().item()
    # Four standard errors of a share.
    assert abs(zeros - shut) < 4 * math.sqrt(shut * (1 - shut) / 10_000)
    assert (sample_circuits(*network, 1000, generator=generator()).sign != 0).all()


def test_the_same_generator_gives_the_same_circuits_and_another_others():
    network = case("max-pooled")
    first, again, other = (
        sample_circuits(*network, 50, order=2, generator=generator(seed)) for seed in (1, 1, 2)
    )
    for one, same in zip(first, again, strict=True):
        assert torch.equal(one, same)
    assert not torch.equal(first.units, other.units)


def test_the_global_generator_is_left_alone_where_one_is_given():
    network = case("padded")
    before = torch.get_rng_state()
    sample_circuits(*network, 10, order=1, generator=generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_generator_the_global_one_draws():
    network = case("max-pooled")
    torch.manual_seed(3)
    first, other = (sample_circuits(network.model, network.example, 50) for _ in range(2))
    torch.manual_seed(3)
    again = sample_circuits(network.model, network.example, 50)
    assert torch.equal(first.units, again.units)
    assert not torch.equal(first.units, other.units)


def test_the_paper_s_network_is_sampled_in_its_own_precision():
    model = vgg12(1 / 16, generator())
    example = torch.randn(3, 32, 32, generator=generator(1))
    sample = sample_circuits(model, example, 2000, order=2, generator=generator())
    assert sample.units.shape == (2000, 1 + 12 + 5)
    assert (sample.sign.abs() == 1).all()
    double = sample_circuits(model.double(), example.double(), 2000, order=2, generator=generator())
    # The gates of both agree but for those of sums within rounding of zero, so nearly all of the
    # circuits do, and of these the values: float32 weights are exact in float64.
    same = (sample.units == double.units).all(1)
    assert same.double().mean() > 0.9
    torch.testing.assert_close(sample.log_abs[same], double.log_abs[same], rtol=1e-13, atol=0)


def dead() -> Case:
    model = nn.Sequential(*linear(2, 3, 1))
    nn.init.constant_(model[0].weight, -1.0)
    return Case(model, torch.ones(2))


def test_without_an_active_circuit_there_is_nothing_to_draw():
    with pytest.raises(ValueError, match="no active circuit"):
        sample_circuits(*dead(), 10, generator=generator())
    sample = sample_circuits(*dead(), 10, active=False, generator=generator())
    assert (sample.sign == 0).all()
    assert (sample.log_abs == -math.inf).all()


def test_an_input_of_zero_makes_a_value_of_zero():
    network = Case(nn.Sequential(*linear(2, 1)), torch.tensor([0.0, 1.0]))
    sample = sample_circuits(*network, 100, generator=generator())
    assert torch.equal(sample.sign == 0, sample.units[:, 0] == 0)
    without = sample_circuits(*network, 100, with_input=False, generator=generator())
    assert (without.sign != 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_samples": 0}, "num_samples must be at least 1, not 0"),
        ({"order": 3}, "order 3 is not one of 0, 1, 2"),
        ({"order": -1}, "order -1 is not one of 0, 1, 2"),
        ({"input": torch.zeros(4).double()}, r"layer 0 \(Linear\)"),
        ({"input": torch.zeros(1, 3).double()}, "an example has shape"),
        ({"input": torch.ones(3)}, "examples are torch.float32"),
        ({"input": torch.full((3,), math.nan).double()}, "not finite"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    model, example = case("fully-connected")
    good = {"input": example, "num_samples": 1, "order": 0, "generator": generator()}
    with pytest.raises(ValueError, match=message):
        sample_circuits(model, **(good | arguments))


def test_a_single_layer_has_no_perturbation_of_second_order():
    model = nn.Sequential(*linear(2, 1))
    with pytest.raises(ValueError, match=r"order 2 .* above the number of layers, 1"):
        sample_circuits(model, torch.ones(2), 1, order=2, generator=generator())
