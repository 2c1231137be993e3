"""A layer kind that the package does not know, taken exactly by every probe for saying what it is.

The kinds are defined here, with forward passes of their own; nothing in the package names them. Circuits
are written out for the same network in PyTorch's own layers and add up to the output of the one under
test; dense derivatives are those of its own forward pass.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, softplus
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ssbrepro.networks.reading import Branch, read_steps
from ssbrepro.probes.circuits import count_circuits, sample_circuits
from ssbrepro.probes.entries import entry_grid, per_example_entries
from ssbrepro.probes.operators import hessian_operator
from ssbrepro.training.losses import hinge
from tests.oracles.circuits import Case, convolution, enumerate_circuits, flattened, linear
from tests.oracles.hessians import dense_derivatives
from tests.oracles.nets import Problem, he_normal
from tests.oracles.replay import assert_steps_replay_the_network

# Sums of some hundred products of order one, in float64, relative to the largest.
EXACT = 1e-13


class Leaky(nn.Module):
    """Activation: a tenth of what is negative."""

    def forward(self, sums: Tensor) -> Tensor:
        return sums.clamp(min=0) + 0.1 * sums.clamp(max=0)

    def reads_as(self) -> list[nn.Module]:
        return [nn.LeakyReLU(0.1)]


class MeanOfFour(nn.Module):
    """Pool: the mean over squares of four cells."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).mean((3, 5))

    def reads_as(self) -> list[nn.Module]:
        return [nn.AvgPool2d(2)]


class Factorised(nn.Module):
    """Linear map of low rank, whose weight is the product of two."""

    def __init__(self, features: int, rank: int, outputs: int) -> None:
        super().__init__()
        self.inner = nn.Linear(features, rank, bias=False)
        self.outer = nn.Linear(rank, outputs, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return features @ (self.outer.weight @ self.inner.weight).T

    def reads_as(self) -> list[nn.Module]:
        return [self.inner, self.outer]


class Block(nn.Module):
    """Convolution, activation and pool in one: a kind made of kinds that describe themselves."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.weights = convolution(channels, outputs, padding=1)
        self.rest = nn.ModuleList([Leaky(), MeanOfFour()])

    def forward(self, maps: Tensor) -> Tensor:
        return self.rest[1](self.rest[0](conv2d(maps, self.weights.weight, padding=1)))

    def reads_as(self) -> list[nn.Module]:
        return [self.weights, *self.rest]


# A network with the kind, the same in known layers, the shape of an example.
Kind = tuple[Callable[[], list[nn.Module]], Callable[[], list[nn.Module]], tuple[int, ...]]
KINDS: dict[str, Kind] = {
    "activation": (
        lambda: [*linear(3, 4, 4), Leaky(), *linear(4, 3), Leaky(), *linear(3, 1)],
        lambda: [
            *linear(3, 4, 4),
            nn.LeakyReLU(0.1),
            *linear(4, 3),
            nn.LeakyReLU(0.1),
            *linear(3, 1),
        ],
        (3,),
    ),
    "pool": (
        lambda: flattened(convolution(1, 2, 2), nn.ReLU(), MeanOfFour(), nn.ReLU(), size=8),
        lambda: flattened(convolution(1, 2, 2), nn.ReLU(), nn.AvgPool2d(2), nn.ReLU(), size=8),
        (1, 5, 5),
    ),
    "linear map": (
        lambda: [*linear(3, 5), nn.ReLU(), Factorised(5, 2, 4), nn.ReLU(), *linear(4, 1)],
        lambda: [*linear(3, 5), nn.ReLU(), *linear(5, 2), *linear(2, 4), nn.ReLU(), *linear(4, 1)],
        (3,),
    ),
    "block": (
        lambda: flattened(Block(1, 2), convolution(2, 2, 2), nn.ReLU(), size=2),
        lambda: flattened(
            nn.Sequential(convolution(1, 2, padding=1), nn.LeakyReLU(0.1), nn.AvgPool2d(2)),
            convolution(2, 2, 2),
            nn.ReLU(),
            size=2,
        ),
        (1, 4, 4),
    ),
}
any_kind = pytest.mark.parametrize("name", KINDS)


class Subject(NamedTuple):
    """A network with a kind under test, its double in known layers, and examples."""

    model: nn.Sequential
    known: nn.Sequential
    inputs: Tensor


def subject(name: str) -> Subject:
    kind, known, shape = KINDS[name]
    generator = torch.Generator().manual_seed(0)
    model = he_normal(nn.Sequential(*kind(), nn.Flatten(0)), generator)
    double = nn.Sequential(*known(), nn.Flatten(0)).double()
    vector_to_parameters(parameters_to_vector(model.parameters()).detach(), double.parameters())
    inputs = torch.randn(8, *shape, generator=generator, dtype=torch.float64)
    assert (model(inputs) != 0).sum() > 2
    return Subject(model, double, inputs)


@any_kind
def test_it_is_read_as_what_it_says_and_traced(name):
    model, known, inputs = subject(name)
    shape = tuple(inputs.shape[1:])
    steps, same = (read_steps(network, shape)[0] for network in (model, known))
    assert [type(step) for step in steps] == [type(step) for step in same]
    assert_steps_replay_the_network(Case(model, inputs[0]))


@any_kind
def test_its_circuits_are_those_written_out(name):
    model, known, inputs = subject(name)
    log_all, log_active = count_circuits(model, inputs)
    for example, log_every, log_some in zip(inputs, log_all, log_active, strict=True):
        circuits = enumerate_circuits(known, example)
        terms = [circuit.value() for circuit in circuits]
        output = model(example[None]).item()
        assert abs(math.fsum(terms) - output) <= EXACT * sum(map(abs, terms))
        assert round(log_every.exp().item()) == len(circuits)
        assert round(log_some.exp().item()) == sum(circuit.active for circuit in circuits)


@pytest.mark.parametrize("active", [True, False])
@any_kind
def test_sampled_circuits_have_the_values_of_those_written_out(name, active):
    model, known, inputs = subject(name)
    example = inputs[model(inputs) != 0][0]
    circuits = {circuit.units: circuit for circuit in enumerate_circuits(known, example)}
    generator = torch.Generator().manual_seed(1)
    sample = sample_circuits(model, example, 200, order=1, active=active, generator=generator)
    for log_abs, sign, removed, units in zip(*(part.tolist() for part in sample), strict=True):
        value = circuits[tuple(units)].value(removed)
        # A sum of a few logarithms of order 10, rounded to 1e-15 each, and its exponential.
        assert sign * math.exp(log_abs) == pytest.approx(value, rel=EXACT, abs=0)


def logistic(outputs: Tensor, targets: Tensor) -> Tensor:
    return softplus(-targets * outputs).mean()


def judged(model: nn.Sequential, inputs: Tensor) -> Problem:
    """The network with targets that it misses: every example is within the margin."""
    return Problem(model, inputs, torch.where(model(inputs) > 0, -1.0, 1.0).double())


@pytest.mark.parametrize("loss", [hinge, logistic])
@any_kind
def test_its_entries_are_those_of_each_examples_dense_hessian(name, loss):
    model, _, inputs = subject(name)
    given = judged(model, inputs)
    dense = torch.stack(
        [
            dense_derivatives(model, loss, one[None], target[None])[1]
            for one, target in zip(given.inputs, given.targets, strict=True)
        ]
    )
    places = torch.arange(len(given.weights))
    rows, columns = torch.cartesian_prod(places, places).T
    entries = per_example_entries(model, loss, *given[1:], rows, columns)
    assert dense.norm() > 0.1
    scale = dense.abs().max()
    assert (entries.view_as(dense) - dense).abs().max() <= EXACT * scale
    grid = entry_grid(model, loss, *given[1:], places, places)
    assert (grid - dense.mean(0)).abs().max() <= EXACT * scale


def assert_products_are_dense(model: nn.Sequential, inputs: Tensor, loss) -> None:
    given = judged(model, inputs)
    gradient, hessian = dense_derivatives(model, loss, *given[1:])
    operator = hessian_operator(model, loss, *given[1:], "cached", torch.float64, chunk_size=3)
    columns = [operator.matvec(unit) for unit in torch.eye(operator.dim, dtype=torch.float64)]
    assert hessian.norm() > 0.1
    assert (torch.stack(columns, 1) - hessian).abs().max() <= EXACT * hessian.abs().max()
    assert (operator.gradient() - gradient).abs().max() <= EXACT * gradient.abs().max()


@pytest.mark.parametrize("loss", [hinge, logistic])
@any_kind
def test_its_cached_products_are_those_of_the_dense_hessian(name, loss):
    model, _, inputs = subject(name)
    assert_products_are_dense(model, inputs, loss)


class Twofold(nn.Module):
    """Residual unit of another kind: one convolution, and a branch around the branch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.outer = convolution(channels, channels, padding=1)
        self.inner = convolution(channels, channels, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        once = torch.relu(self.outer(maps))
        return maps + 0.5 * (once + 0.3 * self.inner(once))

    def reads_as(self) -> list[Branch]:
        return [Branch([self.outer, nn.ReLU(), Branch([self.inner], 0.3)], 0.5)]


def twofold() -> tuple[nn.Sequential, Tensor]:
    generator = torch.Generator().manual_seed(0)
    modules = flattened(convolution(1, 2), Twofold(2), nn.ReLU(), Twofold(2), size=8)
    model = he_normal(nn.Sequential(*modules, nn.Flatten(0)), generator)
    return model, torch.randn(4, 1, 4, 4, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("loss", [hinge, logistic])
def test_a_branch_of_another_kind_has_the_products_of_the_dense_hessian(loss):
    assert_products_are_dense(*twofold(), loss)


def test_what_takes_no_branches_names_the_kind():
    model, inputs = twofold()
    with pytest.raises(ValueError, match=r"layer 1 \(Twofold\) has a branch"):
        count_circuits(model, inputs)


class Scaled(nn.Module):
    """A factor for each feature: a weight is on one way only, which no known layer can say."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.ones(features))

    def forward(self, features: Tensor) -> Tensor:
        return features * self.factors


def test_a_kind_that_does_not_describe_itself_is_told_how():
    model = nn.Sequential(*linear(3, 2), Scaled(2), *linear(2, 1), nn.Flatten(0))
    message = (
        r"layer 1 \(Scaled\) is not supported.*what they read as \(see ssbrepro.networks.reading\)"
    )
    with pytest.raises(ValueError, match=message):
        count_circuits(model, torch.ones(1, 3))
    with pytest.raises(ValueError, match=f"{message}; the backend 'autograd' takes any model"):
        hessian_operator(model, hinge, torch.ones(1, 3), torch.ones(1), "cached")
