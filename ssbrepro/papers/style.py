"""The common look of the figures: paper width, readable at print size, safe for colour-blind eyes."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import ScaledTranslation, Transform

from ssbrepro.contract import Array

WIDTH_INCHES = 6.3  # the text width of an A4 page
SMALL = 7.0  # points, for notes inside the axes; nothing is smaller
FONT_SIZE = 8
_LINE_LETTERS = 108  # of the size SMALL
_LINE_INCHES, _PAD_INCHES = 0.135, 0.12  # of print of the size SMALL
BLUE, VERMILION = "#0072B2", "#D55E00"  # Okabe & Ito's blue and vermilion

ASYMMETRY = (  # what A is, in words
    "A: distance between a law and its mirror image (Wasserstein-1) over the mean magnitude, "
    "0 for a symmetric law, 2 for one of a single sign."
)
BREAKING_INDEX = (
    "B: where a statistic is between copies of the network with signs drawn anew (0, intact) "
    "and copies whose weights are all positive (1, broken)."
)

Colour = tuple[float, float, float, float]


def new_figure(
    rows: int = 1, columns: int = 1, height: float = 3.6, sharex: bool = True, **options: Any
) -> tuple[Figure, Any]:
    """A figure of paper width with ``rows`` times ``columns`` axes.

    Args:
        rows: Number of axes from top to bottom.
        columns: Number of axes from left to right.
        height: Inches.
        sharex: Whether they share the horizontal axis.
        options: Further ones of matplotlib's ``Figure.subplots``.

    Returns:
        The figure, and its axes, or an array of axes where there are several.
    """
    figure = empty_figure(height)
    axes = figure.subplots(rows, columns, sharex=sharex, **options)
    for axis in figure.axes:
        plain_axis(axis)
    return figure, axes


def empty_figure(height: float) -> Figure:
    """A figure of paper width, so many inches high, without axes."""
    return Figure(figsize=(WIDTH_INCHES, height), layout="constrained")


def plain_axis(axis: Axes) -> None:
    """Print of the common sizes, and no frame but the two axes."""
    axis.tick_params(labelsize=FONT_SIZE, direction="out")
    axis.xaxis.label.set_fontsize(FONT_SIZE + 1)
    axis.yaxis.label.set_fontsize(FONT_SIZE + 1)
    axis.spines[["top", "right"]].set_visible(False)


def break_mark(axis: Axes, place: tuple[float, float], transform: Transform) -> None:
    """Two strokes across a spine, where an axis leaves something out or changes its scale.

    Args:
        axis: Whose spine it is.
        place: Horizontally and vertically; on the vertical spine the former is 0.
        transform: What the place is given in.
    """
    upright = place[0] == 0 and place[1] != 0
    stroke = [(-1, -0.5), (1, 0.5)] if upright else [(-0.5, -1), (0.5, 1)]
    figure = axis.get_figure(root=True)
    assert figure is not None
    for shift in (-1.5 / 72, 1.5 / 72):  # inches
        x, y = (0.0, shift) if upright else (shift, 0.0)
        axis.plot(
            *place, transform=transform + ScaledTranslation(x, y, figure.dpi_scale_trans),
            color="black", clip_on=False, zorder=5, marker=stroke, ms=7, mew=0.8,
        )  # fmt: skip


def signed_decades(axis: Axes, linear: float, largest: float, most: int = 4) -> None:
    """Ticks of an axis that is logarithmic on both sides of zero: zero and some decades a side.

    Args:
        axis: Whose horizontal axis it is.
        linear: Where it turns from linear to logarithmic; ticks that near would run into that of zero.
        largest: Its end.
        most: How many decades a side at most.
    """
    decades = range(math.ceil(math.log10(linear)), math.floor(math.log10(largest)) + 1)
    spacing = max(1, math.ceil(len(decades) / most))
    clear = math.log10(linear) + 0.4 * spacing
    kept = [decade for decade in decades[::-spacing] if decade > clear] or list(decades[-1:])
    axis.set_xticks(
        [*(-(10.0**decade) for decade in kept), 0, *(10.0**decade for decade in kept)],
        [
            *(f"$-10^{{{decade}}}$" for decade in kept), "0", *(f"$10^{{{decade}}}$" for decade in kept)
        ],
    )  # fmt: skip


def epoch_colours(epochs: Sequence[float]) -> list[Colour]:
    """One colour an epoch, dark to light along viridis, short of its faint end."""
    last = max(len(epochs) - 1, 1)
    return [colormaps["viridis"](0.8 * index / last) for index in range(len(epochs))]


def copy_levels(axis: Axes, epochs: Array, intact: Array, broken: Array) -> None:
    """Draw what copies have over epochs: a band of the intact ones, a line for the broken ones.

    Args:
        axis: Where to draw.
        epochs: (checkpoints,).
        intact: (copies, checkpoints); NaN where a copy has none.
        broken: Likewise.
    """
    axis.fill_between(
        epochs, np.fmin.reduce(intact), np.fmax.reduce(intact), color="0.5", alpha=0.25, lw=0,
        label="intact copies",
    )  # fmt: skip
    axis.plot(
        epochs, np.fmax.reduce(broken), color=VERMILION, lw=0.9, ls="--", marker="x", ms=3,
        label="all broken",
    )  # fmt: skip


def curve_with_band(
    axis: Axes,
    epochs: Array,
    values: Array,
    band: Array,
    colour: str,
    within: tuple[float, float] = (-math.inf, math.inf),
    **style: Any,
) -> None:
    """Draw a quantity over epochs with a mark a checkpoint, and a band to both sides.

    Args:
        axis: Where to draw.
        epochs: (checkpoints,).
        values: Likewise; NaN where there is none.
        band: Half its width, likewise.
        colour: Of both.
        within: Where values can lie; the band ends there.
        style: Further options of the curve.
    """
    axis.plot(epochs, values, color=colour, lw=1.1, clip_on=False, **style)
    low, high = np.clip([values - band, values + band], *within)
    axis.fill_between(epochs, low, high, color=colour, alpha=0.25, lw=0)
    axis.set_xlim(epochs[0], epochs[-1])
    axis.set_xlabel("epoch")


def mark_empty(axis: Axes, epochs: Array, values: Array, word: str = "empty") -> None:
    """Write at the foot of a curve over epochs where it has no value.

    Args:
        axis: That of the curve.
        epochs: (checkpoints,).
        values: Likewise; NaN where there is none.
        word: What to write.
    """
    for epoch in epochs[np.isnan(values)]:
        axis.text(
            epoch, 0.03, word, transform=axis.get_xaxis_transform(), ha="center",
            fontsize=SMALL, rotation="vertical",
        )  # fmt: skip


def name_ends(
    axis: Axes,
    texts: Sequence[str],
    values: Sequence[float],
    colours: Sequence[Colour | str],
    spacing: float = 0.07,
) -> None:
    """Write beside the right end of each curve what it is, in its colour; none where it ends in NaN.

    Args:
        axis: Of the curves, whose vertical limits are final.
        texts: One a curve.
        values: Where the curves end.
        colours: Theirs.
        spacing: Between texts at least, in heights of the axis.
    """
    axis.get_ylim()  # brings the limits up to date, which the transformation uses as they are
    ends = axis.transData.transform([(1, value) for value in values])
    heights = axis.transAxes.inverted().transform(ends)[:, 1]
    place = -math.inf
    for index in np.argsort(heights, kind="stable"):
        if np.isfinite(values[index]):
            place = max(min(max(heights[index], 0), 1), place + spacing)
            axis.text(
                1.02, place, texts[index], transform=axis.transAxes, va="center", fontsize=SMALL,
                color=colours[index],
            )  # fmt: skip


def legend_below(figure: Figure, handles: Sequence[Any], columns: int = 0) -> None:
    """Write a legend below all axes, which make room for it; what is below them already stays below.

    Args:
        figure: In constrained layout.
        handles: Artists with labels.
        columns: How many of them in a line; all of them by default.
    """
    columns = columns or len(handles)
    lines = -(-len(handles) // columns)
    # Anchored to the figure itself: what a legend is anchored to by default moves when a file is cut
    # to what is drawn.
    figure.legend(
        handles=handles, loc="lower center", ncols=columns, frameon=False, fontsize=SMALL,
        bbox_to_anchor=(0.5, _room_below(figure, _PAD_INCHES + _LINE_INCHES * lines)),
        bbox_transform=figure.transFigure, columnspacing=1.5, labelspacing=0.25,
    )  # fmt: skip


def note_below(figure: Figure, text: str) -> None:
    """Write lines of explanation below all axes, which make room for them.

    Args:
        figure: In constrained layout.
        text: Of any length.
    """
    lines = textwrap.wrap(text, _LINE_LETTERS)
    bottom = _room_below(figure, _PAD_INCHES / 2 + _LINE_INCHES * len(lines))
    figure.text(
        0.5, bottom, "\n".join(lines), fontsize=SMALL, color="0.25", ha="center", va="bottom",
        multialignment="center", linespacing=1.15, in_layout=False,
    )  # fmt: skip


def _room_below(figure: Figure, inches: float) -> float:
    """Take a strip from what the axes have; where it begins, in heights of the figure."""
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)  # that of empty_figure
    _, bottom, _, height = engine.get()["rect"]
    share = inches / figure.get_figheight()
    engine.set(rect=(0, bottom + share, 1, height - share))
    return float(bottom)
