"""Gradients along a line in input space, of plain and residual networks (ssb2018, appendix A)."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ssbrepro.contract import Array
from ssbrepro.papers.style import (
    BLUE,
    SMALL,
    VERMILION,
    epoch_colours,
    legend_below,
    new_figure,
)

_KINDS = {"plain": BLUE, "residual": VERMILION}


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw gradients of the first pair of networks above the autocorrelations of all pairs.

    Above: the shallowest and the deepest plain network and the deepest residual one, each around its
    mean and in units of its own standard deviation. Below: autocorrelations of both kinds at each
    depth, medians over networks; and their mean magnitude, with quartiles over networks as bands.

    Args:
        arrays: Of the stage ``shattered``: ``position``, ``gradient``, ``lag``,
            ``autocorrelation_median``, ``depth`` ascending, ``distance_quartiles`` and ``white_noise``.
    """
    shattered = arrays["shattered"]
    depths = shattered["depth"].tolist()
    figure, (above, below) = new_figure(rows=2, columns=3, height=4.2, sharex=False)
    for axis, (kind, index) in zip(above, ((0, 0), (0, -1), (1, -1)), strict=True):
        name, colour = [*_KINDS.items()][kind]
        gradient = shattered["gradient"][kind, 0, index]
        standardised = (gradient - gradient.mean()) / (gradient.std() or 1.0)
        # Steps, for it is constant between kinks.
        axis.step(shattered["position"], standardised, where="mid", color=colour, lw=0.6)
        axis.set_title(f"{name}, depth {depths[index]}", fontsize=SMALL + 1.5)
        axis.set_ylim(-4, 4)
        axis.set_xlim(0, 1)
        axis.set_xticks([0, 0.5, 1])
        axis.set_xlabel("position on the line")
    above[0].set_ylabel("gradient, standardised")
    shades = epoch_colours(depths)
    for axis, name, rows in zip(below, _KINDS, shattered["autocorrelation_median"], strict=False):
        for median, shade in zip(rows, shades, strict=True):
            axis.plot(shattered["lag"], median, color=shade, lw=1.1)
        axis.axhline(0, color="0.6", lw=0.6)
        axis.set_title(f"{name} networks", fontsize=SMALL + 1.5)
        axis.set_ylim(-0.1, 1)
        axis.set_xlabel("lag in points")
    below[0].set_ylabel("autocorrelation")
    last = below[2]
    for kind, (name, colour) in enumerate(_KINDS.items()):
        low, median, high = shattered["distance_quartiles"][:, kind]
        last.plot(depths, median, color=colour, lw=1.1, marker="o", ms=3)
        last.fill_between(depths, low, high, color=colour, alpha=0.25, lw=0)
        place, side = (low[-1], "top") if name == "plain" else (high[-1], "bottom")
        last.text(depths[-1], place, name, color=colour, ha="right", va=side, fontsize=SMALL)
    last.axhline(float(shattered["white_noise"]), color="black", ls=":", lw=1)
    last.set_ylim(0, 1)
    last.set_xticks(depths)
    last.set_xlabel("depth in weight layers")
    last.set_ylabel("mean |autocorrelation|")
    legend_below(
        figure,
        [
            *(
                Line2D([], [], color=shade, label=f"depth {depth}")
                for depth, shade in zip(depths, shades, strict=True)
            ),
            Line2D([], [], color="black", ls=":", lw=1, label="white noise"),
            Patch(color="0.4", alpha=0.25, lw=0, label="quartiles over networks"),
        ],
    )
    return figure
