"""Residual networks trained twice: with a cyclical and with a monotone step size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, MinLen

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Positive, Result, Share, Stage
from ssbrepro.lazy import lazily
from ssbrepro.papers.ssb2018.parameters import ResidualNetworks

with lazily():
    import numpy as np

    from ssbrepro.papers.ssb2018 import residual_networks
    from ssbrepro.training import descent


@dataclass(frozen=True)
class Parameters(ResidualNetworks):
    """Residual networks trained twice from the same weights: cyclical and monotone step size.

    The monotone one starts at ``step_size`` and is multiplied by ``cut_factor`` after each of
    ``cut_epochs``. The cyclical one goes up and down between ``low_step_size`` and
    ``high_step_size`` along a triangle of ``cycle_length`` epochs.
    """

    cut_epochs: Annotated[tuple[Count, ...], MinLen(1)]
    cut_factor: Share
    low_step_size: Positive
    high_step_size: Positive
    cycle_length: Annotated[int, Ge(2)]


NUMBERS = {
    "cyclical_final_loss_max": domains.NON_NEGATIVE,
    "monotone_final_loss_max": domains.NON_NEGATIVE,
}

_POINTS_AN_EPOCH = 10  # of the drawn step sizes


@dataclass(frozen=True)
class Triangle:
    """A step size that goes up and down between ``low`` and ``high`` every ``length`` epochs.

    The triangular policy of Smith (2017, arXiv:1506.01186), low at the start.
    """

    low: float
    high: float
    length: int

    def at(self, time: float) -> float:
        """Step size when ``time`` epochs are finished."""
        phase = time % self.length / self.length
        return self.low + (self.high - self.low) * (1 - abs(2 * phase - 1))


def run(parameters: Parameters, context: Context) -> Result:
    """Train each network twice, with the same initial weights and the same order of the images.

    Returns:
        Arrays: ``epoch`` (epochs+1,); for each schedule, ``cyclical`` and ``monotone``,
        ``<schedule>_loss`` (networks, epochs+1), over all examples after each epoch, and
        ``<schedule>_step_size`` at each ``time`` (times,) in epochs. Numbers: for each schedule the
        largest loss at the end.

    Raises:
        ValueError: If the low step size is not below the high one, or the cuts are not ascending and
            before the end.
        ArithmeticError: If a loss stops being finite.
    """
    if parameters.low_step_size >= parameters.high_step_size:
        raise ValueError(
            f"low_step_size {parameters.low_step_size} must be below high_step_size "
            f"{parameters.high_step_size}"
        )
    cuts = parameters.cut_epochs
    if sorted({*cuts}) != [*cuts] or cuts[-1] >= parameters.num_epochs:
        raise ValueError(
            f"cut_epochs {[*cuts]} must be ascending and below num_epochs {parameters.num_epochs}"
        )
    schedules: dict[str, descent.StepSize] = {
        "cyclical": Triangle(
            parameters.low_step_size, parameters.high_step_size, parameters.cycle_length
        ).at,
        "monotone": descent.Schedule(parameters.step_size, cuts, parameters.cut_factor).at,
    }
    inputs, labels = residual_networks.images(parameters, context)

    def learn_one(network: int) -> dict[str, Array]:
        return {
            f"{name}_loss": residual_networks.learn(
                parameters, inputs, labels, network, context.seed, step_size,
                progress=context.progress,
            )["loss"]
            for name, step_size in schedules.items()
        }  # fmt: skip

    arrays = residual_networks.learn_all(parameters.num_networks, context.progress, learn_one)
    time = np.linspace(
        0, parameters.num_epochs, parameters.num_epochs * _POINTS_AN_EPOCH, endpoint=False
    )
    return Result(
        arrays={
            **arrays,
            "epoch": np.arange(parameters.num_epochs + 1),
            "time": time,
            **{
                f"{name}_step_size": np.array([step_size(moment) for moment in time.tolist()])
                for name, step_size in schedules.items()
            },
        },
        numbers={
            f"{name}_final_loss_max": float(arrays[f"{name}_loss"][:, -1].max())
            for name in schedules
        },
    )


STAGE = Stage(Parameters, NUMBERS, run, data="cifar10")
