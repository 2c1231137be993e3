"""Affine maps of layers, without and with a ReLU after each (ssb2018, theorem 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, MinLen

from ssbrepro import domains
from ssbrepro.contract import Context, Count, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    from ssbrepro import seeding
    from ssbrepro.papers.ssb2018 import layers as maps


@dataclass(frozen=True)
class Parameters:
    """Stacks of ``num_layers`` random affine layers on D weights, with a ReLU after each and without.

    For each dimension D, ``num_stacks`` of them at ``inputs_per_dimension`` D random inputs.
    """

    dimensions: Annotated[tuple[Annotated[int, Ge(2)], ...], MinLen(1)]
    num_layers: Annotated[int, Ge(2)]
    num_stacks: Count
    inputs_per_dimension: Annotated[int, Ge(3)]


NUMBERS = {
    "affine_defect_max": domains.NON_NEGATIVE,
    "composition_defect_max": domains.NON_NEGATIVE,
    "relu_defect_min": domains.NON_NEGATIVE,
    "relu_composition_defect_min": domains.NON_NEGATIVE,
}


def run(parameters: Parameters, context: Context) -> Result:
    """Fit one affine map to stacks of affine layers, without and with a ReLU after each layer.

    Inputs are standard normal, weights and biases normal with variance 1/D.

    Returns:
        Arrays: ``dimension`` (dimensions,), and for each stack (dimensions, stacks)
        ``affine_defect``, of the stack without ReLU from its best affine fit (see ``affine_defect``
        of the layers), ``composition_defect``, the relative difference of its outputs from those of
        the product of all its layers, and ``relu_defect`` and ``relu_composition_defect``, both
        likewise of the stack with ReLU. Numbers: the largest of the first two and the smallest of the
        last two.
    """

    def measure(dimension: int, stack: int) -> dict[str, float]:
        generator = seeding.numpy_generator(context.seed, "theorem1", dimension, stack)
        layers = maps.random_layers(generator, parameters.num_layers, dimension)
        inputs = generator.standard_normal((parameters.inputs_per_dimension * dimension, dimension))
        product = maps.affine(maps.composition(layers), inputs)
        affine, relu = (maps.stacked(layers, inputs, after) for after in (None, maps.relu))
        return {
            "affine_defect": maps.affine_defect(inputs, affine),
            "composition_defect": maps.relative_difference(product, affine),
            "relu_defect": maps.affine_defect(inputs, relu),
            "relu_composition_defect": maps.relative_difference(product, relu),
        }

    arrays = maps.for_all_stacks(parameters.dimensions, parameters.num_stacks, measure)
    numbers = {
        "affine_defect_max": float(arrays["affine_defect"].max()),
        "composition_defect_max": float(arrays["composition_defect"].max()),
        "relu_defect_min": float(arrays["relu_defect"].min()),
        "relu_composition_defect_min": float(arrays["relu_composition_defect"].min()),
    }
    return Result(arrays=arrays, numbers=numbers)


STAGE = Stage(Parameters, NUMBERS, run)
