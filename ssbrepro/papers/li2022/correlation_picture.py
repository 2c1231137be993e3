"""What figs. 6b and 6c of li2022 have in common: a matrix of correlations beside their sizes."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import correlation_matrix, magnitudes_of_pairs


def draw_correlations(
    correlations: Mapping[str, Array], name: str, place: int, note: str = ""
) -> Figure:
    """Draw the matrix, and how large correlations are beside chance and broken symmetries.

    Args:
        correlations: Arrays of the stage ``correlations``: ``epoch``, ``num_active``, ``edges``,
            ``magnitudes``, ``permuted``, ``broken`` and the matrices.
        name: Of the matrix, ``start`` or ``end``.
        place: Of the same checkpoint in all other arrays.
        note: What else to say of it above the matrix.
    """
    if not len(correlations["epoch"]):
        return correlation_matrix(correlations[name], "no two entries are live at any epoch")[0]
    epoch, num_active = int(correlations["epoch"][place]), int(correlations["num_active"][place])
    title = f"epoch {epoch}, {num_active:,} examples inside the margin{note}"
    figure, axis = correlation_matrix(correlations[name], title)
    magnitudes_of_pairs(
        axis,
        correlations["edges"],
        {
            "network": correlations["magnitudes"][place],
            "by chance": correlations["permuted"][place],
            "all symmetries broken": correlations["broken"][place],
        },
    )
    return figure
