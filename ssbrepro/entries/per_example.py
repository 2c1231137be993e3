"""Entries of the Hessian, example by example, without a Hessian product.

T is linear in each layer's weights, so a second derivative by weights of two layers p < q is bilinear:
the example's signal at the weight of q, times the tangent that the weight of p sends there. A tangent
starts in one channel and is read in one channel, so that the first and the last map on its way are
vectors, not matrices; only what lies strictly between is a full layer.

Written for many pairs of one pair of layers at once. In one channel values are (pairs, examples,
cells). In many examples the gates of that channel let nothing through: full layers see the others
only, in a flat list of pairs with examples, (items, cells, channels).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssbrepro.piecewise import Gate, Layer, PiecewiseLinear, Pool, Trace, read

Loss = Callable[[Tensor, Tensor], Tensor]

# Small pieces stay in the processor's cache; a GPU would want them larger.
BUDGET_BYTES = 1 << 23  # bytes of the largest intermediate; several of them are held at once
ACTIVATIONS = 1 << 20  # of the widest layer, of the examples traced at once
_OUTPUTS = 500  # examples a forward pass


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


def per_example_entries(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
    rows: Tensor,
    columns: Tensor,
) -> Tensor:
    """Entries (rows[k], columns[k]) of the Hessian of every example's own loss.

    h_ij = l'(T) d²T/dw_i dw_j + l''(T) dT/dw_i dT/dw_j; their mean over the examples is the entry of
    the Hessian of ``loss``. For hinge loss l'' = 0, and examples with margin above 1 have exactly 0.

    Args:
        model: Bias-free sequential network, (batch, ...) to (batch,); see :mod:`ssbrepro.piecewise`.
        loss: Mean over examples of a function of output and target.
        inputs: (examples, ...), of the type and on the device of the weights.
        targets: (examples,).
        rows: First weight of each pair, by its place in the flat parameters, (entries,).
        columns: Second weight, (entries,).

    Returns:
        (examples, entries).

    Raises:
        ValueError: If the network is not supported, or an index is no weight.
    """
    network = PiecewiseLinear(model, inputs.shape[1:])
    pairs = _Pairs(network, rows, columns)
    slopes, curvatures = loss_derivatives(model, loss, inputs, targets)
    entries = inputs.new_zeros(len(rows), len(inputs))
    contributing = torch.nonzero((slopes != 0) | (curvatures != 0))[:, 0]
    widest = max(layer.channels * layer.cells for layer in network.layers)
    at_once = max(1, ACTIVATIONS // widest)
    for first in range(0, len(contributing), at_once):
        examples = contributing[first : first + at_once]
        trace = network.trace(inputs[examples])
        values = pairs.mixed_derivatives(trace) * slopes[examples]
        if curvatures[examples].any():
            values += pairs.gradient_products(trace) * curvatures[examples]
        entries[:, examples] = values
    return entries.T.contiguous()


def loss_derivatives(
    model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """First and second derivative of each example's loss by its output, (examples,) both."""
    if inputs.ndim == 4:  # convolutions are fastest where the channels come last in memory
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        outputs = torch.cat([model(part).reshape(-1) for part in inputs.split(_OUTPUTS)])
    outputs.requires_grad_()
    (slopes,) = torch.autograd.grad(
        len(outputs) * loss(outputs, targets), outputs, create_graph=True
    )
    curvatures = torch.zeros_like(outputs)
    if slopes.requires_grad:
        (found,) = torch.autograd.grad(slopes.sum(), outputs, allow_unused=True)
        curvatures = curvatures if found is None else found
    return slopes.detach(), curvatures.detach()


class _Pairs:
    """Pairs of weights, those of the same two layers together."""

    def __init__(self, network: PiecewiseLinear, rows: Tensor, columns: Tensor) -> None:
        self._network = network
        self._count = len(rows)
        layers = network.layers
        sizes = torch.tensor([layer.weight.numel() for layer in layers])
        ends = sizes.cumsum(0)
        first, second = (torch.as_tensor(index).cpu().long() for index in (rows, columns))
        for index in (first, second):
            if index.ndim != 1 or len(index) != self._count:
                raise ValueError("rows and columns are two equally long lists of weights")
            if len(index) and (int(index.min()) < 0 or int(index.max()) >= int(ends[-1])):
                raise ValueError(f"a weight's place lies in 0 to {int(ends[-1]) - 1}")
        # A Hessian is symmetric: the weight of the lower layer comes first.
        first, second = torch.minimum(first, second), torch.maximum(first, second)
        low, high = (torch.searchsorted(ends, index, right=True) for index in (first, second))
        self._groups = {}
        for p, q in torch.unique(torch.stack([low, high], 1), dim=0).tolist():
            members = torch.nonzero((low == p) & (high == q))[:, 0]
            starts = ends - sizes
            self._groups[p, q] = (
                members,
                Weights.of(layers[p], first[members] - starts[p]),
                Weights.of(layers[q], second[members] - starts[q]),
            )

    def mixed_derivatives(self, trace: Trace) -> Tensor:
        """The derivatives of the output by both weights, (pairs, examples)."""
        derivatives = trace.outputs.new_zeros(self._count, len(trace.outputs))
        states = states_by_example(self._network, trace)
        for (p, q), (members, lower, upper) in self._groups.items():
            if p == q:  # T is linear in a layer's weights
                continue
            step = self._pairs_at_once(p, q, len(trace.outputs))
            for part in torch.arange(len(members)).split(step):
                chosen = [Weights(*(index[part] for index in one)) for one in (lower, upper)]
                derivatives[members[part]] = _mixed(self._network, trace, states, p, q, *chosen)
        return derivatives

    def gradient_products(self, trace: Trace) -> Tensor:
        """The product of the derivatives of the output by each weight, (pairs, examples)."""
        products = trace.outputs.new_zeros(self._count, len(trace.outputs))
        for (p, q), (members, lower, upper) in self._groups.items():
            step = self._pairs_at_once(p, q, len(trace.outputs))
            for part in torch.arange(len(members)).split(step):
                chosen = [Weights(*(index[part] for index in one)) for one in (lower, upper)]
                products[members[part]] = derivative(
                    self._network, trace, p, chosen[0]
                ) * derivative(self._network, trace, q, chosen[1])
        return products

    def _pairs_at_once(self, p: int, q: int, examples: int) -> int:
        """How many pairs keep values in one channel within the budget."""
        layers = self._network.layers[p : q + 1]
        widest = max(max(layer.cells, layer.sources.shape[1]) for layer in layers)
        return max(1, BUDGET_BYTES // (widest * examples * layers[0].weight.element_size()))


def derivative(network: PiecewiseLinear, trace: Trace, layer: int, weights: Weights) -> Tensor:
    """The derivative of the output by single weights of one layer, (weights, examples)."""
    signals = trace.signals[layer][weights.outputs]
    return (signals * tangents_of(network, trace, layer, weights)).sum(-1)


def _mixed(
    network: PiecewiseLinear,
    trace: Trace,
    states: Sequence[Tensor | None],
    p: int,
    q: int,
    lower: Weights,
    upper: Weights,
) -> Tensor:
    """d²T/dw_i dw_j for w_i of layer p and w_j of layer q > p, (pairs, examples)."""
    layers, places = network.layers, network.places
    tangents = tangents_of(network, trace, p, lower)
    # What the tangent has to meet at the outputs of layer q - 1, in the one channel w_j reads.
    awaiting = placed(trace.signals[q][upper.outputs], layers[q], upper.slots)
    awaiting = _backward(network, trace, range(places[q - 1] + 1, places[q]), awaiting, upper)
    if q == p + 1:
        met = (lower.outputs == upper.channels).to(tangents)
        return (tangents * awaiting).sum(-1) * met[:, None]
    between = range(places[p] + 1, places[p + 1])
    tangents = forward(network, between, trace.states, lower.outputs, tangents, -1)
    derivatives = tangents.new_zeros(len(lower.outputs), len(trace.outputs))
    alive = torch.nonzero((tangents.any(-1) & awaiting.any(-1)).flatten())[:, 0]
    tangents, awaiting = tangents.flatten(0, 1), awaiting.flatten(0, 1)
    widest = max(width(layer) for layer in layers[p + 1 : q])
    for part in alive.split(max(1, BUDGET_BYTES // (widest * tangents.element_size()))):
        pairs, examples = part // len(trace.outputs), part % len(trace.outputs)
        items = _Items(
            examples,
            lower.outputs[pairs],
            upper.channels[pairs],
            tangents.index_select(0, part),
            awaiting.index_select(0, part),
        )
        derivatives[pairs, examples] = _carry(network, states, p, q, items)
    return derivatives


def width(layer: Layer) -> int:
    """The largest number of values a layer reads or writes, of one example."""
    slots, positions = layer.sources.shape
    return max(layer.channels * layer.cells, max(layer.outputs, slots) * positions)


class _Items(NamedTuple):
    """Tangents ready to enter layer p + 1 and what they meet at the outputs of layer q - 1.

    Attributes:
        examples: Each item's example, (items,).
        sent: Channel of its tangent, (items,).
        wanted: Channel in which that is met, (items,).
        tangents: (items, cells).
        awaiting: (items, positions).
    """

    examples: Tensor
    sent: Tensor
    wanted: Tensor
    tangents: Tensor
    awaiting: Tensor


def _carry(
    network: PiecewiseLinear, states: Sequence[Tensor | None], p: int, q: int, items: _Items
) -> Tensor:
    """What tangents give where they are met, through layers p + 1 to q - 1, (items,)."""
    layers, places = network.layers, network.places
    first, last = layers[p + 1], layers[q - 1]
    if q == p + 2:
        by_slot = (read(items.tangents, first.sources) @ items.awaiting[..., None])[..., 0]
        return (by_slot * first.weight[items.wanted, items.sent]).sum(-1)
    tangents = expand(items.tangents, first.sources, first.weight.permute(1, 2, 0), items.sent)
    for m in range(p + 2, q):
        between = range(places[m - 1] + 1, places[m])
        tangents = forward(network, between, states, items.examples, tangents, 1)
        if m < q - 1:
            tangents = apply_layer(layers[m], tangents)
    kernels = last.weight.transpose(1, 2)
    awaiting = expand(items.awaiting, _inverse(last), kernels, items.wanted)
    return awaiting.mul_(tangents).flatten(1).sum(1)


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


def _inverse(layer: Layer) -> Tensor:
    """The output position that reads each cell through each slot, (slots, cells)."""
    slots, positions = layer.sources.shape
    inverse = layer.sources.new_full((slots, layer.cells + 1), positions)
    inverse.scatter_(1, layer.sources, torch.arange(positions).expand(slots, -1).to(inverse))
    return inverse[:, :-1]


def placed(signals: Tensor, layer: Layer, slots: Tensor) -> Tensor:
    """Signals at the outputs of a layer, taken back to the cells one slot reads."""
    return _pick(signals, _inverse(layer)[slots])


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


def _backward(
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
