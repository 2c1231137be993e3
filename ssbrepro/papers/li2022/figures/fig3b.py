"""Fig. 3b of li2022: circuits and their perturbations of orders 1 and 2 before training."""

import math
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, SMALL, VERMILION, legend_below, new_figure, signed_decades

_TITLES = (
    "basis circuits  $X\\Psi$",
    "perturbations of order 1  $\\Omega^{\\backslash l}$",
    "perturbations of order 2  $\\Omega^{\\backslash l,l'}$",
)


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw a histogram an order, from left to right: the first draw with its mirror image, and others.

    Args:
        arrays: Of the stage ``circuits``: ``p_value``, ``small_p_value``, ``histogram``, ``edges``,
            ``linear`` and ``log10_unit``.
    """
    circuits = arrays["circuits"]
    num_draws = circuits["p_value"].shape[1]
    figure, axes = new_figure(columns=3, height=2.6, sharex=False)
    for axis, title in zip(axes, _TITLES, strict=True):
        axis.set_title(title, fontsize=8)
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
    if num_draws == 0:
        figure.supxlabel("no example has circuits to draw", fontsize=8)
        return figure
    for order, axis in enumerate(axes):
        _histograms(axis, circuits["edges"][order], circuits["histogram"][order])
        linear, largest = float(circuits["linear"][order]), circuits["edges"][order][-1]
        axis.set_xscale("asinh", linear_width=linear)
        axis.set_xticks(signed_decades(linear, largest))
        axis.tick_params(labelsize=SMALL)
        axis.set_xlabel(_unit(circuits["log10_unit"][order]), fontsize=7.5)
        limit = float(circuits["small_p_value"])
        small = int((circuits["p_value"][order] < limit).sum())
        note = f"{small} of {num_draws} sign-flip p-values below {limit:g}"
        axis.text(0.5, 0.97, note, transform=axis.transAxes, ha="center", fontsize=SMALL)
    legend_below(figure, axes[0].get_legend_handles_labels()[0])
    return figure


def _histograms(axis: Axes, edges: Array, rows: Array) -> None:
    """The first row filled, the others as thin lines, around a line at zero."""
    middles = (edges[1:] + edges[:-1]) / 2
    shown, *others = rows
    for index, row in enumerate(others):
        label = "the other draws" if index == 0 else None
        axis.plot(middles, row, color="0.6", lw=0.3, alpha=0.7, label=label)
    axis.fill_between(middles, shown, color=BLUE, alpha=0.3, lw=0)
    axis.plot(middles, shown, color=BLUE, lw=1.1, label="the first draw")
    axis.plot(middles, shown[::-1], color=VERMILION, lw=0.9, ls=":", label="its mirror image")
    axis.axvline(0, ymax=0.92, color="black", lw=0.8)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_ylim(0, 1.15 * rows.max())


def _unit(log10_unit: float) -> str:
    exponent = math.floor(log10_unit)
    return f"value in units of ${10 ** (log10_unit - exponent):.1f}\\cdot 10^{{{exponent}}}$"
