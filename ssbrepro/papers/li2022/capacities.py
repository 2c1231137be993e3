"""The largest number of images that networks learn, and how it changes with their size and with labels.

It is known as a place on a grid of sizes, from 0, where not even the smallest is learnt, to the grid's
length, where all are. Both ends are bounds and no values: what is computed from them is left as open.
"""

import bisect
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ssbrepro.contract import Array


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
        low: The value less what 97.5 % of values stay below where networks differ by chance alone: the
            lower end of a 95 % interval.
        noise: What 95 % of such lower ends stay above where networks differ by chance alone.
        control: The median lower end of networks between which there is no difference by construction.
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
    """A contrast with its interval over the choice of networks.

    Chance is how networks scatter about the median of their width and labels. Five say little of it, so
    the scatter of all is pooled: networks drawn from all, each with both labels, stand for every width.

    Args:
        weights: Of the logarithms, (labels, widths), with a sum of zero.
        sizes: Ascending numbers of images in geometric progression, (sizes,).
        places: How many of them each network learns, (labels, widths, networks).
        alike: The same of networks between which there is no difference, whatever labels and width they
            stand for; drawn anew for each.
        num_required: How many networks of a width have to learn a size.
        generator: Source of the drawn networks.
        num_replicates: How often they are drawn.
    """
    num_labels, num_widths, num_networks = places.shape

    def drawn(rows: Array, num_draws: int) -> Array:
        # One draw serves both labels; as many as there are labels serve each.
        shape = (num_replicates, num_draws, num_widths, num_networks)
        chosen = np.take_along_axis(rows[None], generator.integers(rows.shape[-1], size=shape), -1)
        return np.asarray((weights * learnt_by(chosen, num_required)).sum(axis=(1, 2)) * step)

    low, high = _extent(weights, sizes, learnt_by(places, num_required))
    known = low == high or low > 0 or high < 0
    value = float(np.clip(0, low, high)) if known else np.nan
    step = math.log(sizes[-1] / sizes[0]) / (len(sizes) - 1)
    # The deviations from a median of so few are too small by as much as those from a mean.
    shrunk = math.sqrt(1 - 1 / num_networks)
    scatter = (places - np.median(places, axis=-1, keepdims=True)) / shrunk
    pool = scatter.reshape(num_labels, 1, -1).repeat(num_widths, axis=1)
    least, most = np.quantile(drawn(pool, 1), (0.05, 0.975))
    none = float(np.median(drawn(alike, num_labels)))
    return Contrast(value, float(value - most), float(least - most), float(none - most))


def slope_weights(num_weights: Array) -> Array:
    """What makes a contrast the least-squares slope on the logarithm of P, (widths,)."""
    logs = np.log(num_weights) - np.log(num_weights).mean()
    return np.asarray(logs / (logs @ logs))


def _extent(weights: Array, sizes: Sequence[int], places: Array) -> tuple[float, float]:
    """Least and largest contrast that the ends of the grid leave open, of places (labels, widths)."""
    used = weights != 0
    ends = [weights[used] * one[used] for one in bounds(sizes, places)]
    return float(np.minimum(*ends).sum()), float(np.maximum(*ends).sum())
