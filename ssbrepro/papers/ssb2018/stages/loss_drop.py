"""How far the training loss falls in the epoch after the step size is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Result, Share, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np


@dataclass(frozen=True)
class Parameters:
    """The loss one epoch after the cut over the loss one epoch before; a drop is at most ``drop_to``.

    ``num_epochs_before`` successive epochs before the cut say how much it changes without one.
    """

    drop_to: Share
    num_epochs_before: Annotated[int, Ge(2)]


NUMBERS = {
    "drop_share": domains.SHARE,
    "ratio_median": domains.NON_NEGATIVE,
    "ratio_min": domains.NON_NEGATIVE,
    "ratio_max": domains.NON_NEGATIVE,
    "ratio_before_median": domains.NON_NEGATIVE,
    "uncut_drop_share": domains.SHARE,
    "uncut_ratio_median": domains.NON_NEGATIVE,
}


def run(parameters: Parameters, context: Context) -> Result:
    """Compare the losses before and after the first epoch with the smaller step size.

    One epoch before the cut ends the last epoch with the larger step size, one epoch after it ends
    the first with the smaller one: the two losses are one epoch apart, both over all examples at
    fixed weights (ssb2018, section 2.5 and appendix A). The networks of ``uncut_training`` go through
    the same epoch, on the same batches, without a cut.

    Returns:
        Arrays: ``epoch`` (epochs+1,); ``loss`` and ``uncut_loss`` (networks, epochs+1); ``ratio`` and
        ``uncut_ratio`` (networks,) of the two losses; ``ratio_before`` (networks, epochs before), of
        successive epochs before the cut, NaN after a loss of 0; ``cut_epoch`` and ``drop_to`` ().
        Numbers: the share of networks whose ratio is at most ``drop_to``; median, smallest and largest
        ratio; median of ``ratio_before``, how far a loss falls in an epoch without a cut; and share and
        median ratio of the uncut networks. All are missing where a loss of 0 leaves a ratio undefined.

    Raises:
        ValueError: If fewer epochs than ``num_epochs_before`` precede the cut.
    """
    training = context.inputs["residual_training"]
    cut = training.parameters.cut_epoch
    first = cut - parameters.num_epochs_before
    if first < 0:
        raise ValueError(
            f"num_epochs_before is {parameters.num_epochs_before}, but the step size is cut after "
            f"{cut} epochs"
        )
    loss, uncut_loss = training.arrays["loss"], context.inputs["uncut_training"].arrays["loss"]
    ratios = _ratios(loss[:, first : cut + 2])
    ratio_before, ratio = ratios[:, :-1], ratios[:, -1]
    uncut_ratio = _ratios(uncut_loss[:, cut : cut + 2])[:, 0]
    arrays = {
        "epoch": training.arrays["epoch"],
        "loss": loss,
        "uncut_loss": uncut_loss,
        "ratio": ratio,
        "uncut_ratio": uncut_ratio,
        "ratio_before": ratio_before,
        "cut_epoch": np.array(cut),
        "drop_to": np.array(parameters.drop_to),
    }
    if np.isnan(ratios).any() or np.isnan(uncut_ratio).any():
        reason = "a network's loss is 0 before the cut, so that no ratio to it exists"
        return Result(arrays=arrays, numbers={}, missing=dict.fromkeys(NUMBERS, reason))
    return Result(
        arrays=arrays,
        numbers={
            "drop_share": float(np.mean(ratio <= parameters.drop_to)),
            "ratio_median": float(np.median(ratio)),
            "ratio_min": float(ratio.min()),
            "ratio_max": float(ratio.max()),
            "ratio_before_median": float(np.median(ratio_before)),
            "uncut_drop_share": float(np.mean(uncut_ratio <= parameters.drop_to)),
            "uncut_ratio_median": float(np.median(uncut_ratio)),
        },
    )


def _ratios(loss: Array) -> Array:
    """Each loss (networks, epochs) over the one an epoch earlier, (networks, epochs-1); NaN after 0."""
    earlier, later = loss[:, :-1], loss[:, 1:]
    ratios: Array = np.divide(later, earlier, out=np.full(earlier.shape, np.nan), where=earlier > 0)
    return ratios


STAGE = Stage(Parameters, NUMBERS, run, needs=("residual_training", "uncut_training"))
