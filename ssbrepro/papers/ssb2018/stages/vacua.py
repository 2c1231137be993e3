"""The minima of D weights, and the modes along them (fig. 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from annotated_types import Ge, Gt, Lt

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Positive, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch

    from ssbrepro import seeding
    from ssbrepro.papers.ssb2018 import potential as potentials
    from ssbrepro.papers.ssb2018 import rotations


@dataclass(frozen=True)
class Parameters:
    """The minima of the potential of D weights, for all D from 2 to ``max_dimension``.

    ``step_size`` is in units of the critical one. The surface over two weights is drawn up to
    ``extent`` times the radius of the minima, with ``num_points`` along the radius and as many
    around.
    """

    mu: Positive
    coupling: Positive
    step_size: Annotated[float, Ge(0), Lt(1)]
    max_dimension: Annotated[int, Ge(2)]
    extent: Annotated[float, Gt(1)]
    num_points: Annotated[int, Ge(3)]


NUMBERS = {
    "num_wrong_counts": domains.COUNT,
    "num_wrong_generators": domains.COUNT,
    "zero_mode_max": domains.NON_NEGATIVE,
    "radial_residual_max": domains.NON_NEGATIVE,
    "height_spread": domains.NON_NEGATIVE,
}

_ZERO_BELOW = 1e-10  # of an eigenvalue over 2|m²|; rounding leaves some 1e-16


def run(parameters: Parameters, context: Context) -> Result:
    """Count what O(D) → O(D - 1) leaves flat, at a random one of the minima, for each D.

    A mode of the Hessian is zero where its eigenvalue is below 1e-10 of 2|m²|. A generator of the
    rotations is broken where it moves the vacuum; as many as the rank of all their displacements.

    Returns:
        Arrays: for each D from 2, ``dimension``, ``num_zero_modes``, ``num_broken`` generators and
        ``num_goldstone`` = dim O(D) - dim O(D - 1), and its eigenvalues over 2|m²|, ascending, in a
        row of ``eigenvalues``, filled up with NaN. Of three weights in natural units, with the third
        at zero: ``radii`` and ``angles`` (points,) of the first two, ``heights`` (points, points) with
        the radii along the rows, and ``circle`` (points, 3), first weight, second weight and height
        along the minima. Numbers: dimensions with another number of zero modes, or of broken
        generators, than dim O(D) - dim O(D - 1); the largest zero mode over 2|m²|; the largest
        relative difference of the remaining eigenvalue from -2m²; and the largest difference
        between heights of minima over their depth m⁴/(4λ).
    """
    potential = potentials.Potential(parameters.mu, parameters.coupling)
    step_size = parameters.step_size * potential.critical_step_size
    dimension = np.arange(2, parameters.max_dimension + 1)
    vacua = [
        _measure(potential, step_size, size, parameters.num_points, context.seed)
        for size in dimension.tolist()
    ]
    eigenvalues = np.full((len(vacua), parameters.max_dimension), np.nan)
    for row, vacuum in zip(eigenvalues, vacua, strict=True):
        row[: len(vacuum.eigenvalues)] = vacuum.eigenvalues
    num_zero_modes = (np.abs(eigenvalues) <= _ZERO_BELOW).sum(axis=1)
    num_broken = np.array([vacuum.num_broken for vacuum in vacua])
    num_goldstone = rotations.orthogonal_group_dimension(
        dimension
    ) - rotations.orthogonal_group_dimension(dimension - 1)
    arrays = {
        "dimension": dimension,
        "num_zero_modes": num_zero_modes,
        "num_broken": num_broken,
        "num_goldstone": num_goldstone,
        "eigenvalues": eigenvalues,
        **_surface(potential, step_size, parameters),
    }
    numbers = {
        "num_wrong_counts": float((num_zero_modes != num_goldstone).sum()),
        "num_wrong_generators": float((num_broken != num_goldstone).sum()),
        "zero_mode_max": max(float(np.abs(vacuum.eigenvalues[:-1]).max()) for vacuum in vacua),
        "radial_residual_max": max(abs(float(vacuum.eigenvalues[-1]) - 1) for vacuum in vacua),
        "height_spread": max(vacuum.height_spread for vacuum in vacua),
    }
    return Result(arrays=arrays, numbers=numbers)


class _Vacuum(NamedTuple):
    """What is measured at a random minimum of V."""

    eigenvalues: Array  # of the Hessian over 2|m²|, ascending
    num_broken: int  # generators
    height_spread: float  # between several minima, over their depth


def _measure(
    potential: potentials.Potential, step_size: float, dimension: int, number: int, seed: int
) -> _Vacuum:
    generator = seeding.torch_generator(seed, "vacua", dimension)
    directions = rotations.random_directions(dimension, number, generator)
    minima = potential.vacuum_radius(step_size) * directions
    mass_squared = potential.mass_squared(step_size)
    modes = torch.linalg.eigvalsh(potential.hessian(minima[0], step_size)) / (-2 * mass_squared)
    displacements = rotations.rotation_generators(dimension) @ directions[0]
    heights = potential.value(minima, step_size)
    depth = mass_squared**2 / (4 * potential.coupling)
    return _Vacuum(
        eigenvalues=modes.numpy(),
        num_broken=int(torch.linalg.matrix_rank(displacements)),
        height_spread=float(heights.max() - heights.min()) / depth,
    )


def _surface(
    potential: potentials.Potential, step_size: float, parameters: Parameters
) -> dict[str, Array]:
    """V of three weights in the plane where the third is zero, in natural units."""
    vacuum = potential.vacuum_radius(step_size)
    vacuum, num_points = potential.vacuum_radius(step_size), parameters.num_points
    radii = torch.linspace(0, parameters.extent * vacuum, num_points, dtype=torch.float64)
    angles = torch.linspace(0, 2 * math.pi, num_points, dtype=torch.float64)
    around = torch.column_stack([angles.cos(), angles.sin(), torch.zeros_like(angles)])

    def height(weights: torch.Tensor) -> torch.Tensor:
        return potential.value(weights, step_size) / potential.height_unit

    minima = vacuum * around
    arrays = {
        "radii": radii / potential.weight_unit,
        "angles": angles,
        "heights": height(radii[:, None, None] * around),
        "circle": torch.column_stack([minima[:, :2] / potential.weight_unit, height(minima)]),
    }
    return {name: array.numpy() for name, array in arrays.items()}


STAGE = Stage(Parameters, NUMBERS, run)
