"""Values of given circuits and of their perturbations (li2022, eqs. 11, 16 and 18).

A circuit's value is the product of the weights, gates and mean-pool factors on its way. A perturbation
is that circuit with the perturbed weights differentiated out, that is left out of the product.
"""

import torch
from torch import Tensor

from ssbrepro.circuits.counting import finite_trace
from ssbrepro.piecewise import Gate, Layer, PiecewiseLinear, Pool


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
    passed = iter(units.unbind(1))
    unit = next(passed)
    product = _Product(len(units), units.device)
    if with_input:
        product.multiply(example.detach().reshape(-1)[unit])
    layer = 0
    for step, state in zip(network.steps, states, strict=True):
        if isinstance(step, Gate):
            product.multiply(_state(state).reshape(-1)[unit])
            continue
        before, unit = unit, next(passed)
        if isinstance(step, Pool):
            product.multiply(_pool_factors(step, state, before, unit))
        else:
            kept = (layers_removed != layer).all(1)
            product.multiply(torch.where(kept, _weights(step, before, unit), 1.0))
            layer += 1
    return product.log_abs, product.sign


class _Product:
    """Products as logarithms of magnitudes and signs: no depth leads to an underflow."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.log_abs = torch.zeros(size, dtype=torch.float64, device=device)
        self.sign = torch.ones(size, dtype=torch.int8, device=device)

    def multiply(self, factors: Tensor) -> None:
        factors = factors.double()
        self.log_abs += factors.abs().log()
        self.sign *= factors.sign().to(torch.int8)


def _weights(layer: Layer, before: Tensor, after: Tensor) -> Tensor:
    """The weights between input units and output units."""
    output = after // layer.sources.shape[1]
    slot = _slots(layer, before, after)
    return layer.weight[output, before // layer.cells, slot]


def _pool_factors(pool: Pool, state: Tensor | None, before: Tensor, after: Tensor) -> Tensor:
    """1 or 0 where a max-pool selects a unit or does not; the share of each in a mean."""
    slots, positions = pool.sources.shape
    _slots(pool, before, after)
    if (before // pool.cells != after // positions).any():
        raise ValueError(f"{pool.name} does not connect different channels")
    if pool.selects:
        return _state(state).reshape(-1)[after] == before % pool.cells
    return torch.full((len(after),), 1 / slots, dtype=torch.float64, device=after.device)


def _slots(step: Layer | Pool, before: Tensor, after: Tensor) -> Tensor:
    """Which slot of its kernel or window an output unit reads an input unit through."""
    positions = step.sources.shape[1]
    position = torch.arange(positions, device=after.device)
    # Each pair of a position and a cell it reads as one number; padding reads cell ``cells``.
    pairs, order = (position * (step.cells + 1) + step.sources).reshape(-1).sort()
    wanted = after % positions * (step.cells + 1) + before % step.cells
    places = torch.searchsorted(pairs, wanted).clamp(max=len(pairs) - 1)
    if not torch.equal(pairs[places], wanted):
        raise ValueError(f"{step.name} does not connect these units")
    return order[places] // positions


def _state(state: Tensor | None) -> Tensor:
    assert state is not None, "a gate and a max-pool leave a trace"
    return state
