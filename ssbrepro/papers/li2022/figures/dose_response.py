"""Dose-response of li2022's symmetries: statistics against the share of broken weights."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ssbrepro.contract import Array
from ssbrepro.papers.style import (
    ASYMMETRY,
    SMALL,
    VERMILION,
    Colour,
    epoch_colours,
    legend_below,
    new_figure,
    note_below,
)

_TITLES = {
    "weights": "weights, A of a layer",
    "circuits": r"circuits, $2\,|$share of positive$\,-\,\frac{1}{2}|$",
    "gradient": "gradient, A of its entries",
    "entries": "Hessian entries, median A",
    "spectrum": "spectrum, $S_k$ of its ends",
}
_MARKS = dict(zip(_TITLES, "sv*ox", strict=True))
_TICKS = (0.0, 0.1, 0.3, 1.0)
_NOTE = (
    "Curves: median over networks, bands: quartiles. $p_{1/2}$: share at which S is half way from "
    "intact to all broken."
)
_RUN = -0.11  # where the run's own values stand, left of p = 0


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw S(p) of each statistic, a curve a width, and the half-way shares against fan-in.

    Args:
        arrays: Of the stage ``dose_response``, all but the single networks' values.
    """
    found = arrays["dose_response"]
    colours = epoch_colours(found["widths"].tolist())
    figure, axes = new_figure(rows=2, columns=3, height=5.2, sharex=False)
    for axis, (statistic, title) in zip(axes.flat, _TITLES.items(), strict=False):
        axis.set_title(title, fontsize=7.5)
        _responses(axis, found, statistic, colours)
    _half_shares(axes.flat[-1], found)
    for axis in axes[:, 0]:
        axis.set_ylabel("statistic $S(p)$", fontsize=8)
    first, last = found["run_epoch"].tolist()
    handles: list[Any] = [
        Line2D([], [], color=colour, marker="o", ms=2.5, lw=1.1, label=f"width {_fraction(width)}")
        for colour, width in zip(colours, found["widths"], strict=True)
    ]
    width = _fraction(float(found["run_width"]))
    handles += [
        Patch(color="0.86", label="intact, 90 %"),
        _dot("white", label=f"run ({width}), epoch {first}"),
        _dot("black", label=f"epoch {last}"),
    ]
    note_below(figure, f"{_NOTE} {ASYMMETRY}")
    legend_below(figure, axes.flat[-1].lines, columns=3)
    legend_below(figure, handles)
    return figure


def _fraction(width: float) -> str:
    return f"1/{round(1 / width)}" if width < 1 else f"{width:g}"


def _dot(face: str, **options: Any) -> Line2D:
    return Line2D([], [], ls="", marker="o", ms=4, mec="black", mfc=face, **options)


def _responses(
    axis: Axes, found: Mapping[str, Array], statistic: str, colours: list[Colour]
) -> None:
    """Median and quartiles over the networks, on an axis that shows p = 0: the square root of p."""
    places = np.sqrt(found["shares"])
    low, high = found[f"{statistic}_intact"][_nearest(found)]
    axis.axhspan(low, high, color="0.86", lw=0, zorder=0)
    for colour, (lower, median, upper) in zip(
        colours, found[f"{statistic}_quartiles"], strict=True
    ):
        axis.fill_between(places, lower, upper, color=colour, alpha=0.2, lw=0)
        axis.plot(places, median, color=colour, marker="o", ms=2.5, lw=1.1, clip_on=False)
    for value, face in zip(found[f"{statistic}_run"], ("white", "black"), strict=True):
        axis.plot(_RUN, value, marker="o", ms=4, mec="black", mfc=face, clip_on=False, zorder=5)
    axis.axvline(0, color="0.6", lw=0.5)
    axis.set_xlim(_RUN - 0.06, 1.02)
    axis.set_ylim(bottom=0)
    axis.set_xticks([_RUN, *np.sqrt(_TICKS)], ["run", *(f"{tick:g}" for tick in _TICKS)])
    axis.tick_params(labelsize=SMALL)
    axis.set_xlabel("share $p$ of broken weights", fontsize=7.5)


def _nearest(found: Mapping[str, Array]) -> int:
    """The width whose intact networks are drawn as a band: the run's own, or the next to it."""
    return int(np.abs(np.log(found["widths"] / found["run_width"])).argmin())


def _half_shares(axis: Axes, found: Mapping[str, Array]) -> None:
    """The half-way shares with their slopes, and the slope that is claimed."""
    fan_in = found["fan_in"]
    for statistic, mark in _MARKS.items():
        chosen = statistic == "gradient"
        style: dict[str, Any] = {
            "color": VERMILION if chosen else "0.45",
            "lw": 1.4 if chosen else 0.8,
        }
        slope = float(found[f"{statistic}_slope"])
        label = f"$p_{{1/2}}$ of {statistic}"
        label += "" if np.isnan(slope) else f", slope ${slope:+.2f}$"
        halves = found[f"{statistic}_half_share"]
        axis.plot(fan_in, halves, marker=mark, ms=5 if chosen else 3.5, label=label, **style)
    middle = np.exp(np.mean(np.log(fan_in)))
    level = np.exp(np.mean(np.log(found["gradient_half_share"])))
    if np.isfinite(level):
        lines = [level * (fan_in / middle) ** slope for slope in (-0.5, -0.7, -0.3)]
        axis.plot(
            fan_in,
            lines[0],
            color="black",
            lw=0.9,
            ls="--",
            label="as claimed: $n^{-1/2}$, slope ±0.2",
        )
        axis.fill_between(fan_in, lines[1], lines[2], color="black", alpha=0.1, lw=0)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(fan_in, [f"{value:.0f}" for value in fan_in], minor=False)
    axis.set_xticks([], minor=True)
    axis.set_ylim(0.007, 1.6)
    axis.set_yticks([0.01, 0.03, 0.1, 0.3, 1], ["0.01", "0.03", "0.1", "0.3", "1"])
    axis.set_yticks([], minor=True)
    axis.tick_params(labelsize=SMALL)
    axis.set_title("half-way share $p_{1/2}$", fontsize=7.5)
    axis.set_xlabel("fan-in $n$", fontsize=7.5)
