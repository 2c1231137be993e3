"""Fig. 7c of li2022: sizes of the coupling sets of Hessian entries throughout training."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import (
    BLUE,
    SMALL,
    VERMILION,
    curve_with_band,
    mark_empty,
    new_figure,
)

_GREEN = "#009E73"  # Okabe & Ito's
# Marks that can be told apart where they lie on each other.
_CURVES = {
    "covariance": (BLUE, {"label": "covariance", "marker": "o", "ms": 3}),
    "coskewness": (VERMILION, {"label": "coskewness", "marker": "s", "ms": 5, "mfc": "none"}),
    "cokurtosis": (_GREEN, {"label": "excess cokurtosis", "marker": "D", "ms": 7, "mfc": "none"}),
}
_SPACING = 0.05  # between notes, of exponents


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw the exponent of each kind of set over epochs, and on the right its relative size.

    Args:
        arrays: Of the stage ``coupling``: ``epoch``, ``log10_num_entries``,
            ``log10_paper_num_entries``, and for each kind its ``exponent``, ``exponent_band`` and
            ``relative_size``.
    """
    coupling = arrays["coupling"]
    figure, axis = new_figure(height=3.8)
    ends = []
    for name, (colour, style) in _CURVES.items():
        exponent, band = coupling[f"{name}_exponent"], coupling[f"{name}_exponent_band"]
        curve_with_band(axis, coupling["epoch"], exponent, band, colour, **style)
        measured = np.flatnonzero(np.isfinite(exponent))
        if len(measured):
            size = coupling[f"{name}_relative_size"][measured[-1]]
            ends.append((exponent[measured[-1]], size, colour))
    mark_empty(axis, coupling["epoch"], coupling["covariance_exponent"])
    lowest = -np.inf
    for end, size, colour in sorted(ends):
        axis.axhline(end, color=colour, lw=0.8, alpha=0.35)
        lowest = max(end, lowest + _SPACING)
        axis.text(
            1.015, lowest, f"{size:.2g}", transform=axis.get_yaxis_transform(), va="center",
            fontsize=SMALL, color=colour,
        )  # fmt: skip
    axis.set_ylim(-0.02, 1.02)
    axis.set_ylabel("log(size of the coupling set) / log N")
    own, paper = (float(coupling[f"log10_{whose}num_entries"]) for whose in ("", "paper_"))
    axis.set_title(
        f"N = $10^{{{own:.2f}}}$ entries of the Hessian, $10^{{{paper:.2f}}}$ in the paper; "
        "on the right the sizes at the end relative to N",
        fontsize=7.5,
    )
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.06), ncols=3, fontsize=7, frameon=False)
    return figure
