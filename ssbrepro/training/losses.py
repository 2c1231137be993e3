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

    Raises:
        ValueError: If the shapes differ, a label is neither +1 nor -1, or an output is not finite.
    """
    check_labels(targets)
    if not outputs.isfinite().all():
        raise ValueError("an output is not finite; weights and examples have to be")
    return shortfall(outputs, targets)


def shortfall(outputs: Tensor, targets: Tensor) -> Tensor:
    """:func:`hinge` of labels that have been checked: it reads nothing back from the device.

    It passes on what is not finite.
    """
    return torch.relu(1 - _margins(outputs, targets)).mean()


def check_labels(targets: Tensor) -> None:
    """That all labels are +1 or -1.

    Raises:
        ValueError: If one is not.
    """
    if not (targets.abs() == 1).all():
        raise ValueError(
            "hinge loss takes labels +1 and -1; labels 0 and 1 become those by 2 * targets - 1"
        )


def within_margin(outputs: Tensor, targets: Tensor) -> Tensor:
    """Which examples the hinge loss still sees: margin y T below 1, (batch,) booleans.

    All others add exactly nothing to the gradient and to the Hessian.
    """
    return _margins(outputs, targets) < 1


def _margins(outputs: Tensor, targets: Tensor) -> Tensor:
    """The margin y T of each example.

    Raises:
        ValueError: If the shapes differ, so that each output would meet each label.
    """
    if outputs.shape != targets.shape:
        raise ValueError(
            f"outputs of shape {tuple(outputs.shape)} and labels of shape {tuple(targets.shape)}: hinge "
            "loss takes one of each an example, (batch,) both; Flatten(0) ends a model so"
        )
    return targets * outputs
