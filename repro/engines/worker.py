"""The process a step runs in: ``python -m repro.engines.worker TASK``, or a fork of the nursery.

``TASK`` is the file :meth:`repro.engines.engine.Task.write` makes. Messages are JSON lines on standard
output, errors go to standard error; standard input is looked at only if the task says ``"lifeline"``.
It needs nothing of its environment: variables that bits depend on it sets before it imports libraries.
"""

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repro import machine
from repro.engines import lifeline


def main(path: str) -> int:
    """Run one task; 0 if its result is complete, 1 if a message says why not."""
    try:
        task = json.loads(Path(path).read_text("utf-8"))
        if task.get("lifeline"):
            lifeline.end_with_standard_input()
        machine.settle(machine.Facts(**task["facts"]))
        from repro.engines.compute import compute

        compute(task, _send)
    except Exception as error:  # noqa: BLE001 - who started us turns it into one line and a log
        _send(failure(error))
        with contextlib.suppress(OSError):  # the log's disk may be what is full
            traceback.print_exc()
        return 1
    return 0


def failure(error: Exception) -> dict[str, str]:
    """The message that says why a task has no result."""
    text = str(error)
    if isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {error.strerror}"
    return {"error": text or type(error).__name__, "kind": type(error).__name__}


def _send(message: Mapping[str, Any]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: python -m repro.engines.worker TASK", file=sys.stderr)
        sys.exit(2)
    lifeline.end_with(os.getppid())
    os._exit(main(sys.argv[1]))  # what was imported is not taken down: that takes a second
