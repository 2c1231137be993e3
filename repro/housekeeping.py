"""Whether a home is whole, and what in it nobody needs any more.

What manifests ask for is needed, alternatives included, at every profile, for every seed, and on
whatever machine a result is of. What a recorded run names is needed too, as without it no report would
show the run. What cannot be told, as its record is damaged or a state came without its task, stays.

Locks stay as well: they are empty files, and one that is removed no longer keeps two processes apart.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from repro import arrays, bounded, files
from repro.errors import StoreError
from repro.importing import ASIDE
from repro.inventory import KEY, Home, size
from repro.needed import Needed
from repro.outcome.machines import MachineName
from repro.outcome.reading import DamagedRun, RunOfAnotherRelease, read_run, result_problem
from repro.outcome.record import RECORD, Record, Run

RESULT = "result that no manifest asks for"
STATE = "step's scratch that nothing continues from"
RUN = "run that a later one has replaced"
SET_ASIDE = "damaged result that was set aside"
PARTIAL = "folder that a killed process left"

Progress = Callable[[int, int], None]  # bytes looked at, and of how many


@dataclass(frozen=True)
class Damage:
    """What is not as it was written."""

    path: str
    problem: str


@dataclass
class Checked:
    """How many results, states and runs are whole, what is not, and what was not looked into."""

    results: int = 0
    states: int = 0
    runs: int = 0
    damaged: list[Damage] = field(default_factory=list)
    runs_of_another_release: int = 0
    set_aside: int = 0
    partial: int = 0


@dataclass(frozen=True)
class Waste:
    """Something to remove: of what kind, where, under which lock, and how large."""

    kind: str
    path: Path
    lock: str
    size: int


def check(home: Home, progress: Progress) -> Checked:
    """Compare everything with its digests and check sums; nothing is changed.

    Args:
        home: Where to look.
        progress: Told how many bytes of results have been looked at, and of how many.
    """
    found = Checked(set_aside=len(home.set_aside()), partial=len(home.partials()))
    sizes = {key: size(home.store.folder(key)) for key in home.results()}
    done = 0
    for key, number in sizes.items():
        found.results += _note(found, home.store.folder(key), _result_problem(home, key))
        done += number
        progress(done, sum(sizes.values()))
    for path in (path for key in home.scratches() for path in home.states(key)):
        found.states += _note(found, path, _state_problem(path))
    for folder in home.runs():
        try:
            found.runs += _note(found, folder, _run_problem(home, folder))
        except RunOfAnotherRelease:
            found.runs_of_another_release += 1
    return found


def wasted(home: Home, needed: Needed, replaced_runs: bool) -> list[Waste]:
    """What nobody needs.

    Args:
        home: Where to look.
        needed: By all manifests, at all profiles.
        replaced_runs: Also runs after which others were recorded of the same figure, alternative,
            profile, seed and machine.
    """
    runs = _recorded(home)
    replaced = _replaced(runs) if replaced_runs else []
    asked = needed.among(home)
    keep = asked.union(*(_named(path) for path in home.runs() if path not in replaced))
    return [
        *_wasted_runs(runs, replaced),
        *_wasted_results(home, keep),
        *_wasted_scratch(home, asked),
        *_set_aside(home),
        *(Waste(PARTIAL, path, _lock_of(home, path), size(path)) for path in home.partials()),
    ]


def remove(home: Home, wastes: Iterable[Waste]) -> list[Waste]:
    """Remove what no process is using.

    Returns:
        What is gone.

    Raises:
        StoreError: If something cannot be removed.
    """
    read = _inputs_of_running_steps(home)
    gone = []
    for waste in wastes:
        with home.store.lock_if_free(waste.lock) as free:
            if free and waste.path.name not in read and waste.path.exists():
                files.remove(waste.path)
                gone.append(waste)
    return gone


def _note(found: Checked, path: Path, problem: str | None) -> bool:
    """Whether something is whole; what is not, is noted."""
    if problem is not None:
        found.damaged.append(Damage(str(path), problem.removeprefix(f"{path}: ")))
    return problem is None


def _result_problem(home: Home, key: str) -> str | None:
    """Looked at twice: it may have been replaced while it was looked at."""
    problem = home.store.problem(key)
    return problem and home.store.problem(key)


def _state_problem(path: Path) -> str | None:
    try:
        with files.reading(path), bounded.opened(path) as state:
            return arrays.problem(partial(arrays.read_state, place=path), state)
    except StoreError as error:
        return str(error) if path.exists() else None


def _run_problem(home: Home, folder: Path) -> str | None:
    """Looked at twice, as it may have been replaced while it was looked at.

    Raises:
        RunOfAnotherRelease: If another release wrote it.
    """
    for _ in range(2):
        try:
            return result_problem(Run(home.root, folder, read_run(folder)))
        except DamagedRun as error:
            problem = str(error)
    return problem


def _recorded(home: Home) -> dict[Path, Record]:
    """The runs that are whole, oldest first."""
    found = {}
    for folder in home.runs():
        try:
            found[folder] = read_run(folder)
        except StoreError:
            continue
    return dict(sorted(found.items(), key=lambda item: item[1].recorded_at))


def _named(run: Path) -> frozenset[str]:
    """Keys of all results that a run names, damaged or not: whatever there could be one."""
    with contextlib.suppress(OSError):
        if (run / RECORD).is_file():
            return frozenset(KEY.findall((run / RECORD).read_text("utf-8", "replace")))
    return frozenset()


def _replaced(runs: dict[Path, Record]) -> list[Path]:
    latest = {
        (
            run.id,
            run.alternative,
            run.profile,
            run.seed,
            MachineName.of(run.device, run.machine),
        ): path
        for path, run in runs.items()
    }
    return [path for path in runs if path not in latest.values()]


def _wasted_runs(runs: dict[Path, Record], replaced: Iterable[Path]) -> Iterator[Waste]:
    for path in replaced:
        yield Waste(RUN, path, runs[path].digest, size(path))


def _wasted_results(home: Home, keep: frozenset[str]) -> Iterator[Waste]:
    told = {meta["key"] for meta in home.store.metas()}
    for key in home.results():
        if key in told and key not in keep:
            yield Waste(RESULT, path := home.store.folder(key), key, size(path))


def _wasted_scratch(home: Home, asked: frozenset[str]) -> Iterator[Waste]:
    for key in home.scratches():
        if home.is_finished(key) or (key not in asked and home.task(key)):
            yield Waste(STATE, path := home.scratch(key), key, size(path))


def _set_aside(home: Home) -> Iterator[Waste]:
    for path in home.set_aside():  # KEY.NUMBER
        key = path.name.removeprefix(".").partition(".")[0]
        yield Waste(SET_ASIDE, path, key, size(path))


def _lock_of(home: Home, partial: Path) -> str:
    """The lock that whoever writes a folder aside, ``.NAME.0123abcd``, holds."""
    name = partial.name.removeprefix(".").rpartition(".")[0]
    if KEY.fullmatch(name) or name == ASIDE:
        return name
    # A run is written under its whole digest, of which its name has the beginning.
    return home.store.lock_beginning(name.rpartition("-")[2]) or name


def _inputs_of_running_steps(home: Home) -> set[str]:
    """Keys of the results that steps read which somebody computes at this moment."""
    found: set[str] = set()
    for key in home.scratches():
        with home.store.lock_if_free(key) as free:
            if not free and (task := home.task(key)):
                found.update(Path(needed["folder"]).name for needed in task["inputs"].values())
    return found
