"""The experiment behind the figures: its images and network, and measurements at its checkpoints."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import nn

from ssbrepro.contract import Array, Context
from ssbrepro.data import cifar10
from ssbrepro.networks import vgg12
from ssbrepro.networks.flattening import load_weights
from ssbrepro.probes.risk import HingeRisk
from ssbrepro.seeding import torch_generator


class Setting(Protocol):
    """What of the parameters of the stage ``training`` decides over images and network."""

    @property
    def positive_classes(self) -> Sequence[int]:
        """Classes labelled +1."""

    @property
    def negative_classes(self) -> Sequence[int]:
        """Classes labelled -1."""

    @property
    def num_examples(self) -> int:
        """How many training images."""

    @property
    def width(self) -> float:
        """Multiple of the paper's hidden channels."""


def images_and_network(
    parameters: Setting, context: Context
) -> tuple[cifar10.BinaryImages, nn.Sequential]:
    """The training images and the freshly initialised network, on the context's device."""
    images = cifar10.load(
        context.data_root,
        parameters.positive_classes,
        parameters.negative_classes,
        parameters.num_examples,
    )
    model = vgg12(parameters.width, torch_generator(context.seed, "weights"))
    device = torch.device(context.device)
    # Channels last is the layout in which convolutions are fastest; it changes no value.
    inputs = images.inputs.to(device, memory_format=torch.channels_last)
    return cifar10.BinaryImages(inputs, images.targets.to(device)), model.to(device)


def measure_checkpoints(
    context: Context, measure: Callable[[HingeRisk, int, int], Mapping[str, Array]]
) -> dict[str, Array]:
    """Measure the mean hinge loss at each checkpoint of the stage ``training``.

    Every checkpoint is saved once it is measured, and an interrupted stage continues after the last.

    Args:
        context: Of a stage that has ``training`` for an input.
        measure: Gets the risk, the checkpoint's index and the number of checkpoints; returns arrays of
            the same names and shapes for all.

    Returns:
        ``epoch`` (checkpoints,), and what was measured, stacked along a first axis of checkpoints.
    """
    training = context.inputs["training"]
    images, model = images_and_network(training.parameters, context)
    epochs = training.arrays["checkpoint_epoch"]
    rows: list[Mapping[str, Array]] = []
    for index, epoch in enumerate(epochs.tolist()):
        name = f"checkpoint-{epoch}"
        measured: Mapping[str, Array] | None = context.progress.restore(name)
        if measured is None:
            load_weights(model, training.arrays["checkpoint_weights"][index])
            risk = HingeRisk(model, images.inputs, images.targets)
            measured = measure(risk, index, len(epochs))
            context.progress.save(name, measured)
        rows.append(measured)
    return {"epoch": epochs} | {name: np.stack([row[name] for row in rows]) for name in rows[0]}
