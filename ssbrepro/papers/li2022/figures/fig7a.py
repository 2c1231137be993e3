"""Fig. 7a of li2022: means of Hessian entries in units of their fluctuations, throughout training."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.ridgelines import beside_rows, copy_columns, ridgeline, ridgeline_figure
from ssbrepro.papers.style import (
    ASYMMETRY,
    epoch_colours,
    note_below,
)


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw one smoothed histogram an epoch, from top to bottom, with its numbers on the right.

    Args:
        arrays: Of the stage ``means``: ``epoch``, ``num_live``, ``asymmetry``, ``asymmetry_noise``,
            ``first_asymmetry_intact``, ``first_asymmetry_broken``, ``centred_below``, ``edges`` and
            ``histogram``.
    """
    means = arrays["means"]
    epochs, bound = means["epoch"].tolist(), float(means["centred_below"])
    figure, (axis, beside) = ridgeline_figure(height=4.7, columns=5)
    ridgeline(axis, means["edges"], means["histogram"], epochs, epoch_colours(epochs))
    for side in (-bound, bound):
        axis.axvline(side, color="0.4", lw=0.7, ls="--")
    axis.set_xlabel(
        f"mean of the Hessian entry / its standard deviation (dashed: ±{bound:g})", fontsize=8.5
    )
    axis.set_ylabel("epoch")
    beside_rows(
        beside,
        {
            "live\nentries": [f"{value:,.0f}" for value in means["num_live"]],
            "A": [f"{value:.2f}" for value in means["asymmetry"]],
            "A by\nchance": [f"{value:.2f}" for value in means["asymmetry_noise"]],
            **copy_columns("A", means["first_asymmetry_intact"], means["first_asymmetry_broken"]),
        },
    )
    note_below(figure, f"Intact copies: the range over them. {ASYMMETRY}")
    return figure
