"""A cyclical against a monotone step size at an equal number of epochs."""

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
    loss_threshold: Positive


NUMBERS = {
    "first_share": domains.SHARE,
    "cyclical_epochs_median": domains.EPOCHS,
    "monotone_epochs_median": domains.EPOCHS,
    "num_cyclical_unreached": domains.COUNT,
    "num_monotone_unreached": domains.COUNT,
    "cyclical_loss_median": domains.NON_NEGATIVE,
    "monotone_loss_median": domains.NON_NEGATIVE,
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

    The winner of a pair is the one whose loss over all examples, taken after each epoch, first comes
    down to ``loss_threshold`` (ssb2018, section 2.5 and appendix A; Smith & Topin 2017,
    arXiv:1708.07120).

    Returns:
        Arrays: ``epoch`` (epochs+1,); for each schedule, ``cyclical`` and ``monotone``,
        ``<schedule>_loss`` (networks, epochs+1), ``<schedule>_epochs`` (networks,) until the
        threshold, NaN where it was not reached, and ``<schedule>_step_size`` at each ``time``
        (times,) in epochs; ``loss_threshold`` (). Numbers: the share of pairs in which the cyclical
        one was first; a tie, or a pair in which neither reached the threshold, is none of them. For
        each schedule the median epochs of the networks that reached it, missing where none did; the
        number that did not; and the median loss at the end.

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
    numbers, missing = {}, {}
    for name, step_size in schedules.items():
        loss = arrays[f"{name}_loss"]
        epochs = epochs_until(loss, parameters.loss_threshold)
        arrays[f"{name}_epochs"] = epochs
        arrays[f"{name}_step_size"] = np.array([step_size(moment) for moment in time.tolist()])
        numbers[f"num_{name}_unreached"] = float(np.isnan(epochs).sum())
        numbers[f"{name}_loss_median"] = float(np.median(loss[:, -1]))
        if np.isnan(epochs).all():
            missing[f"{name}_epochs_median"] = (
                f"no network came down to a loss of {parameters.loss_threshold:g}"
            )
        else:
            numbers[f"{name}_epochs_median"] = float(np.nanmedian(epochs))
    cyclical, monotone = (
        np.nan_to_num(arrays[f"{name}_epochs"], nan=np.inf) for name in ("cyclical", "monotone")
    )
    numbers["first_share"] = float(np.mean(cyclical < monotone))
    return Result(
        arrays={
            **arrays,
            "epoch": np.arange(parameters.num_epochs + 1),
            "time": time,
            "loss_threshold": np.array(parameters.loss_threshold),
        },
        numbers=numbers,
        missing=missing,
    )


def epochs_until(loss: Array, threshold: float) -> Array:
    """First epoch whose loss is at most the threshold.

    Args:
        loss: After each epoch, (networks, epochs+1).
        threshold: Of the loss.

    Returns:
        (networks,), NaN where there is none.
    """
    below = loss <= threshold
    return np.where(below.any(axis=1), below.argmax(axis=1), np.nan)


STAGE = Stage(Parameters, NUMBERS, run, data="cifar10")
