"""What all stages are made of, and the types their parameters share."""

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NamedTuple

from annotated_types import Ge, Gt, Lt

if TYPE_CHECKING:  # NumPy takes a while to import, and declaring a stage needs none
    from ssbrepro.results import Context, Result


class Domain(NamedTuple):
    """Where a measured number can lie at all; both ends belong to it."""

    low: float = -math.inf
    high: float = math.inf

    def holds(self, value: float) -> bool:
        """Whether a value lies in it, up to the rounding of a sum of shares."""
        return self.low - 1e-9 <= value <= self.high + 1e-9


REAL = Domain()
NON_NEGATIVE = Domain(low=0)
COUNT = Domain(low=0)  # of things or of epochs; a median of counts need not be whole
NON_POSITIVE = Domain(high=0)
AT_LEAST_ONE = Domain(low=1)  # the larger over the smaller
SHARE = Domain(0, 1)
SIGNED_SHARE = Domain(-1, 1)  # a correlation, a difference of two shares
ASYMMETRY = Domain(0, 2)  # the distance to the mirror image over the mean magnitude

# Types of parameters.
Count = Annotated[int, Ge(1)]
Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Gt(0), Lt(1)]  # strictly between 0 and 1

# The archive's MD5 as published with the dataset; every file in it is checked when read.
CIFAR10_DIGEST = "cifar-10-python md5:c58f30108f718f92721af3b95e74349a"


@dataclass(frozen=True)
class Stage:
    """A named computation: what it takes, which stages it needs, and where it lives."""

    name: str
    parameters: type
    numbers: Mapping[str, Domain]  # what it measures, for manifests to refer to
    module: str
    function: str
    needs: tuple[str, ...] = ()
    data: str | None = None  # digest of the dataset it reads

    def run(self, parameters: object, context: "Context") -> "Result":
        """Run the stage.

        Raises:
            RuntimeError: If it does not account for exactly the numbers it declares, or one of them
                lies where it cannot.
        """
        function = getattr(importlib.import_module(self.module), self.function)
        result: Result = function(parameters, context)
        if {*result.numbers, *result.missing} != {*self.numbers}:
            raise RuntimeError(f"stage {self.name} measured {sorted(result.numbers)}")
        for name, value in result.numbers.items():
            if not self.numbers[name].holds(value):
                low, high = self.numbers[name]
                raise RuntimeError(f"stage {self.name}: {name} = {value}, not in [{low}, {high}]")
        return result
