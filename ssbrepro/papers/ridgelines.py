"""Histograms one below the other, with columns of numbers beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import SMALL, WIDTH_INCHES, Colour, new_figure

_COLUMN_INCHES = 0.42  # of numbers
_UNSEEN = 2e-3  # of the distance between rows: less than a hair


def ridgeline(
    axis: Axes,
    edges: Array,
    rows: Array,
    labels: Sequence[object],
    colours: Sequence[Colour],
    empty: str = "empty",
    overlap: float = 1.6,
) -> None:
    """Draw histograms one below the other, each scaled to its own peak, around a black zero line.

    Args:
        axis: Where to draw; its horizontal scale is the caller's.
        edges: Of the bins, (bins+1,).
        rows: One histogram a row, from the top, (rows, bins); all zero where there is none.
        labels: To the left of each row.
        colours: Of each row.
        empty: What to write in place of a row that is all zero.
        overlap: Height of a peak in distances between rows.
    """
    middles = (edges[1:] + edges[:-1]) / 2
    for index, row in enumerate(rows):
        axis.axhline(-index, color="0.85", lw=0.5, zorder=2 * index)
        if row.any():
            height = overlap * row / row.max()
            seen = np.flatnonzero(height > _UNSEEN)  # the rest is the line at its foot
            part = slice(max(seen[0] - 1, 0), seen[-1] + 2)
            places = middles[part][[0, *range(len(middles[part])), -1]]
            top = np.concatenate([[0], height[part], [0]]) - index
            axis.fill(
                places, top, facecolor=(*colours[index][:3], 0.35), edgecolor=colours[index], lw=0.9,
                zorder=2 * index + 1,
            )  # fmt: skip
        else:
            transform = axis.get_yaxis_transform()
            axis.text(0.98, 0.1 - index, empty, transform=transform, ha="right", fontsize=SMALL)
    axis.axvline(0, color="black", lw=0.8, zorder=2 * len(rows))
    axis.set_yticks([-index for index in range(len(rows))], [str(label) for label in labels])
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_ylim(-len(rows) + 0.8, overlap + 0.1)


def ridgeline_figure(height: float, columns: int, panels: int = 1) -> tuple[Figure, Any]:
    """A figure for ridgelines with one vertical axis, and a place right of them for :func:`beside_rows`.

    Args:
        height: Inches.
        columns: Of numbers.
        panels: Of ridgelines.

    Returns:
        The figure, and its axes; the last one is for the numbers.
    """
    share = _COLUMN_INCHES * columns / (WIDTH_INCHES - _COLUMN_INCHES * columns)
    return new_figure(
        columns=panels + 1, height=height, sharex=False, sharey=True,
        width_ratios=[1] * panels + [panels * share],
    )  # fmt: skip


def beside_rows(axis: Axes, columns: Mapping[str, Sequence[str]]) -> None:
    """Write columns of numbers beside a :func:`ridgeline`, one a row.

    Args:
        axis: Where to write: right of that of the ridgeline, and with the same vertical axis.
        columns: Texts of each row, by the title above them.
    """
    axis.set_axis_off()
    style: dict[str, Any] = {
        "fontsize": SMALL, "ha": "center", "transform": axis.get_yaxis_transform(),
    }  # fmt: skip
    for column, (title, texts) in enumerate(columns.items()):
        place = (column + 0.5) / len(columns)
        axis.text(place, 0.85, title, va="bottom", **style)
        for index, text in enumerate(texts):
            axis.text(place, 0.1 - index, text.replace("nan", "-"), **style)


def copy_columns(letter: str, intact: Array, broken: Array) -> dict[str, list[str]]:
    """Columns for :func:`beside_rows` of what intact and broken copies have.

    Args:
        letter: Of the statistic.
        intact: (copies, rows); NaN where a copy has none.
        broken: Likewise.
    """
    lows, highs = np.fmin.reduce(intact), np.fmax.reduce(intact)
    middles = np.fmax.reduce(broken)
    return {
        f"{letter} of\nintact": [
            f"{low:.2f} to\n{high:.2f}" if np.isfinite(low) else "-"
            for low, high in zip(lows, highs, strict=True)
        ],
        f"{letter} of\nbroken": [f"{middle:.2f}" for middle in middles],
    }
