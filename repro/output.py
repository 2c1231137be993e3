"""Where a command writes what was asked for: looked at before anything is computed."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from repro import files
from repro.errors import UsageError

STANDARD = Path("-")  # in place of a file: standard output


def json_file(text: str) -> Path:
    """A file that JSON can be written to, or ``STANDARD``.

    Raises:
        UsageError: If it cannot be written.
    """
    return STANDARD if text == "-" else _writable(text)


def page(text: str) -> Path:
    """A file that a page can be written to.

    Raises:
        UsageError: If it cannot be written, or its name says that it is something else.
    """
    return _writable_as(text, "HTML is written", ".html", ".htm")


def picture(text: str) -> Path:
    """A file that a picture can be written to.

    Raises:
        UsageError: If it cannot be written, or its name says that it is something else.
    """
    return _writable_as(text, "PNG and SVG are drawn", ".png", ".svg")


def archive(text: str) -> Path:
    """A file that results can be exported to.

    Raises:
        UsageError: If it cannot be written, or its name says that it is something else.
    """
    return _writable_as(text, "a ZIP file is written", ".zip")


def new_folder(text: str) -> Path:
    """A folder that is not there yet, or empty.

    Raises:
        UsageError: If there is something, or it cannot be made.
    """
    path = Path(text).absolute()
    try:
        if path.is_dir() and any(path.iterdir()):
            raise UsageError(f"{text}: is not empty, and nothing is replaced; name another folder")
        if path.exists() and not path.is_dir():
            raise UsageError(f"{text}: is not a folder")
        _try_writing(path)
    except OSError as error:
        raise UsageError(f"{text}: cannot be written: {error.strerror}") from error
    return path


def write_json(path: Path, content: Any) -> None:
    """Write readable JSON to a file or to standard output.

    Raises:
        StoreError: If it cannot be written.
    """
    if path == STANDARD:
        sys.stdout.write(json.dumps(content, indent=1, allow_nan=False) + "\n")
        sys.stdout.flush()
    else:
        files.write_json(path, content)


def _writable_as(text: str, kind: str, *endings: str) -> Path:
    path = _writable(text)
    if path.suffix.lower() not in endings:
        raise UsageError(f"{path}: {kind}; name it {' or '.join(endings)}")
    return path


def _writable(text: str) -> Path:
    """The path of a file that can be made or replaced; nothing is left behind by finding out.

    Raises:
        UsageError: If it cannot be, or is no ordinary file.
    """
    path = Path(text)
    try:
        if not text or path.is_dir():
            raise UsageError(f"{text!r} is not the name of a file")
        if path.exists() and not path.is_file():
            raise UsageError(f"{path}: is not an ordinary file")
        _try_writing(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def _try_writing(path: Path) -> None:
    """Make a file, and leave none, in the nearest folder that is there.

    Raises:
        OSError: If that cannot be.
    """
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    with tempfile.TemporaryFile(dir=folder):
        pass
