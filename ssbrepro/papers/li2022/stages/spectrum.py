"""The Hessian spectrum at every checkpoint of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Imitations, Result, Series, Share, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro import seeding
    from ssbrepro.papers.li2022 import checkpoints
    from ssbrepro.probes import identities, spectra
    from ssbrepro.probes import risk as risks
    from ssbrepro.probes.operators import remembered
    from ssbrepro.probes.spectra import distribution, measurement
    from ssbrepro.statistics import histograms, ranks


@dataclass(frozen=True)
class Parameters:
    """Spectral density of the Hessian of the mean hinge loss at each checkpoint.

    At most ``max_active`` random examples inside the margin stand for all of them. Each of
    ``num_pairs`` pairs of start vectors runs ``num_steps`` Lanczos steps twice. At most
    ``num_extremes`` outermost eigenvalues a side are kept, those of the first run with a residual of at
    most ``tolerance`` times the largest; ``num_probes`` probes measure the moments of all others.
    ``num_draws`` measurements of a symmetric spectrum and ``num_flips`` sign patterns give the null
    distributions of the asymmetry; as many orders of the checkpoints that of the risk's correlation.
    ``kernel_width`` and ``linear_share`` shape the drawn density only: the width of the kernel as a
    share of the symmetric logarithmic axis, and the point where that axis turns linear as a share of
    the largest eigenvalue.
    """

    operator: Literal["cached", "autograd", "pyhessian"]
    max_active: Count
    num_steps: Annotated[int, Ge(2)]
    num_pairs: Count
    num_extremes: Count
    tolerance: Share
    num_probes: Count
    num_draws: Imitations
    num_flips: Count
    kernel_width: Share
    linear_share: Share
    num_grid_points: Annotated[int, Ge(3)]


NUMBERS = {
    "num_checkpoints": domains.COUNT,
    "num_empty": domains.COUNT,
    "final_num_active": domains.COUNT,
    "asymmetry_max": domains.ASYMMETRY,
    "asymmetry_bound_max": domains.ASYMMETRY,
    "asymmetry_noise": domains.ASYMMETRY,
    "extreme_ratio_max": domains.AT_LEAST_ONE,
    "standard_deviation_max": domains.NON_NEGATIVE,
    "standard_deviation_final_share": domains.SHARE,
    "risk_correlation": domains.SIGNED_SHARE,
    "risk_correlation_control": domains.SIGNED_SHARE,
    "euler_residual_max": domains.NON_NEGATIVE,
    "layers_residual_max": domains.NON_NEGATIVE,
    "same_layer_residual_max": domains.NON_NEGATIVE,
    "symmetry_residual_max": domains.NON_NEGATIVE,
    "active_only_residual_max": domains.NON_NEGATIVE,
    "pyhessian_residual_max": domains.NON_NEGATIVE,
}

_FEWEST = 3  # checkpoints for a rank correlation

_SERIES = (
    "num_active",
    "standard_deviation",
    "asymmetry",
    "asymmetry_bound",
    "noise_95",
    "p_value",
    "extreme_ratio",
    "largest",
)


def run(parameters: Parameters, context: Context) -> Result:
    """Measure the Hessian of the mean hinge loss at each checkpoint of the stage ``training``.

    Where H vanishes exactly, because no example is left inside the margin or the network is dead,
    the spectrum is *empty*: a single point at 0, without a symmetry to speak of.

    With fewer examples than are inside the margin it is the spectrum of an unbiased estimate of H, which
    is spread wider than that of H itself. So the standard deviation, which is compared between
    checkpoints, is that of H over all examples even then, by as many probes.

    Returns:
        Arrays over the checkpoints: ``epoch``, ``loss``, ``num_active``, the quadratures of
        :func:`measure_spectrum`, ``outermost`` and ``traces`` of :func:`measure_sides`, the numbers of
        :func:`summarise`, a ``<identity>_residual`` for each of ``IDENTITIES`` (NaN where empty), and
        ``density`` (checkpoints, points) on ``grid`` (points,), an axis that turns linear below
        ``linear``. Numbers: the worst of each over the checkpoints that are not empty, and how many
        are; the rank correlation over them of the loss with the standard deviation, and what 95 % of
        random orders of the checkpoints stay below.
    """
    training = context.inputs["training"].arrays
    arrays = checkpoints.measure_checkpoints(context, partial(_measure, parameters, context))
    arrays["loss"] = training["loss"][np.searchsorted(training["epoch"], arrays["epoch"])]
    numbers, missing = _worst(arrays)
    correlation, unrelated = _correlation(arrays, context.seed, parameters.num_flips)
    numbers, missing = numbers | correlation, missing | unrelated
    return Result(
        arrays=arrays | _densities(parameters, arrays),
        numbers=numbers,
        missing=missing,
        series={name: Series("epoch", name) for name in _SERIES},
    )


def _measure(
    parameters: Parameters, context: Context, risk: risks.HingeRisk, index: int, total: int
) -> dict[str, Array]:
    """All that is measured at the checkpoint of that index."""
    seed = seeding.derived_seed(context.seed, "spectrum", index)
    spectrum = measurement.empty_spectrum(parameters.num_steps, parameters.num_pairs)
    sides = measurement.empty_sides(parameters.num_extremes)
    residuals = dict.fromkeys(identities.IDENTITIES, float("nan"))
    products = 2 * parameters.num_pairs * parameters.num_steps
    if risk.num_active:
        chosen = risk.thinned(parameters.max_active, seeding.torch_generator(seed, "examples"))
        hessian = chosen.hessian(parameters.operator)
        kept = remembered.RememberedOperator(hessian, context.progress, seed)
        spectrum, pairs = measurement.measure_spectrum(
            chosen,
            kept,
            parameters.num_steps,
            parameters.num_pairs,
            parameters.num_extremes,
            seed,
            lambda done: context.progress.report(
                index * products + done, total * products, "Hessian products"
            ),
        )
        sides = measurement.measure_sides(
            kept,
            pairs,
            parameters.num_extremes,
            parameters.tolerance,
            parameters.num_probes,
            seeding.torch_generator(seed, "moments"),
        )
        if spectrum["nodes"].any():
            layer = index % len(risk.layer_sizes)
            residuals = identities.identity_residuals(chosen, hessian, layer, seed)
    summary = measurement.summarise(
        spectrum, len(risk.weights), seed, parameters.num_draws, parameters.num_flips
    )
    if spectrum["nodes"].any() and risk.num_active > parameters.max_active:
        summary["standard_deviation"] = measurement.standard_deviation(
            risk.hessian(parameters.operator),
            parameters.num_probes,
            seeding.torch_generator(seed, "all examples"),
        )
    numbers = {
        "num_active": float(risk.num_active),
        **summary,
        **{f"{name}_residual": residual for name, residual in residuals.items()},
    }
    return spectrum | sides | {name: np.array(number) for name, number in numbers.items()}


def _densities(parameters: Parameters, arrays: dict[str, Array]) -> dict[str, Array]:
    """The smoothed densities on one axis that holds every checkpoint."""
    extreme = float(np.abs(arrays["nodes"]).max()) or 1.0  # any axis will do where all is empty
    linear = parameters.linear_share * extreme
    grid = histograms.symlog_grid(2 * extreme, linear, parameters.num_grid_points)
    curves = []
    for index in range(len(arrays["nodes"])):
        spectrum = {name: arrays[name][index] for name in spectra.Quadrature._fields}
        curves.append(
            distribution.spectral_density(spectrum, grid, linear, parameters.kernel_width)
        )
    return {"grid": grid, "density": np.stack(curves), "linear": np.array(linear)}


def _worst(arrays: dict[str, Array]) -> tuple[dict[str, float], dict[str, str]]:
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
        "asymmetry_bound_max": arrays["asymmetry_bound"],
        "extreme_ratio_max": arrays["extreme_ratio"],
        "standard_deviation_max": deviations,
        **{f"{name}_residual_max": arrays[f"{name}_residual"] for name in identities.IDENTITIES},
    }
    names = [*worst, "asymmetry_noise", "standard_deviation_final_share"]
    if not filled.any():
        return numbers, dict.fromkeys(names, "the Hessian is exactly zero at every checkpoint")
    numbers |= {name: float(values[filled].max()) for name, values in worst.items()}
    most_asymmetric = np.nanargmax(arrays["asymmetry"])
    numbers["asymmetry_noise"] = float(arrays["noise_95"][most_asymmetric])
    numbers["standard_deviation_final_share"] = float(deviations[-1] / deviations.max())
    return numbers, {}


def _correlation(
    arrays: dict[str, Array], seed: int, num_permutations: int
) -> tuple[dict[str, float], dict[str, str]]:
    """Of the loss with the standard deviation, over the checkpoints that are not empty."""
    deviations = arrays["standard_deviation"]
    filled = deviations > 0
    pair = arrays["loss"][filled], deviations[filled]
    names = ("risk_correlation", "risk_correlation_control")
    if not all(len(set(values.tolist())) >= _FEWEST for values in pair):
        reason = f"the Hessian is not zero at fewer than {_FEWEST} checkpoints of different loss"
        return {}, dict.fromkeys(names, reason)
    orders = seeding.numpy_generator(seed, "spectrum", "orders")
    null = ranks.permuted_rank_correlations(*pair, orders, num_permutations)
    chance = np.quantile(null, 0.95, method="higher")
    return dict(zip(names, (ranks.rank_correlation(*pair), float(chance)), strict=True)), {}


STAGE = Stage(Parameters, NUMBERS, run, needs=("training",), data="cifar10")
