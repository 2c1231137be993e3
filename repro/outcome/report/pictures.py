"""The picture of a run as part of the page: its SVG, or pixels where that would be too large."""

import base64
import io
from dataclasses import dataclass

from repro import bounded
from repro.errors import StoreError
from repro.outcome.drawing import without_needless_digits
from repro.outcome.record import Run

_MAX_SVG_BYTES = 50_000  # some 60 pictures and their verdicts are to stay below 5 MB
_AVIF = {"quality": 45, "speed": 8}  # as sharp as a screen shows it, a quarter second a picture
_PIXELS_PER_DOT = 96 / 200  # of a page, and of our PNG


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI, and its size in pixels of a page."""

    source: str
    width: int
    height: int


def picture_of(run: Run) -> Picture:
    """The picture of a run, with nothing in it that could collide with the page or another picture.

    An image of its own, it brings its own ids and styles, and no script in it is ever run.

    Raises:
        StoreError: If it is damaged.
    """
    from PIL import Image

    paths = {name.rpartition(".")[2]: run.folder / name for name in run.record.files}
    try:
        svg = without_needless_digits(
            bounded.read_bytes(paths["svg"])
        )  # of runs that are older, too
        with bounded.opened(paths["png"]) as png, Image.open(png) as image:
            size = [round(dots * _PIXELS_PER_DOT) for dots in image.size]
            if len(svg) <= _MAX_SVG_BYTES:
                return Picture(_data_uri("svg+xml", svg), *size)
            pixels = io.BytesIO()
            image.convert("RGB").save(pixels, "avif", **_AVIF)
    except (OSError, KeyError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise StoreError(
            f"{run.folder}: its pictures are damaged: {error}; remove this folder, and "
            f"`{run.record.command}` draws them again"
        ) from error
    return Picture(_data_uri("avif", pixels.getvalue()), *size)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
