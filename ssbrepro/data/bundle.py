"""The first official training batch, carried with the package so that nothing has to be downloaded.

The 10,000 images are one lossless WebP, a sheet of 100 by 100; ``batch-1.xz`` is the official file
without its pixels. Both are made from the official file by
``python -m ssbrepro.data.bundle data_batch_1``.
"""

import lzma
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ssbrepro.data import official

BATCH = official.TRAINING[0]
SHEET = Path(__file__).with_name("batch-1.webp")
FRAME = Path(__file__).with_name("batch-1.xz")

_SIDE = 100  # images beside each other, and below each other
# What precedes the pixels: the opcode of a long text, and how long it is.
_OPENING = b"T" + official.PIXEL_BYTES.to_bytes(4, "little")
_SMALLEST: dict[str, Any] = {
    "quality": 100,
    "method": 6,
}  # a minute to write; it is read as fast as any


def read() -> bytes:
    """The official file; whoever uses it checks its MD5.

    Raises:
        OSError, ValueError, lzma.LZMAError: If the bundle is damaged so that it cannot be decoded.
    """
    with Image.open(SHEET) as image:
        sheet = np.asarray(image).reshape(_SIDE, 32, _SIDE, 32, 3)
    pixels = sheet.transpose(0, 2, 4, 1, 3).tobytes()
    before, after = lzma.decompress(FRAME.read_bytes()).split(_OPENING)
    return before + _OPENING + pixels + after


def make(content: bytes) -> None:
    """Write the bundle from the content of the official file.

    Raises:
        ValueError: If that is not the official file.
    """
    if official.md5(content) != official.MD5[BATCH]:
        raise ValueError(f"this is not the official {BATCH}")
    before, _, rest = content.partition(_OPENING)
    images = np.frombuffer(rest[: official.PIXEL_BYTES], dtype=np.uint8)
    sheet = images.reshape(_SIDE, _SIDE, 3, 32, 32).transpose(0, 3, 1, 4, 2)
    Image.fromarray(sheet.reshape(_SIDE * 32, _SIDE * 32, 3)).save(
        SHEET, lossless=True, **_SMALLEST
    )
    frame = before + _OPENING + rest[official.PIXEL_BYTES :]
    FRAME.write_bytes(lzma.compress(frame, preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    make(Path(sys.argv[1]).read_bytes())
