"""Which of two step-size schedules, a cyclical and a monotone one, comes down to a loss first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Positive, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np


@dataclass(frozen=True)
class Parameters:
    """Epochs of both schedules until the loss is at most a threshold.

    One is ``loss_threshold``; besides there are ``num_thresholds``, in equal ratios from one end of
    ``threshold_range`` to the other.
    """

    loss_threshold: Positive
    threshold_range: tuple[Positive, Positive]
    num_thresholds: Annotated[int, Ge(2)]


NUMBERS = {
    "first_share": domains.SHARE,
    "alike_first_share": domains.SHARE,
    "won_share": domains.SHARE,
    "alike_won_share": domains.SHARE,
    "undecided_share": domains.SHARE,
    "alike_undecided_share": domains.SHARE,
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
    down to the threshold (ssb2018, section 2.5 and appendix A; Smith & Topin 2017, arXiv:1708.07120).
    A tie is won by neither, and a threshold that neither reaches decides nothing. In pairs of two
    networks with the same schedule, each taken both ways round, the schedule makes no difference: half
    of what is decided and no tie is won.

    Returns:
        Arrays: ``epoch`` (epochs+1,); for each schedule, ``cyclical`` and ``monotone``,
        ``<schedule>_loss`` (networks, epochs+1), ``<schedule>_epochs`` (networks,) until
        ``loss_threshold`` (), NaN where it was not reached, ``<schedule>_reached`` (thresholds,
        networks) until each ``threshold`` (thresholds,) of the range, likewise, and
        ``<schedule>_step_size`` at each ``time`` (times,) in epochs. Numbers: the share of pairs in
        which the cyclical one was first at ``loss_threshold``, all pairs counted; of pairs and
        thresholds of the range the share that it won of those decided, missing where none was, and the
        share undecided; with the prefix ``alike_`` the same three of all pairs with the same schedule.
        For each schedule the median epochs of the networks that reached ``loss_threshold``, missing
        where none did; the number that did not; and the median loss at the end.
    """
    training = context.inputs["cyclical_training"].arrays
    thresholds = np.geomspace(*parameters.threshold_range, parameters.num_thresholds)
    arrays = {
        **training,
        "loss_threshold": np.array(parameters.loss_threshold),
        "threshold": thresholds,
    }
    numbers, missing = {}, {}
    reached = {}  # epochs until loss_threshold and each of the others, infinite where never
    for name in _SCHEDULES:
        loss = training[f"{name}_loss"]
        epochs = epochs_until(loss, parameters.loss_threshold)
        arrays[f"{name}_epochs"] = epochs
        arrays[f"{name}_reached"] = np.stack([epochs_until(loss, value) for value in thresholds])
        reached[name] = np.nan_to_num(np.vstack([epochs, arrays[f"{name}_reached"]]), nan=np.inf)
        numbers[f"num_{name}_unreached"] = float(np.isnan(epochs).sum())
        numbers[f"{name}_loss_median"] = float(np.median(loss[:, -1]))
        if np.isnan(epochs).all():
            missing[f"{name}_epochs_median"] = (
                f"no network came down to a loss of {parameters.loss_threshold:g}"
            )
        else:
            numbers[f"{name}_epochs_median"] = float(np.nanmedian(epochs))
    races = {
        "": np.stack([reached[name] for name in _SCHEDULES]),
        "alike_": np.concatenate([_ordered_pairs(reached[name]) for name in _SCHEDULES], axis=2),
    }
    for prefix, (one, other) in races.items():
        wins, decided = one < other, np.isfinite(np.minimum(one, other))
        numbers[f"{prefix}first_share"] = float(wins[0].mean())
        if decided[1:].any():
            numbers[f"{prefix}won_share"] = float(wins[1:][decided[1:]].mean())
        else:
            missing[f"{prefix}won_share"] = (
                f"no network came down to a loss of {thresholds.max():g}"
            )
        numbers[f"{prefix}undecided_share"] = float(1 - decided[1:].mean())
    return Result(arrays=arrays, numbers=numbers, missing=missing)


def _ordered_pairs(reached: Array) -> Array:
    """All pairs of columns of (thresholds, networks), both ways round: (2, thresholds, pairs)."""
    one, other = np.nonzero(~np.eye(reached.shape[1], dtype=bool))
    return np.stack([reached[:, one], reached[:, other]])


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
