"""Goldstone's theorem in ssb2018: Hessian eigenvalues against the step size, around two vacua."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, VERMILION, legend_below, new_figure

_TEXT = 8.5  # points
_EVERY = 2  # measured points are drawn
_MEASURED: dict[str, Any] = {"marker": "o", "ms": 4, "ls": "", "clip_on": False}
_PAPER: dict[str, Any] = {"color": "black", "lw": 1.4, "ls": (0, (4, 2))}


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw measured eigenvalues on the lines of their formulas, and eq. 4 of the paper dashed.

    Args:
        arrays: Of the stage ``goldstone``: ``step_size``, ``pi``, ``sigma``, ``pi_expected``,
            ``sigma_expected``, the same four of the thermal vacuum, and ``paper_sigma``.
    """
    masses = arrays["goldstone"]
    step_size = masses["step_size"]
    figure, (cold, warm) = new_figure(columns=2, height=3.5, sharey=True)
    for axis, vacuum in ((cold, ""), (warm, "thermal_")):
        for mode, colour in (("pi", VERMILION), ("sigma", BLUE)):
            axis.plot(step_size, masses[f"{vacuum}{mode}_expected"], color=colour, lw=1.2)
            measured = masses[f"{vacuum}{mode}"][::_EVERY]
            axis.plot(step_size[::_EVERY], measured, color=colour, **_MEASURED)
        axis.set_xlabel(r"step size $\eta/\eta_c$")
        axis.set_xlim(0, 1)
    cold.plot(step_size, masses["paper_sigma"], **_PAPER)
    cold.axhline(0, color="0.8", lw=0.7, zorder=0)
    cold.set_ylabel(r"Hessian eigenvalue / $\mu^2$")
    cold.set_ylim(-1.2, 3.2)
    cold.set_title(r"vacuum of $\eta = 0$: $w\cdot w = \mu^2/\lambda$", fontsize=_TEXT + 0.5)
    warm.set_title(r"vacuum of the same $\eta$: $w\cdot w = -m^2/\lambda$", fontsize=_TEXT + 0.5)
    _write(cold, r"$\sigma$:  $2\mu^2 + \frac{1}{4}\lambda\eta^2$", 0.05, 2.45, BLUE)
    _write(cold, r"$\pi$:  $\frac{1}{4}\lambda\eta^2$", 0.05, 0.4, VERMILION)
    _write(cold, r"$\sigma$ in eq. 4:  $-\mu^2 + \frac{1}{4}\lambda\eta^2$", 0.05, -0.45, "black")
    _write(warm, r"$\sigma$:  $-2m^2 = 2\mu^2 - \frac{1}{2}\lambda\eta^2$", 0.5, 1.9, BLUE)
    _write(warm, r"$\pi$:  $0$", 0.05, 0.25, VERMILION)
    legend_below(
        figure,
        [
            Line2D([], [], color="0.4", label="measured", **_MEASURED),
            Line2D([], [], color="0.4", lw=1.2, label="formula"),
            Line2D([], [], label="the paper's equation 4", **_PAPER),
        ],
    )
    return figure


def _write(axis: Axes, text: str, x: float, y: float, colour: str) -> None:
    axis.text(x, y, text, color=colour, fontsize=_TEXT, va="center")
