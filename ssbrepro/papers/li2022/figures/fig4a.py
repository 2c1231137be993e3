"""Fig. 4a of li2022: the entries of the gradient at epochs throughout training."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import (
    SMALL,
    beside_rows,
    epoch_colours,
    new_figure,
    ridgeline,
    signed_decades,
)

_PLACE = (0.09, 0.1, 0.56, 0.88)  # of the axis; the columns of numbers are on its right


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw one smoothed histogram an epoch, from top to bottom, with its numbers on the right.

    Args:
        arrays: Of the stage ``gradients``: ``epoch``, ``num_active``, ``asymmetry``, ``noise_95``,
            ``intact``, ``broken``, ``zero_share``, ``edges``, ``linear`` and ``histogram``.
    """
    gradients = arrays["gradients"]
    epochs = gradients["epoch"].tolist()
    figure, axis = new_figure(height=4.6)
    figure.set_layout_engine("none")  # which would not see how the numbers move with the axis
    axis.set_position(_PLACE)
    axis.set_xscale("asinh", linear_width=float(gradients["linear"]))
    ridgeline(
        axis,
        gradients["edges"],
        gradients["histogram"],
        epochs,
        epoch_colours(epochs),
        empty="empty: the gradient is exactly zero",
    )
    axis.set_xticks(signed_decades(float(gradients["linear"]), gradients["edges"][-1]))
    axis.set_xlabel("entry of the gradient, zeros left out")
    axis.set_ylabel("epoch")
    columns = {
        "A": _texts(gradients["asymmetry"]),
        "flips": _texts(gradients["noise_95"]),
        "intact": _texts(_median(gradients["intact"])),
        "broken": _texts(_median(gradients["broken"])),
        "zeros": [f"{value:.0%}" for value in gradients["zero_share"]],
        "active": [f"{value:,.0f}" for value in gradients["num_active"]],
    }
    beside_rows(axis, columns)
    note = (
        "A also of random signs of the examples (95 %)\nand of intact and of broken copies (median)"
    )
    axis.text(1.01, -0.06, note, transform=axis.transAxes, va="top", fontsize=SMALL)
    return figure


def _texts(values: Array) -> list[str]:
    return [f"{value:.2f}" for value in values]


def _median(copies: Array) -> Array:
    """Of the copies that have a gradient, (checkpoints,); NaN where none has."""
    alive = [row[np.isfinite(row)] for row in copies]
    return np.array([np.median(row) if len(row) else np.nan for row in alive])
