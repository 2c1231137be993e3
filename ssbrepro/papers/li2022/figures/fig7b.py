"""Fig. 7b of li2022: the share of Hessian entries with a mean near zero, throughout training."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import (
    BLUE,
    SMALL,
    copy_levels,
    curve_with_band,
    legend_below,
    mark_empty,
    new_figure,
)

_LEAST = 0.95  # the bound of the claim


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw the share over epochs with its bootstrap band, beside that of copies.

    Args:
        arrays: Of the stage ``means``: ``epoch``, ``forced``, ``centred_share``, its ``_band``, its
            ``_noise``, and its ``_intact`` and ``_broken``, and ``centred_below``.
    """
    means = arrays["means"]
    epochs, share, bound = means["epoch"], means["centred_share"], float(means["centred_below"])
    figure, axis = new_figure(height=3.4)
    copy_levels(axis, epochs, means["centred_share_intact"], means["centred_share_broken"])
    axis.plot(
        epochs, means["centred_share_noise"], color="0.35", lw=0.8, ls=":",
        label="by chance, 95 % above",
    )  # fmt: skip
    curve_with_band(
        axis, epochs, share, means["centred_share_band"], BLUE, (0, 1),
        marker="o", ms=3, label="network ± its bootstrap deviation",
    )  # fmt: skip
    forced = means["forced"] == 1
    mark_empty(axis, epochs, np.where(forced, np.nan, 0), "forced")
    mark_empty(axis, epochs, share)
    axis.axhline(_LEAST, color="0.4", lw=0.7, ls="--")
    axis.text(
        1.01, _LEAST, f"claimed:\n≥ {_LEAST:g}", transform=axis.get_yaxis_transform(), va="center",
        fontsize=SMALL,
    )  # fmt: skip
    axis.set_ylim(-0.02, 1.02)
    axis.set_ylabel(f"share with |mean / std| < {bound:g}")
    if forced.any():
        axis.plot(
            epochs[forced],
            share[forced],
            "o",
            color=BLUE,
            mfc="white",
            ms=5,
            clip_on=False,
            zorder=3,
        )
        axis.set_title(
            "forced: so few examples are inside the margin that no mean can be further from zero",
            fontsize=7.5,
        )
    legend_below(figure, axis.get_legend_handles_labels()[0])
    return figure
