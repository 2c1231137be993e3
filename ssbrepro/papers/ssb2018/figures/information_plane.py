"""ssb2018, section 4: the path of each layer on the information plane."""

from collections.abc import Mapping
from typing import Any

from matplotlib import colormaps
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ssbrepro.contract import Array
from ssbrepro.papers.style import SMALL, VERMILION, legend_below, new_figure, note_below

_COLUMNS = 6
_PATH, _GREY = "0.7", "0.35"
_UNTRAINED: dict[str, Any] = {"color": _GREY, "lw": 0.8, "ls": "-.", "zorder": 0}
_START: dict[str, Any] = {
    "marker": "D", "ms": 4, "ls": "", "markerfacecolor": "white", "markeredgecolor": "black",
    "clip_on": False,
}  # fmt: skip
_MEDIAN: dict[str, Any] = {
    "marker": "o", "ms": 4, "markerfacecolor": colormaps["viridis"](0.6), "markeredgewidth": 0,
}  # fmt: skip
_END: dict[str, Any] = {
    "marker": "o", "ms": 2.2, "ls": "", "color": VERMILION, "alpha": 0.8, "clip_on": False,
}  # fmt: skip


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw one panel a layer: the median over networks at each checkpoint, and where each one ends.

    Args:
        arrays: Of the stage ``information_plane``: ``epoch``, ``layer_units``, ``input_information``,
            ``label_information``, ``input_median``, ``label_median``, ``informed_above`` and
            ``without_power``.
    """
    plane = arrays["information_plane"]
    num_layers, last = len(plane["layer_units"]), plane["epoch"][-1]
    rows = -(-num_layers // _COLUMNS)
    figure, axes = new_figure(rows, _COLUMNS, height=0.7 + 2.0 * rows, sharey=True, squeeze=False)
    bound = float(plane["informed_above"])
    for layer, axis in enumerate(axes.flat):
        if layer >= num_layers:
            axis.set_axis_off()
            continue
        about_input, about_label = plane["input_median"][layer], plane["label_median"][layer]
        axis.axhline(bound, color="black", lw=0.6, ls=":")
        axis.axhline(about_label[0], **_UNTRAINED)
        axis.plot(
            plane["input_information"][:, layer, -1], plane["label_information"][:, layer, -1],
            zorder=4, **_END,
        )  # fmt: skip
        axis.plot(about_input, about_label, color=_PATH, lw=0.6, zorder=1)
        points = axis.scatter(
            about_input[1:], about_label[1:], c=plane["epoch"][1:], s=13, cmap="viridis",
            norm=LogNorm(1, last), zorder=2, lw=0, clip_on=False,
        )  # fmt: skip
        axis.plot(about_input[:1], about_label[:1], zorder=3, **_START)
        units = int(plane["layer_units"][layer])
        title = f"layer {layer + 1}\n{units} units" if units > 1 else "output\nprobability"
        axis.set_title(title, fontsize=8)
        if plane["without_power"][layer]:
            axis.text(
                0.5, 0.5, "known\nuntrained:\nwithout\npower", fontsize=SMALL, color=_GREY,
                ha="center", va="center", transform=axis.transAxes,
            )  # fmt: skip
        axis.set_xlim(0, 12)
        axis.set_xticks(range(0, 13, 6))
        axis.set_ylim(0, 1.05)
        axis.set_xlabel("I(X;T) in bits", fontsize=SMALL)
        axis.set_ylabel("I(T;Y) in bits" if layer % _COLUMNS == 0 else "")
    bar = figure.colorbar(points, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label("epoch", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    note_below(
        figure,
        "I(X;T): what a layer says about the input; I(T;Y): about the label. Known untrained: a layer "
        "that says enough about the label before any training.",
    )
    legend_below(
        figure,
        [
            Line2D([], [], label="untrained", **{**_START, **_UNTRAINED, "ls": "-."}),
            Line2D([], [], color=_PATH, lw=0.6, label="median over networks", **_MEDIAN),
            Line2D([], [], label="each network at the end", **_END),
            Line2D([], [], color="black", lw=0.6, ls=":", label=f"claimed: above {bound:g} bit"),
        ],
    )
    return figure
