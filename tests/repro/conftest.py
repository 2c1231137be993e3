"""The command line in this process, with stages that take no time."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from repro import cli, selection, signals
from tests.fakes import FakeExecutor, copy_two_figures, draw_a_pixel


@dataclass
class Outcome:
    status: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Standard output without its layout."""
        return " ".join(self.out.split())


@dataclass
class Cli:
    home: Path
    manifests: Path
    executor: FakeExecutor
    call: Callable[..., Outcome]

    def json(self, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        path = self.home.parent / "outcome.json"
        path.unlink(missing_ok=True)
        status = self.call(*arguments, "--json", str(path)).status
        return status, json.loads(path.read_text())["figures"]


@pytest.fixture
def repro(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Cli]:
    home, manifests = tmp_path / "home", copy_two_figures(tmp_path / "manifests")
    monkeypatch.setenv("SSBREPRO_HOME", str(home))
    monkeypatch.setenv("SSBREPRO_MANIFESTS", str(manifests))
    monkeypatch.setenv("SSBREPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "none")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("repro.outcome.recording.draw", draw_a_pixel)
    monkeypatch.setattr("repro.machine.has_cuda", lambda: False)
    executor = FakeExecutor()
    monkeypatch.setitem(selection.ENGINES, "local", lambda jobs: executor)
    handlers = {number: signal.getsignal(number) for number in signals.ending()}

    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["repro", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), said.out, said.err)

    yield Cli(home, manifests, executor, call)
    for number, handler in handlers.items():
        signal.signal(number, handler)
