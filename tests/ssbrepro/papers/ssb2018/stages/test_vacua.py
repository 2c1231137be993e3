"""Minima of D weights: how many generators move them, and how many modes cost nothing (fig. 2)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssbrepro.contract import Context
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018 import rotations
from ssbrepro.papers.ssb2018.potential import Potential
from ssbrepro.papers.ssb2018.rotations import (
    orthogonal_group_dimension,
    random_directions,
    rotation_generators,
)
from ssbrepro.papers.ssb2018.stages.vacua import Parameters as VacuaParameters


def measure(mu=1.0, coupling=0.25, step_size=0.5, seed=0, num_points=7):
    parameters = VacuaParameters(mu, coupling, step_size, 5, extent=1.5, num_points=num_points)
    return stage("ssb2018/vacua").run(parameters, Context(seed, "cpu", Path("unused")))


@given(st.integers(2, 12))
def test_generators_are_a_basis_of_the_antisymmetric_matrices(dimension):
    basis = rotation_generators(dimension)
    assert len(basis) == orthogonal_group_dimension(dimension)
    assert torch.equal(basis, -basis.mT)
    # Each has two entries of its own, 1 and -1.
    assert torch.equal(
        torch.einsum("aij,bij->ab", basis, basis), 2 * torch.eye(len(basis)).double()
    )


@given(st.integers(2, 8), st.integers(0, 99))
def test_finite_rotations_leave_v_and_their_generators_leave_the_slope(dimension, seed):
    field = Potential(1.3, 0.7)
    generator = torch.Generator().manual_seed(seed)
    (direction,) = random_directions(dimension, 1, generator)
    weights = 1.7 * direction
    basis = rotation_generators(dimension)
    # Antisymmetric: exactly orthogonal to w, up to rounding of numbers of order ten.
    assert float((basis @ weights @ field.gradient(weights, 0.4)).abs().max()) <= 1e-13
    mixture = torch.randn(len(basis), generator=generator, dtype=torch.float64)
    rotation = torch.linalg.matrix_exp(torch.einsum("a,aij->ij", mixture, basis))
    heights = field.value(torch.stack([weights, rotation @ weights]), 0.4)
    # The exponential of a matrix in float64 is orthogonal to some 1e-12.
    assert float(heights.diff()) == pytest.approx(0, abs=1e-10)


@given(st.integers(2, 8), st.integers(0, 99))
def test_generators_that_move_a_vacuum_are_its_zero_modes(dimension, seed):
    field = Potential(1.3, 0.7)
    (direction,) = random_directions(dimension, 1, torch.Generator().manual_seed(seed))
    vacuum = field.vacuum_radius(0.4) * direction
    moved = rotation_generators(dimension) @ vacuum
    # Goldstone's theorem itself: the Hessian, of order one, takes every displacement to zero.
    assert float((moved @ field.hessian(vacuum, 0.4)).abs().max()) <= 1e-13


def test_directions_are_unit_vectors_of_the_generator_alone():
    def directions():
        return random_directions(4, 5, torch.Generator().manual_seed(3))

    assert torch.equal(directions(), directions())
    # Roundings of four squares, two roots and a quotient.
    torch.testing.assert_close(directions().norm(dim=1), torch.ones(5).double(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("dimension", [1, 0, -3])
def test_there_is_no_continuous_symmetry_below_two_dimensions(dimension):
    with pytest.raises(ValueError, match="no continuous symmetry"):
        rotation_generators(dimension)
    with pytest.raises(ValueError, match="no continuous symmetry"):
        random_directions(dimension, 1, torch.Generator())


@settings(max_examples=20)  # each a whole stage
@given(st.floats(0.05, 20.0), st.floats(0.05, 20.0), st.floats(0.0, 0.99), st.integers(0, 9))
def test_counts_are_those_of_the_groups_for_any_constants(mu, coupling, step_size, seed):
    result = measure(mu, coupling, step_size, seed)
    assert result.numbers["num_wrong_counts"] == 0
    assert result.numbers["num_wrong_generators"] == 0
    # 2|m²| is at least 0.04 μ², the terms that cancel in a zero mode are at most μ²; for heights,
    # the depth is at least 1e-4 μ⁴/λ. Rounding over that.
    assert result.numbers["zero_mode_max"] <= 1e-12
    assert result.numbers["radial_residual_max"] <= 1e-12
    assert result.numbers["height_spread"] <= 1e-11


def test_rows_of_each_dimension():
    arrays = measure().arrays
    assert arrays["dimension"].tolist() == [2, 3, 4, 5]
    for name in ("num_goldstone", "num_broken", "num_zero_modes"):
        assert arrays[name].tolist() == [1, 2, 3, 4]
    for size, row in zip(arrays["dimension"], arrays["eigenvalues"], strict=True):
        assert np.isnan(row[size:]).all()
        np.testing.assert_allclose(row[:size], [0.0] * (size - 1) + [1.0], atol=1e-13)


def test_the_surface_is_the_slice_at_third_weight_zero():
    arrays = measure(step_size=0.6, num_points=5).arrays
    # -m² = 0.64 μ²: the minima at 0.8, of height -0.64²/4; drawn up to 1.5 times as far.
    np.testing.assert_allclose(arrays["radii"], np.linspace(0, 1.2, 5), atol=1e-15)
    np.testing.assert_allclose(arrays["angles"], np.linspace(0, 2 * np.pi, 5))
    expected = -0.32 * arrays["radii"] ** 2 + arrays["radii"] ** 4 / 4
    np.testing.assert_allclose(arrays["heights"], np.tile(expected[:, None], 5), atol=1e-15)
    turn = [[1, 0], [0, 1], [-1, 0], [0, -1], [1, 0]]
    np.testing.assert_allclose(arrays["circle"][:, :2], 0.8 * np.array(turn), atol=1e-15)
    np.testing.assert_allclose(arrays["circle"][:, 2], -0.1024, rtol=1e-14)


def test_the_same_seed_gives_the_same_bits_and_another_one_other_vacua():
    first, again, other = (measure(seed=seed).arrays["eigenvalues"] for seed in (0, 0, 1))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_a_term_that_singles_out_a_weight_is_told_apart(monkeypatch):
    symmetric = Potential.value

    def with_explicit_breaking(field, weights, step_size):
        return symmetric(field, weights, step_size) + 1e-6 * weights[..., 0] ** 2

    monkeypatch.setattr(Potential, "value", with_explicit_breaking)
    numbers = measure().numbers
    assert numbers["num_wrong_counts"] == 4
    assert numbers["zero_mode_max"] > 1e-8
    assert numbers["height_spread"] > 1e-8


def test_a_generator_left_out_is_told_apart(monkeypatch):
    complete = rotation_generators
    monkeypatch.setattr(rotations, "rotation_generators", lambda dimension: complete(dimension)[:1])
    assert measure().numbers["num_wrong_generators"] == 3  # for O(2) one is all
