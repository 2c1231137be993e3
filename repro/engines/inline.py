"""Steps in this very process, for debugging: breakpoints stop, and tracebacks are whole."""

import traceback
from collections.abc import Collection, Mapping

from repro import machine
from repro.engines.engine import Capacity, Reports, Task
from repro.engines.worker import failure


class InlineEngine:
    """Computes a task when it is polled, and returns when that is done.

    The peak of memory it tells is the process's; the log stays empty, since errors go to the terminal.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Task] = {}

    def facts(self, device: str) -> machine.Facts:
        """This process's, whose variables are settled from then on."""
        # Before a library is imported, be it to look for a GPU.
        machine.settle(machine.facts("cpu"))
        return machine.facts(device)

    def capacity(self) -> Capacity:
        """One: there is one process."""
        return Capacity(tasks=1)

    def submit(self, task: Task) -> None:
        """Take note of the task."""
        task.write()
        self._waiting[task.step.key] = task

    def poll(self, report: Reports, seconds: float) -> Mapping[str, int]:
        """Compute what was submitted, however long that takes."""
        ended = {}
        for key in list(self._waiting):
            ended[key] = _compute(self._waiting.pop(key), report)
        return ended

    def cancel(self, key: str) -> None:
        """Keep a task from being computed; while it is computed, nobody can ask for this."""
        self._waiting.pop(key, None)

    def abandon(self, keys: Collection[str]) -> None:
        """Forget them: they end with the process."""
        self._waiting.clear()


def _compute(task: Task, report: Reports) -> int:
    from repro.engines.compute import compute

    def say(message: Mapping[str, object]) -> None:
        report(task.step.key, message)

    try:
        compute(task.content, say)
    except Exception as error:  # noqa: BLE001 - told as any engine tells it, and in full
        traceback.print_exc()
        say(failure(error))
        return 1
    return 0
