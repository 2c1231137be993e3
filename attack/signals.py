"""Signals and kills at any moment: the promised end, nothing left behind, nothing lost."""

import contextlib
import os
import random
import re
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attack.attack import Attack, Trial
from attack.commands import (
    Command,
    Ended,
    damaged,
    numbers,
    outliving,
    partial,
    processes_of,
    run_figures,
)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LATE_SECONDS = 1.0  # of processor time after a signal: a command that takes more has not heard it

_FIGURE = ("ssb2018/fig1", "--profile", "smoke")
_STORED = ("run", *_FIGURE)
_FRESH = ("run", "ssb2018/theorem1", "--profile", "smoke")
_COMMANDS = (
    ("list",),
    _STORED,
    _FRESH,
    (*_FRESH, "--engine", "inline"),
    ("report",),
    ("verify", *_FIGURE),
    ("store", "check"),
    ("doctor",),
    ("plan", *_FIGURE),
)
_SEVERAL = (
    "run",
    *(f"ssb2018/{name}" for name in ("theorem1", "theorem2", "theorem3")),
    *("--profile", "smoke", "--jobs", "2"),
)
_KILLS = 4  # of runs of one home


@dataclass(frozen=True)
class _Known:
    """A home with a stored figure; how long each command takes, how it ends, and all numbers."""

    home: Path
    seconds: dict[tuple[str, ...], float]
    statuses: dict[tuple[str, ...], int]
    numbers: dict[str, Any]


def _prepare(folder: Path) -> _Known:
    home, other = folder / "home", folder / "other"
    _, figures = run_figures(home, *_STORED)
    known = _Known(home, {}, {}, numbers(figures))
    for command in dict.fromkeys(_COMMANDS):
        shutil.rmtree(other, ignore_errors=True)
        shutil.copytree(home, other)
        started = time.monotonic()
        known.statuses[command] = Command(other, *command).wait().status
        known.seconds[command] = time.monotonic() - started
        if command == _FRESH:
            known.numbers.update(numbers(run_figures(other, *command)[1]))
    return known


def _signalled(known: object, trial: Trial) -> str | None:
    assert isinstance(known, _Known)
    arguments = trial.random.choice(_COMMANDS)
    moment = trial.random.uniform(0, 1.05) * known.seconds[arguments]
    gaps = [moment] + [trial.random.choice([0, 0.001, 0.02, 0.1, 0.4])] * trial.random.randrange(2)
    sent = [trial.random.choice(SIGNALS) for _ in gaps]
    ignoring = trial.random.random() < 0.2  # as nohup does with SIGHUP
    home = trial.folder / "home"
    shutil.copytree(known.home, home)
    command = Command(home, *arguments, prefix=("nohup",) if ignoring else ())
    process, first = command.process, None
    early: set[signal.Signals] = set()
    for gap, number in zip(gaps, sent, strict=True):
        time.sleep(gap)
        if not command.has_ended():
            if early or not _is_ready(process.pid):
                early.add(number)
            if first is None and not (ignoring and number == signal.SIGHUP):
                first = command.seconds()
            os.killpg(process.pid, number)
    ended = command.wait()
    late = 0.0 if first is None else ended.seconds - first
    effective = {one for one in sent if not (ignoring and one == signal.SIGHUP)}
    wrong = _end_wrong(ended, effective, early, known.statuses[arguments], late)
    wrong = wrong or _home_wrong(home, known, arguments)
    if wrong is None:
        return None
    names = ", ".join(f"{one.name} after {gap:.3f} s" for one, gap in zip(sent, gaps, strict=True))
    nohup = "nohup " if ignoring else ""
    return f"{nohup}repro {' '.join(arguments)}; {names}: {wrong}"


def _is_ready(pid: int) -> bool:
    """Whether a process has come so far that SIGTERM is caught: before, it is Python that starts."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8", errors="replace")
    masks = re.findall(r"^Sig(?:Cgt|Ign):\s*([0-9a-f]+)", status, re.MULTILINE)
    return any(int(mask, 16) >> (signal.SIGTERM - 1) & 1 for mask in masks)


def _end_wrong(
    ended: Ended,
    sent: set[signal.Signals],
    early: set[signal.Signals],
    usual: int,
    late: float,
) -> str | None:
    promised = {usual} | {128 + number for number in sent}
    # Before its first line has run, the system or Python ends it, and nohup ignores nothing yet.
    promised |= {-number for number in early}
    if ended.status not in promised:
        return f"exit status {ended.status}\n{ended.err}"
    if not early and re.search("Traceback|Exception ignored|Error:", ended.err):
        return f"it says\n{ended.err}"
    if ended.status == usual and late > _LATE_SECONDS:
        return f"it went on for {late:.1f} s of processor time"
    return None


def _home_wrong(home: Path, known: _Known, arguments: tuple[str, ...]) -> str | None:
    if orphans := outliving(home):
        return f"it left processes: {orphans}"
    if left := partial(home):
        return f"it left {left}"
    if wrong := damaged(home):
        return f"it damaged {wrong}"
    if arguments[0] not in ("run", "verify"):
        return None
    ended, figures = run_figures(home, *arguments)
    if ended.status != known.statuses[arguments]:
        return f"the same command then ended with {ended.status}\n{ended.err}"
    measured = numbers(figures)
    if measured != {name: known.numbers[name] for name in measured} or not measured:
        return "the same command then measured other numbers"
    return None


def _prepare_kills(folder: Path) -> dict[str, Any]:
    started = time.monotonic()
    ended, figures = run_figures(folder / "home", *_SEVERAL)
    return {
        "seconds": time.monotonic() - started,
        "status": ended.status,
        "numbers": numbers(figures),
    }


def _killed(known: object, trial: Trial) -> str | None:
    """Kill runs of one home, each of which goes on with what the one before has left; finish one."""
    assert isinstance(known, dict)
    home = trial.folder / "home"
    home.mkdir()
    finished: dict[str, bytes] = {}
    kills: list[str] = []
    while len(kills) < _KILLS:
        command = Command(home, *_SEVERAL)
        moment = trial.random.uniform(0, 1) * known["seconds"]
        through = command.ends_within(moment)
        if not through:
            kills.append(f"{_kill(command, trial.random)} killed after {moment:.3f} s")
        if wrong := _kill_wrong(home, command.wait(), known["status"], finished):
            return f"{', then '.join(kills)}: {wrong}"
        if through:  # nothing is left to be killed
            shutil.rmtree(home)
            home.mkdir()
            finished.clear()
    wrong = _finish_wrong(home, known, finished)
    return None if wrong is None else f"{', then '.join(kills)}: {wrong}"


def _kill(command: Command, draw: random.Random) -> str:
    """Kill one of a command's processes; which that was."""
    victims = [command.process.pid]
    if draw.random() < 0.6:  # a nursery or a step, if there is one at the moment
        victims = _descendants(command.home, command.process.pid) or victims
    victim = draw.choice(victims)
    with contextlib.suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    return "parent" if victim == command.process.pid else "nursery or step"


def _descendants(home: Path, parent: int) -> list[int]:
    found = (int(line.split()[0]) for line in processes_of(home))
    return [pid for pid in found if pid != parent]


def _kill_wrong(home: Path, ended: Ended, usual: int, finished: dict[str, bytes]) -> str | None:
    """What is wrong after a kill; notes what is finished by then."""
    if ended.status not in (usual, -signal.SIGKILL, 3):
        return f"exit status {ended.status}\n{ended.err}"
    if "Traceback" in ended.err:
        return f"it says\n{ended.err}"
    if orphans := outliving(home):
        return f"it left processes: {orphans}"
    if wrong := damaged(home):
        return f"it damaged {wrong}"
    stored = _stored(home)
    if lost := {key for key, meta in finished.items() if stored.get(key) != meta}:
        return f"finished before, and then lost or computed again: {', '.join(sorted(lost))}"
    finished.update(stored)
    return None


def _finish_wrong(home: Path, known: dict[str, Any], finished: dict[str, bytes]) -> str | None:
    """What is wrong with a run to the end of what kills have left."""
    ended, figures = run_figures(home, *_SEVERAL)
    if wrong := _kill_wrong(home, ended, known["status"], finished):
        return f"the same command then: {wrong}"
    if ended.status != known["status"]:
        return f"the same command then ended with {ended.status}\n{ended.err}"
    if numbers(figures) != known["numbers"]:
        return "the same command then measured other numbers"
    if left := partial(home):
        return f"the same command then left {left}"
    return None


def _stored(home: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in home.glob("store/[!.]*/meta.json")}


ATTACKS = (
    Attack("signals", "any command, one or two signals", 200, 3, _prepare, _signalled),
    Attack("kills", f"a run's processes, {_KILLS} SIGKILLs", 125, 1, _prepare_kills, _killed),
)
