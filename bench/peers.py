"""The other tools, each in its best setting, and the plain loops.

Settings chosen by trial on a CPU: batches of 100 examples in the default memory layout (channels last
made none of them faster), no checks of determinism, no bounds of the spectrum that would cost further
products.
"""

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from curvlinops import HessianLinearOperator, SubmatrixLinearOperator
from curvlinops.papyan2020traces.spectrum import fast_lanczos
from hessian_eigenthings import HessianOperator, spectral_density
from pyhessian import hessian
from pyhessian.utils import hessian_vector_product
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ssbrepro.contract import Array
from ssbrepro.networks.reading import Gate, Layer
from ssbrepro.networks.tracing import PiecewiseLinear
from ssbrepro.probes.circuits.counting import path_counts
from ssbrepro.probes.operators.autograd import AutogradOperator
from ssbrepro.training.losses import hinge

_BATCH = 100
_MEMORY = 16 * 2**30  # bytes; room for every graph that can be kept


class Problem(NamedTuple):
    """A network, its examples (examples, 3, 32, 32) and their labels (examples,)."""

    model: nn.Sequential
    inputs: Tensor
    targets: Tensor

    def own(self) -> "Problem":
        """A copy of the network: some tools change its gradients."""
        return self._replace(model=copy.deepcopy(self.model))

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        """The examples in parts of equal size, as some tools do not weight them."""
        parts = self.inputs.split(_BATCH), self.targets.split(_BATCH)
        return list(zip(*parts, strict=True))

    def parts(self, vector: Tensor) -> list[Tensor]:
        """A flat vector in the shapes of the weights."""
        weights = list(self.model.parameters())
        split = vector.split([weight.numel() for weight in weights])
        return [part.view_as(weight) for part, weight in zip(split, weights, strict=True)]


def autograd(problem: Problem, kept: bool) -> AutogradOperator:
    """Reverse over reverse, from a graph that is kept or from scratch."""
    own = problem.own()
    return AutogradOperator(own.model, hinge, own.batches(), _MEMORY if kept else 0)


def gradient(problem: Problem) -> Callable[[], Tensor]:
    """The gradient by automatic differentiation, in channels-last memory, where it is faster."""
    own = problem.own()
    inputs = own.inputs.contiguous(memory_format=torch.channels_last)
    return AutogradOperator(own.model, hinge, own._replace(inputs=inputs).batches()).gradient


def pyhessian_loader(problem: Problem) -> Callable[[Tensor], object]:
    """PyHessian's product over batches."""
    with _quiet():
        found = _pyhessian(problem, single=False)

    def product(vector: Tensor) -> object:
        with _quiet():
            return found.dataloader_hv_product(problem.parts(vector))

    return product


def pyhessian_single(problem: Problem) -> Callable[[Tensor], object]:
    """PyHessian's product over one batch, whose graph it keeps."""
    with _quiet():
        found = _pyhessian(problem, single=True)
    return lambda vector: hessian_vector_product(found.gradsH, found.params, problem.parts(vector))


def pyhessian_density(problem: Problem, steps: int, single: bool) -> object:
    """PyHessian's Lanczos quadrature from one random vector."""
    with _quiet(), mock.patch.object(torch, "eig", _eig):
        return _pyhessian(problem, single).density(iter=steps, n_v=1)


def curvlinops_hessian(problem: Problem) -> Any:
    """The Hessian of curvlinops, forward over reverse."""
    own = problem.own()
    return HessianLinearOperator(
        own.model,
        _Hinge(),
        list(own.model.parameters()),
        own.batches(),
        check_deterministic=False,
        num_data=len(own.inputs),
    )


def curvlinops_density(problem: Problem, steps: int) -> object:
    """The Lanczos quadrature of curvlinops, without the products its bounds would take."""
    return fast_lanczos(curvlinops_hessian(problem), steps)


def curvlinops_grid(problem: Problem, rows: list[int], columns: list[int]) -> Callable[[], Tensor]:
    """Entries in all these rows and columns: one product a column."""
    grid = SubmatrixLinearOperator(curvlinops_hessian(problem), rows, columns)
    units = torch.eye(len(columns))
    return lambda: torch.stack([grid @ unit for unit in units], dim=1)


def eigenthings_hessian(problem: Problem) -> Any:
    """hessian-eigenthings' Hessian, reverse over reverse."""
    own = problem.own()
    return HessianOperator(
        own.model, own.batches(), lambda model, batch: hinge(model(batch[0]), batch[1])
    )


def eigenthings_density(problem: Problem, steps: int) -> object:
    """hessian-eigenthings' Lanczos quadrature from one random vector."""
    return spectral_density(eigenthings_hessian(problem), num_runs=1, lanczos_steps=steps)


def plain_training(problem: Problem, batch_size: int) -> Callable[[], object]:
    """An epoch of the usual training loop over a ``DataLoader`` in this process."""
    own = problem.own()
    dataset = TensorDataset(own.inputs, own.targets)
    generator = torch.Generator().manual_seed(0)
    loader = DataLoader(dataset, batch_size, shuffle=True, generator=generator)
    optimizer = torch.optim.SGD(own.model.parameters(), lr=0.0, momentum=0.9)

    def epoch() -> None:
        for inputs, targets in loader:
            optimizer.zero_grad()
            hinge(own.model(inputs), targets).backward()
            optimizer.step()

    return epoch


def cumulants_by_loop(values: Array, pairs: Array) -> list[tuple[float, float, float]]:
    """Standardised joint cumulants, a pair of columns at a time."""
    found = []
    for i, j in pairs.tolist():
        one, other = values[:, i], values[:, j]
        product = one * other
        covariance = product.mean()
        excess = (product * product).mean() - 1 - 2 * covariance**2
        found.append((covariance, (one * product).mean(), excess))
    return found


def bootstrap_by_loop(
    values: Array, resample_size: int, num_draws: int, generator: np.random.Generator
) -> Array:
    """Means of random examples, a column at a time."""
    size = (num_draws, resample_size)
    return np.stack([generator.choice(column, size).mean(axis=1) for column in values.T], axis=1)


class CircuitLoop:
    """Draws active circuits of one example and multiplies along them, one after the other."""

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        """Count the paths that end in each unit, which a loop would have to do as well."""
        network = PiecewiseLinear(model, example.shape)
        trace = network.trace(example[None])
        counts = path_counts(network, 1, trace.states).read
        self._example = example.flatten().tolist()
        self._steps: list[tuple[Array, Array | int, Array]] = []
        for step, state, ends in zip(network.steps, trace.states, counts, strict=True):
            if isinstance(step, Gate):
                continue
            sources = step.sources.numpy()
            if isinstance(step, Layer):
                padded = np.pad(ends[:, 0].numpy(), ((0, 0), (0, 1)))
                self._steps.append((sources, padded, step.weight.numpy()))
            else:
                assert state is not None
                self._steps.append((sources, step.cells, state[:, 0].numpy()))

    def draw(self, num_circuits: int, generator: np.random.Generator) -> list[tuple[float, float]]:
        """Natural logarithms of the values' magnitudes, and signs."""
        return [self._circuit(generator) for _ in range(num_circuits)]

    def log_abs(self, units: list[int]) -> float:
        """Natural logarithm of the magnitude of the circuit through these units."""
        total = math.log(abs(self._example[units[0]]))
        for (sources, table, values), before, after in zip(
            self._steps, units[:-1], units[1:], strict=True
        ):
            if not isinstance(table, int):
                channel, position = divmod(after, sources.shape[1])
                source, cell = divmod(before, table.shape[1] - 1)
                (slot,) = np.flatnonzero(sources[:, position] == cell)
                total += math.log(abs(float(values[channel, source, slot])))
        return total

    def _circuit(self, generator: np.random.Generator) -> tuple[float, float]:
        unit, log_abs, sign = 0, 0.0, 1.0
        for sources, table, values in reversed(self._steps):
            channel, position = divmod(unit, sources.shape[1])
            if isinstance(table, int):
                unit = channel * table + int(values[channel, position])
                continue
            cells = sources[:, position]
            sums = table[:, cells].ravel().cumsum()
            place = int(np.searchsorted(sums, generator.random() * sums[-1], side="right"))
            before, slot = divmod(place, len(cells))
            factor = float(values[channel, before, slot])
            log_abs += math.log(abs(factor))
            sign = math.copysign(sign, sign * factor)
            unit = before * (table.shape[1] - 1) + int(cells[slot])
        factor = self._example[unit]
        return log_abs + math.log(abs(factor)), math.copysign(sign, sign * factor)


class _Hinge(nn.Module):
    """The loss as a module, as curvlinops wants it."""

    reduction = "mean"

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return hinge(outputs, targets)


def _pyhessian(problem: Problem, single: bool) -> Any:
    own = problem.own()
    if single:
        found = hessian(own.model, hinge, data=(own.inputs, own.targets), cuda=False)
        own.model.zero_grad()  # a gradient with a graph would never be freed
        return found
    return hessian(own.model, hinge, dataloader=own.batches(), cuda=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that PyHessian's ``backward(create_graph=True)`` gives."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using backward\\(\\) with create_graph")
        yield


def _eig(matrix: Tensor, eigenvectors: bool) -> tuple[Tensor, Tensor]:
    """What PyHessian 0.1 asks of ``torch.eig``, which PyTorch has removed."""
    assert eigenvectors
    values, vectors = torch.linalg.eigh(matrix)
    return values[:, None], vectors
