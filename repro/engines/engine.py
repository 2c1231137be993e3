"""What an engine is: anything that runs tasks, on this machine or elsewhere.

To add one, write a class with the six methods of :class:`Engine`. An engine need not know what a task
computes: it makes ``python -m repro.engines.worker TASK`` run somewhere, with ``TASK`` the file that
:meth:`Task.write` makes, and hands on what that says. The worker takes the key's lock and publishes the
result where it runs. All folders a task names must be the same folders there.
``tests/repro/engines/conformance.py`` tells whether an engine does all that is said here.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from repro import files
from repro.machine import Facts
from repro.plan import Step

TASK = "task.json"  # in a step's scratch folder
Report = Callable[[Mapping[str, Any]], None]
Reports = Callable[[str, Mapping[str, Any]], None]  # with the key of the task whose message it is


@dataclass(frozen=True)
class Needs:
    """What a step took when it was recorded; None where nothing is."""

    seconds: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Task:
    """A step to run.

    Args:
        step: What is to run. ``step.key`` is its name, for who comes back for it as well;
            ``step.facts`` say what it is to be computed with.
        needs: What it is expected to take.
        scratch: A folder of the step's own that survives whatever ends the task. The stage saves its
            state in it and finds it again when the step is next run, maybe by another engine. The
            worker removes it once the result is published.
        content: What the worker needs to know, as plain data.
    """

    step: Step
    needs: Needs
    scratch: Path
    content: Mapping[str, Any]

    @property
    def log(self) -> Path:
        """Where an engine keeps what the worker writes to standard error, for users to read."""
        return self.scratch / "log.txt"

    def write(self, path: Path | None = None, **options: bool) -> Path:
        """The file to start a worker with; an empty log where the scratch state is.

        Args:
            path: Where it is to be; by default beside the log.
            **options: ``lifeline=True`` has the worker end when its standard input closes.

        Raises:
            StoreError: If it cannot be written.
        """
        path = path or self.scratch / TASK
        files.write_json(path, {**self.content, **options})
        files.write_text(self.log, "")
        return path


@dataclass(frozen=True)
class Capacity:
    """What an engine can run at once; None where something else sees to that.

    Args:
        tasks: How many, at least 1.
        memory_bytes: What they may need together, as recorded. A task that needs more runs alone.
        gpus: How many of those that compute on a GPU.
    """

    tasks: int
    memory_bytes: int | None = None
    gpus: int | None = None


class Engine(Protocol):
    """Runs tasks; each is known by its step's key, and there are never two of one key.

    A task succeeds with exit status 0, once its result is published and its last message has been
    passed on. Any other status is a failure: 1 where a message says why, and -N where signal N ended it.

    Messages are mappings of one of these kinds, in the order in which the worker sends them:

    * ``done``, ``total``, ``activity``: how far the stage is;
    * ``saved``: the name of a state that has been saved, so that a stop now loses nothing;
    * ``warning``: a line for the user;
    * ``stored``: another process has computed the step meanwhile;
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

    def capacity(self) -> Capacity:
        """What can run at once; no more is submitted."""

    def submit(self, task: Task) -> None:
        """Start a task without waiting for it.

        Raises:
            ReproError: If the engine refuses. That the worker does not start may show later instead, as
                an exit status.
        """

    def poll(self, report: Reports, seconds: float) -> Mapping[str, int]:
        """Pass on the messages that have come, and tell what has ended.

        What ``report`` raises is passed on, and so are signals' exceptions: who polls then cancels.

        Args:
            report: Takes each message once, with its task's key.
            seconds: How long to wait for news at most. An engine that has nothing else to do while a
                task runs may take longer.

        Returns:
            The exit status of each task that is now known to have ended, once.
        """

    def cancel(self, key: str) -> None:
        """End a task, if it has not ended; again, and after its end, does nothing.

        When this returns, the task writes to its folders no more, and the engine can take another. Its
        saved state stays. A cancelled task is not told of again.
        """

    def abandon(self, keys: Collection[str]) -> None:
        """The command ends before these tasks have: cancel them, or leave them to a later command.

        One that leaves tasks running finds them again when they are next submitted.
        """
