"""Fig. 1 of ssb2018: the loss rate of one weight in both phases."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path
from matplotlib.transforms import ScaledTranslation

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, VERMILION, new_figure

_BELOW, _ABOVE = 1.5, 2.1  # depths of the minima that are shown below and above the point A
_TEXT = 9  # points
_POINT = 1 / 72  # inch


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw V above the critical step size dashed and below it solid, with the points A, B and C.

    Args:
        arrays: Of the stage ``potential``: ``symmetric``, ``broken``, ``a``, ``b`` and ``c``.
    """
    potential = arrays["potential"]
    symmetric, broken = potential["symmetric"], potential["broken"]
    (a,), minima = potential["a"], potential["c"]
    depth = -minima[0, 1]
    bottom, top = -_BELOW * depth, _ABOVE * depth
    figure, axis = new_figure(height=3.5)
    axis.set_xlim(broken[0, 0], broken[-1, 0])
    axis.set_ylim(bottom, top)

    axis.fill_between(*broken.T, bottom, color=BLUE, alpha=0.07, lw=0)
    axis.plot([a[0]] * 2, [a[1], top], color="0.75", lw=0.7)
    axis.plot(*symmetric.T, color=VERMILION, lw=1.7, ls=(0, (5, 2.2)))
    axis.plot(*broken.T, color=BLUE, lw=2.2)
    on_the_way = (broken[:, 0] > 0.33 * minima[1, 0]) & (broken[:, 0] < 0.95 * minima[1, 0])
    beside = axis.transData + ScaledTranslation(3 * _POINT, 8 * _POINT, figure.dpi_scale_trans)
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 9, "color": "0.25", "lw": 1.1}
    axis.add_patch(FancyArrowPatch(path=Path(broken[on_the_way]), transform=beside, **style))

    for name, inwards, up in (("a", 0, -13), ("b", 8, -9), ("c", 9, -10)):
        for place, side in zip(potential[name], (1, -1), strict=False):
            axis.plot(*place, "o", ms=7.5, color="black", mec="white", mew=1.2, zorder=3)
            _write(axis, name.upper(), place, (side * inwards, up), weight="bold")
    labels = (r"$-\sqrt{-m^2/\lambda}$", r"$+\sqrt{-m^2/\lambda}$")
    for place, text, side in zip(minima, labels, (-1, 1), strict=True):
        axis.plot([place[0]] * 2, [bottom, place[1]], color=BLUE, lw=0.8, ls=":", zorder=1)
        _write(axis, text, (place[0], bottom), (30 * side, 11), color=BLUE)
    above, below = "symmetric phase\n$\\eta > \\eta_c$", "broken phase\n$\\eta < \\eta_c$"
    _write(axis, above, symmetric[len(symmetric) // 3], (0, 50), color=VERMILION)
    _write(axis, below, a, (0, -50), color=BLUE)
    axis.set_xlabel(r"weight $w = \sigma$  (units of $\mu/\sqrt{\lambda}$)")
    axis.set_ylabel(r"loss rate $V$  (units of $\mu^4/\lambda$)")
    return figure


def _write(axis: Axes, text: str, place: Any, offset: tuple[float, float], **style: Any) -> None:
    """Write ``offset`` points away from a place."""
    axis.annotate(
        text, place, offset, textcoords="offset points", ha="center", va="center", fontsize=_TEXT,
        **style,
    )  # fmt: skip
