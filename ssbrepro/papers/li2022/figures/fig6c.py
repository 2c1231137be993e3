"""Fig. 6c of li2022: correlations between Hessian entries at the end of training."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import correlation_matrix, magnitudes_of_pairs


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw the matrix at the last checkpoint with enough examples inside the margin.

    Args:
        arrays: Of the stage ``correlations``: ``epoch``, ``num_active`` and ``end``, and
            ``edges``, ``magnitudes``, ``permuted`` and ``broken``.
    """
    correlations = arrays["correlations"]
    title = "no two entries are live at any epoch"
    if len(correlations["epoch"]):
        epoch, num_active = int(correlations["epoch"][1]), int(correlations["num_active"][1])
        title = (
            f"epoch {epoch}, {num_active:,} examples inside the margin\n"
            "(the last epoch looked at with enough of them)"
        )
    figure, axis = correlation_matrix(correlations["end"], title)
    if len(correlations["epoch"]):
        magnitudes_of_pairs(
            axis,
            correlations["edges"],
            {
                "network": correlations["magnitudes"][1],
                "by chance": correlations["permuted"][1],
                "all symmetries broken": correlations["broken"][1],
            },
        )
    return figure
