"""ssb2018, section 4: the deviation of the gradients over the size of their mean."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, SMALL, epoch_colours, legend_below, new_figure

_PANELS = {"tishby": "tanh networks, 12-bit task", "residual": "residual networks, CIFAR-10"}
_GROWTH: dict[str, Any] = {"color": BLUE, "marker": "o", "ms": 4.5, "ls": "", "clip_on": False}
_SHUFFLED: dict[str, Any] = {"color": "0.45", "marker": "_", "ms": 9, "mew": 1.4, "ls": ""}
_BOUND: dict[str, Any] = {"lw": 0.8, "color": "black"}


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw the ratio of each layer against the epoch, above its growth to the end.

    Lines are medians over networks, in windows of epochs where these were measured, and dark at the
    input to light at the output.

    Args:
        arrays: Of the stage ``gradient_variance``: ``growth_above``; with the prefixes ``tishby`` and
            ``residual`` ``_epoch`` and ``_ratio``, and where the growth was measured
            ``_window_epoch``, ``_window_ratio``, ``_growth`` and ``_shuffled_growth``.
    """
    variance = arrays["gradient_variance"]
    figure, axes = new_figure(
        rows=2, columns=2, height=4.4, sharex=False, sharey="row", height_ratios=(1.5, 1)
    )
    factor = float(variance["growth_above"])
    for (upper, lower), (family, title) in zip(axes.T, _PANELS.items(), strict=True):
        upper.set_title(title, fontsize=9)
        if f"{family}_growth" in variance:
            _draw_ratios(
                upper, variance[f"{family}_window_epoch"], variance[f"{family}_window_ratio"][1]
            )
            layers = np.arange(1, len(variance[f"{family}_growth"]) + 1)
            lower.plot(layers, variance[f"{family}_growth"], **_GROWTH)
            lower.plot(layers, variance[f"{family}_shuffled_growth"], **_SHUFFLED)
            lower.set_xticks(layers)
            lower.set_xlim(0.5, len(layers) + 0.5)
        else:
            _draw_ratios(upper, variance[f"{family}_epoch"], variance[f"{family}_ratio"])
            lower.text(
                0.5, 0.5, "a gradient vanishes", ha="center", fontsize=SMALL,
                transform=lower.transAxes,
            )  # fmt: skip
        lower.axhline(factor, ls="--", **_BOUND)
        lower.axhline(math.sqrt(factor), ls=":", **_BOUND)
        lower.set_yscale("log")
        lower.yaxis.set_major_formatter("{x:g}")
        lower.set_xlabel("layer, from the input to the output")
    axes[0, 0].text(
        0.98, 0.04, "dark: first layer, light: last", ha="right", fontsize=SMALL,
        transform=axes[0, 0].transAxes,
    )  # fmt: skip
    axes[0, 0].set_ylabel("deviation / size of mean")
    axes[1, 0].set_ylabel("end / minimum")
    legend_below(
        figure,
        [
            Line2D([], [], label="growth of a layer", **_GROWTH),
            Line2D([], [], label="epochs shuffled, 95 % below", **_SHUFFLED),
            Line2D([], [], label=f"the ratio by {factor:g}", ls="--", **_BOUND),
            Line2D([], [], label=f"the variance by {factor:g}", ls=":", **_BOUND),
        ],
    )
    return figure


def _draw_ratios(axis: Axes, epochs: Array, ratios: Array) -> None:
    """One line a layer, (layers, epochs), the first and the last one named at their ends."""
    for ratio, colour in zip(ratios, epoch_colours(range(len(ratios))), strict=True):
        axis.plot(epochs, ratio, color=colour, lw=1.0)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(epochs[0], epochs[-1])
    axis.set_xlabel("epoch")
