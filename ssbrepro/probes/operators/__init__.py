"""Exact Hessian-vector products of the mean loss, by interchangeable backends.

The parameters are ``model.parameters()``, flattened and concatenated, in that order.
"""

import copy
from typing import Protocol

import torch
from torch import Tensor, nn

from ssbrepro.probes.operators.autograd import AutogradOperator
from ssbrepro.probes.operators.cached import CachedOperator
from ssbrepro.probes.operators.pyhessian import PyHessianOperator
from ssbrepro.training.losses import Loss

__all__ = ["HessianOperator", "Operator", "hessian_operator"]


class Operator(Protocol):
    """A symmetric matrix H of ``dim`` rows, known by its products alone."""

    dim: int
    dtype: torch.dtype  # of the products
    device: torch.device  # that they are on

    def matvec(self, vector: Tensor) -> Tensor:
        """H v: (dim,) to (dim,)."""


class HessianOperator(Operator, Protocol):
    """The Hessian of a scalar function of ``dim`` parameters at one fixed point."""

    def gradient(self) -> Tensor:
        """The gradient at the same point, (dim,)."""


_BACKENDS: dict[str, type[AutogradOperator | CachedOperator | PyHessianOperator]] = {
    "cached": CachedOperator,
    "autograd": AutogradOperator,
    "pyhessian": PyHessianOperator,
}


def hessian_operator(
    model: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    backend: str = "cached",
    dtype: torch.dtype = torch.float32,
    chunk_size: int = 256,
) -> HessianOperator:
    """The Hessian of ``loss`` averaged over the examples, at the model's present weights.

    The model is copied: it stays as it is, and changing it later does not change the operator.

    Args:
        model: Maps inputs (examples, ...) to outputs whose first axis is the examples.
        loss: Scalar mean over examples of (outputs, targets), twice differentiable almost
            everywhere.
        inputs: (examples, ...), on the model's device.
        targets: (examples, ...).
        backend: ``"cached"`` (bias-free piecewise-linear sequences, also with residual units; about
            twice the cost of a gradient), ``"autograd"`` (any model; reverse over reverse, the
            oracle) or ``"pyhessian"`` (the product of PyHessian 0.1, a cross-check).
        dtype: Precision of the products.
        chunk_size: Examples differentiated at once; bounds the memory, not the result.

    Returns:
        Operator whose ``matvec`` takes and returns (dim,) vectors; results have ``dtype``.

    Raises:
        ValueError: If the backend is unknown, there are no examples or no weights, or ``"cached"``
            does not support a layer of the model, which it names.
    """
    if backend not in _BACKENDS:
        raise ValueError(
            f"unknown backend {backend!r}; there are {', '.join(map(repr, _BACKENDS))}"
        )
    if len(inputs) == 0:
        raise ValueError("no examples: the mean loss is undefined")
    if not any(weight.numel() for weight in model.parameters()):
        raise ValueError("the model has no weights: there is nothing to differentiate by")
    own = copy.deepcopy(model).to(dtype)
    own.requires_grad_(True)
    # Convolutions are fastest where the channels come last in memory. With one layout for all backends
    # their forward passes round alike, so that none opens a gate which another one closes.
    layout = torch.channels_last if inputs.dim() == 4 else torch.preserve_format
    chunks = [
        (
            part.to(dtype, memory_format=layout),
            labels.to(dtype) if labels.is_floating_point() else labels,
        )
        for part, labels in zip(inputs.split(chunk_size), targets.split(chunk_size), strict=True)
    ]
    return _BACKENDS[backend](own, loss, chunks)
