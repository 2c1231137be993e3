"""Draws a figure with its plot module and puts the small print below it."""

import importlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from repro.names import plot_module

if TYPE_CHECKING:
    from matplotlib.figure import Figure

os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir()) / "ssbrepro-matplotlib"))

_METADATA: Mapping[str, dict[str, None]] = {"png": {"Software": None}, "svg": {"Date": None}}


def draw(
    figure_id: str, arrays: Mapping[str, Mapping[str, Any]], small_print: str, folder: Path
) -> list[Path]:
    """Draw a figure from recorded arrays, as PNG and SVG.

    Args:
        figure_id: Which figure.
        arrays: Arrays of each of its stages, by stage name.
        small_print: A line or more below the figure.
        folder: Where the two files go.

    Returns:
        The paths of the files.
    """
    paths = {kind: folder / f"{figure_id.partition('/')[2]}.{kind}" for kind in _METADATA}

    def drawn() -> "Figure":
        figure: Figure = importlib.import_module(plot_module(figure_id)).draw(arrays)
        figure.text(0.01, -0.01, small_print, fontsize=6, color="0.35", va="top", ha="left")
        return figure

    save(drawn, paths, figure_id)
    return [*paths.values()]


def save(drawn: "Callable[[], Figure]", targets: Mapping[str, Path | IO[bytes]], salt: str) -> None:
    """Draw once and save as each kind of file: same data, same bytes.

    Args:
        drawn: Draws it.
        targets: Where to save it, by "png" and "svg".
        salt: What ids in an SVG follow from.
    """
    import matplotlib

    matplotlib.use("Agg")
    # Fixed ids in the SVG, and no date.
    with matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure = drawn()
        for kind, target in targets.items():
            figure.savefig(
                target, format=kind, dpi=200, metadata=_METADATA[kind], bbox_inches="tight",
                pad_inches=0.08,
            )  # fmt: skip
