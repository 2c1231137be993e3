"""Tangents that single weights send into a network, and how steps pass them on.

In one channel values are (pairs, examples, cells). In many examples the gates of that channel let
nothing through: full layers see the others only, in a flat list of pairs with examples, (items, cells,
channels).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssbrepro.networks.reading import Gate, Layer, Pool, read
from ssbrepro.networks.tracing import PiecewiseLinear, Trace

# Small pieces stay in the processor's cache; a GPU would want them larger.
BUDGET_BYTES = 1 << 23  # bytes of the largest intermediate; several of them are held at once


class Weights(NamedTuple):
    """Single weights of one layer: output channel, input channel and kernel slot, (weights,) each."""

    outputs: Tensor
    channels: Tensor
    slots: Tensor

    @classmethod
    def of(cls, layer: Layer, places: Tensor) -> "Weights":
        """Weights by their places in the layer's flat parameters, (weights,)."""
        _, channels, slots = layer.weight.shape
        places = places.to(layer.weight.device)
        return cls(places // (channels * slots), places // slots % channels, places % slots)


def derivative(network: PiecewiseLinear, trace: Trace, layer: int, weights: Weights) -> Tensor:
    """The derivative of the output by single weights of one layer, (weights, examples)."""
    signals = trace.signals[layer][weights.outputs]
    return (signals * tangents_of(network, trace, layer, weights)).sum(-1)


def tangents_of(network: PiecewiseLinear, trace: Trace, layer: int, weights: Weights) -> Tensor:
    """What single weights read at each output position of their layer, (weights, examples, p)."""
    state = trace.states[network.places[layer]]
    assert state is not None
    sources = network.layers[layer].sources[weights.slots]
    return _pick(state[weights.channels], sources)


def _pick(values: Tensor, places: Tensor) -> Tensor:
    """values[g, e, places[g, p]], zero where a place lies outside."""
    padded = torch.nn.functional.pad(values, (0, 1))
    return padded.gather(-1, places[:, None].expand(-1, values.shape[1], -1))


def inverse(layer: Layer) -> Tensor:
    """The output position that reads each cell through each slot, (slots, cells)."""
    slots, positions = layer.sources.shape
    inverse = layer.sources.new_full((slots, layer.cells + 1), positions)
    inverse.scatter_(1, layer.sources, torch.arange(positions).expand(slots, -1).to(inverse))
    return inverse[:, :-1]


def placed(signals: Tensor, layer: Layer, slots: Tensor) -> Tensor:
    """Signals at the outputs of a layer, taken back to the cells one slot reads."""
    return _pick(signals, inverse(layer)[slots])


def states_by_example(network: PiecewiseLinear, trace: Trace) -> list[Tensor | None]:
    """The states of gates and max-pools, (examples, cells, channels); gates are factors."""
    return [
        None
        if state is None or isinstance(step, Layer)
        else (state.to(trace.outputs) if isinstance(step, Gate) else state)
        .permute(1, 2, 0)
        .contiguous()
        for step, state in zip(network.steps, trace.states, strict=True)
    ]


def forward(
    network: PiecewiseLinear,
    steps: Sequence[int],
    states: Sequence[Tensor | None],
    chosen: Tensor,
    tangents: Tensor,
    axis: int,
) -> Tensor:
    """Through gates and pools, overwriting what comes in.

    Args:
        network: The network.
        steps: Places of the gates and pools.
        states: Of all steps.
        chosen: Where in them the tangents' own are.
        tangents: Of the shape of ``states[place][chosen]`` up to the number of cells.
        axis: Its dimension of cells.
    """
    for place in steps:
        step, state = network.steps[place], states[place]
        if state is None:
            assert isinstance(step, Pool)
            tangents = read(tangents.movedim(axis, -1), step.sources).mean(-2).movedim(-1, axis)
        elif isinstance(step, Gate):
            tangents *= state.index_select(0, chosen)
        else:
            tangents = tangents.gather(axis, state.index_select(0, chosen))
    return tangents


def backward(
    network: PiecewiseLinear, trace: Trace, steps: Sequence[int], signals: Tensor, upper: Weights
) -> Tensor:
    """The transpose of :func:`forward` in the channel that each upper weight reads."""
    for place in reversed(steps):
        step, state = network.steps[place], trace.states[place]
        if isinstance(step, Gate):
            assert state is not None
            signals = signals * state[upper.channels]
            continue
        assert isinstance(step, Pool)
        spread = signals.new_zeros(*signals.shape[:-1], step.cells + 1)
        if state is None:
            slots = len(step.sources)
            sources = step.sources.reshape(-1).to(signals.device)
            spread.index_add_(-1, sources, signals.repeat(1, 1, slots) / slots)
        else:
            spread.scatter_add_(-1, state[upper.channels], signals)
        signals = spread[..., :-1]
    return signals


def expand(values: Tensor, sources: Tensor, kernels: Tensor, channels: Tensor) -> Tensor:
    """A layer, or its transpose, applied to values in one channel each.

    Args:
        values: (items, cells).
        sources: Cell read by each slot at each position, (slots, positions).
        kernels: Of each channel they may be in, (channels, slots, outputs).
        channels: Channel of each item, (items,); runs of the same one are one matrix product.

    Returns:
        (items, positions, outputs).
    """
    slots, positions = sources.shape
    padded = torch.nn.functional.pad(values, (0, 1))
    seen = padded.index_select(1, sources.T.reshape(-1)).reshape(-1, slots)
    expanded = values.new_empty(len(seen), kernels.shape[-1])
    runs, counts = torch.unique_consecutive(channels, return_counts=True)
    rows = (counts * positions).tolist()
    for channel, part, into in zip(
        runs.tolist(), seen.split(rows), expanded.split(rows), strict=True
    ):
        torch.mm(part, kernels[channel], out=into)
    return expanded.reshape(len(values), positions, kernels.shape[-1])


def apply_layer(layer: Layer, tangents: Tensor) -> Tensor:
    """A layer applied to tangents in all channels, (items, cells, channels)."""
    maps = tangents.transpose(1, 2)
    outputs: Tensor
    with torch.no_grad():
        if isinstance(layer.module, nn.Linear):
            outputs = layer.module(maps.flatten(1))[..., None]
        else:  # in memory the channels come last, which convolutions are fastest with
            outputs = layer.module(maps.unflatten(2, layer.spatial)).flatten(2)
    return outputs.transpose(1, 2)


def width(layer: Layer) -> int:
    """The largest number of values a layer reads or writes, of one example."""
    slots, positions = layer.sources.shape
    return max(layer.channels * layer.cells, max(layer.outputs, slots) * positions)
