"""Theorems 1 to 3: exact statements, what they leave out, and that their opposites are told apart."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from ssbrepro.contract import Context
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018 import layers as layers_module
from ssbrepro.papers.ssb2018.layers import (
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
from ssbrepro.papers.ssb2018.stages.theorem1 import Parameters as Theorem1Parameters
from ssbrepro.papers.ssb2018.stages.theorem2 import Parameters as Theorem2Parameters
from ssbrepro.papers.ssb2018.stages.theorem3 import Parameters as Theorem3Parameters
from ssbrepro.seeding import numpy_generator

# Sums of some ten products of numbers of order one, a few times in a row.
ROUNDING = 1e-13
BROKEN = 1e-2

seeds = st.integers(0, 2**32 - 1)


def measure(parameters, seed=0):
    name = type(parameters).__module__.rpartition(".")[2]
    return stage(f"ssb2018/{name}").run(parameters, Context(seed, "cpu", Path("unused")))


def theorem1():
    return measure(Theorem1Parameters((16, 24), num_layers=3, num_stacks=2, inputs_per_dimension=4))


def theorem2(dimensions=(32,), num_vectors=50):
    return measure(Theorem2Parameters(dimensions, num_vectors))


def theorem3():
    return measure(Theorem3Parameters((16, 24), num_layers=3, num_stacks=2, num_inputs=10))


# Layers


def test_a_layer_is_computed_by_hand():
    layer = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]])
    inputs = np.array([[1.0, 1.0], [0.0, -2.0]])
    assert affine(layer, inputs).tolist() == [[6.0, -0.5], [-1.0, 2.5]]
    assert stacked(layer[None], inputs, relu).tolist() == [[6.0, 0.0], [0.0, 2.5]]
    # (6, 0) → (9, 0.5), (0, 2.5) → (8, -2 → 0).
    assert stacked(np.stack([layer, layer]), inputs, relu).tolist() == [[9.0, 0.5], [8.0, 0.0]]


@given(seed=seeds, dimension=st.integers(1, 8), num_layers=st.integers(1, 5))
def test_the_composition_does_what_the_stack_does(seed, dimension, num_layers):
    generator = np.random.default_rng(seed)
    layers = random_layers(generator, num_layers, dimension)
    inputs = generator.standard_normal((5, dimension))
    whole = affine(composition(layers), inputs)
    # Outputs of at most some thousand, and roundings of each layer.
    np.testing.assert_allclose(whole, stacked(layers, inputs), rtol=0, atol=1e-11)


def test_the_order_of_the_layers_matters():
    generator = np.random.default_rng(0)
    layers, inputs = random_layers(generator, 3, 8), generator.standard_normal((5, 8))
    backwards = affine(composition(layers[::-1]), inputs)
    assert relative_difference(backwards, stacked(layers, inputs)) > BROKEN


def test_the_defect_of_an_even_function_is_one_and_of_an_affine_one_zero():
    inputs = np.linspace(-1, 1, 21)[:, None]
    assert affine_defect(inputs, np.abs(inputs)) == pytest.approx(1, rel=ROUNDING)
    assert affine_defect(inputs, 3 * inputs - 1e3) < 1e-12  # roundings of 1e3 over order one
    # ReLU is half of x plus half of abs(x); their squared spreads on this grid.
    odd, even = inputs / 2, np.abs(inputs) / 2
    expected = even.std() / np.hypot(odd.std(), even.std())
    assert affine_defect(inputs, relu(inputs)) == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize("constant", [0.0, 0.1])
def test_a_constant_is_affine(constant):
    assert affine_defect(np.arange(9.0)[:, None], np.full((9, 1), constant)) == 0


def test_what_says_nothing_about_affine_maps_is_refused():
    with pytest.raises(ValueError, match="fits any 3 outputs"):
        affine_defect(np.zeros((3, 2)), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="not finite"):
        affine_defect(np.full((4, 2), np.nan), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="not finite"):
        affine_defect(np.zeros((4, 2)), np.full((4, 2), np.inf))


def test_relative_differences():
    assert relative_difference(np.array([3.0, 0.0]), np.array([0.0, 4.0])) == 1.25
    assert relative_difference(np.zeros(2), np.zeros(2)) == 0
    assert relative_difference(np.zeros(2), np.ones(2)) == 1


# What commutes with a ReLU


@given(seed=seeds, dimension=st.integers(1, 12))
def test_positive_scalings_times_permutations_commute_exactly(seed, dimension):
    generator = np.random.default_rng(seed)
    matrix = remnant(generator, dimension)
    assert ((matrix > 0).sum(axis=0) == 1).all()
    assert ((matrix > 0).sum(axis=1) == 1).all()
    assert (matrix >= 0).all()
    vector = generator.standard_normal(dimension)
    assert (relu(matrix @ vector) == matrix @ relu(vector)).all()


def commutes(matrix):
    """On unit vectors, and on differences of two of them."""
    size = len(matrix)
    tried = [*np.eye(size)]
    tried += [
        np.eye(size)[first] - np.eye(size)[second]
        for first, second in itertools.permutations(range(size), 2)
    ]
    return all(np.array_equal(relu(matrix @ vector), matrix @ relu(vector)) for vector in tried)


def test_orthogonal_matrices_that_commute_with_a_relu_are_the_permutations():
    """At e_i the commutator R(Q e_i) - Q R(e_i) is minus the negative part of column i.

    So Q ≥ 0, and columns without a negative entry are orthogonal only where their supports are
    disjoint: one entry each, which is 1. The symmetry inside O(D') is finite.
    """
    for size in (2, 3):
        signed = [
            np.diag(signs)[list(order)]
            for order in itertools.permutations(range(size))
            for signs in itertools.product([1.0, -1.0], repeat=size)
        ]
        commuting = [matrix for matrix in signed if commutes(matrix)]
        assert all((matrix >= 0).all() for matrix in commuting)
        assert len(commuting) == sum(1 for _ in itertools.permutations(range(size)))
    for matrix in ortho_group.rvs(4, size=20, random_state=0):
        negative = relu(-matrix)
        # One rounding of the products with ones and zeros.
        np.testing.assert_allclose(relu(matrix) - matrix, negative, atol=1e-15)
        assert negative.any()
        assert not commutes(matrix)


def test_no_small_rotation_commutes():
    """Next to the identity there is none: the remnant symmetry has no generator in so(D)."""
    for angle in [1e-6, 0.1, 1.0, np.pi / 2, 3.0]:
        for turn in (angle, -angle):
            cosine, sine = np.cos(turn), np.sin(turn)
            assert not commutes(np.array([[cosine, -sine], [sine, cosine]]))


def test_two_entries_in_a_row_do_not_commute():
    assert not commutes(np.array([[1.0, 1.0], [0.0, 1.0]]))
    assert commutes(np.array([[0.0, 2.0], [0.5, 0.0]]))
    assert not commutes(np.array([[0.0, -2.0], [0.5, 0.0]]))


# Theorem 1


def test_affine_stacks_are_affine_and_relu_stacks_are_not():
    result = theorem1()
    assert result.arrays["dimension"].tolist() == [16, 24]
    assert {result.arrays[name].shape for name in ("affine_defect", "relu_defect")} == {(2, 2)}
    assert result.numbers["affine_defect_max"] <= 1e-12
    assert result.numbers["composition_defect_max"] <= 1e-12
    assert result.numbers["relu_defect_min"] >= BROKEN
    assert result.numbers["relu_composition_defect_min"] >= BROKEN


def test_a_nonlinearity_that_does_nothing_is_told(monkeypatch):
    monkeypatch.setattr(layers_module, "relu", lambda values: values)
    numbers = theorem1().numbers
    assert numbers["relu_defect_min"] <= 1e-12
    assert numbers["relu_composition_defect_min"] <= 1e-12


def test_layers_that_are_slightly_bent_are_told(monkeypatch):
    def bent(layer, inputs):
        return affine(layer, inputs) + 1e-9 * inputs**2

    monkeypatch.setattr(layers_module, "affine", bent)
    numbers = theorem1().numbers
    assert numbers["affine_defect_max"] > 1e-12
    assert numbers["composition_defect_max"] > 1e-12


# Theorem 2


def test_a_relu_keeps_the_norm_of_the_positive_part_alone():
    numbers = theorem2().numbers
    assert numbers["positive_part_difference_max"] == 0
    assert numbers["inside_difference_max"] <= 1e-12
    assert numbers["across_difference_min"] >= BROKEN
    assert numbers["affine_difference_min"] >= BROKEN
    assert numbers["remnant_share_max"] < 1


def test_positive_entries_are_counted():
    arrays = theorem2(num_vectors=300).arrays
    sizes = arrays["remnant_dimension"]
    generator = numpy_generator(0, "theorem2", 32)
    assert sizes.tolist() == [(generator.standard_normal((300, 32)) > 0).sum(axis=1).tolist()]
    # Bin k of 33 holds D' = k alone, and both laws are normalised up to rounding.
    assert arrays["counted"][0, 16] == pytest.approx((sizes == 16).mean())
    assert arrays["binomial"][0, 1] == pytest.approx(32 / 2**32)
    np.testing.assert_allclose(arrays["counted"].sum(axis=1), 1, rtol=ROUNDING)
    np.testing.assert_allclose(arrays["binomial"].sum(axis=1), 1, rtol=ROUNDING)
    # Five standard deviations of a mean of 300 · 32 fair coins.
    assert sizes.mean() / 32 == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(300 * 32))


def test_small_vectors_may_keep_all_of_the_symmetry_or_none():
    result = theorem2((4,), 200)
    sizes = result.arrays["remnant_dimension"]
    assert {0, 4} <= {*sizes.ravel().tolist()}  # each has probability 1/16
    assert result.numbers["remnant_share_max"] == 1
    assert result.numbers["inside_difference_max"] <= 1e-12
    assert not result.arrays["inside"][sizes == 0].any()


def test_rotations_keep_the_norm_before_the_relu_and_affine_maps_do_not():
    """Theorem 2 starts from an invariant of Aff(D); only O(D) has this one."""
    generator = np.random.default_rng(0)
    vector = generator.standard_normal(8)
    rotated = ortho_group.rvs(8, random_state=generator) @ vector
    assert rotated @ rotated == pytest.approx(vector @ vector, rel=ROUNDING)
    for moved in (vector + 1, 2 * vector):
        assert abs(moved @ moved / (vector @ vector) - 1) > BROKEN


@pytest.mark.parametrize(
    ("changed", "number"),
    [
        (lambda values: np.maximum(values, 1e-5 * values), "positive_part_difference_max"),
        (lambda values: values, "across_difference_min"),
    ],
)
def test_another_nonlinearity_is_told(monkeypatch, changed, number):
    right = theorem2().numbers[number]
    monkeypatch.setattr(layers_module, "relu", changed)
    wrong = theorem2().numbers[number]
    assert (right == 0 and wrong > 0) or (right > BROKEN and wrong < 1e-12)


# Theorem 3


def test_the_remnant_symmetry_carries_through_layers_and_rotations_do_not():
    result = theorem3()
    assert result.arrays["remnant_pair"].shape == (2, 2)
    assert result.numbers["commutator_max"] <= 1e-12
    assert result.numbers["covariance_defect_max"] <= 1e-12
    assert result.numbers["pair_defect_max"] <= 1e-12
    assert result.numbers["rotation_commutator_min"] >= BROKEN
    assert result.numbers["rotation_defect_min"] >= BROKEN


def test_without_a_relu_rotations_carry_through_as_well(monkeypatch):
    monkeypatch.setattr(layers_module, "relu", lambda values: values)
    assert theorem3().numbers["rotation_defect_min"] <= 1e-12


def test_a_negative_scaling_is_told(monkeypatch):
    def reflected(generator, dimension):
        matrix = remnant(generator, dimension)
        matrix[0] *= -1
        return matrix

    monkeypatch.setattr(layers_module, "remnant", reflected)
    numbers = theorem3().numbers
    for name in ("commutator_max", "covariance_defect_max", "pair_defect_max"):
        assert numbers[name] > BROKEN


def test_transformed_layers_are_computed_by_hand():
    layers = np.array([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    scalings = np.stack([np.diag([2.0, 4.0]), np.diag([8.0, 16.0])])
    assert transformed(layers, scalings).tolist() == [[[4.0, 4.0, 24.0], [32.0, 20.0, 96.0]]]


def test_each_layer_has_to_undo_what_was_done_to_the_one_before():
    """Section 2.2 prints W_t(Q) = Q_t W_t Q_t⁻¹: covariant only if all layers share one Q."""
    generator = np.random.default_rng(0)
    layers = random_layers(generator, 2, 16)
    inputs = generator.standard_normal((10, 16))
    outputs = stacked(layers, inputs, relu)
    several = np.stack([remnant(generator, 16) for _ in range(3)])

    def defect(matrices, start, end):
        as_printed = np.concatenate(
            [matrices @ layers[:, :, :-1] @ np.linalg.inv(matrices), matrices @ layers[:, :, -1:]],
            axis=-1,
        )
        return relative_difference(stacked(as_printed, inputs @ start.T, relu), outputs @ end.T)

    one = several[[0, 0]]
    assert defect(one, several[0], several[0]) <= 1e-12
    assert defect(several[1:], several[1], several[2]) > BROKEN


# Both random and reproducible


@pytest.mark.parametrize("theorem", [theorem1, theorem2, theorem3])
def test_the_same_seed_gives_the_same_bits(theorem):
    first, second = theorem().arrays, theorem().arrays
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_seeds_and_stacks_differ():
    parameters = Theorem1Parameters((16,), num_layers=2, num_stacks=2, inputs_per_dimension=4)
    defects = [measure(parameters, seed).arrays["relu_defect"] for seed in (0, 1)]
    assert len({*np.ravel(defects).tolist()}) == 4
