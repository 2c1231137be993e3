"""Fig. 8b of li2022: training loss and accuracy, each epoch."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, VERMILION, new_figure

_LINEAR_BELOW = 1e-3  # of the loss: zero has to have a place on the axis


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw the loss, logarithmic down to 1e-3 and linear below, above the accuracy.

    Args:
        arrays: Of the stage ``training``: ``epoch``, ``loss`` and ``accuracy``.
    """
    training = arrays["training"]
    figure, (upper, lower) = new_figure(rows=2)
    upper.plot(training["epoch"], training["loss"], color=BLUE, lw=1.1)
    upper.set_yscale("symlog", linthresh=_LINEAR_BELOW, linscale=0.4)
    upper.set_ylim(bottom=0)
    upper.set_ylabel("mean hinge loss")
    lower.plot(training["epoch"], training["accuracy"], color=VERMILION, lw=1.1)
    lower.set_ylim(top=1.02)
    lower.set_ylabel("training accuracy")
    lower.set_xlabel("epoch")
    lower.set_xlim(training["epoch"][0], training["epoch"][-1])
    return figure
