"""Fig. 8b of li2022: training loss and accuracy, each epoch."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, SMALL, VERMILION, break_mark, name_ends, new_figure

_LINEAR_BELOW = 1e-3  # of the loss: zero has to have a place on the axis
_CONTROL = "0.5"


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw the loss, logarithmic down to 1e-3 and linear below, above the accuracy.

    Args:
        arrays: Of the stages ``training`` and ``small_network``: ``epoch``, ``loss`` and ``accuracy``.
    """
    training, small = arrays["training"], arrays["small_network"]
    figure, (upper, lower) = new_figure(rows=2)
    for axis, name, colour in ((upper, "loss", BLUE), (lower, "accuracy", VERMILION)):
        axis.plot(small["epoch"], small[name], color=_CONTROL, lw=0.9)
        axis.plot(training["epoch"], training[name], color=colour, lw=1.1, clip_on=False)
    upper.set_yscale("symlog", linthresh=_LINEAR_BELOW, linscale=0.4)
    upper.set_ylim(bottom=0)
    upper.set_ylabel("mean hinge loss")
    _mark_break(upper)
    lower.set_ylim(top=1.02)
    lower.set_ylabel("training accuracy")
    lower.set_xlabel("epoch")
    lower.set_xlim(training["epoch"][0], training["epoch"][-1])
    _name_ends(upper, training["loss"], small["loss"])
    _name_ends(lower, training["accuracy"], small["accuracy"])
    return figure


def _name_ends(axis: Axes, trained: Array, small: Array) -> None:
    texts, ends = ["the network", "one too small\nfor its data"], [trained[-1], small[-1]]
    name_ends(axis, texts, ends, ["black", _CONTROL], spacing=0.14)


def _mark_break(axis: Axes) -> None:
    """A mark where the axis turns from logarithmic to linear, and a word below."""
    break_mark(axis, (0, _LINEAR_BELOW / 2), axis.get_yaxis_transform())
    axis.axhline(_LINEAR_BELOW, color="0.7", lw=0.6, ls=":")
    axis.annotate(
        "linear below, to zero", (0, _LINEAR_BELOW), (8, -2), xycoords=axis.get_yaxis_transform(),
        textcoords="offset points", va="top", fontsize=SMALL,
    )  # fmt: skip
