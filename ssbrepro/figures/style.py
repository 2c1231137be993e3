"""The common look of the figures: paper width, readable at print size, safe for colour-blind eyes."""

from collections.abc import Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure

WIDTH_INCHES = 6.3  # the text width of an A4 page
_FONT_SIZE = 8


def new_figure(rows: int = 1, height: float = 3.6) -> tuple[Figure, Any]:
    """A figure with ``rows`` stacked axes that share the horizontal axis.

    Returns:
        The figure, and its axes, or an array of axes where there are several.
    """
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    axes = figure.subplots(rows, sharex=True)
    for axis in figure.axes:
        axis.tick_params(labelsize=_FONT_SIZE, direction="out")
        axis.xaxis.label.set_fontsize(_FONT_SIZE + 1)
        axis.yaxis.label.set_fontsize(_FONT_SIZE + 1)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def epoch_colours(epochs: Sequence[float]) -> list[tuple[float, float, float, float]]:
    """One colour an epoch, dark to light along viridis, short of its faint end."""
    last = max(len(epochs) - 1, 1)
    return [colormaps["viridis"](0.88 * index / last) for index in range(len(epochs))]
