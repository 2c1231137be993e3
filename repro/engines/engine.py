"""What an engine is: anything that runs tasks, on this machine or elsewhere.

To add one, write a class with the five methods of :class:`Engine`. An engine need not know what a task
computes: it makes ``python -m repro.engines.worker TASK`` run somewhere, with ``TASK`` the file that
:meth:`Task.write` makes, and hands on what that says. All folders a task names must be the same folders
there. ``tests/repro/engines/conformance.py`` tells whether an engine does all that is said here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from repro import files
from repro.machine import Facts
from repro.plan import Step

Report = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Task:
    """A step to run. The scheduler holds its key's lock, so no other task has these folders.

    Args:
        step: What is to run. ``step.key`` is its name, for who comes back for it as well, and
            ``step.facts`` say what it is to be computed with.
        output: An empty folder. A task that succeeds leaves ``arrays.npz`` and ``result.json`` in it,
            both whole; the scheduler adds the rest, checks and publishes it, or removes it.
        scratch: A folder of the step's own that survives whatever ends the task. The stage saves its
            state in it and finds it again when the step is next run, maybe by another engine.
        content: What the worker needs to know, as plain data.
    """

    step: Step
    output: Path
    scratch: Path
    content: Mapping[str, Any]

    @property
    def log(self) -> Path:
        """Where an engine keeps what the worker writes to standard error, for users to read."""
        return self.scratch / "log.txt"

    def write(self, **options: bool) -> Path:
        """The file to start a worker with; an empty log beside it.

        Args:
            **options: ``lifeline=True`` has the worker end when its standard input closes.

        Raises:
            StoreError: If it cannot be written.
        """
        path = self.scratch / "task.json"
        files.write_json(path, {**self.content, **options})
        files.write_text(self.log, "")
        return path


class Engine(Protocol):
    """Runs tasks.

    A task succeeds with exit status 0, once its output is complete and its last message has been passed
    on. Any other status is a failure: 1 where a message says why, and -N where signal N ended it.

    Messages are mappings of one of four kinds, in the order in which the worker sends them:

    * ``done``, ``total``, ``activity``: how far the stage is;
    * ``warning``: a line for the user;
    * ``seconds``, ``peak_memory_bytes``: the last one of a task that succeeds;
    * ``error``, ``kind``: the last one of a task that fails and can say why, with the exception's type.

    A worker's lines that are no JSON objects are libraries' and are dropped.
    """

    def facts(self, device: str) -> Facts:
        """Facts of the machine that will execute: they enter the keys, and the worker compares.

        Args:
            device: "cpu", "cuda", or "auto": "cuda" where that can be used.

        Raises:
            UsageError: If there is no such device.
        """

    def capacity(self) -> int:
        """How many tasks can run at once, at least 1; no more are submitted."""

    def submit(self, task: Task) -> Any:
        """Start a task without waiting for it; returns what the other methods know it by.

        Raises:
            ReproError: If the engine refuses. That the worker does not start may show later instead, as
                an exit status.
        """

    def poll(self, handle: Any, report: Report, seconds: float) -> int | None:
        """Pass on a task's messages that have come.

        What ``report`` raises is passed on, and so are signals' exceptions: the scheduler then cancels.

        Args:
            handle: The task, as submitted.
            report: Takes each message once.
            seconds: How long to wait for news at most. An engine that has nothing else to do while a
                task runs may take longer.

        Returns:
            The exit status, at every call from then on, or None while the task is not known to have
            ended.
        """

    def cancel(self, handle: Any) -> None:
        """End a task, if it has not ended; again, and after its end, does nothing.

        When this returns, the task writes to its folders no more, and the engine can take another. Its
        saved state stays.
        """
