"""Capacity of li2022's networks: how many images they learn, with true and with random labels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from ssbrepro.contract import Array
from ssbrepro.papers.style import (
    BLUE,
    SMALL,
    VERMILION,
    legend_below,
    new_figure,
    note_below,
)

_LABELS = {"true": BLUE, "random": VERMILION}
_BESIDE = 1.6  # factor on P and n to the edges of a panel


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw n_c against P for both kinds of labels, with what was learnt of all that was tried.

    Args:
        arrays: Of the stage ``capacity``, all but the single networks' limits.
    """
    found = arrays["capacity"]
    figure, axes = new_figure(columns=2, height=4.6, sharey=True)
    for kind, (axis, label) in enumerate(zip(axes, _LABELS, strict=True)):
        axis.set_title(f"{label} labels", fontsize=8)
        _regions(axis, found, kind)
        _cells(axis, found, kind)
        _scales(axis, found)
    axes[0].set_ylabel("images $n$")
    required, networks = int(found["num_required"]), int(found["num_networks"])
    note_below(
        figure,
        f"Circles: $n_c$, the most images {required} of {networks} networks learn; triangles: it is "
        "at an end of what was tried. k/m: k of m networks learnt so many images; each seeks its own "
        "limit by bisection. Dashed: the other labels.",
    )
    legend_below(figure, _legend(found))
    return figure


def _regions(axis: Axes, found: Mapping[str, Array], kind: int) -> None:
    """What is learnt and what is not, and n_c between them; the other labels' n_c beside it."""
    weights, sizes = found["num_weights"], found["sizes"]
    bottom, top = sizes[0] / _BESIDE, sizes[-1] * _BESIDE
    for other, colour in enumerate(_LABELS.values()):
        n_c = np.maximum(found["n_c"][other], bottom)
        edges = [weights[0] / _BESIDE, *weights, weights[-1] * _BESIDE]
        curve = np.array([n_c[0], *n_c, n_c[-1]])
        if other != kind:
            axis.plot(edges[1:-1], curve[1:-1], color=colour, lw=1, ls="--", zorder=2)
            continue
        axis.fill_between(edges, bottom, curve, color=colour, alpha=0.22, lw=0)
        axis.fill_between(edges, curve, top, color="0.93", lw=0)
        axis.plot(edges[1:-1], curve[1:-1], color=colour, lw=1.4)
        for place, value in enumerate(found["n_c"][kind]):
            mark = "v" if value == 0 else "^" if value == sizes[-1] else "o"
            axis.plot(
                weights[place], n_c[place], color=colour, marker=mark, ms=17, mfc="white", mew=1.4
            )
    axis.text(0.97, 0.03, "learnt", transform=axis.transAxes, ha="right", fontsize=SMALL + 1)
    axis.text(0.03, 0.95, "not learnt", transform=axis.transAxes, fontsize=SMALL + 1)


def _cells(axis: Axes, found: Mapping[str, Array], kind: int) -> None:
    """How many of the networks trained at a cell learnt it."""
    for width, size in np.argwhere(found["trained"][kind, ..., 0]):
        networks, learnt = found["trained"][kind, width, size]
        axis.text(
            found["num_weights"][width], found["sizes"][size], f"{learnt}/{networks}",
            ha="center", va="center", fontsize=SMALL, color="black" if learnt else "0.35",
            path_effects=[withStroke(linewidth=2.5, foreground="white")],  # lines pass behind
        )  # fmt: skip


def _scales(axis: Axes, found: Mapping[str, Array]) -> None:
    weights, sizes = found["num_weights"], found["sizes"]
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(weights[0] / _BESIDE, weights[-1] * _BESIDE)
    axis.set_ylim(sizes[0] / _BESIDE, sizes[-1] * _BESIDE)
    names = [f"{weight:,}\n(width 1/{round(1 / width)})"
             for weight, width in zip(weights, found["widths"], strict=True)]  # fmt: skip
    axis.set_xticks(weights, names, minor=False)
    axis.set_xticks([], minor=True)
    axis.set_yticks(sizes[::2], [f"{size}" for size in sizes[::2]], minor=False)
    axis.set_yticks([], minor=True)
    axis.tick_params(labelsize=SMALL)
    axis.set_xlabel("weights $P$", fontsize=8)


def _legend(found: Mapping[str, Array]) -> list[Any]:
    handles: list[Any] = []
    for (label, colour), slope in zip(_LABELS.items(), found["slopes"], strict=True):
        text = f"$n_c$, {label} labels"
        text += "" if np.isnan(slope) else f", slope ${slope:+.2f}$"
        handles.append(Line2D([], [], color=colour, lw=1.4, label=text))
    handles.append(Patch(color="0.9", label="not learnt"))
    return handles
