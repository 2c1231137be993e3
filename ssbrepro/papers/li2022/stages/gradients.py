"""The law of the full-data gradient's entries at every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Result, Series, Share, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro import seeding
    from ssbrepro.papers.li2022 import checkpoints
    from ssbrepro.probes import risk as risks
    from ssbrepro.statistics import histograms, symmetry


@dataclass(frozen=True)
class Parameters:
    """All entries of the gradient of the mean hinge loss at each checkpoint.

    ``num_flips`` sign patterns give the null distribution of the asymmetry. The rest shapes the
    drawn histograms only: the axis is linear below ``linear_share`` of its end.
    """

    num_flips: Count
    num_bins: Count
    kernel_width: Share
    linear_share: Share


NUMBERS = {
    "num_empty": domains.COUNT,
    "asymmetry_max": domains.ASYMMETRY,
    "asymmetry_noise": domains.ASYMMETRY,
    "median_start": domains.NON_NEGATIVE,
    "median_final_share": domains.NON_NEGATIVE,
    "zero_share_max": domains.SHARE,
}

_SERIES = ("num_active", "asymmetry", "noise_95", "p_value", "median", "zero_share")


def run(parameters: Parameters, context: Context) -> Result:
    """Measure the gradient of the mean hinge loss at each checkpoint of the stage ``training``.

    Where the gradient vanishes exactly, because no example is left inside the margin or the network
    is dead, the checkpoint is *empty*: its law has no symmetry to speak of.

    Returns:
        Arrays over the checkpoints: ``epoch``; ``num_active``, examples inside the margin;
        ``asymmetry``, ``noise_95`` (its 95 % quantile under random flips of signs) and the sign-flip
        ``p_value``, NaN where empty; ``median`` of the magnitudes; ``zero_share``, of the entries
        that are exactly zero; ``histogram`` (checkpoints, bins), the smoothed share of the entries
        that are not zero per length of an axis with ``edges`` (bins+1,), linear below ``linear``,
        all zero where empty.
    """
    arrays = checkpoints.measure_checkpoints(context, partial(_measure, parameters, context))
    gradients = arrays.pop("gradient")
    numbers, missing = _numbers(arrays)
    return Result(
        arrays=arrays | _histograms(parameters, gradients),
        numbers=numbers,
        missing=missing,
        series={name: Series("epoch", name) for name in _SERIES},
    )


def _measure(
    parameters: Parameters, context: Context, risk: risks.HingeRisk, index: int, total: int
) -> dict[str, Array]:
    """The gradient at the checkpoint of that index, and what is said of it."""
    gradient = np.zeros(len(risk.weights), dtype=np.float32)
    if risk.num_active:
        gradient = risk.hessian("autograd").gradient().cpu().numpy()
    asymmetry = noise_95 = p_value = float("nan")
    if gradient.any():
        flips = seeding.numpy_generator(context.seed, "gradients", "flips", index)
        asymmetry = symmetry.reflection_asymmetry(gradient)
        p_value, noise_95 = symmetry.sign_flip_test(gradient, flips, parameters.num_flips)
    numbers = {
        "num_active": float(risk.num_active),
        "asymmetry": asymmetry,
        "noise_95": noise_95,
        "p_value": p_value,
        "median": float(np.median(np.abs(gradient))),
        "zero_share": float((gradient == 0).mean()),
    }
    context.progress.report(index + 1, total, "gradients")
    return {"gradient": gradient} | {name: np.array(number) for name, number in numbers.items()}


def _histograms(parameters: Parameters, gradients: Array) -> dict[str, Array]:
    """The smoothed histograms on one axis that holds every checkpoint."""
    largest = float(np.abs(gradients).max()) or 1.0  # any axis will do where all is empty
    linear = parameters.linear_share * largest
    edges = histograms.symlog_edges(largest, linear, parameters.num_bins)
    rows = np.zeros((len(gradients), parameters.num_bins))
    for row, gradient in zip(rows, gradients, strict=True):
        if gradient.any():
            row[:] = histograms.smoothed_histogram(
                gradient[gradient != 0], edges, parameters.kernel_width
            )
    return {"edges": edges, "linear": np.array(linear), "histogram": rows}


def _numbers(arrays: dict[str, Array]) -> tuple[dict[str, float], dict[str, str]]:
    """The worst over the checkpoints that are not empty, and how far the gradient falls."""
    median, filled = arrays["median"], np.isfinite(arrays["asymmetry"])
    numbers = {"num_empty": float((~filled).sum()), "median_start": float(median[0])}
    missing: dict[str, str] = {}
    if filled.any():
        worst = int(np.nanargmax(arrays["asymmetry"]))
        numbers["asymmetry_max"] = float(arrays["asymmetry"][worst])
        numbers["asymmetry_noise"] = float(arrays["noise_95"][worst])
        numbers["zero_share_max"] = float(arrays["zero_share"][filled].max())
    else:
        names = ("asymmetry_max", "asymmetry_noise", "zero_share_max")
        missing |= dict.fromkeys(names, "the gradient is exactly zero at every checkpoint")
    if median[0] > 0:
        numbers["median_final_share"] = float(median[-1] / median[0])
    else:
        missing["median_final_share"] = "most of the gradient is exactly zero at the start"
    return numbers, missing


STAGE = Stage(Parameters, NUMBERS, run, needs=("training",), data="cifar10")
