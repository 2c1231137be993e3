"""Stacks of random layers, what transforms them, and how far outputs are from each other or from affine.

Vectors are the rows of a matrix. A layer on D units is a matrix (D, D + 1) of weights with the biases
in the last column, as in section 2.1 of ssb2018, where inputs are (x, 1); a stack of them is (layers,
D, D + 1).
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from ssbrepro.contract import Array

_ROUNDING = 1e-12  # a smaller spread of outputs, relative to them, is none

Activation = Callable[[Array], Array]


def relu(values: Array) -> Array:
    """R(x) = max(0, x), entry by entry."""
    rectified: Array = np.maximum(values, 0)
    return rectified


def random_layers(generator: np.random.Generator, num_layers: int, dimension: int) -> Array:
    """A stack of layers with all weights and biases normal with variance 1/D."""
    shape = (num_layers, dimension, dimension + 1)
    return generator.standard_normal(shape) / math.sqrt(dimension)


def affine(layer: Array, inputs: Array) -> Array:
    """W x + b (inputs, D) for each row x of ``inputs``."""
    outputs: Array = inputs @ layer[:, :-1].T + layer[:, -1]
    return outputs


def stacked(layers: Array, inputs: Array, activation: Activation | None = None) -> Array:
    """Outputs (inputs, D) of a stack, with ``activation`` after each layer if any (ssb2018, eq. 1)."""
    for layer in layers:
        outputs = affine(layer, inputs)
        inputs = outputs if activation is None else activation(outputs)
    return inputs


def composition(layers: Array) -> Array:
    """The one layer (D, D + 1) that does what a stack without activation does."""
    last_row = np.eye(layers.shape[-1])[-1:]
    product: Array = reduce(np.matmul, [np.vstack([layer, last_row]) for layer in layers[::-1]])
    return product[:-1]


def remnant(generator: np.random.Generator, dimension: int) -> Array:
    """A random matrix (D, D) that commutes with a ReLU: positive scalings times a permutation.

    The scalings are log-uniform between 1/e and e. No other invertible matrix commutes: at a unit
    vector e, Q R(e) = R(Q e) makes each column of Q non-negative, and at e_j - c e_k, c > 0, two
    positive entries in a row contradict it.
    """
    scalings = np.exp(generator.uniform(-1, 1, dimension))
    matrix: Array = np.diag(scalings)[generator.permutation(dimension)]
    return matrix


def transformed(layers: Array, matrices: Array) -> Array:
    """Layers with W_t(Q) = Q_t W_t Q_{t-1}⁻¹ and biases Q_t b_t (ssb2018, section 2.2).

    Args:
        layers: (layers, D, D + 1).
        matrices: Q_0, of the input, and one a layer, (layers + 1, D, D).
    """
    weights = layers[:, :, :-1] @ np.linalg.inv(matrices[:-1])
    both: Array = matrices[1:] @ np.concatenate([weights, layers[:, :, -1:]], axis=-1)
    return both


def relative_difference(values: Array, others: Array) -> float:
    """Norm of ``values`` - ``others`` over the larger of their norms; 0 where both are equal."""
    largest = max(np.linalg.norm(values), np.linalg.norm(others))
    return float(np.linalg.norm(values - others) / largest) if largest else 0.0


def affine_defect(inputs: Array, outputs: Array) -> float:
    """Distance of ``outputs`` (inputs, D) from their best affine fit over ``inputs`` (inputs, D).

    Root mean square of what least squares leave over that of the centred outputs: 0 for an affine
    map, constant ones included, and 1 for outputs of which an affine map of the inputs says nothing.

    Raises:
        ValueError: If they are not finite, or so few that an affine map fits any outputs.
    """
    if not (np.isfinite(inputs).all() and np.isfinite(outputs).all()):
        raise ValueError("an input or output is not finite; give finite numbers")
    num_inputs, dimension = inputs.shape
    if num_inputs <= dimension + 1:
        raise ValueError(
            f"an affine map of {dimension} variables fits any {num_inputs} outputs; "
            f"give more than {dimension + 1}"
        )
    spread = np.linalg.norm(outputs - outputs.mean(axis=0))
    if spread <= _ROUNDING * np.linalg.norm(outputs):
        return 0.0
    extended = np.column_stack([inputs, np.ones(num_inputs)])
    fit = extended @ np.linalg.lstsq(extended, outputs)[0]
    return float(np.linalg.norm(outputs - fit) / spread)


def for_all_stacks(
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
