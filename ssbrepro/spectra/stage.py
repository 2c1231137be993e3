"""The stage ``spectrum``: the Hessian spectrum at every checkpoint of a training run."""

from functools import partial

import numpy as np

from ssbrepro.checkpoints import measure_checkpoints
from ssbrepro.histograms import symlog_grid
from ssbrepro.identities import IDENTITIES, identity_residuals
from ssbrepro.results import Array, Context, Result, Series
from ssbrepro.risk import HingeRisk
from ssbrepro.seeding import derived_seed
from ssbrepro.spectra.distribution import spectral_density
from ssbrepro.spectra.lanczos import Quadrature
from ssbrepro.spectra.measurement import (
    empty_spectrum,
    measure_spectrum,
    summarise,
)
from ssbrepro.stages.li2022 import SpectrumParameters

_SERIES = (
    "num_active",
    "standard_deviation",
    "asymmetry",
    "noise_95",
    "p_value",
    "extreme_ratio",
    "largest",
)


def spectrum_stage(parameters: SpectrumParameters, context: Context) -> Result:
    """Measure the Hessian of the mean hinge loss at each checkpoint of the stage ``training``.

    Where H vanishes exactly, because no example is left inside the margin or the network is dead,
    the spectrum is *empty*: a single point at 0, without a symmetry to speak of.

    Returns:
        Arrays over the checkpoints: ``epoch``, ``num_active``, the quadratures of
        :func:`measure_spectrum`, the numbers of :func:`summarise`, a ``<identity>_residual`` for each
        of ``IDENTITIES`` (NaN where empty), and ``density`` (checkpoints, points) on ``grid``
        (points,), an axis that turns linear below ``linear``. Numbers: the worst of each over the
        checkpoints that are not empty, and how many are.
    """
    arrays = measure_checkpoints(context, partial(_measure, parameters, context))
    numbers, missing = _numbers(arrays)
    return Result(
        arrays=arrays | _densities(parameters, arrays),
        numbers=numbers,
        missing=missing,
        series={name: Series("epoch", name) for name in _SERIES},
    )


def _measure(
    parameters: SpectrumParameters, context: Context, risk: HingeRisk, index: int, total: int
) -> dict[str, Array]:
    """All that is measured at the checkpoint of that index."""
    seed = derived_seed(context.seed, "spectrum", index)
    spectrum = empty_spectrum(parameters.num_steps, parameters.num_pairs)
    residuals = dict.fromkeys(IDENTITIES, float("nan"))
    products = 2 * parameters.num_pairs * parameters.num_steps
    if risk.num_active:
        hessian = risk.hessian(parameters.operator)
        spectrum = measure_spectrum(
            risk,
            hessian,
            parameters.num_steps,
            parameters.num_pairs,
            seed,
            lambda done: context.progress.report(
                index * products + done, total * products, "Hessian products"
            ),
        )
        if spectrum["nodes"].any():
            layer = index % len(risk.layer_sizes)
            residuals = identity_residuals(risk, hessian, layer, seed)
    numbers = {
        "num_active": float(risk.num_active),
        **summarise(spectrum, len(risk.weights), seed, parameters.num_draws, parameters.num_flips),
        **{f"{name}_residual": residual for name, residual in residuals.items()},
    }
    return spectrum | {name: np.array(number) for name, number in numbers.items()}


def _densities(parameters: SpectrumParameters, arrays: dict[str, Array]) -> dict[str, Array]:
    """The smoothed densities on one axis that holds every checkpoint."""
    extreme = float(np.abs(arrays["nodes"]).max()) or 1.0  # any axis will do where all is empty
    linear = parameters.linear_share * extreme
    grid = symlog_grid(2 * extreme, linear, parameters.num_grid_points)
    curves = []
    for index in range(len(arrays["nodes"])):
        spectrum = {name: arrays[name][index] for name in Quadrature._fields}
        curves.append(spectral_density(spectrum, grid, linear, parameters.kernel_width))
    return {"grid": grid, "density": np.stack(curves), "linear": np.array(linear)}


def _numbers(arrays: dict[str, Array]) -> tuple[dict[str, float], dict[str, str]]:
    """The worst over the checkpoints that are not empty, or why there is none."""
    deviations = arrays["standard_deviation"]
    filled = deviations > 0
    numbers = {
        "num_checkpoints": float(len(filled)),
        "num_empty": float((~filled).sum()),
        "final_num_active": float(arrays["num_active"][-1]),
    }
    worst = {
        "asymmetry_max": arrays["asymmetry"],
        "extreme_ratio_max": arrays["extreme_ratio"],
        "standard_deviation_max": deviations,
        **{f"{name}_residual_max": arrays[f"{name}_residual"] for name in IDENTITIES},
    }
    names = [*worst, "asymmetry_noise", "standard_deviation_final_share"]
    if not filled.any():
        return numbers, dict.fromkeys(names, "the Hessian is exactly zero at every checkpoint")
    numbers |= {name: float(values[filled].max()) for name, values in worst.items()}
    most_asymmetric = np.nanargmax(arrays["asymmetry"])
    numbers["asymmetry_noise"] = float(arrays["noise_95"][most_asymmetric])
    numbers["standard_deviation_final_share"] = float(deviations[-1] / deviations.max())
    return numbers, {}
