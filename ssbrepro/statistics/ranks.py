"""Rank correlation, and what it comes to between unrelated quantities."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata


def rank_correlation(left: ArrayLike, right: ArrayLike) -> float:
    """Spearman's rank correlation of two series, ties at their mean rank.

    Args:
        left: (values,), not all alike.
        right: Likewise.

    Returns:
        In [-1, 1].

    Raises:
        ValueError: If one of them stays the same: it has no order.
    """
    return float(_scaled_ranks(left) @ _scaled_ranks(right))


def permuted_rank_correlations(
    left: ArrayLike, right: ArrayLike, generator: np.random.Generator, num_permutations: int
) -> NDArray[np.float64]:
    """:func:`rank_correlation` after shuffling one of the series, (num_permutations,)."""
    fixed, shuffled = _scaled_ranks(left), _scaled_ranks(right)
    return generator.permuted(np.tile(shuffled, (num_permutations, 1)), axis=1) @ fixed


def _scaled_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Ranks less their mean, of unit length.

    Raises:
        ValueError: If all values are alike.
    """
    ranks = rankdata(values)
    ranks -= ranks.mean()
    if not ranks.any():
        raise ValueError("a quantity that stays the same has no rank correlation")
    scaled: NDArray[np.float64] = ranks / np.linalg.norm(ranks)
    return scaled
