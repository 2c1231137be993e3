"""Copies of the trained network as controls of what is measured at its checkpoints.

A copy is judged on as many examples inside the margin as the network has there. Their number decides how
far chance carries a statistic, and a copy, which no training has fitted to the labels, has more of them.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ssbrepro.data.cifar10 import BinaryImages
from ssbrepro.probes.controls import Copier
from ssbrepro.seeding import torch_generator
from ssbrepro.training.losses import within_margin

_GAIN_EXAMPLES = 500  # that gains are over; they are means over many more values than examples
_CHUNK = 100  # examples looked at together for some inside the margin


class Copy(NamedTuple):
    """A copy, and examples that are all inside its margin, at most as many as the network has."""

    kind: Literal["intact", "broken"]
    number: int
    model: nn.Module
    inputs: Tensor
    targets: Tensor


def copies(
    model: nn.Module,
    images: BinaryImages,
    num_active: int,
    num_intact: int,
    num_broken: int,
    seed: int,
    share: float = 1.0,
) -> Iterator[Copy]:
    """Intact copies of a network, then broken ones, one after the other.

    The signs of a copy depend on the seed, its kind and its number alone: a copy has the same ones at
    all checkpoints, as a network keeps most of its own while it is trained.

    Args:
        model: The network at a checkpoint.
        images: On the network's device.
        num_active: Examples inside the margin of the network.
        num_intact: Copies whose symmetries all hold.
        num_broken: Copies in which a ``share`` of each layer's weights is made positive.
        seed: Root seed.
        share: In [0, 1].

    Yields:
        Copies; one without an example inside its margin has none.
    """
    copier = Copier(model, images.inputs[:_GAIN_EXAMPLES])
    kinds: tuple[tuple[Literal["intact", "broken"], int], ...] = (
        ("intact", num_intact),
        ("broken", num_broken),
    )
    for kind, wanted in kinds:
        for number in range(wanted):
            generator = torch_generator(seed, "copies", kind, number)
            made = copier.broken(0.0 if kind == "intact" else share, generator)
            chosen = inside_margin(made, images, num_active, generator)
            yield Copy(kind, number, made, images.inputs[chosen], images.targets[chosen])


def inside_margin(
    model: nn.Module, images: BinaryImages, wanted: int, generator: torch.Generator
) -> Tensor:
    """Indices of random examples inside the margin, at most as many as wanted, in ascending order."""
    order = torch.randperm(len(images.inputs), generator=generator).to(images.inputs.device)
    found = [order[:0]]
    with torch.no_grad():
        for part in order.split(_CHUNK):
            if sum(map(len, found)) >= wanted:
                break
            found.append(part[within_margin(model(images.inputs[part]), images.targets[part])])
    return torch.cat(found)[:wanted].sort().values
