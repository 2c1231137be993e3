"""A saddle, and a landscape whose local minima are all global (fig. 5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple, TypeAlias

from annotated_types import Ge, Gt

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Positive, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch


@dataclass(frozen=True)
class Parameters:
    """Two surfaces over [-extent, extent]²: x² - y², and (1 - x y)² + balance (x² - y²)²."""

    balance: Positive
    extent: Annotated[float, Gt(1)]
    num_points: Annotated[int, Ge(3)]


NUMBERS = {
    "num_wrong_signatures": domains.COUNT,
    "num_wrong_signatures_control": domains.COUNT,
    "gradient_max": domains.NON_NEGATIVE,
    "minimum_excess": domains.NON_NEGATIVE,
}

Surface: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"

_ROUNDING = 1e-12  # an eigenvalue that much smaller than the other is zero


class _Point(NamedTuple):
    """A marked point of a surface, and what it is captioned as."""

    surface: int
    position: tuple[float, float]
    num_descents: int  # negative eigenvalues of its Hessian: 1 at a saddle, 0 at a minimum


_POINTS = (
    _Point(0, (0.0, 0.0), 1),
    _Point(1, (0.0, 0.0), 1),
    _Point(1, (1.0, 1.0), 0),
    _Point(1, (-1.0, -1.0), 0),
)


def saddle(point: torch.Tensor) -> torch.Tensor:
    """x² - y² at ``point`` (2,): a critical point that is no minimum."""
    x, y = point
    height: torch.Tensor = x**2 - y**2
    return height


def landscape(point: torch.Tensor, balance: float) -> torch.Tensor:
    """(1 - x y)² + balance (x² - y²)² at ``point`` (2,): its local minima are global.

    The first term is the mean-square risk of the two-weight linear network T = x y, the second keeps
    the weights balanced. At a critical point x ∂f/∂x - y ∂f/∂y = 4 balance (x² - y²)(x² + y²) is zero,
    hence y = ±x. For y = x what is left of ∂f/∂x = 0 is x (1 - x²) = 0, for y = -x it is
    x (1 + x²) = 0. So there are three critical points: the saddle 0, where f = 1, and ±(1, 1), where
    f reaches its lower bound 0.
    """
    x, y = point
    height: torch.Tensor = (1 - x * y) ** 2 + balance * (x**2 - y**2) ** 2
    return height


def run(parameters: Parameters, context: Context) -> Result:
    """Evaluate both surfaces on a grid, and their derivatives at the marked points.

    Returns:
        Arrays: ``axis`` (points,), of x and of y alike; ``heights`` (2, points, points) with y along
        the rows and x along the columns; of the marked points ``surface`` (4,), ``position`` (4, 2),
        ``height`` (4,), ``gradient`` (4, 2), ``eigenvalues`` of the Hessian (4, 2) ascending, and
        ``num_descents`` (4,), the negative ones it is captioned to have. Numbers: points with other
        signs than captioned, and how many without the balancing term, where the minima are no points but
        curves; the largest entry of a gradient, and the highest marked minimum.
    """
    surfaces = _surfaces(parameters.balance)
    axis = torch.linspace(
        -parameters.extent, parameters.extent, parameters.num_points, dtype=torch.float64
    )
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)
    heights = torch.stack([torch.func.vmap(torch.func.vmap(surface))(grid) for surface in surfaces])
    num_descents = np.array([point.num_descents for point in _POINTS])
    derived = _derivatives(surfaces)
    arrays = {
        "axis": axis.numpy(),
        "heights": heights.numpy(),
        "surface": np.array([point.surface for point in _POINTS]),
        "position": np.array([point.position for point in _POINTS]),
        "num_descents": num_descents,
        **derived,
    }
    unbalanced = _derivatives(_surfaces(balance=0))
    numbers = {
        "num_wrong_signatures": _num_wrong(derived["eigenvalues"], num_descents),
        "num_wrong_signatures_control": _num_wrong(unbalanced["eigenvalues"], num_descents),
        "gradient_max": float(np.abs(derived["gradient"]).max()),
        "minimum_excess": float(derived["height"][num_descents == 0].max()),
    }
    return Result(arrays=arrays, numbers=numbers)


def _surfaces(balance: float) -> tuple[Surface, Surface]:
    """Both surfaces, each a function of a point."""
    return saddle, lambda point: landscape(point, balance)


def _num_wrong(eigenvalues: Array, num_descents: Array) -> float:
    """How many points have other signs than captioned, a flat direction included."""
    sizes = np.abs(eigenvalues)
    curved = (sizes > _ROUNDING * sizes.max(axis=1, keepdims=True)).all(axis=1)
    captioned = ((eigenvalues < 0).sum(axis=1) == num_descents) & curved
    return float((~captioned).sum())


def _derivatives(surfaces: tuple[Surface, Surface]) -> dict[str, Array]:
    """Height, gradient and eigenvalues of the Hessian at each marked point."""
    rows = [_at(surfaces[point.surface], point.position) for point in _POINTS]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _at(surface: Surface, position: tuple[float, float]) -> dict[str, Array]:
    """Height, gradient and eigenvalues of the Hessian at one point, by automatic differentiation."""
    point = torch.tensor(position, dtype=torch.float64)
    return {
        "height": surface(point).numpy(),
        "gradient": torch.func.grad(surface)(point).numpy(),
        "eigenvalues": torch.linalg.eigvalsh(
            torch.func.jacrev(torch.func.grad(surface))(point)
        ).numpy(),
    }


STAGE = Stage(Parameters, NUMBERS, run)
