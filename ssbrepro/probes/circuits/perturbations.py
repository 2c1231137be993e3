"""Values of given circuits and of their perturbations (li2022, eqs. 11, 16 and 18).

A circuit's value is the product of the weights, gates and mean-pool factors on its way. A perturbation
is that circuit with the perturbed weights differentiated out, that is left out of the product.
"""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ssbrepro.networks.reading import Gate, Layer, Pool
from ssbrepro.networks.tracing import PiecewiseLinear
from ssbrepro.probes.circuits.counting import finite_trace


def circuit_values(
    network: PiecewiseLinear,
    example: Tensor,
    units: Tensor,
    layers_removed: Tensor,
    with_input: bool = True,
) -> tuple[Tensor, Tensor]:
    """Multiply along circuits, with the weights of some layers left out.

    Args:
        network: Whose circuits these are.
        example: The input that sets the gates, of the network's ``input_shape``.
        units: Numbers of the units passed: an input, then an output of each layer and pool,
            (circuits, 1 + layers and pools) integers.
        layers_removed: Layers whose weights are left out, (circuits, order) integers.
        with_input: Whether the value of the input is a factor.

    Returns:
        Natural logarithms of the magnitudes, (circuits,) float64, and signs, (circuits,) int8; -inf
        and 0 where a gate is shut or a factor is zero.

    Raises:
        ValueError: If consecutive units are not connected, or the example does not fit.
    """
    states = finite_trace(network, example[None]).states
    columns = units.unbind(1)
    places = _find_weights(network, columns)
    return multiply_along(network, example, columns, places, layers_removed, with_input, states)


def multiply_along(
    network: PiecewiseLinear,
    example: Tensor,
    units: Sequence[Tensor],
    places: Sequence[Tensor],
    layers_removed: Tensor,
    with_input: bool,
    states: Sequence[Tensor | None],
) -> tuple[Tensor, Tensor]:
    """Multiply along circuits whose weights have been found; see :func:`circuit_values`.

    Args:
        network: Whose circuits these are.
        example: The input.
        units: One entry an input, layer or pool, (circuits,) each.
        places: One entry a layer, places in its flat weights, (circuits,) each.
        layers_removed: Layers whose weights are left out, (circuits, order).
        with_input: Whether the value of the input is a factor.
        states: One entry a step, as in :class:`Trace`; None where all circuits are known to pass.
    """
    product = _Product(len(layers_removed), layers_removed.device)
    passed, found, layers = iter(units), iter(places), itertools.count()
    unit = next(passed)
    if with_input:
        product.multiply(take(example.detach(), unit))
    for step, state in zip(network.steps, states, strict=True):
        if isinstance(step, Layer):
            layer, unit = next(layers), next(passed)
            weights = take(step.weight, next(found))
            for removed in layers_removed.unbind(1):
                weights.masked_fill_(removed == layer, 1.0)
            product.multiply(weights)
        elif isinstance(step, Pool):
            before, unit = unit, next(passed)
            if not step.selects:
                product.log_abs -= math.log(len(step.sources))
            elif state is not None:
                product.multiply(take(state, unit) == before % step.cells)
        elif state is not None:
            product.multiply(take(state, unit))
    return product.log_abs, product.sign


class _Product:
    """Products as logarithms of magnitudes and signs: no depth leads to an underflow."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.log_abs = torch.zeros(size, dtype=torch.float64, device=device)
        self.sign = torch.ones(size, dtype=torch.int8, device=device)

    def multiply(self, factors: Tensor) -> None:
        self.sign *= factors.sign().to(torch.int8)
        self.log_abs += factors.to(torch.float64, copy=True).abs_().log_()


def take(values: Tensor, places: Tensor) -> Tensor:
    """Values at places among all; far faster than indexing."""
    return values.reshape(-1).index_select(0, places)


def _find_weights(network: PiecewiseLinear, units: Sequence[Tensor]) -> list[Tensor]:
    """Where the weights between consecutive units are in their layers, (circuits,) each.

    Raises:
        ValueError: If the units are not connected.
    """
    places = []
    passed = [step for step in network.steps if not isinstance(step, Gate)]
    for step, (before, after) in zip(passed, itertools.pairwise(units), strict=True):
        slots, positions = step.sources.shape
        slot = _slots(step, before, after)
        source, output = before // step.cells, after // positions
        if isinstance(step, Layer):
            places.append((output * step.channels + source) * slots + slot)
        elif (source != output).any():
            raise ValueError(f"{step.name} does not connect different channels")
    return places


def _slots(step: Layer | Pool, before: Tensor, after: Tensor) -> Tensor:
    """Which slot of its kernel or window an output unit reads an input unit through.

    Raises:
        ValueError: If it does not read it.
    """
    positions = step.sources.shape[1]
    position = torch.arange(positions, device=after.device)
    # Each pair of a position and a cell it reads as one number; padding reads cell ``cells``.
    pairs, order = (position * (step.cells + 1) + step.sources).reshape(-1).sort()
    wanted = after % positions * (step.cells + 1) + before % step.cells
    places = torch.searchsorted(pairs, wanted).clamp(max=len(pairs) - 1)
    if not torch.equal(pairs[places], wanted):
        raise ValueError(f"{step.name} does not connect these units")
    return order[places] // positions
