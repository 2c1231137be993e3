"""The density of eigenvalues on a grid, by stochastic Lanczos quadrature."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ssbrepro.probes.operators import Operator
from ssbrepro.probes.spectra.lanczos import lanczos

_WIDTH = 0.01  # of the range of the nodes: the kernel's standard deviation unless it is given
_BEYOND = 5  # such deviations that the grid goes beyond the outermost nodes unless it is given
_PER_SIGMA = 5  # points of that grid: trapezoids are then exact to rounding


class Density(NamedTuple):
    """A smoothed density of eigenvalues; all float64 on the CPU, (points,), but ``sigma``.

    ``grid`` holds the points, ``values`` the density there, ``errors`` its standard error over start
    vectors, and ``sigma`` is the standard deviation of the Gaussian that smooths, in the eigenvalues'
    units.
    """

    grid: Tensor
    values: Tensor
    errors: Tensor
    sigma: float

    def __repr__(self) -> str:
        first, last = self.grid[[0, -1]].tolist()
        return (
            f"Density({len(self.grid)} points from {first:.4g} to {last:.4g}, "
            f"sigma {self.sigma:.3g})"
        )


def density(
    operator: Operator,
    generator: torch.Generator,
    num_vectors: int = 4,
    num_steps: int = 100,
    grid: Tensor | None = None,
    sigma: float | None = None,
) -> Density:
    """The density of an operator's eigenvalues, each in the place of a Gaussian of width ``sigma``.

    The mean over random start vectors of their Lanczos quadratures, every node smoothed with a Gaussian:
    unbiased for (1/dim) sum_i N(x; λ_i, sigma²) as far as so many steps resolve the kernel, which about
    (largest - smallest eigenvalue) / sigma of them do. It takes num_vectors num_steps products.

        >>> import torch
        >>> from ssbrepro.networks import vgg12
        >>> from ssbrepro.probes.operators import hessian_operator
        >>> from ssbrepro.training.losses import hinge
        >>> generator = torch.Generator().manual_seed(0)
        >>> model = vgg12(width=1 / 64, generator=generator)
        >>> inputs = torch.randn(4, 3, 32, 32, generator=generator)
        >>> targets = torch.tensor([1.0, -1.0, 1.0, -1.0])
        >>> hessian = hessian_operator(model, hinge, inputs, targets)
        >>> found = density(hessian, generator, num_vectors=2, num_steps=20)
        >>> round(float(torch.trapezoid(found.values, found.grid)), 4)
        1.0

    Args:
        operator: Symmetric.
        generator: Source of the start vectors, on the CPU.
        num_vectors: How many of them; one leaves the errors NaN.
        num_steps: Lanczos steps of each.
        grid: Where to evaluate, (points,); by default evenly from five ``sigma`` below the smallest node
            to as many above the largest, five points a ``sigma``.
        sigma: Standard deviation of the Gaussian; by default a hundredth of the range of the nodes.

    Raises:
        ValueError: If there is no vector or step, ``sigma`` is not positive, or it is not given and all
            nodes are equal, so that they have no range.
        ArithmeticError: If a product is not finite.
    """
    if num_vectors < 1:
        raise ValueError(f"num_vectors must be at least 1, not {num_vectors}")
    if sigma is not None and not 0 < sigma < math.inf:
        raise ValueError(f"sigma must be positive and finite, not {sigma}")
    rules = []
    for _ in range(num_vectors):
        start = torch.randn(operator.dim, generator=generator)
        start = start.to(operator.device, operator.dtype)
        rules.append(lanczos(operator.matvec, start, num_steps))
    nodes = torch.cat([rule.nodes for rule in rules])
    smallest, largest = nodes.min().item(), nodes.max().item()
    if sigma is None:
        sigma = _WIDTH * (largest - smallest)
        if sigma <= torch.finfo(operator.dtype).eps * max(largest, -smallest):
            raise ValueError(f"all eigenvalues found are {largest:g}, without a range; give sigma")
    if grid is None:
        smallest, largest = smallest - _BEYOND * sigma, largest + _BEYOND * sigma
        points = 1 + math.ceil(_PER_SIGMA * (largest - smallest) / sigma)
        grid = torch.linspace(smallest, largest, points, dtype=torch.float64)
    grid = grid.to("cpu", torch.float64)
    rows = torch.stack(
        [_gaussian((grid[:, None] - rule.nodes) / sigma) @ rule.weights / sigma for rule in rules]
    )
    errors = torch.full_like(grid, math.nan)
    if num_vectors > 1:
        errors = rows.std(dim=0) / math.sqrt(num_vectors)
    return Density(grid, rows.mean(dim=0), errors, sigma)


def _gaussian(standardised: Tensor) -> Tensor:
    return torch.exp(-(standardised**2) / 2) / math.sqrt(2 * math.pi)
