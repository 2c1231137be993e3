"""On a real Slurm cluster, where there is one: jobs, and all that becomes of them.

``SLURM_CONF`` says which. ``SSBREPRO_CLUSTER_NODE``, a command, kills and starts nodes: with the name of
one and ``kill`` or ``start``.
"""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import LIMIT, Undisturbed, Workplace, until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
RUN = ("run", "fig8b", "--profile", "smoke", "--engine", "slurm")


def slurm(*command: str) -> str:
    """What a command of Slurm's says."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def jobs(place: Workplace, *states: str) -> dict[str, str]:
    """The jobs of a home's steps that are in one of some states, with the node of each."""
    found = {}
    for line in slurm("squeue", "--noheader", "--states=all", "--format=%i|%T|%N|%o").splitlines():
        number, state, node, command = line.split("|", 3)
        if str(place.home) in command and "facts" not in command and state in states:
            found[number] = node
    return found


@pytest.fixture(autouse=True)
def cluster(place: Workplace) -> Iterator[None]:
    """All nodes up, and afterwards no jobs."""
    if not os.environ.get("SLURM_CONF"):
        pytest.skip("needs a Slurm cluster, and SLURM_CONF is not set")
    until(lambda: "idle" in slurm("sinfo", "--noheader", "--format=%t"), "a node is idle")
    yield
    running = jobs(place, "PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "REQUEUED")
    if running:
        subprocess.run(["scancel", *running], check=True)
    assert not running, "orphans"


@pytest.fixture
def kill_node() -> Iterator[Callable[[str], None]]:
    """Kills and starts nodes."""
    command = os.environ.get("SSBREPRO_CLUSTER_NODE")
    if not command:
        pytest.skip("needs a cluster whose nodes can be killed: SSBREPRO_CLUSTER_NODE is not set")
    killed: list[str] = []

    def kill(node: str) -> None:
        killed.append(node)
        subprocess.run([command, node, "kill"], check=True)

    yield kill
    for node in killed:
        subprocess.run([command, node, "start"], check=True)
    until(
        lambda: "down" not in slurm("sinfo", "-N", "--noheader", "--format=%t"), "nodes come back"
    )


def assert_same_bytes(place: Workplace, undisturbed: Undisturbed) -> None:
    """The training as computed on this machine; and nothing left that a job has begun."""
    key = undisturbed.entry["steps"][0]["key"]
    assert place.result(key) == undisturbed.digests[key]
    assert place.unfinished() == []
    place.call("plan", "fig8b", "--profile", "smoke", "--engine", "slurm")
    assert [path.suffix for path in (place.home / "slurm").iterdir()] == [".json"]  # its facts


def start_now(place: Workplace, job: str) -> None:
    """Have a job that Slurm queues again start soon, instead of in two minutes.

    Not at once: what lets a job start counts as revoked if it was made in the second of the end.
    """
    until(lambda: job in jobs(place, "PENDING"), "the job is queued again")
    slurm("scontrol", "update", f"JobId={job}", "StartTime=now+2")


def stop(place: Workplace) -> None:
    """Have the jobs of a home neither go on nor end, until their node is killed."""
    mine = f"SSBREPRO_HOME={place.home}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or is not ours
            variables = (folder / "environ").read_bytes().split(b"\0")
            if mine in variables and any(one.startswith(b"SLURM_JOB_ID=") for one in variables):
                os.kill(int(folder.name), signal.SIGSTOP)


def saves(place: Workplace, state: str) -> None:
    until(lambda: state in place.scratch(), f"a job saves {state}")


def test_jobs_give_the_bytes_of_this_machine(place: Workplace, undisturbed: Undisturbed) -> None:
    done = place.call(*RUN)
    assert done.returncode in (0, 1), done.stderr
    assert len(jobs(place, "COMPLETED")) == 2  # training, and its control
    assert_same_bytes(place, undisturbed)
    # Stored: nothing is submitted any more.
    assert place.call(*RUN).returncode == done.returncode
    assert len(jobs(place, "COMPLETED")) == 2


def test_a_node_that_dies(
    place: Workplace, undisturbed: Undisturbed, kill_node: Callable[[str], None]
) -> None:
    """Slurm puts its job back into the queue; it continues elsewhere."""
    process = place.start(*RUN)
    saves(place, "checkpoint-2.npz")
    stop(place)  # looking at the queue and killing take longer than what is left of a training
    ((job, node),) = jobs(place, "RUNNING").items()
    kill_node(node)
    start_now(place, job)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode in (0, 1), err
    assert job in jobs(place, "COMPLETED")  # the same job
    assert_same_bytes(place, undisturbed)


def test_a_driver_that_is_killed(place: Workplace, undisturbed: Undisturbed) -> None:
    process = place.start(*RUN)
    saves(place, "epoch.npz")
    process.kill()
    process.communicate()
    (job,) = jobs(place, "RUNNING")
    done = place.call(*RUN)
    assert done.returncode in (0, 1), done.stderr
    assert f"training is job {job} of an earlier command" in done.stderr or (
        "training: stored" in done.stderr
    )
    assert len(jobs(place, "COMPLETED")) == 2
    assert_same_bytes(place, undisturbed)


def test_a_driver_that_is_interrupted_without_a_terminal(
    place: Workplace, undisturbed: Undisturbed
) -> None:
    process = place.start(*RUN)
    saves(place, "epoch.npz")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in err
    assert jobs(place, "RUNNING", "PENDING", "COMPLETING") == {}
    assert len(jobs(place, "CANCELLED")) == 1
    done = place.call(*RUN)
    assert "continuing where it stopped" in done.stderr
    assert_same_bytes(place, undisturbed)


@pytest.mark.parametrize("answer", ["y", "n"])
def test_ctrl_c_on_a_terminal_asks_whether_to_leave_the_jobs(
    place: Workplace, undisturbed: Undisturbed, answer: str
) -> None:
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "repro", *RUN],
        env=place.surroundings(),
        stdin=its,
        stdout=its,
        stderr=its,
        cwd=place.manifests.parent,
        start_new_session=True,
    )
    place.started.append(process)
    os.close(its)
    saves(place, "epoch.npz")
    (job,) = jobs(place, "RUNNING")
    process.send_signal(signal.SIGINT)
    said = b""
    while b"leave them to run? [y/N]" not in said:
        said += os.read(ours, 1024)
    assert b"1 job is in the queue: leave them to run? [y/N]" in said
    os.write(ours, f"{answer}\n".encode())
    with contextlib.suppress(OSError):  # the other end is closed
        while os.read(ours, 1024):
            pass
    os.close(ours)
    assert process.wait(LIMIT) == 128 + signal.SIGINT
    assert (job in jobs(place, "RUNNING", "COMPLETED")) == (answer == "y")
    done = place.call(*RUN)
    assert done.returncode in (0, 1), done.stderr
    assert len(jobs(place, "COMPLETED")) == 2  # none was computed twice
    assert_same_bytes(place, undisturbed)


def test_a_job_that_somebody_cancels(place: Workplace, undisturbed: Undisturbed) -> None:
    process = place.start(*RUN)
    saves(place, "epoch.npz")
    (job,) = jobs(place, "RUNNING")
    slurm("scancel", job)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 3
    assert (
        f"stage training: job {job} was cancelled; the same command continues where it stopped"
        in " ".join(err.split())
    )
    assert "Traceback" not in err
    assert place.call(*RUN).returncode in (0, 1)
    assert_same_bytes(place, undisturbed)


def test_a_job_that_is_preempted_continues_by_itself(
    place: Workplace, undisturbed: Undisturbed
) -> None:
    process = place.start(*RUN)
    saves(place, "checkpoint-2.npz")
    (job,) = jobs(place, "RUNNING")
    slurm("scontrol", "requeue", job)  # as Slurm does to make room
    start_now(place, job)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode in (0, 1), err
    assert job in jobs(place, "COMPLETED")
    assert_same_bytes(place, undisturbed)


def test_a_budget_ends_its_jobs(place: Workplace, undisturbed: Undisturbed) -> None:
    place.call("plan", "fig8b", "--profile", "smoke", "--engine", "slurm")  # asks a node
    done = place.call(*RUN, "--budget", "4s")  # two jobs take twice that on a fast machine
    assert done.returncode == 0, done.stderr
    assert "the budget is used: " in done.stderr
    assert jobs(place, "RUNNING", "PENDING", "COMPLETING") == {}
    assert place.call(*RUN).returncode in (0, 1)
    assert_same_bytes(place, undisturbed)


def test_a_node_with_another_library_is_refused(place: Workplace) -> None:
    place.call("plan", "fig8b", "--profile", "smoke", "--engine", "slurm")
    (path,) = (place.home / "slurm").glob("facts-*.json")
    facts = json.loads(path.read_text())
    facts["libraries"]["torch"] = "0.1"
    path.write_text(json.dumps(facts))
    done = place.call("run", "fig8b", "--profile", "smoke", "--engine", "slurm")
    assert done.returncode == 3
    words = " ".join(done.stderr.split())
    assert (
        "this is not the machine of the step's key (expected → found): libraries.torch: 0.1 → "
        in (words)
    )
    assert "(job " in words
    assert " on n" in words
    assert not path.exists()  # the same command asks anew
    assert place.call("run", "fig8b", "--profile", "smoke", "--engine", "slurm").returncode in (
        0,
        1,
    )


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--partition=nowhere", "Invalid partition name specified"),
        ("--mem=900G", "Requested node configuration is not available"),
    ],
)
def test_what_slurm_refuses_is_a_line(place: Workplace, option: str, told: str) -> None:
    place.home.mkdir()
    (place.home / "slurm.yaml").write_text(f"options: [{option}]\n")
    done = place.call("run", "fig8b", "--profile", "smoke", "--engine", "slurm")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("Slurm refuses the job: sbatch: error: ")
    assert told in line
    assert "slurm.yaml" in line


def test_a_home_that_nodes_do_not_see(place: Workplace, tmp_path: Path) -> None:
    """Below a folder that only this process's namespace has."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    script = (
        f"mount -t tmpfs tmpfs {hidden} && cd {place.manifests.parent} && SSBREPRO_HOME={hidden}/home "
        f"exec timeout 120 {sys.executable} -m repro run fig8b --profile smoke --engine slurm"
    )
    started = time.monotonic()
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script],
        env=place.surroundings(),
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare failed" in done.stderr or "mount:" in done.stderr:
        pytest.skip("a folder cannot be hidden here")
    assert done.returncode == 2, done.stderr
    assert "all nodes must share SSBREPRO_HOME" in done.stderr
    assert time.monotonic() - started < 110
