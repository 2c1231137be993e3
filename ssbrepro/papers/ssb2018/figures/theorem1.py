"""Theorem 1 of ssb2018: a stack of affine layers is one affine map, with a ReLU it is none."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.ssb2018.defects import Defects, draw_defects
from ssbrepro.papers.style import BLUE, VERMILION, empty_figure, legend_below


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw how far stacks are from one affine map, a line a dimension.

    Args:
        arrays: Of the stage ``theorem1``: ``dimension``, ``affine_defect``, ``composition_defect``,
            ``relu_defect`` and ``relu_composition_defect``.
    """
    theorem = arrays["theorem1"]
    properties = {
        title: [
            Defects("affine layers", theorem[f"{name}_defect"], BLUE, "o"),
            Defects("with a ReLU after each", theorem[f"relu_{relu}defect"], VERMILION, "s"),
        ]
        for title, name, relu in (
            ("distance from the best affine fit", "affine", ""),
            ("distance from the product of the layers", "composition", "composition_"),
        )
    }
    figure = empty_figure(height=2.5)
    legend_below(
        figure,
        draw_defects(
            figure, theorem["dimension"], properties,
            "distance relative to the outputs; bars: range over stacks, marks: median",
        ),
    )  # fmt: skip
    return figure
