"""Steps in this very process, for debugging: breakpoints stop, and tracebacks are whole."""

import signal
import traceback
from dataclasses import dataclass

from repro import machine
from repro.engines.engine import Report, Task
from repro.engines.worker import failure


@dataclass
class InlineStep:
    """A step that waits to be polled; ``status`` once it has ended."""

    task: Task
    status: int | None = None


class InlineEngine:
    """Computes a task when it is first polled, and returns when that is done.

    The peak of memory it tells is the process's; the log stays empty, since errors go to the terminal.
    """

    def facts(self, device: str) -> machine.Facts:
        """This process's, whose variables are settled from then on."""
        # Before a library is imported, be it to look for a GPU.
        machine.settle(machine.facts("cpu"))
        return machine.facts(device)

    def capacity(self) -> int:
        """One: there is one process."""
        return 1

    def submit(self, task: Task) -> InlineStep:
        """Take note of the task."""
        task.write()
        return InlineStep(task)

    def poll(self, handle: InlineStep, report: Report, seconds: float) -> int:
        """Compute the task, however long that takes."""
        if handle.status is None:
            handle.status = self._compute(handle.task, report)
        return handle.status

    def cancel(self, handle: InlineStep) -> None:
        """Keep the task from being computed; while it is computed, nobody can ask for this."""
        if handle.status is None:
            handle.status = -signal.SIGKILL

    def _compute(self, task: Task, report: Report) -> int:
        from repro.engines.compute import compute

        try:
            compute(task.content, report)
        except Exception as error:  # noqa: BLE001 - told as any engine tells it, and in full
            traceback.print_exc()
            report(failure(error))
            return 1
        return 0
