"""Running a plan: step by step, through an executor that could be anything with four methods."""

import ast
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from repro import files, kernels
from repro.code import source
from repro.errors import StageError, StoreError
from repro.plan import Plan, Step
from repro.settings import Settings
from repro.store import Store, StoredResult

Report = Callable[[Mapping[str, Any]], None]

_NURSERY = (sys.executable, "-m", "repro.nursery")


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


@dataclass
class LocalStep:
    """A step that was started, with the process it is a fork of; ``status`` once it has ended."""

    nursery: "subprocess.Popen[str]"
    status: int | None = None


class LocalProcesses:
    """Each task a process on this machine, with all its cores; one at a time.

    All are forks of one process, :mod:`repro.nursery`, started with the first.
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


@dataclass(frozen=True)
class StepOutcome:
    """A step that is done, with how it came to be."""

    step: Step
    status: str  # "ran" or "stored"
    result: StoredResult


class Listener(Protocol):
    """Who watches a run."""

    def step(self, step: Step, status: str) -> None:
        """A step is "stored", "running", "continued" or "ran"."""

    def progress(self, step: Step, message: Mapping[str, Any]) -> None:
        """A message of the running step."""

    def say(self, text: str) -> None:
        """Something worth a line."""


def run_plan(
    plan: Plan,
    settings: Settings,
    executor: Executor,
    listener: Listener,
    fresh: Collection[str] = (),
) -> list[StepOutcome]:
    """Compute what is not stored, in order; every finished step is kept whatever happens later.

    Args:
        plan: What to run.
        settings: Where things are.
        executor: What runs the steps.
        listener: Told of every step.
        fresh: Keys of steps to compute even if they are stored, replacing that.

    Raises:
        StageError: If a step fails.
        StoreError: If a result cannot be written.
    """
    store = Store(settings.home / "store")
    outcomes: dict[str, StepOutcome] = {}
    for step in plan.steps:
        needed = {name: outcomes[name].result for name in step.inputs}
        with store.lock(step.key, lambda: listener.say("another process computes this; waiting")):
            anew = step.key in fresh
            stored = None if anew else store.read(step.key, listener.say)
            if stored is None:
                _compute(step, needed, settings, store, executor, listener, anew)
                stored = store.read(step.key, listener.say)
                if stored is None:
                    raise StoreError(f"{store.folder(step.key)}: damaged right after being written")
                outcomes[step.stage] = StepOutcome(step, "ran", stored)
            else:
                outcomes[step.stage] = StepOutcome(step, "stored", stored)
        listener.step(step, outcomes[step.stage].status)
    return list(outcomes.values())


def log_path(scratch: Path) -> Path:
    """Where a step's worker writes its errors."""
    return scratch / "log.txt"


def _compute(
    step: Step,
    needed: Mapping[str, StoredResult],
    settings: Settings,
    store: Store,
    executor: Executor,
    listener: Listener,
    anew: bool,
) -> None:
    scratch = settings.home / "scratch" / step.key
    if anew:
        shutil.rmtree(scratch, ignore_errors=True)
    final = store.folder(step.key)
    with files.writing(scratch):
        scratch.mkdir(parents=True, exist_ok=True)
    listener.step(step, "continued" if any(scratch.glob("*.npz")) else "running")
    with files.partial_folder(final) as output:
        task = Task(step, output, scratch, _content(step, needed, settings, output, scratch))
        _execute(task, executor, listener)
        store.publish(
            step,
            output,
            {name: task.last_words[name] for name in ("seconds", "peak_memory_bytes")},
        )
    shutil.rmtree(scratch, ignore_errors=True)


def _execute(task: Task, executor: Executor, listener: Listener) -> None:
    """Run a task to its end, cancelling it if anything, such as Ctrl-C, ends us first."""

    def report(message: Mapping[str, Any]) -> None:
        if "done" in message:
            listener.progress(task.step, message)
        elif "warning" in message:
            listener.say(message["warning"])
        else:
            task.last_words.update(message)

    handle = executor.submit(task)
    try:
        status = executor.wait(handle, report)
    finally:
        executor.cancel(handle)
    if status == 0 and "seconds" in task.last_words:
        return
    name, log = task.step.stage, log_path(task.scratch)
    if "error" not in task.last_words:
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        hint = " (out of memory?)" if status == -9 else ""
        raise StageError(f"stage {name} {how}{hint}; its log is {log}")
    error, kind = task.last_words["error"], task.last_words["kind"]
    if kind == "DataError":
        raise StageError(
            f"{error}\n`repro data fetch` downloads the official files; "
            f"SSBREPRO_DATA=FOLDER names the folder that holds yours"
        )
    raise StageError(f"stage {name}: {error} ({kind}; its log is {log})")


def _content(
    step: Step,
    needed: Mapping[str, StoredResult],
    settings: Settings,
    output: Path,
    scratch: Path,
) -> dict[str, Any]:
    return {
        "stage": step.parts["stage"],
        "code": step.parts["code"],
        "parameters": dict(step.parameters),
        "seed": step.seed,
        "device": step.device,
        "threads": step.threads,
        "inputs": {
            name: {
                "folder": str(result.folder),
                "stage": result.meta["parts"]["stage"],
                "parameters": result.meta["parts"]["parameters"],
            }
            for name, result in needed.items()
        },
        "data_root": str(settings.data),
        "output": str(output),
        "scratch": str(scratch),
    }
