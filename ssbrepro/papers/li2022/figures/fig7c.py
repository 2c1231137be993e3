"""Fig. 7c of li2022: sizes of the coupling sets of Hessian entries throughout training."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import (
    BLUE,
    VERMILION,
    curve_with_band,
    legend_below,
    mark_empty,
    name_ends,
    new_figure,
    note_below,
)

_GREEN = "#009E73"  # Okabe & Ito's
# Marks that can be told apart where they lie on each other.
_CURVES: dict[str, dict[str, Any]] = {
    "covariance": {"colour": BLUE, "label": "covariance", "marker": "o", "ms": 3},
    "coskewness": {
        "colour": VERMILION, "label": "coskewness", "marker": "s", "ms": 5, "mfc": "none",
    },
    "cokurtosis": {
        "colour": _GREEN, "label": "excess cokurtosis", "marker": "D", "ms": 7, "mfc": "none",
    },
}  # fmt: skip


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw the exponent of each kind of set over epochs, and on the right its relative size.

    Left of all examples inside the margin, right of as many at every checkpoint.

    Args:
        arrays: Of the stages ``coupling`` and ``equal_coupling``: ``epoch``, ``exponent_min``, and for
            each kind its ``exponent``, ``exponent_band`` and ``relative_size``; of ``coupling``
            ``log10_num_entries`` and ``log10_paper_num_entries``, of ``equal_coupling``
            ``num_active`` and ``log10_dimension``.
    """
    every, equal = arrays["coupling"], arrays["equal_coupling"]
    own, paper = (float(every[f"log10_{whose}num_entries"]) for whose in ("", "paper_"))
    dimension = float(equal["log10_dimension"])
    figure, axes = new_figure(columns=2, height=3.6)
    _panel(axes[0], every, "empty")
    axes[0].set_title(
        "all examples inside the margin\n"
        f"N = $10^{{{own:.2f}}}$ entries, $10^{{{paper:.2f}}}$ in the paper",
        fontsize=7.5,
    )
    _panel(axes[1], equal, "too few")
    axes[1].set_title(
        f"{int(equal['num_active'])} examples inside the margin at every epoch\n"
        f"N = $10^{{{dimension:.2f}}}$",
        fontsize=7.5,
    )
    axes[0].set_ylabel("log(size of the coupling set) / log N")
    note_below(
        figure,
        "Numbers on the right: size of the set relative to N at the last epoch with a value.",
    )
    legend_below(figure, [*axes[0].get_legend_handles_labels()[0]])
    return figure


def _panel(axis: Axes, coupling: Mapping[str, Array], empty: str) -> None:
    """Curves, on the right the sizes at the end relative to N, and what is too small to be found."""
    epochs, least = coupling["epoch"], coupling["exponent_min"]
    top = np.fmax.reduce([1.0, *(np.fmax.reduce(coupling[f"{name}_exponent"]) for name in _CURVES)])
    axis.fill_between(epochs, 0, least, color="0.93", lw=0, label="fewer than can be found")
    ends = []
    for name, style in _CURVES.items():
        exponent, size = coupling[f"{name}_exponent"], coupling[f"{name}_relative_size"]
        found = np.where(size > 0, exponent, np.nan)
        curve_with_band(
            axis, epochs, found, coupling[f"{name}_exponent_band"], within=(0, math.inf), **style
        )
        measured = np.flatnonzero(np.isfinite(exponent))
        if len(measured):
            last = size[measured[-1]]
            place = exponent[measured[-1]] if last > 0 else 0
            ends.append((place, f"{last:.2g}" if last > 0 else "none", style["colour"]))
    mark_empty(axis, epochs, coupling["covariance_exponent"], empty)
    axis.set_ylim(0, 1.04 * top)
    for place, _, colour in ends:
        if place:
            axis.axhline(place, color=colour, lw=0.8, alpha=0.35)
    if ends:
        places, notes, colours = zip(*ends, strict=True)
        name_ends(axis, notes, places, colours)
