"""ssb2018, appendix A: the training loss with a cyclical and with a monotone step size."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, VERMILION, legend_below, new_figure

_COLOURS = {"cyclical": VERMILION, "monotone": BLUE}


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw both losses of every network with the threshold above the two step sizes.

    Args:
        arrays: Of the stage ``cyclical``: ``epoch``, ``time``, ``loss_threshold``, and
            ``<schedule>_loss``, ``<schedule>_epochs`` and ``<schedule>_step_size`` of both
            schedules.
    """
    pairs = arrays["cyclical"]
    figure, (losses, step_sizes) = new_figure(rows=2, height=4.0, height_ratios=(2.6, 1))
    threshold = float(pairs["loss_threshold"])
    for name, colour in _COLOURS.items():
        losses.plot(pairs["epoch"], pairs[f"{name}_loss"].T, color=colour, lw=0.9, alpha=0.7)
        reached = pairs[f"{name}_epochs"]
        losses.plot(
            reached, [threshold] * len(reached), color=colour, marker="o", ls="", ms=4.5,
            markeredgecolor="white", markeredgewidth=0.6, zorder=3, clip_on=False,
        )  # fmt: skip
        step_sizes.plot(pairs["time"], pairs[f"{name}_step_size"], color=colour, lw=1.1)
    losses.axhline(threshold, color="black", lw=0.8, ls=":")
    losses.set_yscale("log")
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
            Line2D([], [], color="black", lw=0.8, ls=":", label="threshold"),
            Line2D(
                [], [], color="0.4", marker="o", ls="", ms=4.5,
                label="first epoch at or below the threshold",
            ),
        ],
    )  # fmt: skip
    return figure
