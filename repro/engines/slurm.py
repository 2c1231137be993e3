"""Steps as jobs of a Slurm cluster, through its own commands.

The home is a folder that all nodes share. A job is known by its name, which says home and key: a driver
that was killed, or that left its jobs, finds them again. Nothing but the worker's result decides that a
step is done; what Slurm says of its job is asked where there is none.
"""

import contextlib
import hashlib
import math
import os
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repro import files, signals
from repro.engines import cluster, nodes
from repro.engines.cluster import Job, NoAnswerError
from repro.engines.engine import Capacity, Reports, Task
from repro.engines.local import message_of
from repro.errors import Interrupted
from repro.machine import Facts
from repro.settings import Settings

_JOBS = 500  # in the queue at once, unless a user says how many
_LOOK_SECONDS = 0.5  # between looks at what workers have said
_QUEUE_SECONDS = 5.0  # between looks at the queue: one for all jobs
_CANCEL_SECONDS = 120.0  # until a cancelled job must have ended
# How much more than recorded a job is given: the recorded machine was another one.
_TIME_FACTOR, _TIME_MINUTES = 4, 10
_MEMORY_FACTOR, _MEMORY_MEBIBYTES = 1.5, 1024

_FILES = ("json", "sh", "out")  # of a job

_WHY = {
    "TIMEOUT": "reached its time limit; more: --time=… in {file}, or SBATCH_TIMELIMIT",
    "DEADLINE": "reached its deadline",
    "OUT_OF_MEMORY": "needs more memory than it asked for; more: --mem=… in {file}",
    "NODE_FAIL": "lost its node",
    "BOOT_FAIL": "got no node that starts",
    "PREEMPTED": "had to make room for others",
    "REVOKED": "was taken back",
    "CANCELLED": "was cancelled",
}


@dataclass
class _SlurmTask:
    """A task with its job, once it has one, and how far its messages have been read."""

    task: Task
    job: str | None = None
    read: int = 0
    unread: bytes = b""
    exit_status: int | None = None  # as the job's script said last
    refused: bool = False  # for now, and the user knows
    held: bool = False  # and the user knows
    notes: list[str] = field(default_factory=list)  # for the user, with the next poll


class SlurmEngine:
    """A job a step, in the order in which they are submitted.

    Args:
        jobs: How many in the queue at once.
        ask: Whether to leave so many jobs where the command ends; asked on a terminal alone.
    """

    def __init__(self, jobs: int | None = None, ask: Callable[[int], bool] | None = None) -> None:
        self._jobs = jobs or _JOBS
        self._ask = ask or _leave_them
        self._home = Settings.from_environment().home
        self._tasks: dict[str, _SlurmTask] = {}
        self._earlier: dict[str, str] | None = None  # jobs of earlier commands, by name
        self._looked = -math.inf  # when the queue was last looked at
        self._silent = False  # whether Slurm has not answered since, and the user knows
        cluster.require()
        self._cluster = cluster.read_cluster(self._home)

    def facts(self, device: str) -> Facts:
        """Those of a node, which a small job tells once; workers refuse where another differs.

        "auto" is "cuda" where jobs get a GPU by the cluster's file or ``SBATCH_…``.
        """
        self._forget_others()
        return nodes.facts(self._cluster, self._home, device)

    def capacity(self) -> Capacity:
        """As many jobs as may wait in the queue: Slurm sees to the rest."""
        return Capacity(self._jobs)

    def submit(self, task: Task) -> None:
        """Submit a job, or find the one that an earlier command has left."""
        known = self._tasks[task.step.key] = _SlurmTask(task)
        if self._earlier is None:
            self._earlier = {job.name: job.id for job in self._queue() if not job.ended}
        if job := self._earlier.pop(self._name(task.step.key), None):
            known.job = job
            known.notes.append(f"{task.step.stage} is job {job} of an earlier command")
            return
        task.write(self._file(task.step.key, "json"))
        files.write_text(self._file(task.step.key, "out"), "")
        worker = self._cluster.command(
            "repro.engines.worker", str(self._file(task.step.key, "json"))
        )
        cluster.write_script(self._file(task.step.key, "sh"), worker)
        self._try_to_submit(known)

    def poll(self, report: Reports, seconds: float) -> Mapping[str, int]:
        """Read what workers have said, and now and then the queue."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self._look(report)
            if ended or time.monotonic() >= deadline:
                return ended
            time.sleep(_LOOK_SECONDS)

    def cancel(self, key: str) -> None:
        """Cancel the job, and wait until it has ended."""
        known = self._tasks.pop(key, None)
        if known is not None:
            self._end_jobs([known])

    def abandon(self, keys: Collection[str]) -> None:
        """Ask whether to leave the jobs; without a terminal to ask on, cancel them."""
        known = [self._tasks.pop(key) for key in keys if key in self._tasks]
        with_jobs = [one for one in known if one.job is not None]
        if with_jobs and self._ask(len(with_jobs)):
            return
        self._end_jobs(known)

    def _try_to_submit(self, known: _SlurmTask) -> None:
        task = known.task
        facts = task.step.facts
        options = self._cluster.options_of(
            self._name(task.step.key),
            self._home,
            (self._file(task.step.key, "out"), task.log),
            facts.device,
            facts.threads,
            _limits(task),
        )
        try:
            known.job = cluster.submit(self._file(task.step.key, "sh"), options)
        except NoAnswerError as error:  # it is tried again with every look at the queue
            if not known.refused:
                known.notes.append(f"{error}; trying again")
            known.refused = True
        else:
            known.notes.append(f"{task.step.stage} is job {known.job}")

    def _name(self, key: str) -> str:
        home = hashlib.sha256(str(self._home).encode()).hexdigest()[:8]
        return f"ssbrepro-{home}-{key}"

    def _file(self, key: str, kind: str) -> Path:
        return self._home / "slurm" / f"{key}.{kind}"

    def _forget(self, key: str) -> None:
        for kind in _FILES:
            self._file(key, kind).unlink(missing_ok=True)

    def _forget_others(self) -> None:
        """Remove the files of jobs that have ended while no command was there to see it."""
        known = {path.stem for path in (self._home / "slurm").glob("*.sh")} - self._tasks.keys()
        if not known:
            return
        with contextlib.suppress(NoAnswerError):
            queued = {job.name for job in cluster.jobs() if not job.ended}
            for key in known:
                if self._name(key) not in queued:
                    self._forget(key)

    def _look(self, report: Reports) -> dict[str, int]:
        ended = {}
        for key, known in list(self._tasks.items()):
            self._hear(key, known, report)
            if known.exit_status == 0:
                ended[key] = 0
        if time.monotonic() - self._looked > _QUEUE_SECONDS:
            ended |= self._look_at_queue(report, ended)
        for key in ended:
            del self._tasks[key]
            self._forget(key)
        return ended

    def _hear(self, key: str, known: _SlurmTask, report: Reports) -> None:
        """Pass on what a task's worker has said since."""
        notes, known.notes = known.notes, []
        for note in notes:
            report(key, {"warning": note})
        said = _read_from(self._file(key, "out"), known.read)
        known.read += len(said)
        *whole, known.unread = (known.unread + said).split(b"\n")
        for message in filter(None, map(message_of, whole)):
            if "exit_status" in message:
                known.exit_status = int(message["exit_status"])
            else:
                report(key, self._with_job(known, message))

    def _with_job(self, known: _SlurmTask, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """An error says where it was; after one, nodes are asked anew what machines they are."""
        if "error" not in message:
            return message
        nodes.forget(self._home)
        where = next((job.nodes for job in self._queue() if job.id == known.job), "")
        on = f" on {where}" if where else ""
        return {**message, "error": f"{message['error']} (job {known.job}{on})"}

    def _look_at_queue(self, report: Reports, ended: Collection[str]) -> dict[str, int]:
        """Tasks whose jobs have ended without a result, as far as is known."""
        try:
            queue = {job.id: job for job in cluster.jobs()}
        except NoAnswerError as error:
            if not self._silent and self._tasks:
                report(next(iter(self._tasks)), {"warning": f"{error}; waiting"})
            self._silent = True
            self._looked = time.monotonic()
            return {}
        self._silent = False
        self._looked = time.monotonic()
        found: dict[str, int] = {}
        for key, known in self._tasks.items():
            if key in ended:
                continue
            if known.job is None:
                self._try_to_submit(known)
                continue
            job = queue.get(known.job) or cluster.ended_job(known.job)
            if job is not None and job.held and not known.held:
                known.held = True
                release = f"scontrol release {job.id} lets it go"
                report(key, {"warning": f"job {job.id} is held ({job.reason}): {release}"})
            if job is None or job.ended:
                self._hear(key, known, report)  # its last words
                found[key] = self._status(key, known, job, report)
        return found

    def _status(self, key: str, known: _SlurmTask, job: Job | None, report: Reports) -> int:
        """The exit status of a task whose job has ended."""
        if known.exit_status == 0 or (job is not None and job.state == "COMPLETED"):
            return 0
        if job is None:
            return known.exit_status or 1
        why = _WHY.get(job.state)
        if why is None and known.exit_status is None:  # its script never came to its end
            why = f"ended as {job.state} without a word; the log of Slurm's controller says why"
        if why is not None:
            text = f"job {job.id} {why.format(file=cluster.CLUSTER_FILE)}"
            saved = "; the same command continues where it stopped"
            report(key, {"error": text + saved, "kind": job.state})
        return known.exit_status or 1

    def _end_jobs(self, known: Sequence[_SlurmTask]) -> None:
        numbers = [one.job for one in known if one.job is not None]
        deadline = time.monotonic() + _CANCEL_SECONDS
        while numbers and time.monotonic() < deadline:
            with contextlib.suppress(NoAnswerError):
                cluster.cancel(numbers)
                running = {job.id for job in cluster.jobs() if not job.ended}
                numbers = [number for number in numbers if number in running]
            if numbers:
                time.sleep(_LOOK_SECONDS)
        if numbers:
            print(
                f"still in the queue: `scancel {' '.join(numbers)}` ends them",
                file=sys.stderr,
                flush=True,
            )
        for one in known:
            self._forget(one.task.step.key)

    def _queue(self) -> list[Job]:
        """The queue, or nothing where Slurm does not answer."""
        with contextlib.suppress(NoAnswerError):
            return cluster.jobs()
        return []


def _read_from(path: Path, position: int) -> bytes:
    """What a file holds from a position on: nothing if it cannot be seen yet."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(position)
        return file.read()
    return b""


def _limits(task: Task) -> list[str]:
    """Time and memory, as recorded and some more, where the user does not say."""
    options, needs = [], task.needs
    if needs.seconds is not None and not os.environ.get("SBATCH_TIMELIMIT"):
        minutes = math.ceil(_TIME_FACTOR * needs.seconds / 60) + _TIME_MINUTES
        options.append(f"--time={minutes}")
    if needs.memory_bytes is not None and not os.environ.get("SBATCH_MEM_PER_NODE"):
        mebibytes = math.ceil(_MEMORY_FACTOR * needs.memory_bytes / 2**20) + _MEMORY_MEBIBYTES
        options.append(f"--mem={mebibytes}M")
    return options


def _leave_them(number: int) -> bool:
    """Ask on the terminal whether to leave jobs; another Ctrl-C, or no terminal, means no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    jobs = "1 job is" if number == 1 else f"{number} jobs are"
    print(f"{jobs} in the queue: leave them to run? [y/N] ", end="", file=sys.stderr, flush=True)
    with contextlib.suppress(Interrupted, EOFError), signals.heard():
        return input().strip().lower().startswith("y")
    return False
