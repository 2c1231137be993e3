"""Datasets that are not the official one: files that mean harm."""

import os
import pickle
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from attack.attack import Attack, Trial
from attack.mutation import bounded
from repro import files
from repro.errors import ReproError
from ssbrepro.data import DataError, bundle, cifar10, official

_MARK = Path("executed")  # what a pickle with code makes, in the working directory


class _Code:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {_MARK}",)


def _first_batch(content: Callable[[], bytes]) -> Callable[[Path], None]:
    return lambda folder: _write(folder / official.TRAINING[0], content())


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _changed(at: int) -> bytes:
    content = bytearray(bundle.read())
    content[at] ^= 1
    return bytes(content)


def _bound(path: Path) -> None:
    place = Path.cwd()
    os.chdir(path.parent)  # the name of a socket may have a hundred characters
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)
    os.chdir(place)


def _in_its_place(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def made(folder: Path) -> None:
        make(folder / official.TRAINING[0])

    return made


def _circle(folder: Path) -> None:
    (folder / official.TRAINING[0]).symlink_to("other")
    (folder / "other").symlink_to(official.TRAINING[0])


_SMALL_BOMB = b"\x80\x04" + b"(" * 1000 + b"X" + (2**31 - 1).to_bytes(4, "little") + b"x."
_FILES: Mapping[str, Callable[[Path], None]] = {
    "no file at all": lambda folder: None,
    "an empty batch": _first_batch(bytes),
    "a batch cut short": _first_batch(lambda: bundle.read()[:-1]),
    "half a batch": _first_batch(lambda: bundle.read()[:15_000_000]),
    "a batch with more at its end": _first_batch(lambda: bundle.read() + b"."),
    "a batch with a bit flipped at its start": _first_batch(lambda: _changed(0)),
    "a batch with a pixel changed": _first_batch(lambda: _changed(1_000_000)),
    "a batch with a label changed": _first_batch(lambda: _changed(-1000)),
    "a batch under the name of another": lambda folder: _write(
        folder / official.TRAINING[1], bundle.read()
    ),
    "a pickle with code": _first_batch(lambda: pickle.dumps({b"data": _Code()})),
    "a pickle with code before the batch": _first_batch(lambda: pickle.dumps(_Code()) + bundle.read()),
    "a pickle that says it is large": _first_batch(lambda: _SMALL_BOMB),
    "a page of HTML": _first_batch(lambda: b"<html>log in</html>"),
    "zeros": _first_batch(lambda: bytes(31_000_000)),
    "a folder for a batch": _in_its_place(Path.mkdir),
    "a pipe for a batch": _in_its_place(os.mkfifo),
    "a socket for a batch": _in_its_place(_bound),
    "a link to itself": _in_its_place(lambda path: path.symlink_to(path)),
    "a link to nothing": _in_its_place(lambda path: path.symlink_to("nowhere")),
    "a link to zeros": _in_its_place(lambda path: path.symlink_to("/dev/zero")),
    "a link to the folder around it": _in_its_place(lambda path: path.symlink_to("..")),
    "links in a circle": _circle,
    "a link to what cannot be read": _in_its_place(lambda path: path.symlink_to("/proc/self/mem")),
}  # fmt: skip
_FOLDERS: Mapping[str, Callable[[Path], object]] = {
    "a file for the folder": Path.touch,
    "a pipe for the folder": os.mkfifo,
    "a link to itself for the folder": lambda path: path.symlink_to(path),
    "a link to /proc for the folder": lambda path: path.symlink_to("/proc/self"),
}


def _hostile_files(prepared: object, one: Trial) -> str | None:
    """Look at a folder of files, and load the first images from there."""
    kinds = [*_FILES, *_FOLDERS]
    kind = kinds[one.number % len(kinds)]
    folder = one.folder / official.FOLDER
    if kind in _FILES:
        folder.mkdir()
        _FILES[kind](folder)
    else:
        _FOLDERS[kind](folder)
    mark = _MARK.absolute()
    try:
        with bounded(20):
            with files.reading(one.folder):
                state = cifar10.inspect(one.folder)
            if state.folder is not None and not state.problems:
                return f"{kind}: is taken for the official dataset"
            cifar10.load_classes(one.folder, 10)
    except (DataError, ReproError) as error:
        lines = str(error).splitlines()
        if len(lines) != 1 or str(one.folder) not in lines[0]:
            return f"{kind}: does not name the file in one line: {error}"
    else:
        # A link that leads nowhere is no folder, and what comes along serves.
        if folder.exists():
            return f"{kind}: is read"
    if mark.exists():
        mark.unlink()
        return f"{kind}: its code was run"
    return None


ATTACKS = (Attack("data-files", "a folder of data", 27, 5, lambda folder: folder, _hostile_files),)
