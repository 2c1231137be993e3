"""A task computed and published in this process: what every engine comes to.

The key's lock is taken here, where the step runs, so that it is held exactly as long. Whatever moment
the process is killed at, the state it saved is whole, and so is what has been published.
"""

import datetime
import json
import resource
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, TypeAdapter, with_config

from repro import bounded, files, machine
from repro.arrays import BROKEN_ZIP, read_state, write_arrays, write_state
from repro.code import module_digests
from repro.engines.engine import Report
from repro.plan import changed_parts
from repro.store import Store
from ssbrepro.contract import Array, Context, Input, Result
from ssbrepro.memory import keep_freed_memory
from ssbrepro.papers import stage as stage_of

_SECONDS = "_seconds"  # in a state, beside the stage's arrays


class ScratchProgress:
    """Progress as messages, and state kept in a scratch folder."""

    def __init__(self, scratch: Path, report: Report) -> None:
        self._scratch = scratch
        self._report = report
        # Of a step that was interrupted, when the process began that finishes it.
        self.started_at = datetime.datetime.now(datetime.UTC)
        self._started = time.monotonic()
        self._earlier = 0.0
        self._saved_here: set[str] = set()

    @property
    def seconds(self) -> float:
        """What the step has taken so far, with what earlier processes had taken when they saved."""
        return self._earlier + time.monotonic() - self._started

    def report(self, done: int, total: int, activity: str) -> None:
        """Send one message."""
        self._report({"done": done, "total": total, "activity": activity})

    def save(self, name: str, state: Mapping[str, Array]) -> None:
        """Keep a state: written aside, flushed, renamed."""
        path, partial = self._scratch / f"{name}.npz", self._scratch / f".{name}.partial"
        write_state(partial, {**state, _SECONDS: np.array(self.seconds)}, path)
        partial.replace(path)
        files.flush(self._scratch)
        self._saved_here.add(name)
        self._report({"saved": name})

    def restore(self, name: str) -> dict[str, Array] | None:
        """A state kept by an earlier process of the same step."""
        path = self._scratch / f"{name}.npz"
        if not path.exists():
            return None
        try:
            with bounded.opened(path) as file:
                state = read_state(file, path)
        except BROKEN_ZIP:
            self._report({"warning": f"{path} is damaged; what it held is computed again"})
            path.unlink()
            return None
        seconds = state.pop(_SECONDS, None)
        if seconds is not None and name not in self._saved_here:
            self._earlier = max(self._earlier, float(seconds))
        return state


def compute(task: Mapping[str, Any], report: Report) -> None:
    """Compute a task and publish its result; all that goes wrong raises, what the stage raises too.

    What another process has published meanwhile is not computed again, unless it is what this task is
    to replace.

    Args:
        task: The content of a :class:`repro.engines.engine.Task`.
        report: Told of progress, of saved and of damaged states.

    Raises:
        RuntimeError: If the machine or the code is another than the step's key says.
    """
    _check(task)
    store, key, scratch = Store(Path(task["store"])), task["key"], Path(task["scratch"])

    def warn(text: str) -> None:
        report({"warning": text})

    with store.lock(key, lambda: warn("another process computes this; waiting")):
        progress = ScratchProgress(scratch, report)
        # Who held the lock may have published on another machine: a listing shows what this one has
        # looked for in vain and remembers.
        store.wait_for(key, seconds=0)
        stored = store.read(key, warn)
        if stored is not None and stored.meta["digest"] != task["replaces"]:
            report({"stored": True})
        else:
            with files.partial_folder(store.folder(key)) as output:
                _write(output, _run(task, progress))
                store.publish(key, task["parts"], output, _taken(progress))
        shutil.rmtree(scratch, ignore_errors=True)


def _taken(progress: ScratchProgress) -> dict[str, float | str]:
    """When the step started, what it took until now, and of which processor."""
    return {
        "started_at": progress.started_at.isoformat(timespec="milliseconds"),
        "processor": machine.processor(),
        "seconds": progress.seconds,
        # A fork's peak starts from what it copies: the libraries' data, none of their code.
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def parameters_of(stage: str, values: Mapping[str, Any]) -> Any:
    """The typed parameters of a stage, checked once more where they are used."""
    strict = with_config(ConfigDict(strict=True, extra="forbid"))(stage_of(stage).parameters)
    return TypeAdapter(strict).validate_json(json.dumps(dict(values)))


def _check(task: Mapping[str, Any]) -> None:
    """Refuse what would not be the result of the step's key.

    Raises:
        RuntimeError: If the machine or the code is another than the step's key says.
    """
    if module_digests(stage_of(task["stage"]).module) != task["code"]:
        raise RuntimeError("the code changed since the run began; start it again")
    found = machine.facts(task["facts"]["device"]).parts()
    if differences := changed_parts(found, task["facts"]):
        raise RuntimeError(
            "this is not the machine of the step's key (expected → found): "
            + ", ".join(differences)
        )


def _run(task: Mapping[str, Any], progress: ScratchProgress) -> Result:
    _configure_torch(task["facts"]["threads"])
    keep_freed_memory()
    Path(task["scratch"]).mkdir(parents=True, exist_ok=True)
    inputs = {}
    for name, needed in task["inputs"].items():
        with np.load(Path(needed["folder"]) / "arrays.npz", allow_pickle=False) as arrays:
            parameters = parameters_of(needed["stage"], needed["parameters"])
            inputs[name] = Input(parameters, dict(arrays))
    context = Context(
        task["seed"],
        task["facts"]["device"],
        Path(task["data_root"]),
        inputs,
        progress,
    )
    stage = stage_of(task["stage"])
    return stage.run(parameters_of(task["stage"], task["parameters"]), context)


def _configure_torch(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def _write(output: Path, result: Result) -> None:
    write_arrays(output / "arrays.npz", result.arrays)
    content = {
        "numbers": dict(result.numbers),
        "missing": dict(result.missing),
        "series": {name: asdict(series) for name, series in result.series.items()},
    }
    files.write_json(output / "result.json", content)
