"""The propagator of ssb2018: divergent for a massless field, finite for a massive one."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, SMALL, VERMILION, legend_below, new_figure

_FIELDS = (  # in the order of the arrays
    (r"$\pi$ at $\eta = 0$", BLUE, "o"),
    (r"$\pi$ at $\eta > 0$", "black", "^"),
    (r"$\sigma$ at $\eta > 0$", VERMILION, "s"),
)
_SIGMA = 2
_FEW = 20  # marks along a curve


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw abs(P) over momenta at time 0, and P of sigma over times at the middle momentum.

    Args:
        arrays: Of the stage ``propagator``: ``momentum``, ``time``, ``transform``, ``closed_form``.
    """
    stage = arrays["propagator"]
    momentum, time = stage["momentum"], stage["time"]
    transform, closed_form = stage["transform"], stage["closed_form"]
    figure, (left, right) = new_figure(columns=2, height=3.0, sharex=False)
    handles = []
    every = max(len(momentum) // _FEW, 1)
    for index, (label, colour, marker) in enumerate(_FIELDS):
        left.loglog(momentum, np.abs(closed_form[index, 0]), color=colour, lw=0.9)
        handles += left.loglog(
            momentum, np.abs(transform[index, 0]), ls="", marker=marker, mfc="none", ms=4,
            markevery=every, color=colour, label=label,
        )  # fmt: skip
    guide = 2 / momentum
    left.loglog(momentum, guide, color="0.5", lw=0.8, ls="--")
    middle = len(momentum) // 2
    left.annotate(
        "slope $-1$", (momentum[middle], guide[middle]), (3, 3), textcoords="offset points",
        fontsize=SMALL, color="0.35",
    )  # fmt: skip
    left.set_xlabel(r"$|k|\,/\,\mu$")
    left.set_ylabel(r"$\mu\,|P(0, k)|$")

    every = max(len(time) // _FEW, 1)
    label, colour, marker = _FIELDS[_SIGMA]
    for part, name, style, filled in (
        (np.real, "real part", "-", colour),
        (np.imag, "imaginary part", "--", "none"),
    ):
        right.plot(time, part(closed_form[_SIGMA, :, middle]), ls=style, lw=0.9, color=colour)
        right.plot(
            time, part(transform[_SIGMA, :, middle]), ls="", marker=marker, mfc=filled, ms=4,
            markevery=every, color=colour, label=name, clip_on=False,
        )  # fmt: skip
    right.set_title(rf"{label}, $|k| = {momentum[middle]:.2g}\,\mu$", fontsize=8)
    right.set_xlim(time[0], time[-1])
    right.margins(y=0.25)
    right.legend(frameon=False, fontsize=SMALL, loc="upper center", ncols=2)
    right.set_xlabel(r"$\mu\,t$")
    right.set_ylabel(r"$\mu\,P(t, k)$")
    line = Line2D([], [], color="0.4", lw=0.9, label="closed form")
    legend_below(figure, [*handles, line])
    return figure
