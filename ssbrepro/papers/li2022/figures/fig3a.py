"""Fig. 3a of li2022: the weights of each layer at epochs throughout training."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import SMALL, epoch_colours, new_figure, ridgeline

_COLUMNS = 4


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw a panel for each layer, with one smoothed histogram an epoch from top to bottom.

    Args:
        arrays: Of the stage ``weights``: ``epoch``, ``layer_sizes``, ``asymmetry``, ``edges`` and
            ``histogram``.
    """
    weights = arrays["weights"]
    epochs, layer_sizes = weights["epoch"].tolist(), weights["layer_sizes"].tolist()
    rows = -(-len(layer_sizes) // _COLUMNS)
    figure, axes = new_figure(rows, _COLUMNS, height=2.3 * rows, sharex=False, sharey=True)
    for layer, (axis, size) in enumerate(zip(axes.flat, layer_sizes, strict=True)):
        ridgeline(
            axis,
            weights["edges"][layer],
            weights["histogram"][layer],
            epochs,
            epoch_colours(epochs),
        )
        start, end = weights["asymmetry"][layer][[0, -1]]
        axis.set_title(f"layer {layer + 1}: {size:,} weights", fontsize=SMALL + 0.5, pad=11)
        note = f"A = {start:.2f} → {end:.2f}"
        axis.text(0.5, 1.02, note, transform=axis.transAxes, ha="center", fontsize=SMALL)
        axis.tick_params(labelsize=SMALL)
        axis.locator_params(axis="x", nbins=3, symmetric=True)
    figure.supxlabel("weight", fontsize=9)
    figure.supylabel("epoch", fontsize=9)
    return figure
