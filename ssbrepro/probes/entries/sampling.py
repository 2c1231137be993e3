"""Uniformly drawn entries of the Hessian."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ssbrepro.contract import Array

_SPARE = 1.1  # pairs drawn for one expected to be needed, so that few draws fall short


def draw_pairs(
    layer_sizes: Sequence[int], num_pairs: int, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Pairs of weights, uniform over all ordered pairs of two different layers.

    Args:
        layer_sizes: Number of weights of each layer.
        num_pairs: How many pairs.
        generator: Source of the draws.

    Returns:
        Rows and columns of the Hessian, (num_pairs,) both.

    Raises:
        ValueError: If there is only one layer.
    """
    if len(layer_sizes) < 2:
        raise ValueError("with one layer every entry of the Hessian is zero")
    ends = np.cumsum(layer_sizes)
    found = np.empty((2, 0), dtype=np.int64)
    while found.shape[1] < num_pairs:
        pairs = generator.integers(ends[-1], size=(2, num_pairs))
        layers = np.searchsorted(ends, pairs, side="right")
        found = np.concatenate([found, pairs[:, layers[0] != layers[1]]], axis=1)
    return found[0, :num_pairs], found[1, :num_pairs]


def same_layer_share(layer_sizes: Sequence[int]) -> float:
    """The share of entries that vanish because both weights are of one layer."""
    sizes = np.asarray(layer_sizes, dtype=np.float64)
    return float((sizes**2).sum() / sizes.sum() ** 2)


class LivePairs(NamedTuple):
    """Pairs of weights whose entry of the Hessian is not zero throughout.

    Attributes:
        rows: Of the Hessian, (entries,).
        columns: Likewise.
        values: In each ensemble, (examples, entries) each.
        tried: How many pairs were looked at for them.
    """

    rows: Array
    columns: Array
    values: tuple[Array, ...]
    tried: int


def live_pairs(
    layer_sizes: Sequence[int],
    measure: Callable[[Array, Array], Sequence[Array]],
    num_entries: int,
    max_pairs: int,
    generator: np.random.Generator,
) -> LivePairs:
    """Draw pairs until as many as wanted are live: not zero for all examples of all ensembles.

    Args:
        layer_sizes: Number of weights of each layer.
        measure: The entries of pairs, by rows and columns, in each ensemble, as (examples, pairs).
        num_entries: How many live ones are wanted.
        max_pairs: How many pairs to try for them.
        generator: Source of the draws.

    Returns:
        The live ones in the order of their draws, at most as many as wanted; the pairs after the last
        one needed do not count as tried.

    Raises:
        ValueError: If no pair may be tried.
    """
    if min(num_entries, max_pairs) < 1:
        raise ValueError(f"{num_entries} live entries among at most {max_pairs} pairs")
    parts: list[LivePairs] = []
    live = tried = 0
    while live < num_entries and tried < max_pairs:
        size = min(_pairs_for(num_entries - live, live, tried), num_entries, max_pairs - tried)
        rows, columns = draw_pairs(layer_sizes, size, generator)
        values = measure(rows, columns)
        alive = np.flatnonzero(np.any([one.any(axis=0) for one in values], axis=0))
        alive = alive[: num_entries - live]
        live += len(alive)
        tried += int(alive[-1]) + 1 if live == num_entries else size
        parts.append(
            LivePairs(rows[alive], columns[alive], tuple(one[:, alive] for one in values), tried)
        )
    return LivePairs(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.columns for part in parts]),
        tuple(
            np.concatenate(one, axis=1)
            for one in zip(*(part.values for part in parts), strict=True)
        ),
        tried,
    )


def _pairs_for(missing: int, live: int, tried: int) -> int:
    """How many pairs should give so many live ones, going by those of the pairs tried."""
    if not live:
        return missing
    return math.ceil(_SPARE * missing * tried / live) + 1
