"""Theorem 2 of ssb2018: what a ReLU leaves of the squared norm of a vector as an invariant."""

from collections.abc import Mapping

from matplotlib import colormaps
from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.ssb2018.defects import Defects, draw_defects
from ssbrepro.papers.style import BLUE, SMALL, VERMILION, legend_below, new_figure


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw D'/D as a histogram a dimension, and the changes of squared norms beside it.

    Args:
        arrays: Of the stage ``theorem2``: ``dimension``, ``share_edges``, ``counted``, ``binomial``,
            ``inside``, ``across`` and ``affine``.
    """
    theorem = arrays["theorem2"]
    figure, (left, right) = new_figure(columns=2, height=3.0, sharex=False)
    edges, dimensions = theorem["share_edges"], theorem["dimension"]
    for index, dimension in enumerate(dimensions):
        colour = colormaps["viridis"](0.85 * index / max(len(dimensions) - 1, 1))
        left.stairs(theorem["counted"][index], edges, color=colour, label=f"$D = {dimension}$")
        middles = (edges[1:] + edges[:-1]) / 2
        left.plot(middles, theorem["binomial"][index], ".", color=colour, ms=4)
    left.plot([], [], ".", color="0.4", ms=4, label="binomial law")
    left.legend(frameon=False, fontsize=SMALL, loc="upper right")
    left.set_xlim(0, 1)
    left.set_xlabel("share of positive entries $D'/D$")
    left.set_ylabel("share of vectors")
    kinds = [
        Defects("$a^Ta$, rotated by $O(D')$", theorem["inside"], BLUE, "o"),
        Defects("$a^Ta$, $x$ rotated by $O(D)$", theorem["across"], VERMILION, "s"),
        Defects("$x^Tx$, affine map of $x$", theorem["affine"], "0.25", "^"),
    ]
    legend_below(figure, draw_defects(right, dimensions, kinds))
    right.set_ylabel("change in units of $x^Tx$")
    return figure
