"""One file that carries results, saved states and recorded runs elsewhere.

It is a ZIP file of members as they lie in a home, sorted as they were added::

    runs/<paper>/<figure>/<name>/<file>     recorded runs
    scratch/<64 hex digits>/<name>.npz      states that unfinished steps have saved
    store/<64 hex digits>/arrays.npz        results: these three files each
    store/<64 hex digits>/result.json
    store/<64 hex digits>/meta.json
    index.json                              the last member

``index.json`` has ``schema_version``, the ``version`` of the project that wrote it, and in ``entries``
the ``path``, ``size`` and ``sha256`` of every other member, in their order. It is the last one, since
digests are known once a member has been copied: everything is copied once, and a state that a running
step replaces meanwhile is carried as it was.

Members are not compressed: numbers would become a fifteenth smaller, and this way a file cannot hold
more than its own size. Nothing says when it was written: the same content gives the same bytes.

The comment of the ZIP file, its last 64 bytes, is the SHA-256 of all bytes before them, in every version
of the schema. So damage is found wherever it is. Digests tell damage; they do not tell who made a file.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, BinaryIO

from repro import bounded, files, output
from repro.arrays import BROKEN_ZIP
from repro.errors import ArchiveError
from repro.store import ARRAYS, META, RESULT
from ssbrepro import __version__

INDEX = "index.json"
SCHEMA_VERSION = 1
_MAX_INDEX_BYTES = 64 * 2**20  # of some 300,000 members
_SEAL_BYTES = 64
_CHUNK_BYTES = 2**20
_NAME = r"\w[\w.-]*"
_SHAPES = re.compile(
    rf"store/[0-9a-f]{{64}}/({re.escape(ARRAYS)}|{re.escape(RESULT)}|{re.escape(META)})"
    rf"|scratch/[0-9a-f]{{64}}/{_NAME}\.npz"
    rf"|runs/{_NAME}/{_NAME}/{_NAME}/{_NAME}"
)

Progress = Callable[[int, int], None]  # bytes done, and of how many


@dataclass(frozen=True)
class Entry:
    """A member: where it lies in a home, its size, and its digest."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class _Version:
    schema_version: int
    version: str


@dataclass(frozen=True)
class _Index(_Version):
    entries: tuple[Entry, ...]


class Writer:
    """Adds members to a file that is being written."""

    def __init__(self, archive: zipfile.ZipFile, place: Path) -> None:
        self._archive = archive
        self._place = place
        self.entries: list[Entry] = []
        self.size = 0  # of the whole file, once it is written

    def add(self, path: str, source: BinaryIO) -> Entry:
        """Copy a file to a member.

        Raises:
            StoreError: If it cannot be read or written.
        """
        digest, size = hashlib.sha256(), 0
        with files.writing(self._place), self._open(path) as member:
            for chunk in _chunks(source, path):
                member.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        self.entries.append(Entry(path, size, digest.hexdigest()))
        return self.entries[-1]

    def _open(self, path: str) -> IO[bytes]:
        return self._archive.open(_member(path), "w", force_zip64=True)  # of any size

    def finish(self) -> None:
        """Add the index."""
        index = _Index(SCHEMA_VERSION, __version__, tuple(self.entries))
        with files.writing(self._place):
            self._archive.writestr(_member(INDEX), json.dumps(asdict(index), indent=1) + "\n")


@contextlib.contextmanager
def written(path: Path) -> Iterator[Writer]:
    """A file to add members to, which is there once all of them are, and not at all otherwise.

    Yields:
        What adds them.

    Raises:
        StoreError: If it cannot be written.
    """
    with output.written(path) as partial:
        _remove_abandoned(partial)
        with partial.open("w+b") as file:
            with zipfile.ZipFile(file, "w") as archive:
                writer = Writer(archive, path)
                yield writer
                writer.finish()
                archive.comment = b"0" * _SEAL_BYTES
            seal = _digest(file, file.tell() - _SEAL_BYTES)
            file.seek(-_SEAL_BYTES, os.SEEK_END)
            file.write(seal)
            writer.size = file.tell()


def _remove_abandoned(partial: Path) -> None:
    """What killed processes left of the same file, named like this but for its last digits."""
    ours = re.compile(rf"{re.escape(partial.name[:-8])}[0-9a-f]{{8}}")
    for beside in partial.parent.iterdir():
        if ours.fullmatch(beside.name):
            beside.unlink()


class Archive:
    """A file whose digest, index and members agree."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, entries: tuple[Entry, ...]) -> None:
        self.path = path
        self.entries = entries
        self._archive = archive

    def extract(self, entry: Entry, to: Path | None) -> None:
        """Copy a member to a new file, or nowhere, and compare it with its digest.

        Raises:
            ArchiveError: If it is another one, or cannot be read.
            StoreError: If the file cannot be written.
        """
        digest = hashlib.sha256()
        with contextlib.ExitStack() as stack:
            target = None
            if to is not None:
                stack.enter_context(files.writing(to))
                target = stack.enter_context(to.open("xb"))
            for chunk in self._chunks(entry):
                digest.update(chunk)
                if target is not None:
                    target.write(chunk)
        if digest.hexdigest() != entry.sha256:
            raise ArchiveError(damage(self.path, f"{entry.path} does not match its digest"))

    def _chunks(self, entry: Entry) -> Iterator[bytes]:
        try:
            with self._archive.open(entry.path) as member:
                yield from iter(lambda: member.read(_CHUNK_BYTES), b"")
        except BROKEN_ZIP as error:
            raise ArchiveError(damage(self.path, f"{entry.path}: {error}")) from error


@contextlib.contextmanager
def opened(path: Path, progress: Progress = lambda done, total: None) -> Iterator[Archive]:
    """A file to import from, once its digest and its index have been checked.

    Args:
        path: The file.
        progress: Told how much of it has been compared with its digest.

    Yields:
        Its content; members are compared with their digests when they are extracted.

    Raises:
        ArchiveError: If it is damaged, of another version, or holds what no export writes.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(bounded.opened(path))
            archive = stack.enter_context(_sealed(path, file, progress))
            _check_members(path, archive.infolist(), os.fstat(file.fileno()).st_size)
            index = _index(path, archive)
            _compare(path, archive.infolist(), index)
        except OSError as error:
            raise ArchiveError(f"{path}: cannot be read: {error.strerror or error}") from error
        except BROKEN_ZIP as error:
            raise ArchiveError(damage(path, str(error))) from error
        yield Archive(path, archive, index.entries)


def _sealed(path: Path, file: BinaryIO, progress: Progress) -> zipfile.ZipFile:
    """A file whose digest is the one it ends in.

    Raises:
        ArchiveError: If it is another, or the file has none.
    """
    if not zipfile.is_zipfile(file):
        raise ArchiveError(
            f"{path}: is not what `repro store export` wrote, or not all of it; copy it again"
        )
    size = os.fstat(file.fileno()).st_size - _SEAL_BYTES
    seal = _digest(file, size, progress)
    if file.read() != seal:
        raise ArchiveError(damage(path, "its digest is another"))
    return zipfile.ZipFile(file)


def _index(path: Path, archive: zipfile.ZipFile) -> _Index:
    if (size := archive.getinfo(INDEX).file_size) > _MAX_INDEX_BYTES:
        raise ArchiveError(damage(path, f"{INDEX} has {size} bytes"))
    text = archive.read(INDEX)
    version = files.checked(text, _Version)
    if version.schema_version != SCHEMA_VERSION:
        raise ArchiveError(
            f"{path}: was written by ssbrepro {version.version!r}, in version "
            f"{version.schema_version} of the format, and this is {__version__}, which reads version "
            f"{SCHEMA_VERSION}; import it with that release, or export with this one"
        )
    return files.checked(text, _Index)


def _check_members(path: Path, members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse members that are not ordinary files, each on bytes of its own.

    Raises:
        ArchiveError: If there are any.
    """
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if (
            member.filename != member.orig_filename
            or kind not in (0, stat.S_IFREG)
            or member.is_dir()
            or member.flag_bits & 1  # encrypted
            or member.compress_type != zipfile.ZIP_STORED
            or member.compress_size != member.file_size
        ):
            name = member.orig_filename
            raise ArchiveError(damage(path, f"{name!r} is no member that an export has"))
    if sum(member.file_size for member in members) > size:
        raise ArchiveError(damage(path, "its members lie one over the other"))


def _compare(path: Path, members: list[zipfile.ZipInfo], index: _Index) -> None:
    """Refuse a file whose members are not those of its index, or have no place in a home.

    Raises:
        ArchiveError: If it holds anything else.
    """
    for entry in index.entries:
        if not _SHAPES.fullmatch(entry.path):
            raise ArchiveError(damage(path, f"{entry.path!r} is no place in a home"))
    *found, last = [(member.filename, member.file_size) for member in members]
    if last[0] != INDEX or found != [(entry.path, entry.size) for entry in index.entries]:
        raise ArchiveError(damage(path, f"{INDEX} lists other members than there are"))
    if len({*found}) != len(found):
        raise ArchiveError(damage(path, "a member is there twice"))


def damage(path: Path, why: str) -> str:
    """What is wrong with a file, and the way out."""
    return f"{path}: is damaged: {why}; copy it again, or export again"


def _member(path: str) -> zipfile.ZipInfo:
    """A member that says nothing of when and where it was written."""
    member = zipfile.ZipInfo(path)
    member.create_system = 3  # whose file modes the next line has
    member.external_attr = (stat.S_IFREG | 0o644) << 16
    return member


def _digest(file: IO[bytes], size: int, progress: Progress = lambda done, total: None) -> bytes:
    """Of the first bytes of a file, which is left at their end."""
    file.seek(0)
    digest, done = hashlib.sha256(), 0
    while chunk := file.read(max(0, min(_CHUNK_BYTES, size - done))):
        digest.update(chunk)
        done += len(chunk)
        progress(done, size)
    return digest.hexdigest().encode()


def _chunks(source: BinaryIO, path: str) -> Iterator[bytes]:
    with files.reading(Path(path)):
        yield from iter(lambda: source.read(_CHUNK_BYTES), b"")
