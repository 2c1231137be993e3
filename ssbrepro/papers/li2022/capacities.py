"""The largest number of images that networks learn, and how it changes with their size and with labels.

It is known as a place on a grid of sizes, from 0, where not even the smallest is learnt, to the grid's
length, where all are. Both ends are bounds and no values: what is computed from them is left as open.
"""

import bisect
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ssbrepro.contract import Array
from ssbrepro.statistics import intervals

_LEVEL = 0.95


def num_learnt(num_sizes: int, learns: Callable[[int], bool]) -> int:
    """How many of ascending sizes a network learns, by bisection.

    Takes for granted that what learns a size learns all smaller ones.

    Args:
        num_sizes: How many there are.
        learns: Whether it learns the size at a place, from 0.
    """
    return bisect.bisect_left(range(num_sizes), True, key=lambda place: not learns(place))


def learnt_by(places: Array, num_required: int) -> Array:
    """How many sizes so many of the networks learn, (..., networks) to (...).

    Args:
        places: How many sizes each network learns.
        num_required: How many networks have to.
    """
    return np.asarray(np.sort(places, axis=-1)[..., places.shape[-1] - num_required])


def bounds(sizes: Sequence[int], places: Array) -> tuple[Array, Array]:
    """Least and largest logarithm that n_c can have, of the shape of ``places``.

    Equal but at both ends of the grid: below the smallest size it can be anything, as above the largest.
    """
    logs = np.log(np.array(sizes, dtype=float))
    lows = np.array([-np.inf, *logs])
    highs = np.array([logs[0], *logs[:-1], np.inf])
    return lows[places], highs[places]


class Contrast(NamedTuple):
    """A sum of weighted logarithms of n_c over labels and widths, and what chance makes of it.

    Attributes:
        value: The one nearest to zero of those that the ends of the grid leave open; NaN where zero is
            among them, and so the sign is open too.
        low: Lower end of its 95 % interval over the choice of networks.
        noise: What 95 % of such lower ends stay above, were the contrast zero.
        control: What 95 % of them stay below in networks of which it is zero by construction.
    """

    value: float
    low: float
    noise: float
    control: float


def contrast(
    weights: Array,
    sizes: Sequence[int],
    places: Array,
    alike: Array,
    num_required: int,
    generator: np.random.Generator,
    num_replicates: int,
) -> Contrast:
    """A contrast with its interval: networks are resampled width by width, with all their labels.

    Args:
        weights: Of the logarithms, (labels, widths).
        sizes: Ascending numbers of images, (sizes,).
        places: How many of them each network learns, (labels, widths, networks).
        alike: The same of networks between which there is no difference, whatever label and width they
            stand for; each stands alone and is resampled by itself.
        num_required: How many networks of a width have to learn a size.
        generator: Source of the bootstrap.
        num_replicates: Bootstrap samples.
    """

    def resampled(rows: Array, num_labels: int) -> Array:
        shape = (num_replicates, num_labels, *rows.shape[1:])
        drawn = generator.integers(rows.shape[-1], size=shape)
        return _nearest(weights, sizes, np.take_along_axis(rows[None], drawn, -1), num_required)

    low, high = _extent(weights, sizes, places, num_required)
    known = low == high or low > 0 or high < 0
    value = float(np.clip(0, low, high)) if known else np.nan
    none = np.zeros(num_replicates)
    growth = intervals.growth(0, value, none, resampled(places, 1))
    nulls = resampled(alike, len(alike))
    nothing = intervals.growth(0, float(np.quantile(nulls, _LEVEL)), none, nulls)
    return Contrast(value, growth.low, growth.low_noise, nothing.low)


def slope_weights(num_weights: Array) -> Array:
    """What makes a contrast the least-squares slope on the logarithm of P, (widths,)."""
    logs = np.log(num_weights) - np.log(num_weights).mean()
    return np.asarray(logs / (logs @ logs))


def _nearest(weights: Array, sizes: Sequence[int], places: Array, num_required: int) -> Array:
    return np.asarray(np.clip(0, *_extent(weights, sizes, places, num_required)))


def _extent(
    weights: Array, sizes: Sequence[int], places: Array, num_required: int
) -> tuple[Array, Array]:
    """Least and largest contrast that the ends of the grid leave open, (...)."""
    used = weights != 0
    lows, highs = (one[..., used] for one in bounds(sizes, learnt_by(places, num_required)))
    factors = weights[used]
    ends = factors * lows, factors * highs
    return np.minimum(*ends).sum(axis=-1), np.maximum(*ends).sum(axis=-1)
