"""Which squared norms a ReLU and the maps before it leave alone (ssb2018, theorem 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, MinLen

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro import seeding
    from ssbrepro.papers.ssb2018 import layers as maps


@dataclass(frozen=True)
class Parameters:
    """Random vectors of each dimension, rotated inside and across the part that a ReLU lets through."""

    dimensions: Annotated[tuple[Annotated[int, Ge(4)], ...], MinLen(1)]
    num_vectors: Count


NUMBERS = {
    "positive_part_difference_max": domains.NON_NEGATIVE,
    "inside_difference_max": domains.NON_NEGATIVE,
    "across_difference_min": domains.NON_NEGATIVE,
    "affine_difference_min": domains.NON_NEGATIVE,
    "remnant_share_mean": domains.SHARE,
    "remnant_share_max": domains.SHARE,
}

# A squared norm is no invariant if any transformation changes it. By chance one changes it by less
# than a hundredth in up to a tenth of all cases at 256 weights; all of so many in some 1e-8 of them.
_NUM_TRANSFORMATIONS = 8
# Bins of D'/D: equally many values of D' in each where 32, one less, divides D.
_NUM_SHARES = 33


def run(parameters: Parameters, context: Context) -> Result:
    """Compare squared norms of random vectors before and after what is said to keep them.

    The entries of x are standard normal, D' of them are positive, and a = R(x). Differences are in
    units of xᵀx, which unlike aᵀa is never zero.

    Returns:
        Arrays: ``dimension`` (dimensions,), ``share_edges`` (bins+1,), and the shares of vectors in
        each bin of D'/D that were ``counted`` and that a ``binomial`` law gives (dimensions, bins);
        and for each vector (dimensions, vectors) ``remnant_dimension`` D' and the differences
        ``positive_part``, of aᵀa from the squared norm of the positive entries of x, both summed
        without rounding; ``inside``, of aᵀa when these entries of a are rotated by a random matrix
        of O(D'); ``across``, of aᵀa when x is rotated by one of O(D) before the ReLU; and ``affine``,
        of xᵀx when a random affine map acts on x. The last two are the largest among 8 random
        transformations, the same for all vectors. Numbers: the largest of the first two and the
        smallest of the last two differences, and mean and largest D'/D.
    """
    rows = [
        _squared_norms(dimension, parameters.num_vectors, context.seed)
        for dimension in parameters.dimensions
    ]
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    shares = arrays["remnant_dimension"] / arrays["dimension"][:, None]
    numbers = {
        "positive_part_difference_max": float(arrays["positive_part"].max()),
        "inside_difference_max": float(arrays["inside"].max()),
        "across_difference_min": float(arrays["across"].min()),
        "affine_difference_min": float(arrays["affine"].min()),
        "remnant_share_mean": float(shares.mean()),
        "remnant_share_max": float(shares.max()),
    }
    return Result(arrays={**arrays, "share_edges": _share_edges()}, numbers=numbers)


def _squared_norms(dimension: int, num_vectors: int, seed: int) -> dict[str, Array]:
    """The arrays of :func:`run` for one dimension."""
    from scipy.stats import binom, ortho_group

    generator = seeding.numpy_generator(seed, "theorem2", dimension)
    vectors = generator.standard_normal((num_vectors, dimension))
    positive_parts = [vector[vector > 0] for vector in vectors]
    sizes = np.array([len(part) for part in positive_parts])
    rotations = ortho_group.rvs(dimension, size=_NUM_TRANSFORMATIONS, random_state=generator)
    transformations = maps.random_layers(generator, _NUM_TRANSFORMATIONS, dimension)

    before, after = _squares(vectors), _squares(maps.relu(vectors))
    exact = [
        math.fsum(maps.relu(vector) ** 2) - math.fsum(part**2)
        for vector, part in zip(vectors, positive_parts, strict=True)
    ]
    inside = [
        _squares(ortho_group.rvs(len(part), random_state=generator) @ part)
        for part in positive_parts
    ]
    across = [_squares(maps.relu(vectors @ rotation.T)) for rotation in rotations]
    mapped = [_squares(maps.affine(layer, vectors)) for layer in transformations]
    possible = np.arange(dimension + 1)
    probability = binom.pmf(possible, dimension, 0.5)
    return {
        "dimension": np.array(dimension),
        "remnant_dimension": sizes,
        "counted": np.histogram(sizes / dimension, _share_edges())[0] / num_vectors,
        "binomial": np.histogram(possible / dimension, _share_edges(), weights=probability)[0],
        "positive_part": np.abs(exact) / before,
        "inside": np.abs(inside - after) / before,
        "across": np.abs(across - after).max(axis=0) / before,
        "affine": np.abs(mapped - before).max(axis=0) / before,
    }


def _squares(vectors: Array) -> Array:
    squares: Array = np.square(vectors).sum(axis=-1)
    return squares


def _share_edges() -> Array:
    edges: Array = (np.arange(_NUM_SHARES + 1) - 0.5) / (_NUM_SHARES - 1)
    return edges


STAGE = Stage(Parameters, NUMBERS, run)
