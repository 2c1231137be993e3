"""What figs. 6b and 6c of li2022 have in common: a matrix of correlations beside their sizes."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, FONT_SIZE, SMALL, VERMILION, new_figure


def draw_correlations(
    correlations: Mapping[str, Array], name: str, place: int, note: str = ""
) -> Figure:
    """Draw the matrix, and how large correlations are beside chance and broken symmetries.

    Args:
        correlations: Arrays of the stage ``correlations``: ``epoch``, ``num_active``, ``edges``,
            ``magnitudes``, ``permuted``, ``broken`` and the matrices.
        name: Of the matrix, ``start`` or ``end``.
        place: Of the same checkpoint in all other arrays.
        note: What else to say of it above the matrix.
    """
    if not len(correlations["epoch"]):
        return _correlation_matrix(correlations[name], "no two entries are live at any epoch")[0]
    epoch, num_active = int(correlations["epoch"][place]), int(correlations["num_active"][place])
    title = f"epoch {epoch}, {num_active:,} examples inside the margin{note}"
    figure, axis = _correlation_matrix(correlations[name], title)
    _magnitudes_of_pairs(
        axis,
        correlations["edges"],
        {
            "network": correlations["magnitudes"][place],
            "by chance": correlations["permuted"][place],
            "all symmetries broken": correlations["broken"][place],
        },
    )
    return figure


def _correlation_matrix(matrix: Array, title: str) -> tuple[Figure, Axes]:
    """A figure of a matrix of correlations, blue for negative ones, red for positive, white at zero.

    Args:
        matrix: (entries, entries); a frame is left where there is none.
        title: Above it.

    Returns:
        The figure, and an axis below its colour bar.
    """
    figure, axes = new_figure(
        rows=2, columns=2, height=3.9, sharex=False, width_ratios=[2.1, 1], height_ratios=[1, 9]
    )
    grid = axes[0, 0].get_gridspec()
    for axis in axes[:, 0]:
        axis.remove()
    axis = figure.add_subplot(grid[:, 0])
    last = max(len(matrix), 1) - 0.5
    image = axis.imshow(
        matrix, "RdBu_r", vmin=-1, vmax=1, interpolation="nearest", extent=(-0.5, last, last, -0.5)
    )
    axis.tick_params(labelsize=FONT_SIZE)
    axis.set_xlabel("Hessian entry", fontsize=FONT_SIZE + 1)
    axis.set_ylabel("Hessian entry", fontsize=FONT_SIZE + 1)
    axis.set_title(title, fontsize=FONT_SIZE)
    figure.colorbar(image, cax=axes[0, 1], orientation="horizontal", ticks=[-1, -0.5, 0, 0.5, 1])
    axes[0, 1].tick_params(labelsize=FONT_SIZE)
    axes[0, 1].set_title(r"correlation coefficient $\rho$", fontsize=FONT_SIZE)
    return figure, axes[1, 1]


def _magnitudes_of_pairs(axis: Axes, edges: Array, shares: Mapping[str, Array]) -> None:
    """Draw for each magnitude with what share of the pairs it is exceeded, on a logarithmic scale.

    Args:
        axis: Where to draw.
        edges: Of the bins of magnitudes, (bins+1,).
        shares: Of the pairs in each bin, (bins,): the network's, those of permuted examples, and those
            of broken copies, by their labels.
    """
    for (label, values), colour, style in zip(
        shares.items(), (BLUE, "0.35", VERMILION), ("-", ":", "--"), strict=True
    ):
        beyond = values[::-1].cumsum()[::-1]
        axis.step(
            edges[:-1], np.where(beyond > 0, beyond, np.nan), where="post", color=colour, lw=1.1,
            ls=style, label=label,
        )  # fmt: skip
    axis.set_yscale("log")
    axis.set_xlim(0, 1)
    axis.set_ylim(top=1.5)
    axis.set_xlabel(r"$|\rho|$")
    axis.set_title(r"share of pairs beyond $|\rho|$", fontsize=FONT_SIZE)
    axis.legend(fontsize=SMALL, frameon=False, loc="lower left")
