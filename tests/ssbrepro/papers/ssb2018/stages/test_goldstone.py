"""Masses around the vacua of ssb2018, derived by symbols, and where the paper's formulas differ."""

from pathlib import Path

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from ssbrepro.contract import Context
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018.potential import Potential
from ssbrepro.papers.ssb2018.stages.goldstone import Parameters as GoldstoneParameters

MU, COUPLING, STEP_SIZE = sympy.symbols("mu lambda eta", positive=True)
PI = sympy.symbols("pi1:3", real=True)
SIGMA = sympy.symbols("sigma", real=True)
THERMAL = COUPLING * STEP_SIZE**2 / 4
MASS_SQUARED = -(MU**2) + THERMAL


def value(square):
    return MASS_SQUARED * square / 2 + COUPLING * square**2 / 4


def expanded(radius):
    """V as a polynomial of SIGMA, across the vacuum at ``radius``, and of PI, along the minima."""
    square = (radius + SIGMA) ** 2 + sum(weight**2 for weight in PI)
    return sympy.Poly(sympy.expand(value(square)), SIGMA, *PI)


def mass(polynomial, weight):
    """Twice the coefficient of the weight's square."""
    return sympy.simplify(2 * polynomial.coeff_monomial(weight**2))


def measure(mu=1.0, coupling=0.25, dimension=3, seed=0, num_step_sizes=5):
    parameters = GoldstoneParameters(mu, coupling, dimension, num_step_sizes)
    return stage("ssb2018/goldstone").run(parameters, Context(seed, "cpu", Path("unused")))


# By symbols.


def test_masses_around_the_zero_temperature_vacuum():
    around = expanded(MU / sympy.sqrt(COUPLING))
    assert [mass(around, weight) - THERMAL for weight in PI] == [0, 0]
    assert sympy.expand(mass(around, SIGMA) - (2 * MU**2 + THERMAL)) == 0
    # No minimum once η > 0: V falls towards w = 0 there.
    slope = around.coeff_monomial(SIGMA)
    assert sympy.simplify(slope - THERMAL * MU / sympy.sqrt(COUPLING)) == 0


def test_masses_around_the_vacuum_of_the_same_step_size():
    around = expanded(sympy.sqrt(-MASS_SQUARED / COUPLING))
    assert sympy.simplify(around.coeff_monomial(SIGMA)) == 0
    assert [mass(around, weight) for weight in PI] == [0, 0]
    assert sympy.simplify(mass(around, SIGMA) + 2 * MASS_SQUARED) == 0


def test_the_paper_drops_a_term_that_is_not_small():
    # Eq. 4 is what the quadratic term alone gives. The quartic one adds 3 λ v² = -3 m², whatever λ.
    paper = MASS_SQUARED
    radius = sympy.sqrt(-MASS_SQUARED / COUPLING)
    square = (radius + SIGMA) ** 2 + sum(weight**2 for weight in PI)
    quadratic = sympy.Poly(sympy.expand(MASS_SQUARED * square / 2), SIGMA, *PI)
    assert sympy.simplify(mass(quadratic, SIGMA) - paper) == 0
    dropped = mass(expanded(radius), SIGMA) - mass(quadratic, SIGMA)
    assert sympy.simplify(dropped + 3 * MASS_SQUARED) == 0
    # Around the other vacuum it is off by 3 μ².
    cold = mass(expanded(MU / sympy.sqrt(COUPLING)), SIGMA)
    assert sympy.simplify(cold - paper - 3 * MU**2) == 0


def test_the_gradient_does_not_vanish_where_the_paper_has_the_sum_of_squares():
    square = sympy.symbols("s", positive=True)
    slope = sympy.diff(value(square), square)
    v = sympy.sqrt(-MASS_SQUARED / COUPLING)
    assert sympy.simplify(slope.subs(square, v**2)) == 0
    assert sympy.simplify(slope.subs(square, v)) != 0


@pytest.mark.parametrize("dimension", [1, 2, 3, 5])
def test_the_thermal_mass_of_the_paper_is_that_of_one_component(dimension):
    # One loop at high temperature T: ⟨w_i w_j⟩ = T²/12 δ_ij shifts m² by the mean of ∂_i ∂_j of the
    # quartic term (Kapusta & Gale, 2006): λ (D + 2) T²/12.
    weights = sympy.symbols(f"w:{dimension}", real=True)
    quartic = COUPLING * sum(weight**2 for weight in weights) ** 2 / 4
    curvature = sympy.expand(sympy.diff(quartic, weights[0], 2))
    shift = curvature.subs({weight: STEP_SIZE / sympy.sqrt(12) for weight in weights})
    assert sympy.simplify(shift - COUPLING * (dimension + 2) * STEP_SIZE**2 / 12) == 0
    assert (sympy.simplify(shift - THERMAL) == 0) == (dimension == 1)


# The stage.


@settings(max_examples=20)  # each a whole stage
@given(st.floats(0.05, 20.0), st.floats(0.05, 20.0), st.integers(2, 6), st.integers(0, 9))
def test_measured_masses_are_the_formulas_for_any_constants(mu, coupling, dimension, seed):
    numbers = measure(mu, coupling, dimension, seed, num_step_sizes=3).numbers
    # Eigenvalues of order μ², of small matrices in float64.
    for name in (
        "pi_residual_max",
        "sigma_residual_max",
        "pi_zero_temperature",
        "thermal_pi_max",
        "thermal_sigma_residual_max",
        "vacuum_residual",
    ):
        assert numbers[name] <= 1e-13, name
    # 3 μ² over 2 μ²; and v² - v over v².
    v = mu / coupling**0.5
    assert numbers["paper_sigma_difference"] == pytest.approx(1.5, rel=1e-13)
    assert numbers["paper_radius_difference"] == pytest.approx(abs(1 - 1 / v), abs=1e-13)


def test_arrays_over_the_step_size():
    arrays = measure(num_step_sizes=3).arrays
    assert arrays["step_size"].tolist() == [0, 0.5, 1]
    expected = {
        "pi": [[0, 0], [0.25, 0.25], [1, 1]],
        "sigma": [2, 2.25, 3],
        "thermal_pi": [[0, 0]] * 3,
        "thermal_sigma": [2, 1.5, 0],
        "pi_expected": [0, 0.25, 1],
        "sigma_expected": [2, 2.25, 3],
        "thermal_pi_expected": [0, 0, 0],
        "thermal_sigma_expected": [2, 1.5, 0],
        "paper_sigma": [-1, -0.75, 0],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(arrays[name], values, atol=1e-14, err_msg=name)


def test_the_paper_is_right_about_the_radius_where_v_is_one():
    assert measure(mu=0.5, coupling=0.25).numbers["paper_radius_difference"] <= 1e-15


def test_a_vacuum_at_the_radius_of_the_paper_is_told_apart(monkeypatch):
    radius = Potential.vacuum_radius
    monkeypatch.setattr(Potential, "vacuum_radius", lambda field, eta: radius(field, eta) ** 0.5)
    numbers = measure().numbers
    assert numbers["vacuum_residual"] > 0.1
    assert numbers["pi_residual_max"] > 0.1
    assert numbers["sigma_residual_max"] > 0.1
    assert numbers["thermal_pi_max"] > 0.1
    assert numbers["thermal_sigma_residual_max"] > 0.1


@pytest.mark.parametrize("dimension", [1, 0])
def test_one_weight_has_no_goldstone_mode(dimension):
    with pytest.raises(ValueError, match="no continuous symmetry"):
        measure(dimension=dimension)
