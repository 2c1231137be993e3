"""The 12-bit task of Shwartz-Ziv & Tishby (2017, arXiv:1703.00810, section 3.1).

Twelve binary inputs are points on the sphere that are there or not. Whether a pattern of them has the
label 1 depends on its power spectrum in spherical harmonics alone, so rotations do not change it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import entr, eval_legendre, expit

from ssbrepro.contract import Array

_NUM_POINTS = 12
# Two values of the spectrum that differ by less are the same up to rounding: it is a sum of 144 terms
# of order one, and its true values are some 1e-2 apart.
_ROUNDING = 1e-9
_LARGEST_GAIN = 1e6  # in units of one over the distance of the threshold to the nearest pattern


@dataclass(frozen=True)
class Task:
    """Equally likely patterns and the law of their labels.

    Attributes:
        patterns: All of them, one a row, 0 or 1, (4096, 12).
        label_probability: p(y=1|x) of each, (4096,).
    """

    patterns: Array
    label_probability: Array


def icosahedron() -> Array:
    """Twelve points spread evenly over the unit sphere: the vertices of an icosahedron, (12, 3)."""
    golden = (1 + np.sqrt(5)) / 2
    corners = [(0.0, one, long) for one in (1, -1) for long in (golden, -golden)]
    vertices = np.concatenate([np.roll(corners, shift, axis=1) for shift in range(3)])
    return np.asarray(vertices / np.sqrt(1 + golden**2))


def all_patterns() -> Array:
    """The 4,096 patterns of twelve bits, (4096, 12), 0 or 1 in float64; the first bit counts most."""
    bits = np.arange(_NUM_POINTS - 1, -1, -1)
    return ((np.arange(2**_NUM_POINTS)[:, None] >> bits) & 1).astype(np.float64)


def power_spectrum(patterns: Array, points: Array, degrees: Sequence[int]) -> Array:
    """Power of each pattern in the spherical harmonics of each degree (Kazhdan et al. 2003).

    Σ_m |Σ_i x_i Y_lm(p_i)|² = (2l+1)/(4π) Σ_ij x_i x_j P_l(p_i·p_j), by the addition theorem.

    Args:
        patterns: x, (patterns, points).
        points: p on the unit sphere, (points, 3).
        degrees: l.

    Returns:
        (degrees, patterns).
    """
    cosines = np.clip(points @ points.T, -1, 1)
    kernels = [(2 * l + 1) / (4 * np.pi) * eval_legendre(l, cosines) for l in degrees]  # noqa: E741
    return np.stack([np.sum(patterns @ kernel * patterns, axis=1) for kernel in kernels])


def binary_entropy(probability: Array) -> Array:
    """Entropy of a label that is 1 with ``probability``, in bits, of the same shape."""
    return np.asarray((entr(probability) + entr(1 - probability)) / np.log(2))


def label_information(probability: Array) -> float:
    """I(X;Y) in bits of equally likely patterns with labels of ``probability`` p(y=1|x), (patterns,)."""
    return float(binary_entropy(probability.mean()) - binary_entropy(probability).mean())


def twelve_bit_task(degrees: Sequence[int], information: float) -> Task:
    """Labels by p(y=1|x) = 1/(1 + exp(-g (f(x) - θ))), f the sum of the powers in ``degrees``.

    θ lies halfway between two values of f, such that f > θ for as few patterns as are a half of them
    or more; p(y=1) is then about a half. The gain g is such that I(X;Y) is ``information``, in bits.

    Raises:
        ValueError: If no gain gives that much.
    """
    patterns = all_patterns()
    power = power_spectrum(patterns, icosahedron(), degrees).sum(axis=0)
    levels = np.unique((power / _ROUNDING).round()) * _ROUNDING
    above = levels > np.median(power) - _ROUNDING
    threshold = (levels[~above][-1] + levels[above][0]) / 2
    distance = power - threshold

    def excess(gain: float) -> float:
        return label_information(expit(gain * distance)) - information

    largest = _LARGEST_GAIN / np.abs(distance).min()
    if excess(largest) < 0:
        most = excess(largest) + information
        raise ValueError(
            f"labels by degrees {list(degrees)} know {most:.4f} bits at most, not {information}; "
            "ask for less or take other degrees"
        )
    gain = brentq(excess, 0, largest, xtol=1e-12, rtol=1e-12)
    return Task(patterns, expit(gain * distance))
