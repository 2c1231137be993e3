"""The potential of ssb2018: closed forms, by symbols and by numbers, and the points of fig. 1."""

import math
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from ssbrepro.contract import Context
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018.potential import Potential
from ssbrepro.papers.ssb2018.stages import potential as potential_stage
from ssbrepro.papers.ssb2018.stages.potential import Parameters as PotentialParameters

MU, COUPLING, STEP_SIZE = sympy.symbols("mu lambda eta", positive=True)
MASS_SQUARED = -(MU**2) + COUPLING * STEP_SIZE**2 / 4

positive = st.floats(0.05, 20.0)
shares = st.floats(0.0, 0.99)
dimensions = st.integers(1, 8)


def symbolic_value(weights):
    square = sum(weight**2 for weight in weights)
    return MASS_SQUARED * square / 2 + COUPLING * square**2 / 4


def measure(mu=1.3, coupling=0.7, symmetric_step_size=1.2, broken_step_size=0.4, num_points=9):
    parameters = PotentialParameters(
        mu, coupling, symmetric_step_size, broken_step_size, extent=1.5, num_points=num_points
    )
    return stage("ssb2018/potential").run(parameters, Context(0, "cpu", Path("unused")))


def point(dimension, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(dimension, generator=generator, dtype=torch.float64)


# The potential.


def test_the_curvature_at_zero_vanishes_at_the_critical_step_size_alone():
    (w,) = weights = sympy.symbols("w:1", real=True)
    curvature = sympy.diff(symbolic_value(weights), w, 2).subs(w, 0)
    assert sympy.solve(curvature, STEP_SIZE) == [2 * MU / sympy.sqrt(COUPLING)]


def test_minima_and_their_height_by_symbols():
    (w,) = weights = sympy.symbols("w:1", real=True)
    value = symbolic_value(weights)
    minimum = sympy.sqrt(-MASS_SQUARED / COUPLING)
    assert sympy.simplify(sympy.diff(value, w).subs(w, minimum)) == 0
    assert sympy.simplify(sympy.diff(value, w, 2).subs(w, minimum) + 2 * MASS_SQUARED) == 0
    assert sympy.simplify(value.subs(w, minimum) + MASS_SQUARED**2 / (4 * COUPLING)) == 0
    # B, where the curvature changes sign.
    inflection = sympy.sqrt(-MASS_SQUARED / (3 * COUPLING))
    assert sympy.simplify(sympy.diff(value, w, 2).subs(w, inflection)) == 0


@pytest.mark.parametrize("dimension", [1, 3])
def test_value_and_derivatives_are_those_of_symbols(dimension):
    weights = sympy.symbols(f"w:{dimension}", real=True)
    value = symbolic_value(weights)
    constants = {MU: 1.3, COUPLING: 0.7, STEP_SIZE: 0.9}
    given_weights = point(dimension)
    places = constants | dict(zip(weights, given_weights.tolist(), strict=True))
    field = Potential(1.3, 0.7)
    # A handful of float64 operations on numbers of order one.
    assert float(field.value(given_weights, 0.9)) == pytest.approx(
        float(value.subs(places)), rel=1e-13
    )
    slopes = [float(sympy.diff(value, weight).subs(places)) for weight in weights]
    np.testing.assert_allclose(field.gradient(given_weights, 0.9), slopes, rtol=1e-13)
    curvatures = sympy.hessian(value, weights).subs(places).tolist()
    received = field.hessian(given_weights, 0.9)
    np.testing.assert_allclose(received, np.array(curvatures, float), rtol=1e-13)


@given(positive, positive, shares, dimensions)
def test_v_does_not_know_directions(mu, coupling, share, dimension):
    field = Potential(mu, coupling)
    step_size = share * field.critical_step_size
    rotation, _ = torch.linalg.qr(
        torch.stack([point(dimension, seed) for seed in range(dimension)])
    )
    batch = field.weight_unit * torch.stack([point(dimension, 20), rotation @ point(dimension, 20)])
    plain, rotated = field.value(batch, step_size)
    # Two terms of opposite sign, each of some tens of natural units, rounded.
    assert float((rotated - plain) / field.height_unit) == pytest.approx(0, abs=1e-11)


@given(positive, positive, shares, dimensions)
def test_the_gradient_vanishes_at_the_vacuum_radius(mu, coupling, share, dimension):
    field = Potential(mu, coupling)
    step_size = share * field.critical_step_size
    direction = torch.nn.functional.normalize(point(dimension), dim=0)
    slope = field.gradient(field.vacuum_radius(step_size) * direction, step_size)
    # m² w + λ (w·w) w = 0: two equal terms of at most one natural unit, μ³/√λ.
    assert float(slope.norm()) <= 1e-14 * field.height_unit / field.weight_unit


@given(positive, positive)
@example(1.0, 3.0)  # m² rounds to something positive here
@example(1.0, 2.0)  # and to something negative here
def test_at_the_critical_step_size_both_phases_agree(mu, coupling):
    field = Potential(mu, coupling)
    critical = field.critical_step_size
    assert field.vacuum_radius(critical) == 0
    assert field.vacuum_radius(math.nextafter(critical, math.inf)) == 0
    # Just below, the radius is the root of a rounded difference of equal numbers.
    below = field.vacuum_radius(math.nextafter(critical, 0))
    assert 0 <= below <= 1e-7 * field.weight_unit
    assert field.vacuum_radius(0) == pytest.approx(field.weight_unit, rel=1e-15)


@given(positive, positive, st.floats(0.0, 0.99), st.floats(0.001, 1.0))
def test_the_radius_shrinks_as_the_step_size_grows(mu, coupling, share, more):
    field = Potential(mu, coupling)
    critical = field.critical_step_size
    near, far = share * critical, (share + more) * critical
    assert field.vacuum_radius(far) < field.vacuum_radius(near)
    # radius² over the one at 0 is 1 - (η/η_c)²; the root doubles rounding near the critical one.
    shrunk = (field.vacuum_radius(near) / field.weight_unit) ** 2
    assert shrunk == pytest.approx(1 - share**2, abs=1e-14)


@pytest.mark.parametrize("number", [0.0, -1.0, math.inf, -math.inf, math.nan, 1e31, 1e-31])
@pytest.mark.parametrize("name", ["mu", "coupling"])
def test_constants_that_make_no_potential_are_refused(name, number):
    with pytest.raises(ValueError, match=name):
        Potential(**{"mu": 1.0, "coupling": 1.0, name: number})


@pytest.mark.parametrize("step_size", [-1e-9, math.inf, math.nan, 1e61])
@pytest.mark.parametrize("method", ["mass_squared", "vacuum_radius"])
def test_a_step_size_that_is_none_is_refused(method, step_size):
    with pytest.raises(ValueError, match="step size"):
        getattr(Potential(1.0, 1.0), method)(step_size)
    with pytest.raises(ValueError, match="step size"):
        Potential(1.0, 1.0).value(torch.zeros(2, dtype=torch.float64), step_size)


@pytest.mark.parametrize("weights", [torch.zeros(2), torch.tensor(0.0, dtype=torch.float64)])
def test_weights_of_another_kind_are_refused(weights):
    with pytest.raises(ValueError, match="float64"):
        Potential(1.0, 1.0).value(weights, 0.0)


# The stage.


@pytest.mark.parametrize(
    ("mu", "coupling", "above", "below"),
    [(1.0, 0.25, 1.1, 0.25), (0.03, 40.0, 3.0, 0.9), (7.0, 1e-4, 1.01, 0.999)],
)
def test_the_marked_points_are_where_the_formulas_have_them(mu, coupling, above, below):
    numbers = measure(mu, coupling, above, below).numbers
    # In natural units all are functions of η/η_c alone. Near the critical one the differences of
    # rounded numbers are some 1e-16 over 1 - (η/η_c)² ≥ 2e-3, squared for heights.
    left = 1 - below**2
    assert numbers["critical_step_size_residual"] <= 1e-14
    assert numbers["minimum_residual"] <= 1e-11
    assert numbers["height_c_residual"] <= 1e-9
    assert numbers["curvature_a_symmetric"] == pytest.approx(above**2 - 1, rel=1e-11)
    assert numbers["curvature_a_broken"] == pytest.approx(-left, rel=1e-11)
    assert numbers["curvature_c"] == pytest.approx(2 * left, rel=1e-11)
    assert numbers["height_c"] == pytest.approx(-(left**2) / 4, rel=1e-9)
    # The same weights above the critical one, where m² = (η/η_c)² - 1 is positive.
    expected = (above**2 - 1) * left / 2 + left**2 / 4
    assert numbers["height_c_symmetric"] == pytest.approx(expected, rel=1e-9)


def test_curves_and_points_in_natural_units():
    arrays = measure(symmetric_step_size=1.2, broken_step_size=0.6, num_points=3).arrays
    # η = 0.6 η_c has -m² = 0.64 μ², so C = 0.8 and V(C) = -0.64²/4; ends at 1.5 times C.
    weights = np.array([-1.2, 0.0, 1.2])
    for name, mass in (("broken", -0.64), ("symmetric", 0.44)):
        expected = np.column_stack([weights, mass * weights**2 / 2 + weights**4 / 4])
        np.testing.assert_allclose(arrays[name], expected, atol=1e-14)
    np.testing.assert_allclose(arrays["a"], [[0, 0]], atol=0)
    np.testing.assert_allclose(arrays["c"], [[-0.8, -0.1024], [0.8, -0.1024]], rtol=1e-14)
    inflection = 0.8 / math.sqrt(3)
    # V at w² = -m²/(3λ) is -m⁴ (1/6 - 1/36)/λ = -5 m⁴/(36 λ).
    height = -5 * 0.64**2 / 36
    np.testing.assert_allclose(
        arrays["b"], [[-inflection, height], [inflection, height]], rtol=1e-14
    )


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("critical_step_size_residual", {"critical_step_size": property(lambda field: field.mu)}),
        ("minimum_residual", {"vacuum_radius": lambda field, step_size: field.mu}),
    ],
)
def test_a_wrong_formula_is_told_apart(monkeypatch, name, wrong):
    for attribute, formula in wrong.items():
        monkeypatch.setattr(Potential, attribute, formula)
    assert measure().numbers[name] > 0.01


def test_both_minima_on_one_side_are_told_apart(monkeypatch):
    found = potential_stage._minimum
    monkeypatch.setattr(
        potential_stage, "_minimum", lambda field, start, eta: found(field, abs(start), eta)
    )
    assert measure().numbers["minimum_residual"] == pytest.approx(2)


def test_a_descent_that_ends_nowhere_is_no_result(monkeypatch):
    monkeypatch.setattr(potential_stage, "_SLOPE", -1.0)
    with pytest.raises(RuntimeError, match="no minimum found from"):
        measure()
