"""The distribution function behind Lanczos quadratures, its mirror image, and its density.

A Gauss rule is a staircase: it puts most of a peaked measure on one node near zero, and on which side
of zero is chance. Read off the staircase, the distance to the mirror image is mostly that step. The
Chebyshev-Markov-Stieltjes bounds say what the same numbers really know of the distribution at every
point; their middle treats both sides alike.
"""

from collections.abc import Mapping

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from ssbrepro.contract import Array
from ssbrepro.probes.spectra.lanczos import tridiagonalise
from ssbrepro.statistics.histograms import symlog_grid

_POINTS = 80  # a side, for the integrals of A: within 3 % where A is known (tests)
_RESOLVED = 1e-3  # of the largest magnitude: where the points turn from logarithmic to even
_ROUNDING = 1e-14  # keeps prescribed points apart from nodes they coincide with
_SINGLES, _GROUPS = 200, 200  # how finely the null model imitates a spectrum, on each side


def bounds(nodes: Array, weights: Array, residuals: Array, points: Array) -> tuple[Array, Array]:
    """The Chebyshev-Markov-Stieltjes bounds of F(x), the distribution function of the spectral measure.

    All measures with the quadrature's moments have F(x) between the weight left of x and that up to
    and including x of the Gauss-Radau rule with a node prescribed at x. In the eigenbasis of the
    tridiagonal matrix that rule belongs to an arrow matrix: the nodes on the diagonal, the residuals
    with alternating signs beside them, and the corner chosen so that x is an eigenvalue (Golub &
    Meurant 2010, chapter 6; Chen, Trogdon & Ubaru 2021, arXiv:2105.06595).

    Args:
        nodes: Of the Gauss quadrature, (steps,).
        weights: Of the nodes, (steps,); zero marks padding.
        residuals: Of the nodes, (steps,).
        points: Where to evaluate, (points,).

    Returns:
        The least and the largest F at the points, in [0, 1].
    """
    used = weights > 0
    nodes, weights, residuals = nodes[used], weights[used], residuals[used]
    steps, size = len(nodes), np.abs(nodes).max() or 1.0
    nodes, points = nodes / size, points / size
    border = np.maximum(residuals / size, _ROUNDING) * (-1.0) ** np.arange(steps)
    distance = points[:, None] - nodes
    distance = np.where(np.abs(distance) < _ROUNDING, _ROUNDING, distance)
    arrow = np.zeros((len(points), steps + 1, steps + 1))
    index = np.arange(steps)
    arrow[:, index, index] = nodes
    arrow[:, index, steps] = arrow[:, steps, index] = border
    arrow[:, steps, steps] = points - (border**2 / distance).sum(axis=1)
    values, vectors = np.linalg.eigh(arrow)
    masses = np.einsum("k,pkj->pj", np.sqrt(weights), vectors[:, :steps, :]) ** 2
    here = np.abs(values - points[:, None]).argmin(axis=1)
    below = np.where(np.arange(steps + 1) < here[:, None], masses, 0.0).sum(axis=1)
    return below, below + masses[np.arange(len(points)), here]


def distribution(nodes: Array, weights: Array, residuals: Array, points: Array) -> Array:
    """The middle of the :func:`bounds` of F, (points,)."""
    middle: Array = np.mean(bounds(nodes, weights, residuals, points), axis=0)
    return middle


def mean_bounds(spectrum: Mapping[str, Array], points: Array) -> tuple[Array, Array]:
    """Both bounds, each averaged over start vectors.

    Args:
        spectrum: ``nodes``, ``weights`` and ``residuals``, (rows, steps) each.
        points: Where to evaluate, (points,).
    """
    rows = zip(spectrum["nodes"], spectrum["weights"], spectrum["residuals"], strict=True)
    least, largest = np.mean([bounds(*row, points) for row in rows], axis=0)
    return least, largest


def mean_distribution(spectrum: Mapping[str, Array], points: Array) -> Array:
    """The middle of the :func:`mean_bounds` of F, (points,)."""
    middle: Array = np.mean(mean_bounds(spectrum, points), axis=0)
    return middle


def mirror_asymmetry(spectrum: Mapping[str, Array]) -> float:
    """Reflection asymmetry of the mean distribution over start vectors.

    A = int |F(x) + F(-x) - 1| dx / int (1 - F(x) + F(-x)) / 2 dx over x > 0 is the distance between
    the law and its mirror image over its mean magnitude, as in
    :func:`ssbrepro.statistics.symmetry.reflection_asymmetry`.

    Args:
        spectrum: ``nodes``, ``weights`` and ``residuals``, (rows, steps) each, not all nodes zero.
    """
    x = _radii(spectrum)
    upper, lower = (tail.mean(axis=0) for tail in _tails(spectrum, x))
    return float(2 * np.trapezoid(np.abs(upper - lower), x) / np.trapezoid(upper + lower, x))


def largest_asymmetry(spectrum: Mapping[str, Array]) -> float:
    """The largest A of all that keep both tails within their bounds, at each x on its own.

    It says how much of a small :func:`mirror_asymmetry` is the choice of the bounds' middle. For a ratio
    r, 2 |U - L| - r (U + L) is convex in both tails U and L, so the worst ones are corners of the
    bounds; Dinkelbach's iteration raises r until no choice of corners exceeds it.

    Args:
        spectrum: As of :func:`mirror_asymmetry`.
    """
    x = _radii(spectrum)
    upper, lower = _tails(spectrum, x)
    # A distance between tails and their sum, at the two corners where they are furthest apart.
    far = np.stack([np.abs(upper[1] - lower[0]), np.abs(lower[1] - upper[0])])
    sums = np.stack([upper[1] + lower[0], lower[1] + upper[0]])
    ratio, raised = -1.0, 0.0
    while raised > ratio:
        ratio = raised
        worse = (2 * far - ratio * sums).argmax(axis=0)[None]
        chosen_far, chosen_sums = (
            np.take_along_axis(values, worse, axis=0)[0] for values in (far, sums)
        )
        raised = float(2 * np.trapezoid(chosen_far, x) / np.trapezoid(chosen_sums, x))
    return ratio


def symmetric_null(
    spectrum: Mapping[str, Array], dim: int, generator: np.random.Generator, num_draws: int
) -> Array:
    """A as it would be measured if the spectrum were exactly symmetric, (num_draws,).

    Draws start vectors for a symmetric spectrum of the same magnitudes, the largest as single
    eigenvalues and the many small ones in groups, and measures it with as many vectors and steps.
    What it yields is the noise of the measurement.

    Args:
        spectrum: As measured.
        dim: Dimension of the operator.
        generator: Source of the start vectors.
        num_draws: How many measurements to imitate.
    """
    rows, steps = spectrum["nodes"].shape
    magnitudes, multiplicities = _symmetric_model(spectrum, dim)
    eigenvalues = torch.from_numpy(np.concatenate([magnitudes, -magnitudes]))
    multiplicities = np.tile(multiplicities, 2)
    measured = np.empty(num_draws)
    for draw in range(num_draws):
        rules = []
        for _ in range(rows):
            start = torch.from_numpy(np.sqrt(generator.chisquare(multiplicities)))
            rule = tridiagonalise(lambda vector: eigenvalues * vector, start, steps).quadrature()
            rules.append(
                {name: padded(value.numpy(), steps) for name, value in rule._asdict().items()}
            )
        drawn = {name: np.stack([rule[name] for rule in rules]) for name in rules[0]}
        measured[draw] = mirror_asymmetry(drawn)
    return measured


def spectral_density(
    spectrum: Mapping[str, Array], grid: Array, linear: float, relative_width: float
) -> Array:
    """Density of the mean distribution, smoothed evenly on the axis u = asinh(x / linear).

    Args:
        spectrum: ``nodes``, ``weights`` and ``residuals``, (rows, steps) each.
        grid: Ascending points of x, even in u, (points,).
        linear: Where the axis turns from linear to logarithmic.
        relative_width: Standard deviation of the Gaussian kernel as a share of the axis.

    Returns:
        Density per unit of x, (points,): it integrates to the weight inside the grid, and mirroring
        the measure mirrors it.
    """
    axis = np.arcsinh(grid / linear)
    step = (axis[-1] - axis[0]) / (len(axis) - 1)
    edges = np.sinh(np.append(axis - step / 2, axis[-1] + step / 2)) * linear
    inside = np.diff(np.maximum.accumulate(mean_distribution(spectrum, edges)))
    smooth = gaussian_filter1d(inside, relative_width * (len(axis) - 1), mode="constant")
    result: Array = smooth / step / np.hypot(grid, linear)  # du/dx
    return result


def padded(values: Array, length: int) -> Array:
    """Values followed by zeros, (length,)."""
    return np.pad(values, (0, length - len(values)))


def _radii(spectrum: Mapping[str, Array]) -> Array:
    """Points x >= 0 that resolve the distribution on both sides, from 0 to beyond all nodes."""
    nodes = spectrum["nodes"][spectrum["weights"] > 0]
    converged = spectrum["residuals"][spectrum["weights"] > 0] < 1e-6 * np.abs(nodes).max()
    largest = 1.05 * np.abs(nodes).max()
    even = symlog_grid(largest, _RESOLVED * largest, 2 * _POINTS + 1)[_POINTS + 1 :]
    # On both sides of each converged node, where F jumps; and never at 0, where nodes may coincide.
    steps = np.abs(nodes[converged])
    x = np.unique(np.concatenate([even, steps * (1 - 1e-9), steps * (1 + 1e-9)]))
    return np.append(0.0, x[x > 1e-9 * largest])


def _tails(spectrum: Mapping[str, Array], radii: Array) -> tuple[Array, Array]:
    """Bounds of the shares of the measure beyond +x and beyond -x, (2, radii) each, the least first."""
    x = radii[1:]
    inside = np.stack(mean_bounds(spectrum, np.concatenate([-x[::-1], x])))
    below, above = np.split(inside, 2, axis=1)
    upper, lower = 1 - above[::-1], below[:, ::-1]
    return np.insert(upper, 0, upper[:, 0], axis=1), np.insert(lower, 0, lower[:, 0], axis=1)


def _symmetric_model(spectrum: Mapping[str, Array], dim: int) -> tuple[Array, Array]:
    """Magnitudes of a symmetric spectrum, and how many eigenvalues each stands for on a side."""
    x = _radii(spectrum)
    upper, lower = (tail.mean(axis=0) for tail in _tails(spectrum, x))
    share = np.minimum.accumulate(upper + lower)  # of the spectrum beyond x on either side
    singles = min(_SINGLES, dim // 4)
    edges = np.geomspace(singles, dim / 2, _GROUPS + 1)  # in eigenvalues of one side, largest first
    ranks = np.concatenate([np.arange(singles) + 0.5, (edges[1:] + edges[:-1]) / 2])
    multiplicities = np.concatenate([np.ones(singles), np.diff(edges)])
    return np.interp(2 * ranks / dim, share[::-1], x[::-1]), multiplicities
