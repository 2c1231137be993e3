"""Entries of the Hessian, example by example, without a Hessian product.

T is linear in each layer's weights, so a second derivative by weights of two layers p < q is bilinear:
the example's signal at the weight of q, times the tangent that the weight of p sends there. A tangent
starts in one channel and is read in one channel, so that the first and the last map on its way are
vectors, not matrices; only what lies strictly between is a full layer.

Written for many pairs of one pair of layers at once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssbrepro.networks.reading import read
from ssbrepro.networks.tracing import PiecewiseLinear, Trace
from ssbrepro.probes.arguments import check_examples, check_precision
from ssbrepro.probes.entries.examples import contributions
from ssbrepro.probes.entries.tangents import (
    BUDGET_BYTES,
    Weights,
    apply_layer,
    backward,
    derivative,
    expand,
    forward,
    inverse,
    placed,
    states_by_example,
    tangents_of,
    width,
)
from ssbrepro.training.losses import Loss

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def per_example_entries(
    model: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    rows: Tensor,
    columns: Tensor,
) -> Tensor:
    """Entries (rows[k], columns[k]) of the Hessian of every example's own loss.

    h_ij = l'(T) d²T/dw_i dw_j + l''(T) dT/dw_i dT/dw_j; their mean over the examples is the entry of
    the Hessian of ``loss``. For hinge loss l'' = 0, and examples with margin above 1 have exactly 0.

        >>> import torch
        >>> from ssbrepro.networks import vgg12
        >>> from ssbrepro.probes.operators import hessian_operator
        >>> from ssbrepro.training.losses import hinge
        >>> generator = torch.Generator().manual_seed(0)
        >>> model = vgg12(width=1 / 64, generator=generator).double()
        >>> inputs = torch.randn(4, 3, 32, 32, generator=generator).double()
        >>> targets = torch.tensor([1.0, -1.0, 1.0, -1.0]).double()
        >>> rows, columns = torch.tensor([0, 30, 60]), torch.tensor([2393, 2393, 2393])
        >>> values = per_example_entries(model, hinge, inputs, targets, rows, columns)
        >>> values.shape
        torch.Size([4, 3])
        >>> last = torch.nn.functional.one_hot(torch.tensor(2393)).double()
        >>> column = hessian_operator(model, hinge, inputs, targets, dtype=torch.float64).matvec(last)
        >>> torch.allclose(values.mean(dim=0), column[rows], atol=1e-12)
        True

    Args:
        model: Bias-free sequential network, (batch, ...) to (batch,); see
            :mod:`ssbrepro.networks.reading`.
        loss: Mean over examples of a function of output and target.
        inputs: (examples, ...), of the type and on the device of the weights.
        targets: (examples,), likewise on their device.
        rows: First weight of each pair, by its place in the flat parameters, (entries,).
        columns: Second weight, (entries,).

    Returns:
        (examples, entries).

    Raises:
        TypeError: If the model is no module, inputs or targets no tensors, or an index no integer.
        ValueError: If the network is not supported, examples do not fit it, a number is not finite, or
            an index is no weight.
    """
    check_examples(model, inputs, targets)
    network = PiecewiseLinear(model, inputs.shape[1:])
    check_precision(inputs, network.layers[0].weight)
    pairs = _Pairs(network, rows, columns)
    entries = inputs.new_zeros(len(rows), len(inputs))
    for part in contributions(network, model, loss, inputs, targets):
        values = pairs.mixed_derivatives(part.trace) * part.slopes
        if part.curvatures.any():
            values += pairs.gradient_products(part.trace) * part.curvatures
        entries[:, part.examples] = values
    return entries.T.contiguous()


class _Pairs:
    """Pairs of weights, those of the same two layers together."""

    def __init__(self, network: PiecewiseLinear, rows: Tensor, columns: Tensor) -> None:
        self._network = network
        self._count = len(rows)
        layers = network.layers
        sizes = torch.tensor([layer.weight.numel() for layer in layers])
        ends = sizes.cumsum(0)
        first, second = (torch.as_tensor(index).cpu() for index in (rows, columns))
        for index in (first, second):
            if index.numel() and index.dtype not in _INTEGERS:
                raise TypeError(f"a weight's place is an integer, not {index.dtype}")
        first, second = first.long(), second.long()
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
    awaiting = backward(network, trace, range(places[q - 1] + 1, places[q]), awaiting, upper)
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
    awaiting = expand(items.awaiting, inverse(last), kernels, items.wanted)
    return awaiting.mul_(tangents).flatten(1).sum(1)
