"""What machine the nodes of a cluster are: a small job says so, once."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from repro import files, kernels, machine
from repro.engines import cluster
from repro.engines.cluster import Cluster, Job, NoAnswerError
from repro.engines.local import message_of
from repro.errors import UsageError
from repro.machine import Facts

_LOOK_SECONDS = 0.5
_ANSWER_SECONDS = 60.0  # that a node's answer may take to be seen here
_MINUTES = 10  # that the job may take


def facts(wanted: Cluster, home: Path, device: str) -> Facts:
    """The facts of a node, for steps with this process's threads and kernels.

    They are kept in the home until :func:`forget`, for the same options of the same cluster.

    Args:
        wanted: What the cluster is asked for.
        home: The folder that all nodes share.
        device: "cpu", "cuda", or "auto": "cuda" where jobs get a GPU whatever a step wants.

    Raises:
        UsageError: If no node answers.
        StoreError: If the answer that is kept is damaged.
    """
    if device == "auto":
        device = "cuda" if wanted.asks_for_gpu else "cpu"
    limits, threads = kernels.limits(), machine.num_threads()
    asked = [device, str(threads), json.dumps(limits, sort_keys=True)]
    identity = {
        "asked": asked,
        "cluster": wanted.model_dump(mode="json"),
        "variables": {name: os.environ[name] for name in os.environ if name.startswith("SBATCH_")},
        "libraries": machine.library_versions(),
    }
    path = home / "slurm" / f"facts-{files.canonical_digest(identity)[:16]}.json"
    if not path.exists():
        files.write_json(path, _ask(wanted, home, asked, path.with_suffix("")))
    return files.read_as(path, Facts)


def forget(home: Path) -> None:
    """Have nodes asked anew, since one of them is not what they were said to be."""
    for path in (home / "slurm").glob("facts-*.json"):
        path.unlink(missing_ok=True)


def _ask(wanted: Cluster, home: Path, asked: Sequence[str], stem: Path) -> dict[str, Any]:
    """Have a job say what machine its node is.

    Raises:
        UsageError: If it does not; that says what to do.
    """
    script, answer, log = (stem.with_name(f"{stem.name}.{kind}") for kind in ("sh", "out", "log"))
    cluster.write_script(script, wanted.command("repro.engines.describe", *asked))
    for path in (answer, log):
        files.write_text(path, "")
    device, threads, _ = asked
    options = wanted.options_of(
        "ssbrepro-facts", home, (answer, log), device, int(threads), [f"--time={_MINUTES}"]
    )
    number = cluster.submit(script, options)
    print(f"asking a node what machine it is: job {number}", file=sys.stderr, flush=True)
    try:
        job = _until_ended(number)
        found = _first_facts(answer, job)
    finally:
        cluster.cancel([number])
    if found is None:
        said = _read(log).strip().splitlines()
        raise UsageError(
            f"job {number} ({job.state} on {job.nodes or 'no node'}) did not say what machine it ran "
            f"on: {said[-1] if said else f'nothing of it is in {stem.parent}'}; all nodes must share "
            f"SSBREPRO_HOME, and have {wanted.python}"
        )
    for path in (script, answer, log):
        path.unlink(missing_ok=True)
    return found


def _until_ended(number: str) -> Job:
    while True:
        with contextlib.suppress(NoAnswerError):
            known = {job.id: job for job in cluster.jobs()}
            job = known.get(number) or cluster.ended_job(number)
            if job is None or job.ended:
                return job or Job(number, "UNKNOWN", "", "", "")
        time.sleep(_LOOK_SECONDS)


def _first_facts(answer: Path, job: Job) -> dict[str, Any] | None:
    """The facts among the lines of a job; a slow file system shows them some time after."""
    deadline = time.monotonic() + (_ANSWER_SECONDS if job.state == "COMPLETED" else _LOOK_SECONDS)
    while True:
        for line in _read(answer).splitlines():
            message = message_of(line.encode())
            if message is not None and "architecture" in message:
                return message
        if time.monotonic() >= deadline:
            return None
        time.sleep(_LOOK_SECONDS)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
