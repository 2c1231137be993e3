"""What is measured of a Hessian's spectrum: its distribution, its ends and its moments.

The distribution comes from Lanczos quadratures at pairs of start vectors.

The start vectors come in pairs, v and the same v with the sign of every second layer's block
flipped. Each is uniform on the sphere, so the estimate of the spectral measure stays unbiased.
Flipping turns the part of H that couples odd with even layers into its negative, a part whose
spectrum is symmetric: between the two start vectors its sampling noise cancels instead of posing as
asymmetry. For two layers, where H is nothing else, the measured spectrum is symmetric to rounding.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch

from ssbrepro.contract import Array
from ssbrepro.probes.operators import Operator
from ssbrepro.probes.risk import HingeRisk
from ssbrepro.probes.spectra.distribution import (
    largest_asymmetry,
    mirror_asymmetry,
    padded,
    symmetric_null,
)
from ssbrepro.probes.spectra.extremes import Eigenpairs, outermost
from ssbrepro.probes.spectra.lanczos import Quadrature, krylov
from ssbrepro.probes.spectra.traces import moments
from ssbrepro.seeding import numpy_generator, torch_generator
from ssbrepro.statistics.symmetry import sign_flip_test

POWERS = (2, 3, 4)  # whose traces are measured


def measure_spectrum(
    risk: HingeRisk,
    hessian: Operator,
    num_steps: int,
    num_pairs: int,
    num_extremes: int,
    seed: int,
    report: Callable[[int], None] = lambda done: None,
) -> tuple[dict[str, Array], Eigenpairs]:
    """Quadratures of the Hessian's spectral measure, and the outermost eigenpairs of the first of them.

    Args:
        risk: The mean hinge loss, for its layers.
        hessian: Its Hessian.
        num_steps: Lanczos steps of each start vector.
        num_pairs: Pairs of start vectors.
        num_extremes: Eigenpairs wanted on each side.
        seed: Root seed of the start vectors.
        report: Called with the number of Hessian products so far.

    Returns:
        ``nodes``, ``weights`` and ``residuals`` of the Gauss quadratures, (2 num_pairs, num_steps)
        float64: one row a start vector, pairs adjacent, padded with zeros where the Krylov space ended
        early; every row of weights sums to one. And at most so many eigenpairs a side, converged or not.
    """
    done = 0

    def product(vector: torch.Tensor) -> torch.Tensor:
        nonlocal done
        done += 1
        report(done)
        return hessian.matvec(vector)

    rows: list[Quadrature] = []
    outer: Eigenpairs | None = None
    sizes = torch.tensor(risk.layer_sizes)
    parity = torch.repeat_interleave((-1.0) ** torch.arange(len(sizes)), sizes)
    for pair in range(num_pairs):
        start = torch.randn(hessian.dim, generator=torch_generator(seed, "start", pair))
        for vector in (start, parity * start):
            space = krylov(product, vector.to(risk.weights), num_steps)
            rows.append(space.tridiagonal.quadrature())
            outer = outer or outermost(space, num_extremes)
            del space  # before the next one is made: a basis is the largest of all there is
    assert outer is not None  # there is a pair of start vectors
    spectrum = {
        name: np.stack([padded(getattr(row, name).numpy(), num_steps) for row in rows])
        for name in Quadrature._fields
    }
    return spectrum, outer


def empty_spectrum(num_steps: int, num_pairs: int) -> dict[str, Array]:
    """The quadratures of H = 0: all weight on the node 0."""
    spectrum = {name: np.zeros((2 * num_pairs, num_steps)) for name in Quadrature._fields}
    spectrum["weights"][:, 0] = 1.0
    return spectrum


def measure_sides(
    hessian: Operator,
    pairs: Eigenpairs,
    num_extremes: int,
    tolerance: float,
    num_probes: int,
    generator: torch.Generator,
) -> dict[str, Array]:
    """What tells the two sides of a spectrum apart, the better resolved the fewer eigenvalues matter.

    Args:
        hessian: The operator.
        pairs: Its outermost eigenpairs, converged or not.
        num_extremes: The most that are kept on each side.
        tolerance: Largest residual of a converged pair, in units of the largest magnitude.
        num_probes: Probes of :func:`moments`.
        generator: Source of the probes, not that of the pairs.

    Returns:
        ``outermost``, the eigenvalues that have converged on both sides, (2, num_extremes) as
        in :class:`Eigenpairs`, then NaN; ``traces`` of the powers 2, 3 and 4, (3,). All NaN for H = 0.
    """
    if not pairs.values.any():
        return empty_sides(num_extremes)
    known = pairs.converged(tolerance)
    values = known.values.numpy()[:, :num_extremes]
    traces = moments(hessian, POWERS, generator=generator, num_probes=num_probes, known=known)
    unfilled = ((0, 0), (0, num_extremes - values.shape[1]))
    return {
        "outermost": np.pad(values, unfilled, constant_values=np.nan),
        "traces": np.array([traces[power] for power in POWERS]),
    }


def empty_sides(num_extremes: int) -> dict[str, Array]:
    """What :func:`measure_sides` returns for H = 0."""
    return {"outermost": np.full((2, num_extremes), np.nan), "traces": np.full(len(POWERS), np.nan)}


def standard_deviation(hessian: Operator, num_probes: int, generator: torch.Generator) -> float:
    """Of the spectrum about its exact mean 0, the trace of H, by probes alone.

    Args:
        hessian: The operator.
        num_probes: Probes of :func:`moments`, a product each.
        generator: Their source.
    """
    second = moments(hessian, (2,), generator=generator, num_probes=num_probes)[2]
    return float(np.sqrt(second / hessian.dim))


def extreme_ratio(nodes: Array) -> float:
    """Largest over |smallest| node, or its inverse, whichever is above 1.

    Raises:
        ArithmeticError: If all nodes have one sign, which a vanishing trace excludes.
    """
    largest, smallest = float(nodes.max()), float(nodes.min())
    if not smallest < 0 < largest:
        raise ArithmeticError(
            f"all Lanczos nodes lie in [{smallest}, {largest}] though the trace is zero; "
            "take more Lanczos steps"
        )
    return max(largest / -smallest, -smallest / largest)


def summarise(
    spectrum: Mapping[str, Array], dim: int, seed: int, num_draws: int, num_flips: int
) -> dict[str, float]:
    """Numbers of one spectral measure; NaN for all but the moments where the spectrum is empty.

    Args:
        spectrum: From :func:`measure_spectrum`.
        dim: Dimension of the Hessian.
        seed: Root seed of both null distributions.
        num_draws: Measurements of a symmetric spectrum to imitate.
        num_flips: Random sign patterns.

    Returns:
        ``standard_deviation`` about the exact mean 0 (the trace vanishes); ``asymmetry`` of the mean
        distribution, and ``asymmetry_bound``, the largest within its bounds; ``noise_95``, what 95 % of
        measurements of a symmetric spectrum stay below, and
        ``p_value``, the share of them that reach ``asymmetry``; ``flip_95`` and ``flip_p_value`` of
        the sign-flip test on the Gauss nodes, which are not independent, so that it is cruder;
        ``largest`` and ``smallest`` node with their residual bounds, and their ``extreme_ratio``.

    Raises:
        ArithmeticError: If all nodes have one sign, which a vanishing trace excludes.
    """
    nodes, weights = spectrum["nodes"], spectrum["weights"]
    if not nodes.any():
        undefined = (
            "asymmetry", "asymmetry_bound", "noise_95", "p_value", "flip_95", "flip_p_value",
            "extreme_ratio",
        )  # fmt: skip
        extremes = ("largest", "largest_residual", "smallest", "smallest_residual")
        return {
            "standard_deviation": 0.0,
            **dict.fromkeys(undefined, float("nan")),
            **dict.fromkeys(extremes, 0.0),
        }
    top = np.unravel_index(nodes.argmax(), nodes.shape)
    bottom = np.unravel_index(nodes.argmin(), nodes.shape)
    ratio = extreme_ratio(nodes)
    asymmetry = mirror_asymmetry(spectrum)
    null = symmetric_null(spectrum, dim, numpy_generator(seed, "symmetric"), num_draws)
    flips = numpy_generator(seed, "flips")
    flip_p_value, flip_95 = sign_flip_test(nodes, flips, num_flips, weights)
    return {
        "standard_deviation": float(np.sqrt((weights * nodes**2).sum() / len(nodes))),
        "asymmetry": asymmetry,
        "asymmetry_bound": largest_asymmetry(spectrum),
        "noise_95": float(np.quantile(null, 0.95)),
        "p_value": (1 + np.count_nonzero(null >= asymmetry)) / (1 + num_draws),
        "flip_95": flip_95,
        "flip_p_value": flip_p_value,
        "extreme_ratio": ratio,
        "largest": float(nodes[top]),
        "largest_residual": float(spectrum["residuals"][top]),
        "smallest": float(nodes[bottom]),
        "smallest_residual": float(spectrum["residuals"][bottom]),
    }
