"""Entries of the Hessian, example by example, without a Hessian product.

T is linear in each layer's weights, so a second derivative by weights of two layers p < q is bilinear:
the example's signal at the weight of q, times the tangent that the weight of p sends there. A tangent
starts in one channel and is read in one channel, so that the first and the last map on its way are
vectors, not matrices; only what lies strictly between is a full layer.

Written for many pairs of one pair of layers at once: (pairs, channels, examples, cells).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssbrepro.piecewise import Gate, Layer, PiecewiseLinear, Pool, Trace, read

Loss = Callable[[Tensor, Tensor], Tensor]

# Small pieces stay in the processor's cache; a GPU would want them larger.
BUDGET_BYTES = 1 << 24  # bytes of the largest intermediate; several of them are held at once
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
        for (p, q), (members, lower, upper) in self._groups.items():
            if p == q:  # T is linear in a layer's weights
                continue
            step = self._pairs_at_once(p, q, len(trace.outputs))
            for part in torch.arange(len(members)).split(step):
                chosen = [Weights(*(index[part] for index in one)) for one in (lower, upper)]
                derivatives[members[part]] = _mixed(self._network, trace, p, q, *chosen)
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
        """How many pairs keep the largest intermediate within the budget."""
        layers = self._network.layers[p : q + 1]
        widest = max(max(layer.channels, len(layer.sources)) * layer.cells for layer in layers)
        size = layers[0].weight.element_size()
        return max(1, BUDGET_BYTES // (widest * examples * size))


def derivative(network: PiecewiseLinear, trace: Trace, layer: int, weights: Weights) -> Tensor:
    """The derivative of the output by single weights of one layer, (weights, examples)."""
    signals = trace.signals[layer][weights.outputs]
    return (signals * tangents_of(network, trace, layer, weights)).sum(-1)


def _mixed(
    network: PiecewiseLinear, trace: Trace, p: int, q: int, lower: Weights, upper: Weights
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
    tangents = forward(network, trace, between, tangents, lower.outputs)
    derivatives = tangents.new_zeros(len(lower.outputs), len(trace.outputs))
    # Where a unit is off for all these examples, nothing passes.
    alive = torch.nonzero(tangents.flatten(1).any(1) & awaiting.flatten(1).any(1))[:, 0]
    if len(alive):
        sent, wanted = lower.outputs[alive], upper.channels[alive]
        derivatives[alive] = _carry(
            network, trace, p, q, sent, wanted, tangents[alive], awaiting[alive]
        )
    return derivatives


def _carry(
    network: PiecewiseLinear,
    trace: Trace,
    p: int,
    q: int,
    sent: Tensor,
    wanted: Tensor,
    tangents: Tensor,
    awaiting: Tensor,
) -> Tensor:
    """Tangents in the channels ``sent`` into layer p + 1, met in channels ``wanted`` by q - 1."""
    layers, places = network.layers, network.places
    kernels = layers[q - 1].weight[wanted]  # (pairs, channels, slots)
    if q == p + 2:
        kernels = kernels.take_along_dim(sent[:, None, None], 1)
        return _contract(layers[q - 1], kernels, tangents[:, None], awaiting)
    tangents = expand(layers[p + 1], tangents, sent)
    for m in range(p + 2, q):
        tangents = forward(network, trace, range(places[m - 1] + 1, places[m]), tangents)
        if m < q - 1:
            tangents = apply_layer(layers[m], tangents)
    return _contract(layers[q - 1], kernels, tangents, awaiting)


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


def forward(
    network: PiecewiseLinear,
    trace: Trace,
    steps: Sequence[int],
    tangents: Tensor,
    channels: Tensor | None = None,
) -> Tensor:
    """Through gates and pools: one channel each, (pairs, examples, cells), or all of them."""
    for place in steps:
        step, state = network.steps[place], trace.states[place]
        if state is not None and channels is not None:
            state = state[channels]
        if state is None:
            assert isinstance(step, Pool)
            tangents = read(tangents, step.sources).mean(-2)
        elif isinstance(step, Gate):
            tangents = tangents * state
        else:
            tangents = tangents.gather(-1, state.expand(*tangents.shape[:-1], -1))
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
            spread.index_add_(-1, step.sources.reshape(-1), signals.repeat(1, 1, slots) / slots)
        else:
            spread.scatter_add_(-1, state[upper.channels], signals)
        signals = spread[..., :-1]
    return signals


def expand(layer: Layer, tangents: Tensor, channels: Tensor) -> Tensor:
    """A layer applied to tangents in one channel each: (pairs, outputs, examples, positions)."""
    pairs, examples, _ = tangents.shape
    slots, positions = layer.sources.shape
    seen = read(tangents, layer.sources).transpose(1, 2).reshape(pairs, slots, -1)
    kernels = layer.weight[:, channels].transpose(0, 1)  # (pairs, outputs, slots)
    return (kernels @ seen).reshape(pairs, layer.outputs, examples, positions)


def apply_layer(layer: Layer, tangents: Tensor) -> Tensor:
    """A layer applied to tangents in all channels."""
    pairs, channels, examples, _ = tangents.shape
    maps = tangents.transpose(1, 2).reshape(pairs * examples, channels, *layer.spatial)
    with torch.no_grad():
        if isinstance(layer.module, nn.Linear):
            maps = maps.flatten(1)
        outputs: Tensor = layer.module(maps)
    return outputs.reshape(pairs, examples, layer.outputs, -1).transpose(1, 2)


def _contract(layer: Layer, kernels: Tensor, tangents: Tensor, awaiting: Tensor) -> Tensor:
    """sum_p awaiting[p] sum_ck kernels[c, k] tangents[c, sources[k, p]], (pairs, examples)."""
    pairs, channels, examples, cells = tangents.shape
    slots = kernels.shape[-1]
    by_slot = kernels.transpose(1, 2) @ tangents.reshape(pairs, channels, examples * cells)
    spread = read(awaiting, _inverse(layer))  # (pairs, examples, slots, cells)
    return torch.einsum("gkec,gekc->ge", by_slot.reshape(pairs, slots, examples, cells), spread)
