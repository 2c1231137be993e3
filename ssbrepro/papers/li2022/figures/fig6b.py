"""Fig. 6b of li2022: correlations between Hessian entries at the start of training."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.li2022.correlation_picture import draw_correlations


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw the matrix, and how large correlations are beside chance and broken symmetries.

    Args:
        arrays: Of the stage ``correlations``.
    """
    return draw_correlations(arrays["correlations"], "start", 0)
