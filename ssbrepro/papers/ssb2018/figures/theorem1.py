"""Theorem 1 of ssb2018: a stack of affine layers is one affine map, with a ReLU it is none."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.ssb2018.defects import Defects, draw_defects
from ssbrepro.papers.style import BLUE, VERMILION, legend_below, new_figure


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw how far each stack is from one affine map, against the dimension.

    Args:
        arrays: Of the stage ``theorem1``: ``dimension``, ``affine_defect``, ``composition_defect``
            and ``relu_defect``.
    """
    theorem = arrays["theorem1"]
    figure, axis = new_figure(height=2.9)
    kinds = [
        Defects("affine layers, best affine fit", theorem["affine_defect"], BLUE, "o"),
        Defects("affine layers, their product", theorem["composition_defect"], "0.25", "^"),
        Defects("with ReLU, best affine fit", theorem["relu_defect"], VERMILION, "s"),
    ]
    legend_below(figure, draw_defects(axis, theorem["dimension"], kinds))
    axis.set_ylabel("relative defect")
    return figure
