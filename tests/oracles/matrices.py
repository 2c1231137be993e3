"""Symmetric matrices whose eigenvalues are known because they were chosen."""

from collections.abc import Sequence

import torch
from torch import Tensor


def orthogonal(dim: int, seed: int) -> Tensor:
    """A random orthogonal matrix, (dim, dim) float64."""
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(normal).Q


def symmetric(eigenvalues: Sequence[float] | Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A symmetric matrix with these eigenvalues, and its eigenvectors in columns."""
    values = torch.as_tensor(eigenvalues, dtype=torch.float64)
    vectors = orthogonal(len(values), seed)
    matrix = (vectors * values) @ vectors.T
    return (matrix + matrix.T) / 2, vectors
