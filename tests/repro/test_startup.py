"""What a command does not import before it has to: every prompt waits for it."""

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from repro.manifests.library import Library
from repro.manifests.loading import load
from tests.fakes import CHECKOUT, MANIFESTS

HEAVY = {"torch", "torchvision", "scipy", "numpy", "mlflow", "docker", "matplotlib"}


@cache
def imported_by(*arguments: str) -> set[str]:
    """Modules a command has imported when it ends; it has to end well."""
    script = (
        "import atexit, sys\n"
        "from repro import cli\n"
        "atexit.register(lambda: print('imported', *sys.modules))\n"
        f"sys.argv = {['repro', *arguments]!r}\n"
        "cli.main()\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONPATH": str(CHECKOUT), "SSBREPRO_HOME": folder},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("list",),
        ("compare", "fig8a@smoke:0-4", "fig8a@smoke:0-4"),
        ("store", "check"),
        ("store", "clean"),
    ],
)
def test_what_only_reads_imports_no_library_that_computes_or_serves(
    arguments: tuple[str, ...],
) -> None:
    imported = imported_by(*arguments)
    assert "repro.cli" in imported
    assert HEAVY & imported == set()


def test_help_builds_no_models_of_manifests() -> None:
    assert "repro.manifests.models" not in imported_by("--help")
    assert "repro.manifests.models" in imported_by("list")


def test_what_figures_share_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def noting(path: Path, model: Any) -> Any:
        read.append(path.name)
        return load(path, model)

    monkeypatch.setattr("repro.manifests.library.load", noting)
    library = Library(MANIFESTS)
    for figure in ("fig8a", "fig8b"):
        library.load(f"li2022/{figure}")
    assert read == ["paper.yaml", "fig8a.yaml", "experiment.yaml", "fig8b.yaml"]
