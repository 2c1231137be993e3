"""Recorded runs, read from their folders: all of a folder is as it was written, or it is no run.

Looking changes nothing. What is damaged is told from what another release wrote, and each is said with
the command that makes it again.
"""

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from repro import bounded, files
from repro.errors import StoreError
from repro.outcome import wording
from repro.outcome.record import RECORD, SCHEMA_VERSION, Record, Run
from repro.outcome.sealing import is_sealed
from repro.settings import Settings
from repro.store import ARRAYS, META, RESULT

_NAME = re.compile(r"(?P<profile>.+)-seed(?P<seed>\d+)-[0-9a-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class DamagedRun(StoreError):
    """A run's folder is not as it was written; ``way_out`` is what to do."""

    def __init__(self, problem: str, way_out: str) -> None:
        self.way_out = way_out
        super().__init__(problem)


class RunOfAnotherRelease(StoreError):
    """A run's record is of another schema, or of a release that sealed none."""


def run_folders(home: Path) -> list[Path]:
    """The folders of recorded runs, readable or not; what a killed process left is none."""
    return sorted(home.glob("runs/[!.]*/[!.]*/[!.]*/"))


def read_record(path: Path) -> Record:
    """A record, wherever it is.

    Raises:
        DamagedRun: If it is not as it was written.
        RunOfAnotherRelease: If another release wrote it.
    """
    content = _content(path)
    if not is_sealed(content):
        if _is_of_another_release(content):
            raise RunOfAnotherRelease(f"{path}: was written by another release, without a seal")
        raise DamagedRun(f"{path}: does not match its seal", _again(path.parent))
    try:
        record = files.checked(content, Record)
        record.declared()
    except ValueError as error:
        if _is_of_another_release(content):
            raise RunOfAnotherRelease(f"{path}: was written by another release") from error
        raise DamagedRun(f"{path}: is damaged: {error}", _again(path.parent)) from error
    return record


def read_folder(folder: Path) -> Record:
    """The record of a run, all files of which are as they were written, wherever its folder is.

    Raises:
        DamagedRun: If they are not.
        RunOfAnotherRelease: If another release wrote the record.
    """
    record = read_record(folder / RECORD)
    for name in record.files:
        if name != RECORD and _sha256(folder / name) != record.digests.get(name):
            problem = f"{folder / name}: does not match its digest"
            raise DamagedRun(problem, f"`{record.command}` makes it again")
    return record


def read_run(folder: Path) -> Record:
    """The same of a run in a home, whose folder has the name that the record gives it.

    Raises:
        DamagedRun: If anything is not as it was written, or is another run's.
        RunOfAnotherRelease: If another release wrote the record.
    """
    record = read_folder(folder)
    name = f"{record.id}/{record.profile}-seed{record.seed}-{record.digest[:12]}"
    if "/".join(folder.parts[-3:]) != name or not _DIGEST.fullmatch(record.digest):
        raise DamagedRun(f"{folder}: holds the record of another run, {name}", _again(folder))
    return record


def existing_run(home: Path, folder: Path) -> Run:
    """A run in a home, all of whose results are stored.

    Raises:
        DamagedRun: If anything is not as it was written, or its results are gone or others by now.
        RunOfAnotherRelease: If another release wrote the record.
    """
    run = Run(home, folder, read_run(folder))
    if problem := result_problem(run):
        raise DamagedRun(f"{folder}: {problem}", f"`{run.record.command}` makes it again")
    return run


def result_problem(run: Run) -> str | None:
    """Why the results that a run was made of are not those that are stored, if so.

    Whether a stored result is damaged itself is the store's to say.
    """
    gone, others = [], []
    for step in run.record.steps:
        folder = run.step_folder(step)
        if not all((folder / name).is_file() for name in (ARRAYS, RESULT, META)):
            gone.append(step.stage)
        elif _stored_digests(folder) not in (None, step.digests):
            others.append(step.stage)
    if gone:
        return f"no result is stored of {', '.join(gone)}"
    return f"was made of another result of {', '.join(others)} than is stored" if others else None


def compare_results(run: Run) -> None:
    """Compare every stored result that a run was made of with the digests in its record.

    Raises:
        DamagedRun: If one differs.
    """
    for step in run.record.steps:
        for name, digest in step.digests.items():
            path = run.step_folder(step) / name
            if _sha256(path) != digest:
                way_out = f"`{run.record.command}` makes it again"
                raise DamagedRun(f"{path}: is not what {run.folder.name} was made of", way_out)


def all_runs(settings: Settings, say: Callable[[str], None] = lambda text: None) -> list[Run]:
    """Every run that is as it was written, oldest first.

    Args:
        settings: Where they are.
        say: Told of each that is not, with the way out, and in one line of those of other releases.
    """
    found, old = [], []
    for folder in run_folders(settings.home):
        try:
            found.append(_in_place(settings.home, folder))
        except DamagedRun as error:
            if folder.is_dir():  # and not removed meanwhile
                say(f"{error}: left out; {error.way_out}")
        except RunOfAnotherRelease:
            old.append(folder)
    known = {_subject(run.folder) for run in found}
    if replaceable := [folder for folder in old if _subject(folder) not in known]:
        number = wording.counted(len(replaceable), "run")
        say(
            f"{settings.home / 'runs'}: {number} of another release, whose records have no seal: left "
            f"out; {'such as ' * (len(replaceable) > 1)}{_again(replaceable[0])}"
        )
    return sorted(found, key=lambda run: run.record.recorded_at)


def _in_place(home: Path, folder: Path) -> Run:
    """A run, looked at twice: it may have been replaced while it was looked at."""
    try:
        return existing_run(home, folder)
    except DamagedRun:
        return existing_run(home, folder)


def _content(path: Path) -> bytes:
    """What is in an ordinary file; nothing else is waited for.

    Raises:
        DamagedRun: If it cannot be read.
    """
    with _opened(path) as file:
        return file.read(bounded.MAX_JSON_BYTES)  # of a longer one the seal is none


def _sha256(path: Path) -> str:
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    if not path.is_file():
        raise DamagedRun(f"{path}: is missing", _again(path.parent))
    try:
        with bounded.opened(path) as file:
            yield file
    except OSError as error:
        problem = f"{path}: cannot be read: {error.strerror}"
        raise DamagedRun(problem, _again(path.parent)) from error


@dataclass(frozen=True)
class _Header:
    schema_version: int
    seal: str = ""


def _is_of_another_release(content: bytes) -> bool:
    try:
        header = files.checked(content, _Header)
    except ValueError:
        return False
    return header.schema_version != SCHEMA_VERSION or not header.seal


@dataclass(frozen=True)
class _Meta:
    digests: Mapping[str, str]


def _stored_digests(folder: Path) -> Mapping[str, str] | None:
    """What the store says of a result; nothing if that is damaged."""
    try:
        return files.read_as(folder / META, _Meta).digests
    except StoreError:
        return None


def _subject(folder: Path) -> tuple[str, str, str]:
    """Paper, figure, and profile and seed of a run, by its folder."""
    paper, figure, name = folder.parts[-3:]
    return paper, figure, name.rpartition("-")[0]


def _again(folder: Path) -> str:
    """What makes the run of a folder again, by its name."""
    named = _NAME.fullmatch(folder.name)
    if named is None:
        return "remove it: no command looks for a run of this name"
    figure_id = "/".join(folder.parts[-3:-1])
    command = f"repro run {figure_id} --profile {named['profile']} --seed {named['seed']}"
    return f"`{command}` makes it again"
