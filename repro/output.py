"""Where a command writes what was asked for: looked at before anything is computed.

An ordinary file is replaced whole, the one that a link leads to. What is none, a pipe or a device, gets
the content and stays what it is.
"""

import contextlib
import errno
import os
import shutil
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from repro import files
from repro.errors import UsageError

STANDARD = Path("-")  # in place of a file: standard output
_STANDARD_NAMES = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_PATIENCE = 60.0  # seconds that a pipe may take to be read by something


def json_file(text: str) -> Path:
    """Where JSON can be written to.

    Raises:
        UsageError: If it cannot be written.
    """
    return _target(text)


def page(text: str) -> Path:
    """Where a page can be written to.

    Raises:
        UsageError: If it cannot be written, or its name says that it is something else.
    """
    return _target_as(text, "HTML is written", ".html", ".htm")


def picture(text: str) -> Path:
    """Where a picture can be written to.

    Raises:
        UsageError: If it cannot be written, or its name says that it is something else.
    """
    return _target_as(text, "PNG and SVG are drawn", ".png", ".svg")


def archive(text: str) -> Path:
    """Where results can be exported to.

    Raises:
        UsageError: If it cannot be written, or its name says that it is something else.
    """
    return _target_as(text, "a ZIP file is written", ".zip")


def new_folder(text: str) -> Path:
    """A folder that is not there yet, or empty.

    Raises:
        UsageError: If there is something, or it cannot be made.
    """
    path = Path(os.path.realpath(text))
    try:
        if not text:
            raise UsageError(f"{text!r} is not the name of a folder")
        if path.is_dir() and any(path.iterdir()):
            raise UsageError(f"{text}: is not empty, and nothing is replaced; name another folder")
        if os.path.lexists(path) and not path.is_dir():
            raise UsageError(f"{text}: is not a folder")
        _try_writing(path)
    except OSError as error:
        raise UsageError(f"{text}: cannot be written: {error.strerror}") from error
    return path


def write_json(path: Path, content: Any) -> None:
    """Write readable JSON to where it was asked for.

    Raises:
        StoreError: If it cannot be written.
    """
    write_text(path, files.readable_json(content))


def write_text(path: Path, text: str) -> None:
    """Write text to where it was asked for.

    Raises:
        StoreError: If it cannot be written.
    """
    with written(path) as aside:
        aside.write_text(text, "utf-8")


@contextlib.contextmanager
def written(path: Path) -> Iterator[Path]:
    """A file to write, whose content then goes to where it was asked for.

    Yields:
        Its path; there is nothing yet.

    Raises:
        StoreError: If it cannot be written.
    """
    with files.writing(path):
        is_stream = _is_stream(path)
    if not is_stream:
        with files.replacing(Path(os.path.realpath(path))) as partial:
            yield partial
        return
    # Whoever reads standard output may have had enough: the command line ends quietly then.
    failures = contextlib.nullcontext() if path == STANDARD else files.writing(path)
    with failures, tempfile.TemporaryDirectory() as folder:
        aside = Path(folder, path.name)
        yield aside
        with aside.open("rb") as content, _opened_stream(path) as stream:
            shutil.copyfileobj(content, stream)


@contextlib.contextmanager
def _opened_stream(path: Path) -> Iterator[BinaryIO]:
    """What content can be written to, while it is open.

    Yields:
        It.

    Raises:
        OSError: If it cannot be opened, or is a pipe that nothing comes to read.
    """
    sys.stdout.flush()
    if path == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    own = _own_descriptor(path)
    descriptor = _descriptor(path) if own is None else os.dup(own)
    with os.fdopen(descriptor, "wb") as stream:
        yield stream


def _descriptor(path: Path) -> int:
    """A pipe or a device, open to be written.

    Raises:
        OSError: If it cannot be, or is a pipe that nothing comes to read.
    """
    deadline, told = time.monotonic() + _PATIENCE, False
    while True:
        try:
            # Not to block where nothing reads a pipe; opening it sooner would end what reads it.
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            break
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() >= deadline:
                raise OSError(errno.ENXIO, "nothing reads this pipe", str(path)) from error
        if not told:
            print(f"waiting for what reads {str(path)!r}", file=sys.stderr, flush=True)
            told = True
        time.sleep(0.05)
    os.set_blocking(descriptor, True)
    return descriptor


def _is_stream(path: Path) -> bool:
    """Whether content goes into what is there, instead of taking its place."""
    if path == STANDARD:
        return True
    mode = _mode(path)
    return mode is not None and (not stat.S_ISREG(mode) or _own_descriptor(path) is not None)


def _own_descriptor(path: Path) -> int | None:
    """Which of this process's own outputs a path leads to, as ``/dev/stderr`` does."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor
    return None


def _mode(path: Path) -> int | None:
    """What there is, where a link leads; None if there is nothing.

    Raises:
        OSError: If that cannot be told.
    """
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _target_as(text: str, kind: str, *endings: str) -> Path:
    path = _target(text)
    if not _is_stream(path) and path.suffix.lower() not in endings:
        raise UsageError(f"{path}: {kind}; name it {' or '.join(endings)}")
    return path


def _target(text: str) -> Path:
    """The path of what can be made, replaced or written to; nothing is left behind by finding out.

    Raises:
        UsageError: If it cannot be.
    """
    if text in _STANDARD_NAMES:
        return STANDARD
    path = Path(text)
    try:
        mode = _mode(path)
        kind = stat.S_IFREG if mode is None else stat.S_IFMT(mode)
        if not text or kind == stat.S_IFDIR:
            raise UsageError(f"{text!r} is not the name of a file")
        if kind == stat.S_IFREG:
            _try_writing(Path(os.path.realpath(path)))
        elif kind not in (stat.S_IFIFO, stat.S_IFCHR):
            raise UsageError(f"{path}: is neither a file nor a pipe")
        elif not os.access(path, os.W_OK):
            raise UsageError(f"{path}: cannot be written: {os.strerror(errno.EACCES)}")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def _try_writing(path: Path) -> None:
    """Make a file in the nearest folder that is there, and look for a name as long as any.

    Raises:
        OSError: If that cannot be; nothing is left in any case.
    """
    folder = next(parent for parent in path.parents if parent.exists())
    with contextlib.suppress(FileNotFoundError):
        (folder / f".{path.name}.{uuid.uuid4().hex[:8]}").lstat()
    with tempfile.TemporaryFile(dir=folder):  # without a name that could be left behind
        pass
