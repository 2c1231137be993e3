"""Circuits drawn uniformly from all, or from all active ones.

Exact, not a random walk: from the output backwards, each unit is drawn in proportion to the number of
circuits that end in it.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssbrepro.circuits.counting import finite_trace, path_counts
from ssbrepro.circuits.perturbations import circuit_values
from ssbrepro.piecewise import Gate, Layer, PiecewiseLinear, Pool, read


class CircuitSample(NamedTuple):
    """Circuits, or perturbations of circuits, of one example.

    Attributes:
        log_abs: Natural logarithms of the values' magnitudes, (num_samples,) float64.
        sign: Their signs, (num_samples,) int8: 0, with -inf for the logarithm, where a value is zero.
        layers_removed: Layers whose weights are differentiated out, ascending, (num_samples, order).
        units: Numbers channel * cells + cell of the units passed: an input, then an output of each
            layer and pool in their order, (num_samples, 1 + layers and pools) int64.
    """

    log_abs: Tensor
    sign: Tensor
    layers_removed: Tensor
    units: Tensor


def sample_circuits(
    model: nn.Module,
    input: Tensor,  # noqa: A002 - the name callers use
    num_samples: int,
    order: int = 0,
    active: bool = True,
    with_input: bool = True,
    generator: torch.Generator | None = None,
) -> CircuitSample:
    """Draw circuits uniformly and independently, and evaluate them or their perturbations.

    A perturbation of order k leaves out the weights of k different layers, drawn uniformly (li2022,
    eqs. 16 and 18, without the loss's derivative). Probabilities are exact up to the rounding of
    float64.

    Args:
        model: Bias-free sequential network with one output neuron, as :class:`PiecewiseLinear`
            supports it.
        input: One example, without a batch axis, on the weights' device and of their type.
        num_samples: Number of circuits.
        order: Number of weights left out: 0, 1 or 2.
        active: Whether to draw from the active circuits, instead of from all; the others' values are
            zero.
        with_input: Whether the value of the input is a factor.
        generator: Source of the draws, on any device; ``None`` takes PyTorch's global one.

    Raises:
        ValueError: If the network is not supported, the example does not fit it or is not finite, it
            has no circuit to draw, ``num_samples`` is below 1, or ``order`` is not one of the three or
            above the number of layers.
    """
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, not {num_samples}")
    network = PiecewiseLinear(model, input.shape)
    num_layers = len(network.layers)
    if order not in (0, 1, 2) or order > num_layers:
        raise ValueError(
            f"order {order} is not one of 0, 1, 2, or above the number of layers, {num_layers}"
        )
    states: Sequence[Tensor | None] = finite_trace(network, input[None]).states
    if not active:
        states = [None] * len(states)
    units = _sample_units(network, states, num_samples, generator)
    choices = torch.tensor([*itertools.combinations(range(num_layers), order)], dtype=torch.int64)
    drawn = _uniform(num_samples, units.device, generator) * len(choices)
    layers_removed = choices.to(units.device)[drawn.long()]
    log_abs, sign = circuit_values(network, input, units, layers_removed, with_input)
    return CircuitSample(log_abs, sign, layers_removed, units)


def _sample_units(
    network: PiecewiseLinear,
    states: Sequence[Tensor | None],
    num_samples: int,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw backwards from the output; see :class:`CircuitSample` and :func:`path_counts`."""
    counts = path_counts(network, 1, states)
    if counts.log_total.isneginf():
        raise ValueError("there is no active circuit to draw: none has all its gates open")
    passed = [step for step in network.steps if not isinstance(step, Gate)]
    size = (num_samples, 1 + len(passed))
    units = torch.zeros(size, dtype=torch.int64, device=counts.log_total.device)
    columns = iter(reversed(units.unbind(1)))
    unit = next(columns)  # the one output
    for step, state, ends in zip(
        reversed(network.steps), reversed(states), reversed(counts.read), strict=True
    ):
        if not isinstance(step, Gate):
            unit = _unit_before(step, state, ends[:, 0], unit, generator)
            next(columns)[:] = unit
    return units


def _unit_before(
    step: Layer | Pool,
    state: Tensor | None,
    ends: Tensor,
    unit: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw which unit an output unit is reached from, given the circuits ``ends`` (channels, cells)."""
    if isinstance(step, Pool) and step.selects and state is not None:
        return unit // step.sources.shape[1] * step.cells + state.reshape(-1)[unit]
    position = unit % step.sources.shape[1]
    if isinstance(step, Layer):
        # The slot first, for all input channels at once; then the channel, at the cell it reads.
        slot = _Table(read(ends.sum(0), step.sources).T).draw(position, generator)
        cell = step.sources[slot, position]
        return _Table(ends.T).draw(cell, generator) * step.cells + cell
    windows = read(ends, step.sources).transpose(1, 2).flatten(0, 1)
    cell = step.sources[_Table(windows).draw(unit, generator), position]
    return unit // step.sources.shape[1] * step.cells + cell


class _Table:
    """Draws columns of a table of non-negative weights, in proportion to the entries of a row."""

    def __init__(self, weights: Tensor) -> None:
        self.columns = weights.shape[1]
        # What a sum in parallel rounds must not give an entry of zero a share.
        sums = torch.where(weights > 0, weights.cumsum(1), 0.0).cummax(1).values
        shares = sums / sums[:, -1:].clamp(min=torch.finfo(torch.float64).tiny)
        rows = torch.arange(len(weights), dtype=torch.float64, device=weights.device)
        self.ends = (rows[:, None] + shares).reshape(-1)  # row r covers [r, r+1)

    def draw(self, rows: Tensor, generator: torch.Generator | None) -> Tensor:
        """One column for each of ``rows``, none of which may be all zero."""
        shares = _uniform(len(rows), rows.device, generator)
        below = torch.nextafter(rows + 1.0, rows.double())  # a sum that rounds up stays in its row
        places = torch.minimum(rows + shares, below)
        return torch.searchsorted(self.ends, places, right=True) - rows * self.columns


def _uniform(size: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Numbers in [0, 1), (size,) float64, drawn where the generator is."""
    source = generator.device if generator else None
    draws = torch.rand(size, dtype=torch.float64, device=source, generator=generator)
    return draws.to(device)
