"""What can be compared, and how it is written.

A run's folder, its record, a file of recorded runs of any checkout, or in short
``[here:]FIGURE@PROFILE[@MACHINE][:SEEDS][+NAME=VALUE]``: recorded runs, or with ``here:`` the latest of
each seed that were run here. Runs with an alternative are never recorded, so those are of here.
"""

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro import files, selection
from repro.errors import UsageError
from repro.manifests.library import FigureManifest, Library
from repro.outcome import sums
from repro.outcome.machines import by_machine, labels
from repro.outcome.merging import manifest_of, read_runs
from repro.outcome.reading import (
    DamagedRun,
    RunOfAnotherRelease,
    all_runs,
    read_folder,
    read_record,
)
from repro.outcome.record import RECORD
from repro.outcome.references import RecordedRun, recorded_run, recorded_runs
from repro.settings import Settings

_SHORT = re.compile(
    r"(?P<here>here:)?(?P<figure>[^@:+]+)(?:@(?P<profile>[^@:+]*))?(?:@(?P<machine>[^:+]+))?"
    r"(?::(?P<seeds>[\d,-]+))?(?:\+(?P<alternative>[^=]+=.*))?"
)
_FORMS = (
    "write FIGURE@PROFILE, such as fig8a@smoke (see `repro compare --help`), or name a run's folder or "
    "a file of recorded runs"
)


@dataclass(frozen=True)
class Subject:
    """One side of a comparison: runs of a figure at a profile, of one machine or several.

    ``source`` says where they are from. The manifest is that of the figure as declared.
    """

    text: str
    source: str
    manifest: FigureManifest
    profile: str
    alternative: str | None
    runs: tuple[RecordedRun, ...]

    @property
    def seeds(self) -> list[int]:
        """Those that were run, ascending."""
        return sorted({run.seed for run in self.runs})

    @property
    def machines(self) -> list[str]:
        """What those are called that ran them."""
        return sorted(labels(by_machine(self.runs)).values())


def find(text: str, settings: Settings, say: Callable[[str], None] = lambda text: None) -> Subject:
    """What a word of the command line stands for.

    Args:
        text: The word.
        settings: Where things are.
        say: Told of runs that are damaged, and so are left out.

    Raises:
        UsageError: If it is nothing that is there, or is damaged; it says what is there.
        StoreError: If what is recorded here is damaged.
        ManifestError: If a manifest is wrong.
    """
    if not text:
        raise UsageError(f"{text!r}: {_FORMS}")
    library, path = Library(settings.manifests), Path(text)
    with contextlib.suppress(RuntimeError):  # there is no user of that name
        path = path.expanduser()
    with files.reading(path):
        if (path / RECORD).is_file():
            return _recorded_there(text, path, library)
        if path.is_file():
            found = _recorded_there if path.name == RECORD else _file
            return found(text, path, library)
        if path.suffix == ".json" or path.is_dir():
            problem = "holds no run" if path.exists() else "no such file"
            raise UsageError(f"{text}: {problem}; {_FORMS}")
    return _in_short(text, library, settings, say)


def _recorded_there(text: str, path: Path, library: Library) -> Subject:
    """A run by its folder or record.

    Raises:
        UsageError: If it is damaged, or of another release.
    """
    try:
        record = read_folder(path) if path.is_dir() else read_record(path)
    except (DamagedRun, RunOfAnotherRelease) as error:
        line = " ".join(str(error).split())
        raise UsageError(f"{line}; running the figure again makes the record anew") from error
    manifest = manifest_of(library, path, record.id, record.profile)
    run = recorded_run(record)
    return Subject(text, "a run", manifest, record.profile, record.alternative, (run,))


def _file(text: str, path: Path, library: Library) -> Subject:
    """A file of recorded runs.

    Raises:
        UsageError: If it is damaged, or holds none.
        StoreError: If it is listed as another file.
    """
    content = read_runs(path)
    sums.refuse_changed(path)
    manifest = manifest_of(library, path, content.id, content.profile)
    if not content.runs:
        raise UsageError(f"{text}: holds no run")
    return Subject(text, "a file", manifest, content.profile, None, content.runs)


def _in_short(
    text: str, library: Library, settings: Settings, say: Callable[[str], None]
) -> Subject:
    """Runs by figure, profile and what else is written.

    Raises:
        UsageError: If there are none.
    """
    parts = _SHORT.fullmatch(text)
    if parts is None:
        raise UsageError(f"{text!r}: {_FORMS}")
    manifest = _manifest(parts["figure"], library)
    profile = parts["profile"]
    if profile in manifest.omitted:
        raise UsageError(f"{text}: {manifest.omission(profile)}")
    if profile not in manifest.profiles:
        written = [f"{parts['figure']}@{known}" for known in manifest.profiles]
        raise UsageError(f"{text}: at which profile? {', '.join(written)}")
    wanted = parts["alternative"]
    alternative = None if wanted is None else manifest.with_alternative(wanted).alternative
    here = bool(parts["here"]) or alternative is not None
    runs: Sequence[RecordedRun]
    if here:
        runs = _run_here(settings, manifest, profile, alternative, say)
    else:
        runs = _recorded_here(manifest, profile)
    if parts["machine"]:
        runs = _of_machine(text, parts["machine"], runs)
    if parts["seeds"]:
        runs = _of_seeds(text, parts["seeds"], runs)
    source = "run here" if here else "recorded"
    return Subject(text, source, manifest, profile, alternative, tuple(runs))


def _manifest(name: str, library: Library) -> FigureManifest:
    """The manifest of a figure that is computed.

    Raises:
        UsageError: If there is none.
    """
    figure_id = library.resolve(name)
    if figure_id in library.not_computable():
        raise UsageError(f"{figure_id} is not computable: there are no runs of it")
    return library.load(figure_id)


def _recorded_here(manifest: FigureManifest, profile: str) -> tuple[RecordedRun, ...]:
    """What is recorded.

    Raises:
        UsageError: If there is none.
    """
    runs = recorded_runs(manifest, profile)
    if not runs:
        raise UsageError(
            f"nothing is recorded of {manifest.id} at {profile}"
            + _at(manifest, lambda other: bool(recorded_runs(manifest, other)))
            + f"; repro record {manifest.id} --seeds 0-9 --profile {profile}"
        )
    return runs


def _run_here(
    settings: Settings,
    manifest: FigureManifest,
    profile: str,
    alternative: str | None,
    say: Callable[[str], None],
) -> list[RecordedRun]:
    """The latest run of each seed on this machine.

    Raises:
        UsageError: If there is none.
    """
    records = [
        run.record
        for run in all_runs(settings, say)
        if (run.record.id, run.record.alternative) == (manifest.id, alternative)
    ]
    latest = {record.seed: record for record in records if record.profile == profile}
    if not latest:
        name = manifest.id if alternative is None else f"{manifest.id} with {alternative}"
        option = "" if alternative is None else f" --alternative '{alternative}'"
        raise UsageError(
            f"{name} was not run here at {profile}"
            + _at(manifest, lambda other: any(record.profile == other for record in records))
            + f"; repro run {manifest.id} --profile {profile}{option}"
        )
    return [recorded_run(latest[seed]) for seed in sorted(latest)]


def _at(manifest: FigureManifest, there: Callable[[str], bool]) -> str:
    """At which other profiles there is something."""
    others = [profile for profile in manifest.profiles if there(profile)]
    return f", but at {', '.join(others)}" if others else ""


def _of_machine(text: str, name: str, runs: Sequence[RecordedRun]) -> list[RecordedRun]:
    """The runs of the one machine whose name has a text in it.

    Raises:
        UsageError: If that is none or several.
    """
    names = labels(by_machine(runs))
    found = [machine for machine, label in names.items() if name.lower() in label.lower()]
    if len(found) != 1:
        number = "several machines are" if found else "no machine is"
        known = "; ".join(sorted(names.values()))
        raise UsageError(f"{text}: {number} called {name!r}; there are: {known}")
    return [run for run in runs if run.made_on == found[0]]


def _of_seeds(text: str, seeds: str, runs: Sequence[RecordedRun]) -> list[RecordedRun]:
    """The runs of some seeds.

    Raises:
        UsageError: If they are no seeds, or there is no run of one of them.
    """
    try:
        wanted = selection.seeds(seeds)
    except UsageError as error:
        raise UsageError(f"{text}: {str(error).removeprefix('--seeds ')}") from error
    known = {run.seed for run in runs}
    if absent := [seed for seed in wanted if seed not in known]:
        there = ", ".join(map(str, sorted(known)))
        raise UsageError(f"{text}: there is no seed {absent[0]}; there are {there}")
    return [run for run in runs if run.seed in wanted]
