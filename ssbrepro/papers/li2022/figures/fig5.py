"""Fig. 5 of li2022: a saddle, and a landscape whose local minima are global."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ssbrepro.contract import Array
from ssbrepro.papers.style import SMALL, legend_below, new_figure

_TITLES = (
    "a saddle: $z = x^2 - y^2$",
    "every local minimum is global:\n$z = (1 - xy)^2 + b\\,(x^2 - y^2)^2$",
)
_VIEWS = ((42, -66), (34, -118))  # elevation and azimuth in degrees, such that no dot is hidden
_FLATNESS = (0.45, 0.7)
_NORMS = (Normalize(), PowerNorm(0.4))  # the second one shows how the valley's floor rises
_LEVELS = (np.linspace(-1.5, 1.5, 13), np.array([0.05, 0.2, 0.5, 1, 1.5, 2, 3, 4, 5, 6]))


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw both surfaces side by side, saddles marked by white dots and minima by black ones.

    Args:
        arrays: Of the stage ``surfaces``: ``axis``, ``heights``, ``surface``, ``position``,
            ``height`` and ``num_descents``.
    """
    surfaces = arrays["surfaces"]
    options = {"projection": "3d", "computed_zorder": False}  # dots stay above the surface
    figure, axes = new_figure(columns=2, height=3.4, sharex=False, subplot_kw=options)
    x, y = np.meshgrid(surfaces["axis"], surfaces["axis"])
    for index, axis in enumerate(axes):
        heights = surfaces["heights"][index]
        axis.plot_surface(
            x, y, heights, cmap="viridis", norm=_NORMS[index], rcount=len(x), ccount=len(x), lw=0,
            antialiased=False, zorder=1, rasterized=True,
        )  # fmt: skip
        axis.contour(
            x, y, heights, _LEVELS[index], colors="white", linewidths=0.4, linestyles="solid", zorder=2
        )  # fmt: skip
        for point in np.flatnonzero(surfaces["surface"] == index):
            place = [*surfaces["position"][point], surfaces["height"][point]]
            is_saddle = surfaces["num_descents"][point] > 0
            axis.plot(*np.reshape(place, (3, 1)), zorder=3, **_dot(is_saddle))
        axis.view_init(*_VIEWS[index])
        axis.set_box_aspect((1, 1, _FLATNESS[index]))
        axis.set_title(_TITLES[index], fontsize=9, y=1.0)
        axis.set_xlabel("x", labelpad=-9)
        axis.set_ylabel("y", labelpad=-9)
        axis.set_zlabel("z", labelpad=-10)
        axis.tick_params(labelsize=SMALL, pad=-3)
        axis.locator_params(nbins=4)
    legend_below(
        figure,
        [
            Line2D([], [], label="saddle point", **_dot(True)),
            Line2D([], [], label="local and global minimum", **_dot(False)),
        ],
    )
    return figure


def _dot(is_saddle: bool) -> dict[str, Any]:
    inside, around = ("white", "black") if is_saddle else ("black", "white")
    return {
        "marker": "o", "ls": "", "ms": 7,
        "markerfacecolor": inside, "markeredgecolor": around, "markeredgewidth": 1.0,
    }  # fmt: skip
