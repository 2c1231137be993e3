"""The Lanczos recurrence of a symmetric operator, and the quadrature of its spectral measure."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from ssbrepro.probes.arguments import PRECISIONS, check_tensor


class Quadrature(NamedTuple):
    """Gauss quadrature of the spectral measure at a start vector; all float64, (steps,).

    ``nodes`` ascend, ``weights`` sum to one, and ``residuals`` bound the distance of each node from
    the nearest eigenvalue. There are fewer steps than asked for where the Krylov space ended.
    """

    nodes: Tensor
    weights: Tensor
    residuals: Tensor

    def __repr__(self) -> str:
        first, last = self.nodes[[0, -1]].tolist()
        return f"Quadrature({len(self.nodes)} nodes from {first:.4g} to {last:.4g})"


class Tridiagonal(NamedTuple):
    """What the Lanczos recurrence leaves of the operator: T, float64 on the CPU.

    ``diagonal`` (steps,); ``off_diagonal`` (steps,), whose last entry couples to the vector that
    would come next and is (nearly) zero where the Krylov space ended.
    """

    diagonal: Tensor
    off_diagonal: Tensor

    def quadrature(self) -> Quadrature:
        """Gauss quadrature from the eigenvalues of T (Golub & Welsch 1969)."""
        nodes, vectors = eigh_tridiagonal(self.diagonal.numpy(), self.off_diagonal[:-1].numpy())
        return Quadrature(
            nodes=torch.from_numpy(nodes),
            weights=torch.from_numpy(vectors[0] ** 2),
            residuals=self.off_diagonal[-1] * torch.from_numpy(np.abs(vectors[-1])),
        )


class Krylov(NamedTuple):
    """A Krylov space: its orthonormal ``basis``, (steps, dim) float64, and the operator in it."""

    basis: Tensor
    tridiagonal: Tridiagonal


def lanczos(matvec: Callable[[Tensor], Tensor], start: Tensor, num_steps: int) -> Quadrature:
    """Gauss quadrature of ``matvec``'s spectral measure at ``start``.

    Exact for polynomials up to degree 2 num_steps - 1: sum_k w_k f(x_k) = vᵀ f(H) v with v the
    normalised start.

        >>> import torch
        >>> eigenvalues = torch.linspace(-1, 2, 301, dtype=torch.float64)
        >>> start = torch.ones(301, dtype=torch.float64)
        >>> rule = lanczos(lambda vector: eigenvalues * vector, start, num_steps=4)
        >>> rule
        Quadrature(4 nodes from -0.796 to 1.796)
        >>> bool(torch.isclose((rule.weights * rule.nodes**7).sum(), (eigenvalues**7).mean()))
        True

    Args:
        matvec: Symmetric operator, (dim,) to (dim,), such as the ``matvec`` of a
            :func:`ssbrepro.probes.operators.hessian_operator`; called with vectors of ``start``'s dtype.
        start: Any non-zero finite vector, (dim,), float32 or float64.
        num_steps: Nodes asked for, at least 1: a product each.

    Returns:
        Quadrature of ``num_steps`` nodes, or of fewer where the Krylov space ends early; float64, as all
        recurrences are, whatever the precision of the products.

    Raises:
        TypeError: If ``start`` is no tensor of float32 or float64.
        ValueError: If ``num_steps`` is below 1, or ``start`` is no vector, zero, or not finite.
        ArithmeticError: If a product is not finite.
    """
    return tridiagonalise(matvec, start, num_steps).quadrature()


def tridiagonalise(
    matvec: Callable[[Tensor], Tensor], start: Tensor, num_steps: int
) -> Tridiagonal:
    """The operator in the Krylov space of :func:`krylov`, until it ends."""
    return krylov(matvec, start, num_steps).tridiagonal


def krylov(
    matvec: Callable[[Tensor], Tensor],
    start: Tensor,
    num_steps: int,
    enough: Callable[[Tridiagonal], bool] | None = None,
    another: Callable[[], Tensor] | None = None,
) -> Krylov:
    """The Lanczos recurrence with full re-orthogonalisation.

    Recurrences and re-orthogonalisation (classical Gram-Schmidt, twice) are in float64, whatever
    the precision of the product. All thresholds are relative, so the result scales exactly with the
    operator. Ghorbani et al. (2019), arXiv:1901.10159, algorithm 1.

    Args:
        matvec: Symmetric operator, (dim,) to (dim,), called with vectors of ``start``'s dtype.
        start: Any non-zero finite vector, (dim,), float32 or float64.
        num_steps: Dimension of the Krylov space asked for, at least 1.
        enough: Asked after each step whether to stop.
        another: Draws a vector to go on with, orthogonalised, where the Krylov space ends early; the
            tridiagonal matrix then falls into blocks. Without it the space ends there.

    Raises:
        TypeError: If ``start`` is no tensor of float32 or float64.
        ValueError: If ``num_steps`` is below 1, or ``start`` is no vector, zero, or not finite.
        ArithmeticError: If a product is not finite.
    """
    check_tensor("start", start)
    if start.dtype not in PRECISIONS:
        raise TypeError(f"a start vector of {start.dtype}; give float32 or float64")
    if start.dim() != 1:
        raise ValueError(f"a start vector of shape {tuple(start.shape)}; give (dim,)")
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1, not {num_steps}")
    largest = start.to(torch.float64).abs().max()
    if not (torch.isfinite(largest) and largest > 0):
        raise ValueError("the start vector must be finite and non-zero")
    vector = start.to(torch.float64) / largest  # no norm of it can overflow
    # What one product's own rounding leaves of an exhausted Krylov space.
    rounding = 10 * torch.finfo(start.dtype).eps
    num_steps = min(num_steps, len(start))
    basis = torch.empty(num_steps, len(start), dtype=torch.float64, device=start.device)
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    basis[0] = vector / vector.norm()
    scale = 0.0
    for step in range(num_steps):
        # A copy: what the operator handed out stays its own.
        product = matvec(basis[step].to(start.dtype)).to(torch.float64, copy=True)
        size = product.norm().item()
        if not math.isfinite(size):
            raise ArithmeticError(f"the product of Lanczos step {step + 1} is not finite")
        scale = max(scale, size)
        known = basis[: step + 1]
        diagonal.append((basis[step] @ product).item())
        off_diagonal.append(_orthogonalise(product, known))
        if enough and enough(_tridiagonal(diagonal, off_diagonal)):
            break
        if off_diagonal[-1] <= rounding * scale:
            if another is None:
                break
            product, off_diagonal[-1] = another().to(torch.float64, copy=True), 0.0
            norm = _orthogonalise(product, known)
        else:
            norm = off_diagonal[-1]
        if step + 1 < num_steps:
            basis[step + 1] = product / norm
    return Krylov(basis[: len(diagonal)], _tridiagonal(diagonal, off_diagonal))


def _orthogonalise(vector: Tensor, known: Tensor) -> float:
    """Take out of a vector, in place, what lies along orthonormal rows; the norm that is left."""
    for _ in range(2):
        vector -= known.T @ (known @ vector)
    return float(vector.norm())


def _tridiagonal(diagonal: list[float], off_diagonal: list[float]) -> Tridiagonal:
    return Tridiagonal(
        torch.tensor(diagonal, dtype=torch.float64), torch.tensor(off_diagonal, dtype=torch.float64)
    )
