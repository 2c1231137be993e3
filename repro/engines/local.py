"""Steps as processes of this machine."""

import ast
import contextlib
import json
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from repro import files, kernels
from repro.code import source
from repro.engines.engine import Report, Task, log_path

_NURSERY = (sys.executable, "-m", "repro.engines.nursery")


@dataclass
class LocalStep:
    """A step that was started, with the process it is a fork of; ``status`` once it has ended."""

    nursery: "subprocess.Popen[str]"
    status: int | None = None


class LocalProcesses:
    """Each task a process on this machine, with all its cores; one at a time.

    All are forks of one process, :mod:`repro.engines.nursery`, started with the first.
    """

    def __init__(self) -> None:
        self._nursery: subprocess.Popen[str] | None = None
        self._threads = 0

    def capacity(self) -> int:
        """One: a step uses every core."""
        return 1

    def submit(self, task: Task) -> LocalStep:
        """Start the worker; its errors go to a log beside the scratch state."""
        task.scratch.mkdir(parents=True, exist_ok=True)
        path, log = task.scratch / "task.json", log_path(task.scratch)
        files.write_json(path, task.content)
        log.write_text("")
        nursery = self._nursery_for(task.step.threads, log)
        assert nursery.stdin is not None
        wanted = {
            "task": str(path),
            "log": str(log),
            "libraries": libraries(task.step.parts["code"]),
        }
        with contextlib.suppress(BrokenPipeError):  # it has been killed: who waits will see
            nursery.stdin.write(json.dumps(wanted) + "\n")
            nursery.stdin.flush()
        return LocalStep(nursery)

    def wait(self, handle: LocalStep, report: Report) -> int:
        """Read the worker's JSON lines until it ends."""
        assert handle.nursery.stdout is not None
        for line in handle.nursery.stdout:
            try:
                message = json.loads(line)
            except ValueError:  # a library printing; it is not for the user
                continue
            if not isinstance(message, dict):
                continue
            if "exit_status" in message:
                handle.status = int(message["exit_status"])
                return handle.status
            report(message)
        handle.status = handle.nursery.wait()  # it ended itself, and the step with it
        return handle.status

    def cancel(self, handle: LocalStep) -> None:
        """Kill the worker: what it saved is whole at any moment."""
        if handle.status is None:
            _end(handle.nursery)
            handle.status = handle.nursery.returncode

    def _nursery_for(self, threads: int, log: Path) -> "subprocess.Popen[str]":
        """The process to fork from; another for other threads, which libraries read on import."""
        nursery = self._nursery
        if nursery and nursery.poll() is None and threads == self._threads:
            return nursery
        if nursery:
            _end(nursery)
        with log.open("a") as errors:
            nursery = subprocess.Popen(
                _NURSERY,
                stdin=subprocess.PIPE,  # closes when this process dies, and ends the worker
                stdout=subprocess.PIPE,
                stderr=errors,
                env=step_environment(threads),
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C reaches us alone; we then cancel
            )
        weakref.finalize(self, _end, nursery)  # at exit at the latest
        self._nursery, self._threads = nursery, threads
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


def step_environment(threads: int) -> dict[str, str]:
    """The variables a step runs with: ours, and what bits depend on."""
    return (
        dict(os.environ)
        | kernels.limits()
        | {
            "OMP_NUM_THREADS": str(threads),
            # How long a waiting thread spins before it sleeps. The default, fifteen times as long,
            # wastes cores that other work shares; none wakes threads anew for every operation.
            "GOMP_SPINCOUNT": "20000",
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # before any CUDA context: deterministic sums
        }
    )


def _end(nursery: "subprocess.Popen[str]") -> None:
    """Kill a nursery together with the step it may be running; again is harmless."""
    with contextlib.suppress(BrokenPipeError), nursery:  # closes its pipes, whoever has read them
        if nursery.poll() is None:
            os.killpg(nursery.pid, signal.SIGKILL)
        if nursery.stdout and not nursery.stdout.closed:
            nursery.stdout.read()  # ends when the step has ended too
