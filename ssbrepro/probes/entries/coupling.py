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


def tail_classes(values: Array) -> Array:
    """Entries by the weight of their tails: fifths of the fourth moment, (entries,) from 0.

    Args:
        values: Standardised, (examples, entries).
    """
    ranks = (values**4).mean(axis=0).argsort(kind="stable").argsort(kind="stable")
    classes: Array = ranks * _CLASSES // len(ranks)
    return classes


def discovery_thresholds(
    observed: Array,
    null: Callable[[], Array],
    classes: Array,
    num_permutations: int,
    false_discovery_rate: float,
) -> Array:
    """Magnitudes from which on a joint cumulant counts as not zero.

    Benjamini & Hochberg (1995) on permutation p-values. Two entries that few examples carry have
    large joint cumulants by chance, others have not, so the null is pooled only over pairs of the
    same two classes. With at least 1 / rate permutations not even one cluster of related pairs passes
    by chance more often than that.

    Args:
        observed: Joint cumulants, (kinds, entries, entries).
        null: Gives those of newly permuted examples, likewise.
        classes: Of the entries, which permutations must not change, (entries,).
        num_permutations: How often to ask for the null.
        false_discovery_rate: In (0, 1).

    Returns:
        A threshold for each kind and each pair of entries, (kinds, entries, entries); infinite where
        nothing is found, and on the diagonal.
    """
    strata = classes[:, None] * _CLASSES + classes
    np.fill_diagonal(strata, _CLASSES**2)  # one more, of which nothing is asked
    sizes = np.bincount(strata.ravel(), minlength=_CLASSES**2)[: _CLASSES**2]
    found = _beyond(_histograms(observed, strata))
    histograms = np.zeros_like(found)
    for _ in range(num_permutations):
        histograms += _histograms(null(), strata)
    by_chance = _beyond(histograms)
    # Ordered pairs are counted, of which the symmetric cumulants have two alike.
    p_values = (2 + by_chance) / np.maximum(num_permutations * sizes, 1)[:, None]
    edges = np.append(_EDGES, np.inf)
    thresholds = []
    for beyond, p_value in zip(found, p_values, strict=True):
        places = _first_discoveries(beyond, p_value, false_discovery_rate / sizes.sum())
        thresholds.append(np.append(edges[places], np.inf)[strata])
    return np.stack(thresholds)


def coupling_shares(cumulants: Array, thresholds: Array) -> Array:
    """The share of all other entries in each entry's coupling set, (kinds, entries).

    Args:
        cumulants: (kinds, entries, entries).
        thresholds: Of :func:`discovery_thresholds`, likewise.
    """
    beyond = np.abs(cumulants) >= thresholds
    shares: Array = beyond.sum(axis=-1) / (cumulants.shape[-1] - 1)
    return shares


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


def exponents(shares: Array, num_entries: float) -> Array:
    """Sizes of coupling sets as exponents of the number N of all entries, log(size) / log(N).

    The set of an entry holds the entry itself, since it has a variance: size = 1 + share (N - 1).
    """
    powers: Array = np.log1p(shares * (num_entries - 1)) / np.log(num_entries)
    return powers
