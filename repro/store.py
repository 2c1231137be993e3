"""Content-addressed results: one folder a key, published whole, digest-checked whenever read.

``store/<key>/`` holds ``arrays.npz`` and ``result.json`` (what the stage returned; the same bytes
whenever the same key is computed on one machine) and ``meta.json`` (key parts, digests, seconds,
memory, versions). Damaged folders, those of recorded runs too, are set aside under ``store/damaged/``.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro import files
from repro.errors import StoreError

if TYPE_CHECKING:
    import numpy as np
    from filelock import FileLock

ARRAYS, RESULT, META = "arrays.npz", "result.json", "meta.json"
_CONTENT = (ARRAYS, RESULT)


# What is read of a result when figures are judged, drawn and explained.
@dataclass(frozen=True)
class _Content:
    numbers: Mapping[str, float]
    missing: Mapping[str, str]
    series: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class _Parts:
    stage: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]
    code: Mapping[str, str]
    seed: int = 0


@dataclass(frozen=True)
class _Meta:
    key: str
    parts: _Parts
    seconds: float
    peak_memory_bytes: int
    started_at: str = ""
    processor: str = ""


@dataclass(frozen=True)
class StoredResult:
    """A result on disk whose digests have been checked."""

    folder: Path
    meta: Mapping[str, Any]
    content: Mapping[str, Any]

    @property
    def numbers(self) -> dict[str, float]:
        """What the stage measured."""
        return dict(self.content["numbers"])

    @property
    def missing(self) -> dict[str, str]:
        """What it could not measure, with the reason."""
        return dict(self.content["missing"])

    @property
    def seconds(self) -> float:
        """How long the stage ran."""
        return float(self.meta["seconds"])

    @cached_property
    def arrays(self) -> "dict[str, np.ndarray[Any, Any]]":
        """The stage's arrays."""
        import numpy as np

        with np.load(self.folder / ARRAYS, allow_pickle=False) as stored:
            return dict(stored)


class Store:
    """The results below one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, key: str) -> Path:
        """Where the result of a key is, or would be."""
        return self._root / key

    def has(self, key: str) -> bool:
        """Whether there is a result of a key, damaged or not."""
        return self.folder(key).is_dir()

    def problem(self, key: str) -> str | None:
        """What is damaged of the result of a key, which is there; None if nothing is."""
        return self._problem(self.folder(key))

    def read(self, key: str, say: Callable[[str], None] = lambda text: None) -> StoredResult | None:
        """The result of a key, or None; a damaged one is set aside, reported, and counts as None."""
        folder = self.folder(key)
        if not folder.is_dir():
            return None
        problem = self._problem(folder)
        if problem is None:
            meta, content = (files.read_json(folder / name) for name in (META, RESULT))
            return StoredResult(folder, meta, content)
        aside = self.set_aside(folder, key)
        say(f"stored result {key[:12]} is damaged ({problem}); set aside as {aside}")
        return None

    def set_aside(self, folder: Path, key: str) -> Path:
        """Move what is damaged to where nothing is read from, until `repro store clean` removes it.

        Raises:
            StoreError: If it cannot be moved.
        """
        aside = self._root / "damaged" / f"{key}.{time.time_ns()}"
        with files.writing(aside):
            aside.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(aside)
        return aside

    def wait_for(self, key: str, seconds: float) -> bool:
        """Whether a result that was published elsewhere is there, at the latest after some seconds.

        That it is not decides a listing of the folder: a network's file system remembers for some time
        that it had no such name.
        """
        deadline = time.monotonic() + seconds
        while not self.has(key):
            with contextlib.suppress(FileNotFoundError):
                if any(path.name == key for path in self._root.iterdir()):
                    return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(min(1.0, seconds))
        return True

    def publish(
        self, key: str, parts: Mapping[str, Any], partial: Path, extra: Mapping[str, Any]
    ) -> None:
        """Make a folder that holds ``ARRAYS`` and ``RESULT`` the result of a key.

        Raises:
            StoreError: If it cannot be written.
        """
        with files.writing(partial):
            digests = {name: files.sha256(partial / name) for name in _CONTENT}
        meta = {"key": key, "parts": parts, "digests": digests, **extra}
        meta["digest"] = files.canonical_digest(meta)
        files.write_json(partial / META, meta)
        files.publish(partial, self.folder(key))

    def metas(self) -> Iterator[Mapping[str, Any]]:
        """The records of all stored results, whole ones or not, newest first.

        Yields:
            What each ``meta.json`` says; one that is damaged itself is passed over.
        """
        paths = sorted(self._root.glob(f"[0-9a-f]*/{META}"), key=lambda path: -path.stat().st_mtime)
        for path in paths:
            try:
                meta = files.read_json(path)
                if _is_whole(meta):
                    files.read_as(path, _Meta)
                    yield meta
            except StoreError:  # found damaged, and said so, when it is asked for by its key
                continue

    @contextmanager
    def lock(self, key: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold a key against other processes; the system frees it should this process be killed."""
        with self.lock_if_free(key) as free:
            if free:
                yield
                return
        waiting()
        lock = self._lock(key)
        with files.writing(Path(lock.lock_file)):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def lock_if_free(self, key: str) -> Iterator[bool]:
        """Hold a key if no other process does.

        Yields:
            Whether it is held now.
        """
        lock = self._lock(key)
        with files.writing(Path(lock.lock_file)):
            try:
                lock.acquire(blocking=False)
            except TimeoutError:
                yield False
                return
        try:
            yield True
        finally:
            lock.release()

    def lock_beginning(self, start: str) -> str | None:
        """The key of the lock whose name begins so, if there is one."""
        locks = (self._root / "locks").glob("*.lock")
        return next((lock.stem for lock in locks if start and lock.name.startswith(start)), None)

    def _lock(self, key: str) -> "FileLock":
        from filelock import FileLock

        path = self._root / "locks" / f"{key}.lock"
        with files.writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path)

    @staticmethod
    def _problem(folder: Path) -> str | None:
        try:
            meta = dict(files.read_json(folder / META))
            if not _is_whole(meta):
                return f"{META} does not match its digest"
            for name in _CONTENT:
                if files.sha256(folder / name) != meta["digests"][name]:
                    return f"{name} does not match its digest"
            if meta["key"] != folder.name or files.canonical_digest(meta["parts"]) != meta["key"]:
                return "it belongs to another key"
            files.read_as(folder / META, _Meta)
            files.read_as(folder / RESULT, _Content)
        except (OSError, KeyError, TypeError, ValueError, StoreError) as error:
            return str(error).removeprefix(f"{folder}/")
        return None


def _is_whole(meta: Any) -> bool:
    if not isinstance(meta, dict):
        return False
    content = {name: value for name, value in meta.items() if name != "digest"}
    return bool(meta.get("digest") == files.canonical_digest(content))
