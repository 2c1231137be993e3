"""The examples that contribute to entries of the Hessian, and their loss's derivatives."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssbrepro.networks.tracing import PiecewiseLinear, Trace
from ssbrepro.probes.arguments import check_pairing
from ssbrepro.training.losses import Loss

_ACTIVATIONS = 1 << 20  # of the widest layer, of the examples traced at once
_OUTPUTS = 500  # examples a forward pass


class Contribution(NamedTuple):
    """Some of the examples whose loss depends on the output.

    Attributes:
        examples: Their places among all examples, (contributing,).
        trace: What they leave behind in the network.
        slopes: First derivative of each one's loss by its output, (contributing,).
        curvatures: Second derivative, (contributing,).
    """

    examples: Tensor
    trace: Trace
    slopes: Tensor
    curvatures: Tensor


def contributions(
    network: PiecewiseLinear, model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor
) -> Iterator[Contribution]:
    """The examples that contribute, as many at once as memory should hold; none twice.

    Yields:
        Their contributions, the examples in order.
    """
    slopes, curvatures = _loss_derivatives(model, loss, inputs, targets)
    contributing = torch.nonzero((slopes != 0) | (curvatures != 0))[:, 0]
    widest = max(layer.channels * layer.cells for layer in network.layers)
    at_once = max(1, _ACTIVATIONS // widest)
    for first in range(0, len(contributing), at_once):
        examples = contributing[first : first + at_once]
        trace = network.trace(inputs[examples])
        yield Contribution(examples, trace, slopes[examples], curvatures[examples])


def _loss_derivatives(
    model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """First and second derivative of each example's loss by its output, (examples,) both."""
    if inputs.ndim == 4:  # convolutions are fastest where the channels come last in memory
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        outputs = torch.cat([model(part).reshape(-1) for part in inputs.split(_OUTPUTS)])
    check_pairing(outputs, targets)
    outputs.requires_grad_()
    (slopes,) = torch.autograd.grad(
        len(outputs) * loss(outputs, targets), outputs, create_graph=True
    )
    curvatures = torch.zeros_like(outputs)
    if slopes.requires_grad:
        (found,) = torch.autograd.grad(slopes.sum(), outputs, allow_unused=True)
        curvatures = curvatures if found is None else found
    return slopes.detach(), curvatures.detach()
