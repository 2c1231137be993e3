"""The potential of weights in ssb2018, whose symmetry breaks below a critical step size."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import grad, jacrev

_LARGEST = 1e30


@dataclass(frozen=True)
class Potential:
    """V(w; η) = ½ m² w·w + ¼ λ (w·w)² of D weights, invariant under O(D) (ssb2018, section 2.5).

    The paper's symbols: ``mu`` is μ and ``coupling`` is λ; the step size η stands for a temperature
    and enters the squared mass m² = -μ² + ¼ λ η²; v is the distance of the minima from w = 0; σ is
    the weight across the minima, and the D - 1 weights π run along them. Natural units are μ/√λ for
    weights and step sizes, μ² for squared masses, and μ⁴/λ for V.

    Args:
        mu: μ, positive.
        coupling: λ, positive: for any other V has no lower bound.

    Raises:
        ValueError: If one of them is not positive, or so extreme that V would leave float64.
    """

    mu: float
    coupling: float

    def __post_init__(self) -> None:
        for name, value in (("mu", self.mu), ("coupling", self.coupling)):
            if not 1 / _LARGEST <= value <= _LARGEST:
                raise ValueError(
                    f"{name} is {value}; give a positive number from {1 / _LARGEST:g} to {_LARGEST:g}"
                )

    @property
    def critical_step_size(self) -> float:
        """η_c = 2 μ/√λ, where m² = 0 (section 2.5)."""
        return 2 * self.mu / math.sqrt(self.coupling)

    @property
    def weight_unit(self) -> float:
        """μ/√λ, which is also the distance of the minima from w = 0 at step size 0."""
        return self.mu / math.sqrt(self.coupling)

    @property
    def height_unit(self) -> float:
        """μ⁴/λ."""
        return self.mu**4 / self.coupling

    def mass_squared(self, step_size: float) -> float:
        """m² = -μ² + ¼ λ η²: the curvature of V at w = 0 (section 2.4).

        Raises:
            ValueError: If the step size is negative, not finite or out of range.
        """
        if not 0 <= step_size <= _LARGEST**2:
            raise ValueError(f"the step size is {step_size}; give one from 0 to {_LARGEST**2:g}")
        return -(self.mu**2) + self.coupling * step_size**2 / 4

    def vacuum_radius(self, step_size: float) -> float:
        """Distance of the minima from w = 0: √(-m²/λ) below the critical step size, 0 from there on.

        Both agree at the critical one, where m² = 0 and the only minimum, w = 0, is quartic. It is 0
        there although rounding leaves m² next to zero on either side.

        Raises:
            ValueError: If the step size is negative, not finite or out of range.
        """
        mass_squared = self.mass_squared(step_size)
        if step_size >= self.critical_step_size or mass_squared >= 0:
            return 0.0
        return math.sqrt(-mass_squared / self.coupling)

    def value(self, weights: Tensor, step_size: float) -> Tensor:
        """V at ``weights`` (..., D) in float64, as (...,).

        Raises:
            ValueError: If the weights are not float64 or have no axis, or for a bad step size.
        """
        if weights.dtype != torch.float64 or weights.ndim == 0:
            shape = tuple(weights.shape)
            raise ValueError(f"the weights are {weights.dtype} {shape}; give float64 of (..., D)")
        square = weights.square().sum(dim=-1)
        return self.mass_squared(step_size) / 2 * square + self.coupling / 4 * square.square()

    def gradient(self, weights: Tensor, step_size: float) -> Tensor:
        """∇V at one point ``weights`` (D,), by automatic differentiation; raises like ``value``."""
        slope: Tensor = grad(self.value)(weights, step_size)
        return slope

    def hessian(self, weights: Tensor, step_size: float) -> Tensor:
        """∇²V (D, D) at one point ``weights`` (D,), like ``gradient``."""
        curvature: Tensor = jacrev(grad(self.value))(weights, step_size)
        return curvature
