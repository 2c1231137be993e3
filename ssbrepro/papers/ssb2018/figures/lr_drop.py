"""ssb2018, appendix A: the training loss of residual networks through a cut of the step size."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, SMALL, VERMILION, legend_below, new_figure


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw every network's loss beside its change over one epoch, at the cut and before.

    Args:
        arrays: Of the stage ``loss_drop``: ``epoch``, ``loss``, ``ratio``, ``ratio_before``,
            ``cut_epoch`` and ``drop_to``.
    """
    drop = arrays["loss_drop"]
    cut = int(drop["cut_epoch"])
    figure, (curves, ratios) = new_figure(
        columns=2, height=2.9, sharex=False, width_ratios=(1.6, 1)
    )
    curves.plot(drop["epoch"], drop["loss"].T, color=BLUE, lw=0.9, alpha=0.7)
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
    before: dict[str, Any] = {"color": BLUE, "marker": "_", "ls": "", "ms": 7, "alpha": 0.7}
    after: dict[str, Any] = {"color": VERMILION, "marker": "o", "ls": "", "ms": 4.5}
    ratios.plot(networks, drop["ratio_before"], **before)
    ratios.plot(networks, drop["ratio"], **after)
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
            Line2D([], [], color=BLUE, lw=0.9, label="one network"),
            Line2D([], [], label=f"each of {num_before} epochs before the cut", **before),
            Line2D([], [], label="the epoch after it", **after),
            Line2D(
                [], [], color="black", lw=0.8, ls=":", label=f"bound, {float(drop['drop_to']):g}"
            ),
        ],
    )
    return figure
