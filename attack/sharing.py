"""Many processes on one home at once: each key is computed once, and all get the same numbers.

The second attack does the same where a name that was once not there is not seen for some time, as on a
network's file system. That is made here, in each process: names are remembered as :class:`Remembering`
says. No cluster and no file system of its own takes part.
"""

import builtins
import contextlib
import io
import json
import multiprocessing
import os
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from attack.attack import Attack, Trial
from attack.place import FIGURE, RUN, Place, made, timeless

_MANY, _FEW = (16, 50), (4, 6)  # processes, and seeds
_VISIBLE_SECONDS = 30.0  # as long as Linux keeps what it knows of a folder, if it is not told
_END_SECONDS = 1800.0
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Remembering:
    """For some time a process remembers that there was no such name, as NFS does.

    What it finds in a listing it sees at once, and all of a folder in which it makes something itself;
    what it opens to write is asked of the server.

    Args:
        root: Below which names are remembered.
        seconds: For how long.
    """

    def __init__(self, root: Path, seconds: float) -> None:
        self._root = str(root)
        self._seconds = seconds
        self._absent: dict[str, float] = {}

    def install(self, stack: contextlib.ExitStack) -> None:
        """Let the calls by which files are looked for remember."""
        for name in ("stat", "lstat"):
            self._replace(stack, os, name, self._looking)
        for owner, name in ((builtins, "open"), (io, "open"), (os, "open")):
            self._replace(stack, owner, name, self._opening)
        for name in ("listdir", "scandir"):
            self._replace(stack, os, name, self._listing)
        for name in ("mkdir", "rename", "replace"):
            self._replace(stack, os, name, self._making)

    def _replace(
        self, stack: contextlib.ExitStack, owner: Any, name: str, wrap: Callable[..., Any]
    ) -> None:
        real = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            return wrap(real, *arguments, **options)

        stack.enter_context(mock.patch.object(owner, name, call))

    def _looking(self, real: Callable[..., Any], path: Any, *rest: Any, **options: Any) -> Any:
        name = self._name(path)
        if name is None:
            return real(path, *rest, **options)
        if self._absent.get(name, 0.0) > time.monotonic():
            raise FileNotFoundError(2, os.strerror(2), str(path))
        try:
            return real(path, *rest, **options)
        except FileNotFoundError:
            self._absent[name] = time.monotonic() + self._seconds
            raise

    def _opening(self, real: Callable[..., Any], path: Any, *rest: Any, **options: Any) -> Any:
        how = rest[0] if rest else options.get("mode", options.get("flags", "r"))
        writing = how & _WRITING if isinstance(how, int) else set(how) & set("wxa+")
        if not writing:
            return self._looking(real, path, *rest, **options)
        opened = real(path, *rest, **options)
        self._seen(path)
        return opened

    def _listing(self, real: Callable[..., Any], path: Any = ".") -> Any:
        if (folder := self._name(path)) is not None:
            self._forget(folder)
        return real(path)

    def _making(self, real: Callable[..., Any], path: Any, *rest: Any, **options: Any) -> Any:
        try:
            made = real(path, *rest, **options)
        except FileExistsError:  # so the server says: Linux forgets what it knew of the name
            self._seen(path)
            raise
        self._seen(path)
        self._seen(rest[0] if rest and isinstance(rest[0], str | os.PathLike) else path)
        return made

    def _seen(self, path: Any) -> None:
        if (made := self._name(path)) is not None:
            self._forget(os.path.split(made)[0])
            # What lies below it, and what it lies in: a name is reached through its folders.
            for name in list(self._absent):
                if f"{name}/".startswith(f"{made}/") or made.startswith(f"{name}/"):
                    del self._absent[name]

    def _forget(self, folder: str) -> None:
        for name in [name for name in self._absent if os.path.split(name)[0] == folder]:
            del self._absent[name]

    def _name(self, path: Any) -> str | None:
        if not isinstance(path, str | os.PathLike):  # an open file
            return None
        name = os.path.abspath(path)  # noqa: PTH100 - a Path would come here again
        return name if name.startswith(self._root) else None


def _prepare(folder: Path) -> tuple[Place, Any]:
    """An empty home, and what one process alone gets for every seed."""
    place = made(folder, FIGURE)
    alone = place.copy(folder / "alone")
    seeds = f"0-{_MANY[1] - 1}"
    _, content = alone.json("run", FIGURE, "--seeds", seeds, *RUN)
    return place, {entry["seed"]: entry for entry in content["figures"]}


def _together(prepared: Any, one: Trial, visible_after: float) -> Iterator[str]:
    empty, known = prepared
    place: Place = empty.copy(one.folder)
    processes, seeds = _FEW if one.number % 4 == 0 else _MANY
    context = multiprocessing.get_context("fork")
    started = []
    for number in range(processes):
        first = one.random.randrange(seeds // 2)
        last = one.random.randrange(seeds // 2, seeds)
        asked = f"{first}-{last}" if number else f"0-{seeds - 1}"
        path = one.folder / f"{number}.json"
        child = context.Process(target=_run, args=(place, asked, path, visible_after))
        child.start()
        started.append((child, path))
    until = time.monotonic() + _END_SECONDS
    for child, _ in started:  # all of them, before anything of theirs is looked at or removed
        child.join(max(0.0, until - time.monotonic()))
    for child, path in started:
        if child.is_alive():
            child.kill()
            child.join()
            yield f"a process has not ended after {_END_SECONDS:.0f} s"
        elif not path.exists():
            yield f"a process ended with {child.exitcode}: {_last_line(path)}"
    ran: Counter[str] = Counter()
    for _, path in started:
        content = json.loads(path.read_text("utf-8"))
        for entry in content["figures"]:
            ran.update(step["key"] for step in entry["steps"] if step["status"] == "ran")
            if timeless(entry) != known[entry["seed"]]:
                yield f"seed {entry['seed']} is something else"
    if len(ran) != seeds or set(ran.values()) != {1}:
        yield f"of {seeds} keys {len(ran)} were computed, one {max(ran.values(), default=0)} times"
    checked, content = place.json("store", "check")
    if checked.status or content["results"] != seeds or content["runs"] != seeds:
        yield f"the home is not whole: {content}"
    if left := list(place.home.rglob(".*")):
        yield f"{left[0].relative_to(place.home)} is left behind"


def _run(place: Place, seeds: str, path: Path, visible_after: float) -> None:
    """What each process does; what it could not do is beside the file."""
    try:
        with contextlib.ExitStack() as stack:
            if visible_after:
                Remembering(place.home, visible_after).install(stack)
            said = place.call("run", FIGURE, "--seeds", seeds, *RUN, "--json", "-")
        if said.status:
            raise RuntimeError(f"status {said.status}: {said.err[-500:]}")
        path.write_text(said.out, "utf-8")
    except BaseException:  # noqa: BLE001 - the process's end, whatever it is, is the finding
        path.with_suffix(".txt").write_text(traceback.format_exc(), "utf-8")
        os._exit(1)
    os._exit(0)


def _last_line(path: Path) -> str:
    told = path.with_suffix(".txt")
    return told.read_text("utf-8").strip()[-500:] if told.exists() else "nothing is told"


def _attack(name: str, surface: str, visible_after: float) -> Attack:
    def attempt(prepared: object, one: Trial) -> str | None:
        return next(_together(prepared, one, visible_after), None)

    return Attack(name, surface, 8, 1, _prepare, attempt)


ATTACKS = (
    _attack("sharing", "one home, 16 processes", 0.0),
    _attack("network", "the same, names seen late", _VISIBLE_SECONDS),
)
