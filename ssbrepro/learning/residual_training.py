"""The stage ``residual_training``: residual networks through a cut of the step size."""

import numpy as np

from ssbrepro.descent import Schedule
from ssbrepro.learning.networks import images, learn, learn_all, untrained
from ssbrepro.results import Context, Result, Series
from ssbrepro.stages.ssb2018 import ResidualTrainingParameters


def residual_training_stage(parameters: ResidualTrainingParameters, context: Context) -> Result:
    """Train all networks, their step size multiplied by the cut factor after ``cut_epoch`` epochs.

    Returns:
        Arrays: those of :func:`~ssbrepro.learning.networks.learn` with the networks along a first
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
    schedule = Schedule(parameters.step_size, (cut,), parameters.cut_factor)
    checkpoint_epochs = range(0, last + 1, interval)
    inputs, labels = images(parameters, context)
    arrays = learn_all(
        parameters.num_networks,
        context.progress,
        lambda network: learn(
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
                [weight.numel() for weight in untrained(parameters, context.seed, 0).parameters()]
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
