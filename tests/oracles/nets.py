"""Small random bias-free networks with examples, in float64, one of each supported shape."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Problem(NamedTuple):
    """A network with the examples it is judged on."""

    model: nn.Sequential
    inputs: Tensor
    targets: Tensor

    @property
    def sizes(self) -> list[int]:
        """Number of weights of each layer."""
        return [weight.numel() for weight in self.model.parameters()]

    @property
    def weights(self) -> Tensor:
        """All weights, flat."""
        return torch.cat([weight.detach().reshape(-1) for weight in self.model.parameters()])

    def blocks(self) -> list[slice]:
        """Where each layer stands in the flat weights."""
        ends = torch.tensor(self.sizes).cumsum(0).tolist()
        return [slice(end - size, end) for end, size in zip(ends, self.sizes, strict=True)]


def he_normal(model: nn.Sequential, generator: torch.Generator) -> nn.Sequential:
    """The same model in float64 with zero-mean weights of variance 2 / fan_in."""
    model = model.double()
    with torch.no_grad():
        for weight in model.parameters():
            deviation = (2 / weight[0].numel()) ** 0.5
            weight.copy_(
                deviation * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            )
    return model


def two_layer() -> nn.Sequential:
    """Two fully connected layers: the spectrum of its Hessian is exactly symmetric."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(12, 8, bias=False),
        nn.ReLU(),
        nn.Linear(8, 1, bias=False),
        nn.Flatten(0),
    )


def fully_connected() -> nn.Sequential:
    """Four fully connected layers."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(12, 8, bias=False),
        nn.ReLU(),
        nn.Linear(8, 7, bias=False),
        nn.ReLU(),
        nn.Linear(7, 5, bias=False),
        nn.ReLU(),
        nn.Linear(5, 1, bias=False),
        nn.Flatten(0),
    )


def convolutional() -> nn.Sequential:
    """Convolutions with padding and without, one with a stride."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.Conv2d(4, 3, 3, stride=2, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12, 1, bias=False),
        nn.Flatten(0),
    )


def max_pooled() -> nn.Sequential:
    """VGG in small: convolutions with padding, max-pools, two linear layers."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4, 5, bias=False),
        nn.ReLU(),
        nn.Linear(5, 1, bias=False),
        nn.Flatten(0),
    )


def avg_pooled() -> nn.Sequential:
    """An average pool between two convolutions."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 1, bias=False),
        nn.Flatten(0),
    )


def leaky() -> nn.Sequential:
    """Leaky gates of either sign, before a max-pool and after a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 5, bias=False),
        nn.LeakyReLU(-0.3),
        nn.Linear(5, 4, bias=False),
        nn.ReLU(),
        nn.Linear(4, 1, bias=False),
        nn.Flatten(0),
    )


# Name to builder and the shape of one example.
NETS: dict[str, tuple[Callable[[], nn.Sequential], tuple[int, ...]]] = {
    "two-layer": (two_layer, (12,)),
    "fully-connected": (fully_connected, (3, 2, 2)),
    "convolutional": (convolutional, (3, 5, 5)),
    "max-pooled": (max_pooled, (3, 5, 5)),
    "avg-pooled": (avg_pooled, (3, 4, 4)),
    "leaky": (leaky, (3, 4, 4)),
}


def problem(name: str, seed: int = 0, num_examples: int = 17) -> Problem:
    """The named network at random weights, with random examples, some beyond the margin.

    Every second example is labelled as the network would; the outputs are scaled so that about half
    of those have a margin above 1.
    """
    builder, shape = NETS[name]
    generator = torch.Generator().manual_seed(seed)
    model = he_normal(builder(), generator)
    inputs = torch.randn(num_examples, *shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        outputs = model(inputs)
        ordered = outputs[::2].abs().sort().values
        middle = len(ordered) // 2
        # Between two examples: none stands at the kink of the loss.
        list(model.parameters())[-1].div_((ordered[middle - 1] + ordered[middle]) / 2)
    targets = torch.where(outputs > 0, 1.0, -1.0).double()
    targets[1::2] *= -1
    # Nothing a test says of a risk that is active in part may hold because all or none are.
    within = int((targets * model(inputs) < 1).sum())
    assert 2 <= within <= num_examples - 2
    return Problem(model, inputs, targets)


def wider(num_examples: int = 200) -> Problem:
    """A three-layer network of 460 weights: its spectrum is nearly but not exactly symmetric."""
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(20, 14, bias=False),
        nn.ReLU(),
        nn.Linear(14, 12, bias=False),
        nn.ReLU(),
        nn.Linear(12, 1, bias=False),
        nn.Flatten(0),
    )
    generator = torch.Generator().manual_seed(1)
    he_normal(model, generator)
    inputs = torch.randn(num_examples, 20, generator=generator, dtype=torch.float64)
    targets = torch.where(torch.rand(num_examples, generator=generator) < 0.5, -1.0, 1.0)
    return Problem(model, inputs, targets.double())
