"""The potential of one weight in both phases (fig. 1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Lt

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Positive, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch
    from scipy import optimize

    from ssbrepro.papers.ssb2018 import potential as potentials


@dataclass(frozen=True)
class Parameters:
    """The potential of one weight in both phases (ssb2018, fig. 1).

    ``mu`` and ``coupling`` are μ and λ of V. The two step sizes are in units of the critical one:
    one above it, one below. Weights are drawn up to ``extent`` times the minimum of the broken phase.
    """

    mu: Positive
    coupling: Positive
    symmetric_step_size: Annotated[float, Gt(1)]
    broken_step_size: Annotated[float, Gt(0), Lt(1)]
    extent: Annotated[float, Gt(1)]
    num_points: Annotated[int, Ge(3)]


NUMBERS = {
    "critical_step_size_residual": domains.NON_NEGATIVE,
    "curvature_a_symmetric": domains.REAL,
    "curvature_a_broken": domains.REAL,
    "minimum_residual": domains.NON_NEGATIVE,
    "curvature_c": domains.REAL,
    "height_c": domains.REAL,
    "height_c_symmetric": domains.REAL,
    "height_c_residual": domains.NON_NEGATIVE,
}

_SLOPE = 1e-7  # in natural units; what a shallower one lowers V by is lost in rounding
_LAST_STEP = 1e-12  # in natural units; its square, what is left to go, is below rounding
_START = 0.1  # in natural units; beside the point A, where the slope vanishes as well


def run(parameters: Parameters, context: Context) -> Result:
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
        ±√(-m²/λ); the larger height of C over A, in units of μ⁴/λ, the same weights' height in the
        symmetric phase, and the largest relative difference of the former from -m⁴/(4λ).
    """
    potential = potentials.Potential(parameters.mu, parameters.coupling)
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

    def in_units(weights: torch.Tensor, step_size: float) -> torch.Tensor:
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
        "height_c_symmetric": float(potential.value(c, above).max()) / potential.height_unit,
        "height_c_residual": float((heights / -depth - 1).abs().max()),
    }
    return Result(arrays={name: array.numpy() for name, array in arrays.items()}, numbers=numbers)


def _curvature(potential: potentials.Potential, weight: torch.Tensor, step_size: float) -> float:
    return float(potential.hessian(weight, step_size)) / potential.mu**2


def _critical_step_size(potential: potentials.Potential) -> float:
    """The step size at which the curvature at w = 0 vanishes, between 0 and where it is positive."""
    origin = torch.zeros(1, dtype=torch.float64)

    def curvature(step_size: float) -> float:
        return _curvature(potential, origin, step_size)

    positive = potential.weight_unit
    while curvature(positive) <= 0:
        positive *= 2
    root: float = optimize.brentq(curvature, 0.0, positive, xtol=1e-15 * positive)
    return root


def _minimum(potential: potentials.Potential, start: float, step_size: float) -> float:
    """The minimum of one weight that a descent from ``start`` ends at.

    A minimiser sees no more of the last steps once they change V by less than rounding. Newton's
    method for the slope goes on from there.

    Raises:
        RuntimeError: If either ends nowhere.
    """

    def height(point: torch.Tensor) -> torch.Tensor:
        return potential.value(potential.weight_unit * point, step_size) / potential.height_unit

    def at(derivative: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Array], Array]:
        return lambda point: derivative(torch.from_numpy(point)).numpy()

    slope, curvature = at(torch.func.grad(height)), at(torch.func.jacrev(torch.func.grad(height)))
    found = optimize.minimize(
        at(height),
        [start],
        jac=slope,
        hess=curvature,
        method="trust-exact",
        options={"gtol": _SLOPE},
    )
    if not found.success:
        raise RuntimeError(f"no minimum found from {start}: {found.message}")
    end: float = optimize.newton(
        lambda weight: slope(np.array([weight])).item(),
        found.x.item(),
        fprime=lambda weight: curvature(np.array([weight])).item(),
        tol=_LAST_STEP,
    )
    return end


STAGE = Stage(Parameters, NUMBERS, run)
