"""Losses of the single output neuron, averaged over examples."""

from collections.abc import Callable

import torch
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]  # of outputs and targets: a mean over examples


def hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean hinge loss, max(0, 1 - y T) (li2022, II.G.3).

    Args:
        outputs: Network outputs T, (batch,).
        targets: Labels y = +1 or -1, (batch,).

    Returns:
        Scalar mean over the batch.
    """
    return torch.relu(1 - targets * outputs).mean()


def within_margin(outputs: Tensor, targets: Tensor) -> Tensor:
    """Which examples the hinge loss still sees: margin y T below 1, (batch,) booleans.

    All others add exactly nothing to the gradient and to the Hessian.
    """
    return targets * outputs < 1
