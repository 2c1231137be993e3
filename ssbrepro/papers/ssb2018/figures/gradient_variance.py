"""ssb2018, section 4: the deviation of the gradients over the size of their mean."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, SMALL, legend_below, new_figure, note_below

_PANELS = {"tishby": "tanh networks,\n12-bit task", "residual": "residual networks,\nCIFAR-10"}
_KINDS = ("_", "_shuffled_")
_MAP = "cividis"
_MISSING = "0.85"
_ROW_INCHES, _REST_INCHES, _FEWEST_ROWS = 0.145, 1.8, 5
_GROWTH: dict[str, Any] = {"color": BLUE, "marker": "o", "ms": 4.5, "ls": "", "clip_on": False}
_SHUFFLED: dict[str, Any] = {"color": "0.45", "marker": "|", "ms": 8, "mew": 1.4, "ls": ""}
_BOUND: dict[str, Any] = {"lw": 0.8, "color": "black"}


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw the ratio of each layer over the epochs as a map, beside its growth to the end.

    A row is a layer, and its colour how far the median over networks is above its own minimum, in
    windows of epochs where these were measured.

    Args:
        arrays: Of the stage ``gradient_variance``: ``growth_above``; with the prefixes ``tishby`` and
            ``residual`` ``_epoch`` and ``_ratio``, and where the growth was measured
            ``_window_epoch``, ``_window_ratio``, ``_growth`` and ``_shuffled_growth``.
    """
    variance = arrays["gradient_variance"]
    factor = float(variance["growth_above"])
    courses = {family: _course(variance, family) for family in _PANELS}
    rows = [max(len(ratio), _FEWEST_ROWS) for _, ratio in courses.values()]
    figure, axes = new_figure(
        rows=2, columns=2, height=_REST_INCHES + _ROW_INCHES * sum(rows), sharex=False,
        sharey="row", width_ratios=(1.5, 1), height_ratios=rows,
    )  # fmt: skip
    shares = [_above_minimum(ratio) for _, ratio in courses.values()]
    norm = LogNorm(1, max(factor, *(np.nanmax(share, initial=1) for share in shares)))
    for (left, right), share, (family, (epochs, ratio)) in zip(
        axes, shares, courses.items(), strict=True
    ):
        _draw_map(left, epochs, share, norm)
        left.set_ylabel(f"{_PANELS[family]}\nlayer", fontsize=SMALL + 1)
        _draw_growth(right, variance, family, factor)
        for layer, least in enumerate(np.fmin.reduce(ratio, axis=1), 1):
            right.text(
                1.1, layer, f"{least:.3g}", ha="right", va="center", fontsize=SMALL,
                transform=right.get_yaxis_transform(),
            )  # fmt: skip
    grown: list[Any] = [
        variance.get(f"{family}{name}growth", []) for family in _PANELS for name in _KINDS
    ]
    ends = np.concatenate([[1, factor], *grown])
    for axis in axes[:, 1]:
        axis.set_xlim(ends.min() / 1.1, ends.max() * 1.1)
    axes[1, 1].set_xlabel("at the end / minimum", fontsize=SMALL + 1)
    axes[0, 1].text(
        1.1, 1.03, "minimum", ha="right", va="bottom", fontsize=SMALL,
        transform=axes[0, 1].transAxes,
    )  # fmt: skip
    bar = figure.colorbar(
        ScalarMappable(norm, _MAP), ax=axes[:, 0], location="top", aspect=40, pad=0.02
    )
    bar.set_label("deviation of the gradient / size of its mean, over the minimum", fontsize=8)
    bar.ax.tick_params(labelsize=SMALL)
    bar.ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    bar.ax.xaxis.set_minor_locator(NullLocator())
    bar.ax.xaxis.set_major_formatter("{x:g}")
    note_below(figure, "Layers are counted from the input; grey: a gradient vanished.")
    legend_below(
        figure,
        [
            Line2D([], [], label="growth of a layer", **_GROWTH),
            Line2D([], [], label="epochs shuffled, 95 % below", **_SHUFFLED),
            Line2D([], [], label=f"the ratio by {factor:g}", ls="--", **_BOUND),
            Line2D([], [], label=f"the variance by {factor:g}", ls=":", **_BOUND),
        ],
    )
    return figure


def _course(variance: Mapping[str, Array], family: str) -> tuple[Array, Array]:
    """Epochs, and the ratio of each layer, (layers, epochs)."""
    if f"{family}_growth" in variance:
        return variance[f"{family}_window_epoch"], variance[f"{family}_window_ratio"][1]
    return variance[f"{family}_epoch"], variance[f"{family}_ratio"]


def _above_minimum(ratio: Array) -> Array:
    share: Array = ratio / np.fmin.reduce(ratio, axis=1, keepdims=True)
    return share


def _draw_map(axis: Axes, epochs: Array, share: Array, norm: LogNorm) -> None:
    """One row a layer, grey where a gradient vanished."""
    middles = np.sqrt(epochs[1:] * epochs[:-1])
    edges = np.concatenate([epochs[:1], middles, epochs[-1:]])
    if len(epochs) == 1:
        edges = np.array([epochs[0] / 2, epochs[0] * 2])
    axis.set_facecolor(_MISSING)
    axis.set_xlabel("epoch", fontsize=SMALL + 1)
    axis.pcolormesh(
        edges, np.arange(len(share) + 1) + 0.5, np.ma.masked_invalid(share), norm=norm, cmap=_MAP,
        rasterized=True,
    )  # fmt: skip
    axis.set_xscale("log")
    axis.set_xlim(edges[0], edges[-1])
    axis.set_ylim(len(share) + 0.5, 0.5)
    axis.set_yticks(np.arange(1, len(share) + 1, 1 if len(share) < 10 else 2))
    axis.tick_params(labelsize=SMALL)


def _draw_growth(axis: Axes, variance: Mapping[str, Array], family: str, factor: float) -> None:
    if f"{family}_growth" in variance:
        layers = np.arange(1, len(variance[f"{family}_growth"]) + 1)
        axis.plot(variance[f"{family}_shuffled_growth"], layers, **_SHUFFLED)
        axis.plot(variance[f"{family}_growth"], layers, **_GROWTH)
    else:
        axis.text(
            0.5, 0.5, "not measured:\na gradient vanishes", ha="center", va="center",
            fontsize=SMALL, transform=axis.transAxes,
        )  # fmt: skip
    axis.axvline(factor, ls="--", **_BOUND)
    axis.axvline(math.sqrt(factor), ls=":", **_BOUND)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter("{x:g}")
    axis.tick_params(labelsize=SMALL)
