"""Axes that are mirror images of themselves, and smoothed histograms on them.

The histograms are for drawing only: moments and asymmetries come from the values, never from bins.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter1d

from ssbrepro.contract import Array


def symmetric_edges(largest: float, num_bins: int) -> Array:
    """Edges of equal bins from -largest to largest, (num_bins+1,).

    Args:
        largest: End of the axis, positive.
        num_bins: Odd: zero is then inside the middle bin and sides with neither sign.

    Raises:
        ValueError: If ``largest`` is not positive and finite or ``num_bins`` not odd.
    """
    _check(largest, num_bins)
    halves = np.arange(-num_bins, num_bins + 1, 2)
    edges: Array = halves / num_bins * largest
    return edges


def symlog_edges(largest: float, linear: float, num_bins: int) -> Array:
    """Edges from -largest to largest of bins equal in asinh(x / linear), (num_bins+1,).

    On matplotlib's ``asinh`` scale of that ``linear_width`` the bins are equally wide.

    Args:
        largest: End of the axis, positive.
        linear: Where the axis turns from linear to logarithmic, at most ``largest``.
        num_bins: As in :func:`symmetric_edges`.

    Raises:
        ValueError: As :func:`symmetric_edges`, or if ``linear`` does not fit.
    """
    _check(largest, num_bins)
    edges = symlog_grid(largest, linear, num_bins + 1)
    edges[[0, -1]] = -largest, largest  # to the last bit, so that the largest value is inside
    return edges


def symlog_grid(largest: float, linear: float, num_points: int) -> Array:
    """Points from -largest to largest, even in asinh(x / linear), (num_points,).

    Linear below ``linear`` in magnitude, logarithmic above. An odd number includes 0.

    Raises:
        ValueError: Unless 0 < linear <= largest and there are at least 2 points.
    """
    if not 0 < linear <= largest < float("inf") or num_points < 2:
        raise ValueError(f"no grid of {num_points} points to {largest}, linear below {linear}")
    end = np.arcsinh(largest / linear)
    points = np.sinh(np.linspace(-end, end, num_points)) * linear
    grid: Array = (points - points[::-1]) / 2  # symmetric to the last bit
    return grid


def smoothed_histogram(values: ArrayLike, edges: Array, kernel_width: float) -> Array:
    """Histogram smoothed along the bins by a Gaussian kernel, which is reflected at both ends.

    Args:
        values: Sample, any shape, flattened; at least one value.
        edges: Of bins that are equally wide where they are drawn, (bins+1,).
        kernel_width: Standard deviation of the kernel as a share of the axis.

    Returns:
        Share of the values per drawn length, (bins,): the whole axis is 1 long, so the mean over
        the bins is 1.

    Raises:
        ValueError: If there is no value, or one is not finite or outside the edges.
    """
    sample = np.asarray(values).ravel()
    counts, _ = np.histogram(sample, edges)
    left_out = sample.size - int(counts.sum())  # NaN too
    if sample.size == 0 or left_out:
        raise ValueError(f"{left_out} of {sample.size} values lie outside the axis")
    bins = len(counts)
    smooth: Array = gaussian_filter1d(counts / sample.size * bins, kernel_width * bins)
    return smooth


def _check(largest: float, num_bins: int) -> None:
    if not 0 < largest < float("inf"):
        raise ValueError(f"no axis from -{largest} to {largest}")
    if num_bins % 2 != 1:
        raise ValueError(f"{num_bins} bins have an edge at zero; take an odd number")
