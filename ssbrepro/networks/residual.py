"""A small residual network (He et al. 2015, arXiv:1512.03385): ReLU, no biases, no batch norm."""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init  # the default weights would be drawn from the global generator

from ssbrepro.networks.initialisation import initialise_
from ssbrepro.networks.reading import Branch

_NUM_GROUPS = 3


class ResidualUnit(nn.Module):
    """x + F(x) with the branch F(x) = branch_scale R(W2 R(W1 x)), R a ReLU (ssb2018, footnote 1).

    W1 and W2 are 3x3 convolutions that keep the number of channels and the resolution.
    """

    def __init__(self, channels: int, branch_scale: float) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = _convolution(channels, channels)
        self.branch_scale = branch_scale

    def branch(self, inputs: Tensor) -> Tensor:
        """F(x) of each input, both (batch, channels, height, width)."""
        return self.branch_scale * torch.relu(self.second(torch.relu(self.first(inputs))))

    def forward(self, inputs: Tensor) -> Tensor:
        """The input plus its branch, (batch, channels, height, width)."""
        return inputs + self.branch(inputs)

    def reads_as(self) -> list[Branch]:
        """Its parts, for :mod:`ssbrepro.networks.reading`."""
        return [Branch([self.first, nn.ReLU(), self.second, nn.ReLU()], self.branch_scale)]


def residual_net(
    channels: int,
    num_units: int,
    branch_scale: float = 1.0,
    num_classes: int = 10,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """A bias-free residual network with three groups of units and one linear layer at the end.

    Group g = 0, 1, 2: a 3x3 convolution to 2^g ``channels``, ReLU, a max-pool that halves the
    resolution, and ``num_units`` units. Then the mean over space and the linear layer.

    Convolutions start He normal (standard deviation sqrt(2 / fan_in); arXiv:1502.01852). The linear
    layer starts at zero, as without batch norm the outputs of an untrained network would be far
    too large for a cross-entropy (Zhang et al. 2019, arXiv:1901.09321, start it so too).

    Args:
        channels: Of the first group.
        num_units: Residual units of each group.
        branch_scale: Factor on each unit's branch.
        num_classes: Outputs.
        generator: Source of the initial weights; ``None`` takes PyTorch's global one.

    Returns:
        Module mapping (batch, 3, 32, 32) to (batch, num_classes).

    Raises:
        ValueError: If there is no channel, no unit or no class, or the scale is not positive.
    """
    if min(channels, num_units, num_classes) < 1:
        raise ValueError(
            f"{channels} channels, {num_units} units a group and {num_classes} classes: "
            "a residual network needs one of each at least"
        )
    if not (math.isfinite(branch_scale) and branch_scale > 0):
        raise ValueError(f"branch_scale {branch_scale} must be positive and finite")
    layers: list[nn.Module] = []
    width = 3
    for group in range(_NUM_GROUPS):
        wider = channels * 2**group
        layers += [_convolution(width, wider), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [ResidualUnit(wider, branch_scale) for _ in range(num_units)]
        width = wider
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    layers += [skip_init(nn.Linear, width, num_classes, bias=False)]
    model = nn.Sequential(*layers)
    *convolutions, last = model.parameters()
    initialise_(convolutions, generator)
    nn.init.zeros_(last)
    return model


def _convolution(channels: int, wider: int) -> nn.Module:
    layer: nn.Module = skip_init(nn.Conv2d, channels, wider, 3, padding=1, bias=False)
    return layer
