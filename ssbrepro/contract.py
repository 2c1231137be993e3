"""All that harness and science share: what a stage declares, receives and returns.

Light, as declarations of stages are: it imports neither NumPy nor PyTorch.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeAlias

from annotated_types import Ge, Gt, Lt

from ssbrepro.domains import Domain

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"

# How the reason begins for a number that is missing because the measurement, at this size, comes out
# alike whether the statement is true or false. That is a finding; "not measured" is none.
WITHOUT_POWER = "without power"


class DataError(Exception):
    """A dataset is not there, or not byte for byte what it should be."""


@dataclass(frozen=True)
class Series:
    """A quantity recorded over epochs, by the names of two equally long arrays of the result."""

    epochs: str
    values: str


@dataclass(frozen=True)
class Result:
    """The outcome of a stage: arrays, single numbers, and which arrays are curves over epochs.

    ``numbers`` are finite. A number that could not be measured is absent from them and has its
    reason in ``missing``, which begins with ``WITHOUT_POWER`` where its control shows that it could not
    tell. Arrays may hold NaN where the stage's documentation says so.
    """

    arrays: Mapping[str, Array]
    numbers: Mapping[str, float]
    series: Mapping[str, Series] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, number in self.numbers.items():
            if not math.isfinite(number):
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
        data_root: Folder of all datasets, for the modules of ``ssbrepro.data``.
        inputs: Results of the stages this one needs, by stage name.
        progress: Where to report and to keep state.
    """

    seed: int
    device: str
    data_root: Path
    inputs: Mapping[str, Input] = field(default_factory=dict)
    progress: Progress = field(default_factory=NoProgress)


# Types of parameters.
Count = Annotated[int, Ge(1)]
Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Gt(0), Lt(1)]  # strictly between 0 and 1
Imitations = Annotated[int, Ge(19)]  # of chance: enough for a 95 % quantile


@dataclass(frozen=True)
class Stage:
    """A computation that manifests can name: one module, which declares it as ``STAGE``.

    Its name is that of the module, and its paper the one whose package the module is in.
    """

    parameters: type
    numbers: Mapping[str, Domain]  # what it measures, for manifests to refer to
    function: Callable[[Any, Context], Result]
    needs: tuple[str, ...] = ()  # stages of the same paper whose results it receives
    data: str | None = None  # name of the dataset it reads

    @property
    def module(self) -> str:
        """The module that holds all of it."""
        return self.function.__module__

    @property
    def name(self) -> str:
        """Its name within its paper."""
        return self.module.rpartition(".")[2]

    def run(self, parameters: object, context: Context) -> Result:
        """Run the stage.

        Raises:
            RuntimeError: If it does not account for exactly the numbers it declares, or one of them
                lies where it cannot.
        """
        result = self.function(parameters, context)
        if {*result.numbers, *result.missing} != {*self.numbers}:
            raise RuntimeError(f"stage {self.name} measured {sorted(result.numbers)}")
        for name, value in result.numbers.items():
            if not self.numbers[name].holds(value):
                domain = self.numbers[name]
                raise RuntimeError(f"stage {self.name}: {name} = {value}, not in {domain}")
        return result
