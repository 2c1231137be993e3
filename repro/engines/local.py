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
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import IO, Any

from repro import files, machine
from repro.code import source
from repro.engines.engine import Capacity, Reports, Task

_NURSERY = (sys.executable, "-m", "repro.engines.nursery")


@dataclass
class _Slot:
    """A nursery, the facts it imported libraries with, and the key of the task that is its fork."""

    nursery: "subprocess.Popen[bytes]"
    facts: machine.Facts
    key: str | None = None
    unread: bytes = b""  # the beginning of a line

    @property
    def lines(self) -> IO[bytes]:
        """What the worker says."""
        assert self.nursery.stdout is not None
        return self.nursery.stdout


class LocalEngine:
    """Each task a process on this machine, several side by side.

    Each is a fork of a process, :mod:`repro.engines.nursery`, of which there are as many as tasks have
    run at once.

    Args:
        jobs: How many tasks at once; by default as many as there are cores for their threads.
    """

    def __init__(self, jobs: int | None = None) -> None:
        self._jobs = jobs
        self._slots: list[_Slot] = []

    def facts(self, device: str) -> machine.Facts:
        """This machine's."""
        return machine.facts(device)

    def capacity(self) -> Capacity:
        """As many as there are cores for, in the memory that is free now; one on the GPU."""
        jobs = self._jobs or max(1, machine.num_cores() // machine.num_threads())
        return Capacity(jobs, machine.available_memory(), gpus=1)

    def submit(self, task: Task) -> None:
        """Start the worker; its errors go to a log beside the scratch state."""
        path = task.write(lifeline=True)
        slot = self._slot_for(task)
        slot.key, slot.unread = task.step.key, b""
        assert slot.nursery.stdin is not None
        wanted = {
            "task": str(path),
            "log": str(task.log),
            "libraries": libraries(task.step.parts["code"]),
        }
        with contextlib.suppress(BrokenPipeError):  # it has been killed: who waits will see
            slot.nursery.stdin.write(json.dumps(wanted).encode() + b"\n")
            slot.nursery.stdin.flush()

    def poll(self, report: Reports, seconds: float) -> Mapping[str, int]:
        """Read the workers' lines until some have come, or one tells that its worker has ended."""
        busy = {slot.lines.fileno(): slot for slot in self._slots if slot.key is not None}
        ended = {}
        for number in select.select(list(busy), [], [], seconds)[0]:
            key = busy[number].key
            assert key is not None
            status = _read(busy[number], key, report)
            if status is not None:
                ended[key] = status
        return ended

    def cancel(self, key: str) -> None:
        """Kill the worker: what it saved is whole at any moment."""
        for slot in [slot for slot in self._slots if slot.key == key]:
            self._slots.remove(slot)
            _end(slot.nursery)

    def abandon(self, keys: Collection[str]) -> None:
        """Kill their workers."""
        for key in keys:
            self.cancel(key)

    def _slot_for(self, task: Task) -> _Slot:
        """An idle nursery to fork from; another for other facts, which libraries read on import."""
        facts = task.step.facts
        for slot in [slot for slot in self._slots if slot.key is None]:
            if slot.nursery.poll() is None and slot.facts == facts:
                return slot
            self._slots.remove(slot)
            _end(slot.nursery)
        slot = _Slot(self._nursery(task), facts)
        self._slots.append(slot)
        return slot

    def _nursery(self, task: Task) -> "subprocess.Popen[bytes]":
        with contextlib.ExitStack() as stack:
            with files.writing(task.log):
                errors = stack.enter_context(task.log.open("a"))
            nursery = subprocess.Popen(
                [*_NURSERY, str(os.getpid())],
                stdin=subprocess.PIPE,  # closes when this process dies, and ends the worker
                stdout=subprocess.PIPE,
                stderr=errors,
                env=machine.environment(task.step.facts),
                start_new_session=True,  # Ctrl-C reaches us alone; we then cancel
            )
        weakref.finalize(self, _end, nursery)  # at exit at the latest
        return nursery


def _read(slot: _Slot, key: str, report: Reports) -> int | None:
    """Pass on what a slot's worker says; its exit status if it says that it has ended."""
    read = os.read(slot.lines.fileno(), 2**16)
    if not read:  # the nursery ended itself, and the worker with it
        slot.key = None
        return slot.nursery.wait()
    *whole, slot.unread = (slot.unread + read).split(b"\n")
    for message in filter(None, map(message_of, whole)):
        if "exit_status" in message:
            slot.key = None
            return int(message["exit_status"])
        report(key, message)
    return None


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


def message_of(line: bytes) -> dict[str, Any] | None:
    """What a line of a worker's says, or None: it is a library's, and not for the user."""
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
