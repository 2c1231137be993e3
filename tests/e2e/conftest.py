"""The command `repro` as a user runs it: real processes, real images, figures of seconds."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import CHECKOUT, copy_manifests

LIMIT = (
    240.0  # seconds; a run takes some ten on an idle machine, and several times that on a busy one
)


@dataclass
class Workplace:
    """A home, manifests, and the command line that uses them."""

    home: Path
    manifests: Path
    data: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def surroundings(self) -> dict[str, str]:
        """The variables that commands run with."""
        ours = {
            "PYTHONPATH": str(CHECKOUT),
            "SSBREPRO_HOME": str(self.home),
            "SSBREPRO_MANIFESTS": str(self.manifests),
            "SSBREPRO_DATA": str(self.data),
            "MLFLOW_TRACKING_URI": "none",
            "OMP_NUM_THREADS": "1",
        }
        return os.environ | ours | self.environment

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start `repro`, in a process group of its own as a terminal does."""
        process = subprocess.Popen(
            [sys.executable, "-m", "repro", *arguments],
            env=self.surroundings(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=self.manifests.parent,
        )
        self.started.append(process)
        return process

    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `repro` to its end."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=LIMIT)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def figure(self, name: str, *options: str) -> dict[str, Any]:
        """Run a figure; its entry of ``--json``. A figure this small supports few claims."""
        path = self.home.parent / f"{self.home.name}.json"
        path.unlink(missing_ok=True)
        done = self.call("run", name, "--profile", "smoke", "--json", str(path), *options)
        assert done.returncode in (0, 1), done.stderr
        assert "Traceback" not in done.stderr
        (entry,) = json.loads(path.read_text())["figures"]
        assert (done.returncode == 1) == bool(entry["failures"])
        return dict(entry, said=done.stderr)

    def result(self, key: str) -> dict[str, str]:
        """Digests of what a step left, the record of its circumstances aside."""
        folder = self.home / "store" / key
        return {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ("arrays.npz", "result.json")
        }

    def scratch(self) -> set[str]:
        """Names of the states that running steps have saved."""
        return {path.name for path in self.home.glob("scratch/*/*.npz")}

    def unfinished(self) -> list[Path]:
        """What a killed process leaves; nothing of it may stay after the next run."""
        return [
            path
            for folder in ("store", "runs", "scratch")
            for path in (self.home / folder).rglob("*")
            if path.name.startswith(".") or path.parent.name == "scratch"
        ]

    def processes(self) -> dict[int, int]:
        """The processes that compute for this home, each with its parent's id."""
        mine = f"SSBREPRO_HOME={self.home}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if b"repro.engines.nursery" not in (folder / "cmdline").read_bytes().split(b"\0"):
                    continue
                if mine in (folder / "environ").read_bytes().split(b"\0"):
                    status = (folder / "stat").read_text().rpartition(")")[2].split()
                    found[int(folder.name)] = int(status[1])
            except (OSError, IndexError):  # it ended meanwhile
                continue
        return found

    def nurseries(self) -> list[int]:
        """Process ids of what steps are forked from."""
        processes = self.processes()
        return [process for process, parent in processes.items() if parent not in processes]

    def workers(self) -> list[int]:
        """Process ids of the steps that run."""
        processes = self.processes()
        return [process for process, parent in processes.items() if parent in processes]

    def end(self) -> None:
        """Leave no process behind, whatever a test did."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for computing in self.processes():
            os.kill(computing, signal.SIGKILL)


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something that must happen, however slow the machine."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    pytest.fail(f"in vain: {what}")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifests whose profile smoke takes seconds."""
    return copy_manifests(tmp_path_factory.mktemp("tiny") / "manifests", controls=True)


@pytest.fixture
def place(tmp_path: Path, tiny: Path, data_root: Path) -> Iterator[Workplace]:
    """An empty home."""
    manifests = tmp_path / "manifests"
    shutil.copytree(tiny, manifests)
    workplace = Workplace(tmp_path / "home", manifests, data_root)
    yield workplace
    workplace.end()


@dataclass
class Undisturbed:
    """A run of fig8a that nothing disturbed."""

    place: Workplace
    entry: dict[str, Any]

    @property
    def digests(self) -> dict[str, dict[str, str]]:
        """Of each step's files, by its key."""
        return {step["key"]: self.place.result(step["key"]) for step in self.entry["steps"]}

    def lend(self, place: Workplace, *stages: str) -> None:
        """Give another home the results of some stages."""
        for step in self.entry["steps"]:
            if step["stage"] in stages:
                name = Path("store") / step["key"]
                shutil.copytree(self.place.home / name, place.home / name)


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, tiny: Path, data_root: Path
) -> Iterator[Undisturbed]:
    """fig8a in a home of its own, which tests read and copy but do not change."""
    place = Workplace(tmp_path_factory.mktemp("undisturbed") / "home", tiny, data_root)
    try:
        yield Undisturbed(place, place.figure("fig8a"))
    finally:
        place.end()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mounted)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield mounted
    subprocess.run(["umount", "--lazy", str(mounted)], check=True)


def fill(disk: Path, left: int) -> Path:
    """A file that leaves so many bytes of a disk."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    os.truncate(ballast, ballast.stat().st_size - left)
    return ballast


def enlarge(disk: Path) -> None:
    """Make a small disk one that holds a home."""
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
