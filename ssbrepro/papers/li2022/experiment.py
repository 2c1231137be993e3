"""The experiment behind the figures: its images and its network."""

from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import nn

from ssbrepro.contract import Context
from ssbrepro.data import cifar10
from ssbrepro.networks import vgg12
from ssbrepro.networks.initialisation import Initialisation
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

    @property
    def num_convolutions(self) -> Literal[10, 9]:
        """Of the twelve layers; all others are linear."""

    @property
    def initialisation(self) -> Initialisation:
        """Law of the initial weights."""

    @property
    def input_scaling(self) -> cifar10.Scaling:
        """Scaling of the pixels."""


def images_and_network(
    parameters: Setting, context: Context
) -> tuple[cifar10.BinaryImages, nn.Sequential]:
    """The training images and the freshly initialised network, on the context's device."""
    images = cifar10.load(
        context.data_root,
        parameters.positive_classes,
        parameters.negative_classes,
        parameters.num_examples,
        parameters.input_scaling,
    )
    model = network(parameters, torch_generator(context.seed, "weights"))
    device = torch.device(context.device)
    # Channels last is the layout in which convolutions are fastest; it changes no value.
    inputs = images.inputs.to(device, memory_format=torch.channels_last)
    return cifar10.BinaryImages(inputs, images.targets.to(device)), model.to(device)


def network(parameters: Setting, generator: torch.Generator) -> nn.Sequential:
    """A freshly initialised network, on the CPU."""
    return vgg12(
        parameters.width, generator, parameters.num_convolutions, parameters.initialisation
    )
