"""From one file into a home: everything is checked before anything is published.

Members go to folders aside, beside what they are to become, and are compared with their digests there;
results and records are read as the store and the report would read them. Then each folder gets its name
by one rename, under its key's lock. An import that is killed is done again: what came in is here then.

What is here and whole stays as it is. A state that a step here has saved is never replaced.
"""

import contextlib
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from repro import arrays, files
from repro.archive import Archive, Entry, Progress, damage, opened
from repro.errors import ArchiveError, StoreError
from repro.inventory import Home
from repro.outcome import wording
from repro.outcome.reading import read_run
from repro.store import ARRAYS, META, RESULT, Store

ASIDE = "import"  # the name of the folders aside, and of the lock on them
RUNS, STATES, RESULTS = "runs", "scratch", "store"  # what a home's folders hold


@dataclass
class Imported:
    """How many results, steps with saved states, and runs came in; how many had no need or no way."""

    results: int = 0
    steps: int = 0
    runs: int = 0
    here: int = 0
    busy: int = 0


@dataclass(frozen=True)
class _Parcel:
    """A folder to be: one result, the states of one step, or one run."""

    folder: str
    entries: tuple[Entry, ...]

    @property
    def kind(self) -> str:
        return self.folder.partition("/")[0]

    @property
    def place(self) -> str:
        """Where it is in the folder of its kind."""
        return self.folder.partition("/")[2]

    @property
    def names(self) -> set[str]:
        return {Path(entry.path).name for entry in self.entries}


def import_file(path: Path, home: Home, say: Callable[[str], None], progress: Progress) -> Imported:
    """Take in what is not here.

    Args:
        path: A file that :func:`repro.exporting.export` wrote.
        home: Where to.
        say: Told of what is worth a line.
        progress: Told how many bytes have been compared with their digests, and of how many.

    Raises:
        ArchiveError: If the file is damaged or of another version; nothing has come in then.
        StoreError: If something cannot be written. What has come in by then is whole.
    """

    def wait() -> None:
        say("another import is under way; waiting")

    with opened(path, progress) as archive, home.store.lock(ASIDE, wait):
        parcels = _parcels(archive)
        wanted = [parcel for parcel in parcels if not _is_here(home, parcel)]
        _must_fit(home, wanted)
        with _asides(home, {parcel.kind for parcel in parcels}) as asides:
            _extract(archive, parcels, {*wanted}, asides, progress)
            for parcel in wanted:
                if problem := _problem(asides[parcel.kind], parcel):
                    raise ArchiveError(damage(path, problem))
            done = Imported(here=len(parcels) - len(wanted))
            for kind in (RESULTS, STATES, RUNS):  # a step that has a result needs no state
                for parcel in wanted:
                    if parcel.kind == kind:
                        _take(home, asides[kind] / parcel.place, parcel, done, say)
    return done


def _parcels(archive: Archive) -> list[_Parcel]:
    folders: dict[str, list[Entry]] = {}
    for entry in archive.entries:
        folders.setdefault(entry.path.rpartition("/")[0], []).append(entry)
    return [_Parcel(folder, tuple(entries)) for folder, entries in folders.items()]


def _is_here(home: Home, parcel: _Parcel) -> bool:
    """Whether there is no need of it."""
    if parcel.kind == RUNS:
        return _is_whole(home.root / parcel.folder)
    key = parcel.place
    return home.is_finished(key) or (parcel.kind == STATES and bool(home.states(key)))


def _is_whole(run: Path) -> bool:
    try:
        read_run(run)
    except StoreError:
        return False
    return True


def _must_fit(home: Home, parcels: Iterable[_Parcel]) -> None:
    """Begin nothing that the disk has no space for.

    Raises:
        StoreError: If it has not.
    """
    needed = sum(entry.size for parcel in parcels for entry in parcel.entries)
    with files.reading(home.root):
        free = shutil.disk_usage(home.root).free
    if needed > free:
        raise StoreError(
            f"{home.root}: {wording.megabytes(needed)} would come in, and "
            f"{wording.megabytes(free)} are free there; make room, or export fewer figures"
        )


@contextlib.contextmanager
def _asides(home: Home, kinds: Collection[str]) -> Iterator[dict[str, Path]]:
    """A folder aside for each kind, on the disk that its parcels are to be on.

    Yields:
        The folders by kind.
    """
    with contextlib.ExitStack() as stack:
        yield {
            kind: stack.enter_context(files.partial_folder(home.root / kind / ASIDE))
            for kind in sorted(kinds)
        }


def _extract(
    archive: Archive,
    parcels: Iterable[_Parcel],
    wanted: Collection[_Parcel],
    asides: Mapping[str, Path],
    progress: Progress,
) -> None:
    """Compare every member with its digest, and put aside those of what is wanted."""
    total, done = sum(entry.size for entry in archive.entries), 0
    for parcel in parcels:
        aside = asides[parcel.kind] / parcel.place if parcel in wanted else None
        if aside is not None:
            with files.writing(aside):
                aside.mkdir(parents=True)
        for entry in parcel.entries:
            archive.extract(entry, None if aside is None else aside / Path(entry.path).name)
            done += entry.size
            progress(done, total)


def _problem(aside: Path, parcel: _Parcel) -> str | None:
    """Why a folder aside is no result, no states or no run, whatever its digests say."""
    folder = aside / parcel.place
    try:
        if parcel.kind == RUNS:
            if {*read_run(folder).files} != parcel.names:
                return f"{parcel.folder} holds other files than its record says"
        elif parcel.kind == RESULTS:
            if parcel.names != {ARRAYS, META, RESULT}:
                return f"{parcel.folder} is no result"
            if problem := Store(aside).problem(parcel.place):
                return f"{parcel.folder}: {problem}"
    except StoreError as error:
        return str(error).replace(f"{aside}/", f"{parcel.kind}/")
    for name in parcel.names:
        if name.endswith(".npz"):
            state = partial(arrays.read_state, place=folder / name)
            read = arrays.read_arrays if parcel.kind == RESULTS else state
            with (folder / name).open("rb") as file:
                if problem := arrays.problem(read, file):
                    return f"{parcel.folder}/{name}: {problem}"
    return None


def _take(
    home: Home, aside: Path, parcel: _Parcel, done: Imported, say: Callable[[str], None]
) -> None:
    """Give a folder its name, unless a running step is about to, or has."""
    final = home.root / parcel.folder
    key = read_run(aside).digest if parcel.kind == RUNS else parcel.place
    with home.store.lock_if_free(key) as free:
        if not free:
            done.busy += 1
            return
        if parcel.kind == RESULTS:
            home.store.read(key, say)  # a damaged one is set aside
        if _is_here(home, parcel):
            done.here += 1
            return
        with files.writing(final):
            final.parent.mkdir(parents=True, exist_ok=True)
            if parcel.kind == STATES and final.exists():
                _add_states(aside, final)
            else:
                files.publish(aside, final)
    done.results += parcel.kind == RESULTS
    done.steps += parcel.kind == STATES
    done.runs += parcel.kind == RUNS


def _add_states(aside: Path, scratch: Path) -> None:
    """Move states to what a step has there already, such as its task, which a queue may hold.

    A step continues from whatever it finds of its states, so there is no moment that leaves it wrong.
    """
    for path in sorted(aside.iterdir()):
        files.flush(path)
        path.rename(scratch / path.name)
    files.flush(scratch)
