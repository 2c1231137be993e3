"""The Hessian's eigenvalues near zero, before and after the step-size cut.

Weights without curvature are what the Goldstone theorem predicts for the broken phase (ssb2018,
section 4). What counts as zero in a spectrum of single precision and few Lanczos steps is a share of
the largest magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Result, Share, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch

    from ssbrepro import seeding
    from ssbrepro.networks import flattening
    from ssbrepro.papers.ssb2018 import residual_networks
    from ssbrepro.probes import operators, spectra
    from ssbrepro.probes.spectra import distribution
    from ssbrepro.statistics import histograms


@dataclass(frozen=True)
class Parameters:
    """Share of the Hessian's eigenvalues near zero, before the cut of the step size and at the end.

    Near zero is at most ``zero_below`` times the largest magnitude before the cut, or at the same
    checkpoint, by ``scale``. Measured on the first ``num_examples`` images by ``num_vectors`` start
    vectors of ``num_steps`` Lanczos steps.
    """

    operator: Literal["cached", "autograd", "pyhessian"]
    num_examples: Count
    num_vectors: Annotated[int, Ge(2)]
    num_steps: Annotated[int, Ge(2)]
    zero_below: Share
    scale: Literal["before", "own"]


NUMBERS = {
    "share_before_median": domains.SHARE,
    "share_after_median": domains.SHARE,
    "growth_median": domains.SIGNED_SHARE,
    "growth_min": domains.SIGNED_SHARE,
    "growth_max": domains.SIGNED_SHARE,
    "growth_noise": domains.SIGNED_SHARE,
    "growing_share": domains.SHARE,
    "symmetry_residual_max": domains.NON_NEGATIVE,
    "pyhessian_residual_max": domains.NON_NEGATIVE,
}

_CROSS_CHECK = {"cached": "pyhessian", "autograd": "pyhessian", "pyhessian": "autograd"}
_NUM_GRID_POINTS = 401  # for the drawing only
_KERNEL_WIDTH = 0.012  # for the drawing only: as in the spectra of li2022


def zero_shares(spectrum: Mapping[str, Array], below: float) -> Array:
    """Share of the eigenvalues of magnitude at most ``below``, as each start vector sees it.

    F(below) - F(-below) of the middle of the Chebyshev-Markov-Stieltjes bounds. On spectra of networks'
    kind (some large eigenvalues, many small ones of widely different sizes) with ``below`` a hundredth
    of the largest magnitude it was right to 0.01 after 40 Lanczos steps, and after 16 at most 0.1
    too small (tests): the fewer steps, the more of the small ones it misses.

    Args:
        spectrum: ``nodes``, ``weights`` and ``residuals`` of Gauss quadratures, (vectors, steps) each.
        below: Positive.

    Returns:
        (vectors,), in [0, 1].

    Raises:
        ValueError: If ``below`` is not positive and finite.
    """
    if not 0 < below < math.inf:
        raise ValueError(f"eigenvalues below {below} are no share; take a positive bound")
    points = np.array([-below, below])
    rows = zip(spectrum["nodes"], spectrum["weights"], spectrum["residuals"], strict=True)
    shares = [np.diff(distribution.distribution(*row, points)) for row in rows]
    clipped: Array = np.clip(np.concatenate(shares), 0.0, 1.0)
    return clipped


def run(parameters: Parameters, context: Context) -> Result:
    """Measure each network of ``residual_training`` after ``cut_epoch`` epochs and at the end.

    The Hessian is that of the mean cross-entropy on the first images. Both spectra of a network are
    seen from the same start vectors, so that much of their sampling noise cancels in the growth of
    the share. Near zero is what :class:`Parameters` says.

    Returns:
        Arrays: ``epoch`` (2,); ``nodes``, ``weights`` and ``residuals`` of the Gauss quadratures
        (networks, 2, vectors, steps), padded with zeros; ``largest`` (networks, 2), the largest
        magnitude of a node; ``share`` (networks, 2), means over the start vectors, and its
        ``share_error``, their standard error; ``symmetry_residual`` and ``pyhessian_residual``
        (networks, 2); ``density`` (networks, 2, points) at ``grid`` (points,), of eigenvalues in
        units of ``largest`` before the cut, on an axis that turns linear below ``linear``. Numbers:
        medians over networks of the share before and at the end; median, least and largest growth;
        what the noise of the start vectors alone would pull the median growth down to, were it zero,
        in one of forty cases; the share of networks in which it grows; the largest relative residuals
        of uᵀHv = vᵀHu, and of PyHessian's product against the operator's, on random vectors.

    Raises:
        ArithmeticError: If a Hessian vanishes, so that its eigenvalues have no scale.
    """
    training = context.inputs["residual_training"]
    phases = (training.parameters.cut_epoch, training.parameters.num_epochs)
    indices = [training.arrays["checkpoint_epoch"].tolist().index(epoch) for epoch in phases]
    inputs, labels = residual_networks.images(training.parameters, context, parameters.num_examples)
    model = residual_networks.untrained(training.parameters, context.seed, 0).to(inputs.device)
    networks = training.parameters.num_networks
    rows = []
    for network, phase in np.ndindex(networks, 2):
        name = f"network-{network}-{phase}"
        row = context.progress.restore(name)
        if row is None:
            flattening.load_weights(
                model, training.arrays["checkpoint_weights"][network, indices[phase]]
            )
            row = _measure(parameters, context, model, inputs, labels, network)
            context.progress.save(name, row)
        rows.append(row)
        context.progress.report(len(rows), 2 * networks, "Hessian spectra")
    arrays = {
        name: np.stack([row[name] for row in rows]).reshape(networks, 2, *rows[0][name].shape)
        for name in rows[0]
    }
    largest = np.abs(arrays["nodes"]).max(axis=(2, 3))
    if not largest.all():
        raise ArithmeticError("a Hessian is exactly zero, so its eigenvalues have no scale")
    scale = largest if parameters.scale == "own" else largest[:, [0, 0]]
    shares = np.array(
        [
            [
                zero_shares(_spectrum(arrays, network, phase), parameters.zero_below * size)
                for phase, size in enumerate(sizes)
            ]
            for network, sizes in enumerate(scale)
        ]
    )
    return Result(
        arrays={
            **arrays,
            **_densities(arrays, largest[:, 0], parameters.zero_below),
            "epoch": np.array(phases),
            "largest": largest,
            "share": shares.mean(axis=2),
            "share_error": _standard_error(shares),
        },
        numbers={
            **_growth(shares),
            "symmetry_residual_max": float(arrays["symmetry_residual"].max()),
            "pyhessian_residual_max": float(arrays["pyhessian_residual"].max()),
        },
    )


def _measure(
    parameters: Parameters,
    context: Context,
    model: torch.nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    network: int,
) -> dict[str, Array]:
    """Quadratures at the network's start vectors, (vectors, steps) each, and residuals, () each."""
    hessian, other = (
        operators.hessian_operator(
            model, torch.nn.functional.cross_entropy, inputs, labels, backend
        )
        for backend in (parameters.operator, _CROSS_CHECK[parameters.operator])
    )

    def vector(*name: str | int) -> torch.Tensor:
        generator = seeding.torch_generator(context.seed, "zero modes", network, *name)
        return torch.randn(hessian.dim, generator=generator).to(context.device)

    rules = [
        spectra.lanczos(hessian.matvec, vector("start", index), parameters.num_steps)
        for index in range(parameters.num_vectors)
    ]
    left, right = vector("left").double(), vector("right").double()
    product = hessian.matvec(right).double()
    crossed = left @ product - right @ hessian.matvec(left).double()
    difference = other.matvec(right).double() - product
    return {
        **{
            name: np.stack(
                [
                    distribution.padded(getattr(rule, name).numpy(), parameters.num_steps)
                    for rule in rules
                ]
            )
            for name in spectra.Quadrature._fields
        },
        "symmetry_residual": (crossed.abs() / (left.norm() * product.norm())).cpu().numpy(),
        "pyhessian_residual": (difference.norm() / product.norm()).cpu().numpy(),
    }


def _spectrum(arrays: Mapping[str, Array], network: int, phase: int) -> dict[str, Array]:
    return {name: arrays[name][network, phase] for name in spectra.Quadrature._fields}


def _growth(shares: Array) -> dict[str, float]:
    """The numbers on the shares (networks, 2, vectors)."""
    before, after = np.median(shares.mean(axis=2), axis=0)
    differences = shares[:, 1] - shares[:, 0]
    growth = differences.mean(axis=1)
    # Of a median of normal variables the variance is π/2 that of their mean, for many of them.
    error = np.sqrt(np.pi / 2 * (_standard_error(differences) ** 2).mean() / len(growth))
    return {
        "share_before_median": float(before),
        "share_after_median": float(after),
        "growth_median": float(np.median(growth)),
        "growth_min": float(growth.min()),
        "growth_max": float(growth.max()),
        "growth_noise": float(-1.96 * error),
        "growing_share": float((growth > 0).mean()),
    }


def _standard_error(values: Array) -> Array:
    """Of the means over the start vectors along the last axis."""
    error: Array = values.std(axis=-1, ddof=1) / np.sqrt(values.shape[-1])
    return error


def _densities(arrays: Mapping[str, Array], units: Array, linear: float) -> dict[str, Array]:
    """Densities of all spectra on one axis, each network's eigenvalues in its own unit."""
    scaled = dict(arrays)
    for name in ("nodes", "residuals"):
        scaled[name] = arrays[name] / units[:, None, None, None]
    grid = histograms.symlog_grid(
        2 * float(np.abs(scaled["nodes"]).max()), linear, _NUM_GRID_POINTS
    )
    density = [
        [
            distribution.spectral_density(
                _spectrum(scaled, network, phase), grid, linear, _KERNEL_WIDTH
            )
            for phase in range(2)
        ]
        for network in range(len(units))
    ]
    return {"grid": grid, "density": np.array(density), "linear": np.array(linear)}


STAGE = Stage(Parameters, NUMBERS, run, needs=("residual_training",), data="cifar10")
