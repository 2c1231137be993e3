"""Fig. 3b of li2022: circuits and their perturbations of orders 1 and 2 before training."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, SMALL, VERMILION, legend_below, new_figure, signed_decades

_TITLES = (
    "basis circuits  $X\\Psi$",
    "perturbations of order 1  $\\Omega^{\\backslash l}$",
    "perturbations of order 2  $\\Omega^{\\backslash l,l'}$",
)
_NAMES = ("p_value", "imbalance", "weight_imbalance", "histogram", "edges", "linear", "log10_unit")
_ROWS = {"": "untrained networks", "broken_": "copies, every weight positive"}


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw a histogram an order, from left to right: the first draw with its mirror image, and others.

    Above are the networks, below their copies with every symmetry broken.

    Args:
        arrays: Of the stage ``circuits``: ``small_p_value``, and of networks and copies ``p_value``,
            ``imbalance``, ``weight_imbalance``, ``histogram``, ``edges``, ``linear`` and
            ``log10_unit``.
    """
    circuits = arrays["circuits"]
    figure, axes = new_figure(2, 3, height=5.0, sharex=False)
    for axis, title in zip(axes[0], _TITLES, strict=True):
        axis.set_title(title, fontsize=9.5)  # so that superscripts are read
    for axis in axes.flat:
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
    if circuits["p_value"].shape[1] == 0:
        figure.supxlabel("a network has no circuits to draw", fontsize=8)
        return figure
    for row, (kind, title) in zip(axes, _ROWS.items(), strict=True):
        row[0].set_ylabel(f"{title}\nshare of circuits per length", fontsize=7.5)
        for order, axis in enumerate(row):
            own = {name: circuits[f"{kind}{name}"][order] for name in _NAMES}
            _panel(axis, own, float(circuits["small_p_value"]))
    legend_below(figure, axes[0][0].get_legend_handles_labels()[0])
    return figure


def _panel(axis: Axes, own: Mapping[str, Array], level: float) -> None:
    """One order of the networks or of the copies, with its p-values and shares of signs."""
    _histograms(axis, own["edges"], own["histogram"])
    linear, largest = float(own["linear"]), own["edges"][-1]
    axis.set_xscale("asinh", linear_width=linear)
    signed_decades(axis, linear, largest, most=2)
    axis.tick_params(labelsize=SMALL)
    axis.set_xlabel(_unit(float(own["log10_unit"])), fontsize=7.5)
    small, imbalance = int((own["p_value"] < level).sum()), np.median(own["imbalance"])
    notes = (
        f"{small} of {len(own['p_value'])} sign-flip p-values below {level:g}",
        f"share of positive off ½ by {imbalance:.3f},",
        f"without the input by {np.median(own['weight_imbalance']):.3f}",
    )
    axis.text(
        0.5, 0.99, "\n".join(notes), transform=axis.transAxes, ha="center", va="top", fontsize=SMALL
    )


def _histograms(axis: Axes, edges: Array, rows: Array) -> None:
    """The first row filled, the range of the others as a band, around a line at zero."""
    middles = (edges[1:] + edges[:-1]) / 2
    shown, *others = rows
    if others:
        low, high = np.min(others, axis=0), np.max(others, axis=0)
        axis.fill_between(middles, low, high, color="0.85", lw=0, label="range of the other draws")
    axis.fill_between(middles, shown, color=BLUE, alpha=0.2, lw=0)
    axis.plot(middles, shown, color=BLUE, lw=1.1, label="the first draw")
    axis.plot(middles, shown[::-1], color=VERMILION, lw=0.9, ls=":", label="its mirror image")
    axis.axvline(0, ymax=0.74, color="black", lw=0.8)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_ylim(0, 1.35 * rows.max())


def _unit(log10_unit: float) -> str:
    exponent = math.floor(log10_unit)
    return f"value in units of ${10 ** (log10_unit - exponent):.1f}\\cdot 10^{{{exponent}}}$"
