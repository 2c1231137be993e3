"""ssb2018, appendix A: the training loss with a cyclical and with a monotone step size."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, VERMILION, legend_below, new_figure

_COLOURS = {"cyclical": VERMILION, "monotone": BLUE}


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw both losses of every network with the thresholds above the two step sizes.

    Args:
        arrays: Of the stage ``cyclical``: ``epoch``, ``time``, ``threshold``, and ``<schedule>_loss``,
            ``<schedule>_reached`` and ``<schedule>_step_size`` of both schedules.
    """
    pairs = arrays["cyclical"]
    figure, (losses, step_sizes) = new_figure(rows=2, height=4.0, height_ratios=(2.6, 1))
    for name, colour in _COLOURS.items():
        losses.plot(pairs["epoch"], pairs[f"{name}_loss"].T, color=colour, lw=0.9, alpha=0.7)
        for loss, reached in zip(pairs[f"{name}_loss"], pairs[f"{name}_reached"].T, strict=True):
            first = reached[np.isfinite(reached)].astype(int)
            losses.plot(
                first, loss[first], color=colour, marker="o", ls="", ms=3.6,
                markeredgecolor="white", markeredgewidth=0.5, zorder=3,
            )  # fmt: skip
        step_sizes.plot(pairs["time"], pairs[f"{name}_step_size"], color=colour, lw=1.1)
    for threshold in pairs["threshold"]:
        losses.axhline(threshold, color="0.4", lw=0.6, ls=":")
    losses.set_yscale("log")
    lowest = np.nanmin([pairs[f"{name}_loss"] for name in _COLOURS])
    losses.set_ylim(bottom=0.85 * lowest)  # below are only thresholds that nobody reached
    losses.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    losses.yaxis.set_major_formatter("{x:g}")
    losses.minorticks_off()
    losses.set_ylabel("mean cross-entropy")
    step_sizes.set_ylim(bottom=0)
    step_sizes.set_ylabel("step size")
    step_sizes.set_xlabel("epoch")
    step_sizes.set_xlim(pairs["epoch"][0], pairs["epoch"][-1])
    legend_below(
        figure,
        [
            *(
                Line2D([], [], color=colour, lw=1.1, label=f"{name} step size")
                for name, colour in _COLOURS.items()
            ),
            Line2D([], [], color="0.4", lw=0.6, ls=":", label="loss thresholds"),
            Line2D([], [], color="0.4", marker="o", ls="", ms=3.6, label="first epoch below one"),
        ],
    )  # fmt: skip
    return figure
