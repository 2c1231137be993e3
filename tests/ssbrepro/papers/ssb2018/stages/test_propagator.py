"""The propagator against the closed form, against other integrals, and its signs against algebra."""

import math
from pathlib import Path

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from sympy.calculus.euler import euler_equations

from ssbrepro.contract import Context
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018 import propagator
from ssbrepro.papers.ssb2018.propagator import closed_form, inverse_transform
from ssbrepro.papers.ssb2018.stages.propagator import Parameters as PropagatorParameters


def measure(**changes):
    given = {
        "mu": 1.0,
        "coupling": 1.0,
        "step_size": 0.1,
        "momentum_range": (1e-3, 10.0),
        "num_momenta": 9,
        "max_time": 10.0,
        "num_times": 5,
    }
    parameters = PropagatorParameters(**given | changes)
    return stage("ssb2018/propagator").run(parameters, Context(0, "cpu", Path("unused")))


@given(
    mass_squared=st.floats(0, 1e4),
    momentum=st.floats(1e-4, 1e4),
    cycles=st.floats(-100, 100),
)
def test_the_transform_is_the_closed_form(mass_squared, momentum, cycles):
    frequency = math.sqrt(mass_squared + momentum**2)
    time = cycles / frequency
    exact = closed_form(mass_squared, momentum, time)
    difference = abs(inverse_transform(mass_squared, momentum, time) - exact)
    # The phase ω t is rounded, in up to a thousand terms.
    assert difference <= 1e-14 * (1 + abs(cycles)) * abs(exact)


def test_at_time_zero_it_is_the_integral_along_the_imaginary_axis():
    # The path may be turned onto ω = iE without passing a pole: dω/(ω² - ω₀²) = -i dE/(E² + ω₀²).
    euclidean = quad(lambda energy: 1 / (energy**2 + 0.3 + 0.4**2), -np.inf, np.inf)[0]
    received = inverse_transform(0.3, 0.4, 0.0)
    assert received == pytest.approx(-1j * euclidean / (2 * math.pi), rel=1e-8)  # that of quad


@pytest.mark.parametrize("time", [0.7, -0.7, 4.0])
def test_it_is_the_limit_of_integrals_along_the_real_axis_with_m2_minus_i_epsilon(time):
    def along_the_axis(epsilon):
        def integrand(omega, part):
            value = math.cos(omega * time) / (omega**2 - 1 + 1j * epsilon) / math.pi
            return getattr(value, part)

        near = [
            quad(integrand, 0, 2, args=(part,), points=[1], limit=200)[0]
            for part in ("real", "imag")
        ]
        far = [
            quad(lambda omega, part=part: getattr(1 / (omega**2 - 1 + 1j * epsilon), part) / math.pi,
                 2, np.inf, weight="cos", wvar=time)[0]
            for part in ("real", "imag")
        ]  # fmt: skip
        return complex(*near) + complex(*far)

    # P is analytic in m², so 2 P(ε/2) - P(ε) leaves an error of order (ε t)²/8 at |P| = 1/2. Any
    # other way around the poles differs by order 1.
    limit = 2 * along_the_axis(0.01) - along_the_axis(0.02)
    assert limit == pytest.approx(complex(inverse_transform(0.64, 0.6, time)), abs=1e-3)


def test_the_trapezoid_rule_is_off_by_what_the_nearest_pole_says(monkeypatch):
    exact = closed_form(1.0, 0.0, 1.0)
    for step in (1 / 4, 1 / 6, 1 / 8):
        monkeypatch.setattr(propagator, "_STEP", step)
        error = abs(inverse_transform(1.0, 0.0, 1.0) - exact) / abs(exact)
        predicted = math.exp(-2 * math.pi * 0.342 / step)
        assert predicted / 5 < error < 5 * predicted  # the phase of a term is not predicted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 0.0, 1.0), "k² \\+ m² is 0.0"),
        ((-1.0, [2.0, 0.5], 1.0), "k² \\+ m² is -0.75"),
        ((math.nan, 1.0, 1.0), "mass is not finite"),
        ((1.0, math.inf, 1.0), "momentum is not finite"),
        ((1.0, 1.0, [0.0, -math.inf]), "time is not finite"),
    ],
)
@pytest.mark.parametrize("function", [inverse_transform, closed_form])
def test_what_has_no_transform_is_refused(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)


def test_shapes_broadcast():
    transform = inverse_transform([[0.5], [2.0]], [1.0, 2.0, 3.0], 0.3)
    assert transform.shape == (2, 3)
    assert transform[1, 2] == inverse_transform(2.0, 3.0, 0.3)


def test_the_stage_measures_three_fields():
    result = measure(mu=2.0, coupling=3.0, step_size=0.25)
    # In units of μ²: λη²/4 = step_size², and 2 more across the minima. Some roundings.
    np.testing.assert_allclose(
        result.arrays["mass_squared"], [0, 0.0625, 2.0625], rtol=1e-15, atol=1e-15
    )
    assert result.arrays["transform"].shape == (3, 5, 9)
    numbers = result.numbers
    assert numbers["transform_residual_max"] < 1e-12  # 1e-14 times the largest phase, 100
    assert numbers["pi_slope_residual"] < 1e-12
    assert numbers["pi_slope"] == pytest.approx(-1, abs=1e-12)
    # At k = 1e-3, 2 m abs(P) = (1 + k²/m²)^-1/2.
    assert numbers["sigma_excess"] == pytest.approx(-0.5e-6 / 2.0625, rel=1e-3)
    # d log|P| / d log|k| = -k²/(k² + m²), between k = 1e-3 and 1e-3 · 10^(1/2).
    low, high = 1e-6, 1e-5
    expected = -math.log((high + 0.0625) / (low + 0.0625)) / math.log(high / low)
    assert numbers["warm_pi_slope"] == pytest.approx(expected, rel=1e-6)
    # Where pi has a mass it stays finite and does not follow the power; where sigma had none, it would
    # be as large as pi: m/k at the smallest momentum.
    assert 0.1 < numbers["warm_pi_slope_residual"] < 1
    assert numbers["pi_excess"] == pytest.approx(math.sqrt(2.0625) / 1e-3 - 1, rel=1e-9)


def test_without_temperature_both_pi_are_massless():
    numbers = measure(step_size=0.0).numbers
    assert numbers["warm_pi_slope"] == pytest.approx(-1, abs=1e-12)
    assert numbers["warm_pi_slope_residual"] == numbers["pi_slope_residual"]


def with_transform(monkeypatch, change):
    monkeypatch.setattr(
        propagator,
        "inverse_transform",
        lambda mass_squared, momentum, time: change(closed_form(mass_squared, momentum, time)),
    )
    return measure().numbers


def test_the_other_time_direction_is_told(monkeypatch):
    numbers = with_transform(monkeypatch, np.conj)
    assert numbers["transform_residual_max"] == pytest.approx(2, rel=1e-9)


def test_another_divergence_is_told(monkeypatch):
    numbers = with_transform(monkeypatch, np.square)
    assert numbers["pi_slope"] == pytest.approx(-2, abs=1e-9)
    assert numbers["pi_slope_residual"] == pytest.approx(1, abs=1e-9)


def test_a_larger_sigma_is_told(monkeypatch):
    numbers = with_transform(monkeypatch, lambda value: 2 * value)
    assert numbers["sigma_excess"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"momentum_range": (1.0, 1.0)},
        {"momentum_range": (2.0, 1.0)},
        {"momentum_range": (1.0, math.inf)},
        {"max_time": math.inf},
    ],
)
def test_an_empty_grid_is_refused(changes):
    with pytest.raises(ValueError, match="give an increasing, finite range"):
        measure(**changes)


def test_the_lagrangian_gives_the_klein_gordon_equation_with_plus_m2():
    """Appendix B prints -m² in the equation of motion and +m² in that of the Green's function."""
    t, z, omega, k = sympy.symbols("t z omega k", real=True)
    m = sympy.symbols("m", positive=True)
    w = sympy.Function("w")(t, z)
    lagrangian = (w.diff(t) ** 2 - w.diff(z) ** 2 - m**2 * w**2) / 2
    (equation,) = euler_equations(lagrangian, [w], [t, z])
    right = w.diff(t, 2) - w.diff(z, 2) + m**2 * w
    assert sympy.expand(equation.lhs + right) == 0

    wave = sympy.exp(sympy.I * (k * z - omega * t))

    def symbol(sign):
        return sympy.expand((wave.diff(t, 2) - wave.diff(z, 2) + sign * m**2 * wave) / wave)

    # What the operator multiplies a plane wave by: its Green's function is one over this.
    assert symbol(+1) == -(omega**2) + k**2 + m**2
    # With the sign printed for the field, ω² = k² - m² is negative at small k: no oscillation.
    assert sympy.solve(symbol(-1), omega**2) == [k**2 - m**2]


def test_the_printed_propagator_belongs_to_the_negative_operator():
    """(∂t² + ω₀²) P = -δ: with the +δ of appendix B the transform is -1/(ω² - k² - m²)."""
    t, frequency = sympy.symbols("t omega_0", positive=True)
    after = -sympy.I / (2 * frequency) * sympy.exp(-sympy.I * frequency * t)
    assert sympy.simplify(after.diff(t, 2) + frequency**2 * after) == 0
    before = after.subs(t, -t)
    jump = (after.diff(t) - before.diff(t)).subs(t, 0)
    assert sympy.simplify(jump) == -1
