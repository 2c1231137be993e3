"""Draws a figure with its plot module and puts the small print below it."""

import hashlib
import importlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from repro.names import plot_module

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ID = re.compile(rb'(?<= id=")[a-zA-Z0-9_]*[0-9a-f]{10}(?=")')
_PLACES, _DIGITS = re.compile(rb' (?:d|x|y)="[^"]*"'), re.compile(rb"(\.\d\d)\d+")
_POINTS = 7  # of the small print: the least that is read on paper
_COLUMNS = (0.01, 0.76)  # in widths of the figure
_METADATA: Mapping[str, dict[str, None]] = {"png": {"Software": None}, "svg": {"Date": None}}


def draw(
    figure_id: str,
    arrays: Mapping[str, Mapping[str, Any]],
    small_print: Sequence[str],
    folder: Path,
) -> list[Path]:
    """Draw a figure from recorded arrays, as PNG and SVG.

    Args:
        figure_id: Which figure.
        arrays: Arrays of each of its stages, by stage name.
        small_print: Columns of lines below the figure, one or two.
        folder: Where the two files go.

    Returns:
        The paths of the files.
    """
    paths = {kind: folder / f"{figure_id.partition('/')[2]}.{kind}" for kind in _METADATA}

    def drawn() -> "Figure":
        figure: Figure = importlib.import_module(plot_module(figure_id)).draw(arrays)
        for place, text in zip(_COLUMNS, small_print, strict=False):
            figure.text(
                place, -0.01, text, fontsize=_POINTS, color="0.35", va="top", linespacing=1.15
            )
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
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own matplotlibrc says
        matplotlib.rcParams.update({"svg.hashsalt": salt, "svg.fonttype": "none"})
        figure = drawn()
        for kind, target in targets.items():
            buffer = io.BytesIO()
            figure.savefig(
                buffer, format=kind, dpi=200, metadata=_METADATA[kind], bbox_inches="tight",
                pad_inches=0.08,
            )  # fmt: skip
            content = buffer.getvalue()
            if kind == "svg":
                content = with_steady_ids(without_needless_digits(content), salt)
            if isinstance(target, Path):
                target.write_bytes(content)
            else:
                target.write(content)


def with_steady_ids(svg: bytes, salt: str) -> bytes:
    """An SVG whose ids follow from their order.

    Matplotlib hashes places to the last bit, which its layout's solver lets hang on where in memory
    things lie.
    """
    for order, old in enumerate(dict.fromkeys(_ID.findall(svg))):
        new = hashlib.sha256(f"{salt} {order}".encode()).hexdigest()[:10]
        svg = svg.replace(old, old[:-10] + new.encode())
    return svg


def without_needless_digits(svg: bytes) -> bytes:
    """An SVG with its places to a hundredth of a point, of millionths: pages hold many pictures."""
    return _PLACES.sub(lambda place: _DIGITS.sub(rb"\1", place.group()), svg)
