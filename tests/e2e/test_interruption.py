"""Killed, interrupted, out of space: the same command continues, to the same bytes."""

import os
import signal
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import LIMIT, Undisturbed, Workplace, enlarge, fill, until

RUN = ("run", "fig8a", "--profile", "smoke")
KEYS = {"training": 0, "spectrum": 1}

# What is killed, in which stage, and once which state has been saved ("" for: once it runs).
Moment = tuple[str, str, str]
MOMENTS: list[Moment] = [
    ("parent", "training", "epoch.npz"),
    ("parent", "training", ""),
    ("parent", "training", "checkpoint-2.npz"),
    ("parent", "spectrum", ""),
    ("parent", "spectrum", "checkpoint-0.npz"),
    ("worker", "training", ""),
    ("worker", "training", "epoch.npz"),
    ("worker", "training", "checkpoint-4.npz"),
    ("worker", "spectrum", "checkpoint-0.npz"),
    ("worker", "spectrum", "checkpoint-2.npz"),
    ("nursery", "training", ""),
    ("nursery", "training", "epoch.npz"),
]


def begun(
    place: Workplace, state: str, processes: Callable[[], list[int]]
) -> Callable[[], int | None]:
    """Whether such a process runs and that state has been saved; then the process's id."""

    def look() -> int | None:
        found = processes()
        return found[0] if found and (not state or state in place.scratch()) else None

    return look


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "stage", "state"), MOMENTS)
def test_a_killed_run_continues_to_the_same_bytes(
    place: Workplace, undisturbed: Undisturbed, victim: str, stage: str, state: str
) -> None:
    figure = "fig8b" if stage == "training" else "fig8a"
    if stage == "spectrum":
        undisturbed.lend(place, "training")
    process = place.start("run", figure, "--profile", "smoke")
    # "Once it runs" is for the parent, too, while what steps are forked from still imports.
    processes = place.workers if victim == "worker" else place.nurseries
    found = until(begun(place, state, processes), f"{stage} saves {state}")
    os.kill(process.pid if victim == "parent" else found, signal.SIGKILL)
    _, err = process.communicate(timeout=LIMIT)
    if victim == "parent":
        assert process.returncode == -signal.SIGKILL
        until(lambda: not place.processes(), "the worker ends when its parent does")
    else:
        assert process.returncode == 3
        last = err.strip().splitlines()[-1]
        assert last.startswith(f"stage {stage} was killed by signal 9 (out of memory?); its log is")
        assert "Traceback" not in err
    step = undisturbed.entry["steps"][KEYS[stage]]
    assert not (place.home / "store" / step["key"]).exists()

    entry = place.figure(figure)
    assert entry["steps"][-1]["status"] == "ran"
    if state:
        assert "continuing where it stopped" in entry["said"]
    assert place.result(step["key"]) == undisturbed.digests[step["key"]]
    assert place.unfinished() == []
    assert place.processes() == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "stage"),
    [
        (signal.SIGINT, "training"),
        (signal.SIGTERM, "training"),
        (signal.SIGINT, "spectrum"),
    ],
)
def test_a_signal_ends_the_run_and_its_worker(
    place: Workplace, undisturbed: Undisturbed, number: signal.Signals, stage: str
) -> None:
    if stage == "spectrum":
        undisturbed.lend(place, "training")
    process = place.start(*RUN)
    state = {"training": "epoch.npz", "spectrum": "checkpoint-0.npz"}[stage]
    until(begun(place, state, place.workers), f"{stage} saves {state}")
    os.killpg(process.pid, number)  # as a terminal sends it: to the whole group
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + number
    assert err.strip().splitlines()[-1] == (
        "interrupted; the same command continues where this one stopped"
    )
    assert "Traceback" not in err
    assert place.processes() == {}  # when the command ends, not some time later
    assert [path for path in place.unfinished() if path.name.startswith(".")] == []

    figure = "fig8b" if stage == "training" else "fig8a"
    entry = place.figure(figure)
    assert "continuing where it stopped" in entry["said"]
    step = undisturbed.entry["steps"][KEYS[stage]]
    assert place.result(step["key"]) == undisturbed.digests[step["key"]]


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_state_is_computed_again(
    place: Workplace, undisturbed: Undisturbed, damage: str
) -> None:
    process = place.start("run", "fig8b", "--profile", "smoke")
    until(
        begun(place, "checkpoint-2.npz", place.workers),
        "training saves checkpoint-2",
    )
    process.kill()
    process.communicate()
    until(lambda: not place.processes(), "the worker ends when its parent does")
    (path,) = place.home.glob("scratch/*/checkpoint-0.npz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if damage == "flipped" else content[: len(content) // 2])
    entry = place.figure("fig8b")
    assert "is damaged; what it held is computed again" in " ".join(entry["said"].split())
    (step,) = entry["steps"]
    assert place.result(step["key"]) == undisturbed.digests[step["key"]]


def test_a_home_below_a_file_is_one_line(place: Workplace) -> None:
    """Fails for root too, unlike a folder without permissions."""
    place.home = place.home.parent / "file" / "home"
    place.home.parent.write_text("")
    done = place.call("run", "fig8b", "--profile", "smoke")
    assert done.returncode == 2
    assert done.stderr == f"SSBREPRO_HOME={place.home}: is no folder: Not a directory\n"


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 100_000, 400_000])
def test_a_full_disk_is_one_line_and_nothing_half_written(
    place: Workplace, undisturbed: Undisturbed, small_disk: Path, left: int
) -> None:
    place.home = small_disk / "home"
    place.home.mkdir()
    ballast = fill(small_disk, left)
    done = place.call("run", "fig8b", "--profile", "smoke")
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert str(place.home) in last
    assert "No space left on device" in last
    assert place.processes() == {}
    key = undisturbed.entry["steps"][0]["key"]
    if (place.home / "store" / key).exists():  # whole, or it would not have its name
        assert place.result(key) == undisturbed.digests[key]

    ballast.unlink()
    enlarge(small_disk)
    place.figure("fig8b")
    assert place.result(key) == undisturbed.digests[key]
    assert place.unfinished() == []


@pytest.mark.slow
def test_mlflow_that_is_not_there_fails_no_run_and_gets_it_later(
    place: Workplace, undisturbed: Undisturbed
) -> None:
    undisturbed.lend(place, "training")
    with socket.socket() as probe:  # bound and not listening: nobody answers
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        place.environment["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{port}"
        entry = place.figure("fig8b")
        words = " ".join(entry["said"].split())
        assert f"MLflow at http://127.0.0.1:{port}: " in words
        assert "the run is complete and recorded; `repro track` sends it later" in words
        assert place.call("track").returncode == 3

    database = place.home / "mlflow.db"
    place.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{database}"
    done = place.call("track")
    assert done.returncode == 0, done.stderr
    assert "1 runs are in MLflow" in " ".join(done.stdout.split())

    def rows() -> list[int]:
        with sqlite3.connect(database) as opened:
            counts = [
                opened.execute(f"select count(*) from {table}").fetchone()[0]
                for table in ("runs", "params", "metrics")
            ]
        opened.close()
        return counts

    before = rows()
    assert before[0] == 3  # the run and its two steps
    for path in place.home.rglob("tracked.json"):
        path.unlink()
    assert place.call("track").returncode == 0
    assert rows() == before
