"""Directions and rotations of weights around a vacuum."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor


def random_directions(dimension: int, number: int, generator: Generator) -> Tensor:
    """``number`` unit vectors (number, dimension), uniform over the sphere.

    Raises:
        ValueError: For less than two dimensions, where no rotation connects two directions.
    """
    _require_rotations(dimension)
    normal = torch.randn(number, dimension, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(normal, dim=1)


def rotation_generators(dimension: int) -> Tensor:
    """A basis of the antisymmetric matrices (D(D-1)/2, D, D), which generate the rotations in O(D).

    Raises:
        ValueError: For less than two dimensions, where there are none.
    """
    _require_rotations(dimension)
    rows, columns = torch.triu_indices(dimension, dimension, offset=1)
    index = torch.arange(len(rows))
    basis = torch.zeros(len(rows), dimension, dimension, dtype=torch.float64)
    basis[index, rows, columns] = 1
    basis[index, columns, rows] = -1
    return basis


def orthogonal_group_dimension(dimension: NDArray[np.int64]) -> NDArray[np.int64]:
    """Independent continuous symmetries of O(D): D (D - 1)/2, for each D (ssb2018, appendix C)."""
    return dimension * (dimension - 1) // 2


def _require_rotations(dimension: int) -> None:
    if dimension < 2:
        raise ValueError(f"{dimension} weights have no continuous symmetry; give at least 2")
