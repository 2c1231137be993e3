"""The stages ``theorem1`` to ``theorem3``: which symmetries survive a ReLU (ssb2018, section 3)."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import binom, ortho_group, special_ortho_group

from ssbrepro.fieldtheory.layers import (
    affine,
    affine_defect,
    composition,
    random_layers,
    relative_difference,
    relu,
    remnant,
    stacked,
    transformed,
)
from ssbrepro.results import Array, Context, Result
from ssbrepro.seeding import numpy_generator
from ssbrepro.stages.ssb2018 import Theorem1Parameters, Theorem2Parameters, Theorem3Parameters

# A squared norm is no invariant if any transformation changes it. By chance one changes it by less
# than a hundredth in up to a tenth of all cases at 256 weights; all of so many in some 1e-8 of them.
_NUM_TRANSFORMATIONS = 8
# Bins of D'/D: equally many values of D' in each where 32 divides D.
_SHARE_EDGES = (np.arange(34) - 0.5) / 32


def theorem1_stage(parameters: Theorem1Parameters, context: Context) -> Result:
    """Fit one affine map to stacks of affine layers, without and with a ReLU after each layer.

    Inputs are standard normal, weights and biases normal with variance 1/D.

    Returns:
        Arrays: ``dimension`` (dimensions,), and for each stack (dimensions, stacks)
        ``affine_defect``, of the stack without ReLU from its best affine fit (see ``affine_defect``
        of the layers), ``composition_defect``, the relative difference of its outputs from those of
        the product of all its layers, and ``relu_defect``, of the stack with ReLU from its best
        affine fit. Numbers: the largest of the first two and the smallest of the last.
    """

    def measure(dimension: int, stack: int) -> dict[str, float]:
        generator = numpy_generator(context.seed, "theorem1", dimension, stack)
        layers = random_layers(generator, parameters.num_layers, dimension)
        inputs = generator.standard_normal((parameters.inputs_per_dimension * dimension, dimension))
        outputs = stacked(layers, inputs)
        return {
            "affine_defect": affine_defect(inputs, outputs),
            "composition_defect": relative_difference(affine(composition(layers), inputs), outputs),
            "relu_defect": affine_defect(inputs, stacked(layers, inputs, relu)),
        }

    arrays = _for_all_stacks(parameters.dimensions, parameters.num_stacks, measure)
    numbers = {
        "affine_defect_max": float(arrays["affine_defect"].max()),
        "composition_defect_max": float(arrays["composition_defect"].max()),
        "relu_defect_min": float(arrays["relu_defect"].min()),
    }
    return Result(arrays=arrays, numbers=numbers)


def theorem2_stage(parameters: Theorem2Parameters, context: Context) -> Result:
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
    return Result(arrays={**arrays, "share_edges": _SHARE_EDGES}, numbers=numbers)


def theorem3_stage(parameters: Theorem3Parameters, context: Context) -> Result:
    """Transform stacks of ReLU layers by matrices that commute with a ReLU, and by rotations.

    Layers and inputs are drawn as in theorem 1. W_t(Q) = Q_t W_t Q_{t-1}⁻¹, with biases Q_t b_t.

    Returns:
        Arrays: ``dimension`` (dimensions,), and for each stack (dimensions, stacks) relative
        differences, in ``remnant_…`` for positive scalings times permutations and in ``rotation_…``
        for random rotations of SO(D): ``…commutator``, R(Q x) from Q R(x); ``…covariance``, of the
        outputs of the transformed stack at Q_0 x from Q_T y(x); and ``…pair``, the largest change of
        the outputs of two adjacent layers when the Q between them transforms both. Numbers: the
        largest of each for the remnant symmetry; for rotations the smallest commutator, and the
        smallest of the other two.
    """

    def measure(dimension: int, stack: int) -> dict[str, float]:
        generator = numpy_generator(context.seed, "theorem3", dimension, stack)
        layers = random_layers(generator, parameters.num_layers, dimension)
        inputs = generator.standard_normal((parameters.num_inputs, dimension))
        count = parameters.num_layers + 1
        groups = {
            "remnant": np.stack([remnant(generator, dimension) for _ in range(count)]),
            "rotation": special_ortho_group.rvs(dimension, size=count, random_state=generator),
        }
        return {
            f"{group}_{name}": defect
            for group, matrices in groups.items()
            for name, defect in _covariance(layers, inputs, matrices).items()
        }

    arrays = _for_all_stacks(parameters.dimensions, parameters.num_stacks, measure)
    numbers = {
        "commutator_max": float(arrays["remnant_commutator"].max()),
        "covariance_defect_max": float(arrays["remnant_covariance"].max()),
        "pair_defect_max": float(arrays["remnant_pair"].max()),
        "rotation_commutator_min": float(arrays["rotation_commutator"].min()),
        "rotation_defect_min": float(
            min(arrays["rotation_covariance"].min(), arrays["rotation_pair"].min())
        ),
    }
    return Result(arrays=arrays, numbers=numbers)


def _for_all_stacks(
    dimensions: Sequence[int], num_stacks: int, measure: Callable[[int, int], dict[str, float]]
) -> dict[str, Array]:
    """What ``measure`` finds for each dimension and stack, as arrays (dimensions, stacks)."""
    table = [[measure(dimension, stack) for stack in range(num_stacks)] for dimension in dimensions]
    return {
        "dimension": np.array(dimensions),
        **{
            name: np.array([[found[name] for found in row] for row in table])
            for name in table[0][0]
        },
    }


def _squared_norms(dimension: int, num_vectors: int, seed: int) -> dict[str, Array]:
    """The arrays of :func:`theorem2_stage` for one dimension."""
    generator = numpy_generator(seed, "theorem2", dimension)
    vectors = generator.standard_normal((num_vectors, dimension))
    positive_parts = [vector[vector > 0] for vector in vectors]
    sizes = np.array([len(part) for part in positive_parts])
    rotations = ortho_group.rvs(dimension, size=_NUM_TRANSFORMATIONS, random_state=generator)
    maps = random_layers(generator, _NUM_TRANSFORMATIONS, dimension)

    before, after = _squares(vectors), _squares(relu(vectors))
    exact = [
        math.fsum(relu(vector) ** 2) - math.fsum(part**2)
        for vector, part in zip(vectors, positive_parts, strict=True)
    ]
    inside = [
        _squares(ortho_group.rvs(len(part), random_state=generator) @ part)
        for part in positive_parts
    ]
    across = [_squares(relu(vectors @ rotation.T)) for rotation in rotations]
    mapped = [_squares(affine(layer, vectors)) for layer in maps]
    possible = np.arange(dimension + 1)
    probability = binom.pmf(possible, dimension, 0.5)
    return {
        "dimension": np.array(dimension),
        "remnant_dimension": sizes,
        "counted": np.histogram(sizes / dimension, _SHARE_EDGES)[0] / num_vectors,
        "binomial": np.histogram(possible / dimension, _SHARE_EDGES, weights=probability)[0],
        "positive_part": np.abs(exact) / before,
        "inside": np.abs(inside - after) / before,
        "across": np.abs(across - after).max(axis=0) / before,
        "affine": np.abs(mapped - before).max(axis=0) / before,
    }


def _squares(vectors: Array) -> Array:
    squares: Array = np.square(vectors).sum(axis=-1)
    return squares


def _covariance(layers: Array, inputs: Array, matrices: Array) -> dict[str, float]:
    """How far ``matrices`` (layers + 1, D, D) are from a symmetry of ``layers`` with ReLU."""
    first, *_, last = matrices
    identity = np.eye(len(first))
    pairs = [
        relative_difference(
            stacked(transformed(pair, np.stack([identity, between, identity])), inputs, relu),
            stacked(pair, inputs, relu),
        )
        for pair, between in zip(
            (layers[index : index + 2] for index in range(len(layers) - 1)),
            matrices[1:-1],
            strict=True,
        )
    ]
    return {
        "commutator": relative_difference(relu(inputs @ first.T), relu(inputs) @ first.T),
        "covariance": relative_difference(
            stacked(transformed(layers, matrices), inputs @ first.T, relu),
            stacked(layers, inputs, relu) @ last.T,
        ),
        "pair": max(pairs),
    }
