"""Hessian spectra from Lanczos quadratures at pairs of start vectors.

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
from ssbrepro.probes.operators import HessianOperator
from ssbrepro.probes.risk import HingeRisk
from ssbrepro.probes.spectra.distribution import mirror_asymmetry, padded, symmetric_null
from ssbrepro.probes.spectra.lanczos import Quadrature, lanczos
from ssbrepro.seeding import numpy_generator, torch_generator
from ssbrepro.statistics.symmetry import sign_flip_test


def measure_spectrum(
    risk: HingeRisk,
    hessian: HessianOperator,
    num_steps: int,
    num_pairs: int,
    seed: int,
    report: Callable[[int], None] = lambda done: None,
) -> dict[str, Array]:
    """Quadratures of the Hessian's spectral measure.

    Args:
        risk: The mean hinge loss, for its layers.
        hessian: Its Hessian.
        num_steps: Lanczos steps of each start vector.
        num_pairs: Pairs of start vectors.
        seed: Root seed of the start vectors.
        report: Called with the number of Hessian products so far.

    Returns:
        ``nodes``, ``weights`` and ``residuals`` of the Gauss quadratures, (2 num_pairs, num_steps)
        float64: one row a start vector, pairs adjacent, padded with zeros where the Krylov space ended
        early. Every row of weights sums to one.
    """
    done = 0

    def product(vector: torch.Tensor) -> torch.Tensor:
        nonlocal done
        done += 1
        report(done)
        return hessian.matvec(vector)

    rows = []
    sizes = torch.tensor(risk.layer_sizes)
    parity = torch.repeat_interleave((-1.0) ** torch.arange(len(sizes)), sizes)
    for pair in range(num_pairs):
        start = torch.randn(hessian.dim, generator=torch_generator(seed, "start", pair))
        for vector in (start, parity * start):
            rows.append(lanczos(product, vector.to(risk.weights), num_steps))
    return {
        name: np.stack([padded(getattr(row, name).numpy(), num_steps) for row in rows])
        for name in Quadrature._fields
    }


def empty_spectrum(num_steps: int, num_pairs: int) -> dict[str, Array]:
    """What :func:`measure_spectrum` returns for H = 0: all weight on the node 0."""
    spectrum = {name: np.zeros((2 * num_pairs, num_steps)) for name in Quadrature._fields}
    spectrum["weights"][:, 0] = 1.0
    return spectrum


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
        distribution; ``noise_95``, what 95 % of measurements of a symmetric spectrum stay below, and
        ``p_value``, the share of them that reach ``asymmetry``; ``flip_95`` and ``flip_p_value`` of
        the sign-flip test on the Gauss nodes, which are not independent, so that it is cruder;
        ``largest`` and ``smallest`` node with their residual bounds; ``extreme_ratio``,
        largest / |smallest| or its inverse, whichever is above 1.

    Raises:
        ArithmeticError: If all nodes have one sign, which a vanishing trace excludes.
    """
    nodes, weights = spectrum["nodes"], spectrum["weights"]
    if not nodes.any():
        undefined = ("asymmetry", "noise_95", "p_value", "flip_95", "flip_p_value", "extreme_ratio")
        extremes = ("largest", "largest_residual", "smallest", "smallest_residual")
        return {
            "standard_deviation": 0.0,
            **dict.fromkeys(undefined, float("nan")),
            **dict.fromkeys(extremes, 0.0),
        }
    top = np.unravel_index(nodes.argmax(), nodes.shape)
    bottom = np.unravel_index(nodes.argmin(), nodes.shape)
    largest, smallest = float(nodes[top]), float(nodes[bottom])
    if not smallest < 0 < largest:
        raise ArithmeticError(
            f"all Lanczos nodes lie in [{smallest}, {largest}] though the trace is zero; "
            "take more Lanczos steps"
        )
    ratio = largest / -smallest
    asymmetry = mirror_asymmetry(spectrum)
    null = symmetric_null(spectrum, dim, numpy_generator(seed, "symmetric"), num_draws)
    flips = numpy_generator(seed, "flips")
    flip_p_value, flip_95 = sign_flip_test(nodes, flips, num_flips, weights)
    return {
        "standard_deviation": float(np.sqrt((weights * nodes**2).sum() / len(nodes))),
        "asymmetry": asymmetry,
        "noise_95": float(np.quantile(null, 0.95)),
        "p_value": (1 + np.count_nonzero(null >= asymmetry)) / (1 + num_draws),
        "flip_95": flip_95,
        "flip_p_value": flip_p_value,
        "extreme_ratio": max(ratio, 1 / ratio),
        "largest": largest,
        "largest_residual": float(spectrum["residuals"][top]),
        "smallest": smallest,
        "smallest_residual": float(spectrum["residuals"][bottom]),
    }
