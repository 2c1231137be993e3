"""Fig. 4a of li2022: the entries of the gradient at epochs throughout training."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.ridgelines import beside_rows, ridgeline, ridgeline_figure
from ssbrepro.papers.style import (
    ASYMMETRY,
    epoch_colours,
    note_below,
    signed_decades,
)

_NOTE = (
    "Numbers: A of the entries; what it stays below in 95 % of cases if examples have random signs; "
    "its medians over intact copies and over broken ones; share of entries that are exactly zero; "
    "examples inside the margin. "
)


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw one smoothed histogram an epoch, from top to bottom, with its numbers on the right.

    Args:
        arrays: Of the stage ``gradients``: ``epoch``, ``num_active``, ``asymmetry``, ``noise_95``,
            ``intact``, ``broken``, ``zero_share``, ``edges``, ``linear`` and ``histogram``.
    """
    gradients = arrays["gradients"]
    epochs = gradients["epoch"].tolist()
    figure, (axis, beside) = ridgeline_figure(height=5.0, columns=6)
    axis.set_xscale("asinh", linear_width=float(gradients["linear"]))
    ridgeline(
        axis,
        gradients["edges"],
        gradients["histogram"],
        epochs,
        epoch_colours(epochs),
        empty="empty: exactly zero",
    )
    signed_decades(axis, float(gradients["linear"]), gradients["edges"][-1])
    axis.set_xlabel("entry of the gradient, zeros left out")
    axis.set_ylabel("epoch")
    columns = {
        "A": _texts(gradients["asymmetry"]),
        "random\nsigns": _texts(gradients["noise_95"]),
        "intact\ncopies": _texts(_median(gradients["intact"])),
        "broken\ncopies": _texts(_median(gradients["broken"])),
        "zeros": [f"{value:.0%}" for value in gradients["zero_share"]],
        "inside\nmargin": [f"{value:,.0f}" for value in gradients["num_active"]],
    }
    beside_rows(beside, columns)
    note_below(figure, _NOTE + ASYMMETRY)
    return figure


def _texts(values: Array) -> list[str]:
    return [f"{value:.2f}" for value in values]


def _median(copies: Array) -> Array:
    """Of the copies that have a gradient, (checkpoints,); NaN where none has."""
    alive = [row[np.isfinite(row)] for row in copies]
    return np.array([np.median(row) if len(row) else np.nan for row in alive])
