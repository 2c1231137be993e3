"""Residual networks through a cut of the step size."""

from __future__ import annotations

from dataclasses import dataclass

from ssbrepro import domains
from ssbrepro.contract import Context, Count, Result, Series, Share, Stage
from ssbrepro.lazy import lazily
from ssbrepro.papers.ssb2018.parameters import ResidualNetworks

with lazily():
    import numpy as np

    from ssbrepro.papers.ssb2018 import residual_networks
    from ssbrepro.training import descent


@dataclass(frozen=True)
class Parameters(ResidualNetworks):
    """Residual networks whose step size is multiplied by ``cut_factor`` after ``cut_epoch`` epochs.

    The weights are kept every ``checkpoint_interval`` epochs, which divides both numbers of epochs.
    """

    cut_epoch: Count
    cut_factor: Share
    checkpoint_interval: Count


NUMBERS = {
    "final_loss_median": domains.NON_NEGATIVE,
    "final_loss_max": domains.NON_NEGATIVE,
    "final_accuracy_min": domains.SHARE,
    "cut_loss_median": domains.NON_NEGATIVE,
    "mean_loss": domains.NON_NEGATIVE,
}


def run(parameters: Parameters, context: Context) -> Result:
    """Train all networks, their step size multiplied by the cut factor after ``cut_epoch`` epochs.

    Returns:
        Arrays: those of ``residual_networks.learn`` with the networks along a first
        axis; ``epoch`` and the ``step_size`` at each epoch's start (epochs+1,), the first entry
        before training; ``loss_median`` and ``accuracy_median`` over networks, likewise;
        ``layer_sizes`` (layers,), weights of each; ``checkpoint_epoch`` (checkpoints,). Numbers: of
        the losses over all examples the median and largest at the end, the median after
        ``cut_epoch`` epochs, and the mean over networks and epochs; the lowest final accuracy.

    Raises:
        ValueError: If the cut is not before the end, or no checkpoint falls on the cut or the end.
        ArithmeticError: If a loss stops being finite.
    """
    cut, last, interval = (
        parameters.cut_epoch, parameters.num_epochs, parameters.checkpoint_interval,
    )  # fmt: skip
    if cut >= last:
        raise ValueError(f"cut_epoch {cut} must be below num_epochs {last}")
    if cut % interval or last % interval:
        raise ValueError(
            f"checkpoint_interval {interval} must divide cut_epoch {cut} and num_epochs {last}"
        )
    schedule = descent.Schedule(parameters.step_size, (cut,), parameters.cut_factor)
    checkpoint_epochs = range(0, last + 1, interval)
    inputs, labels = residual_networks.images(parameters, context)
    arrays = residual_networks.learn_all(
        parameters.num_networks,
        context.progress,
        lambda network: residual_networks.learn(
            parameters, inputs, labels, network, context.seed, schedule.at, checkpoint_epochs,
            context.progress,
        ),
    )  # fmt: skip
    loss = arrays["loss"]
    epochs = np.arange(last + 1)
    return Result(
        arrays={
            **arrays,
            "epoch": epochs,
            "step_size": np.array([schedule.at(epoch - 1) for epoch in range(last + 1)]),
            "loss_median": np.median(loss, axis=0),
            "accuracy_median": np.median(arrays["accuracy"], axis=0),
            "layer_sizes": np.array(
                [
                    weight.numel()
                    for weight in residual_networks.untrained(
                        parameters, context.seed, 0
                    ).parameters()
                ]
            ),
            "checkpoint_epoch": np.array(checkpoint_epochs),
        },
        numbers={
            "final_loss_median": float(np.median(loss[:, -1])),
            "final_loss_max": float(loss[:, -1].max()),
            "final_accuracy_min": float(arrays["accuracy"][:, -1].min()),
            "cut_loss_median": float(np.median(loss[:, cut])),
            "mean_loss": float(loss.mean()),
        },
        series={
            "loss": Series("epoch", "loss_median"),
            "accuracy": Series("epoch", "accuracy_median"),
        },
    )


STAGE = Stage(Parameters, NUMBERS, run, data="cifar10")
