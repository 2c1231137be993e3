"""Running plans: their steps merged, whatever has its inputs, as many at once as an engine takes."""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from repro import files, machine
from repro.budget import Budget
from repro.engines.engine import Engine, Needs, Task
from repro.errors import StoreError
from repro.graph import Graph
from repro.plan import Plan, Step
from repro.settings import Settings
from repro.store import Store, StoredResult

_POLL_SECONDS = 1.0  # after which an engine that has no news is asked again
# How long what a task has published elsewhere may take to be seen here.
PUBLISHED_SECONDS = 60.0


@dataclass(frozen=True)
class StepOutcome:
    """A step that is done, with how it came to be."""

    step: Step
    status: str  # "ran" or "stored"
    result: StoredResult


@dataclass(frozen=True)
class Failure:
    """A step that failed, why, and the steps that were never started since they need it."""

    step: Step
    reason: str
    dependants: tuple[Step, ...]


class Listener(Protocol):
    """Who watches a run."""

    def step(self, step: Step, status: str) -> None:
        """A step is "stored", "running", "continued", "ran", "failed" or "stopped"."""

    def progress(self, step: Step, message: Mapping[str, Any]) -> None:
        """How far a running step is."""

    def say(self, text: str) -> None:
        """Something worth a line."""


class Scheduler:
    """Runs plans on an engine; every finished step is kept, whatever happens later.

    Use it in a ``with`` statement: on leaving, what still runs is abandoned.

    Args:
        plans: What to run.
        settings: Where things are.
        engine: What runs the steps.
        listener: Told of every step.
        needs: What steps are expected to take, by key.
        fresh: Keys of steps to compute even if they are stored, replacing that.
        budget: When to stop.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        settings: Settings,
        engine: Engine,
        listener: Listener,
        needs: Mapping[str, Needs] | None = None,
        fresh: Collection[str] = (),
        budget: Budget | None = None,
    ) -> None:
        self._plans = plans
        self._settings = settings
        self._engine = engine
        self._listener = listener
        self._needs = dict(needs or {})
        self._fresh = set(fresh)
        self._budget = budget or Budget()
        self._store = Store(settings.home / "store")
        self._graph = Graph(plans, {key: one.seconds for key, one in self._needs.items()})
        self._capacity = engine.capacity()
        self._memory_kills = machine.memory_kills()
        self._running: dict[str, Task] = {}
        self._last_words: dict[str, dict[str, Any]] = {}
        self._plans_of: dict[str, list[int]] = {}
        for index, plan in enumerate(plans):
            for step in plan.steps:
                self._plans_of.setdefault(step.key, []).append(index)
        self._steps_left = [len(plan.steps) for plan in plans]
        self._finished: list[int] = []
        self.outcomes: dict[str, StepOutcome] = {}
        self.failures: list[Failure] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._running:
            self._engine.abandon(list(self._running))
            for key in self._running:
                self._clear(key)

    def run(self) -> Iterator[int]:
        """Run all that can be.

        Yields:
            The index of each plan once all its steps are done.

        Raises:
            StoreError: If the store cannot be read or written.
        """
        while True:
            self._start()
            while self._finished:
                yield self._finished.pop(0)
            if not self._running:
                return
            for key, status in self._engine.poll(self._hear, _POLL_SECONDS).items():
                self._end(self._running.pop(key), status)
            for key in self._budget.to_stop(self._running):
                self._stop(key)

    def outcomes_of(self, plan: Plan) -> list[StepOutcome]:
        """The outcomes of a finished plan, in its order."""
        return [self.outcomes[step.key] for step in plan.steps]

    def unfinished(self) -> list[Step]:
        """The steps that are not done, those that failed included."""
        return [step for key, step in self._graph.steps.items() if key not in self.outcomes]

    def _start(self) -> None:
        """Start what is ready and has room; what is stored is done at once."""
        waiting = []
        while not self._budget.spent and len(self._running) < self._capacity.tasks:
            step = self._graph.pop()
            if step is None:
                break
            if self._find(step):
                continue
            if self._has_room(step):
                self._submit(step)
            else:
                waiting.append(step)
        for step in waiting:
            self._graph.put_back(step)

    def _find(self, step: Step) -> bool:
        """Whether a step is stored and done with that."""
        if step.key in self._fresh:
            return False
        stored = self._store.read(step.key, self._listener.say)
        if stored is not None:
            self._done(step, "stored", stored)
        return stored is not None

    def _has_room(self, step: Step) -> bool:
        """Whether a step can run beside those that do; alone, any can."""
        if not self._running:
            return True
        memory, gpus = self._capacity.memory_bytes, self._capacity.gpus
        together = [task.step for task in self._running.values()] + [step]
        if gpus is not None and sum(one.facts.device == "cuda" for one in together) > gpus:
            return False
        return memory is None or sum(map(self._memory, together)) <= memory

    def _memory(self, step: Step) -> int:
        """Bytes a step is expected to need; its share of all where nothing is recorded."""
        needed = self._needs.get(step.key, Needs()).memory_bytes
        return (
            (self._capacity.memory_bytes or 0) // self._capacity.tasks if needed is None else needed
        )

    def _submit(self, step: Step) -> None:
        scratch = self._settings.home / "scratch" / step.key
        replaces = None
        if step.key in self._fresh:
            replaces = self._prepare_anew(step, scratch)
        content = self._content(step, scratch, replaces)
        task = Task(step, self._needs.get(step.key, Needs()), scratch, content)
        continued = any(scratch.glob("*.npz"))
        self._last_words[step.key] = {}
        self._running[step.key] = task  # first, so that it is abandoned whatever happens now
        try:
            with files.writing(scratch):
                scratch.mkdir(parents=True, exist_ok=True)
            self._engine.submit(task)
        except StoreError:
            # Who publishes a step removes its scratch folder, be it this very moment.
            published = self._published(step.key)
            if published is None or published.meta["digest"] == replaces:
                raise
            del self._running[step.key], self._last_words[step.key]
            self._done(step, "stored", published)
            return
        self._listener.step(step, "continued" if continued else "running")
        self._budget.started(step.key)

    def _published(self, key: str, seconds: float = 0.0) -> StoredResult | None:
        """The result of a step that another process may have published, maybe on another machine."""
        self._store.wait_for(key, seconds)
        return self._store.read(key, self._listener.say)

    def _prepare_anew(self, step: Step, scratch: Path) -> str | None:
        """Forget what is known of a step; returns the digest of the result that is to be replaced."""
        with self._store.lock_if_free(step.key) as free:
            if free:  # else another process computes it at this very moment
                shutil.rmtree(scratch, ignore_errors=True)
            stored = self._store.read(step.key, self._listener.say)
        return None if stored is None else str(stored.meta["digest"])

    def _hear(self, key: str, message: Mapping[str, Any]) -> None:
        task = self._running[key]
        if "done" in message:
            self._listener.progress(task.step, message)
        elif "saved" in message:
            self._budget.saved(key)
        elif "warning" in message:
            self._listener.say(message["warning"])
        else:
            self._last_words[key].update(message)

    def _end(self, task: Task, status: int) -> None:
        """A task has ended: its result is there, or it has failed."""
        step = task.step
        words = self._last_words.pop(step.key)
        result = self._published(step.key, PUBLISHED_SECONDS if status == 0 else 0.0)
        if status == 0 and result is None:
            words.setdefault("error", f"its result is not in {self._store.folder(step.key).parent}")
            words.setdefault("kind", "StoreError")
        # Whatever the status says: another process may have published it.
        if result is not None and (status == 0 or step.key not in self._fresh):
            ours = status == 0 and "stored" not in words
            self._done(step, "ran" if ours else "stored", result)
            return
        self._clear(step.key)
        dependants = tuple(self._graph.depends_on(step.key))
        self.failures.append(Failure(step, self._reason(task, status, words), dependants))
        self._listener.step(step, "failed")

    def _done(self, step: Step, status: str, result: StoredResult) -> None:
        self.outcomes[step.key] = StepOutcome(step, status, result)
        self._clear_scratch(step.key)
        self._graph.done(step.key)
        for index in self._plans_of[step.key]:
            self._steps_left[index] -= 1
            if not self._steps_left[index]:
                self._finished.append(index)
        self._listener.step(step, status)

    def _clear(self, key: str) -> None:
        """Remove what a worker that was killed had begun, unless another computes the step now."""
        with self._store.lock_if_free(key) as free:
            if free:
                files.remove_partial(self._store.folder(key))
                for begun in (self._settings.home / "scratch" / key).glob(".*"):
                    begun.unlink(missing_ok=True)

    def _clear_scratch(self, key: str) -> None:
        """Remove what a worker has left that was killed right after it had published."""
        scratch = self._settings.home / "scratch" / key
        if scratch.exists():
            with self._store.lock_if_free(key) as free:
                if free:
                    shutil.rmtree(scratch, ignore_errors=True)

    def _stop(self, key: str) -> None:
        """End a task for want of time."""
        self._engine.cancel(key)
        task = self._running.pop(key)
        self._clear(key)
        self._listener.step(task.step, "stopped")

    def _content(self, step: Step, scratch: Path, replaces: str | None) -> dict[str, Any]:
        needed = {name: self.outcomes[key].result for name, key in step.inputs.items()}
        return {
            "key": step.key,
            "parts": step.parts,
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
            "data_root": str(self._settings.data),
            "store": str(self._settings.home / "store"),
            "scratch": str(scratch),
            "replaces": replaces,
        }

    def _reason(self, task: Task, status: int, words: Mapping[str, Any]) -> str:
        """Why a task has no result, and what to do about it."""
        name = task.step.stage
        if "error" not in words:
            how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            hint = ""
            if status == -9:
                hint = " (out of memory?)"
                if machine.memory_kills() > self._memory_kills:
                    hint = f" for want of memory ({machine.MORE_MEMORY})"
            return f"stage {name} {how}{hint}; its log is {task.log}"
        error, kind = words["error"], words["kind"]
        if kind == "DataError":
            return (
                f"{error}\n`repro data fetch` downloads the official files; "
                f"SSBREPRO_DATA=FOLDER names the folder that holds yours"
            )
        return f"stage {name}: {error} ({kind}; its log is {task.log})"
