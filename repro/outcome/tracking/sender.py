"""Runs are sent by a process of its own, which can be ended whatever a server does to it."""

import contextlib
import json
import os
import select
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from repro import files
from repro.errors import StoreError, TrackingError
from repro.outcome.reading import compare_results
from repro.outcome.record import TRACKED, Run
from repro.outcome.tracking.database import holds
from repro.settings import Settings

LIMIT = 60.0  # seconds that a server may cost a command which only wants its runs to be recorded,
EACH = 10.0  # and for each run that it sends, as many more
PATIENCE = 600.0  # of a command that only sends, for each run
_END_SECONDS = 5.0
_PROCESS = "repro.outcome.tracking.process"
_LAYOUT = 2  # of what is sent; 1 had an experiment for each figure


@dataclass(frozen=True)
class _Sent:
    """Where a run was sent, with its MLflow run id there."""

    layout: int
    runs: dict[str, str]


class Send(Protocol):
    """What sends a run."""

    def __call__(self, run: Run, known: str | None = None) -> str:
        """Returns the run's id at MLflow, ``known`` if it was sent before."""


def track(run: Run, settings: Settings, send: Send, trusting: bool = True) -> str:
    """Send a run to MLflow, unless that was done; returns its MLflow run id.

    Args:
        run: What to send.
        settings: Where to.
        send: How.
        trusting: Whether a note that a server has it is enough; it may have lost it since.

    Raises:
        DamagedRun: If a result is not what the run was made of.
        TrackingError: If MLflow cannot be reached, refuses or does not end; nothing of ours is lost.
    """
    own = settings.own_database
    place = settings.tracking_address if own is None else own.name
    path = run.folder / TRACKED
    sent = _sent(path)
    known = sent.get(place)
    if known is not None and (trusting if own is None else holds(own, known)):
        return known
    compare_results(run)
    sent[place] = send(run, known)
    if sent[place] != known:
        files.write_json(path, {"layout": _LAYOUT, "runs": sent})
    return sent[place]


def _sent(path: Path) -> dict[str, str]:
    try:
        noted = files.read_as(path, _Sent)
    except StoreError:  # none, or damaged, or an earlier release's: sending again changes nothing
        return {}
    return noted.runs if noted.layout == _LAYOUT else {}


class Sender:
    """Sends runs in a process of its own, which is started when the first is sent.

    Nothing less ends in time for sure: a socket's own limit begins anew with each byte that a server
    drips, and a thread can neither be ended nor be kept from filling this process's memory with an
    answer that has no end. One process sends all runs of a command, since to import MLflow takes longer
    than to send one.

    Args:
        settings: Where to.
        say: Told if the home's own database was set aside.
        limit: Seconds that sending may take.
        each: How many of them each run gives back, so that those of many runs add up to no more than
            ``limit`` and this for each.
    """

    def __init__(
        self,
        settings: Settings,
        say: Callable[[str], None],
        limit: float = LIMIT,
        each: float = EACH,
    ) -> None:
        self._settings = settings
        self._say = say
        self._limit = self._left = limit
        self._each = each
        self._process: subprocess.Popen[bytes] | None = None
        self._end: Callable[[], object] = lambda: None
        self._read = b""

    def __call__(self, run: Run, known: str | None = None) -> str:
        """Send a run; if that fails in whatever way, the process is ended.

        Raises:
            TrackingError: If MLflow cannot be reached, refuses or does not end.
        """
        try:
            process = self._process or self._start()
            begun = time.monotonic()
            self._tell(process, {"folder": str(run.folder), "known": known})
            answer = self._answer(process, self._left)
            self._left = min(self._limit, self._left - (time.monotonic() - begun) + self._each)
            if "error" in answer:
                raise TrackingError(str(answer["error"]))
        except BaseException:
            self.close()
            raise
        return str(answer["run_id"])

    def close(self) -> None:
        """End the process; the next run is sent by another."""
        self._end()
        self._process, self._read = None, b""

    def _start(self) -> subprocess.Popen[bytes]:
        settings = self._settings
        self._process = subprocess.Popen(
            [sys.executable, "-m", _PROCESS, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # its libraries' own words, which say less than its answer
            start_new_session=True,  # Ctrl-C reaches us alone; we then end it
            env=os.environ
            | {
                "SSBREPRO_HOME": str(settings.home),
                "SSBREPRO_MANIFESTS": str(settings.manifests),
                "MLFLOW_TRACKING_URI": settings.tracking_uri,
            },
        )
        self._end = weakref.finalize(self, _end, self._process)
        self._answer(self._process, LIMIT)  # that it is there
        return self._process

    def _tell(self, process: subprocess.Popen[bytes], what: Mapping[str, object]) -> None:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then it does not answer either
            process.stdin.write(json.dumps(what).encode() + b"\n")
            process.stdin.flush()

    def _answer(self, process: subprocess.Popen[bytes], seconds: float) -> Mapping[str, Any]:
        """The next line that is not only said.

        Raises:
            TrackingError: If there is none in time.
        """
        assert process.stdout is not None
        place = f"MLflow at {self._settings.tracking_address}"
        deadline = time.monotonic() + seconds
        poll = select.poll()
        poll.register(process.stdout, select.POLLIN)
        while True:
            line, whole, rest = self._read.partition(b"\n")
            if whole:
                self._read = rest
                answer: dict[str, Any] = json.loads(line)
                if "said" not in answer:
                    return answer
                self._say(answer["said"])
            elif not poll.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
                raise TrackingError(f"{place}: no end within {seconds:.0f} s")
            elif read := os.read(process.stdout.fileno(), 2**16):
                self._read += read
            else:
                raise TrackingError(f"{place}: the process that sends has ended")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):  # not before its disk has answered
        process.wait(_END_SECONDS)
