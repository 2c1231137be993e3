"""ssb2018, appendix A: the training loss of residual networks through a cut of the step size."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from ssbrepro.contract import Array
from ssbrepro.papers.style import SMALL, epoch_colours, legend_below, name_ends, new_figure

_UNCUT: dict[str, Any] = {"lw": 0.8, "ls": (0, (3, 1.5))}
_RATIO_UNCUT: dict[str, Any] = {"marker": "D", "ls": "", "ms": 3.8, "mfc": "white", "mew": 0.9}
_RATIO_BEFORE: dict[str, Any] = {"marker": "_", "ls": "", "ms": 7, "alpha": 0.5}
_RATIO: dict[str, Any] = {"marker": "o", "ls": "", "ms": 4.5}
_GREY = "0.3"


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw every network's loss beside its change over one epoch, at the cut, before and without it.

    A network has its colour in both panels.

    Args:
        arrays: Of the stage ``loss_drop``: ``epoch``, ``loss``, ``uncut_loss``, ``ratio``,
            ``uncut_ratio``, ``ratio_before``, ``cut_epoch`` and ``drop_to``.
    """
    drop = arrays["loss_drop"]
    cut = int(drop["cut_epoch"])
    figure, (curves, ratios) = new_figure(
        columns=2, height=2.9, sharex=False, width_ratios=(1.6, 1)
    )
    colours = epoch_colours(range(len(drop["loss"])))
    for loss, uncut, colour in zip(drop["loss"], drop["uncut_loss"], colours, strict=True):
        curves.plot(drop["epoch"], loss, color=colour, lw=0.9)
        curves.plot(drop["epoch"][cut:], uncut[cut:], color=colour, **_UNCUT)
    curves.axvline(cut, color="black", lw=0.8, ls="--")
    curves.text(
        cut, 1.0, "step size cut ", ha="right", va="bottom", fontsize=SMALL,
        transform=curves.get_xaxis_transform(),
    )  # fmt: skip
    curves.set_yscale("log")
    curves.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    curves.yaxis.set_major_formatter("{x:g}")
    curves.minorticks_off()
    curves.set_xlim(drop["epoch"][0], drop["epoch"][-1])
    curves.set_xlabel("epoch")
    curves.set_ylabel("mean cross-entropy")

    networks = np.arange(1, len(drop["ratio"]) + 1)
    name_ends(curves, [f"{network}" for network in networks], drop["loss"][:, -1].tolist(), colours)
    for index, (network, colour) in enumerate(zip(networks, colours, strict=True)):
        before = drop["ratio_before"][index]
        ratios.plot([network] * len(before), before, color=colour, **_RATIO_BEFORE)
        ratios.plot(network, drop["uncut_ratio"][index], color=colour, **_RATIO_UNCUT)
        ratios.plot(network, drop["ratio"][index], color=colour, **_RATIO)
    ratios.axhline(drop["drop_to"], color="black", lw=0.8, ls=":")
    ratios.set_xticks(networks)
    ratios.set_xlim(0.5, len(networks) + 0.5)
    ratios.set_ylim(bottom=0)
    ratios.set_xlabel("network")
    ratios.set_ylabel("loss / loss one epoch earlier")
    num_before = drop["ratio_before"].shape[1]
    legend_below(
        figure,
        [
            Line2D([], [], color=_GREY, lw=0.9, label="a network, by its number"),
            Line2D([], [], color=_GREY, label=f"{num_before} epochs before", **_RATIO_BEFORE),
            Line2D([], [], color=_GREY, label="one after the cut", **_RATIO),
            Line2D([], [], color=_GREY, label="not cut", **{**_RATIO_UNCUT, **_UNCUT}),
            Line2D(
                [], [], color="black", lw=0.8, ls=":", label=f"bound, {float(drop['drop_to']):g}"
            ),
        ],
    )
    return figure
