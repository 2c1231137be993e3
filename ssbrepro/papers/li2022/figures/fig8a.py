"""Fig. 8a of li2022: the eigenvalue density of the Hessian at epochs throughout training."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import epoch_colours, new_figure, signed_decades

_DECADES = 9  # of density below its peak; further down is the kernel's tail


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw one curve an epoch, negative and positive side, both axes logarithmic.

    Args:
        arrays: Of the stage ``spectrum``: ``epoch``, ``num_active``, ``standard_deviation``,
            ``grid``, ``linear`` and ``density``.
    """
    spectrum = arrays["spectrum"]
    figure, axis = new_figure()
    grid, linear = spectrum["grid"], float(spectrum["linear"])
    filled = spectrum["standard_deviation"] > 0
    colours = epoch_colours(spectrum["epoch"].tolist())
    for index, epoch in enumerate(spectrum["epoch"].tolist()):
        if filled[index]:
            label = f"{epoch}"
            axis.plot(grid, spectrum["density"][index], color=colours[index], lw=1.1, label=label)
        else:  # H = 0 exactly: all the mass at 0, no curve to draw
            axis.plot([], [], color=colours[index], ls=":", label=f"{epoch} (empty: H = 0)")
    axis.set_xscale("symlog", linthresh=linear, linscale=0.6)
    axis.set_xticks(signed_decades(linear, grid[-1]))
    axis.set_yscale("log")
    if filled.any():
        peak = spectrum["density"][filled].max()
        axis.set_ylim(peak * 10.0**-_DECADES, 3 * peak)
    axis.axvline(0, color="0.6", lw=0.6)
    axis.set_xlabel("eigenvalue λ of the Hessian (logarithmic on both sides of zero)")
    axis.set_ylabel("density of eigenvalues")
    axis.legend(
        title="epoch", fontsize=7, title_fontsize=8, frameon=False,
        loc="center left", bbox_to_anchor=(1.0, 0.5),
    )  # fmt: skip
    return figure
