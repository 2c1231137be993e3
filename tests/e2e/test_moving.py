"""A home that was copied and renamed: every command works there, and there alone."""

import contextlib
import json
import os
import shutil
import signal
import socket
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from repro.outcome.record import Run
from tests.e2e.conftest import LIMIT, Workplace, until
from tests.fakes import BOTH_STAGES, FIGURE, copy_manifests, recorded, settings_below


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    """An empty home, with runs to be sent to its own database."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as the processes have: it is part of a step's key
    workplace = Workplace(
        tmp_path / "home", copy_manifests(tmp_path / "manifests"), tmp_path / "data"
    )
    workplace.environment["MLFLOW_TRACKING_URI"] = ""
    yield workplace
    workplace.end()


@pytest.mark.slow
def test_a_home_works_wherever_it_is(place: Workplace) -> None:
    first = recorded_in(place, BOTH_STAGES)
    done = place.call("track")
    assert done.returncode == 0, done.stderr

    original, folder = place.home, place.home.parent
    before = contents(original)
    place.home = folder / "Ergebnisse für später, 100 %"
    shutil.copytree(original, folder / "copy")
    original.rename(folder / "away")  # to read there now fails, and to write there shows
    (folder / "copy").rename(place.home)

    assert place.call("list", "--json", str(folder / "list.json")).returncode == 0
    figures = json.loads((folder / "list.json").read_text())["figures"]
    assert [figure["id"] for figure in figures if figure["verdict"] and figure["profile"]] == [
        BOTH_STAGES
    ]
    assert place.call("report", "--out", str(folder / "report.html")).returncode == 0
    assert "fig8a" in (folder / "report.html").read_text("utf-8")
    entry = place.figure(BOTH_STAGES)
    assert {step["status"] for step in entry["steps"]} == {"stored"}
    assert all(Path(path).is_relative_to(place.home) for path in entry["artifacts"])
    second = recorded_in(place, FIGURE, seed=1)
    with served(place) as fetch:  # which sends what was not sent yet
        for run in (first, second):
            assert_shown(run, place.home, fetch)

    assert contents(folder / "away") == before
    assert not original.exists()
    assert not (folder / "copy").exists()
    for path, content in contents(place.home).items():
        assert str(folder).encode() not in content, path


def recorded_in(place: Workplace, figure_id: str, seed: int = 0) -> Run:
    settings = replace(settings_below(place.home.parent, place.manifests), home=place.home)
    return recorded(settings, figure_id, seed)


def contents(home: Path) -> dict[Path, bytes]:
    return {path.relative_to(home): path.read_bytes() for path in home.rglob("*") if path.is_file()}


@contextlib.contextmanager
def served(place: Workplace) -> Iterator[Callable[[str], bytes]]:
    """`repro ui` of a home, as what fetches from it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"

    def fetch(page: str) -> bytes:
        with urllib.request.urlopen(f"{address}/{page}", timeout=LIMIT) as answer:
            return bytes(answer.read())

    def ready() -> bool:
        assert process.poll() is None, process.communicate()
        with contextlib.suppress(OSError):
            return fetch("health") == b"OK"
        return False

    process = place.start("ui", "--port", address.rpartition(":")[2])
    try:
        until(ready, "MLflow answers")
        yield fetch
        process.terminate()
        said, _ = process.communicate(timeout=LIMIT)
        assert f"MLflow on {address}" in said
        assert f"li2022: {address}/#/experiments/" in said
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def assert_shown(run: Run, home: Path, fetch: Callable[[str], bytes]) -> None:
    """MLflow's page of a run lists its files, and both of MLflow's ways to fetch them give them."""
    folder = home / "runs" / run.record.id / run.folder.name
    (run_id,) = json.loads((folder / "tracked.json").read_text())["runs"].values()
    listed = json.loads(fetch(f"ajax-api/2.0/mlflow/artifacts/list?run_id={run_id}"))
    assert {file["path"] for file in listed["files"]} == {*run.record.files, "manifest.json"}
    below = listed["root_uri"].removeprefix("mlflow-artifacts:/")
    for name in run.record.files:
        content = (folder / name).read_bytes()
        assert fetch(f"get-artifact?path={name}&run_uuid={run_id}") == content
        assert fetch(f"api/2.0/mlflow-artifacts/artifacts/{below}/{name}") == content
