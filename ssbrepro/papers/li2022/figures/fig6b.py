"""Fig. 6b of li2022: correlations between Hessian entries at the start of training."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import correlation_matrix, magnitudes_of_pairs


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw the matrix, and how large correlations are beside chance and broken symmetries.

    Args:
        arrays: Of the stage ``correlations``: ``epoch``, ``num_active`` and ``start``, and
            ``edges``, ``magnitudes``, ``permuted`` and ``broken``.
    """
    correlations = arrays["correlations"]
    title = "no two entries are live at any epoch"
    if len(correlations["epoch"]):
        epoch, num_active = int(correlations["epoch"][0]), int(correlations["num_active"][0])
        title = f"epoch {epoch}, {num_active:,} examples inside the margin"
    figure, axis = correlation_matrix(correlations["start"], title)
    if len(correlations["epoch"]):
        magnitudes_of_pairs(
            axis,
            correlations["edges"],
            {
                "network": correlations["magnitudes"][0],
                "by chance": correlations["permuted"][0],
                "all symmetries broken": correlations["broken"][0],
            },
        )
    return figure
