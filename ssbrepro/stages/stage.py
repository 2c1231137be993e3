"""What all stages are made of, and the types their parameters share."""

import importlib
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Lt

from ssbrepro.results import Context, Result

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
    numbers: tuple[str, ...]  # what it measures, for manifests to refer to
    module: str
    function: str
    needs: tuple[str, ...] = ()
    data: str | None = None  # digest of the dataset it reads

    def run(self, parameters: object, context: Context) -> Result:
        """Run the stage.

        Raises:
            RuntimeError: If it does not account for exactly the numbers it declares.
        """
        function = getattr(importlib.import_module(self.module), self.function)
        result: Result = function(parameters, context)
        if {*result.numbers, *result.missing} != {*self.numbers}:
            raise RuntimeError(f"stage {self.name} measured {sorted(result.numbers)}")
        return result
