"""A run begun on one machine and finished on another: one file carries it, to the same bytes."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import LIMIT, Undisturbed, Workplace, enlarge, fill, until
from tests.fakes import contents, hidden


def another(place: Workplace) -> Workplace:
    """A home elsewhere, empty."""
    return dataclasses.replace(place, home=place.home.parent / "elsewhere" / "home")


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("stage", ["training", "spectrum"])
def test_what_was_begun_here_is_finished_there_to_the_same_bytes(
    place: Workplace, undisturbed: Undisturbed, stage: str, stopped: bool
) -> None:
    """Exported while it runs, or after it was killed as on a node that is taken away."""
    if stage == "spectrum":
        undisturbed.lend(place, "training")
    state = {"training": "epoch.npz", "spectrum": "checkpoint-0.npz"}[stage]
    process = place.start("run", "fig8a", "--profile", "smoke")
    until(lambda: state in place.scratch(), f"{stage} saves {state}")
    if stopped:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=LIMIT)
    file = str(place.home.parent / "results.zip")
    done = place.call("store", "export", file)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    if not stopped:
        process.terminate()
        process.communicate(timeout=LIMIT)

    there = another(place)
    done = there.call("store", "import", file)
    assert done.returncode == 0, done.stderr
    assert "saved states of 1 step" in done.stdout
    entry = there.figure("fig8a")
    assert "continuing where it stopped" in entry["said"]
    for step in entry["steps"]:
        lent = stage == "spectrum" and step["stage"] == "training"
        assert step["status"] == ("stored" if lent else "ran")
        assert there.result(step["key"]) == undisturbed.digests[step["key"]]
    assert there.unfinished() == []


@pytest.mark.slow
def test_a_finished_run_is_as_finished_there(place: Workplace, undisturbed: Undisturbed) -> None:
    file = str(place.home.parent / "results.zip")
    assert undisturbed.place.call("store", "export", file, "fig8a").returncode == 0
    assert place.call("store", "import", file).returncode == 0
    assert place.call("store", "check").returncode == 0
    listed = place.home.parent / "list.json"
    assert place.call("list", "--json", str(listed)).returncode == 0
    figures = json.loads(listed.read_text())["figures"]
    assert [one["id"] for one in figures if one["verdict"] and one["profile"]] == ["li2022/fig8a"]
    entry = place.figure("fig8a")
    assert {step["status"] for step in entry["steps"]} == {"stored"}
    before = contents(place.home)
    done = place.call("store", "clean", "--yes")
    assert done.stdout == f"{place.home}: nothing to remove\n"
    assert contents(place.home) == before


@pytest.mark.slow
def test_a_full_disk_lets_nothing_half_out_or_in(
    place: Workplace, undisturbed: Undisturbed, small_disk: Path
) -> None:
    file = place.home.parent / "results.zip"
    assert undisturbed.place.call("store", "export", str(file)).returncode == 0
    size = file.stat().st_size
    ballast = fill(small_disk, size // 2)
    done = undisturbed.place.call("store", "export", str(small_disk / "results.zip"))
    assert_full(done.returncode, done.stderr, str(small_disk / "results.zip"))
    assert [*small_disk.iterdir()] == [ballast]

    place.home = small_disk / "home"
    for left in (size // 2, size):  # less than there is in it, and less than that takes on a disk
        ballast.unlink()
        fill(small_disk, left)
        done = place.call("store", "import", str(file))
        assert_full(done.returncode, done.stderr, str(place.home))
        assert hidden(place.home) == []
        assert contents(place.home) == {}
    ballast.unlink()
    enlarge(small_disk)
    assert place.call("store", "import", str(file)).returncode == 0
    assert place.call("store", "check").returncode == 0


def assert_full(status: int, said: str, path: str) -> None:
    """One line says that there is no space, and where."""
    assert status == 3
    (line,) = said.strip().splitlines()
    assert line.startswith(path)
    assert "No space left on device" in line or "make room" in line
