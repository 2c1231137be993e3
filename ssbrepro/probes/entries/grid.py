"""All entries of the Hessian in some rows and columns, by one tangent a row and one a column.

As in :mod:`ssbrepro.probes.entries.per_example`, but a tangent goes on upwards and is met by the
weights of every layer above its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssbrepro.networks.tracing import PiecewiseLinear, Trace
from ssbrepro.probes.arguments import check_examples, check_precision
from ssbrepro.probes.entries.examples import contributions
from ssbrepro.probes.entries.tangents import (
    BUDGET_BYTES,
    Weights,
    apply_layer,
    derivative,
    expand,
    forward,
    placed,
    states_by_example,
    tangents_of,
    width,
)
from ssbrepro.training.losses import Loss


class _Members(NamedTuple):
    """Weights of one layer, and their places among the rows or columns."""

    places: Tensor
    weights: Weights


def entry_grid(
    model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor, rows: Tensor, columns: Tensor
) -> Tensor:
    """The entries of the Hessian of ``loss`` in all of these rows and columns.

    Arguments and errors as :func:`ssbrepro.probes.entries.per_example_entries`, but rows and columns are
    crossed.

    Returns:
        (rows, columns).

    Raises:
        ValueError: If there are no examples, besides.
    """
    check_examples(model, inputs, targets)
    if len(inputs) == 0:
        raise ValueError("no examples: the mean loss is undefined")
    network = PiecewiseLinear(model, inputs.shape[1:])
    check_precision(inputs, network.layers[0].weight)
    first, second = _by_layer(network, rows), _by_layer(network, columns)
    entries = inputs.new_zeros(len(rows), len(columns))
    for part in contributions(network, model, loss, inputs, targets):
        trace = part.trace
        _add_mixed(network, trace, part.slopes, first, second, entries)
        _add_mixed(network, trace, part.slopes, second, first, entries.T)
        if part.curvatures.any():
            weighted = _derivatives(network, trace, first) * part.curvatures
            entries += weighted @ _derivatives(network, trace, second).T
    return entries / len(inputs)


def _by_layer(network: PiecewiseLinear, places: Tensor) -> dict[int, _Members]:
    ends = torch.tensor([layer.weight.numel() for layer in network.layers]).cumsum(0)
    places = torch.as_tensor(places).cpu().long()
    if places.ndim != 1:
        raise ValueError("rows and columns are two lists of weights")
    if len(places) and (int(places.min()) < 0 or int(places.max()) >= int(ends[-1])):
        raise ValueError(f"a weight's place lies in 0 to {int(ends[-1]) - 1}")
    found = torch.searchsorted(ends, places, right=True)
    groups = {}
    for index, layer in enumerate(network.layers):
        members = torch.nonzero(found == index)[:, 0]
        if len(members):
            start = int(ends[index]) - layer.weight.numel()
            groups[index] = _Members(members, Weights.of(layer, places[members] - start))
    return groups


def _derivatives(network: PiecewiseLinear, trace: Trace, side: Mapping[int, _Members]) -> Tensor:
    """Of the output by all weights of a side, (weights, examples)."""
    parts = [derivative(network, trace, layer, found.weights) for layer, found in side.items()]
    places = [found.places for found in side.values()]
    return torch.cat(parts)[torch.cat(places).argsort()] if parts else trace.outputs[None][:0]


def _add_mixed(
    network: PiecewiseLinear,
    trace: Trace,
    slopes: Tensor,
    below: Mapping[int, _Members],
    above: Mapping[int, _Members],
    entries: Tensor,
) -> None:
    """Add sum_n slopes[n] d²T_n/dw_i dw_j where w_i, of ``below``, is of a lower layer than w_j."""
    top = max(above, default=0)
    states = states_by_example(network, trace)
    awaiting = {
        layer: slopes[:, None]
        * placed(trace.signals[layer][found.weights.outputs], network.layers[layer], found.weights.slots)
        for layer, found in above.items()
    }  # fmt: skip
    for p, lower in below.items():
        if p >= top:
            continue
        widest = max(width(layer) for layer in network.layers[p + 1 : top + 1])
        size = widest * len(slopes) * slopes.element_size()
        for part in torch.arange(len(lower.places)).split(max(1, BUDGET_BYTES // size)):
            sent = Weights(*(index[part] for index in lower.weights))
            into = lower.places[part, None]
            between = range(network.places[p] + 1, network.places[p + 1])
            tangents = tangents_of(network, trace, p, sent)
            tangents = forward(network, between, trace.states, sent.outputs, tangents, -1)
            if p + 1 in above:
                upper = above[p + 1]
                met = (sent.outputs[:, None] == upper.weights.channels).to(tangents)
                found = tangents.flatten(1) @ awaiting[p + 1].flatten(1).T
                entries[into, upper.places] += found * met
            for q, arriving in _onwards(network, states, p, top, sent.outputs, tangents):
                if q in above:
                    upper = above[q]
                    entries[into, upper.places] += torch.einsum(
                        "kecu,uec->ku", arriving[..., upper.weights.channels], awaiting[q]
                    )


def _onwards(
    network: PiecewiseLinear,
    states: Sequence[Tensor | None],
    p: int,
    top: int,
    sent: Tensor,
    tangents: Tensor,
) -> Iterator[tuple[int, Tensor]]:
    """Tangents in channels ``sent`` into layer p + 1, carried to the layers above it.

    Yields:
        Each layer from p + 2 to ``top`` and what enters it, (weights, examples, cells, channels).
    """
    if p + 1 == top:
        return
    weights, examples, _ = tangents.shape
    layer = network.layers[p + 1]
    items = expand(
        tangents.flatten(0, 1),
        layer.sources,
        layer.weight.permute(1, 2, 0),
        sent.repeat_interleave(examples),
    )
    chosen = torch.arange(examples, device=tangents.device).repeat(weights)
    for q in range(p + 2, top + 1):
        between = range(network.places[q - 1] + 1, network.places[q])
        items = forward(network, between, states, chosen, items, 1)
        yield q, items.unflatten(0, (weights, examples))
        if q < top:
            items = apply_layer(network.layers[q], items)
