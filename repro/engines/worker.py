"""The process a step runs in, a fork of :mod:`repro.engines.nursery`.

Reads the task, runs the stage, leaves ``arrays.npz`` and ``result.json`` in the task's output folder,
and reports progress as JSON lines on standard output. It ends when its parent does: the parent holds
the other end of standard input. Whatever moment it is killed at, the state it saved is whole.
"""

import contextlib
import json
import os
import resource
import threading
import time
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, TypeAdapter, with_config

from repro.code import module_digests
from repro.files import flush, write_json
from ssbrepro.memory import keep_freed_memory
from ssbrepro.results import Array, Context, Input, Result
from ssbrepro.stages import STAGES


class ScratchProgress:
    """Progress reported to the parent, and state kept in a scratch folder."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch

    def report(self, done: int, total: int, activity: str) -> None:
        """Send one line to the parent."""
        _send({"done": done, "total": total, "activity": activity})

    def save(self, name: str, state: Mapping[str, Array]) -> None:
        """Keep a state: written aside, flushed, renamed."""
        partial = self._scratch / f".{name}.partial"
        write_arrays(partial, state)
        partial.replace(self._scratch / f"{name}.npz")
        flush(self._scratch)

    def restore(self, name: str) -> dict[str, Array] | None:
        """A state kept by an earlier process of the same step."""
        path = self._scratch / f"{name}.npz"
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as state:
                return dict(state)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
            _send({"warning": f"{path} is damaged; what it held is computed again"})
            path.unlink()
            return None


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays as npz, flushed; equal arrays give equal bytes."""
    try:
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **dict(arrays))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # a full disk names no file by itself
        raise OSError(error.errno, error.strerror, str(path)) from error


def main(task_path: str) -> int:
    """Run one task; 0 if its result is complete."""
    task = json.loads(Path(task_path).read_text("utf-8"))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    output = Path(task["output"])
    started = time.monotonic()
    try:
        result = _run(task)
        _write(output, result)
    except Exception as error:  # noqa: BLE001 - the parent turns it into one line and a log
        import traceback

        _send({"error": _explain(error), "kind": type(error).__name__})
        with contextlib.suppress(OSError):  # the log's disk may be what is full
            traceback.print_exc()
        return 1
    _send(
        {
            "seconds": time.monotonic() - started,
            # A fork's peak starts from what it copies: the libraries' data, none of their code.
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    )
    return 0


def parameters_of(stage: str, values: Mapping[str, Any]) -> Any:
    """The typed parameters of a stage, checked once more where they are used."""
    strict = with_config(ConfigDict(strict=True, extra="forbid"))(STAGES[stage].parameters)
    return TypeAdapter(strict).validate_json(json.dumps(dict(values)))


def _run(task: Mapping[str, Any]) -> Result:
    if module_digests(STAGES[task["stage"]].module) != task["code"]:
        raise RuntimeError("the code changed since the run began; start it again")
    _configure_torch(task["threads"])
    keep_freed_memory()
    scratch = Path(task["scratch"])
    scratch.mkdir(parents=True, exist_ok=True)
    inputs = {}
    for name, needed in task["inputs"].items():
        with np.load(Path(needed["folder"]) / "arrays.npz", allow_pickle=False) as arrays:
            inputs[name] = Input(parameters_of(name, needed["parameters"]), dict(arrays))
    context = Context(
        task["seed"], task["device"], Path(task["data_root"]), inputs, ScratchProgress(scratch)
    )
    return STAGES[task["stage"]].run(parameters_of(task["stage"], task["parameters"]), context)


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
    write_json(output / "result.json", content)


def _explain(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _send(message: Mapping[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def _end_with_parent() -> None:
    # Not sys.stdin: its lock, held by this thread, would abort the interpreter's shutdown.
    while os.read(0, 1024):
        pass
    os._exit(1)
