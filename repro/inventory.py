"""What is in a home: results, saved states, recorded runs, and what processes that ended left.

Looking changes nothing. What is damaged is told from what is whole here, for all who carry, check or
remove it.
"""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repro import files
from repro.engines.engine import TASK
from repro.errors import StoreError
from repro.outcome.reading import run_folders
from repro.store import Store

KEY = re.compile(r"[0-9a-f]{64}")


class Home:
    """The folder ``SSBREPRO_HOME``, or one laid out like it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root / "store")

    def results(self) -> list[str]:
        """Keys of the results that are stored, damaged or not."""
        return _keys(self.root / "store")

    def is_finished(self, key: str) -> bool:
        """Whether a step has a result that is whole."""
        return self.store.has(key) and self.store.problem(key) is None

    def scratches(self) -> list[str]:
        """Keys of the steps that have a scratch folder, with saved states in it or without."""
        return _keys(self.root / "scratch")

    def scratch(self, key: str) -> Path:
        """The scratch folder of a step."""
        return self.root / "scratch" / key

    def states(self, key: str) -> list[Path]:
        """The states that a step has saved."""
        return sorted(self.scratch(key).glob("[!.]*.npz"))

    def task(self, key: str) -> Mapping[str, Any] | None:
        """What an unfinished step was last started with, if that is there to be read."""
        try:
            task = files.read_json(self.scratch(key) / TASK)
        except StoreError:
            return None
        told = isinstance(task, dict) and {"seed", "facts", "inputs"} <= task.keys()
        return task if told and isinstance(task["facts"], dict) else None

    def runs(self) -> list[Path]:
        """The folders of recorded runs, readable or not."""
        return run_folders(self.root)

    def set_aside(self) -> list[Path]:
        """Damaged results that were set aside when they were asked for."""
        return sorted((self.root / "store" / "damaged").glob("*"))

    def partials(self) -> list[Path]:
        """Folders written aside, by processes that run or that were killed."""
        patterns = ("store/.*", "scratch/.*", "runs/.*", "runs/[!.]*/[!.]*/.*")
        return sorted(path for pattern in patterns for path in self.root.glob(f"{pattern}/"))


def size(folder: Path) -> int:
    """Bytes of all files below a folder, as far as nobody removes them meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += Path(place, name).stat(follow_symlinks=False).st_size
    return total


def _keys(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*/") if KEY.fullmatch(path.name))
