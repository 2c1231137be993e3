"""Gradients of the mean hinge loss, whole and with the sign of every example's part at choice."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ssbrepro.networks.reading import read
from ssbrepro.networks.tracing import PiecewiseLinear
from ssbrepro.training.losses import hinge, within_margin

_CHUNK = 256  # examples differentiated together; bounds memory only
# Of gradients of single examples, or of the sums they go to, held besides at once.
_NUMBERS = 1 << 26
_MOST = 64  # such examples: more are no faster


def mean_gradient(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """The gradient of the mean hinge loss by all weights, (dim,), of their type.

    Args:
        model: Maps (examples, ...) to (examples,).
        inputs: At least one example, (examples, ...), on the model's device.
        targets: Labels +1 or -1, (examples,).
    """
    weights = list(model.parameters())
    total = weights[0].new_zeros(sum(weight.numel() for weight in weights))
    for part, labels in zip(inputs.split(_CHUNK), targets.split(_CHUNK), strict=True):
        loss = hinge(model(part), labels) * (len(part) / len(inputs))
        parts = torch.autograd.grad(loss, weights)
        total += torch.cat([part.reshape(-1) for part in parts])
    return total


def example_gradients(model: nn.Module, inputs: Tensor, targets: Tensor) -> Iterator[Tensor]:
    """The gradient of each example's own hinge loss.

    T is linear in a layer's weights: its derivative by one of them is the sum, over the positions that
    the weight is used at, of what it reads times the derivative of T by what it adds to.

    Args:
        model: Bias-free sequential network, as :class:`PiecewiseLinear` supports it.
        inputs: (examples, *shape of an example), of the type and on the device of the weights.
        targets: Labels +1 or -1, (examples,).

    Yields:
        Those of as many examples as memory should hold, in their order, (some, dim).

    Raises:
        ValueError: If the network is not supported.
    """
    network = PiecewiseLinear(model, inputs.shape[1:])
    dim = sum(weight.numel() for weight in model.parameters())
    at_once = max(1, min(_MOST, _NUMBERS // dim))
    for first in range(0, len(inputs), at_once):
        labels = targets[first : first + at_once]
        trace = network.trace(inputs[first : first + at_once])
        slopes = -labels * within_margin(trace.outputs, labels)
        parts = []
        for place, layer, signal in zip(network.places, network.layers, trace.signals, strict=True):
            state = trace.states[place]
            assert state is not None  # the inputs of a layer are kept
            seen = read(state, layer.sources)  # (channels, examples, slots, positions)
            part = torch.einsum("oep,cesp->eocs", signal * slopes[:, None], seen)
            parts.append(part.flatten(1))
        yield torch.cat(parts, dim=1)


def signed_gradients(
    model: nn.Module, inputs: Tensor, targets: Tensor, signs: Tensor, at_once: int = _NUMBERS
) -> Tensor:
    """What the gradient of the mean hinge loss were, had some examples pulled the other way.

    Row k is the mean over the examples of ``signs[k, n]`` times the gradient of example n's loss. One
    pass over the examples serves all rows. Those outside the margin have no gradient, and cost no more
    than a forward pass.

    Args:
        model: As in :func:`example_gradients`.
        inputs: At least one example, (examples, *shape of an example), as there.
        targets: Labels +1 or -1, (examples,).
        signs: (patterns, examples), of the weights' type.
        at_once: How many numbers of the result to sum at once; bounds the memory beyond that of the
            result, and changes no more than roundings.

    Returns:
        (patterns, dim).

    Raises:
        ValueError: If the network is not supported.
    """
    with torch.no_grad():
        outputs = torch.cat([model(part) for part in inputs.split(_CHUNK)])
    active = within_margin(outputs, targets)
    total = signs.new_zeros(len(signs), sum(weight.numel() for weight in model.parameters()))
    columns = max(1, at_once // len(signs))
    done, kept = 0, signs[:, active]
    for part in example_gradients(model, inputs[active], targets[active]):
        own = kept[:, done : done + len(part)]
        for sums, gradients in zip(total.split(columns, 1), part.split(columns, 1), strict=True):
            sums += own @ gradients
        done += len(part)
    return total.div_(len(inputs))
