"""The share of broken weights at which a statistic is half-way broken, and how it falls with fan-in.

Up to some sqrt(n) broken weights of a unit of fan-in n do no harm (li2022, eq. 20): what they add is
lost in the sum of the n fair ones. So the share p_half at which they do falls as n^(-1/2).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ssbrepro.contract import Array

SLOPE = -0.5  # of log p_half on log n
_LEVEL = 0.95


class Decline(NamedTuple):
    """How the half-way share falls with fan-in.

    Attributes:
        slope: Of log p_half on log n, least squares.
        distance: abs(slope + 1/2).
        noise: What 95 % of distances would stay below by the choice of networks, were the slope -1/2.
        control: What 95 % of distances would exceed, did p_half not depend on fan-in.
    """

    slope: float
    distance: float
    noise: float
    control: float


def half_shares(shares: Array, curves: Array) -> Array:
    """Where dose-response curves first reach half-way between their two ends.

    Args:
        shares: Ascending, (shares,).
        curves: S at these shares, (..., shares).

    Returns:
        p_half, interpolated linearly, (...); NaN where the end is not above the start.
    """
    level = (curves[..., :1] + curves[..., -1:]) / 2
    after = (curves >= level).argmax(axis=-1)[..., None]
    before = np.maximum(after - 1, 0)
    low, high = (np.take_along_axis(curves, place, axis=-1) for place in (before, after))
    rise = np.where(after > 0, high - low, np.nan)
    found = shares[before] + (shares[after] - shares[before]) * (level - low) / rise
    return np.asarray(found[..., 0])


def quantile_curve(values: Array, level: float = 0.5) -> Array:
    """A quantile over networks, (..., networks, shares) to (..., shares), dead ones left out.

    NaN at a share at which all are dead.
    """
    ordered = np.sort(values, axis=-2)  # NaN last
    last = np.maximum(np.isfinite(values).sum(axis=-2, keepdims=True) - 1, 0)
    place = level * last
    low, high = (
        np.take_along_axis(ordered, np.asarray(end(place), dtype=np.int64), axis=-2)
        for end in (np.floor, np.ceil)
    )
    return np.asarray((low + (place - np.floor(place)) * (high - low))[..., 0, :])


def slopes(fan_ins: Array, halves: Array) -> Array:
    """Least-squares slope of log p_half on log n, (..., widths) to (...)."""
    logs = np.log(fan_ins) - np.log(fan_ins).mean()
    return np.asarray(np.log(halves) @ logs / (logs @ logs))


def decline(
    fan_ins: Array,
    shares: Array,
    values: Sequence[Array],
    generator: np.random.Generator,
    num_replicates: int,
) -> Decline:
    """How the half-way share falls, what chance makes of it, and what no dependence would give.

    Networks are resampled, each with its whole curve. For the control the networks of the width in the
    middle are drawn for all widths: the same measurement where width is one in name only.

    Args:
        fan_ins: n of each width, (widths,).
        shares: p, ascending, (shares,).
        values: S for each width, (networks, shares).
        generator: Source of the bootstrap.
        num_replicates: Bootstrap samples.
    """
    halves = np.array([half_shares(shares, quantile_curve(rows)) for rows in values])
    slope = float(slopes(fan_ins, halves))

    def resampled(rows: Array) -> Array:
        drawn = generator.integers(len(rows), size=(num_replicates, len(rows)))
        return half_shares(shares, quantile_curve(rows[drawn]))

    alike = slopes(fan_ins, np.stack([resampled(rows) for rows in values], axis=1))
    middle = values[len(values) // 2]
    constant = slopes(fan_ins, np.stack([resampled(middle) for _ in values], axis=1))
    return Decline(
        slope,
        abs(slope - SLOPE),
        float(np.nanquantile(np.abs(alike - slope), _LEVEL)),
        float(np.nanquantile(np.abs(constant - SLOPE), 1 - _LEVEL)),
    )
