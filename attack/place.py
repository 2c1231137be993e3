"""A small home with its manifests, and the command line in this process: what attacks on files share."""

import contextlib
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from repro import cli
from repro.settings import MANIFESTS

FIGURE = "ssb2018/fig1"  # one step, of a hundredth of a second; runs of it are recorded
LONG = "ssb2018/information-plane"  # its first step saves states as it goes
RUN = ("--profile", "smoke", "--device", "cpu", "--engine", "inline")
_PAPER = "ssb2018"
# Sizes at which that step takes a tenth of a second.
_SMALL = {"num_networks": 2, "batch_size": 4096, "num_epochs": 12, "num_checkpoints": 6}


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """All of it, a line each."""
        return [*self.out.splitlines(), *self.err.splitlines()]


@dataclass(frozen=True)
class Place:
    """A home and manifests, and the command line that uses them."""

    home: Path
    manifests: Path

    @property
    def references(self) -> Path:
        """Where recorded runs are."""
        return self.manifests / _PAPER / "references"

    def copy(self, root: Path) -> "Place":
        """Another one, with files of its own."""
        for folder, name in ((self.home, "home"), (self.manifests, "manifests")):
            shutil.copytree(folder, root / name)
        return Place(root / "home", root / "manifests")

    def call(self, *arguments: str) -> Said:
        """Run `repro` to its end; what a user would see as a traceback is raised."""
        said, told = (
            io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", newline="")
            for _ in range(2)
        )
        status: Any = None
        with contextlib.ExitStack() as stack:
            stack.enter_context(_signals_kept())
            stack.enter_context(mock.patch.dict(os.environ, self._environment()))
            stack.enter_context(mock.patch.object(sys, "argv", ["repro", *arguments]))
            stack.enter_context(mock.patch("repro.outcome.recording.draw", _draw))
            stack.enter_context(contextlib.redirect_stdout(said))
            stack.enter_context(contextlib.redirect_stderr(told))
            try:
                cli.main()
            except SystemExit as ended:
                status = ended.code
        return Said(int(status or 0), *(_written(one) for one in (said, told)))

    def json(self, *arguments: str) -> tuple[Said, Any]:
        """What a command said, and its ``--json`` without times; None if there is none."""
        said = self.call(*arguments, "--json", "-")
        return said, timeless(json.loads(said.out)) if said.out else None

    def _environment(self) -> dict[str, str]:
        return {
            "SSBREPRO_HOME": str(self.home),
            "SSBREPRO_MANIFESTS": str(self.manifests),
            "SSBREPRO_DATA": str(self.home / "data"),
            "MLFLOW_TRACKING_URI": "none",
            "OMP_NUM_THREADS": "1",
        }


def made(root: Path, figure: str) -> Place:
    """A place with the manifest of one of the figures above, of which nothing has been run."""
    place = Place(root / "home", root / "manifests")
    place.home.mkdir(parents=True)
    place.references.mkdir(parents=True)
    shutil.copy(MANIFESTS / "profiles.yaml", place.manifests)
    for name in ("paper", Path(figure).name):
        shutil.copy(MANIFESTS / _PAPER / f"{name}.yaml", place.manifests / _PAPER)
    if figure == LONG:
        shared = yaml.safe_load((MANIFESTS / _PAPER / "experiment.yaml").read_text("utf-8"))
        small = _of_one_stage(shared, "tishby_training", _SMALL)
        text = yaml.safe_dump(small, sort_keys=False)
        (place.manifests / _PAPER / "experiment.yaml").write_text(text, "utf-8")
    else:
        _copy_references(place.references)
    return place


def _of_one_stage(experiment: Any, stage: str, small: Mapping[str, int]) -> Any:
    """Shared stages without all others: less to read, a hundred times over."""
    profiles = {
        name: profile | {stage: profile.get(stage, {}) | (small if name == "smoke" else {})}
        for name, profile in experiment["profiles"].items()
    }
    kept = {"why", "omitted", stage}
    profiles = {
        name: {field: value for field, value in profile.items() if field in kept}
        for name, profile in profiles.items()
    }
    return experiment | {"stages": {stage: experiment["stages"][stage]}, "profiles": profiles}


def timeless(content: Any) -> Any:
    """What commands say in JSON without what differs between two runs of the same."""
    if isinstance(content, dict):
        volatile = ("seconds", "artifacts", "recorded_at")
        kept = {name: value for name, value in content.items() if name not in volatile}
        if "stage" in kept:
            kept.pop("status", None)  # "ran" or "stored"
        return {name: timeless(value) for name, value in kept.items()}
    return [timeless(one) for one in content] if isinstance(content, list) else content


def _copy_references(to: Path) -> None:
    """The recorded runs of the small figure, with their digests where there are any."""
    source = MANIFESTS / _PAPER / "references"
    for path in source.glob(f"{Path(FIGURE).name}.*"):
        shutil.copy(path, to)
    for listed in source.glob("*SUMS*"):
        lines = listed.read_text("utf-8").splitlines(keepends=True)
        kept = [line for line in lines if (to / line.split()[-1]).exists()]
        (to / listed.name).write_text("".join(kept), "utf-8")


def _draw(figure_id: str, arrays: Any, small_print: Any, folder: Path) -> list[Path]:
    """Stands in for a picture, which takes a second: the same bytes whenever the same is said."""
    name = Path(figure_id).name
    pixel = bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c"
        "6360606060000000050001a5f645400000000049454e44ae426082"
    )
    (folder / f"{name}.png").write_bytes(pixel)
    (folder / f"{name}.svg").write_text(f"<svg><!-- {'; '.join(small_print)} --></svg>", "utf-8")
    return [folder / f"{name}.png", folder / f"{name}.svg"]


def _written(text: io.TextIOWrapper) -> str:
    """What was written to a file in memory, as text or as bytes."""
    text.flush()
    text.seek(0)
    return text.read()


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
