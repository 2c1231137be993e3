"""The potential of ssb2018, and the stage ``potential``: one weight in both phases (fig. 1)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq, minimize, newton
from torch import Tensor
from torch.func import grad, jacrev

from ssbrepro.results import Array, Context, Result
from ssbrepro.stages.ssb2018 import PotentialParameters

_LARGEST = 1e30
_SLOPE = 1e-7  # in natural units; what a shallower one lowers V by is lost in rounding
_LAST_STEP = 1e-12  # in natural units; its square, what is left to go, is below rounding
_START = 0.1  # in natural units; beside the point A, where the slope vanishes as well


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


def potential_stage(parameters: PotentialParameters, context: Context) -> Result:
    """Evaluate V of one weight above and below the critical step size, and find its marked points.

    A is w = 0. The points C are the minima that a descent finds from either side of A. The points B
    are those of the slope between that "the weight must go through": the points of inflection
    V'' = 0, w = ±√(-m²/(3λ)), where the slope is steepest and the curvature turns from that of A to
    that of C.

    Returns:
        Arrays in natural units, with weights in the first column and heights in the second:
        ``symmetric`` and ``broken`` (points, 2), the curves of both phases; ``a`` (1, 2), ``b`` and
        ``c`` (2, 2), the marked points of the broken phase. Numbers: relative difference of the
        critical step size found as a root of the curvature at A from 2μ/√λ; curvature at A in both
        phases and the smaller one at C, in units of μ²; largest relative difference of C from
        ±√(-m²/λ); the larger height of C over A, in units of μ⁴/λ, and the largest relative
        difference of these heights from -m⁴/(4λ).
    """
    potential = Potential(parameters.mu, parameters.coupling)
    critical, unit = potential.critical_step_size, potential.weight_unit
    above = parameters.symmetric_step_size * critical
    below = parameters.broken_step_size * critical
    radius = potential.vacuum_radius(below)
    depth = potential.mass_squared(below) ** 2 / (4 * potential.coupling)

    sides = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    a = torch.zeros(1, 1, dtype=torch.float64)
    b = sides * radius / math.sqrt(3)
    c = unit * sides.clone().apply_(lambda side: _minimum(potential, side * _START, below))
    heights = potential.value(c, below)
    axis = torch.linspace(-1, 1, parameters.num_points, dtype=torch.float64)
    weights = parameters.extent * radius * axis[:, None]

    def in_units(weights: Tensor, step_size: float) -> Tensor:
        height = potential.value(weights, step_size) / potential.height_unit
        return torch.column_stack([weights / unit, height])

    arrays = {
        "symmetric": in_units(weights, above),
        "broken": in_units(weights, below),
        "a": in_units(a, below),
        "b": in_units(b, below),
        "c": in_units(c, below),
    }
    numbers = {
        "critical_step_size_residual": abs(_critical_step_size(potential) / critical - 1),
        "curvature_a_symmetric": _curvature(potential, a[0], above),
        "curvature_a_broken": _curvature(potential, a[0], below),
        "minimum_residual": float((c / (radius * sides) - 1).abs().max()),
        "curvature_c": min(_curvature(potential, point, below) for point in c),
        "height_c": float(heights.max()) / potential.height_unit,
        "height_c_residual": float((heights / -depth - 1).abs().max()),
    }
    return Result(arrays={name: array.numpy() for name, array in arrays.items()}, numbers=numbers)


def _curvature(potential: Potential, weight: Tensor, step_size: float) -> float:
    return float(potential.hessian(weight, step_size)) / potential.mu**2


def _critical_step_size(potential: Potential) -> float:
    """The step size at which the curvature at w = 0 vanishes, between 0 and where it is positive."""
    origin = torch.zeros(1, dtype=torch.float64)

    def curvature(step_size: float) -> float:
        return _curvature(potential, origin, step_size)

    positive = potential.weight_unit
    while curvature(positive) <= 0:
        positive *= 2
    root: float = brentq(curvature, 0.0, positive, xtol=1e-15 * positive)
    return root


def _minimum(potential: Potential, start: float, step_size: float) -> float:
    """The minimum of one weight that a descent from ``start`` ends at.

    A minimiser sees no more of the last steps once they change V by less than rounding. Newton's
    method for the slope goes on from there.

    Raises:
        RuntimeError: If either ends nowhere.
    """

    def height(point: Tensor) -> Tensor:
        return potential.value(potential.weight_unit * point, step_size) / potential.height_unit

    def at(derivative: Callable[[Tensor], Tensor]) -> Callable[[Array], Array]:
        return lambda point: derivative(torch.from_numpy(point)).numpy()

    slope, curvature = at(grad(height)), at(jacrev(grad(height)))
    found = minimize(
        at(height),
        [start],
        jac=slope,
        hess=curvature,
        method="trust-exact",
        options={"gtol": _SLOPE},
    )
    if not found.success:
        raise RuntimeError(f"no minimum found from {start}: {found.message}")
    end: float = newton(
        lambda weight: slope(np.array([weight])).item(),
        found.x.item(),
        fprime=lambda weight: curvature(np.array([weight])).item(),
        tol=_LAST_STEP,
    )
    return end
