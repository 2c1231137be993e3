"""Fig. 6a of li2022: bootstrap laws of three Hessian entries at epochs throughout training."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.ridgelines import beside_rows, copy_columns, ridgeline, ridgeline_figure
from ssbrepro.papers.style import (
    ASYMMETRY,
    SMALL,
    epoch_colours,
    note_below,
    signed_decades,
)

_DECADES = 3  # of density below the peak of a law


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw a panel for each entry, with one smoothed histogram an epoch from top to bottom.

    Args:
        arrays: Of the stages ``entries``: ``rows``, ``columns`` and ``layer_sizes``; and ``laws``:
            ``epoch``, ``shown``, ``edges``, ``linear``, ``histogram``, and ``nonzero_asymmetry`` with
            its ``_intact`` and ``_broken``.
    """
    entries, laws = arrays["entries"], arrays["laws"]
    epochs, linear = laws["epoch"].tolist(), float(laws["linear"])
    shown = len(laws["histogram"])
    pairs = np.stack([entries["rows"], entries["columns"]])[:, laws["shown"]]
    ends = np.cumsum(entries["layer_sizes"])
    figure, (*axes, beside) = ridgeline_figure(height=4.8, columns=3, panels=max(shown, 1))
    if shown == 0:
        figure.supxlabel("no entry is live at any epoch", fontsize=8)
        return figure
    for index, axis in enumerate(axes):
        axis.set_xscale("asinh", linear_width=linear)
        histogram = laws["histogram"][index]
        ridgeline(
            axis,
            laws["edges"],
            _logarithmic(histogram),
            epochs,
            epoch_colours(epochs),
            overlap=0.95,
        )
        signed_decades(axis, linear, laws["edges"][-1], most=2)
        axis.tick_params(axis="x", labelsize=SMALL)
        layers = [1 + int(np.searchsorted(ends, place, side="right")) for place in pairs[:, index]]
        axis.set_title("weights of layers {} and {}".format(*sorted(layers)), fontsize=8)
    axes[0].set_ylabel("epoch")
    axes[shown // 2].set_xlabel("Hessian entry / its standard deviation, logarithmic")
    beside_rows(
        beside,
        {
            "A of\nall": [f"{value:.2f}" for value in laws["nonzero_asymmetry"]],
            **copy_columns("A", laws["nonzero_asymmetry_intact"], laws["nonzero_asymmetry_broken"]),
        },
    )
    note_below(
        figure,
        "Heights: logarithm of the density, over "
        f"{_DECADES} decades below each law's peak. A of all: the median over all entries of the A "
        "of an entry over the examples it is not zero for. Intact copies: their range. Empty: the entry "
        f"is zero for all examples, or too few are inside the margin. {ASYMMETRY}",
    )
    return figure


def _logarithmic(rows: Array) -> Array:
    """Logarithm of each row over so many decades below its peak; zero further down."""
    peaks = rows.max(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):  # where there is no density, or no law
        heights = _DECADES + np.log10(rows / peaks)
    return np.where(heights > 0, heights, 0.0)
