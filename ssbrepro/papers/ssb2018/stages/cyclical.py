"""Which of two step-size schedules, a cyclical and a monotone one, comes down to a loss first."""

from __future__ import annotations

from dataclasses import dataclass

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Positive, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np


@dataclass(frozen=True)
class Parameters:
    """Epochs of both schedules until the loss is at most ``loss_threshold``."""

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

_SCHEDULES = ("cyclical", "monotone")


def run(parameters: Parameters, context: Context) -> Result:
    """Compare both trainings of each network of ``cyclical_training``.

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
    """
    arrays = dict(context.inputs["cyclical_training"].arrays)
    numbers, missing = {}, {}
    for name in _SCHEDULES:
        loss = arrays[f"{name}_loss"]
        epochs = epochs_until(loss, parameters.loss_threshold)
        arrays[f"{name}_epochs"] = epochs
        numbers[f"num_{name}_unreached"] = float(np.isnan(epochs).sum())
        numbers[f"{name}_loss_median"] = float(np.median(loss[:, -1]))
        if np.isnan(epochs).all():
            missing[f"{name}_epochs_median"] = (
                f"no network came down to a loss of {parameters.loss_threshold:g}"
            )
        else:
            numbers[f"{name}_epochs_median"] = float(np.nanmedian(epochs))
    cyclical, monotone = (
        np.nan_to_num(arrays[f"{name}_epochs"], nan=np.inf) for name in _SCHEDULES
    )
    numbers["first_share"] = float(np.mean(cyclical < monotone))
    return Result(
        arrays={**arrays, "loss_threshold": np.array(parameters.loss_threshold)},
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


STAGE = Stage(Parameters, NUMBERS, run, needs=("cyclical_training",))
