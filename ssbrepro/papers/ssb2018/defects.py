"""Defects beside the two bounds that say whether a symmetry holds: for the theorems of ssb2018."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatterMathtext, NullLocator

from ssbrepro.contract import Array
from ssbrepro.papers.style import SMALL, break_mark

_HELD, _BROKEN = 1e-12, 1e-2  # the claims' bounds
_ZERO, _BREAK = 1e-19, 1e-18  # where a difference of exactly zero stands, and the break before it


class Defects(NamedTuple):
    """One kind of them: ``values`` (dimensions, points) and their look."""

    label: str
    values: Array
    colour: str
    marker: str


def draw_defects(
    figure: FigureBase, dimensions: Array, properties: Mapping[str, Sequence[Defects]], unit: str
) -> list[Line2D]:
    """Draw the ranges and medians of all kinds, a line a dimension, around a break of the axis.

    What holds but for rounding is left of the break, what does not hold right of it. The right part
    begins before any value that is above the bound of what holds: none is in the break.

    Args:
        figure: A figure or a part of one, to be filled.
        dimensions: (dimensions,).
        properties: Kinds of defects, by what they are defects of.
        unit: Of the horizontal axis.

    Returns:
        Handles for a legend.
    """
    kinds = [kind for several in properties.values() for kind in several]
    values = np.concatenate([kind.values.ravel() for kind in kinds])
    values = values[np.isfinite(values)]
    above = values[values > _HELD]
    least, most = min(_BROKEN / 4, *above / 2), max(2.0, *above * 2)
    part: Any = figure.subfigures()  # in which the label below keeps clear of a legend of the whole
    left, right = part.subplots(1, 2, sharey=True, width_ratios=(1.2, 1))
    places, labels = [], []
    for index, (title, several) in enumerate(properties.items()):
        first = index * (len(dimensions) + 1.3)
        left.text(
            0.01, first - 0.75, title, transform=left.get_yaxis_transform(), va="center",
            fontsize=SMALL + 0.5, weight="bold",
        )  # fmt: skip
        for row, dimension in enumerate(dimensions):
            places.append(first + row)
            labels.append(f"$D = {dimension}$")
            for axis in (left, right):
                for kind in several:
                    _draw_range(axis, places[-1], kind, kind.values[row])
    left.set_yticks(places, labels, fontsize=SMALL)
    left.set_ylim(places[-1] + 0.6, -1.4)
    for axis, (start, end), claimed, title in (
        (left, (_ZERO / 3, 5 * _HELD), (_ZERO / 3, _HELD), "holds, up to $10^{-12}$"),
        (right, (least, most), (_BROKEN, most), "broken, from $10^{-2}$ on"),
    ):
        axis.set_xscale("log")
        axis.set_xlim(start, end)
        axis.axvspan(*claimed, color="0.93", lw=0, zorder=0)
        axis.set_title(title, fontsize=SMALL + 1)
        axis.tick_params(axis="y", length=0)
        axis.tick_params(axis="x", labelsize=SMALL)
        axis.spines[["top", "left", "right"]].set_visible(False)
        axis.xaxis.set_minor_locator(NullLocator())
    ticks = [1e-16, 1e-14, 1e-12]
    left.set_xticks([_ZERO, *ticks], ["0", *map(LogFormatterMathtext(), ticks)])
    break_mark(left, (_BREAK, 0), left.get_xaxis_transform())
    break_mark(left, (1, 0), left.transAxes)
    break_mark(right, (0, 0), right.transAxes)
    part.supxlabel(unit, fontsize=SMALL + 1.5)
    return [
        Line2D([], [], lw=3, alpha=0.6, marker=kind.marker, ms=5, mfc="white", color=kind.colour,
               label=kind.label)
        for kind in {kind.label: kind for kind in kinds}.values()
    ]  # fmt: skip


def _draw_range(axis: Axes, place: float, kind: Defects, values: Array) -> None:
    """The range as a bar, the median as a mark; nothing where no value is known."""
    values = values[np.isfinite(values)]
    if not len(values):
        return
    low, middle, high = np.maximum(np.quantile(values, [0, 0.5, 1]), _ZERO)
    axis.plot([low, high], [place] * 2, color=kind.colour, lw=3, alpha=0.6, solid_capstyle="butt")
    axis.plot(middle, place, color=kind.colour, marker=kind.marker, ms=5, mfc="white", ls="")
