"""The law of every layer's weights at every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Imitations, Positive, Result, Share, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro import networks, seeding
    from ssbrepro.papers.li2022 import placement
    from ssbrepro.probes import controls
    from ssbrepro.statistics import histograms, symmetry


@dataclass(frozen=True)
class Parameters:
    """The law of each layer's weights at each checkpoint.

    A layer counts as symmetric at a checkpoint where its asymmetry is at most ``symmetric_below``.
    ``num_draws`` random sign patterns say what chance alone would give. ``num_bins`` and
    ``kernel_width``, a share of the axis, shape the drawn histograms only.
    """

    symmetric_below: Positive
    num_draws: Imitations
    num_bins: Count
    kernel_width: Share


NUMBERS = {
    "symmetric_share": domains.SHARE,
    "symmetric_share_noise": domains.SHARE,
    "symmetric_share_control": domains.SHARE,
    "asymmetry_max": domains.ASYMMETRY,
    "asymmetry_start": domains.ASYMMETRY,
    "asymmetry_end": domains.ASYMMETRY,
    "asymmetry_growth": domains.REAL,
    "asymmetry_growth_noise": domains.REAL,
    "asymmetry_growth_control": domains.REAL,
    "asymmetry_index_max": domains.REAL,
    "asymmetry_index_noise": domains.REAL,
    "asymmetry_index_control": domains.REAL,
    "growth_excess": domains.REAL,
    "growth_excess_control": domains.REAL,
}


def run(parameters: Parameters, context: Context) -> Result:
    """Measure how symmetric the weights of each layer are at each checkpoint of ``training``.

    Chance alone is judged by flipping each weight's whole course at random: a weight symmetric at all
    checkpoints is as likely to have taken the mirrored course, and asymmetry by chance wanders as
    slowly in this null as it would in truth. These are intact copies of the weights; in the broken one
    every weight is positive. "The majority of the weights" is the mean over the layers, each as often as
    it has weights.

    Returns:
        Arrays: ``epoch`` (checkpoints,); ``layer_sizes`` (layers,); ``asymmetry``, ``noise_95`` (the
        95 % quantile of the asymmetry under random flips), ``broken`` (that of the magnitudes),
        ``skewness`` and ``positive_share``, each (layers, checkpoints), NaN for weights that are all
        zero; the means over all weights, ``mean_asymmetry`` (checkpoints,) and under random flips
        ``mean_flips`` (draws, checkpoints); ``edges`` (layers, bins+1) of
        one axis for each layer; ``histogram`` (layers, checkpoints, bins), the smoothed share of the
        weights per length of that axis. Numbers: all missing if some layer's weights are all zero.
    """
    training = context.inputs["training"]
    epochs = training.arrays["checkpoint_epoch"]
    sizes = _layer_sizes(training.parameters, context.seed)
    layers = np.split(training.arrays["checkpoint_weights"], np.cumsum(sizes)[:-1], axis=1)
    rows, nulls = [], []
    for index, layer in enumerate(layers):
        context.progress.report(index, len(layers), "laws of the weights")
        flips = seeding.numpy_generator(context.seed, "weights", "flips", index)
        nulls.append(symmetry.random_sign_asymmetries(layer, flips, parameters.num_draws))
        rows.append(_measure(parameters, layer))
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    null = np.stack(nulls, axis=1)  # (draws, layers, checkpoints)
    arrays |= {
        "epoch": epochs,
        "layer_sizes": np.array(sizes),
        "noise_95": np.quantile(null, 0.95, axis=0),
        "mean_asymmetry": np.average(arrays["asymmetry"], axis=0, weights=sizes),
        "mean_flips": np.average(null, axis=1, weights=sizes),
    }
    numbers, missing = _numbers(parameters, arrays, null)
    return Result(arrays=arrays, numbers=numbers, missing=missing)


def _layer_sizes(training: Any, seed: int) -> list[int]:
    """Number of weights of each layer of the network that was trained."""
    generator = seeding.torch_generator(seed, "weights")
    model = networks.vgg12(training.width, generator, training.num_convolutions)
    return [weight.numel() for weight in model.parameters()]


def _measure(parameters: Parameters, layer: Array) -> dict[str, Array]:
    """One layer's laws, (checkpoints, weights), and their histograms on an axis for all of them."""
    largest = float(np.abs(layer).max()) or 1.0
    room = 1 + 6 * parameters.kernel_width  # the axis is two wide: three widths beyond the largest
    edges = histograms.symmetric_edges(room * largest, parameters.num_bins)
    return {
        "asymmetry": symmetry.reflection_asymmetries(layer),
        "broken": symmetry.reflection_asymmetries(np.abs(layer)),
        "skewness": _skewness(layer),
        "positive_share": np.where(layer.any(axis=1), (layer > 0).mean(axis=1), np.nan),
        "edges": edges,
        "histogram": np.stack(
            [
                histograms.smoothed_histogram(values, edges, parameters.kernel_width)
                for values in layer
            ]
        ),
    }


def _skewness(samples: Array) -> Array:
    """Third standardised moment of each row, NaN where all its values are equal."""
    centred = samples - samples.mean(axis=1, keepdims=True, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        skewness: Array = (centred**3).mean(axis=1) / (centred**2).mean(axis=1) ** 1.5
    return skewness


def _numbers(
    parameters: Parameters, arrays: dict[str, Array], null: Array
) -> tuple[dict[str, float], dict[str, str]]:
    """Asymmetries over layers and checkpoints, and what random flips would give."""
    asymmetry = arrays["asymmetry"]
    zero = np.argwhere(np.isnan(asymmetry))
    if len(zero):
        layer, checkpoint = zero[0]
        epoch = arrays["epoch"][checkpoint]
        reason = f"the weights of layer {layer + 1} are all zero at epoch {epoch}"
        return {}, dict.fromkeys(NUMBERS, reason)
    symmetric_share = (null <= parameters.symmetric_below).mean(axis=(1, 2))
    start, end = asymmetry[:, 0].mean(), asymmetry[:, -1].mean()
    growth = (null[:, :, -1] - null[:, :, 0]).mean(axis=1)
    mean, flips = arrays["mean_asymmetry"], arrays["mean_flips"]
    mean_growth = flips[:, -1] - flips[:, 0]
    by_chance = np.quantile(mean_growth, 0.95)
    numbers = {
        "symmetric_share": (asymmetry <= parameters.symmetric_below).mean(),
        "symmetric_share_noise": np.quantile(symmetric_share, 0.05),
        "symmetric_share_control": (arrays["broken"] <= parameters.symmetric_below).mean(),
        "asymmetry_max": asymmetry.max(),
        "asymmetry_start": start,
        "asymmetry_end": end,
        "asymmetry_growth": end - start,
        "asymmetry_growth_noise": np.quantile(growth, 0.05),
        "asymmetry_growth_control": np.quantile(growth, 0.95),
        "growth_excess": mean[-1] - mean[0] - by_chance,
        "growth_excess_control": np.median(mean_growth) - by_chance,
    }
    broken = np.average(arrays["broken"], axis=0, weights=arrays["layer_sizes"])
    indices = controls.breaking_indices(mean, flips, broken[None])
    placed, missing = placement.worst_index("asymmetry", arrays["epoch"], indices)
    return {name: float(number) for name, number in numbers.items()} | placed, missing


STAGE = Stage(Parameters, NUMBERS, run, needs=("training",))
