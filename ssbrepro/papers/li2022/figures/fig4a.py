"""Fig. 4a of li2022: the entries of the gradient at epochs throughout training."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import beside_rows, epoch_colours, new_figure, ridgeline, signed_decades


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw one smoothed histogram an epoch, from top to bottom, with its numbers on the right.

    Args:
        arrays: Of the stage ``gradients``: ``epoch``, ``num_active``, ``asymmetry``, ``noise_95``,
            ``zero_share``, ``edges``, ``linear`` and ``histogram``.
    """
    gradients = arrays["gradients"]
    epochs = gradients["epoch"].tolist()
    figure, axis = new_figure(height=4.6)
    axis.set_xscale("asinh", linear_width=float(gradients["linear"]))
    ridgeline(
        axis,
        gradients["edges"],
        gradients["histogram"],
        epochs,
        epoch_colours(epochs),
        empty="empty: the gradient is exactly zero",
    )
    axis.set_xticks(signed_decades(float(gradients["linear"]), gradients["edges"][-1]))
    axis.set_xlabel("entry of the gradient, zeros left out (logarithmic on both sides of zero)")
    axis.set_ylabel("epoch")
    columns = {
        "A": [f"{value:.2f}" for value in gradients["asymmetry"]],
        "A by\nchance": [f"{value:.2f}" for value in gradients["noise_95"]],
        "zero\nentries": [f"{value:.0%}" for value in gradients["zero_share"]],
        "active\nexamples": [f"{value:,.0f}" for value in gradients["num_active"]],
    }
    beside_rows(axis, columns)
    return figure
