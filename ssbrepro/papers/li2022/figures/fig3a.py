"""Fig. 3a of li2022: the weights of every layer at epochs throughout training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.ridgelines import ridgeline
from ssbrepro.papers.style import (
    ASYMMETRY,
    BLUE,
    SMALL,
    VERMILION,
    empty_figure,
    epoch_colours,
    note_below,
)

_COLUMNS = 4
_ROW_INCHES, _LAST_INCHES = 2.1, 1.6


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw a panel for each layer, with one smoothed histogram an epoch from top to bottom.

    Below them is the mean asymmetry of all weights over the epochs, between what random signs and what
    positive weights alone would give.

    Args:
        arrays: Of the stage ``weights``: ``epoch``, ``layer_sizes``, ``asymmetry``, ``noise_95``,
            ``broken``, ``mean_asymmetry``, ``mean_flips``, ``edges`` and ``histogram``.
    """
    weights = arrays["weights"]
    epochs, layer_sizes = weights["epoch"].tolist(), weights["layer_sizes"].tolist()
    rows = -(-len(layer_sizes) // _COLUMNS)
    mosaic: list[Any] = [
        [str(_COLUMNS * row + column) for column in range(_COLUMNS)] for row in range(rows)
    ]
    heights = [_ROW_INCHES] * rows + [_LAST_INCHES]
    figure = empty_figure(sum(heights) + 0.4)
    panels = figure.subplot_mosaic([*mosaic, ["mean"] * _COLUMNS], height_ratios=heights)
    for layer, size in enumerate(layer_sizes):
        axis = panels[str(layer)]
        histograms = weights["histogram"][layer]
        ridgeline(axis, weights["edges"][layer], histograms, epochs, epoch_colours(epochs))
        start, end = weights["asymmetry"][layer][[0, -1]]
        axis.set_title(f"layer {layer + 1}: {size:,} weights", fontsize=SMALL, pad=11)
        chance = weights["noise_95"][layer].max()
        note = f"A {start:.2f} → {end:.2f} ({chance:.2f})"
        axis.text(0.5, 1.02, note, transform=axis.transAxes, ha="center", fontsize=SMALL)
        axis.tick_params(labelsize=SMALL, labelleft=layer % _COLUMNS == 0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.locator_params(axis="x", nbins=3, symmetric=True)
        if layer % _COLUMNS == 0:
            axis.set_ylabel("epoch", fontsize=SMALL + 0.5)
        if layer // _COLUMNS == rows - 1:
            axis.set_xlabel("weight", fontsize=SMALL + 0.5)
    _means(panels["mean"], weights)
    few = [layer + 1 for layer, size in enumerate(layer_sizes) if size < weights["edges"].shape[1]]
    note = f"In brackets: A that random signs stay below in 95 % of cases. {ASYMMETRY}"
    if few:
        layers = "layer" if len(few) == 1 else "layers"
        note += f" Bumps of {layers} {', '.join(map(str, few))} are single weights."
    note_below(figure, note)
    return figure


def _means(axis: Axes, weights: Mapping[str, Array]) -> None:
    """The mean over all weights, with chance and broken symmetries."""
    epochs, flips = weights["epoch"], weights["mean_flips"]
    broken = np.average(weights["broken"], axis=0, weights=weights["layer_sizes"])
    axis.plot(epochs, broken, color=VERMILION, lw=0.9, ls="--", label="all weights positive")
    low, high = np.quantile(flips, [0.05, 0.95], axis=0)
    axis.fill_between(epochs, low, high, color="0.7", lw=0, label="random signs, 5 to 95 %")
    axis.plot(epochs, weights["mean_asymmetry"], color=BLUE, lw=1.1, marker="o", ms=2.5, label="A")
    axis.set_yscale("log")
    axis.set_xlim(epochs[0], epochs[-1])
    axis.set_xlabel("epoch", fontsize=SMALL + 0.5)
    axis.set_ylabel("A, mean over\nall weights", fontsize=SMALL + 0.5)
    axis.tick_params(labelsize=SMALL)
    axis.spines[["top", "right"]].set_visible(False)
    # Where the curves run differs from size to size: above them is always room.
    axis.legend(fontsize=SMALL, frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
