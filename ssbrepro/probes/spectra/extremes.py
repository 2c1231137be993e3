"""The outermost eigenvalues of a symmetric operator, and how unlike its two sides are there."""

from typing import NamedTuple

import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from ssbrepro.contract import Array
from ssbrepro.probes.operators import Operator
from ssbrepro.probes.spectra.lanczos import Krylov, Tridiagonal, krylov


class Eigenpairs(NamedTuple):
    """The k outermost eigenpairs on both sides, the outermost first; all float64.

    ``values`` (2, k): the largest eigenvalues, descending, then the smallest, ascending. ``vectors``
    (2, k, dim), orthonormal. ``residuals`` (2, k) bound the distance of each value from the nearest
    eigenvalue. How far a value lies from the one it stands for is of second order in them.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor

    def __repr__(self) -> str:
        if not self.values.numel():
            return "Eigenpairs(none)"
        return (
            f"Eigenpairs({self.values.shape[1]} a side, from {self.values[0, 0]:.4g} and "
            f"{self.values[1, 0]:.4g}, residuals up to {self.residuals.max():.1g})"
        )

    def converged(self, tolerance: float) -> "Eigenpairs":
        """As many of the outermost pairs as have converged on both sides, maybe none.

        Args:
            tolerance: Largest residual of a converged pair, in units of the largest magnitude.
        """
        num_good = _num_converged(self.values, self.residuals, tolerance)
        return Eigenpairs(*(part[:, :num_good] for part in self))


def top_eigenpairs(
    operator: Operator,
    k: int,
    generator: torch.Generator,
    tolerance: float = 1e-6,
    max_steps: int = 300,
) -> Eigenpairs:
    """The k largest and the k smallest eigenvalues with their eigenvectors, by Lanczos' method.

    The run ends as soon as all of them have converged: a product a step, some 2k to 10k of them where
    the ends of the spectrum are sparse. What has not converged after ``max_steps`` is returned as well;
    its residual says so, and :meth:`Eigenpairs.converged` leaves it out.

        >>> import torch
        >>> from ssbrepro.networks import vgg12
        >>> from ssbrepro.probes.operators import hessian_operator
        >>> from ssbrepro.training.losses import hinge
        >>> generator = torch.Generator().manual_seed(0)
        >>> model = vgg12(width=1 / 64, generator=generator)
        >>> inputs = torch.randn(4, 3, 32, 32, generator=generator)
        >>> targets = torch.tensor([1.0, -1.0, 1.0, -1.0])
        >>> hessian = hessian_operator(model, hinge, inputs, targets, dtype=torch.float64)
        >>> pairs = top_eigenpairs(hessian, 2, generator)
        >>> first = pairs.vectors[0, 0]
        >>> largest = pairs.values[0, 0]
        >>> bool((hessian.matvec(first) - largest * first).norm() < 2e-6 * pairs.values.abs().max())
        True

    Args:
        operator: Symmetric.
        k: Pairs on each side.
        generator: Source of the start vector, on the CPU.
        tolerance: Largest residual of a converged pair, in units of the largest magnitude. In float32
            nothing below 1e-6 is to be had. Eigenvalues closer to each other may be taken for one.
        max_steps: At least 2k; the basis takes 8 max_steps dim bytes.

    Raises:
        ValueError: If k is below 1, the operator has fewer than 2k eigenvalues, or there are too few
            steps.
        ArithmeticError: If a product is not finite.
    """
    if not 1 <= 2 * k <= operator.dim:
        raise ValueError(f"{k} eigenvalues on each side of an operator of dimension {operator.dim}")
    if max_steps < 2 * k:
        raise ValueError(f"{max_steps} steps find no {2 * k} eigenvalues")

    def draw() -> Tensor:
        start = torch.randn(operator.dim, generator=generator)
        return start.to(operator.device, operator.dtype)

    def enough(so_far: Tridiagonal) -> bool:
        if len(so_far.diagonal) < 2 * k:
            return False
        values, _, residuals = _ritz(so_far, k)
        return _num_converged(values, residuals, tolerance) == k

    return outermost(krylov(operator.matvec, draw(), max_steps, enough, draw), k)


def outermost(space: Krylov, k: int) -> Eigenpairs:
    """The k outermost Ritz pairs on both sides, or as many as the Krylov space holds."""
    k = min(k, len(space.basis) // 2)
    values, components, residuals = _ritz(space.tridiagonal, k)
    vectors = components.to(space.basis.device) @ space.basis
    return Eigenpairs(values, vectors, residuals)


def extremes_asymmetry(values: Array) -> float:
    """S_k = sum_i abs(p_i - n_i) / sum_i (p_i + n_i) over the k outermost eigenvalues of both signs.

    0 where the two ends are each other's mirror image, 1 where all of them lie on one side.

    Args:
        values: (2, k), as of :class:`Eigenpairs`: p_1 >= ... >= p_k, then -n_1 <= ... <= -n_k. A
            value beyond 0 counts as 0: that side has no such eigenvalue.

    Raises:
        ValueError: If no value lies on its side of 0.
    """
    positive, negative = values[0].clip(min=0), (-values[1]).clip(min=0)
    total = (positive + negative).sum()
    if not total > 0:
        raise ValueError("the asymmetry of eigenvalues that are all zero, or none, is 0/0")
    return float(abs(positive - negative).sum() / total)


def _ritz(tridiagonal: Tridiagonal, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Values (2, k), components along the basis (2, k, steps) and residuals (2, k)."""
    nodes, vectors = eigh_tridiagonal(
        tridiagonal.diagonal.numpy(), tridiagonal.off_diagonal[:-1].numpy()
    )
    values, components = torch.from_numpy(nodes), torch.from_numpy(vectors.T)
    residuals = tridiagonal.off_diagonal[-1] * components[:, -1].abs()
    values, components, residuals = (
        torch.stack([part.flip(0)[:k], part[:k]]) for part in (values, components, residuals)
    )
    return values, components, residuals


def _num_converged(values: Tensor, residuals: Tensor, tolerance: float) -> int:
    if not values.numel():
        return 0
    good = (residuals <= tolerance * values.abs().max()).all(dim=0)
    return int(good.cumprod(0).sum())
