"""The twelve-layer VGG of li2022 (I.A.3): ReLU, no biases, no batch norm, one output neuron."""

import math

import torch
from torch import nn
from torch.nn.utils import skip_init  # the default weights would be drawn from the global generator

from ssbrepro.networks.initialisation import he_normal_

# Output channels of the ten 3x3 convolutions; "pool" halves the resolution. With the two linear
# layers below this is the one VGG-type split near 12 layers and 10^7 weights: 9,664,704.
_CONVOLUTIONS = (
    64,
    64,
    "pool",
    128,
    128,
    "pool",
    256,
    256,
    "pool",
    512,
    512,
    "pool",
    512,
    512,
    "pool",
)


def vgg12(width: float = 1.0, generator: torch.Generator | None = None) -> nn.Sequential:
    """A bias-free VGG with 10 convolutions and 2 linear layers, He-normal weights.

    Args:
        width: Factor on all hidden channel numbers, rounded; 1 gives 9,664,704 weights.
        generator: Source of the initial weights; ``None`` takes PyTorch's global one.

    Returns:
        Module mapping (batch, 3, 32, 32) to (batch,).

    Raises:
        ValueError: If ``width`` leaves a layer without channels.
    """
    if not (math.isfinite(width) and round(64 * width) >= 1):
        raise ValueError(f"width {width} leaves a layer without channels; take at least 1/64")
    layers: list[nn.Module] = []
    channels = 3
    for entry in _CONVOLUTIONS:
        if isinstance(entry, str):
            layers.append(nn.MaxPool2d(2))
        else:
            wider = round(entry * width)
            layers += [skip_init(nn.Conv2d, channels, wider, 3, padding=1, bias=False), nn.ReLU()]
            channels = wider
    layers += [nn.Flatten(), skip_init(nn.Linear, channels, channels, bias=False), nn.ReLU()]
    layers += [skip_init(nn.Linear, channels, 1, bias=False), nn.Flatten(0)]
    model = nn.Sequential(*layers)
    he_normal_(model.parameters(), generator)
    return model
