"""Exact Hessian-vector products of the mean loss, by interchangeable backends.

The parameters are ``model.parameters()``, flattened and concatenated, in that order.
"""

import copy
import warnings

import torch
from torch import Tensor, nn

from ssbrepro.probes.arguments import PRECISIONS, check_examples, check_pairing
from ssbrepro.probes.operators.autograd import AutogradOperator
from ssbrepro.probes.operators.cached import CachedOperator, UnsupportedNetwork
from ssbrepro.probes.operators.operator import HessianOperator, Operator
from ssbrepro.probes.operators.pyhessian import PyHessianOperator
from ssbrepro.training.losses import Loss, check_labels, hinge

__all__ = [
    "HessianOperator",
    "Operator",
    "SlowBackendWarning",
    "UnsupportedNetwork",
    "hessian_operator",
]

_BACKENDS: dict[str, type[AutogradOperator | CachedOperator | PyHessianOperator]] = {
    "cached": CachedOperator,
    "autograd": AutogradOperator,
    "pyhessian": PyHessianOperator,
}


class SlowBackendWarning(UserWarning):
    """The fast backend does not support a layer, and the general one took its place."""


def hessian_operator(
    model: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    backend: str | None = None,
    dtype: torch.dtype = torch.float32,
    chunk_size: int = 256,
) -> HessianOperator:
    """The Hessian of ``loss`` averaged over the examples, at the model's present weights.

    The model is copied: it stays as it is, and changing it later does not change the operator. All its
    parameters count, also those that require no gradient.

        >>> import torch
        >>> from ssbrepro.networks import vgg12
        >>> from ssbrepro.training.losses import hinge
        >>> generator = torch.Generator().manual_seed(0)
        >>> model = vgg12(width=1 / 64, generator=generator)
        >>> inputs = torch.randn(4, 3, 32, 32, generator=generator)
        >>> targets = torch.tensor([1.0, -1.0, 1.0, -1.0])
        >>> hessian = hessian_operator(model, hinge, inputs, targets, dtype=torch.float64)
        >>> hessian
        <CachedOperator: 2,394 weights, 4 examples, float64 on cpu>
        >>> weights = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
        >>> euler = hessian.matvec(weights) - 11 * hessian.gradient()  # of twelve layers: zero
        >>> bool(euler.norm() < 1e-12 * hessian.gradient().norm())
        True

    Args:
        model: Maps inputs (examples, ...) to outputs whose first axis is the examples. What behaves
            otherwise in training, batch norm and dropout, has to be in evaluation mode.
        loss: Scalar mean over examples of (outputs, targets), twice differentiable almost
            everywhere.
        inputs: (examples, ...), on the model's device.
        targets: (examples, ...), likewise.
        backend: ``"cached"`` (bias-free piecewise-linear sequences, also with residual units; about
            twice the cost of a gradient), ``"autograd"`` (any model; reverse over reverse, the
            oracle) or ``"pyhessian"`` (the product of PyHessian 0.1, a cross-check). By default the
            first of them that takes the model, with a :class:`SlowBackendWarning` if it is the second.
        dtype: Precision of the products, ``torch.float32`` or ``torch.float64``; weights and examples of
            another type are converted.
        chunk_size: Examples differentiated at once; bounds the memory, not the result.

    Returns:
        Operator whose ``matvec`` takes and returns (dim,) vectors; results have ``dtype``. Its
        ``to_scipy()`` is for ``scipy.sparse.linalg``.

    Raises:
        TypeError: If the model is no module, or inputs or targets are no tensors.
        ValueError: If the backend or ``dtype`` is none of these, examples, weights or mode are not as
            above, a number is not finite, outputs and targets would be broadcast against each other, or
            the loss is no scalar.
        UnsupportedNetwork: A ValueError too: if ``"cached"``, asked for, does not support a layer, which
            it names.
    """
    if backend is not None and backend not in _BACKENDS:
        raise ValueError(
            f"unknown backend {backend!r}; there are {', '.join(map(repr, _BACKENDS))}"
        )
    if dtype not in PRECISIONS:
        raise ValueError(f"products in {dtype} are not supported; take float32 or float64")
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, not {chunk_size}")
    check_examples(model, inputs, targets)
    if len(inputs) == 0:
        raise ValueError("no examples: the mean loss is undefined")
    if loss is hinge:
        check_labels(targets)  # all of them at once, whatever a backend puts off
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
    with torch.no_grad():  # two examples: an axis may have length one by chance
        check_pairing(own(chunks[0][0][:2]), chunks[0][1][:2])
    try:
        operator = _BACKENDS[backend or "cached"](own, _scalar(loss), chunks)
    except UnsupportedNetwork as error:
        if backend is not None:
            raise
        warnings.warn(
            f"{error.__cause__}; so products are by 'autograd', which takes any model, slower; "
            "backend='autograd' asks for that without a warning",
            SlowBackendWarning,
            stacklevel=2,
        )
        operator = AutogradOperator(own, _scalar(loss), chunks)
    return operator


def _scalar(loss: Loss) -> Loss:
    """The loss, which has to be one number."""

    def checked(outputs: Tensor, targets: Tensor) -> Tensor:
        value = loss(outputs, targets)
        if value.shape:
            raise ValueError(
                f"the loss has shape {tuple(value.shape)}, not (); give the mean over the examples"
            )
        return value

    return checked
