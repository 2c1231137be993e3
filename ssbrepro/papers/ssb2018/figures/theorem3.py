"""Theorem 3 of ssb2018: what commutes with a ReLU carries through layers, rotations do not."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.ssb2018.defects import Defects, draw_defects
from ssbrepro.papers.style import BLUE, VERMILION, empty_figure, legend_below

_TITLES = {
    "commutator": "commutator with the ReLU",
    "covariance": "covariance of the outputs with the inputs",
    "pair": "outputs of adjacent pairs of layers",
}


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw how far both kinds of matrices are from a symmetry in three ways, a line a dimension.

    Args:
        arrays: Of the stage ``theorem3``: ``dimension``, and ``remnant_…`` and ``rotation_…`` with
            ``…commutator``, ``…covariance`` and ``…pair``.
    """
    theorem = arrays["theorem3"]
    properties = {
        title: [
            Defects(
                r"positive scalings $\times$ permutations", theorem[f"remnant_{name}"], BLUE, "o"
            ),
            Defects("rotations", theorem[f"rotation_{name}"], VERMILION, "s"),
        ]
        for name, title in _TITLES.items()
    }
    figure = empty_figure(height=3.2)
    legend_below(
        figure,
        draw_defects(
            figure, theorem["dimension"], properties,
            "relative difference; bars: range over stacks, marks: median",
        ),
    )  # fmt: skip
    return figure
