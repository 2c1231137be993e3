"""Fig. 4b of li2022: the order parameter and the loss, each epoch, and what one step takes."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ssbrepro.contract import Array
from ssbrepro.papers.style import (
    BLUE,
    SMALL,
    VERMILION,
    epoch_colours,
    legend_below,
    new_figure,
)

_GREY = "0.45"


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw both curves, over the first half of the epochs logarithmic, over the second half not.

    Below are the same epochs as points of order parameter against loss, and by how much a step falls
    short of the order parameter, for each checkpoint.

    Args:
        arrays: Of the stage ``order_parameter``: ``epoch``, ``loss``, ``order_parameter``,
            ``checkpoint_epoch``, ``coherent`` and ``random``; and of ``one_step``: ``epoch``,
            ``loss``, ``share``, ``ratio`` and ``random_ratio``.
    """
    curves, steps = arrays["order_parameter"], arrays["one_step"]
    figure, axes = new_figure(2, 2, height=5.4, sharex=False)
    middle = len(curves["epoch"]) // 2
    for axis, half in zip(axes[0], (slice(middle + 1), slice(middle, None)), strict=True):
        epochs = curves["epoch"][half]
        axis.plot(epochs, curves["loss"][half], color=BLUE, lw=1.1, label="loss")
        axis.plot(epochs, curves["order_parameter"][half], color=VERMILION, lw=1.1, label="η‖∇R‖²")
        axis.margins(x=0.02)
        axis.set_xlabel("epoch")
        axis.set_ylabel("loss, order parameter")
    first, second = axes[0]
    first.set_yscale("log", nonpositive="mask")
    first.set_title("first half, logarithmic", fontsize=8)
    first.legend(fontsize=SMALL, frameon=False)
    second.set_ylim(bottom=0)
    second.set_title("second half, linear", fontsize=8)
    _rates(axes[1][0], curves, steps)
    legend_below(figure, _defects(axes[1][1], steps), columns=5)
    return figure


def _rates(axis: Axes, curves: Mapping[str, Array], steps: Mapping[str, Array]) -> None:
    """Order parameter against loss, with what it would be in two other worlds."""
    loss, order = curves["loss"], curves["order_parameter"]
    drawn = (loss > 0) & (order > 0)
    axis.plot(loss[drawn], order[drawn], color=VERMILION, marker="o", ms=1.8, ls="", label="epochs")
    others = {
        "coherent": ("^", "examples pull together"),
        "random": ("v", "examples with random signs"),
    }
    for name, (marker, label) in others.items():
        kept = (steps["loss"] > 0) & (curves[name] > 0)
        axis.plot(
            steps["loss"][kept], curves[name][kept],
            color=_GREY, marker=marker, ms=3.5, ls="", mfc="none", label=label,
        )  # fmt: skip
    if drawn.any():
        ends = np.array([loss[drawn].min(), loss[drawn].max()])
        axis.plot(ends, ends / 10, color="black", lw=0.7, ls="--", label="a tenth of the loss")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_title("all epochs with a loss", fontsize=8)
    axis.set_xlabel("loss")
    axis.set_ylabel("order parameter η‖∇R‖²")
    axis.set_ylim(top=100 * axis.get_ylim()[1])  # room for the legend
    axis.legend(fontsize=SMALL, frameon=False, loc="upper left", handletextpad=0.4)


def _defects(axis: Axes, steps: Mapping[str, Array]) -> list[Line2D]:
    """By how much steps miss what the gradient says, with the slope that they should have.

    Returns:
        Handles for a legend.
    """
    epochs = steps["epoch"].tolist()
    shown = [row for row in range(len(epochs)) if np.isfinite(steps["ratio"][row]).all()]
    colours = epoch_colours(epochs)
    for row in shown:
        label = "step in a random direction" if row == shown[0] else "_"
        defect, other = (np.abs(1 - steps[name][row]) for name in ("ratio", "random_ratio"))
        axis.plot(steps["share"], defect, color=colours[row], lw=1.0, label=f"epoch {epochs[row]}")
        axis.plot(steps["share"], other, color=_GREY, lw=0.8, ls=":", label=label)
    if shown:
        low, high = steps["share"][[0, -1]]
        axis.plot([low, high], [low, high], color="black", lw=0.7, ls="--", label="slope 1")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("step, in steps of the training")
    axis.set_ylabel(r"$|1 -$ loss taken / η‖∇R‖²$|$")
    axis.set_title("how far one step misses the order parameter", fontsize=8)
    named = [line for line in axis.lines if not str(line.get_label()).startswith("_")]
    return sorted(named, key=lambda line: line.get_color() in (_GREY, "black"))
