"""Commands that attacks start, as a user does: real processes, known again by their home."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.housekeeping import check
from repro.inventory import Home

CHECKOUT = Path(__file__).parents[1]
GRACE_SECONDS = 1.0
"""How long a process may outlive the command that it worked for, on a machine that has time for it."""
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT
_END_SECONDS = 120.0  # a command that has not ended by then waits for something


@dataclass(frozen=True)
class Ended:
    """How a command ended, what it said, and the processor time that it took."""

    status: int
    out: str
    err: str
    seconds: float


class Command:
    """A command on a home, its output in files, so that it never waits for a reader.

    Args:
        home: Its ``SSBREPRO_HOME``.
        arguments: What follows ``repro``.
        prefix: What starts it, such as ``nohup``.
    """

    def __init__(self, home: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> None:
        self.home = home
        self._said = [home.parent / f"{home.name}.{name}" for name in ("out", "err")]
        with self._said[0].open("wb") as out, self._said[1].open("wb") as err:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "repro", *arguments],
                env=_environment(home),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=home.parent,  # where `repro report` writes its page
                start_new_session=True,
            )

    def seconds(self) -> float:
        """The processor time that it has taken, without its children's; also once it has ended."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text("utf-8", errors="replace")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def has_ended(self) -> bool:
        """Whether it has; it is not waited for, so that its id stays its own."""
        return os.waitid(os.P_PID, self.process.pid, _LOOK) is not None

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end, so long at most; whether it has come."""
        deadline = time.monotonic() + seconds
        while not self.has_ended():
            if (left := deadline - time.monotonic()) <= 0:
                return False
            time.sleep(min(0.02, left))
        return True

    def wait(self) -> Ended:
        """Wait for its end; if that does not come, it is aborted, and says where it was."""
        if not self.ends_within(_END_SECONDS):
            self.process.send_signal(signal.SIGABRT)
        taken = self.seconds()
        status = self.process.wait()
        out, err = (path.read_text("utf-8", errors="replace") for path in self._said)
        return Ended(status, out, err, taken)


def run_figures(home: Path, *arguments: str) -> tuple[Ended, dict[str, Any]]:
    """Run figures to the end; what ``--json`` says of each, by its name."""
    path = home.parent / f"{home.name}.json"
    ended = Command(home, *arguments, "--json", str(path)).wait()
    content = json.loads(path.read_text("utf-8")) if path.exists() else {"figures": []}
    return ended, {figure["id"]: figure for figure in content["figures"]}


def numbers(figures: Mapping[str, Any]) -> dict[str, Any]:
    """All that figures measured, and what was made of it."""
    return {name: (one["metrics"], one["verdicts"]) for name, one in figures.items()}


def processes_of(home: Path) -> list[str]:
    """Processes that were started for a home and still have memory, each with its command line."""
    wanted, found = f"SSBREPRO_HOME={home}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found.append(f"{folder.name} {line.decode(errors='replace').strip()}")
    return found


def outliving(home: Path) -> list[str]:
    """Processes of a home that are there after the grace that they have."""
    deadline = time.monotonic() + GRACE_SECONDS
    while (found := processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.02)
    if found:  # where an interpreter takes long to start and to end, so does all else
        subprocess.run([sys.executable, "-c", ""], check=True)
        found = processes_of(home)
    return found


def partial(home: Path) -> list[str]:
    """What was begun in a home and neither finished nor removed."""
    return sorted(str(path.relative_to(home)) for path in home.rglob(".*"))


def damaged(home: Path) -> list[str]:
    """What ``repro store check`` finds damaged, or set aside as damaged."""
    checked = check(Home(home), lambda done, total: None)
    return [f"{one.path}: {one.problem}" for one in checked.damaged] + ["set aside"] * (
        checked.set_aside
    )


def _environment(home: Path) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(CHECKOUT),
        "SSBREPRO_HOME": str(home),
        "SSBREPRO_MANIFESTS": str(CHECKOUT / "manifests"),
        "SSBREPRO_KERNELS": "portable",
        "MLFLOW_TRACKING_URI": "none",
        "OMP_NUM_THREADS": "1",
        "PYTHONFAULTHANDLER": "1",
    }
