"""Fig. 4b of li2022: the order parameter and the loss, each epoch."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, VERMILION, new_figure


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw both curves, over the first half of the epochs logarithmic, over the second half not.

    Args:
        arrays: Of the stage ``order_parameter``: ``epoch``, ``loss`` and ``order_parameter``.
    """
    curves = arrays["order_parameter"]
    middle = len(curves["epoch"]) // 2
    figure, axes = new_figure(columns=2, height=2.8, sharex=False)
    for axis, half in zip(axes, (slice(middle + 1), slice(middle, None)), strict=True):
        epochs = curves["epoch"][half]
        axis.plot(epochs, curves["loss"][half], color=BLUE, lw=1.1, label="Loss")
        axis.plot(epochs, curves["order_parameter"][half], color=VERMILION, lw=1.1, label="OP")
        axis.margins(x=0.02)
        axis.set_xlabel("epoch")
    first, second = axes
    first.set_yscale("log", nonpositive="mask")
    first.set_ylabel("loss, and order parameter η‖∇R‖²")
    first.legend(fontsize=8, frameon=False)
    second.set_ylim(bottom=0)
    return figure
