"""The twelve-layer VGG of li2022 (I.A.3): ReLU, no biases, no batch norm, one output neuron."""

import math
from typing import Literal

import torch
from torch import nn
from torch.nn.utils import skip_init  # the default weights would be drawn from the global generator

from ssbrepro.networks.initialisation import Initialisation, initialise_

# Output channels of the 3x3 convolutions by their number; "pool" halves the resolution. Linear layers
# make up twelve. Ten convolutions are the usual VGG-type split near 10^7 weights: 9,664,704.
_Entry = int | Literal["pool"]
_FIRST: tuple[_Entry, ...] = (
    *(64, 64, "pool"),
    *(128, 128, "pool"),
    *(256, 256, "pool"),
    *(512, 512, "pool"),
)
_CONVOLUTIONS: dict[int, tuple[_Entry, ...]] = {
    10: (*_FIRST, 512, 512, "pool"),
    9: (*_FIRST, 512, "pool"),
}
_LAYERS = 12


def vgg12(
    width: float = 1.0,
    generator: torch.Generator | None = None,
    num_convolutions: Literal[10, 9] = 10,
    initialisation: Initialisation = "he_normal",
) -> nn.Sequential:
    """A bias-free VGG with twelve layers: convolutions, then linear ones.

    Args:
        width: Factor on all hidden channel numbers, rounded; 1 gives 9,664,704 weights.
        generator: Source of the initial weights; ``None`` takes PyTorch's global one.
        num_convolutions: 10, with 2 linear layers, or 9 with 3.
        initialisation: Law of the initial weights, by :func:`initialise_`.

    Returns:
        Module mapping (batch, 3, 32, 32) to (batch,).

    Raises:
        ValueError: If ``width`` leaves a layer without channels, or there is no such split or law.
    """
    if not (math.isfinite(width) and round(64 * width) >= 1):
        raise ValueError(f"width {width} leaves a layer without channels; take at least 1/64")
    if num_convolutions not in _CONVOLUTIONS:
        raise ValueError(f"{num_convolutions} convolutions: there are splits with 10 and with 9")
    layers: list[nn.Module] = []
    channels = 3
    for entry in _CONVOLUTIONS[num_convolutions]:
        if isinstance(entry, str):
            layers.append(nn.MaxPool2d(2))
        else:
            wider = round(entry * width)
            layers += [skip_init(nn.Conv2d, channels, wider, 3, padding=1, bias=False), nn.ReLU()]
            channels = wider
    layers.append(nn.Flatten())
    for _ in range(_LAYERS - num_convolutions - 1):
        layers += [skip_init(nn.Linear, channels, channels, bias=False), nn.ReLU()]
    layers += [skip_init(nn.Linear, channels, 1, bias=False), nn.Flatten(0)]
    model = nn.Sequential(*layers)
    initialise_(model.parameters(), generator, initialisation)
    return model
