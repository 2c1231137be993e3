"""The Hessian's eigenvalues near zero before and after the step-size cut (ssb2018, section 4)."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, VERMILION, legend_below, new_figure, signed_decades

_COLOURS = (BLUE, VERMILION)  # before and after
_DECADES = 6  # of density below its peak; further down is the kernel's tail


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw eigenvalue densities of all networks, and each network's share of eigenvalues near zero.

    Args:
        arrays: Of the stage ``zero_modes``: ``epoch``, ``grid``, ``linear``, ``density``, ``share``
            and ``share_error``.
    """
    modes = arrays["zero_modes"]
    figure, (left, right) = new_figure(
        columns=2, height=3.2, sharex=False, gridspec_kw={"width_ratios": [2, 1]}
    )
    grid, linear = modes["grid"], float(modes["linear"])
    left.axvspan(-linear, linear, color="0.9", lw=0)
    for network in modes["density"]:
        for density, colour in zip(network, _COLOURS, strict=True):
            left.plot(grid, density, color=colour, lw=0.8, alpha=0.7)
    left.set_xscale("symlog", linthresh=linear, linscale=0.6)
    left.set_xticks(signed_decades(linear, grid[-1]))
    left.set_xlim(grid[0], grid[-1])
    left.set_yscale("log")
    peak = modes["density"].max()
    left.set_ylim(peak * 10.0**-_DECADES, 3 * peak)
    left.set_xlabel("eigenvalue / largest before the cut")
    left.set_ylabel("density of eigenvalues")
    for share, error in zip(modes["share"], modes["share_error"], strict=True):
        right.plot((0, 1), share, color="0.6", lw=0.8, zorder=1)
        for phase, colour in enumerate(_COLOURS):
            right.errorbar(
                phase, share[phase], 1.96 * error[phase], color=colour, marker="o", ms=4, lw=0.9
            )
    right.set_xlim(-0.4, 1.4)
    right.set_xticks((0, 1), [f"epoch {epoch}" for epoch in modes["epoch"]])
    right.set_ylabel("share of eigenvalues near zero")
    legend_below(
        figure,
        [
            Line2D([], [], color=BLUE, marker="o", ms=4, label="before the cut"),
            Line2D([], [], color=VERMILION, marker="o", ms=4, label="at the end of training"),
            Patch(color="0.9", label="near zero"),
        ],
    )
    return figure
