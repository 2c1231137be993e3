"""Reflection symmetry of a law: a distance, and the null distribution it is judged against."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_FLIP_BLOCK = 1 << 22  # sign-flipped values held at once: 32 MiB in float64


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


def reflection_asymmetries(samples: ArrayLike) -> NDArray[np.float64]:
    """The asymmetry of many equally large samples at once.

    Args:
        samples: One sample a row, (..., values).

    Returns:
        A of each row as :func:`reflection_asymmetry` has it, (...); NaN where a row is all zero.

    Raises:
        ValueError: If the rows are empty or any value is not finite.
    """
    rows = np.asarray(samples, dtype=np.float64)
    if rows.shape[-1] == 0:
        raise ValueError("asymmetry of an empty sample is undefined")
    if not np.isfinite(rows).all():
        raise ValueError("asymmetry needs finite values")
    scales = np.abs(rows).max(axis=-1, keepdims=True)
    empty = scales[..., 0] == 0
    rows = np.sort(rows / np.where(scales == 0, 1.0, scales), axis=-1)
    with np.errstate(invalid="ignore"):  # 0/0 of the empty rows
        return np.where(empty, np.nan, _sorted_asymmetry(rows, None))


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
    if num_flips < 1:
        raise ValueError(f"num_flips must be at least 1, not {num_flips}")
    observed = reflection_asymmetry(values, weights)
    atoms, masses = _checked(values, weights)
    null = np.empty(num_flips)
    rows = max(1, _FLIP_BLOCK // atoms.size)
    for first in range(0, num_flips, rows):
        block = null[first : first + rows]
        signs = generator.integers(0, 2, size=(block.size, atoms.size), dtype=np.int8) * 2 - 1
        flipped = atoms * signs
        order = np.argsort(flipped, axis=1, kind="stable")
        flipped = np.take_along_axis(flipped, order, axis=1)
        if masses is None:
            block[:] = _sorted_asymmetry(flipped, None)
        else:
            block[:] = [
                _sorted_asymmetry(row, masses[o]) for row, o in zip(flipped, order, strict=True)
            ]
    # A rounding error must not turn an exact tie (a symmetric sample) into "smaller than observed".
    as_extreme = np.count_nonzero(null >= observed - 1e-12)
    return (1 + as_extreme) / (1 + num_flips), float(np.quantile(null, 0.95))


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
        masses = np.asarray(weights, dtype=np.float64).ravel()
        if masses.shape != atoms.shape:
            raise ValueError(f"{masses.size} weights for {atoms.size} values")
        if not np.isfinite(masses).all() or (masses < 0).any():
            raise ValueError("weights must be finite and non-negative")
        atoms, masses = atoms[masses > 0], masses[masses > 0]
    if not atoms.any():
        raise ValueError("asymmetry of an all-zero sample is 0/0")
    # A has no scale; brought to one of its own, no sum can overflow.
    atoms = atoms / np.abs(atoms).max()
    return atoms, None if masses is None else masses / masses.max()


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
