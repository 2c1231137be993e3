"""Dense derivatives in float64: by torch.func, and by hand where a hand can do it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev

Loss = Callable[[Tensor, Tensor], Tensor]


def dense_derivatives(
    model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradient (dim,) and Hessian (dim, dim) of the loss over all examples at once, float64."""
    names = [name for name, _ in model.named_parameters()]
    shapes = [weight.shape for weight in model.parameters()]
    sizes = [weight.numel() for weight in model.parameters()]
    inputs, targets = inputs.double(), targets.double()

    def risk(flat: Tensor) -> Tensor:
        parts = [part.view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]
        outputs = functional_call(model, dict(zip(names, parts, strict=True)), (inputs,))
        return loss(outputs, targets)

    flat = torch.cat([weight.detach().double().reshape(-1) for weight in model.parameters()])
    return grad(risk)(flat), jacrev(grad(risk))(flat)


def two_layer_hinge_derivatives(
    first: Tensor, second: Tensor, inputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """By hand: gradient and Hessian of the mean hinge loss of T(x) = second relu(first x).

    With gates g_k(n) = [first_k x_n > 0] and s_n = -y_n [y_n T(x_n) < 1] / examples,
    dR/d(second_k) = sum_n s_n g_k (first_k x_n), dR/d(first_ki) = sum_n s_n second_k g_k x_ni, and
    the one second derivative that is not zero is d2R/d(first_ki)d(second_k) = sum_n s_n g_k x_ni.

    Args:
        first: (hidden, features).
        second: (hidden,).
        inputs: (examples, features).
        targets: Labels +1 or -1, (examples,).
    """
    hidden, features = first.shape
    gates = (inputs @ first.T > 0).double()
    outputs = (inputs @ first.T * gates) @ second
    slopes = -targets * (targets * outputs < 1).double() / len(inputs)
    mixed = torch.einsum("n,nk,ni->ki", slopes, gates, inputs)
    gradient = torch.cat([(second[:, None] * mixed).reshape(-1), (mixed * first).sum(1)])
    coupling = torch.zeros(hidden * features, hidden, dtype=torch.float64)
    for unit in range(hidden):
        coupling[unit * features : (unit + 1) * features, unit] = mixed[unit]
    hessian = torch.zeros(len(gradient), len(gradient), dtype=torch.float64)
    hessian[: hidden * features, hidden * features :] = coupling
    hessian[hidden * features :, : hidden * features] = coupling.T
    return gradient, hessian
