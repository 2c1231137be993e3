"""The training loss along lines through the final weights (ssb2018, appendix A and fig. 1)."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from ssbrepro.contract import Array
from ssbrepro.papers.style import (
    BLUE,
    SMALL,
    VERMILION,
    legend_below,
    new_figure,
    note_below,
)

_RANDOM: dict[str, Any] = {"color": "0.5", "lw": 0.8, "ls": (0, (3, 1.5))}
_TITLES = (
    "from initial to final weights",
    "first principal direction",
    "second principal direction",
)


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw one curve a network: along the straight line, and along two directions of the path.

    A barrier or a second minimum, as in the broken phase of fig. 1, would show as a hump. What is far
    above the initial loss is left out.

    Args:
        arrays: Of the stage ``interpolation``: ``position``, ``loss``, ``random_loss``,
            ``direction_position``, ``direction_loss`` and ``path_position``.
    """
    lines = arrays["interpolation"]
    figure, axes = new_figure(columns=3, height=3.0, sharex=False, sharey=True)
    curves = (lines["loss"], lines["direction_loss"][:, 0], lines["direction_loss"][:, 1])
    positions = (lines["position"], lines["direction_position"], lines["direction_position"])
    axes[0].plot(lines["position"], lines["random_loss"].T, **_RANDOM)
    for axis, title, networks, position in zip(axes, _TITLES, curves, positions, strict=True):
        for losses in networks:
            axis.plot(position, losses, color=BLUE, lw=0.8, alpha=0.8)
        axis.set_title(title, fontsize=SMALL + 1.5)
        axis.set_xlim(position[0] - 0.05, position[-1] + 0.05)
    axes[0].set_yscale("log")
    axes[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[0].minorticks_off()
    lowest = min(losses.min() for losses in curves)
    axes[0].set_ylim(0.7 * lowest, 4 * lines["loss"][:, 0].max())
    axes[0].axvline(0, color="0.5", ls=":", lw=1)
    axes[0].axvline(1, color=VERMILION, ls="--", lw=1)
    for axis in axes[1:]:
        axis.axvline(0, color=VERMILION, ls="--", lw=1)
    axes[0].set_xlabel("share of the way", fontsize=8)
    for axis in axes[1:]:
        axis.set_xlabel("coordinate / extent of path", fontsize=8)
    axes[0].set_ylabel("training loss")
    note_below(figure, "What is above four times the initial loss is outside the frame.")
    legend_below(
        figure,
        [
            Line2D([], [], color=BLUE, label="one network"),
            Line2D([], [], label="as far in a random direction", **_RANDOM),
            Line2D([], [], color="0.5", ls=":", lw=1, label="initial weights"),
            Line2D([], [], color=VERMILION, ls="--", lw=1, label="final weights"),
        ],
    )
    return figure
