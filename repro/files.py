"""Files that are whole or not there: written aside, flushed to the disk, then renamed."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Hashable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from repro import bounded
from repro.errors import StoreError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


def write_json(path: Path, content: Any) -> None:
    """Write readable JSON (no NaN) to a file, replacing it whole.

    Raises:
        StoreError: If it cannot be written.
    """
    write_text(path, readable_json(content))


def readable_json(content: Any) -> str:
    """Plain data as readable JSON, without NaN."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a file, replacing it whole.

    Raises:
        StoreError: If it cannot be written.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, replacing it whole.

    Raises:
        StoreError: If it cannot be written.
    """
    with replacing(path) as partial:
        partial.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside another one, whose place it takes unless something goes wrong.

    A link there is replaced itself: nothing outside of a home is written through one.

    Yields:
        Its path; there is nothing yet.

    Raises:
        StoreError: If it cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _must_be_replaceable(path)
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
        try:
            yield partial
            flush(partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        flush(path.parent)


def _must_be_replaceable(path: Path) -> None:
    """Refuse to put a file in the place of a pipe, a device, a folder.

    Raises:
        OSError: If there is one.
    """
    with contextlib.suppress(FileNotFoundError):
        if stat.S_IFMT(path.lstat().st_mode) not in (stat.S_IFREG, stat.S_IFLNK):
            raise OSError(errno.EEXIST, "not an ordinary file", str(path))


def read_json(path: Path) -> Any:
    """Read JSON, as :func:`repro.bounded.plain_json` takes it.

    Raises:
        StoreError: If it cannot be read or is not JSON.
    """
    try:
        with reading(path):
            return bounded.plain_json(bounded.read_bytes(path))
    except ValueError as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error


def read_as(path: Path, kind: type[T]) -> T:
    """Read JSON as a dataclass.

    Raises:
        StoreError: If it cannot be read or is something else; it names the field.
    """
    try:
        with reading(path):
            return checked(bounded.read_bytes(path), kind)
    except ValueError as error:
        raise StoreError(f"{path}: is damaged: {error}") from error


def checked(text: str | bytes, kind: type[T]) -> T:
    """JSON as a dataclass: each field there and of its very type, each number finite.

    Fields that the dataclass does not have are left out.

    Raises:
        ValueError: If it is something else; it names the field.
    """
    from pydantic import ValidationError

    bounded.plain_json(text)
    try:
        content: T = _adapter(cast("Hashable", kind)).validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise ValueError(f"{place}: {fault['msg']}" if place else fault["msg"]) from error
    return content


@cache
def _adapter(kind: Any) -> "TypeAdapter[Any]":
    # Made when first needed: most commands read nothing this way.
    from pydantic import ConfigDict, TypeAdapter, with_config

    return TypeAdapter(with_config(ConfigDict(strict=True, allow_inf_nan=False))(kind))


@contextlib.contextmanager
def partial_folder(final: Path) -> Iterator[Path]:
    """A folder to fill beside ``final``, gone afterwards unless :func:`publish` renamed it.

    Call it under a lock on ``final``: what killed processes left of earlier attempts is removed.

    Yields:
        The folder, empty.

    Raises:
        StoreError: If it cannot be made.
    """
    with writing(final):
        remove_partial(final)
    with _beside(final) as partial:
        yield partial


@contextlib.contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A folder to fill beside ``final``, whose name it gets whole, and never in the place of anything.

    Yields:
        The folder, empty.

    Raises:
        StoreError: If it cannot be written, or ``final`` is there by then and not empty.
    """
    with _beside(final) as aside:
        yield aside
        with writing(final):
            for path in aside.rglob("*"):
                flush(path)
            flush(aside)
            aside.rename(final)  # the system refuses where there is a folder that is not empty
            flush(final.parent)


@contextlib.contextmanager
def _beside(final: Path) -> Iterator[Path]:
    """A new folder beside a path, gone afterwards unless it was renamed.

    Yields:
        The folder, empty.
    """
    folder = final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}")
    try:
        with writing(final):
            folder.mkdir(parents=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_partial(final: Path) -> None:
    """Remove what was begun beside a folder and never published; call it under its lock."""
    for abandoned in final.parent.glob(f".{final.name}.*"):
        shutil.rmtree(abandoned, ignore_errors=True)


def publish(partial: Path, final: Path) -> None:
    """Flush a folder of files and give it its final name, replacing what had it before.

    Raises:
        StoreError: If it cannot be written.
    """
    with writing(final):
        for path in partial.iterdir():
            flush(path)
        flush(partial)
        _rename(partial, final)
        flush(final.parent)
        remove_partial(final)


def _rename(partial: Path, final: Path) -> None:
    """Give a folder its final name; what had it before is put aside.

    Raises:
        OSError: If it cannot be given the name; what had it before has it again.
    """
    replaced = final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}")
    if final.exists():
        final.rename(replaced)
    try:
        partial.rename(final)
    except OSError:
        if replaced.exists():
            replaced.rename(final)
        raise


def remove(folder: Path) -> None:
    """Remove a folder, at once in the eyes of others, who may find it whole or not at all.

    Raises:
        StoreError: If it cannot be removed.
    """
    with writing(folder):
        aside = folder
        if not folder.name.startswith("."):
            aside = folder.rename(folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}"))
        shutil.rmtree(aside)


def flush(path: Path) -> None:
    """Force a file's or folder's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Digest of a file's content."""
    with bounded.opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_digest(content: Mapping[str, Any]) -> str:
    """Digest of plain data, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def writing(path: Path) -> contextlib.AbstractContextManager[None]:
    """Turn a failure to write into one line that names the path.

    Raises:
        StoreError: In place of the system's own error.
    """
    return _in_one_line(path, "written")


def reading(path: Path) -> contextlib.AbstractContextManager[None]:
    """Turn a failure to read into one line that names the path.

    Raises:
        StoreError: In place of the system's own error.
    """
    return _in_one_line(path, "read")


@contextlib.contextmanager
def _in_one_line(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or path
        raise StoreError(f"{place}: cannot be {done}: {error.strerror}") from error
