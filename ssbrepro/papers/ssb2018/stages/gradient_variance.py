"""How much gradients differ between the batches of an epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from annotated_types import Gt

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Result, Share, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro import seeding


@dataclass(frozen=True)
class Parameters:
    """Each layer's gradients over the batches of an epoch: standard deviation over size of the mean.

    Medians over windows of ``window_share`` of the epochs. A layer's ratio grew where it ends at
    ``growth_above`` times its minimum, and the variance that is in it where the ratio ends at the root
    of that.
    """

    window_share: Share
    growth_above: Annotated[float, Gt(1)]


NUMBERS = {
    f"{network}_{quantity}": domain
    for network in ("tishby", "residual")
    for quantity, domain in {
        "growing_share": domains.SHARE,
        "variance_growing_share": domains.SHARE,
        "shuffled_growing_share": domains.SHARE,
        "shuffled_variance_growing_share": domains.SHARE,
        "growth_median": domains.NON_NEGATIVE,
        "growth_min": domains.NON_NEGATIVE,
        "growth_max": domains.NON_NEGATIVE,
    }.items()
}

_FAMILIES = ("tishby", "residual")
_QUARTILES = (0.25, 0.5, 0.75)
_NUM_SHUFFLES = 99  # for a 95 % quantile


class Growth(NamedTuple):
    """How a ratio changed in the course of training.

    Attributes:
        epoch: Mean epoch of each window, (windows,).
        ratio: Median of each window, (networks, layers, windows).
        growth: Ratio in the last window over the smallest of all, median over networks, (layers,).
    """

    epoch: Array
    ratio: Array
    growth: Array


def growth_of_ratio(ratio: Array, window_share: float) -> Growth:
    """Growth of each layer's ratio from its minimum to the end.

    The epochs are divided into equally long windows, as nearly as whole epochs allow, and none
    without an epoch.

    Args:
        ratio: In each epoch from the first, positive and finite, (networks, layers, epochs).
        window_share: Length of a window, as a share of all epochs.

    Raises:
        ValueError: If there are fewer than two windows.
    """
    num_epochs = ratio.shape[-1]
    num_windows = min(num_epochs, round(1 / window_share))
    if num_windows < 2:
        raise ValueError(
            f"{num_epochs} epochs in windows of {window_share:g} of them are {num_windows} window; "
            "a growth needs two: train for longer or take a smaller window_share"
        )
    windows = np.array_split(np.arange(num_epochs), num_windows)
    medians = np.stack([np.median(ratio[..., window], axis=-1) for window in windows], axis=-1)
    growth = np.median(medians[..., -1] / medians.min(axis=-1), axis=0)
    return Growth(np.array([1 + window.mean() for window in windows]), medians, growth)


def run(parameters: Parameters, context: Context) -> Result:
    """Deviation of the batch gradients over the size of their mean, in both kinds of networks.

    Both as in fig. 4 of Shwartz-Ziv & Tishby (2017): the root of the trace of the covariance of a
    layer's gradients over the batches of an epoch, and the norm of their mean.

    Returns:
        Arrays, each with the prefix ``tishby`` or ``residual``: ``_epoch`` (epochs,), from 1;
        ``_ratio`` (layers, epochs), the median over networks, NaN where a gradient vanished; and unless
        the numbers are missing ``_window_epoch`` (windows,), ``_window_ratio`` (3, layers, windows),
        the quartiles over networks with the median in the middle, ``_growth`` (layers,) from
        :func:`growth_of_ratio`, and ``_shuffled_growth`` (layers,), which it stays below in 95 of 100
        cases where the same epochs follow each other at random, so that nothing grows towards the end.
        Without prefix ``growth_above``. Numbers, with the same prefix: the share of layers that grew by
        ``growth_above`` or more, and of those whose variance did, that is whose ratio grew by its root;
        what both shares stay below in 95 of 100 cases with shuffled epochs; and of the growths the
        median and both ends. They are missing for networks some of whose gradients vanish.

    Raises:
        ValueError: If there are fewer than two windows.
    """
    arrays: dict[str, Array] = {}
    numbers: dict[str, float] = {}
    missing: dict[str, str] = {}
    factors = {"": parameters.growth_above, "variance_": math.sqrt(parameters.growth_above)}
    for family in _FAMILIES:
        training = context.inputs[f"{family}_training"].arrays
        mean, deviation = (training[f"gradient_{name}"][..., 1:] for name in ("mean", "deviation"))
        usable = np.isfinite(mean) & np.isfinite(deviation) & (mean > 0) & (deviation > 0)
        ratio = np.divide(deviation, mean, out=np.full(mean.shape, np.nan), where=usable)
        arrays[f"{family}_epoch"] = training["epoch"][1:]
        arrays[f"{family}_ratio"] = np.median(ratio, axis=0)
        if not usable.all():
            network, layer, epoch = at = tuple(np.argwhere(~usable)[0])
            reason = (
                f"gradients of layer {layer + 1} of network {network} in epoch {epoch + 1} have mean "
                f"{mean[at]:g} and deviation {deviation[at]:g}: they vanish, or there is one batch"
            )
            missing |= {name: reason for name in NUMBERS if name.startswith(f"{family}_")}
            continue
        measured = growth_of_ratio(ratio, parameters.window_share)
        arrays[f"{family}_window_epoch"] = measured.epoch
        arrays[f"{family}_window_ratio"] = np.quantile(measured.ratio, _QUARTILES, axis=0)
        arrays[f"{family}_growth"] = measured.growth
        generator = seeding.numpy_generator(context.seed, "gradient variance", family)
        shuffled = np.stack(
            [
                growth_of_ratio(
                    ratio[..., generator.permutation(ratio.shape[-1])], parameters.window_share
                ).growth
                for _ in range(_NUM_SHUFFLES)
            ]
        )
        arrays[f"{family}_shuffled_growth"] = np.quantile(shuffled, 0.95, axis=0)
        numbers |= {
            f"{family}_{prefix}growing_share": _growing_share(measured.growth, factor)
            for prefix, factor in factors.items()
        }
        numbers |= {
            f"{family}_shuffled_{prefix}growing_share": float(
                np.quantile([_growing_share(growth, factor) for growth in shuffled], 0.95)
            )
            for prefix, factor in factors.items()
        }
        numbers |= {
            f"{family}_growth_median": float(np.median(measured.growth)),
            f"{family}_growth_min": float(measured.growth.min()),
            f"{family}_growth_max": float(measured.growth.max()),
        }
    return Result(
        {**arrays, "growth_above": np.array(parameters.growth_above)}, numbers, missing=missing
    )


def _growing_share(growth: Array, factor: float) -> float:
    """The share of layers, (layers,), that grew by a factor or more."""
    return float((growth >= factor).mean())


STAGE = Stage(Parameters, NUMBERS, run, needs=("tishby_training", "residual_training"))
