"""The bootstrap law of means of a few examples, by drawing and in closed form."""

import numpy as np
from scipy.sparse import csr_array

from ssbrepro.contract import Array

_BLOCK = 1 << 24  # counts held at once, 128 MiB in float64
_SPARSE = 4  # a dense product spends that much less on an example, but spends it on every one


def bootstrap_means(
    values: Array,
    num_examples: int,
    resample_size: int,
    num_draws: int,
    generator: np.random.Generator,
) -> Array:
    """Draws of the mean of ``resample_size`` examples, taken with replacement.

    Multinomial counts times the matrix of values (Efron 1979), so all columns see the same examples.

    Args:
        values: Values of the first examples, (rows, columns); those of all others are zero.
        num_examples: Number of all examples, at least the rows.
        resample_size: Examples averaged in a draw; equal to ``num_examples`` this is the usual
            bootstrap of the mean.
        num_draws: Number of draws.
        generator: Source of the examples.

    Returns:
        (num_draws, columns).

    Raises:
        ValueError: If a size is below 1, or there are more rows than examples.
    """
    if min(num_examples, resample_size, num_draws) < 1 or len(values) > num_examples:
        raise ValueError(
            f"{num_draws} means of {resample_size} from {num_examples} examples, {len(values)} given"
        )
    blocks = []
    step = max(1, _BLOCK // (num_examples + resample_size))
    for first in range(0, num_draws, step):
        size = min(step, num_draws - first)
        drawn = generator.integers(num_examples, size=(size, resample_size))
        blocks.append(_means(drawn, values, num_examples))
    return np.concatenate(blocks)


def _means(drawn: Array, values: Array, num_examples: int) -> Array:
    """Mean values of the examples drawn, (draws, resample_size), for each draw, (draws, columns)."""
    num_draws, resample_size = drawn.shape
    if _SPARSE * resample_size <= len(values):
        row = np.arange(num_draws + 1) * resample_size
        shares = np.full(drawn.size, 1 / resample_size)
        weights = csr_array((shares, drawn.ravel(), row), shape=(num_draws, num_examples))
        means: Array = weights[:, : len(values)] @ values
        return means
    cells = drawn + num_examples * np.arange(num_draws)[:, None]
    counts = np.bincount(cells.ravel(), minlength=num_draws * num_examples)
    dense: Array = counts.reshape(num_draws, num_examples)[:, : len(values)] / resample_size
    return dense @ values


def bootstrap_cumulants(values: Array, num_examples: int, resample_size: int) -> Array:
    """Cumulants of the law that :func:`bootstrap_means` draws from, exactly.

    The r-th cumulant of a mean of b independent draws is k_r / b^(r-1), with k_r that of one draw.

    Args:
        values: As in :func:`bootstrap_means`.
        num_examples: Number of all examples.
        resample_size: Examples averaged in a draw.

    Returns:
        First to fourth cumulant of each column, (4, columns).
    """
    squares = values**2  # products, since a general power takes ten times as long
    powers = (values, squares, squares * values, squares**2)
    mean, second, third, fourth = (power.sum(axis=0) / num_examples for power in powers)
    variance = second - mean**2
    cumulants = np.stack(
        [
            mean,
            variance,
            third - 3 * mean * second + 2 * mean**3,
            fourth - 4 * mean * third - 3 * second**2 + 12 * mean**2 * second - 6 * mean**4,
        ]
    )
    exact: Array = cumulants / float(resample_size) ** np.arange(4)[:, None]
    return exact
