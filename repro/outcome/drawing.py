"""Draws a figure with its plot module and puts the small print below it."""

import importlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repro.names import plot_module

os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir()) / "ssbrepro-matplotlib"))


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
    import matplotlib

    matplotlib.use("Agg")
    name = figure_id.partition("/")[2]
    # Same data, same bytes: fixed ids in the SVG, and no date.
    with matplotlib.rc_context({"svg.hashsalt": figure_id, "svg.fonttype": "none"}):
        figure = importlib.import_module(plot_module(figure_id)).draw(arrays)
        figure.text(0.01, -0.01, small_print, fontsize=6, color="0.35", va="top", ha="left")
        paths = []
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            path = folder / f"{name}.{kind}"
            figure.savefig(path, dpi=200, metadata=metadata, bbox_inches="tight", pad_inches=0.08)
            paths.append(path)
    return paths
