"""Which transformations a ReLU carries through the layers (ssb2018, theorem 3)."""

from __future__ import annotations

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
    """Random matrices that commute with a ReLU, and rotations, which do not, in stacks of layers."""

    dimensions: Annotated[tuple[Annotated[int, Ge(2)], ...], MinLen(1)]
    num_layers: Annotated[int, Ge(2)]
    num_stacks: Count
    num_inputs: Count


NUMBERS = {
    "commutator_max": domains.NON_NEGATIVE,
    "covariance_defect_max": domains.NON_NEGATIVE,
    "pair_defect_max": domains.NON_NEGATIVE,
    "rotation_commutator_min": domains.NON_NEGATIVE,
    "rotation_defect_min": domains.NON_NEGATIVE,
}


def run(parameters: Parameters, context: Context) -> Result:
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
    from scipy.stats import special_ortho_group

    def measure(dimension: int, stack: int) -> dict[str, float]:
        generator = seeding.numpy_generator(context.seed, "theorem3", dimension, stack)
        layers = maps.random_layers(generator, parameters.num_layers, dimension)
        inputs = generator.standard_normal((parameters.num_inputs, dimension))
        count = parameters.num_layers + 1
        groups = {
            "remnant": np.stack([maps.remnant(generator, dimension) for _ in range(count)]),
            "rotation": special_ortho_group.rvs(dimension, size=count, random_state=generator),
        }
        return {
            f"{group}_{name}": defect
            for group, matrices in groups.items()
            for name, defect in _covariance(layers, inputs, matrices).items()
        }

    arrays = maps.for_all_stacks(parameters.dimensions, parameters.num_stacks, measure)
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


def _covariance(layers: Array, inputs: Array, matrices: Array) -> dict[str, float]:
    """How far ``matrices`` (layers + 1, D, D) are from a symmetry of ``layers`` with ReLU."""
    first, *_, last = matrices
    identity = np.eye(len(first))
    pairs = [
        maps.relative_difference(
            maps.stacked(
                maps.transformed(pair, np.stack([identity, between, identity])),
                inputs,
                maps.relu,
            ),
            maps.stacked(pair, inputs, maps.relu),
        )
        for pair, between in zip(
            (layers[index : index + 2] for index in range(len(layers) - 1)),
            matrices[1:-1],
            strict=True,
        )
    ]
    return {
        "commutator": maps.relative_difference(
            maps.relu(inputs @ first.T), maps.relu(inputs) @ first.T
        ),
        "covariance": maps.relative_difference(
            maps.stacked(maps.transformed(layers, matrices), inputs @ first.T, maps.relu),
            maps.stacked(layers, inputs, maps.relu) @ last.T,
        ),
        "pair": max(pairs),
    }


STAGE = Stage(Parameters, NUMBERS, run)
