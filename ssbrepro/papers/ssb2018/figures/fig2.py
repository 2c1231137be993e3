"""Fig. 2 of ssb2018: the circle of minima that is left where a rotational symmetry breaks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import proj3d  # type: ignore[import-untyped]

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, SMALL, VERMILION, legend_below, new_figure

_VIEW = (50, -60)  # elevation and azimuth in degrees, such that the circle is seen all around
_FLATNESS = 0.3
_VACUUM = 0.64  # of the way around the circle: the marked vacuum, on the near side
_ALONG, _ACROSS = 0.09, 0.27  # half the lengths of the arrows, of the circle and of the radius
_TEXT = 9  # points
_TITLE = (
    "$V$ of three weights, slice $w_3 = 0$\n"
    r"white: minima (units $\mu/\sqrt{\lambda}$ and $\mu^4/\lambda$)"
)


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw V over two of three weights with its circle of minima, beside the zero modes of D weights.

    Args:
        arrays: Of the stage ``vacua``: ``radii``, ``angles``, ``heights``, ``circle``, ``dimension``,
            ``num_zero_modes``, ``num_broken`` and ``num_goldstone``.
    """
    vacua = arrays["vacua"]
    figure, (left, right) = new_figure(columns=2, height=3.9, sharex=False, width_ratios=(2.3, 1))
    left.remove()
    hat = figure.add_subplot(left.get_subplotspec(), projection="3d", computed_zorder=False)
    _draw_hat(hat, vacua)
    _draw_counts(right, vacua)
    legend_below(figure, right.lines[::-1])
    return figure


def _draw_hat(axis: Any, vacua: Mapping[str, Array]) -> None:
    radii, angles = np.meshgrid(vacua["radii"], vacua["angles"], indexing="ij")
    surface = np.stack([radii * np.cos(angles), radii * np.sin(angles), vacua["heights"]])
    circle = vacua["circle"]
    bottom = circle[:, 2].min()
    drawn = axis.plot_surface(
        *surface, cmap="viridis", vmin=1.35 * bottom, rcount=len(radii), ccount=len(radii), lw=0,
        antialiased=False, zorder=1, rasterized=True,
    )  # fmt: skip
    axis.plot_wireframe(*surface, color="white", lw=0.3, alpha=0.5, rcount=9, ccount=24, zorder=2)
    axis.plot(*circle.T, color="white", lw=2.4, zorder=3)
    axis.view_init(*_VIEW)
    axis.set_box_aspect((1, 1, _FLATNESS), zoom=1.3)
    axis.set_zlim(bottom, surface[2].max())

    last = len(circle) - 1
    vacuum = round(_VACUUM * last)
    along = circle[round((_VACUUM - _ALONG) * last) : round((_VACUUM + _ALONG) * last) + 1]
    distance = np.abs(vacua["radii"] / np.hypot(*circle[vacuum, :2]) - 1)
    across = surface[:, distance < _ACROSS, vacuum].T
    for path, colour, letter, offset in (
        (along, VERMILION, r"$\pi$", (0, -15)),
        (across, "black", r"$\sigma$", (-9, 0)),
    ):
        axis.plot(*path.T, color=colour, lw=1.8, zorder=4)
        flat = np.column_stack(proj3d.proj_transform(*path.T, axis.get_proj())[:2])
        for tip, before in ((flat[0], flat[2]), (flat[-1], flat[-3])):
            head = {"arrowstyle": "-|>", "mutation_scale": 12, "color": colour, "shrinkB": 0}
            axis.annotate("", tip, before, arrowprops=head, zorder=4)
        axis.annotate(
            letter, flat[-1], offset, textcoords="offset points", fontsize=13, color=colour,
            ha="center", va="center", zorder=5,
        )  # fmt: skip
    axis.plot(*circle[vacuum, :, None], "o", ms=6.5, color="black", mec="white", mew=1.1, zorder=6)

    axis.set_title(_TITLE, fontsize=_TEXT, y=0.95)
    axis.set_xlabel("$w_1$", labelpad=-6)
    axis.set_ylabel("$w_2$", labelpad=-6)
    axis.set_zticks([])  # heights are read off the colours; the axis would stand far off
    axis.zaxis.line.set_visible(False)
    bar = axis.figure.colorbar(drawn, ax=axis, location="bottom", shrink=0.5, pad=0.0, aspect=25)
    bar.set_label("$V$", fontsize=_TEXT)
    bar.ax.tick_params(labelsize=SMALL)
    for side in (axis.xaxis, axis.yaxis, axis.zaxis):
        side.set_pane_color("white")
    axis.grid(False)
    axis.tick_params(labelsize=SMALL, pad=-3)
    axis.locator_params(nbins=4)


def _draw_counts(axis: Axes, vacua: Mapping[str, Array]) -> None:
    dimension, expected = vacua["dimension"], vacua["num_goldstone"]
    broken, zero = vacua["num_broken"], vacua["num_zero_modes"]
    axis.plot(dimension, expected, color="0.6", lw=1.0, label=r"$\dim O(D) - \dim O(D-1)$")
    axis.plot(dimension, broken, "s", ms=8, mfc="none", color=BLUE, label="broken generators")
    axis.plot(dimension, zero, "o", ms=4, color=VERMILION, label="zero modes")
    axis.set_xlabel("number of weights $D$")
    axis.set_ylabel("number at a vacuum")
    axis.set_xticks(dimension)
    axis.set_yticks(expected)
