"""Theorem 2 of ssb2018: what a ReLU leaves of the squared norm of a vector as an invariant."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ssbrepro.contract import Array
from ssbrepro.papers.ssb2018.defects import Defects, draw_defects
from ssbrepro.papers.style import (
    BLUE,
    SMALL,
    VERMILION,
    empty_figure,
    epoch_colours,
    legend_below,
    plain_axis,
)


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw D'/D as a histogram a dimension, above the changes of squared norms.

    Args:
        arrays: Of the stage ``theorem2``: ``dimension``, ``share_edges``, ``counted``, ``binomial``,
            ``inside``, ``across`` and ``affine``.
    """
    theorem = arrays["theorem2"]
    figure = empty_figure(height=4.6)
    parts: Any = figure.subfigures(2, 1, height_ratios=(1, 1.25))
    above, below = parts
    _draw_shares(above.subplots(), theorem)
    properties = {
        "$a^Ta$, the squared norm after the ReLU": [
            Defects("rotated by $O(D')$ after it", theorem["inside"], BLUE, "o"),
            Defects("$x$ rotated by $O(D)$ before it", theorem["across"], VERMILION, "s"),
        ],
        "$x^Tx$, the squared norm before": [
            Defects("$x$ mapped by an affine map", theorem["affine"], "0.25", "^")
        ],
    }
    legend_below(
        figure,
        draw_defects(
            below, theorem["dimension"], properties,
            "change in units of $x^Tx$; bars: range over vectors, marks: median",
        ),
    )  # fmt: skip
    return figure


def _draw_shares(axis: Axes, theorem: Mapping[str, Array]) -> None:
    plain_axis(axis)
    edges, dimensions = theorem["share_edges"], theorem["dimension"].tolist()
    middles = (edges[1:] + edges[:-1]) / 2
    for index, colour in enumerate(epoch_colours(dimensions)):
        label = f"$D = {dimensions[index]}$"
        axis.stairs(theorem["counted"][index], edges, color=colour, lw=1.2, label=label)
        axis.plot(middles, theorem["binomial"][index], ".", color=colour, ms=4)
    law = Line2D([], [], ls="", marker=".", color="0.4", ms=4, label="binomial law")
    handles = [*axis.get_legend_handles_labels()[0], law]
    axis.legend(handles=handles, frameon=False, fontsize=SMALL, loc="upper right")
    axis.set_xlim(0, 1)
    axis.set_xlabel("share of positive entries $D'/D$")
    axis.set_ylabel("share of vectors")
