"""Fig. 6c of li2022: correlations between Hessian entries at the end of training."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.li2022.correlation_picture import draw_correlations


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw the matrix at the last checkpoint with enough examples inside the margin.

    Args:
        arrays: Of the stage ``correlations``.
    """
    note = "\n(the last epoch looked at with enough of them)"
    return draw_correlations(arrays["correlations"], "end", 1, note)
