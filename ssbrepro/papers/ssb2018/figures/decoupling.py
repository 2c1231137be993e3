"""Sizes of residual branches beside their inputs (ssb2018, footnote 1)."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, VERMILION, legend_below, new_figure, note_below

# In the order of the arrays, with the places beside a unit's.
_PHASES = (
    ("untrained", "0.55", 0.0),
    ("trained", BLUE, 0.24),
    ("untrained, factor 1", VERMILION, -0.24),
)


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw for each unit the quantiles of the ratio over examples: untrained, trained, unscaled.

    Bars are medians over networks of the quantiles, thick between the quartiles; dots are the
    medians of the single networks.

    Args:
        arrays: Of the stage ``decoupling``: ``unit``, ``quantile`` and ``quantile_median`` with five
            levels, the median in the middle.
    """
    decoupling = arrays["decoupling"]
    figure, axis = new_figure(height=3.2)
    units = decoupling["unit"]
    for phase, (_, colour, offset) in enumerate(_PHASES):
        low, first, _, third, high = decoupling["quantile_median"][phase].T
        axis.vlines(units + offset, low, high, color=colour, lw=1.2)
        axis.vlines(units + offset, first, third, color=colour, lw=5, alpha=0.6)
        for network in decoupling["quantile"][:, phase, :, 2]:
            axis.plot(
                units + offset, network, ls="", marker="o", ms=3.2, color=colour,
                markeredgecolor="white", markeredgewidth=0.4,
            )  # fmt: skip
    axis.axhline(1, color="black", ls=":", lw=1)
    axis.set_xticks(units)
    axis.set_xlim(0.5, units[-1] + 0.5)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("residual unit, from the input to the output")
    axis.set_ylabel("norm of branch / norm of input")
    note_below(
        figure,
        "Bars: ends, and thick the quartiles, of the ratio over examples, as medians over networks.",
    )
    legend_below(
        figure,
        [
            *(
                Line2D([], [], color=colour, lw=3, alpha=0.7, label=label)
                for label, colour, _ in _PHASES
            ),
            Line2D([], [], color="black", ls="", marker="o", ms=3.2, label="median of one network"),
            Line2D([], [], color="black", ls=":", lw=1, label="branch as large as input"),
        ],
    )
    return figure
