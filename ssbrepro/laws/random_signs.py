"""The asymmetry that chance alone would give: signs flipped at random, magnitudes as they are."""

import numpy as np

from ssbrepro.results import Array


def random_sign_asymmetries(
    samples: Array, generator: np.random.Generator, num_draws: int
) -> Array:
    """A of several samples after flipping every value's sign at random, the same way in all samples.

    In descending order of magnitude, m_1 >= ... >= m_n and m_(n+1) = 0, with S_k the sum of the signs
    of the first k values, A = 2 sum_k (m_k - m_(k+1)) |S_k| / sum_k m_k: the distance between a law
    and its mirror image is the integral over x > 0 of 2 |P(s > x) - P(s < -x)|. So the values are
    sorted once, not once a draw.

    Args:
        samples: Rows of the same quantities at other times, (samples, values), finite.
        generator: Source of the flips.
        num_draws: Number of random patterns of flips.

    Returns:
        :func:`ssbrepro.statistics.reflection_asymmetry` of each sample under each pattern,
        (num_draws, samples); NaN for a sample of zeros.
    """
    magnitudes = np.abs(np.asarray(samples, dtype=np.float64))
    order = np.argsort(-magnitudes, axis=1)
    magnitudes = np.take_along_axis(magnitudes, order, axis=1)
    gaps = -np.diff(magnitudes, axis=1, append=0.0)
    signs = np.take_along_axis(np.sign(samples).astype(np.int8), order, axis=1)
    distances = np.empty((num_draws, len(samples)))
    for draw in range(num_draws):
        flips = 2 * generator.integers(0, 2, size=(samples.shape[1],), dtype=np.int8) - 1
        for row in range(len(samples)):
            excess = np.abs(np.cumsum(signs[row] * flips[order[row]], dtype=np.int32))
            distances[draw, row] = 2 * (gaps[row] @ excess)
    with np.errstate(invalid="ignore"):  # 0/0 of the samples of zeros
        asymmetries: Array = distances / magnitudes.sum(axis=1)
    return asymmetries
