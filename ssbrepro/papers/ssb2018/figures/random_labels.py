"""ssb2018, appendix A: residual networks learn labels drawn at random by heart."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, PercentFormatter

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, SMALL, VERMILION, legend_below, new_figure

_SMALL_NETWORKS: dict[str, Any] = {"color": "0.55", "lw": 0.8}
_CHANCE = 0.9  # of ten classes that are equally likely


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw every network's training error above its loss, against the epoch.

    Args:
        arrays: Of the stages ``random_labels`` and ``small_networks``: ``epoch``, ``loss`` and
            ``error``.
    """
    labels, small = arrays["random_labels"], arrays["small_networks"]
    figure, (upper, lower) = new_figure(rows=2)
    for axis, name in ((upper, "error"), (lower, "loss")):
        axis.plot(small["epoch"], small[name].T, **_SMALL_NETWORKS)
    upper.plot(labels["epoch"], labels["error"].T, color=VERMILION, lw=0.9, alpha=0.7)
    upper.axhline(_CHANCE, color="black", lw=0.8, ls=":")
    upper.text(
        1.0, _CHANCE + 0.01, "chance: one class of ten for all images", ha="right", va="bottom",
        fontsize=SMALL, transform=upper.get_yaxis_transform(),
    )  # fmt: skip
    upper.set_ylim(-0.02, 1)
    upper.yaxis.set_major_formatter(PercentFormatter(1))
    upper.set_ylabel("training error")
    lower.plot(labels["epoch"], labels["loss"].T, color=BLUE, lw=0.9, alpha=0.7)
    lower.set_yscale("log")
    lower.yaxis.set_major_formatter("{x:g}")
    lower.yaxis.set_minor_formatter(NullFormatter())
    lower.set_ylabel("mean cross-entropy")
    lower.set_xlabel("epoch")
    lower.set_xlim(labels["epoch"][0], labels["epoch"][-1])
    legend_below(
        figure,
        [
            Line2D([], [], color=VERMILION, lw=0.9, label="error of one network"),
            Line2D([], [], color=BLUE, lw=0.9, label="its loss"),
            Line2D([], [], label="a network with too few weights", **_SMALL_NETWORKS),
        ],
    )
    return figure
