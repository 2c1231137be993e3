"""Reflection symmetry of a law: a distance, and the null distribution it is judged against."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_AT_ONCE = 1 << 24  # values of samples in hand: 128 MiB, of which there are a few copies
_FLIP_BLOCK = 1 << 17  # signs held at once: 2 MiB with their sums, about what a cache holds


def reflection_asymmetry(values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Distance between a law and its mirror image, in units of its mean magnitude.

    A = W1(law of s, law of -s) / E|s|, where W1 is the Wasserstein-1 distance. For n equally
    weighted values, sorted, this is sum_k |s_(k) + s_(n+1-k)| / sum_k |s_k|. It is 0 for a
    symmetric law, 2 for a one-signed one, and does not change when s is rescaled.

    Args:
        values: Sample or atoms, any shape, flattened.
        weights: Weight of each value, non-negative, same number; need not sum to one.

    Returns:
        A in [0, 2].

    Raises:
        ValueError: If there is no value, any is not finite, the weights do not fit, or all values
            are zero, where A is 0/0 and the caller has to say what an empty law means.
    """
    atoms, masses = _checked(values, weights)
    order = np.argsort(atoms, kind="stable")
    return float(_sorted_asymmetry(atoms[order], None if masses is None else masses[order]))


def reflection_asymmetries(samples: ArrayLike, at_once: int = _AT_ONCE) -> NDArray[np.float64]:
    """The asymmetry of many equally large samples at once.

    Args:
        samples: One sample a row, (..., values).
        at_once: How many values to have in hand at once, at least a sample's; bounds the memory beyond
            that of the samples, and changes no more than roundings.

    Returns:
        A of each row as :func:`reflection_asymmetry` has it, (...); NaN where a row is all zero.

    Raises:
        ValueError: If the rows are empty or any value is not finite.
    """
    given = np.asarray(samples)
    asymmetries = np.empty(given.shape[:-1])
    flat = given.reshape(asymmetries.size, given.shape[-1])
    step = max(1, at_once // max(1, given.shape[-1]))
    for first in range(0, max(1, len(flat)), step):
        rows, empty = _scaled_rows(flat[first : first + step])
        rows.sort(axis=-1)
        with np.errstate(invalid="ignore"):  # 0/0 of the empty rows
            found = np.where(empty, np.nan, _sorted_asymmetry(rows, None))
        asymmetries.reshape(-1)[first : first + step] = found
    return asymmetries


def sign_flip_test(
    values: ArrayLike,
    generator: np.random.Generator,
    num_flips: int = 999,
    weights: ArrayLike | None = None,
) -> tuple[float, float]:
    """Compare A with its law after giving every value a random sign.

    If the law is symmetric and the values independent, all sign patterns are equally likely, so
    the p-value is exact (Phipson & Smyth 2010: the observed pattern counts as one of the flips).

    Args:
        values: Sample or atoms, flattened.
        generator: Source of the signs.
        num_flips: Number of random sign patterns, at least 1.
        weights: As in :func:`reflection_asymmetry`; a weight keeps to its value.

    Returns:
        The p-value in [1/(num_flips+1), 1], and the 95 % quantile of A under the null.

    Raises:
        ValueError: As :func:`reflection_asymmetry`, or if ``num_flips`` is below 1.
    """
    observed = reflection_asymmetry(values, weights)
    atoms, masses = _checked(values, weights)
    null = random_sign_asymmetries(atoms[None], generator, num_flips, masses)[:, 0]
    # The null sums in another order than the observed value, and many patterns may tie with it (equal
    # magnitudes). A rounding error must not turn such a tie into "smaller than observed".
    as_extreme = np.count_nonzero(null >= observed - 1e-12)
    return (1 + as_extreme) / (1 + num_flips), float(np.quantile(null, 0.95))


def random_sign_asymmetries(
    samples: ArrayLike,
    generator: np.random.Generator,
    num_flips: int,
    weights: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """A of samples after flipping each value's sign at random, the same way in all samples.

    In descending order of magnitude, m_1 >= ... >= m_n and m_(n+1) = 0, with S_k the sum of the first
    k values' weights times their signs, A = 2 sum_k (m_k - m_(k+1)) |S_k| / sum_k w_k m_k: the distance
    between a law and its mirror image is the integral over x > 0 of 2 |P(s > x) - P(s < -x)|. So the
    values are sorted once, not once a flip.

    Args:
        samples: Rows of the same quantities, say at other times, (samples, values).
        generator: Source of the signs: bits, each pattern from the next whole 32-bit words.
        num_flips: Number of random sign patterns, at least 1.
        weights: Of the quantities, (values,), as in :func:`reflection_asymmetry`.

    Returns:
        :func:`reflection_asymmetry` of each sample under each pattern, (num_flips, samples); NaN where
        all weighted values are zero. Memory beyond that is a few times that of the samples.

    Raises:
        ValueError: As :func:`reflection_asymmetries`, if the weights do not fit, or if ``num_flips``
            is below 1.
    """
    if num_flips < 1:
        raise ValueError(f"num_flips must be at least 1, not {num_flips}")
    magnitudes, _ = _scaled_rows(samples)
    num_samples, num_values = magnitudes.shape
    masses = None if weights is None else _checked_weights(weights, num_values)
    signs = np.sign(magnitudes).astype(np.int8)
    np.abs(magnitudes, out=magnitudes)
    order = np.argsort(-magnitudes, axis=1)
    magnitudes = np.take_along_axis(magnitudes, order, axis=1)
    signs = np.take_along_axis(signs, order, axis=1)
    steps = signs if masses is None else signs * masses[order]
    gaps = -np.diff(magnitudes, axis=1, append=0.0)
    rows = min(max(1, _FLIP_BLOCK // num_values), num_flips)
    flipped = np.empty((rows, num_values), dtype=np.int8)
    # Whole numbers are summed exactly and several times faster than float64.
    sums = np.empty((rows, num_values), dtype=np.int32 if masses is None else np.float64)
    excess = np.empty((rows, num_values))
    distances = np.empty((num_flips, num_samples))
    for first in range(0, num_flips, rows):
        block = distances[first : first + rows]
        flips = _random_signs(generator, len(block), num_values)
        here = slice(len(block))
        for sample in range(num_samples):
            # With indices known to fit, "clip" only saves the copy that "raise" makes of ``out``.
            np.take(flips, order[sample], axis=1, out=flipped[here], mode="clip")
            np.multiply(flipped[here], steps[sample], out=sums[here])
            np.cumsum(sums[here], axis=1, out=sums[here])
            np.abs(sums[here], out=excess[here])
            np.matmul(excess[here], gaps[sample], out=block[:, sample])
    scales = magnitudes.sum(axis=1) if masses is None else (magnitudes * masses[order]).sum(axis=1)
    with np.errstate(invalid="ignore"):  # 0/0 of the samples of zeros
        asymmetries: NDArray[np.float64] = 2 * distances / scales
    return asymmetries


def _random_signs(
    generator: np.random.Generator, num_patterns: int, num_values: int
) -> NDArray[np.int8]:
    """Fair signs, (num_patterns, num_values); the same ones however patterns are divided into calls."""
    num_bytes = 4 * -(-num_values // 32)  # whole words: the generator discards the rest of one
    packed = np.frombuffer(generator.bytes(num_patterns * num_bytes), dtype=np.uint8)
    bits = np.unpackbits(packed.reshape(num_patterns, num_bytes), axis=1, count=num_values)
    signs = bits.view(np.int8)
    signs *= 2
    signs -= 1
    return signs


def _scaled_rows(samples: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Samples along the last axis in units of their largest magnitudes, and which are all zero.

    Raises:
        ValueError: If the samples are empty or any value is not finite.
    """
    rows = np.asarray(samples, dtype=np.float64)
    if rows.shape[-1] == 0:
        raise ValueError("asymmetry of an empty sample is undefined")
    if not np.isfinite(rows).all():
        raise ValueError("asymmetry needs finite values")
    scales = np.abs(rows).max(axis=-1, keepdims=True)
    empty = scales == 0
    return rows / np.where(empty, 1.0, scales), empty[..., 0]


def _checked(
    values: ArrayLike, weights: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    atoms = np.asarray(values, dtype=np.float64).ravel()
    if atoms.size == 0:
        raise ValueError("asymmetry of an empty sample is undefined")
    if not np.isfinite(atoms).all():
        raise ValueError("asymmetry needs finite values")
    masses = None
    if weights is not None:
        masses = _checked_weights(weights, atoms.size)
        atoms, masses = atoms[masses > 0], masses[masses > 0]
    if not atoms.any():
        raise ValueError("asymmetry of an all-zero sample is 0/0")
    # A has no scale; brought to one of its own, no sum can overflow.
    return atoms / np.abs(atoms).max(), masses


def _checked_weights(weights: ArrayLike, num_values: int) -> NDArray[np.float64]:
    masses = np.asarray(weights, dtype=np.float64).ravel()
    if masses.size != num_values:
        raise ValueError(f"{masses.size} weights for {num_values} values")
    if not np.isfinite(masses).all() or (masses < 0).any():
        raise ValueError("weights must be finite and non-negative")
    return masses / (masses.max() or 1.0)  # only their ratios matter; so no sum can overflow


def _sorted_asymmetry(
    atoms: NDArray[np.float64], masses: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """A of atoms sorted along the last axis; several rows at once where unweighted."""
    if masses is None:
        mirrored = np.abs(atoms + atoms[..., ::-1]).sum(axis=-1)
        return np.asarray(mirrored / np.abs(atoms).sum(axis=-1))
    # W1 = integral over u in (0, 1) of |Q(u) + Q(1-u)|, with the quantile function Q a step
    # function: exact between the union of its steps and their mirror images.
    steps = np.cumsum(masses) / masses.sum()
    edges = np.sort(np.concatenate([[0.0, 1.0], steps[:-1], 1.0 - steps[:-1]]))
    middle = (edges[1:] + edges[:-1]) / 2
    last = atoms.size - 1
    lower = atoms[np.minimum(np.searchsorted(steps, middle), last)]
    upper = atoms[np.minimum(np.searchsorted(steps, 1.0 - middle), last)]
    distance = (np.diff(edges) * np.abs(lower + upper)).sum()
    return np.asarray(distance / np.average(np.abs(atoms), weights=masses))
