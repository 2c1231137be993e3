"""Circuits drawn uniformly from all, or from all active ones.

Exact, not a random walk: from the output backwards, each unit is drawn in proportion to the number of
circuits that end in it. All that such a draw needs is tabulated for the example first, so a draw takes
the same few look-ups at any width.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssbrepro.networks.reading import Gate, Layer, Pool, read
from ssbrepro.networks.tracing import PiecewiseLinear
from ssbrepro.probes.arguments import check_model, check_tensor
from ssbrepro.probes.circuits.counting import finite_trace, path_counts
from ssbrepro.probes.circuits.perturbations import multiply_along, take

# Circuits drawn at once: few enough for the cache, many enough to hide the cost of a call.
_CHUNK = 2**16


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

    def __repr__(self) -> str:
        number, order = self.layers_removed.shape
        zeros = int((self.sign == 0).sum())
        return f"CircuitSample({number} of order {order}, {zeros} of them zero)"


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

        >>> import torch
        >>> from ssbrepro.networks import vgg12
        >>> generator = torch.Generator().manual_seed(0)
        >>> model = vgg12(width=1 / 64, generator=generator)
        >>> example = torch.rand(3, 32, 32, generator=generator)
        >>> sample_circuits(model, example, 1000, order=1, active=False, generator=generator).units.shape
        torch.Size([1000, 18])

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
        TypeError: If the model is no module, or the input is no tensor.
        ValueError: If the network is not supported, the example does not fit it or is not finite, it
            has no circuit to draw, ``num_samples`` is below 1, or ``order`` is not one of the three or
            above the number of layers.
    """
    check_model(model)
    check_tensor("input", input)
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, not {num_samples}")
    network = PiecewiseLinear(model, input.shape)
    num_layers = len(network.layers)
    if order not in (0, 1, 2) or order > num_layers:
        raise ValueError(
            f"order {order} is not one of 0, 1, 2, or above the number of layers, {num_layers}"
        )
    states: Sequence[Tensor | None] = finite_trace(network, input[None]).states
    anything: Sequence[Tensor | None] = [None] * len(states)
    # Gates that draws go by are open for certain; the others are factors, and so is what leaks.
    leaks = [
        state if isinstance(step, Gate) and step.leak else None
        for step, state in zip(network.steps, states, strict=True)
    ]
    allowed, unknown = (states, leaks) if active else (anything, states)
    tables = _tables(network, allowed)
    choices = torch.tensor([*itertools.combinations(range(num_layers), order)], dtype=torch.int64)
    drawn = _uniform(num_samples, input.device, generator) * len(choices)
    layers_removed = choices.to(input.device).index_select(0, drawn.int())
    passes = [step for step in network.steps if not isinstance(step, Gate)]
    units = torch.empty(1 + len(passes), num_samples, dtype=torch.int64, device=input.device)
    values = []
    for part, removed in zip(units.split(_CHUNK, dim=1), layers_removed.split(_CHUNK), strict=True):
        passed, places = _draw(network, allowed, tables, len(removed), generator)
        for row, unit in zip(part, passed, strict=True):
            row.copy_(unit)
        values.append(multiply_along(network, input, passed, places, removed, with_input, unknown))
    log_abs, sign = (torch.cat(parts) for parts in zip(*values, strict=True))
    return CircuitSample(log_abs, sign, layers_removed, units.T)


def _tables(network: PiecewiseLinear, states: Sequence[Tensor | None]) -> list[list["_Table"]]:
    """What is drawn at each step backwards; see :func:`path_counts` for ``states``.

    At a layer the slot first, for all input channels at once, and then the channel, at the cell that
    the slot reads; at a pool the slot only, and nothing where the state says what is selected.

    Raises:
        ValueError: If there is no circuit to draw.
    """
    counts = path_counts(network, 1, states)
    if counts.log_total.isneginf():
        raise ValueError("there is no active circuit to draw: none has all its gates open")
    tables = []
    for step, state, examples in zip(network.steps, states, counts.read, strict=True):
        ends = examples[:, 0]
        if isinstance(step, Layer):
            tables.append([_Table(read(ends.sum(0), step.sources).T), _Table(ends.T)])
        elif isinstance(step, Pool) and (state is None or not step.selects):
            tables.append([_Table(read(ends, step.sources).transpose(1, 2).flatten(0, 1))])
        else:
            tables.append([])
    return tables


def _draw(
    network: PiecewiseLinear,
    states: Sequence[Tensor | None],
    tables: list[list["_Table"]],
    num_circuits: int,
    generator: torch.Generator | None,
) -> tuple[list[Tensor], list[Tensor]]:
    """Draw units and weights as in :func:`multiply_along`, backwards from the output."""
    # Indexing by int32 is the fastest, and a layer has fewer than 2^31 weights.
    device = network.layers[0].weight.device
    channel = cell = unit = torch.zeros(num_circuits, dtype=torch.int32, device=device)
    units, places = [unit], []
    for step, state, drawn in zip(
        reversed(network.steps), reversed(states), reversed(tables), strict=True
    ):
        if isinstance(step, Gate):
            continue
        slots, positions = step.sources.shape
        if drawn:
            slot = drawn[0].draw(cell if isinstance(step, Layer) else unit, generator)
            cell = take(step.sources.int(), slot * positions + cell)
        else:
            assert state is not None, "a max-pool that selects leaves a trace"
            cell = take(state.int(), unit)
        if isinstance(step, Layer):
            output, channel = channel, drawn[1].draw(cell, generator)
            places.append((output * step.channels + channel) * slots + slot)
        unit = channel * step.cells + cell
        units.append(unit)
    return units[::-1], places[::-1]


class _Table:
    """Draws columns of a table of non-negative weights, in proportion to the entries of a row.

    Walker's alias method: a column drawn uniformly is kept up to a point of its unit interval, beyond
    which another one takes its place; two look-ups a draw, however long the row.
    """

    def __init__(self, weights: Tensor) -> None:
        self.columns = weights.shape[1]
        tiny = torch.finfo(torch.float64).tiny
        sums = weights.sum(1, keepdim=True).clamp(min=tiny)
        shares = (weights / sums * self.columns).contiguous()
        # Columns with more than the mean, 1, fill up those with less, one after the other; one that
        # has given until it has less itself is filled by the next. The sums say who meets whom.
        spare = (shares - 1).clamp(min=0)
        lacking = (1 - shares).clamp(min=0).cumsum(1)
        # What a sum in parallel rounds must not turn a column without a spare into a giver.
        given = torch.where(spare > 0, spare.cumsum(1), 0.0).cummax(1).values
        gives = given > _before(given)
        met = lacking.gather(1, torch.searchsorted(lacking, given).clamp(max=self.columns - 1))
        kept = torch.where(gives, 1 - (met - given).clamp(min=0), shares.clamp(max=1))
        start = torch.where(gives, given, _before(lacking))
        giver = torch.searchsorted(given, start, right=True)
        column = torch.arange(self.columns, device=weights.device).expand_as(giver)
        other = torch.where(giver < self.columns, giver, column)  # none: nothing but rounding lacks
        self.ends = (column + kept).reshape(-1)
        self.outcomes = torch.stack([other, column], -1).int().reshape(-1)

    def draw(self, rows: Tensor, generator: torch.Generator | None) -> Tensor:
        """One column for each of ``rows``, none of which may be all zero; int32 both."""
        if self.columns == 1:
            return torch.zeros_like(rows)
        places = _uniform(len(rows), rows.device, generator) * self.columns
        entries = rows * self.columns + places.int()
        kept = places < self.ends.index_select(0, entries)
        return self.outcomes.index_select(0, torch.add(kept, entries, alpha=2))


def _before(sums: Tensor) -> Tensor:
    """Sums along rows without the last term."""
    return functional.pad(sums, (1, 0))[:, :-1]


def _uniform(size: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Numbers in [0, 1), (size,) float64, drawn where the generator is."""
    source = generator.device if generator else None
    draws = torch.rand(size, dtype=torch.float64, device=source, generator=generator)
    return draws.to(device)
