"""The networks of ``residual_training`` once more, without the cut of the step size."""

from __future__ import annotations

from dataclasses import dataclass

from ssbrepro import domains
from ssbrepro.contract import Context, Result, Series, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro.papers.ssb2018 import residual_networks


@dataclass(frozen=True)
class Parameters:
    """None of its own: those of ``residual_training``, whose step size is never cut."""


NUMBERS = {
    "final_loss_median": domains.NON_NEGATIVE,
    "difference_before_cut": domains.NON_NEGATIVE,
}


def run(parameters: Parameters, context: Context) -> Result:
    """Train each network from the same weights on the same batches, at one step size to the end.

    Up to the cut both trainings are the same, so that what differs later is the cut's doing.

    Returns:
        Arrays: those of ``residual_networks.learn`` with the networks along a first axis; ``epoch``
        (epochs+1,) and ``loss_median`` over networks, likewise; ``checkpoint_epoch`` (2,), that of the
        cut that is not made, and the last. Numbers: the median loss at the end; and the largest
        difference of a loss up to the cut from that of ``residual_training``, 0 where the device adds
        in a fixed order.

    Raises:
        ArithmeticError: If a loss stops being finite.
    """
    training = context.inputs["residual_training"]
    shared = training.parameters
    inputs, labels = residual_networks.images(shared, context)
    checkpoint_epochs = (shared.cut_epoch, shared.num_epochs)
    arrays = residual_networks.learn_all(
        shared.num_networks,
        context.progress,
        lambda network: residual_networks.learn(
            shared, inputs, labels, network, context.seed, lambda _: shared.step_size,
            checkpoint_epochs, context.progress,
        ),
    )  # fmt: skip
    loss, up_to_cut = arrays["loss"], np.s_[:, : shared.cut_epoch + 1]
    recorded = training.arrays["loss"][up_to_cut]
    return Result(
        arrays={
            **arrays,
            "epoch": np.arange(shared.num_epochs + 1),
            "loss_median": np.median(loss, axis=0),
            "checkpoint_epoch": np.array(checkpoint_epochs),
        },
        numbers={
            "final_loss_median": float(np.median(loss[:, -1])),
            "difference_before_cut": float(np.abs(loss[up_to_cut] - recorded).max()),
        },
        series={"loss": Series("epoch", "loss_median")},
    )


STAGE = Stage(Parameters, NUMBERS, run, needs=("residual_training",), data="cifar10")
