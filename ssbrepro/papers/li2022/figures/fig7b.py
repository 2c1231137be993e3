"""Fig. 7b of li2022: the share of Hessian entries with a mean near zero, throughout training."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, SMALL, curve_with_band, mark_empty, new_figure

_LEAST = 0.95  # the bound of the claim


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw the share over epochs with its bootstrap band.

    Args:
        arrays: Of the stage ``means``: ``epoch``, ``centred_share``, ``centred_share_band`` and
            ``centred_below``.
    """
    means = arrays["means"]
    bound = float(means["centred_below"])
    figure, axis = new_figure(height=3.0)
    curve_with_band(
        axis,
        means["epoch"],
        means["centred_share"],
        means["centred_share_band"],
        BLUE,
        marker="o",
        ms=3,
    )
    mark_empty(axis, means["epoch"], means["centred_share"])
    axis.axhline(_LEAST, color="0.4", lw=0.7, ls="--")
    axis.text(
        1.01, _LEAST, f"{_LEAST:g}", transform=axis.get_yaxis_transform(), va="center",
        fontsize=SMALL,
    )  # fmt: skip
    axis.set_ylim(top=1.002)
    axis.set_ylabel(f"share with |mean / std| < {bound:g}")
    return figure
