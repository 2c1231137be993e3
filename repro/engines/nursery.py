"""The process that steps are forked from: ``python -m repro.engines.nursery PARENT``.

Many a step takes less time than importing the libraries it computes with, so those are imported here,
once, and every step is a fork. Of our own code this process knows little but itself: a step imports it
after the fork, so that what runs is what lies on the disk then, which :mod:`repro.engines.worker`
compares with the step's key.

Each line of standard input, ``{"task": PATH, "log": PATH, "libraries": [MODULE, …]}``, starts a step;
when it has ended, a line with its ``exit_status`` follows its own lines on standard output. A step that
runs when standard input closes is killed, and nothing outlives ``PARENT``, the process that started us.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from repro.engines import lifeline


def serve(parent: int) -> None:
    """Run the steps asked for, one after another, until standard input closes or the parent dies."""
    lifeline.end_with(parent)
    for line in sys.stdin:
        wanted = json.loads(line)
        with Path(wanted["log"]).open("a") as log:
            os.dup2(log.fileno(), 2)
        if sys.platform == "linux":  # elsewhere a fork need not survive what libraries load
            import_libraries(wanted["libraries"])
        status = _run(wanted["task"])
        # On a line of its own, whatever a step that was killed left of one.
        print("\n" + json.dumps({"exit_status": status}), flush=True)


def import_libraries(names: Iterable[str]) -> None:
    """Import what is not imported yet, without starting threads or CUDA: neither survives a fork.

    Of the libraries stages use only OpenBLAS has threads from the start; it ends them before a fork.
    """
    for name in names:
        with contextlib.suppress(Exception):  # the step fails in the same way and says why
            importlib.import_module(name)
    gc.freeze()  # a step's collections would touch, and so copy, all that is in memory


def _run(task: str) -> int:
    """Run a step in a child; returns its exit status, negative for the signal that ended it."""
    ours, its = socket.socketpair()  # each end closes when who holds it ends, in whatever way
    nursery, step = os.getpid(), os.fork()
    if step == 0:
        lifeline.end_with(nursery)
        ours.close()
        os.dup2(its.fileno(), 0)
        _become(task)
    its.close()
    readable, _, _ = select.select([0, ours.fileno()], [], [])
    if 0 in readable:  # nobody waits for the step any more
        os.kill(step, signal.SIGKILL)
        os.waitpid(step, 0)
        os._exit(1)
    _, status = os.waitpid(step, 0)
    ours.close()
    return os.waitstatus_to_exitcode(status)


def _become(task: str) -> NoReturn:
    try:
        from repro.engines.worker import main

        os._exit(main(task))  # what was imported is not taken down again: that takes a second
    except BaseException:  # noqa: BLE001 - nothing may return into what the fork copied
        traceback.print_exc()
    finally:
        os._exit(1)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
