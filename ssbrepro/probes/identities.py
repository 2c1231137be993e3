"""Identities the Hessian of a bias-free ReLU network with hinge loss obeys exactly.

The output T is linear in each layer's weights on its own, and positively homogeneous, and the hinge
loss has no curvature of its own. With g the gradient, H the Hessian of the mean loss without any
penalty, and c∘θ the weights with layer l multiplied by c_l:

* block l of H (c∘θ) is (sum_k c_k - c_l) g_l. All c_l = 1 is Euler's identity H θ = (L-1) g; the
  unit vectors say that H θ_l is g without its block l;
* the diagonal blocks of H, within a layer, vanish, and with them its trace;
* examples with margin y T >= 1 contribute nothing.

So every run checks its own Hessian products against what they must be.
"""

import torch
from torch import Tensor

from ssbrepro.probes.operators import HessianOperator
from ssbrepro.probes.risk import HingeRisk
from ssbrepro.seeding import torch_generator

IDENTITIES = ("euler", "layers", "same_layer", "symmetry", "active_only", "pyhessian")


def identity_residuals(
    risk: HingeRisk, hessian: HessianOperator, layer: int, seed: int
) -> dict[str, float]:
    """Relative residuals of the identities, and of PyHessian's product, at a non-zero Hessian.

    Args:
        risk: The mean hinge loss.
        hessian: Its Hessian from the active examples, the operator under test.
        layer: Layer whose diagonal block is checked.
        seed: Root seed of the test vectors.

    Returns:
        For each of ``IDENTITIES``, a norm of a difference relative to what is expected:
        ``euler``, H θ against (L-1) g; ``layers``, H (c∘θ) at random c; ``same_layer``, what of H v
        stays in the one layer of v, relative to H v; ``symmetry``, |uᵀHv - vᵀHu| / (|u| |Hv|);
        ``active_only``, H v against H v from all examples; ``pyhessian``, H v against PyHessian's.
    """
    generator = torch_generator(seed, "identities")
    left, right = (torch.randn(hessian.dim, generator=generator).to(risk.weights) for _ in range(2))
    factors = torch.randn(len(risk.layer_sizes), generator=generator, dtype=torch.float64)
    gradient = hessian.gradient()
    product = hessian.matvec(right)
    inside = torch.zeros_like(right)
    block = slice(sum(risk.layer_sizes[:layer]), sum(risk.layer_sizes[: layer + 1]))
    inside[block] = right[block]
    same_layer = hessian.matvec(inside)
    crossed = (
        left.double() @ product.double() - right.double() @ hessian.matvec(left).double()
    ).abs()
    return {
        "euler": _layer_scaling(risk, hessian, gradient, torch.ones_like(factors)),
        "layers": _layer_scaling(risk, hessian, gradient, factors),
        "same_layer": (same_layer[block].norm() / same_layer.norm()).item(),
        "symmetry": (crossed / (left.double().norm() * product.double().norm())).item(),
        "active_only": _difference(
            product, risk.hessian("autograd", active_only=False).matvec(right)
        ),
        "pyhessian": _difference(risk.hessian("pyhessian").matvec(right), product),
    }


def _layer_scaling(
    risk: HingeRisk, hessian: HessianOperator, gradient: Tensor, factors: Tensor
) -> float:
    """Relative residual of block l of H (c∘θ) = (sum c - c_l) g_l, for c = ``factors``."""
    sizes = torch.tensor(risk.layer_sizes)
    spread = torch.repeat_interleave(factors, sizes).to(gradient.device)
    expected = (factors.sum().item() - spread) * gradient.double()
    return _difference(hessian.matvec(spread * risk.weights.double()), expected)


def _difference(received: Tensor, expected: Tensor) -> float:
    difference = received.double() - expected.double()
    return float(difference.norm() / expected.double().norm())
