"""Theorem 3 of ssb2018: what commutes with a ReLU carries through layers, rotations do not."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.ssb2018.defects import Defects, draw_defects
from ssbrepro.papers.style import BLUE, VERMILION, legend_below, new_figure

_TITLES = {
    "commutator": "commutator with the ReLU",
    "covariance": "covariance of the outputs",
    "pair": "change of adjacent pairs",
}


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw a panel a property, with both kinds of matrices against the dimension.

    Args:
        arrays: Of the stage ``theorem3``: ``dimension``, and ``remnant_…`` and ``rotation_…`` with
            ``…commutator``, ``…covariance`` and ``…pair``.
    """
    theorem = arrays["theorem3"]
    figure, axes = new_figure(columns=3, height=2.9, sharey=True)
    for axis, (name, title) in zip(axes, _TITLES.items(), strict=True):
        kinds = [
            Defects(
                r"positive scalings $\times$ permutations", theorem[f"remnant_{name}"], BLUE, "o"
            ),
            Defects("rotations", theorem[f"rotation_{name}"], VERMILION, "s"),
        ]
        handles = draw_defects(axis, theorem["dimension"], kinds)
        axis.set_title(title, fontsize=8)
    axes[0].set_ylabel("relative difference")
    legend_below(figure, handles)
    return figure
