"""Scaling of li2022's symmetries: statistics of symmetry against the size of the network."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ssbrepro.contract import Array
from ssbrepro.papers.style import (
    ASYMMETRY,
    BLUE,
    BREAKING_INDEX,
    SMALL,
    VERMILION,
    legend_below,
    new_figure,
    note_below,
)

_TITLES = {
    "weights": "weights, A of a layer",
    "gradient": "gradient, A of its entries",
    "spectrum": "spectrum, $S_k$ of its ends",
}
_COLOURS = (BLUE, VERMILION)  # images fixed, in proportion
_MARKS = ("o", "s")
_NOTE = (
    "At a tenth of the initial loss. Lines: fit to all networks with its 95 % band. Bars: where it "
    "predicts one network of the paper's size, on the left with 2,000 images, on the right with 50,000."
)


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw S₀, S and S₁ above and B below against the number of weights, as far as the paper's.

    Args:
        arrays: Of the stage ``scaling``: values and medians of each statistic, lines and predictions.
    """
    found = arrays["scaling"]
    place = int(found["predicted_at"])
    figure, axes = new_figure(rows=2, columns=3, height=4.8)
    for column, (statistic, title) in enumerate(_TITLES.items()):
        above, below = axes[:, column]
        above.set_title(title, fontsize=7.5)
        above.set_yscale("log")
        above.set_ylim(1e-3, 3)  # S is 2 at most; intervals of its logarithm know nothing of that
        above.tick_params(labelsize=SMALL)
        _fits(above, found, f"{statistic}_s0")
        _fits(below, found, f"{statistic}_index")
        for regime, (colour, mark) in enumerate(zip(_COLOURS, _MARKS, strict=True)):
            values = {
                name: found[f"{statistic}{name}"][regime, :, place]
                for name in ("", "_s0", "_s1", "_index")
            }
            style: dict[str, Any] = {"marker": mark, "ms": 4, "ls": "", "mec": colour, "mew": 0.9}
            size = found["num_weights"]
            above.plot(size, values["_s1"], color=colour, ls=":", lw=1.1)
            above.plot(size, values[""], mfc="white", **style)
            above.plot(size, values["_s0"], mfc=colour, **style)
            below.plot(size, values["_index"], mfc="white", **style)
        _levels(below)
        below.set_xlabel("number of weights $P$", fontsize=7.5)
        _sizes(below, found)
    axes[0, 0].set_ylabel("statistic $S$", fontsize=8)
    axes[1, 0].set_ylabel("breaking index $B$", fontsize=8)
    fixed, ratio = found["num_examples"]
    handles: list[Any] = [
        Patch(color=BLUE, label=f"{fixed[0]:,} images"),
        Patch(color=VERMILION, label=f"{ratio[0]} to {ratio.max():,} images, in proportion"),
        Line2D([], [], color="0.3", ls=":", lw=1.1, label="$S_1$, all broken"),
        _dot("white", label="network"),
        _dot("0.3", label="$S_0$, intact"),
    ]
    note_below(figure, f"{_NOTE} {ASYMMETRY} {BREAKING_INDEX}")
    legend_below(figure, handles)
    return figure


def _dot(face: str, **options: Any) -> Line2D:
    return Line2D([], [], ls="", marker="o", ms=4, mec="0.3", mfc=face, **options)


def _fits(axis: Axes, found: Mapping[str, Array], name: str) -> None:
    """The fitted lines with their bands, and what they predict of the paper's size."""
    sizes = found["line_weights"]
    lines, points = found[f"{name}_line"], found[f"{name}_predicted"]
    for place, colour in enumerate(_COLOURS):
        value, low, high = lines[place].T
        axis.fill_between(sizes, low, high, color=colour, alpha=0.15, lw=0)
        axis.plot(sizes, value, color=colour, lw=1)
        value, low, high = points[place]
        at = sizes[-1] * (1.25, 1.9)[place]  # side by side
        axis.errorbar(
            at, value, [[value - low], [high - value]], color=colour, capsize=2.5, lw=1.2,
            marker="D", ms=3.5, mec="black", mew=0.5,
        )  # fmt: skip


def _levels(axis: Axes) -> None:
    """What B is where all symmetries hold, and where all are broken."""
    axis.axhline(0, color="0.6", lw=0.6, zorder=0)
    axis.axhline(1, color="0.6", lw=0.6, ls=":", zorder=0)
    axis.set_ylim(-1, 1.25)


def _sizes(axis: Axes, found: Mapping[str, Array]) -> None:
    """Ticks at the powers of ten, and the paper's size named."""
    sizes = found["line_weights"]
    axis.set_xscale("log")
    axis.set_xlim(sizes[0] * 0.7, sizes[-1] * 3)
    axis.set_xticks([1e4, 1e5, 1e6, sizes[-1]], ["$10^4$", "$10^5$", "$10^6$", "paper"])
    axis.set_xticks([], minor=True)
    axis.tick_params(labelsize=SMALL)
