"""Slurm's own commands: what this cluster is asked for, and what it says of jobs."""

import getpass
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from repro import files
from repro.errors import ReproError, UsageError

CLUSTER_FILE = "slurm.yaml"  # in the home
_SECONDS = 30  # that a command of Slurm's may take to answer
_HOLDS = ("PENDING", "REQUEUE_HOLD", "SPECIAL_EXIT")
_GOES_ON = {
    "CONFIGURING", "COMPLETING", "PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING",
    "RUNNING", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED",
}  # fmt: skip
# What sbatch says where the same job may be taken later.
_LATER = (
    "Unable to contact slurm controller", "Socket timed out", "temporarily unable to accept",
    "Resource temporarily unavailable", "SubmitJob", "MaxJobs", "Connection refused",
)  # fmt: skip
_GPU_OPTIONS = ("--gres", "--gpus", "-G", "--gpus-per-node", "--gpus-per-task")
_GPU_VARIABLES = ("SBATCH_GRES", "SBATCH_GPUS", "SBATCH_GPUS_PER_NODE", "SBATCH_GPUS_PER_TASK")


class Cluster(BaseModel):
    """What a user says of the cluster, in ``slurm.yaml`` of the home; all of it can be left out.

    Args:
        options: Of sbatch, such as ``--partition=long``; they override what is asked for a step.
        launch: What to start the worker with, such as ``apptainer exec --nv image.sif`` in pieces.
        python: The interpreter there, which has this project installed.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    options: tuple[str, ...] = ()
    launch: tuple[str, ...] = ()
    python: str = sys.executable

    @property
    def asks_for_gpu(self) -> bool:
        """Whether jobs get a GPU whatever a step wants."""
        asked = any(option.partition("=")[0] in _GPU_OPTIONS for option in self.options)
        return asked or any(os.environ.get(name) for name in _GPU_VARIABLES)

    def options_of(
        self,
        name: str,
        home: Path,
        output: tuple[Path, Path],
        device: str,
        threads: int,
        limits: Sequence[str],
    ) -> list[str]:
        """Options of sbatch; the user's come last, where they count.

        Args:
            name: Of the job.
            home: Where it starts.
            output: Files for what it says, and for what goes wrong.
            device: With "cuda" it gets a GPU.
            threads: As many cores it gets.
            limits: Options for what it may take.
        """
        options = [
            f"--job-name={name}",
            f"--output={output[0]}",
            f"--error={output[1]}",
            "--open-mode=append",
            "--requeue",
            f"--chdir={home}",
            "--nodes=1",
            "--ntasks=1",
            f"--cpus-per-task={threads}",
        ]
        if device == "cuda" and not self.asks_for_gpu:
            options.append("--gres=gpu:1")
        return [*options, *limits, *self.options]

    def command(self, *arguments: str) -> str:
        """The line of a job's script that starts a module of this project."""
        return shlex.join([*self.launch, self.python, "-m", *arguments])


def read_cluster(home: Path) -> Cluster:
    """What a home's file says of the cluster; the default where there is none.

    Raises:
        ManifestError: With all that is wrong with it.
    """
    from repro.manifests.loading import load

    path = home / CLUSTER_FILE
    return load(path, Cluster).model if path.exists() else Cluster()


@dataclass(frozen=True)
class Job:
    """What Slurm says of a job."""

    id: str
    state: str
    reason: str
    nodes: str
    name: str

    @property
    def ended(self) -> bool:
        """Whether it runs no more, and never will again."""
        return self.state not in _GOES_ON

    @property
    def held(self) -> bool:
        """Whether it waits for somebody to let it go."""
        return self.state in _HOLDS and "held" in self.reason.lower()


class NoAnswerError(ReproError):
    """Slurm does not answer, or takes no more jobs for now: the same may go well later."""


def write_script(path: Path, command: str) -> None:
    """The script of a job that runs one command and says at the end with what status it ended."""
    # On a line of its own, whatever a worker that was killed left of one.
    says = """printf '\\n{"exit_status": %d}\\n' $status"""
    files.write_text(path, f"#!/bin/bash\n{command}\nstatus=$?\n{says}\nexit $status\n")


def submit(script: Path, options: Sequence[str]) -> str:
    """Submit a job; returns its number.

    Raises:
        NoAnswerError: If it may go well later.
        UsageError: If Slurm refuses the job.
    """
    done = _call("sbatch", "--parsable", *options, str(script))
    if done.returncode == 0:
        return done.stdout.strip().partition(";")[0]  # with the name of a cluster behind it
    said = _last_line(done.stderr)
    if any(words in done.stderr for words in _LATER):
        raise NoAnswerError(f"Slurm takes no job for now: {said}")
    raise UsageError(
        f"Slurm refuses the job: {said}; its partition, account and other options are those of "
        f"SBATCH_… and of {CLUSTER_FILE} in the home"
    )


def jobs() -> list[Job]:
    """All of this user's jobs that Slurm still knows of, ended ones included.

    Raises:
        NoAnswerError: If Slurm does not answer.
    """
    wanted = ["--user", getpass.getuser(), "--states=all", "--noheader", "--format=%i|%T|%r|%N|%j"]
    done = _call("squeue", *wanted)
    if done.returncode:
        raise NoAnswerError(f"Slurm does not answer: {_last_line(done.stderr)}")
    fields = (line.strip().split("|", 4) for line in done.stdout.splitlines())
    return [Job(*five) for five in fields if len(five) == 5]


def ended_job(number: str) -> Job | None:
    """What accounting says of a job that the queue has forgotten; None where there is none."""
    if shutil.which("sacct") is None:
        return None
    wanted = ["--jobs", number, "--allocations", "--noheader", "--parsable2"]
    try:
        done = _call("sacct", *wanted, "--format=JobIDRaw,State,NodeList,JobName")
    except NoAnswerError:
        return None
    for line in done.stdout.splitlines() if done.returncode == 0 else ():
        identity, state, nodes, name = line.split("|", 3)
        if identity == number:
            return Job(number, state.split()[0], "", nodes, name)  # "CANCELLED by 1000"
    return None


def cancel(numbers: Sequence[str]) -> None:
    """End jobs; those that have ended stay as they are.

    Raises:
        NoAnswerError: If Slurm does not answer.
    """
    done = _call("scancel", *numbers)
    if done.returncode and "Invalid job id" not in done.stderr:
        raise NoAnswerError(f"Slurm does not answer: {_last_line(done.stderr)}")


def require() -> None:
    """Raise where there is no Slurm.

    Raises:
        UsageError: Which says what else to do.
    """
    for command in ("sbatch", "squeue", "scancel"):
        if shutil.which(command) is None:
            raise UsageError(
                f"--engine slurm: there is no {command} here; run this on a node of the cluster that "
                f"takes jobs, or with --engine local"
            )


def _call(*command: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            start_new_session=True,  # Ctrl-C reaches us alone
        )
    except subprocess.TimeoutExpired as error:
        raise NoAnswerError(f"Slurm does not answer: {command[0]} took {_SECONDS} s") from error
    except OSError as error:
        raise UsageError(f"{command[0]}: {error.strerror}") from error


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "it says nothing"
