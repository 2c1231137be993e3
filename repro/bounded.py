"""What is read of files that anybody may have made: ordinary ones, as large and as deep as real ones.

Limits are some hundred times what is there: the largest file of recorded runs has 120 kB.
"""

import errno
import io
import math
import os
import stat
from pathlib import Path
from typing import Any

MAX_JSON_BYTES = 16 * 2**20
MAX_DIGITS = 18  # every such integer fits 64 bits


def opened(path: Path) -> io.BufferedReader:
    """An ordinary file, or one that a link leads to, open to be read.

    Raises:
        OSError: If it cannot be, or is none: nobody waits for a pipe, and a device has no end.
    """
    return open(path, "rb", opener=_without_waiting)


def _without_waiting(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    # Only of what is open it is certain that nobody puts something else in its place.
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not an ordinary file", os.fspath(path))
    return descriptor


def read_bytes(path: Path, limit: int = MAX_JSON_BYTES) -> bytes:
    """The content of an ordinary file.

    Raises:
        OSError: If it cannot be read, is none, or is larger than so many bytes.
    """
    with opened(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit} bytes", os.fspath(path))
    return content


def plain_json(text: str | bytes) -> Any:
    """Plain data of JSON: 200 levels deep at most, of characters, and of numbers that computers have.

    Raises:
        ValueError: If it is something else.
    """
    from pydantic_core import from_json  # later than `repro --help` needs it

    content = from_json(text, allow_inf_nan=False)
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, float) and not math.isfinite(one):
            raise ValueError("a number is not finite")
        elif isinstance(one, int) and abs(one) >= 10**MAX_DIGITS:
            raise ValueError(f"an integer has more than {MAX_DIGITS} digits")
    return content
