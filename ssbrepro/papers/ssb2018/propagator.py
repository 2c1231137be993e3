"""The correlation function of a field, in closed form and as an inverse Fourier transform."""

import math

import numpy as np
from numpy.typing import ArrayLike

from ssbrepro.contract import Array

# The contour, see inverse_transform. Its nearest pole is 0.34 from the real axis of the parameter:
# the trapezoid rule is off by exp(-2π 0.34 / step), and the ends leave out 2 exp(-range) at time 0.
_STEP, _RANGE = 1 / 16, 38.0


def closed_form(mass_squared: ArrayLike, momentum: ArrayLike, time: ArrayLike) -> Array:
    """P(t, k) = -i exp(-i ω₀ abs(t)) / (2 ω₀), ω₀² = k² + m² (ssb2018, eqs. 4 and 7, and appendix B).

    The paper prints it for t ≥ 0. Arguments, result and errors are those of
    :func:`inverse_transform`.
    """
    frequency, time = _frequency_and_time(mass_squared, momentum, time)
    form: Array = -0.5j * np.exp(-1j * frequency * time) / frequency
    return form


def inverse_transform(mass_squared: ArrayLike, momentum: ArrayLike, time: ArrayLike) -> Array:
    """Numerical P(t, k) = ∫ dω/(2π) exp(-i ω t) / (ω² - k² - m²) with the Feynman prescription.

    m² - i0 in place of m² makes the path of ω pass below the pole at -ω₀ and above the one at ω₀. For
    t > 0 it may be bent down into the lower half plane, where exp(-i ω t) decays, as long as it
    passes no pole. For t = 0 either half plane would do. The trapezoid rule sums along the hyperbola

        ω(s) = ω₀ (1 + h sinh s + i h (2 - cosh s)),   h = min(1/2, 1 / (ω₀ t)),

    over s from -38 to 38 in steps of 1/16. It crosses above ω₀ at s = 0, turns down on both sides, and
    is below -ω₀, as it would be for all h < 2/√3. The integrand is analytic around it, so the rule
    converges exponentially (Weideman & Trefethen, Math. Comp. 76, 1341, 2007), and rounding remains:
    some 1e-14 (1 + ω₀ t) relative to abs(P). h keeps abs(exp(-i ω t)) ≤ e, so that nothing cancels.
    Even at t = 0, where the integrand is of order 1/ω², the sum decays like exp(-abs(s)). As the
    integrand is even in ω, P is even in t. No residue is used, only the side a pole is passed on.

    Args:
        mass_squared: m².
        momentum: abs(k); broadcast with the others.
        time: t, of either sign.

    Returns:
        P, complex, of the broadcast shape.

    Raises:
        ValueError: If an argument is not finite, or k² + m² is not positive.
    """
    frequency, time = _frequency_and_time(mass_squared, momentum, time)
    height = 1 / np.maximum(2, frequency * time)[..., None]
    parameter = np.arange(-_RANGE, _RANGE + _STEP / 2, _STEP)
    contour = 1 + height * (np.sinh(parameter) + 1j * (2 - np.cosh(parameter)))
    tangent = height * (np.cosh(parameter) - 1j * np.sinh(parameter))
    omega = frequency[..., None] * contour
    denominator = omega**2 - np.square(momentum)[..., None] - np.asarray(mass_squared)[..., None]
    integrand = np.exp(-1j * omega * time[..., None]) / denominator * tangent
    transform: Array = integrand.sum(axis=-1) * frequency * (_STEP / (2 * math.pi))
    return transform


def _frequency_and_time(
    mass_squared: ArrayLike, momentum: ArrayLike, time: ArrayLike
) -> tuple[Array, Array]:
    """ω₀ and abs(t), of the broadcast shape.

    Raises:
        ValueError: As :func:`inverse_transform`.
    """
    mass_squared, momentum, time = np.broadcast_arrays(
        *(np.asarray(value, dtype=np.float64) for value in (mass_squared, momentum, time))
    )
    for name, value in (("mass", mass_squared), ("momentum", momentum), ("time", time)):
        if not np.isfinite(value).all():
            raise ValueError(f"a {name} is not finite; give finite numbers")
    squared = mass_squared + momentum**2
    if not (squared > 0).all():
        raise ValueError(
            f"ω₀² = k² + m² is {squared.min()}; the integral needs a positive one: "
            "give a larger momentum or mass"
        )
    return np.sqrt(squared), np.abs(time)
