"""Traces of powers of a symmetric operator."""

import math
from collections.abc import Iterable

import numpy as np
import torch

from ssbrepro.contract import Array
from ssbrepro.probes.operators import Operator
from ssbrepro.probes.spectra.extremes import Eigenpairs


def moments(
    operator: Operator,
    powers: Iterable[int] = (2, 3, 4),
    *,
    generator: torch.Generator,
    num_probes: int = 32,
    known: Eigenpairs | None = None,
) -> dict[int, float]:
    """The moments tr H^p of the spectrum: known eigenvalues exactly, all others by Hutchinson's method.

    With P the projection onto what is orthogonal to the known eigenvectors, tr H^p is the sum of the
    known eigenvalues' powers and the mean of g' P H^p P g over vectors g of random signs. It is
    unbiased, and as large eigenvalues make up most of the variance, nearly exact where those are known
    (Meyer et al. 2021, arXiv:2010.09649). A probe takes p/2 products, rounded up: H^p is split between
    both sides.

        >>> import torch
        >>> from ssbrepro.networks import vgg12
        >>> from ssbrepro.probes.operators import hessian_operator
        >>> from ssbrepro.probes.spectra import top_eigenpairs
        >>> from ssbrepro.training.losses import hinge
        >>> generator = torch.Generator().manual_seed(0)
        >>> model = vgg12(width=1 / 64, generator=generator)
        >>> inputs = torch.randn(4, 3, 32, 32, generator=generator)
        >>> targets = torch.tensor([1.0, -1.0, 1.0, -1.0])
        >>> hessian = hessian_operator(model, hinge, inputs, targets)
        >>> known = top_eigenpairs(hessian, 2, generator, tolerance=1e-5)
        >>> traces = moments(hessian, (2, 4), generator=generator, num_probes=4, known=known)
        >>> bool(traces[2] ** 2 > traces[4] > 0)  # as of any spectrum of several eigenvalues
        True

    Args:
        operator: Symmetric.
        powers: The p, none negative.
        generator: Source of the probes, on the CPU; not that of the known pairs, lest they be dependent.
        num_probes: How many g, at least 1.
        known: Converged eigenpairs; the error of each enters at second order.

    Returns:
        tr H^p by p.

    Raises:
        ValueError: If a power is negative or there is no probe.
        ArithmeticError: If a product is not finite.
    """
    powers = tuple(powers)
    if num_probes < 1 or min(powers) < 0:
        raise ValueError(f"{num_probes} probes, powers {powers}: at least 1, and none negative")
    values = known.values.flatten() if known is not None else torch.empty(0, dtype=torch.float64)
    traces = {power: float((values**power).sum()) for power in powers}
    for _ in range(num_probes):
        signs = torch.randint(2, (operator.dim,), generator=generator) * 2 - 1
        probe = signs.to(operator.device, torch.float64)
        if known is not None:
            vectors = known.vectors.flatten(0, 1)
            probe -= vectors.T @ (vectors @ probe)
        images = [probe]
        for _ in range(-(-max(powers) // 2)):
            images.append(operator.matvec(images[-1].to(operator.dtype)).double())
        for power in powers:
            half = power // 2
            traces[power] += float(images[half] @ images[power - half]) / num_probes
    if not all(map(math.isfinite, traces.values())):
        raise ArithmeticError("a product of the operator is not finite")
    return traces


def odd_moment(traces: Array) -> Array:
    """The ratio tr H^3 / sqrt(tr H^2 tr H^4), in [-1, 1]: 0 where the spectrum is its own mirror image.

    Args:
        traces: Of the powers 2, 3 and 4, (..., 3), none of H = 0; NaN is passed on.

    Returns:
        (...).
    """
    second, third, fourth = np.moveaxis(traces, -1, 0)
    ratio: Array = third / np.sqrt(second * fourth)
    return ratio
