"""The Hessian's eigenvalues near zero before and after the step-size cut (ssb2018, section 4)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ssbrepro.contract import Array
from ssbrepro.papers.style import (
    BLUE,
    VERMILION,
    legend_below,
    new_figure,
    note_below,
    signed_decades,
)

_COLOURS = (BLUE, VERMILION)  # before and after
_UNCUT = "0.35"
_LINKS: dict[bool, dict[str, Any]] = {  # by whether a change is beyond its error
    True: {"color": "0.3", "lw": 1.1},
    False: {"color": "0.6", "lw": 0.8, "ls": ":"},
}
_DECADES = 6  # of density below its peak; further down is the kernel's tail


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw eigenvalue densities of all networks, and each network's share of eigenvalues near zero.

    Args:
        arrays: Of the stage ``zero_modes``: ``grid``, ``linear``, ``density``, ``share`` and
            ``share_error``; of ``uncut_zero_modes`` the last two.
    """
    modes, uncut = arrays["zero_modes"], arrays["uncut_zero_modes"]
    figure, (left, right) = new_figure(
        columns=2, height=3.4, sharex=False, gridspec_kw={"width_ratios": [2, 1]}
    )
    grid, linear = modes["grid"], float(modes["linear"])
    left.axvspan(-linear, linear, color="0.9", lw=0)
    for network in modes["density"]:
        for density, colour in zip(network, _COLOURS, strict=True):
            left.plot(grid, density, color=colour, lw=0.8, alpha=0.7)
    left.set_xscale("symlog", linthresh=linear, linscale=0.6)
    signed_decades(left, linear, grid[-1])
    left.set_xlim(grid[0], grid[-1])
    left.set_yscale("log")
    peak = modes["density"].max()
    left.set_ylim(peak * 10.0**-_DECADES, 3 * peak)
    left.set_xlabel("eigenvalue / largest before the cut")
    left.set_ylabel("density of eigenvalues")
    for stage, places, colours in ((uncut, (0, -1), (BLUE, _UNCUT)), (modes, (0, 1), _COLOURS)):
        for share, error in zip(stage["share"], 1.96 * stage["share_error"], strict=True):
            right.plot(places, share, zorder=1, **_LINKS[_is_resolved(share, error)])
            for place, value, width, colour in zip(places, share, error, colours, strict=True):
                right.errorbar(place, value, width, color=colour, marker="o", ms=4, lw=0.9)
    right.set_xlim(-1.3, 1.3)
    right.set_xticks((-1, 0, 1), ["end,\nno cut", "before\nthe cut", "end,\ncut"])
    right.set_ylabel("share of eigenvalues near zero")
    note_below(
        figure,
        "Error bars: 95 % of the estimate over random vectors. Solid: changes beyond their errors.",
    )
    legend_below(
        figure,
        [
            Line2D([], [], color=BLUE, marker="o", ms=4, label="before the cut"),
            Line2D([], [], color=VERMILION, marker="o", ms=4, label="at the end"),
            Line2D(
                [], [], color=_UNCUT, marker="o", ms=4, ls="", label="at the end, without a cut"
            ),
            Patch(color="0.9", label="near zero"),
        ],
    )
    return figure


def _is_resolved(ends: Array, errors: Array) -> bool:
    return bool(abs(ends[1] - ends[0]) > np.hypot(*errors))
