"""A disk that fails: full at every size, and an error at every single call that would change it.

Whatever fails, the command says so in a line that names the path, or does without it. Nothing
half-written is believed; the same command with space again gives the same numbers, and leaves nothing
behind.
"""

import contextlib
import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from attack.attack import Attack, Trial
from attack.harm import files_below
from attack.place import FIGURE, LONG, RUN, Place, Said, made, timeless

# What the interpreter tells of before it does it, beside the opening of files and what is flushed.
_CHANGES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.link", "os.chmod")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.EACCES)
_PAGE_BYTES = 4096


@dataclass(frozen=True)
class Job:
    """A command that writes, what it begins with, and how its result is read; ``OUT`` is a folder."""

    before: Place
    arguments: tuple[str, ...]
    truth: Callable[[Place, Path, Said], Any]

    def call(self, place: Place, out: Path) -> Said:
        """Run it in a place of its own, what is to be written elsewhere going to ``out``."""
        return place.call(*(text.replace("OUT", str(out)) for text in self.arguments))


@dataclass(frozen=True)
class Undisturbed:
    """A command with what it comes to: its status, its result, and how many calls change the disk."""

    job: Job
    status: int
    truth: Any
    calls: int


class Failing:
    """Counts the calls of this process that would change something below a folder, and fails one."""

    _now: "Failing | None" = None  # a hook cannot be taken out again
    _hooked = False

    def __init__(self, folder: Path, index: int = 0, number: int = errno.ENOSPC) -> None:
        self._folder = f"{folder}{os.sep}"
        self._index = index
        self._number = number
        self.calls = 0

    def __enter__(self) -> "Failing":
        if not Failing._hooked:
            sys.addaudithook(Failing._hear)
            Failing._hooked = True
        Failing._now = self
        self._patched = mock.patch("os.fsync", self._flush(os.fsync))
        self._patched.start()
        return self

    def __exit__(self, *told: object) -> None:
        self._patched.stop()
        Failing._now = None

    @staticmethod
    def _hear(event: str, arguments: tuple[Any, ...]) -> None:
        now = Failing._now
        if now is None:
            return
        if event in _CHANGES or (event == "open" and (arguments[2] or 0) & _WRITING):
            now._call(arguments[0])

    def _flush(self, flush: Callable[[int], None]) -> Callable[[int], None]:
        def call(descriptor: int) -> None:
            self._call(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - as text
            flush(descriptor)

        return call

    def _call(self, path: Any) -> None:
        if not isinstance(path, str | os.PathLike) or not str(path).startswith(self._folder):
            return
        self.calls += 1
        if self.calls == self._index:
            raise OSError(self._number, os.strerror(self._number), str(path))


def _jobs(folder: Path) -> list[Job]:
    empty, long = made(folder / "empty", FIGURE), made(folder / "long", LONG)
    full = empty.copy(folder / "full")
    full.call("run", FIGURE, *RUN)
    archive = folder / "home.zip"
    full.call("store", "export", str(archive))
    cluttered = full.copy(folder / "cluttered")
    aside = cluttered.home / "store" / "damaged" / f"{'ab' * 32}.1"
    aside.mkdir(parents=True)
    (aside / "arrays.npz").write_bytes(b"damaged")
    return [
        Job(empty, ("run", FIGURE, *RUN, "--json", "-"), _said),
        Job(long, ("run", LONG, *RUN, "--json", "-"), _said),
        Job(full, ("run", FIGURE, *RUN, "--fresh", "--json", "-"), _said),
        Job(empty, ("store", "import", str(archive)), _stored),
        Job(full, ("store", "export", "OUT/home.zip"), _written),
        Job(full, ("export", FIGURE, "--crate", "OUT/crate"), _crate),
        Job(full, ("report", "--out", "OUT/page.html"), _written),
        Job(full, ("list", "--json", "OUT/list.json"), _written),
        Job(full, ("record", FIGURE, "--seeds", "0-2", *RUN), _recorded),
        Job(cluttered, ("store", "clean", "--yes"), _stored),
    ]


def _said(place: Place, out: Path, said: Said) -> Any:
    return timeless(json.loads(said.out))


def _stored(place: Place, out: Path, said: Said) -> Any:
    return _digests(place.home / "store", place.home / "runs")


def _written(place: Place, out: Path, said: Said) -> Any:
    return _digests(out)


def _crate(place: Place, out: Path, said: Said) -> Any:
    return _digests(out / "crate" / "store", out / "crate" / "manifests")


def _recorded(place: Place, out: Path, said: Said) -> Any:
    (path,) = place.references.glob("fig1.smoke.json")
    return [(run["seed"], run["metrics"]) for run in json.loads(path.read_text("utf-8"))["runs"]]


def _digests(*folders: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in files_below(folder)
    }


def _prepare(folder: Path) -> list[Undisturbed]:
    found = []
    for number, job in enumerate(_jobs(folder)):
        root = folder / f"undisturbed-{number}"
        place, out = job.before.copy(root), root / "out"
        out.mkdir()
        with Failing(root) as counting:
            said = job.call(place, out)
        assert said.status < 2, said
        found.append(Undisturbed(job, said.status, job.truth(place, out, said), counting.calls))
    return found


def _errors(prepared: Any, one: Trial) -> Generator[str, None, None]:
    known: Undisturbed = prepared[one.number % len(prepared)]
    index = 1 + one.number // len(prepared)
    if index > known.calls:
        index = one.random.randint(1, known.calls)
    number = one.random.choice(_ERRORS)
    place, out = _begun(known, one.folder)
    with Failing(one.folder, index, number):
        said = known.job.call(place, out)
    where = f"{_name(known)}, call {index} of {known.calls}: {os.strerror(number)}"
    yield from _problems(known, place, out, said, where, (number,))


def _full(prepared: Any, one: Trial) -> Generator[str, None, None]:
    known: Undisturbed = prepared[one.number % len(prepared)]
    step = one.number // len(prepared)
    left = {"size": step // 2} if step % 2 else {"nr_inodes": step // 2}
    disk = one.folder / "disk"
    with _mounted(disk):
        place, out = _begun(known, disk)
        _leave(disk, **left)
        said = known.job.call(place, out)
        _remount(disk, "size=64m,nr_inodes=10000")
        where = f"{_name(known)}, left are {left}"
        yield from _problems(known, place, out, said, where, (errno.ENOSPC,))


def _problems(
    known: Undisturbed,
    place: Place,
    out: Path,
    said: Said,
    where: str,
    numbers: Sequence[int],
) -> Iterator[str]:
    done = said.status == known.status
    if not done:
        names = [os.strerror(number) for number in numbers]
        names.append("make room")  # what does not fit at all is not begun
        told = [line for line in said.err.splitlines() if any(name in line for name in names)]
        if said.status not in (2, 3) or not any(str(out.parent) in line for line in told):
            yield f"{where}: is not told: status {said.status}: {said.err[-300:].strip()}"
        checked = place.call("store", "check")
        if checked.status:
            yield f"{where}: leaves damage: {checked.out[-300:].strip()}"
        said = known.job.call(place, out)
        if said.status != known.status:
            yield f"{where}: cannot be done afterwards: {said.err[-300:].strip()}"
    truth = known.job.truth(place, out, said)
    if truth != known.truth:
        yield f"{where}: comes to something else{'' if done else ' afterwards'}"
    if not done and (left := _hidden(out.parent)):
        yield f"{where}: leaves {left[0].relative_to(out.parent)} behind"


def _hidden(folder: Path) -> list[Path]:
    """What is written aside; locks stay where they are."""
    return [path for path in folder.rglob(".*") if path.suffix != ".lock"]


def _begun(known: Undisturbed, folder: Path) -> tuple[Place, Path]:
    place, out = known.job.before.copy(folder), folder / "out"
    out.mkdir()
    return place, out


def _name(known: Undisturbed) -> str:
    return f"`repro {' '.join(known.job.arguments[:2])}`"


@contextlib.contextmanager
def _mounted(disk: Path) -> Iterator[None]:
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _leave(disk: Path, size: int | None = None, nr_inodes: int | None = None) -> None:
    """Leave so many pages, or so many files, of a disk."""
    now = os.statvfs(disk)
    if size is not None:
        pages = now.f_blocks - now.f_bfree + size
        _remount(disk, f"size={pages * _PAGE_BYTES}")
    if nr_inodes is not None:
        _remount(disk, f"nr_inodes={now.f_files - now.f_ffree + nr_inodes}")


def _remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def _attempt(
    problems: Callable[[Any, Trial], Generator[str, None, None]],
) -> Callable[[object, Trial], str | None]:
    def attempt(prepared: object, one: Trial) -> str | None:
        with contextlib.closing(problems(prepared, one)) as found:  # so that no disk stays mounted
            return next(found, None)

    return attempt


ATTACKS = (
    Attack("errors", "calls that change the disk", 500, 3, _prepare, _attempt(_errors)),
    Attack("full", "every number of free pages and files", 400, 3, _prepare, _attempt(_full)),
)
