"""Numbers of circuits, against circuits written out one by one."""

import math

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from ssbrepro.probes.circuits import count_circuits
from tests.oracles.circuits import ARCHITECTURES, Case, case, cases, enumerate_circuits, linear
from tests.oracles.nets import he_normal, max_pooled


def assert_counts_are_exact(network: Case) -> None:
    circuits = enumerate_circuits(network.model, network.example)
    log_all, log_active = count_circuits(network.model, network.example[None])
    assert log_all.dtype == log_active.dtype == torch.float64
    assert log_all.shape == log_active.shape == (1,)
    expected = [len(circuits), sum(circuit.active for circuit in circuits)]
    for log, number in zip([log_all.item(), log_active.item()], expected, strict=True):
        # The logarithm of a number of a few thousands and back: rounding only.
        assert math.exp(log) == pytest.approx(number, rel=1e-13, abs=0)
        assert round(math.exp(log)) == number


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_counts_are_those_of_the_circuits_written_out(name):
    network = case(name)
    some = enumerate_circuits(network.model, network.example)
    assert 0 < sum(circuit.active for circuit in some) < len(some)
    assert_counts_are_exact(network)


@settings(max_examples=40)
@given(cases())
def test_counts_hold_for_any_architecture(network):
    assert_counts_are_exact(network)


@settings(max_examples=30)
@given(cases())
def test_the_circuits_written_out_add_up_to_the_output(network):
    """The oracle itself is held to the network's own output."""
    circuits = enumerate_circuits(network.model, network.example)
    terms = [circuit.value() for circuit in circuits]
    output = network.model(network.example[None]).item()
    # Rounding of a sum of terms that may cancel, in units of their magnitudes.
    assert abs(math.fsum(terms) - output) <= 1e-13 * sum(map(abs, terms))


def test_a_dead_example_has_no_active_circuit():
    log_all, log_active = count_circuits(*dead())
    assert log_active.tolist() == [-math.inf]
    assert round(math.exp(log_all.item())) == 2 * 3


def dead() -> tuple[nn.Sequential, torch.Tensor]:
    """A network whose gates are all shut, and its example, (1, 2)."""
    model = nn.Sequential(*linear(2, 3, 1))
    nn.init.constant_(model[0].weight, -1.0)
    return model, torch.ones(1, 2)


def test_a_batch_is_counted_example_by_example():
    # More examples than are run at once.
    generator = torch.Generator().manual_seed(0)
    model = he_normal(max_pooled(), generator)
    inputs = torch.randn(150, 3, 5, 5, generator=generator, dtype=torch.float64)
    log_all, log_active = count_circuits(model, inputs)
    assert log_all.shape == log_active.shape == (150,)
    assert (log_all == log_all[0]).all()
    assert len(set(log_active.tolist())) > 10
    for index in (0, 1, 63, 64, 149):
        alone = count_circuits(model, inputs[index : index + 1])
        # The same whole numbers; a logarithm may round otherwise in a longer vector.
        assert alone.log_active.item() == pytest.approx(log_active[index].item(), rel=1e-14)


def test_numbers_beyond_float64_do_not_overflow():
    deep = nn.Sequential(*[nn.Linear(20, 20, bias=False) for _ in range(399)], *linear(20, 1))
    for weight in deep.parameters():
        nn.init.constant_(weight, 1 / 20)
    log_all, log_active = count_circuits(deep, torch.ones(1, 20))
    # 20^400, some 10^520; 400 sums of logarithms near 3, rounded to 1e-13 at worst each.
    assert log_all.item() == pytest.approx(400 * math.log(20), rel=1e-13)
    assert log_active.item() == pytest.approx(log_all.item(), rel=1e-13)


def test_float32_networks_are_counted_in_float64():
    model, example = case("padded")
    double = count_circuits(model, example[None])
    single = count_circuits(model.float(), example[None].float())
    assert single.log_active.dtype == torch.float64
    assert single.log_active.item() == double.log_active.item()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_examples_have_to_be_finite(bad):
    model, example = case("fully-connected")
    with pytest.raises(ValueError, match="not finite"):
        count_circuits(model, torch.full_like(example, bad)[None])


def test_examples_are_of_the_weights_type():
    model, example = case("fully-connected")
    with pytest.raises(ValueError, match=r"examples are torch.float32.*weights torch.float64"):
        count_circuits(model, example[None].float())
