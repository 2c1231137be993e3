"""The eigenvalues near zero of networks whose step size is not cut: what zero_modes is held against."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ssbrepro.contract import Context, Input, Result, Stage
from ssbrepro.lazy import lazily
from ssbrepro.papers.ssb2018.stages.zero_modes import NUMBERS

with lazily():
    from ssbrepro.papers.ssb2018.stages import zero_modes


@dataclass(frozen=True)
class Parameters:
    """None of its own: those of ``zero_modes``."""


def run(parameters: Parameters, context: Context) -> Result:
    """Measure as ``zero_modes`` does, at the same two epochs, with the same start vectors.

    No cut, no phase transition: if the share of eigenvalues near zero grows all the same, its growth
    does not tell one. Arrays, numbers and errors are those of ``zero_modes``.
    """
    training = Input(
        context.inputs["residual_training"].parameters, context.inputs["uncut_training"].arrays
    )
    uncut = dataclasses.replace(context, inputs={"residual_training": training})
    return zero_modes.run(context.inputs["zero_modes"].parameters, uncut)


STAGE = Stage(
    Parameters,
    NUMBERS,
    run,
    needs=("residual_training", "uncut_training", "zero_modes"),
    data="cifar10",
)
