"""Tests run on a copy of the checkout, each time in a process of its own."""

import contextlib
import importlib.util
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", ".ssbrepro", "_build", "__pycache__", ".*_cache"
)
# What takes long to import and is not ours: imported once, by the process that all others fork from.
_HEAVY = [
    "_hypothesis_pytestplugin", "hypothesis", "matplotlib.figure", "pydantic", "pytest", "rich",
    "scipy.stats", "torch", "typer",
]  # fmt: skip
_PYTEST = 64  # what is added to pytest's exit status: Python's own is 1, of whatever exception
_OPTIONS = (
    "--exitfirst", "--quiet", "-p", "no:cacheprovider", "-p", "no:xdist",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",  # of hypothesis, which is imported already
    "-m", "not slow and not container and not browser and not cluster",
)  # fmt: skip


class Copy:
    """A checkout's copy, whose modules can be changed.

    Args:
        checkout: What is copied.
        folder: Where to; what is there is left alone.
    """

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.root = folder / "checkout"
        self.said = folder / "said"
        shutil.copytree(checkout, self.root, ignore=_LEFT_OUT)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_HEAVY)

    def source(self, module: str) -> str:
        """The text of a module."""
        return (self.root / module).read_text("utf-8")

    def change(self, module: str, source: str) -> None:
        """Give a module another text."""
        path = self.root / module
        path.write_text(source, "utf-8")
        # Python takes a text of the same second and the same length for the same.
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)

    def passes(self, tests: Sequence[str], limit: float) -> bool:
        """Whether quick tests pass within so many seconds; ``said`` is then what pytest printed.

        Raises:
            RuntimeError: If they were not run.
        """
        process = self._context.Process(target=_run, args=(self.root, self.said, tests))
        process.start()
        try:
            process.join(limit)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid or 0, signal.SIGKILL)  # it, and what it left behind
            process.kill()  # if it had no time to become the first of its group
            process.join()
        if process.exitcode == 1:  # before there was pytest: that says nothing of the tests
            raise RuntimeError(f"{self.root}: no process for tests could be started")
        return process.exitcode == _PYTEST + pytest.ExitCode.OK


def _run(root: Path, said: Path, tests: Sequence[str]) -> NoReturn:
    os.setsid()
    with said.open("wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    os.chdir(root)
    # Before the checkout that is installed, here and in processes that the tests start.
    sys.path.insert(0, str(root))
    os.environ |= {"PYTHONPATH": str(root), "SSBREPRO_MANIFESTS": str(root / "manifests")}
    sys.dont_write_bytecode = False
    status = pytest.main([*_OPTIONS, *tests])
    sys.stdout.flush()
    os._exit(_PYTEST + status)  # threads that a changed module leaves behind are not waited for
