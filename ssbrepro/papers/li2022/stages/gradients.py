"""The law of the full-data gradient's entries at every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Imitations, Result, Series, Share, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch

    from ssbrepro import seeding
    from ssbrepro.data import cifar10
    from ssbrepro.papers.li2022 import checkpoints, copies, placement
    from ssbrepro.probes import controls
    from ssbrepro.probes import gradients as probe
    from ssbrepro.probes import risk as risks
    from ssbrepro.statistics import histograms, symmetry


@dataclass(frozen=True)
class Parameters:
    """All entries of the gradient of the mean hinge loss at each checkpoint.

    Asymmetries are those of at most ``max_active`` random examples inside the margin. ``num_flips``
    patterns of signs, one sign an example, say what chance alone makes of the asymmetry, and
    ``num_intact`` and ``num_broken`` copies of the network what intact and broken symmetries do. The
    rest shapes the drawn histograms only: at no checkpoint is more than a share ``linear_share`` of the
    entries that are not zero on the linear part of the axis.
    """

    max_active: Count
    num_flips: Imitations
    num_intact: Imitations
    num_broken: Count
    num_bins: Count
    kernel_width: Share
    linear_share: Share


NUMBERS = {
    "num_empty": domains.COUNT,
    "asymmetry_max": domains.ASYMMETRY,
    "asymmetry_noise": domains.ASYMMETRY,
    "asymmetry_control": domains.ASYMMETRY,
    "asymmetry_index_max": domains.REAL,
    "asymmetry_index_noise": domains.REAL,
    "asymmetry_index_control": domains.REAL,
    "median_start": domains.NON_NEGATIVE,
    "median_final_share": domains.NON_NEGATIVE,
    "median_final_share_control": domains.NON_NEGATIVE,
    "zero_share_max": domains.SHARE,
}

_SERIES = ("num_active", "asymmetry", "noise_95", "p_value", "median", "zero_share")
_ROUNDING = 1e-5  # of float32 sums; it must not part patterns that tie, as those of one example do
_NUM_UNTRAINED = 5  # they tell orders of magnitude, not per cents


def run(parameters: Parameters, context: Context) -> Result:
    """Measure the gradient of the mean hinge loss at each checkpoint of the stage ``training``.

    Where the gradient vanishes exactly, because no example is left inside the margin or the network
    is dead, the checkpoint is *empty*: its law has no symmetry to speak of.

    Entries are sums over the same examples, so they are not independent, and what is flipped at random
    is the whole gradient of an example, as random labels would do; an example keeps its sign at all
    checkpoints. Copies are judged on as many examples inside their margin as the network is. The size of
    the gradient, which is compared between checkpoints, is always that over all examples: a mean over
    fewer scatters more, and is larger. Whether it converges is compared with untrained networks of the
    trained one's magnitudes, which are intact copies of the last checkpoint, judged on all examples and
    in the same units.

    Returns:
        Arrays over the checkpoints: ``epoch``; ``num_active``, examples inside the margin;
        ``asymmetry``; the same under random signs of the examples, ``flips`` (checkpoints, num_flips),
        with their 95 % quantile ``noise_95`` and the ``p_value``; of the copies, ``intact``
        (checkpoints, num_intact) and ``broken`` (checkpoints, num_broken), NaN for one without a
        gradient; all of these NaN where empty. ``median`` of the magnitudes; ``zero_share``, of the
        entries that are exactly zero; ``histogram`` (checkpoints, bins), the smoothed share of the
        entries that are not zero per length of an axis with ``edges`` (bins+1,), linear below
        ``linear``, all zero where empty. Besides, ``untrained_median`` (copies,), of the magnitudes of
        untrained networks' gradients.
    """
    measure = partial(_measure, parameters, context)
    arrays = checkpoints.measure_checkpoints(context, measure)
    gradients = arrays.pop("gradient")
    arrays["untrained_median"] = arrays["untrained_median"][-1]
    flips, observed = arrays["flips"], arrays["asymmetry"]
    arrays["noise_95"] = np.quantile(flips, 0.95, axis=1)
    as_extreme = (flips >= observed[:, None] - _ROUNDING).sum(axis=1)
    p_values = (1 + as_extreme) / (1 + parameters.num_flips)
    arrays["p_value"] = np.where(np.isnan(observed), np.nan, p_values)
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
    shape = parameters.num_flips, len(risk.targets)
    generator = seeding.torch_generator(context.seed, "gradients", "flips")
    flips = torch.randint(2, shape, generator=generator) * 2 - 1
    signs = torch.cat([torch.ones(1, len(risk.targets)), flips]).to(risk.inputs)
    draw = seeding.torch_generator(context.seed, "gradients", "examples", index)
    chosen = risk.thinned(parameters.max_active, draw)
    signs = signs[:, chosen.places]
    rows = probe.signed_gradients(chosen.model, chosen.inputs, chosen.targets, signs).cpu().numpy()
    gradient = rows[0]
    if chosen is not risk:
        gradient = probe.mean_gradient(risk.model, risk.inputs, risk.targets).cpu().numpy()
    untrained = np.full(_NUM_UNTRAINED, np.nan)
    if index == total - 1:
        untrained = _untrained_medians(risk, context.seed)
    measured = {
        "gradient": gradient,
        "num_active": np.array(float(risk.num_active)),
        "median": np.median(np.abs(gradient)),
        "zero_share": (gradient == 0).mean(),
        "untrained_median": untrained,
        **_asymmetries(parameters, context.seed, risk, rows),
    }
    context.progress.report(index + 1, total, "gradients")
    return measured


def _asymmetries(
    parameters: Parameters, seed: int, risk: risks.HingeRisk, rows: Array
) -> dict[str, Array]:
    """A of the gradient, under random signs of its examples, and of the copies' gradients."""
    found = {
        "asymmetry": symmetry.reflection_asymmetries(rows[0]),
        "flips": symmetry.reflection_asymmetries(rows[1:]),
        "intact": np.full(parameters.num_intact, np.nan),
        "broken": np.full(parameters.num_broken, np.nan),
    }
    if not rows[0].any():
        return found
    images = cifar10.BinaryImages(risk.inputs, risk.targets)
    num_active = min(risk.num_active, parameters.max_active)
    counts = parameters.num_intact, parameters.num_broken
    for copy in copies.copies(risk.model, images, num_active, *counts, seed):
        if len(copy.inputs):
            own = probe.mean_gradient(copy.model, copy.inputs, copy.targets)
            found[copy.kind][copy.number] = symmetry.reflection_asymmetries(own.cpu().numpy())
    return found


def _untrained_medians(risk: risks.HingeRisk, seed: int) -> Array:
    """The median magnitude of the gradient of intact copies, (copies,)."""
    images = cifar10.BinaryImages(risk.inputs, risk.targets)
    total = len(images.targets)
    medians = np.zeros(_NUM_UNTRAINED)
    for copy in copies.copies(risk.model, images, total, _NUM_UNTRAINED, 0, seed):
        if len(copy.inputs):
            gradient = probe.mean_gradient(copy.model, copy.inputs, copy.targets)
            # All others of the examples add nothing to the mean.
            medians[copy.number] = len(copy.inputs) / total * gradient.abs().median().item()
    return medians


def _histograms(parameters: Parameters, gradients: Array) -> dict[str, Array]:
    """The smoothed histograms on one axis that holds every checkpoint."""
    filled = {
        index: gradient[gradient != 0] for index, gradient in enumerate(gradients) if gradient.any()
    }
    magnitudes = [np.abs(entries) for entries in filled.values()] or [np.ones(1)]
    largest = float(max(entries.max() for entries in magnitudes))
    linear = float(min(np.quantile(entries, parameters.linear_share) for entries in magnitudes))
    edges = histograms.symlog_edges(largest, linear, parameters.num_bins)
    rows = np.zeros((len(gradients), parameters.num_bins))
    for index, entries in filled.items():
        rows[index] = histograms.smoothed_histogram(entries, edges, parameters.kernel_width)
    return {"edges": edges, "linear": np.array(linear), "histogram": rows}


def _numbers(arrays: dict[str, Array]) -> tuple[dict[str, float], dict[str, str]]:
    """The worst over the checkpoints that are not empty, and how far the gradient falls."""
    median, filled = arrays["median"], np.isfinite(arrays["asymmetry"])
    numbers = {"num_empty": float((~filled).sum()), "median_start": float(median[0])}
    missing: dict[str, str] = {}
    if filled.any():
        broken = arrays["broken"][filled]
        alive = np.isfinite(broken).any(axis=0)
        numbers["asymmetry_max"] = float(arrays["asymmetry"][filled].max())
        numbers["asymmetry_noise"] = float(np.quantile(arrays["flips"][filled].max(axis=0), 0.95))
        numbers["zero_share_max"] = float(arrays["zero_share"][filled].max())
        if alive.any():
            worst = np.nanmax(broken[:, alive], axis=0)
            numbers["asymmetry_control"] = float(np.quantile(worst, 0.05))
        else:
            missing["asymmetry_control"] = "no copy with every symmetry broken has a gradient"
    else:
        names = ("asymmetry_max", "asymmetry_noise", "asymmetry_control", "zero_share_max")
        missing |= dict.fromkeys(names, "the gradient is exactly zero at every checkpoint")
    indices = controls.breaking_indices(arrays["asymmetry"], arrays["intact"].T, arrays["broken"].T)
    placed, without = placement.worst_index("asymmetry", arrays["epoch"], indices)
    numbers, missing = numbers | placed, missing | without
    shares = ("median_final_share", "median_final_share_control")
    if median[0] > 0:
        ends = float(median[-1]), float(np.median(arrays["untrained_median"]))
        numbers |= {
            name: end / numbers["median_start"] for name, end in zip(shares, ends, strict=True)
        }
    else:
        missing |= dict.fromkeys(shares, "most of the gradient is exactly zero at the start")
    return numbers, missing


STAGE = Stage(Parameters, NUMBERS, run, needs=("training",), data="cifar10")
