"""Fig. 8a of li2022: the eigenvalue density of the Hessian at epochs throughout training."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ssbrepro.contract import Array
from ssbrepro.papers.style import (
    BLUE,
    BREAKING_INDEX,
    SMALL,
    VERMILION,
    Colour,
    epoch_colours,
    mark_empty,
    new_figure,
    note_below,
    signed_decades,
)

_DECADES = 9  # of density below its peak; further down is the kernel's tail
_LEVELS = 4  # heights at which curves are labelled, so that neighbours' labels keep apart
_BOUND = 0.25  # of the claims


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw one curve an epoch, both axes logarithmic, above the breaking index of the two sides.

    Args:
        arrays: Of the stage ``spectrum``: ``epoch``, ``standard_deviation``, ``grid``, ``linear`` and
            ``density``; of ``spectrum_controls``: ``<statistic>_index`` and ``<statistic>_index_intact``
            of ``extremes`` and ``odd_moment``.
    """
    spectrum, controls = arrays["spectrum"], arrays["spectrum_controls"]
    figure, (upper, lower) = new_figure(
        2, height=6.0, sharex=False, gridspec_kw={"height_ratios": [2, 1]}
    )
    _densities(upper, spectrum)
    _indices(lower, spectrum, controls)
    note_below(
        figure,
        "$S_k$: how far the k outermost eigenvalues of both signs differ in size, 0 to 1. "
        f"{BREAKING_INDEX}",
    )
    return figure


def _densities(axis: Axes, spectrum: Mapping[str, Array]) -> None:
    grid, linear, epochs = spectrum["grid"], float(spectrum["linear"]), spectrum["epoch"]
    filled = spectrum["standard_deviation"] > 0
    axis.set_xscale("symlog", linthresh=linear, linscale=0.6)
    signed_decades(axis, linear, grid[-1])
    axis.set_yscale("log")
    axis.axvline(0, color="0.6", lw=0.6)
    axis.set_xlabel("eigenvalue λ of the Hessian (logarithmic on both sides of zero)")
    axis.set_ylabel("density of eigenvalues")
    axis.set_xlim(grid[0], grid[-1])
    if empty := epochs[~filled].tolist():  # H = 0 exactly: all the mass at 0, no curve to draw
        note = f"empty, H = 0: epoch {', '.join(map(str, empty))}"
        axis.text(0.99, 0.97, note, transform=axis.transAxes, ha="right", va="top", fontsize=SMALL)
    if not filled.any():
        return
    curves, colours = spectrum["density"][filled], epoch_colours(epochs[filled].tolist())
    peak = curves.max()
    floor = peak * 10.0**-_DECADES
    axis.set_ylim(floor, 3 * peak)
    feet = [int(np.flatnonzero(curve > floor)[-1]) for curve in curves]
    ranks = np.argsort(np.argsort(feet, kind="stable"), kind="stable")
    for epoch, curve, colour, rank in zip(epochs[filled], curves, colours, ranks, strict=True):
        axis.plot(grid, curve, color=colour, lw=1.1)
        level = floor * 10 ** (0.8 + rank // 2 % _LEVELS)
        _label(axis, grid, curve, level, -1 if rank % 2 else 0, f"{epoch}", colour)
    axis.text(
        0.01, 0.97, "numbers on curves: epochs", transform=axis.transAxes, va="top", fontsize=SMALL
    )


def _label(
    axis: Axes, grid: Array, curve: Array, level: float, end: int, text: str, colour: Colour
) -> None:
    """Write on a curve where its first or last part passes a height."""
    place = np.flatnonzero(curve > level)[end]
    axis.text(
        grid[place], curve[place], text, color=colour, ha="center", va="center", fontsize=SMALL + 0.5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
    )  # fmt: skip


def _indices(axis: Axes, spectrum: Mapping[str, Array], controls: Mapping[str, Array]) -> None:
    places = np.arange(len(spectrum["epoch"]))
    drawn = {
        "extremes": ("largest eigenvalues, $S_k$", BLUE, "o", -0.06),
        "odd_moment": ("third moment", VERMILION, "s", 0.06),
    }
    for level, text in ((0, "intact"), (_BOUND, "claimed at most"), (1, "all broken")):
        axis.axhline(level, color="0.5", lw=0.7, ls="--" if level == _BOUND else "-", zorder=0)
        axis.annotate(
            text, (1, level), (3, 0), xycoords=axis.get_yaxis_transform(), textcoords="offset points",
            va="center", fontsize=SMALL,
        )  # fmt: skip
    for statistic, (label, colour, marker, shift) in drawn.items():
        index, intact = controls[f"{statistic}_index"], controls[f"{statistic}_index_intact"]
        axis.plot(places + shift, index, marker, color=colour, ms=4.5, label=label, clip_on=False)
        known = np.isfinite(intact).any(axis=1)
        axis.vlines(
            places[known] + shift, np.nanmin(intact[known], axis=1), np.nanmax(intact[known], axis=1),
            color=colour, lw=3, alpha=0.3,
        )  # fmt: skip
    mark_empty(axis, places, np.where(spectrum["standard_deviation"] > 0, 0.0, np.nan))
    axis.set_xticks(places, [str(epoch) for epoch in spectrum["epoch"]])
    axis.set_xlim(-0.5, len(places) - 0.5)
    axis.set_xlabel("epoch")
    axis.set_ylabel("breaking index B")
    copies = Line2D([], [], color="0.5", lw=3, alpha=0.5, label="intact copies")
    axis.legend(
        handles=[*axis.get_legend_handles_labels()[0], copies], fontsize=SMALL, frameon=False,
        ncols=3, loc="lower left", bbox_to_anchor=(0, 1),
    )  # fmt: skip
