"""Damage to whatever is on disk: bits, truncated and exchanged files, in each thing that is read again.

After each harm, what reads it names the damage and makes it again or refuses, or gives what the
undamaged gives, to the last digit; then the home is whole again. What was removed whole is not there,
and counts for nothing.
"""

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from attack.attack import Attack, Trial
from attack.harm import Harm, files_below, to_a_file, to_a_folder
from attack.place import FIGURE, LONG, RUN, Place, Said, made
from repro.arrays import write_state
from repro.engines.compute import ScratchProgress
from repro.errors import Interrupted

_SEEDS = ("run", FIGURE, "--seeds", "0-1", *RUN)
_LONG = ("run", LONG, *RUN)
_CHECK = ("store", "check")
_LIST = ("list",)
_VERIFY = ("verify", FIGURE, *RUN)
_COMPARE = ("compare", "here:fig1@smoke", "fig1@smoke")
_RECORDED = "fig1.smoke.json"
_READS_RECORDS = (_LIST, _COMPARE, ("compare", "here:fig1@smoke:1", "here:fig1@smoke:0"))
_READS_REFERENCES = (_VERIFY, _LIST, _SEEDS, ("compare", "fig1@smoke", "fig1@desk"))


@dataclass(frozen=True)
class Known:
    """An undamaged place, and what commands say there."""

    place: Place
    said: dict[tuple[str, ...], Any]


def _known(place: Place, *commands: tuple[str, ...]) -> Known:
    return Known(place, {command: place.json(*command)[1] for command in commands})


def _run_twice(folder: Path) -> Place:
    """A home with two results, two runs of one figure, and the record of a run sent somewhere."""
    place = made(folder, FIGURE)
    place.call(*_SEEDS)
    for run in place.home.glob("runs/*/*/*"):
        (run / "tracked.json").write_text('{"layout": 2, "runs": {"http://127.0.0.1:9": "0f"}}')
    return place


def _prepare_results(folder: Path) -> Known:
    return _known(_run_twice(folder), _SEEDS)


def _prepare_home(folder: Path) -> Known:
    return _known(_run_twice(folder), _SEEDS, *_READS_RECORDS, *_READS_REFERENCES)


def _store(known: Any, one: Trial) -> Iterator[str]:
    place = known.place.copy(one.folder)
    results = [path for path in (place.home / "store").iterdir() if path.name != "locks"]
    harm = _harm(one, place, files_below(*results), results)
    checked, _ = place.json(*_CHECK)
    named = harm.is_named(checked)
    if named != (checked.status == 1) and not harm.gone:
        yield f"{harm.words}: `store check` names it: {named}, status {checked.status}"
    yield from _made_again(known, place, harm, named)


def _records(known: Any, one: Trial) -> Iterator[str]:
    place = known.place.copy(one.folder)
    runs = sorted(place.home.glob("runs/*/*/*"))
    harm = _harm(one, place, files_below(*runs), runs)
    command = one.random.choice(_READS_RECORDS)
    said, content = place.json(*command)
    if content != known.said[command] and not harm.gone and not harm.is_named(said):
        yield f"{harm.words}: `{_words(command)}` gives something else{_how(said)}"
    place.json(*_CHECK)
    yield from _made_again(known, place, harm, named=True)


def _references(known: Any, one: Trial) -> Iterator[str]:
    place = known.place.copy(one.folder)
    harm = to_a_file(one.random, place.manifests, files_below(place.references))
    command = one.random.choice(_READS_REFERENCES)
    said, content = place.json(*command)
    if content != known.said[command] and not _refuses(said, harm):
        yield f"{harm.words}: `{_words(command)}` gives something else{_how(said)}"
    shutil.rmtree(place.references)  # as git restores them
    shutil.copytree(known.place.references, place.references)
    yield from _made_again(known, place, harm, named=True)


def _prepare_states(folder: Path) -> Known:
    """A home where a step was interrupted after its fourth state of six."""
    whole = made(folder / "whole", LONG)
    expected = whole.json(*_LONG)[1]
    place = made(folder / "interrupted", LONG)
    save = ScratchProgress.save

    def saved(progress: ScratchProgress, name: str, state: Any) -> None:
        save(progress, name, state)
        if len(list(place.home.glob("scratch/*/*.npz"))) == 4:
            raise Interrupted(signal.SIGTERM)

    with mock.patch.object(ScratchProgress, "save", saved):
        place.call(*_LONG)
    return Known(place, {_LONG: expected})


def _states(known: Any, one: Trial) -> Iterator[str]:
    place = known.place.copy(one.folder)
    scratch = list((place.home / "scratch").iterdir())
    harm = _harm(one, place, files_below(*scratch), scratch)
    checked, _ = place.json(*_CHECK)
    said, content = place.json(*_LONG)
    if content != known.said[_LONG]:
        yield f"{harm.words}: the step continues to something else{_how(said)}"
    if "damaged" in said.err and not harm.is_named(said):
        yield f"{harm.words}: is not what is called damaged{_how(said)}"
    if ("damaged" in said.err) != (checked.status == 1):
        yield f"{harm.words}: a run and `store check` disagree{_how(checked)}"
    yield from _mended(known, place, harm, _LONG)
    if scratch := files_below(place.home / "scratch"):
        yield f"{harm.words}: {scratch[0].relative_to(place.home)} is left behind"


def _prepare_archive(folder: Path) -> Known:
    """A file with results, runs and a state of an unfinished step."""
    place = _run_twice(folder)
    step = place.home / "scratch" / ("ab" * 32)
    step.mkdir(parents=True)
    state = step / "epoch.npz"
    write_state(state, {"value": np.arange(5.0)}, state)
    place.call("store", "export", str(folder / "home.zip"))
    return _known(place, _SEEDS, _CHECK)


def _archives(known: Any, one: Trial) -> Iterator[str]:
    place = Place(one.folder / "home", known.place.manifests)
    undamaged = known.place.home.parent / "home.zip"
    file = Path(shutil.copy(undamaged, one.folder))
    harm = to_a_file(one.random, one.folder, [file])
    said = place.call("store", "import", str(file))
    if not _refuses(said, harm):
        yield f"{harm.words}: is imported{_how(said)}"
    if come := files_below(place.home):
        yield f"{harm.words}: {come[0].relative_to(place.home)} has come in"
    place.call("store", "import", str(undamaged))
    said, content = place.json(*_CHECK)
    if content != known.said[_CHECK]:
        yield f"{harm.words}: the undamaged file does not come in afterwards{_how(said)}"


def _prepare_import(folder: Path) -> Known:
    """Manifests without the recorded runs that are to come in, and what they come to."""
    place = made(folder, FIGURE)
    shutil.rmtree(place.references)
    other = place.copy(folder / "other")
    other.call("record", FIGURE, "--seeds", "0-2", *RUN)
    other.references.rename(folder / "incoming")
    given = place.copy(folder / "given")
    given.call("references", "import", str(folder / "incoming" / _RECORDED))
    return Known(place, {(): (given.references / _RECORDED).read_bytes()})


def _imports(known: Any, one: Trial) -> Iterator[str]:
    place = known.place.copy(one.folder / "place")
    incoming = one.folder / "incoming"
    shutil.copytree(known.place.home.parent / "incoming", incoming)
    harm = to_a_file(one.random, incoming, [incoming / _RECORDED])
    said = place.call("references", "import", str(incoming / _RECORDED))
    written = place.references / _RECORDED
    if said.status == 0:
        if written.read_bytes() != known.said[()]:
            yield f"{harm.words}: is imported"
    elif not _refuses(said, harm) or written.exists():
        yield f"{harm.words}: is not refused whole{_how(said)}"


def _prepare_crate(folder: Path) -> Known:
    """A crate of a run, which is a home with manifests in it."""
    home = _run_twice(folder / "source")
    home.call("export", FIGURE, "--crate", str(folder / "crate"))
    crate = Place(folder / "crate", folder / "crate" / "manifests")
    return _known(crate, _CHECK, _VERIFY)


def _crates(known: Any, one: Trial) -> Iterator[str]:
    crate = one.folder / "crate"
    shutil.copytree(known.place.home, crate)
    place = Place(crate, crate / "manifests")
    carried = [crate / "store", crate / "runs", place.references]
    harm = to_a_file(one.random, crate, files_below(*carried))
    checked, _ = place.json(*_CHECK)
    said, content = place.json(*_VERIFY)
    if content != known.said[_VERIFY] and not _refuses(said, harm):
        yield f"{harm.words}: `verify` gives something else{_how(said)}"
    if "damaged" in said.err and not harm.is_named(checked):
        yield f"{harm.words}: `store check` does not find it{_how(checked)}"


def _undamaged(known: Any, one: Trial) -> Iterator[str]:
    """What is no damage: no command calls it so, and none gives anything else."""
    how = one.random.choice(sorted(_HARMLESS))
    place = _HARMLESS[how](known.place.copy(one.folder / "place"), one)
    for command in one.random.sample([_SEEDS, *_READS_RECORDS, *_READS_REFERENCES], 2):
        said, content = place.json(*command)
        if content != known.said[command] or "damaged" in said.err or " ran in " in said.err:
            yield f"{how}: `{_words(command)}` says {said.err.strip() or 'something else'}"
    checked, content = place.json(*_CHECK)
    if checked.status or content["damaged"]:
        yield f"{how}: `store check` says {content}"


def _moved(place: Place, one: Trial) -> Place:
    return Place(place.home.rename(one.folder / "moved"), place.manifests)


def _touched(place: Place, one: Trial) -> Place:
    for path in files_below(place.home, place.manifests):
        os.utime(path, (one.random.randrange(2**31), one.random.randrange(2**31)))
    return place


def _without_locks(place: Place, one: Trial) -> Place:
    shutil.rmtree(place.home / "store" / "locks")
    return place


def _read_only(place: Place, one: Trial) -> Place:
    for path in files_below(place.home / "store", place.home / "runs", place.references):
        path.chmod(0o444)
    return place


def _with_others_files(place: Place, one: Trial) -> Place:
    """What a desktop, an editor and a network's file system leave in any folder."""
    folders = [path for path in place.home.rglob("*") if path.is_dir() and path.name != "locks"]
    for name in (".DS_Store", "note.txt~", ".nfs000000000012"):
        (one.random.choice(folders) / name).write_bytes(one.random.randbytes(6))
    return place


def _carried(place: Place, one: Trial) -> Place:
    file = one.folder / "home.zip"
    place.call("store", "export", str(file))
    there = Place(one.folder / "there", place.manifests)
    there.call("store", "import", str(file))
    return there


_HARMLESS: dict[str, Callable[[Place, Trial], Place]] = {
    "moved": _moved,
    "with other times": _touched,
    "without locks": _without_locks,
    "read-only": _read_only,
    "with files of others": _with_others_files,
    "exported and imported": _carried,
}


def _made_again(known: Known, place: Place, harm: Harm, named: bool) -> Iterator[str]:
    """What is wrong after running again what was damaged, and after looking once more."""
    said, content = place.json(*_SEEDS)
    if content != known.said[_SEEDS]:
        yield f"{harm.words}: a run gives something else{_how(said)}"
    if "damaged" in said.err and not named:
        yield f"{harm.words}: found by a run and not by `store check`{_how(said)}"
    yield from _mended(known, place, harm, _SEEDS)


def _mended(known: Known, place: Place, harm: Harm, run: tuple[str, ...]) -> Iterator[str]:
    """What is still wrong after a run, for which the same run is made again and all is looked at."""
    said, content = place.json(*run)
    if content != known.said[run] or "damaged" in said.err or " ran in " in said.err:
        yield f"{harm.words}: is not mended by a run{_how(said)}"
    checked, _ = place.json(*_CHECK)
    if checked.status:
        yield f"{harm.words}: is not whole after a run{_how(checked)}"
    for path in place.home.rglob(".*"):
        yield f"{harm.words}: {path.relative_to(place.home)} is left behind"


def _harm(one: Trial, place: Place, files: Sequence[Path], folders: Sequence[Path]) -> Harm:
    if one.random.random() < 0.1:
        return to_a_folder(one.random, place.home, folders)
    return to_a_file(one.random, place.home, files)


def _refuses(said: Said, harm: Harm) -> bool:
    """Whether a command has ended with a line that names what is damaged, whatever it calls that."""
    return said.status in (2, 3) and any(place.name in said.err for place in harm.places)


def _how(said: Said) -> str:
    last = (said.err.splitlines() or [""])[-1] if said.status > 1 else ""
    return f" (status {said.status}{last and ': '}{last})"


def _words(command: tuple[str, ...]) -> str:
    return " ".join(command[:2])


def _attack(
    name: str,
    surface: str,
    tries: int,
    prepare: Callable[[Path], Known],
    problems: Callable[[Any, Trial], Iterator[str]],
) -> Attack:
    def attempt(known: object, one: Trial) -> str | None:
        return next(problems(known, one), None)

    return Attack(name, surface, tries, 3, prepare, attempt)


ATTACKS = (
    _attack("store", "stored results", 500, _prepare_results, _store),
    _attack("records", "recorded runs", 500, _prepare_home, _records),
    _attack("references", "recorded runs among manifests", 400, _prepare_home, _references),
    _attack("states", "states of an interrupted step", 300, _prepare_states, _states),
    _attack("archives", "exported files", 300, _prepare_archive, _archives),
    _attack("imports", "recorded runs of others", 300, _prepare_import, _imports),
    _attack("crates", "crates for reviewers", 200, _prepare_crate, _crates),
    _attack("undamaged", "a home that nothing has happened to", 100, _prepare_home, _undamaged),
)
