"""Points on a logarithmic axis that say whether a symmetry holds: for the theorems of ssb2018."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ssbrepro.contract import Array
from ssbrepro.papers.style import SMALL

_HELD, _BROKEN = 1e-12, 1e-2  # the claims' bounds
_LINEAR_BELOW = 1e-17  # a difference of exactly zero has to have a place on the axis
_WIDTH = 0.7  # of all kinds of points at one dimension, in distances between dimensions


class Defects(NamedTuple):
    """One kind of points: ``values`` (dimensions, points) and their look."""

    label: str
    values: Array
    colour: str
    marker: str


def draw_defects(axis: Axes, dimensions: Array, kinds: Sequence[Defects]) -> list[Line2D]:
    """Draw all kinds of points side by side at each dimension, with lines at 1e-12 and 1e-2.

    Args:
        axis: Where to draw.
        dimensions: (dimensions,).
        kinds: What to draw.

    Returns:
        Handles for a legend.
    """
    for bound in (_HELD, _BROKEN):
        axis.axhline(bound, color="0.5", lw=0.8, ls="--", zorder=1)
    note: dict[str, Any] = {"color": "0.35", "fontsize": SMALL, "ha": "right", "x": 0.99}
    transform = axis.get_yaxis_transform()
    axis.text(y=_HELD / 2, s="symmetry holds below", va="top", transform=transform, **note)
    axis.text(y=_BROKEN / 2, s="symmetry broken above", va="top", transform=transform, **note)
    for index, kind in enumerate(kinds):
        shift = _WIDTH * ((index + 0.5) / len(kinds) - 0.5)
        for place, values in enumerate(kind.values):
            axis.plot(
                [place + shift] * len(values), values, ls="", marker=kind.marker, ms=3.5,
                mfc="none", mew=0.7, color=kind.colour, alpha=0.6, clip_on=False,
            )  # fmt: skip
    axis.set_yscale("symlog", linthresh=_LINEAR_BELOW, linscale=0.5)
    axis.set_yticks([0, 1e-16, 1e-12, 1e-8, 1e-4, 1])
    axis.set_ylim(0, 5)
    axis.set_xticks(range(len(dimensions)), [str(dimension) for dimension in dimensions])
    axis.set_xlim(-0.5, len(dimensions) - 0.5)
    axis.set_xlabel("dimension $D$")
    return [
        Line2D([], [], ls="", marker=kind.marker, ms=4, mfc="none", color=kind.colour,
               label=kind.label)
        for kind in kinds
    ]  # fmt: skip
