"""ssb2018, section 4: the deviation of the gradients over the size of their mean."""

from collections.abc import Mapping
from typing import Any

from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ssbrepro.contract import Array
from ssbrepro.papers.style import epoch_colours, legend_below, new_figure

_PANELS = {"tishby": "tanh networks, 12-bit task", "residual": "residual networks, CIFAR-10"}
_THIN: dict[str, Any] = {"lw": 0.4, "alpha": 0.35}
_THICK: dict[str, Any] = {"lw": 1.3}
_GREY = "0.3"


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw the ratio of each layer against the epoch, dark at the input and light at the output.

    Args:
        arrays: Of the stage ``gradient_variance``: with the prefixes ``tishby`` and ``residual``
            ``_epoch`` and ``_ratio``, and where the growth was measured ``_window_epoch`` and
            ``_window_ratio``.
    """
    variance = arrays["gradient_variance"]
    figure, axes = new_figure(columns=2, height=3.2, sharex=False, sharey=True)
    for axis, (family, title) in zip(axes, _PANELS.items(), strict=True):
        epochs, ratios = variance[f"{family}_epoch"], variance[f"{family}_ratio"]
        colours = epoch_colours(range(len(ratios)))
        for ratio, colour in zip(ratios, colours, strict=True):
            axis.plot(epochs, ratio, color=colour, **_THIN)
        if f"{family}_window_ratio" in variance:
            windows = variance[f"{family}_window_epoch"]
            for low, median, high, colour in zip(
                *variance[f"{family}_window_ratio"], colours, strict=True
            ):
                axis.fill_between(windows, low, high, color=colour, alpha=0.15, lw=0)
                axis.plot(windows, median, color=colour, **_THICK)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlim(epochs[0], epochs[-1])
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("epoch")
    axes[0].set_ylabel("deviation / size of the mean")
    depth = ScalarMappable(cmap=ListedColormap(epoch_colours(range(256))))
    bar = figure.colorbar(depth, ax=axes, ticks=[0, 1], shrink=0.8, pad=0.02)
    bar.ax.set_yticklabels(["first", "last"], fontsize=8)
    bar.set_label("layer", fontsize=9, labelpad=-8)
    legend_below(
        figure,
        [
            Line2D([], [], label="epoch, median over networks", color=_GREY, **_THIN),
            Line2D([], [], label="window of epochs, likewise", color=_GREY, **_THICK),
            Patch(label="quartiles over networks", alpha=0.15, lw=0, color=_GREY),
        ],
    )
    return figure
