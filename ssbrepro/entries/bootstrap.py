"""The bootstrap law of means of a few examples, by drawing and in closed form."""

import numpy as np

from ssbrepro.results import Array

_BLOCK = 1 << 24  # counts held at once, 128 MiB in float64


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
        cells = drawn + num_examples * np.arange(size)[:, None]
        counts = np.bincount(cells.ravel(), minlength=size * num_examples)
        weights = counts.reshape(size, num_examples)[:, : len(values)] / resample_size
        blocks.append(weights @ values)
    return np.concatenate(blocks)


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
    mean, second, third, fourth = (
        (values**order).sum(axis=0) / num_examples for order in range(1, 5)
    )
    variance = second - mean**2
    cumulants = np.stack(
        [
            mean,
            variance,
            third - 3 * mean * second + 2 * mean**3,
            fourth - 4 * mean * third - 3 * second**2 + 12 * mean**2 * second - 6 * mean**4,
        ]
    )
    powers = float(resample_size) ** np.arange(4)
    exact: Array = cumulants / powers[:, None]
    return exact
