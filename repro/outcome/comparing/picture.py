"""A small picture of a comparison: one row a claim, both sides' values beside the bound."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from repro import output
from repro.outcome import wording
from repro.outcome.comparing.comparison import ClaimComparison, ClaimSide, Comparison
from repro.outcome.drawing import save
from ssbrepro.papers import style

_ROW_INCHES, _REST_INCHES = 0.5, 0.8
_COLOURS = {"A": style.BLUE, "B": style.VERMILION}
_HEIGHTS = {"A": 0.66, "B": 0.3}  # in a row
_CLAIMED = "#E8F1EA"
_MARGIN = 0.12  # beyond what is drawn, as a share of it


def write_picture(comparison: Comparison, path: Path) -> None:
    """Draw it as SVG if the name says so, and as PNG otherwise.

    Raises:
        StoreError: If it cannot be written.
    """
    kind = "svg" if path.suffix.lower() == ".svg" else "png"
    with output.written(path) as aside:
        save(lambda: draw(comparison), {kind: aside}, comparison.a.id)


def draw(comparison: Comparison) -> Figure:
    """Each claim on an axis of its own, since bounds are of all magnitudes."""
    claims = comparison.claims
    height = _REST_INCHES + _ROW_INCHES * max(len(claims), 1)
    figure, axes = style.new_figure(
        rows=max(len(claims), 1), height=height, sharex=False, squeeze=False
    )
    for axis, claim in zip(axes[:, 0], claims, strict=False):
        _draw_row(axis, claim)
    if not claims:
        axes[0, 0].text(0.5, 0.5, "no claims", ha="center", fontsize=style.SMALL)
        axes[0, 0].set_axis_off()
    sides = ("A", comparison.a), ("B", comparison.b)
    title = "\n".join(f"{name}: {side} {side.made_on}" for name, side in sides)
    figure.suptitle(title, fontsize=style.SMALL + 0.5, x=0.01, ha="left")
    style.legend_below(
        figure,
        [
            Line2D([], [], color=_COLOURS["A"], marker="o", ms=4, lw=1.4, label="A, 95 % of means"),
            Line2D([], [], color=_COLOURS["B"], marker="o", ms=4, lw=1.4, label="B, 95 % of means"),
            Line2D([], [], color="0.5", marker="|", ms=5, lw=0, label="single seeds"),
            Patch(color=_CLAIMED, ec="0.4", lw=0.6, label="what is claimed"),
        ],
    )
    return figure


def _draw_row(axis: Axes, claim: ClaimComparison) -> None:
    sides = {"A": claim.a, "B": claim.b}
    low, high = _limits(claim)
    claimed = (low, claim.bound) if claim.relation == "at_most" else (claim.bound, high)
    axis.axvspan(*claimed, color=_CLAIMED, lw=0)
    axis.axvline(claim.bound, color="black", lw=0.9)
    for name, side in sides.items():
        _draw_side(axis, side, _HEIGHTS[name], _COLOURS[name])
    axis.set_xlim(low, high)
    axis.set_ylim(0, 1)
    axis.set_yticks([0.48], [f"{claim.id}\n{wording.bound(claim)}"], fontsize=style.SMALL)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=style.SMALL - 1, length=2, pad=1)
    axis.locator_params(axis="x", nbins=5)
    axis.xaxis.set_major_formatter(lambda place, _: f"{place:.4g}")  # without a power of ten aside
    if not any(side.values for side in sides.values()):
        axis.set_xticks([])
    axis.spines["left"].set_visible(False)
    axis.spines["bottom"].set_color("0.6")
    text: dict[str, Any] = {
        "transform": axis.transAxes, "fontsize": style.SMALL, "va": "center",
    }  # fmt: skip
    text["weight"] = "bold" if claim.verdict == "differs" else "normal"
    for name, side in sides.items():
        axis.text(1.02, _HEIGHTS[name], _word(side), color=_COLOURS[name], **text)


def _draw_side(axis: Axes, side: ClaimSide, height: float, colour: str) -> None:
    """Each seed as a tick, the mean as a dot, and its interval as a line."""
    if len(side.values) > 1:
        axis.plot(side.values, [height] * len(side.values), "|", color=colour, ms=5, alpha=0.5)
    if side.low is not None and side.high is not None:
        axis.plot([side.low, side.high], [height, height], color=colour, lw=1.4)
    if side.value is not None:
        axis.plot(side.value, height, "o", color=colour, ms=4)


def _word(side: ClaimSide) -> str:
    """The verdict, or that of all seeds; which ones these have is too long to stand here."""
    return side.word if side.verdict or len(side.own) < 2 else "differs by seed"


def _limits(claim: ClaimComparison) -> tuple[float, float]:
    """So that the bound and all that is drawn is within, with a margin."""
    ends = [claim.bound]
    for side in (claim.a, claim.b):
        ends += [*side.values, *(one for one in (side.low, side.high) if one is not None)]
    low, high = min(ends), max(ends)
    margin = _MARGIN * ((high - low) or abs(high) or 1.0)
    return low - margin, high + margin
