"""Joint cumulants of pairs of entries, and which of them are not zero.

An entry's coupling set is the entries it has a non-zero joint cumulant with (li2022, II.F.4 and
fig. 7c). Not zero means beyond what permuting the examples of each entry on its own leaves, at a
stated false-discovery rate.
"""

import math
from collections.abc import Callable

import numpy as np

from ssbrepro.contract import Array

CUMULANTS = ("covariance", "coskewness", "cokurtosis")

_NULLS = 20  # permutations that say what shares chance alone gives

_CLASSES = 5  # of tails
# Thresholds that can be found: one per cent apart, from far below any noise to above the largest
# standardised cumulant of a million examples.
_PER_DECADE = 200
_EDGES = 10.0 ** (np.arange(12 * _PER_DECADE) / _PER_DECADE - 6)


def joint_cumulants(values: Array) -> Array:
    """Standardised joint cumulants of all pairs of columns.

    k(i,j), k(i,i,j) and k(i,i,j,j) for columns of mean 0 and variance 1: correlation, coskewness and
    excess cokurtosis, as four matrix products.

    Args:
        values: Standardised, (examples, entries).

    Returns:
        (3, entries, entries); the first index of a coskewness is the one that is squared.
    """
    squares = values**2
    examples = len(values)
    covariance = values.T @ values / examples
    coskewness = squares.T @ values / examples
    cokurtosis = squares.T @ squares / examples - 1 - 2 * covariance**2
    return np.stack([covariance, coskewness, cokurtosis])


def unbiased_squares(one: Array, other: Array) -> Array:
    """Squares of standardised joint cumulants, without the bias that noise gives to a square.

    The product of the cumulants of two halves of the examples: their errors are independent, so that
    the product of two estimates of zero is zero on average, and negative as often as positive.

    Args:
        one: Values in one half of the examples, (examples, entries).
        other: In the other half.

    Returns:
        As :func:`joint_cumulants`; 0 for entries that are constant in a half, of which nothing is seen.
    """
    halves = [standardised(half) for half in (one, other)]
    varies = np.all([half.any(axis=0) for half in halves], axis=0)
    squares: Array = np.multiply(*(joint_cumulants(half) for half in halves))
    squares *= varies[:, None] & varies
    return squares


def standardised(values: Array) -> Array:
    """Columns with mean 0 and variance 1, (examples, entries); constant ones are 0."""
    centred = values - values.mean(axis=0)
    deviations = centred.std(axis=0)
    # The mean of equal values may be a rounding off.
    varies = np.ptp(values, axis=0) > 0
    scaled: Array = np.where(varies, centred / np.where(varies, deviations, 1), 0)
    return scaled


def tail_classes(values: Array) -> Array:
    """Entries by the weight of their tails: fifths of the fourth moment, (entries,) from 0.

    Args:
        values: Standardised, (examples, entries).
    """
    ranks = (values**4).mean(axis=0).argsort(kind="stable").argsort(kind="stable")
    classes: Array = ranks * _CLASSES // len(ranks)
    return classes


class PermutationNull:
    """What joint cumulants are where entries are independent, and which are larger by more than chance.

    Benjamini & Hochberg (1995) on permutation p-values. Two entries that few examples carry have
    large joint cumulants by chance, others have not, so the null is pooled only over pairs of the
    same two classes. With at least 1 / rate permutations not even one cluster of related pairs passes
    by chance more often than that.
    """

    def __init__(self, null: Callable[[], Array], classes: Array, num_permutations: int) -> None:
        """Permute.

        Args:
            null: Gives joint cumulants of newly permuted examples, (kinds, entries, entries).
            classes: Of the entries, which permutations must not change, (entries,).
            num_permutations: How often to ask for the null.
        """
        self._strata = classes[:, None] * _CLASSES + classes
        np.fill_diagonal(self._strata, _CLASSES**2)  # one more, of which nothing is asked
        self._sizes = np.bincount(self._strata.ravel(), minlength=_CLASSES**2)[: _CLASSES**2]
        histograms = _histograms(null(), self._strata)
        for _ in range(num_permutations - 1):
            histograms += _histograms(null(), self._strata)
        by_chance = _beyond(histograms)
        # Ordered pairs are counted, of which the symmetric cumulants have two alike.
        self._p_values = (2 + by_chance) / np.maximum(num_permutations * self._sizes, 1)[:, None]
        self._num_permutations = num_permutations

    def thresholds(self, observed: Array, false_discovery_rate: float) -> Array:
        """Magnitudes from which on a joint cumulant counts as not zero.

        Args:
            observed: Joint cumulants, (kinds, entries, entries).
            false_discovery_rate: In (0, 1).

        Returns:
            A threshold for each kind and each pair of entries, (kinds, entries, entries); infinite
            where nothing is found, and on the diagonal.
        """
        rate = false_discovery_rate / self._sizes.sum()
        edges = np.append(_EDGES, np.inf)
        thresholds = []
        found = _beyond(_histograms(observed, self._strata))
        for beyond, p_value in zip(found, self._p_values, strict=True):
            places = _first_discoveries(beyond, p_value, rate)
            thresholds.append(np.append(edges[places], np.inf)[self._strata])
        return np.stack(thresholds)

    def least_share(self, false_discovery_rate: float) -> float:
        """The share of all pairs that is sure to be found where no permutation reaches them."""
        smallest = 2 / (self._num_permutations * self._sizes[self._sizes > 0].min())
        return float(smallest / false_discovery_rate)


def coupling_shares(cumulants: Array, thresholds: Array) -> Array:
    """The share of all other entries in each entry's coupling set, (kinds, entries).

    Args:
        cumulants: (kinds, entries, entries).
        thresholds: Of :class:`PermutationNull`, likewise.
    """
    beyond = np.abs(cumulants) >= thresholds
    shares: Array = beyond.sum(axis=-1) / (cumulants.shape[-1] - 1)
    return shares


def chance_shares(null: Callable[[], Array], thresholds: Array) -> Array:
    """What the mean share of coupled pairs stays below in 95 % of permutations, (kinds,).

    Args:
        null: As for :class:`PermutationNull`.
        thresholds: (kinds, entries, entries).
    """
    shares = [coupling_shares(null(), thresholds).mean(axis=-1) for _ in range(_NULLS)]
    return np.asarray(np.quantile(shares, 0.95, axis=0))


def _first_discoveries(beyond: Array, p_values: Array, rate: float) -> Array:
    """The first edge of each stratum beyond which pairs count as discoveries.

    Args:
        beyond: Number of pairs beyond each edge, (strata, edges).
        p_values: Of a pair at each edge, (strata, edges), decreasing.
        rate: False-discovery rate over the number of all pairs.

    Returns:
        Places among the edges, (strata,); their number where there are none.
    """
    levels = np.unique(p_values)
    places = np.stack([np.searchsorted(-row, -levels, side="left") for row in p_values])
    padded = np.pad(beyond, ((0, 0), (0, 1)))
    discoveries = np.take_along_axis(padded, places, axis=1).sum(axis=0)
    allowed = np.flatnonzero(levels <= rate * discoveries)
    if not len(allowed):
        return np.full(len(beyond), beyond.shape[1])
    best: Array = places[:, allowed[-1]]
    return best


def _histograms(cumulants: Array, strata: Array) -> Array:
    """Pairs of each stratum between one edge and the next, (kinds, strata, edges)."""
    first_cells = strata * len(_EDGES)
    counts = []
    for kind in cumulants:
        places = np.maximum(np.abs(kind), float(_EDGES[0]))  # a float64 scalar would widen float32
        np.log(places, out=places)  # several times faster than log10
        places -= math.log(_EDGES[0])
        places *= _PER_DECADE / math.log(10)
        cells = places.astype(np.int64)
        np.minimum(cells, len(_EDGES) - 1, out=cells)
        cells += first_cells
        counts.append(np.bincount(cells.ravel(), minlength=(_CLASSES**2 + 1) * len(_EDGES)))
    return np.stack(counts).reshape(len(counts), -1, len(_EDGES))[:, : _CLASSES**2]


def _beyond(histograms: Array) -> Array:
    """Pairs of each stratum with at least the magnitude of each edge, (kinds, strata, edges)."""
    return histograms[..., ::-1].cumsum(axis=-1)[..., ::-1]


def exponents(shares: Array, num_entries: float, dimension: float | None = None) -> Array:
    """Sizes of coupling sets as exponents of the Hessian's dimension N, log(size) / log(N).

    The set of an entry holds the entry itself, since it has a variance: size = 1 + share (entries - 1).

    Args:
        shares: Of the other entries, of any shape.
        num_entries: How many entries the shares are of.
        dimension: N; without it as many as the entries.
    """
    powers: Array = np.log1p(shares * (num_entries - 1)) / np.log(dimension or num_entries)
    return powers
