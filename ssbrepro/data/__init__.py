"""Datasets, checked before they are read, and found by the name that stages declare.

A further one is a module with the functions :class:`Dataset` calls, and an entry in ``DATASETS``.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssbrepro.data import official

Report = Callable[[int, int], None]  # bytes that are here, bytes in all


class DataError(Exception):
    """A dataset is not there, or not byte for byte what it should be."""


@dataclass(frozen=True)
class State:
    """What there is of a dataset.

    Args:
        folder: Where it lies; None where only what comes with the package serves.
        problems: Files that are missing or damaged, a line each.
    """

    folder: Path | None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A dataset: what people call it, what identifies its content, and the module that knows it."""

    title: str
    digest: str
    module: str

    def inspect(self, root: Path) -> State:
        """Look at what is below ``root`` or comes along, byte for byte.

        Raises:
            DataError: If what comes along is damaged.
        """
        state: State = self._call("inspect", root)
        return state

    def fetch(self, root: Path, mirror: str | None, report: Report) -> None:
        """Download what is missing or damaged.

        Args:
            root: Folder of all datasets.
            mirror: Where to download from instead of the dataset's own address.
            report: Told how much is here, several times a second.

        Raises:
            DataError: If that fails, in one line.
        """
        self._call("fetch", root, mirror, report)

    def _call(self, function: str, *arguments: object) -> Any:
        return getattr(importlib.import_module(self.module), function)(*arguments)


DATASETS = {
    "cifar10": Dataset(
        "CIFAR-10", f"cifar-10-python md5:{official.ARCHIVE_MD5}", "ssbrepro.data.cifar10"
    )
}
