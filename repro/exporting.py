"""From a home to one file: what is whole of its results, saved states and recorded runs.

No lock is taken, since a step that runs holds its own for hours. Results and runs never change once they
have their names, and of saved states those of one moment are carried, each of which is whole.
"""

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from repro import archive, arrays, bounded, files
from repro.archive import Entry, Progress, Writer
from repro.errors import StoreError, UsageError
from repro.inventory import Home, size
from repro.needed import Needed
from repro.outcome.reading import DamagedRun, RunOfAnotherRelease, read_run
from repro.store import ARRAYS, META, RESULT

_ATTEMPTS = 20  # at states of one moment


@dataclass
class Exported:
    """How much was exported, and what is damaged and was left out, a line each; ``size`` in bytes."""

    size: int = 0
    results: int = 0
    steps: int = 0
    runs: int = 0
    damaged: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Selection:
    """Whatever figures need.

    Args:
        needed: By these figures.
        seeds: With these seeds alone, if given.
    """

    needed: Needed
    seeds: Collection[int] | None


def export(path: Path, home: Home, selection: Selection | None, progress: Progress) -> Exported:
    """Write a file, replacing it whole.

    Args:
        path: The file.
        home: What to carry.
        selection: What of it; all if None.
        progress: Told how many bytes are written, and of how many.

    Raises:
        UsageError: If there is nothing to carry.
        StoreError: If something cannot be read or written; the file is then as it was.
    """
    asked = None if selection is None else selection.needed.among(home, selection.seeds)
    with archive.written(path) as writer:
        carrier = _Carrier(home, writer, asked, progress)
        # In this order, so that what finishes meanwhile is carried: a run has its results, and an
        # unfinished step that is finished by the time it would be copied has one.
        carrier.add_runs()
        carrier.add_states()
        carrier.add_results()
        if not writer.entries:
            nothing = f"{home.root} holds nothing whole to export{' of these' * bool(selection)}"
            raise UsageError(*carrier.done.damaged, nothing)
    carrier.done.size = writer.size
    return carrier.done


class _Carrier:
    """Copies what was asked for; ``asked`` has the keys of its steps, or is None for all."""

    def __init__(
        self, home: Home, writer: Writer, asked: Collection[str] | None, progress: Progress
    ) -> None:
        self.done = Exported()
        self._home = home
        self._writer = writer
        self._asked = asked
        self._progress = progress
        self._written = 0
        folders = [*home.runs(), *map(home.scratch, filter(self._wanted, home.scratches()))]
        folders += map(home.store.folder, filter(self._wanted, home.results()))
        self._total = sum(map(size, folders))

    def add_runs(self) -> None:
        """Recorded runs all of whose steps were asked for."""
        for folder in self._home.runs():
            try:
                record = read_run(folder)
            except RunOfAnotherRelease:
                continue
            except DamagedRun as error:
                self.done.damaged.append(str(error))
                continue
            if all(self._wanted(step.key) for step in record.steps):
                for name in sorted(record.files):
                    self._copy(folder / name)
                self.done.runs += 1

    def add_states(self) -> None:
        """What unfinished steps have saved."""
        for key in filter(self._wanted, self._home.scratches()):
            if self._home.is_finished(key):
                continue
            with contextlib.ExitStack() as stack:
                states = _of_one_moment(self._home, key, stack)
                before = len(self._writer.entries)
                for path, state in states.items():
                    read = partial(arrays.read_state, place=path)
                    if problem := arrays.problem(read, state):
                        self.done.damaged.append(f"{path}: {problem}")
                        continue
                    state.seek(0)
                    self._add(path, state)
                self.done.steps += len(self._writer.entries) > before

    def add_results(self) -> None:
        """Results that are whole.

        Raises:
            StoreError: If one is replaced by other bytes while it is copied.
        """
        store = self._home.store
        for key in filter(self._wanted, self._home.results()):
            folder = store.folder(key)
            if problem := store.problem(key):
                self.done.damaged.append(f"{folder}: {problem}")
                continue
            digests = files.read_json(folder / META)["digests"]
            copied = {name: self._copy(folder / name).sha256 for name in (ARRAYS, META, RESULT)}
            if any(copied[name] != digests[name] for name in digests):
                raise StoreError(f"{folder}: changed meanwhile; the same command tries again")
            self.done.results += 1

    def _wanted(self, key: str) -> bool:
        return self._asked is None or key in self._asked

    def _copy(self, path: Path) -> Entry:
        with files.reading(path):
            source = bounded.opened(path)
        with source:
            return self._add(path, source)

    def _add(self, path: Path, source: BinaryIO) -> Entry:
        entry = self._writer.add(path.relative_to(self._home.root).as_posix(), source)
        self._written += entry.size
        self._progress(self._written, max(self._total, self._written))
        return entry


def _of_one_moment(home: Home, key: str, stack: contextlib.ExitStack) -> dict[Path, BinaryIO]:
    """The states of a step, opened, while it may be replacing one after the other.

    Raises:
        StoreError: If they cannot be read.
    """
    for _ in range(_ATTEMPTS):
        with contextlib.ExitStack() as attempt, files.reading(home.scratch(key)):
            try:
                states: dict[Path, BinaryIO] = {
                    path: attempt.enter_context(bounded.opened(path)) for path in home.states(key)
                }
                same = all(
                    os.path.samestat(os.fstat(state.fileno()), path.stat())
                    for path, state in states.items()
                )
            except FileNotFoundError:
                continue
            if same and home.states(key) == list(states):
                stack.push(attempt.pop_all())
                return states
    raise StoreError(f"{home.scratch(key)}: changes all the time; the same command tries again")
