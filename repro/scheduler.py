"""Running a plan: step by step, on an engine."""

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from repro import files
from repro.engines.engine import Engine, Task
from repro.errors import StageError, StoreError
from repro.plan import Plan, Step
from repro.settings import Settings
from repro.store import Store, StoredResult

_POLL_SECONDS = 1.0  # after which an engine that has no news is asked again


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
    engine: Engine,
    listener: Listener,
    fresh: Collection[str] = (),
) -> list[StepOutcome]:
    """Compute what is not stored, in order; every finished step is kept whatever happens later.

    Args:
        plan: What to run.
        settings: Where things are.
        engine: What runs the steps.
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
                _compute(step, needed, settings, store, engine, listener, anew)
                stored = store.read(step.key, listener.say)
                if stored is None:
                    raise StoreError(f"{store.folder(step.key)}: damaged right after being written")
                outcomes[step.stage] = StepOutcome(step, "ran", stored)
            else:
                outcomes[step.stage] = StepOutcome(step, "stored", stored)
        listener.step(step, outcomes[step.stage].status)
    return list(outcomes.values())


def _compute(
    step: Step,
    needed: Mapping[str, StoredResult],
    settings: Settings,
    store: Store,
    engine: Engine,
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
        store.publish(step, output, _execute(task, engine, listener))
    shutil.rmtree(scratch, ignore_errors=True)


def _execute(task: Task, engine: Engine, listener: Listener) -> dict[str, Any]:
    """Run a task to its end, cancelling it if anything, such as Ctrl-C, ends us first.

    Returns:
        Its seconds and peak memory.

    Raises:
        StageError: If it fails; the message says why and what to do about it.
    """
    last_words: dict[str, Any] = {}

    def report(message: Mapping[str, Any]) -> None:
        if "done" in message:
            listener.progress(task.step, message)
        elif "warning" in message:
            listener.say(message["warning"])
        else:
            last_words.update(message)

    handle = engine.submit(task)
    try:
        while (status := engine.poll(handle, report, _POLL_SECONDS)) is None:
            pass
    finally:
        engine.cancel(handle)
    if status != 0 or "seconds" not in last_words:
        raise StageError(_failure(task, status, last_words))
    return {name: last_words[name] for name in ("seconds", "peak_memory_bytes")}


def _failure(task: Task, status: int, last_words: Mapping[str, Any]) -> str:
    """Why a task has no result, and what to do about it."""
    name = task.step.stage
    if "error" not in last_words:
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        hint = " (out of memory?)" if status == -9 else ""
        return f"stage {name} {how}{hint}; its log is {task.log}"
    error, kind = last_words["error"], last_words["kind"]
    if kind == "DataError":
        return (
            f"{error}\n`repro data fetch` downloads the official files; "
            f"SSBREPRO_DATA=FOLDER names the folder that holds yours"
        )
    return f"stage {name}: {error} ({kind}; its log is {task.log})"


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
        "facts": step.facts.parts(),
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
