"""Many small tanh networks evaluated at once."""

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from ssbrepro.contract import Array
from ssbrepro.seeding import torch_generator


def network_inputs(patterns: Array, device: torch.device) -> Tensor:
    """What the networks are shown of ``patterns`` (patterns, 12): -1 for 0 and +1 for 1.

    Returns:
        (patterns, 1, 12) float32 on ``device``; the middle axis stands for the networks.
    """
    return torch.from_numpy(2 * patterns - 1).float().unsqueeze(1).to(device)


class TanhNetworks(nn.Module):
    """Fully connected networks of one shape, all evaluated in the same matrix products.

    Hidden units are tanh of their input; the last layer gives one log-odds a class, for a softmax.
    Weights are drawn normal with variance 1 over the number of inputs of their layer, biases are zero.
    A network's weights depend on ``seed`` and its number, not on how many others there are.

    Args:
        layer_sizes: Number of inputs, units of each hidden layer, classes.
        num_networks: How many.
        seed: Root seed of the initial weights.

    Attributes:
        weights: (networks, dim), the layers one after another, in each the matrix (in, out) and then
            the biases.
        layer_dims: Number of weights and biases of each layer; their sum is dim.
    """

    def __init__(self, layer_sizes: Sequence[int], num_networks: int, seed: int) -> None:
        super().__init__()
        self._shapes = list(itertools.pairwise(layer_sizes))
        self.layer_dims = [(size + 1) * units for size, units in self._shapes]
        rows = []
        for network in range(num_networks):
            generator = torch_generator(seed, "tishby", "weights", network)
            for size, units in self._shapes:
                drawn = torch.randn(size * units, generator=generator) / math.sqrt(size)
                rows.append(torch.cat([drawn, torch.zeros(units)]))
        self.weights = nn.Parameter(torch.cat(rows).view(num_networks, -1))

    def layers(self, inputs: Tensor) -> Iterator[Tensor]:
        """The activities of each hidden layer and the log-odds.

        Args:
            inputs: (examples, networks, inputs), or (examples, 1, inputs) for the same ones to each.

        Yields:
            (networks, examples, units), layer after layer.
        """
        num_networks = len(self.weights)
        activities = inputs.expand(-1, num_networks, -1).transpose(0, 1)
        parts = self.weights.split(self.layer_dims, dim=1)
        for number, (part, (size, units)) in enumerate(zip(parts, self._shapes, strict=True), 1):
            matrix, bias = part.split([size * units, units], dim=1)
            activities = torch.baddbmm(
                bias.unsqueeze(1), activities, matrix.view(num_networks, size, units)
            )
            if number < len(parts):
                activities = torch.tanh(activities)
            yield activities

    def forward(self, inputs: Tensor) -> Tensor:
        """The log-odds of each class, (examples, networks, classes)."""
        *_, outputs = self.layers(inputs)
        return outputs.transpose(0, 1)
