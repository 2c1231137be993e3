"""A ``vgg12`` is trained on binarised CIFAR-10 with hinge loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from ssbrepro import domains
from ssbrepro.contract import Context, Count, Result, Series, Stage
from ssbrepro.lazy import lazily

with lazily():
    from ssbrepro.papers.li2022 import experiment
    from ssbrepro.training import descent, hinge


Class = Annotated[int, Ge(0), Le(9)]
Epoch = Annotated[int, Ge(0)]


@dataclass(frozen=True)
class Parameters:
    """Train a bias-free VGG on binarised CIFAR-10 with hinge loss and momentum SGD.

    ``width`` multiplies the hidden channels (1: 9,664,704 weights), and of the twelve layers
    ``num_convolutions`` are convolutions. The step size is multiplied by
    ``cut_factor`` at the start of each of ``cut_epochs``, counted in finished epochs. Examples outside
    the margin have no gradient, so ``differentiated`` changes roundings and the time only.
    """

    positive_classes: Annotated[tuple[Class, ...], MinLen(1)]
    negative_classes: Annotated[tuple[Class, ...], MinLen(1)]
    num_examples: Count
    input_scaling: Literal["standardised", "symmetric"]
    width: Annotated[float, Gt(0)]
    num_convolutions: Literal[10, 9]
    initialisation: Literal["he_normal", "he_uniform"]
    step_size: Annotated[float, Gt(0)]
    cut_epochs: tuple[Epoch, ...]
    cut_factor: Annotated[float, Gt(0), Le(1)]
    momentum: Annotated[float, Ge(0), Lt(1)]
    batch_size: Count
    num_epochs: Count
    checkpoint_epochs: Annotated[tuple[Epoch, ...], MinLen(1)]
    differentiated: Literal["active", "all"]


NUMBERS = {
    "final_loss": domains.NON_NEGATIVE,
    "final_accuracy": domains.SHARE,
    "final_order_parameter": domains.NON_NEGATIVE,
    "mean_loss": domains.NON_NEGATIVE,
    "max_order_parameter": domains.NON_NEGATIVE,
}


def run(parameters: Parameters, context: Context) -> Result:
    """:func:`train` a ``vgg12`` on binarised CIFAR-10."""
    images, model = experiment.images_and_network(parameters, context)
    arrays = hinge.train(
        model,
        images.inputs,
        images.targets,
        descent.Schedule(parameters.step_size, parameters.cut_epochs, parameters.cut_factor),
        parameters.momentum,
        parameters.batch_size,
        parameters.num_epochs,
        parameters.checkpoint_epochs,
        context.seed,
        context.progress,
        parameters.differentiated,
    )
    return Result(
        arrays=arrays,
        numbers={
            "final_loss": float(arrays["loss"][-1]),
            "final_accuracy": float(arrays["accuracy"][-1]),
            "final_order_parameter": float(arrays["order_parameter"][-1]),
            "mean_loss": float(arrays["loss"].mean()),
            "max_order_parameter": float(arrays["order_parameter"].max()),
        },
        series={name: Series("epoch", name) for name in hinge.HISTORY},
    )


STAGE = Stage(Parameters, NUMBERS, run, data="cifar10")
