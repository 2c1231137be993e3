"""Committed files that are compared with ``SHA256SUMS`` of their folder whenever they are read.

``sha256sum --check SHA256SUMS`` in the folder does the same. Whatever writes such a file lists it; what
is changed, added or removed otherwise is an error until somebody says which of the two is meant.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from repro import files
from repro.errors import StoreError

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_SECONDS = 10.0  # that a reader who finds a difference waits for whoever may be writing


def is_known(path: Path) -> bool:
    """Whether there is a file, or should be one.

    Raises:
        StoreError: If the list is damaged.
    """
    return path.exists() or path.name in _listed(path.parent)


def read(path: Path) -> bytes | None:
    """The content of a file as it is listed; None if it is neither there nor listed.

    Raises:
        StoreError: If it is not as listed, or cannot be read.
    """
    try:
        return _read(path)
    except StoreError:
        # A file is replaced before its line is: looked at again once nobody is at it.
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # in a folder that cannot be written, nobody is
                stack.enter_context(_lock(path.parent).acquire(timeout=_SECONDS))
            return _read(path)


def refuse_changed(path: Path) -> None:
    """Compare a file of any folder with the list there, if that names it.

    Raises:
        StoreError: If it differs.
    """
    if path.name in _listed(path.parent):
        read(path)


def write_json(path: Path, content: Any) -> None:
    """Write readable JSON to a file, replacing it whole, and list it; call it under :func:`locked`.

    Raises:
        StoreError: If it cannot be written, or the list is damaged.
    """
    listed = _listed(path.parent)
    files.write_json(path, content)
    listed[path.name] = files.sha256(path)
    files.write_text(path.with_name(SUMS), text(listed))


def text(digests: dict[str, str]) -> str:
    """What ``sha256sum`` prints of files with these digests by name, sorted."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's list against other processes; within one it may be held several times.

    Raises:
        StoreError: If the folder cannot be written.
    """
    with files.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder).acquire()
    with lock:
        yield


def _lock(folder: Path) -> Any:
    from filelock import FileLock

    return FileLock(folder / f".{SUMS}.lock", is_singleton=True)


def _read(path: Path) -> bytes | None:
    listed = _listed(path.parent).get(path.name)
    back = f"`git checkout -- {path.parent}` brings back what was committed"
    if not path.is_file():
        if listed is None and not path.exists():
            return None
        gone = f"if it is to be gone, remove its line from {SUMS}"
        raise StoreError(f"{path}: is not there, but in {SUMS}; {back}; {gone}")
    with files.reading(path):
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != listed:
        problem = f"is not listed in {SUMS}" if listed is None else f"is not as listed in {SUMS}"
        raise StoreError(f"{path}: {problem}; {back}")
    return content


def _listed(folder: Path) -> dict[str, str]:
    """Digests by name; none where there is no list.

    Raises:
        StoreError: If it is damaged.
    """
    path = folder / SUMS
    if not path.exists():
        return {}
    if not path.is_file():  # which might be waited for
        raise StoreError(f"{path}: is no file")
    with files.reading(path):
        lines = path.read_bytes().decode("utf-8", "replace").splitlines()
    digests: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        found = _LINE.fullmatch(line)
        if found is None or found[2] in digests:
            problem = "is no line of sha256sum" if found is None else "names a file again"
            raise StoreError(f"{path}:{number}: {problem}; `git checkout -- {path}` mends it")
        digests[found[2]] = found[1]
    return digests
