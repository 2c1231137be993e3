"""What an attack is, and how it is run."""

import random
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Trial:
    """What a try of an attack is made with: its number, its own generator and an empty folder."""

    number: int
    random: random.Random
    folder: Path


@dataclass(frozen=True)
class Attack:
    """One way to do harm.

    Args:
        name: As on the command line.
        surface: What is attacked, in a few words.
        tries: How many times, when everything is run.
        quick: How many times in a quick run.
        prepare: Called once with a folder; makes what tries share, such as a home with results.
        attempt: Called for each try with what ``prepare`` returned. Returns what went wrong, or None: a
            try that is withstood says nothing. An exception of the attempt itself is a failure too.
    """

    name: str
    surface: str
    tries: int
    quick: int
    prepare: Callable[[Path], object]
    attempt: Callable[[object, Trial], str | None]


@dataclass
class Report:
    """How an attack went."""

    attack: Attack
    tries: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


def carry_out(attack: Attack, tries: int, seed: int) -> Iterator[Report]:
    """Make tries of an attack; each is known by its seed and number, and can be made again alone.

    Yields:
        The report after each try.
    """
    report = Report(attack)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="attack-") as temporary:
        shared = Path(temporary, "shared")
        shared.mkdir()
        prepared = attack.prepare(shared)
        for number in range(tries):
            with tempfile.TemporaryDirectory(dir=temporary, prefix="try-") as own:
                failure = _failure(attack, prepared, trial(attack, number, seed, Path(own)))
            report.tries += 1
            if failure is not None:
                report.failures.append(f"{attack.name} {number}: {failure}")
            report.seconds = time.monotonic() - begun
            yield report


def trial(attack: Attack, number: int, seed: int, folder: Path) -> Trial:
    """A try, the same whatever others were made before it."""
    name = zlib.crc32(attack.name.encode())  # unlike hash(), the same in every process
    return Trial(number, random.Random(f"{seed} {name} {number}"), folder)


def _failure(attack: Attack, prepared: object, one: Trial) -> str | None:
    try:
        return attack.attempt(prepared, one)
    except Exception as error:  # noqa: BLE001 - whatever an attack meets unexpectedly is a finding
        return f"{type(error).__name__}: {error}"
