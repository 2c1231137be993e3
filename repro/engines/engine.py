"""What runs a step could be anything with these methods."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from repro.plan import Step

Report = Callable[[Mapping[str, Any]], None]


@dataclass
class Task:
    """A step handed to an executor: where its inputs are, and where its output goes."""

    step: Step
    output: Path
    scratch: Path
    content: Mapping[str, Any]
    last_words: dict[str, Any] = field(default_factory=dict)


class Executor(Protocol):
    """Something that runs tasks, on this machine or elsewhere."""

    def capacity(self) -> int:
        """How many tasks it can run at once."""

    def submit(self, task: Task) -> Any:
        """Start a task; returns a handle."""

    def wait(self, handle: Any, report: Report) -> int:
        """Until the task ends: pass its messages on; returns its exit status."""

    def cancel(self, handle: Any) -> None:
        """End the task now, if it has not ended."""


def log_path(scratch: Path) -> Path:
    """Where a step's worker writes its errors."""
    return scratch / "log.txt"
