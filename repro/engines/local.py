"""Steps as processes of this machine."""

import ast
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from repro import machine
from repro.code import source
from repro.engines.engine import Report, Task

_NURSERY = (sys.executable, "-m", "repro.engines.nursery")


@dataclass
class LocalStep:
    """A step that was started, with the process it is a fork of; ``status`` once it has ended."""

    nursery: "subprocess.Popen[bytes]"
    unread: bytes = b""  # the beginning of a line
    status: int | None = None


class LocalEngine:
    """Each task a process on this machine, with all its cores; one at a time.

    All are forks of one process, :mod:`repro.engines.nursery`, started with the first.
    """

    def __init__(self) -> None:
        self._nursery: subprocess.Popen[bytes] | None = None
        self._facts: machine.Facts | None = None

    def facts(self, device: str) -> machine.Facts:
        """This machine's."""
        return machine.facts(device)

    def capacity(self) -> int:
        """One: a step uses every core."""
        return 1

    def submit(self, task: Task) -> LocalStep:
        """Start the worker; its errors go to a log beside the scratch state."""
        path = task.write(lifeline=True)
        nursery = self._nursery_for(task)
        assert nursery.stdin is not None
        wanted = {
            "task": str(path),
            "log": str(task.log),
            "libraries": libraries(task.step.parts["code"]),
        }
        with contextlib.suppress(BrokenPipeError):  # it has been killed: who waits will see
            nursery.stdin.write(json.dumps(wanted).encode() + b"\n")
            nursery.stdin.flush()
        return LocalStep(nursery)

    def poll(self, handle: LocalStep, report: Report, seconds: float) -> int | None:
        """Read the worker's lines until one tells that it has ended."""
        lines = handle.nursery.stdout
        assert lines is not None
        if handle.status is None and select.select([lines], [], [], seconds)[0]:
            read = os.read(lines.fileno(), 2**16)
            if not read:  # it ended itself, and the step with it
                handle.status = handle.nursery.wait()
            *whole, handle.unread = (handle.unread + read).split(b"\n")
            for message in filter(None, map(_message, whole)):
                if "exit_status" in message:
                    handle.status = int(message["exit_status"])
                else:
                    report(message)
        return handle.status

    def cancel(self, handle: LocalStep) -> None:
        """Kill the worker: what it saved is whole at any moment."""
        if handle.status is None:
            _end(handle.nursery)
            handle.status = handle.nursery.returncode

    def _nursery_for(self, task: Task) -> "subprocess.Popen[bytes]":
        """The process to fork from; another for other facts, which libraries read on import."""
        nursery, facts = self._nursery, task.step.facts
        if nursery and nursery.poll() is None and facts == self._facts:
            return nursery
        if nursery:
            _end(nursery)
        with task.log.open("a") as errors:
            nursery = subprocess.Popen(
                [*_NURSERY, str(os.getpid())],
                stdin=subprocess.PIPE,  # closes when this process dies, and ends the worker
                stdout=subprocess.PIPE,
                stderr=errors,
                env=machine.environment(facts),
                start_new_session=True,  # Ctrl-C reaches us alone; we then cancel
            )
        weakref.finalize(self, _end, nursery)  # at exit at the latest
        self._nursery, self._facts = nursery, facts
        return nursery


def libraries(modules: Iterable[str]) -> list[str]:
    """Modules of other people's that our modules name in import statements, or the worker needs."""
    of_the_worker = {"annotated_types", "numpy", "pydantic.type_adapter"}
    return sorted(of_the_worker.union(*map(_imported, modules)))


@cache
def _imported(module: str) -> frozenset[str]:
    path = source(module)
    try:
        tree = ast.parse(path.read_text("utf-8") if path else "")
    except (OSError, ValueError, SyntaxError):  # it has changed since the plan: the worker says so
        return frozenset()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    not_theirs = sys.stdlib_module_names | {"repro", "ssbrepro"}
    return frozenset(name for name in names if name.partition(".")[0] not in not_theirs)


def _message(line: bytes) -> dict[str, Any] | None:
    """What a line of the worker's says, or None: it is a library's, and not for the user."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _end(nursery: "subprocess.Popen[bytes]") -> None:
    """Kill a nursery together with the step it may be running; again is harmless."""
    with contextlib.suppress(BrokenPipeError), nursery:  # closes its pipes, whoever has read them
        if nursery.poll() is None:
            os.killpg(nursery.pid, signal.SIGKILL)
        if nursery.stdout and not nursery.stdout.closed:
            nursery.stdout.read()  # ends when the step has ended too
