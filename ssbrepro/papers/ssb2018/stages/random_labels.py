"""Residual networks that learn labels drawn at random by heart."""

from __future__ import annotations

from dataclasses import dataclass

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Result, Series, Share, Stage
from ssbrepro.lazy import lazily
from ssbrepro.papers.ssb2018.parameters import ResidualNetworks

with lazily():
    import numpy as np
    import torch

    from ssbrepro import seeding
    from ssbrepro.papers.ssb2018 import residual_networks
    from ssbrepro.training import descent


@dataclass(frozen=True)
class Parameters(ResidualNetworks):
    """Residual networks trained on labels drawn at random, with a cut of the step size."""

    cut_epoch: Count
    cut_factor: Share


NUMBERS = {
    "error_max": domains.SHARE,
    "error_median": domains.SHARE,
    "final_loss_max": domains.NON_NEGATIVE,
    "zero_error_share": domains.SHARE,
    "epochs_to_zero_median": domains.EPOCHS,
}

_NUM_CLASSES = 10


def run(parameters: Parameters, context: Context) -> Result:
    """Train each network on labels of its own, uniform over the ten classes whatever the image.

    Such labels share nothing with the images, so a small training error is memory alone
    (Zhang et al. 2017, arXiv:1611.03530, section 2; ssb2018, appendix A).

    Returns:
        Arrays: ``labels`` (networks, examples); ``epoch`` (epochs+1,); ``loss`` and ``error``, the
        share of training examples classified wrongly, (networks, epochs+1); ``error_median``
        (epochs+1,) over networks. Numbers: largest and median error at the end, the largest loss,
        the share of networks that end without an error; and the median over networks of the first
        epoch without one, of those that reached it, missing where none did.

    Raises:
        ValueError: If the step size is not cut before the end.
        ArithmeticError: If a loss stops being finite.
    """
    if parameters.cut_epoch >= parameters.num_epochs:
        raise ValueError(
            f"cut_epoch {parameters.cut_epoch} must be below num_epochs {parameters.num_epochs}"
        )
    inputs, true_labels = residual_networks.images(parameters, context)
    schedule = descent.Schedule(
        parameters.step_size, (parameters.cut_epoch,), parameters.cut_factor
    )

    def learn_one(network: int) -> dict[str, Array]:
        generator = seeding.numpy_generator(context.seed, "labels", network)
        labels = generator.integers(_NUM_CLASSES, size=len(true_labels))
        learnt = residual_networks.learn(
            parameters, inputs, torch.from_numpy(labels).to(inputs.device), network, context.seed,
            schedule.at, progress=context.progress,
        )  # fmt: skip
        return {"labels": labels, "loss": learnt["loss"], "error": 1 - learnt["accuracy"]}

    arrays = residual_networks.learn_all(parameters.num_networks, context.progress, learn_one)
    error = arrays["error"]
    numbers = {
        "error_max": float(error[:, -1].max()),
        "error_median": float(np.median(error[:, -1])),
        "final_loss_max": float(arrays["loss"][:, -1].max()),
        "zero_error_share": float(np.mean(error[:, -1] == 0)),
    }
    missing = {}
    reached = (error == 0).any(axis=1)
    if reached.any():
        first = np.argmax(error[reached] == 0, axis=1)
        numbers["epochs_to_zero_median"] = float(np.median(first))
    else:
        missing["epochs_to_zero_median"] = "no network classified all training examples rightly"
    return Result(
        arrays={
            **arrays,
            "epoch": np.arange(parameters.num_epochs + 1),
            "error_median": np.median(error, axis=0),
        },
        numbers=numbers,
        missing=missing,
        series={"error": Series("epoch", "error_median")},
    )


STAGE = Stage(Parameters, NUMBERS, run, data="cifar10")
