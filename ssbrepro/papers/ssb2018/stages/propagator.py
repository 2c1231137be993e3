"""Correlation functions of the fields of the broken phase (ssb2018, eq. 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Lt

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Positive, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro.papers.ssb2018 import potential as potentials
    from ssbrepro.papers.ssb2018 import propagator


@dataclass(frozen=True)
class Parameters:
    """The correlation function of a field over layers t at frequencies k in sample space.

    ``num_momenta`` values of abs(k), logarithmic between ``momentum_range`` in units of μ, at each of
    ``num_times`` times up to ``max_time`` in units of 1/μ. ``step_size`` is in units of the critical
    one.
    """

    mu: Positive
    coupling: Positive
    step_size: Annotated[float, Ge(0), Lt(1)]
    momentum_range: tuple[Positive, Positive]
    num_momenta: Annotated[int, Ge(3)]
    max_time: Positive
    num_times: Annotated[int, Ge(2)]


NUMBERS = {
    "transform_residual_max": domains.NON_NEGATIVE,
    "pi_slope": domains.REAL,
    "pi_slope_residual": domains.NON_NEGATIVE,
    "warm_pi_slope_residual": domains.NON_NEGATIVE,
    "sigma_excess": domains.REAL,
    "pi_excess": domains.REAL,
    "warm_pi_slope": domains.REAL,
}


def run(parameters: Parameters, context: Context) -> Result:
    """Transform the propagators of both fields over a grid of momenta and times.

    The fields are those around the zero-temperature vacuum (appendix C): pi with m² = ¼ λ η² at η = 0
    and at the given step size, and sigma with m² = 2 μ² + ¼ λ η² at the latter.

    Returns:
        Arrays in units of powers of μ: ``mass_squared`` (3,) of pi at η = 0, pi and sigma; ``momentum``
        (momenta,), ``time`` (times,), ``transform`` and ``closed_form`` (3, times, momenta), complex.
        Numbers: largest relative difference of these two; of the massless pi, the log-log slope of
        abs(P) over abs(k) that is farthest from -1 among all times, and by how much; the latter of the
        massive pi; the largest abs(P) 2m - 1 of sigma, and of the massless pi with the same m; and the
        slope of the massive pi between the two smallest momenta,
        averaged over times.

    Raises:
        ValueError: If the range of momenta is empty, or its end or the largest time is not finite.
    """
    lowest, highest = parameters.momentum_range
    if not (lowest < highest and math.isfinite(highest) and math.isfinite(parameters.max_time)):
        raise ValueError(
            f"momenta from {lowest} to {highest} and times up to {parameters.max_time} give no grid; "
            "give an increasing, finite range and a finite time"
        )
    potential = potentials.Potential(parameters.mu, parameters.coupling)
    vacuum = potential.mass_squared(0.0) / potential.mu**2
    warm = parameters.step_size * potential.critical_step_size
    thermal = potential.mass_squared(warm) / potential.mu**2 - vacuum
    masses = np.array([0.0, thermal, thermal - 2 * vacuum])
    momenta = np.geomspace(lowest, highest, parameters.num_momenta)
    times = np.linspace(0, parameters.max_time, parameters.num_times)

    # A time at once: the nodes of a whole grid would take hundreds of megabytes.
    transform = np.stack(
        [propagator.inverse_transform(masses[:, None], momenta, time) for time in times], axis=1
    )
    exact = propagator.closed_form(masses[:, None, None], momenta, times[:, None])
    massless, massive, sigma = np.abs(transform)
    slopes = _slopes(momenta, massless)
    farthest = slopes[np.abs(slopes + 1).argmax()]
    numbers = {
        "transform_residual_max": float((np.abs(transform - exact) / np.abs(exact)).max()),
        "pi_slope": float(farthest),
        "pi_slope_residual": float(abs(farthest + 1)),
        "sigma_excess": float(2 * math.sqrt(masses[2]) * sigma.max() - 1),
        "warm_pi_slope_residual": float(np.abs(_slopes(momenta, massive) + 1).max()),
        "pi_excess": float(2 * math.sqrt(masses[2]) * massless.max() - 1),
        "warm_pi_slope": float(_slopes(momenta[:2], massive[:, :2]).mean()),
    }
    arrays = {
        "mass_squared": masses,
        "momentum": momenta,
        "time": times,
        "transform": transform,
        "closed_form": exact,
    }
    return Result(arrays=arrays, numbers=numbers)


def _slopes(momenta: Array, magnitudes: Array) -> Array:
    """Least-squares slope of log magnitude (times, momenta) over log momentum, one a time (times,)."""
    slopes: Array = np.polyfit(np.log(momenta), np.log(magnitudes).T, 1)[0]
    return slopes


STAGE = Stage(Parameters, NUMBERS, run)
