"""What a stage receives besides its parameters, and what it returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Series:
    """A quantity recorded over epochs, by the names of two equally long arrays of the result."""

    epochs: str
    values: str


@dataclass(frozen=True)
class Result:
    """The outcome of a stage: arrays, single numbers, and which arrays are curves over epochs.

    ``numbers`` are finite. A number that could not be measured is absent from them and has its
    reason in ``missing``. Arrays may hold NaN where the stage's documentation says so.
    """

    arrays: Mapping[str, Array]
    numbers: Mapping[str, float]
    series: Mapping[str, Series] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, number in self.numbers.items():
            if not np.isfinite(number):
                raise ValueError(f"{name} is {number}; a number is finite or missing with a reason")


class Progress(Protocol):
    """How a long computation reports and survives interruption."""

    def report(self, done: int, total: int, activity: str) -> None:
        """Say that ``done`` of ``total`` units of work are finished."""

    def save(self, name: str, state: Mapping[str, Array]) -> None:
        """Keep ``state`` under ``name``, replacing the one before; whole or not at all."""

    def restore(self, name: str) -> dict[str, Array] | None:
        """What an interrupted run of the same computation last saved under ``name``, if any."""


class NoProgress:
    """Reports to nobody and remembers nothing: for notebooks and tests."""

    def report(self, done: int, total: int, activity: str) -> None:
        """Ignore the report."""

    def save(self, name: str, state: Mapping[str, Array]) -> None:
        """Keep nothing."""

    def restore(self, name: str) -> None:
        """Always start anew."""
        return None  # noqa: RET501


@dataclass(frozen=True)
class Input:
    """A finished stage that another one builds on."""

    parameters: Any
    arrays: Mapping[str, Array]


@dataclass(frozen=True)
class Context:
    """Everything a stage may depend on besides its parameters.

    Args:
        seed: Root seed of all random draws.
        device: ``"cpu"`` or ``"cuda"``.
        data_root: Folder that holds ``cifar-10-batches-py``.
        inputs: Results of the stages this one needs, by stage name.
        progress: Where to report and to keep state.
    """

    seed: int
    device: str
    data_root: Path
    inputs: Mapping[str, Input] = field(default_factory=dict)
    progress: Progress = field(default_factory=NoProgress)
