"""Stochastic gradient descent with momentum: one epoch, its step sizes, and its gradients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ssbrepro.contract import Array
from ssbrepro.training.losses import Loss

Risk = Callable[[Tensor, Tensor], Tensor]  # of inputs and targets: the mean loss over a batch
StepSize = Callable[[float], float]  # of the time in epochs


@dataclass(frozen=True)
class Schedule:
    """A step size that is cut by ``cut_factor`` at the start of each epoch in ``cut_epochs``."""

    step_size: float
    cut_epochs: Sequence[int]
    cut_factor: float

    def at(self, time: float) -> float:
        """Step size when ``time`` epochs are finished."""
        return self.step_size * self.cut_factor ** sum(time >= cut for cut in self.cut_epochs)


class GradientMoments:
    """Mean and variance of each layer's gradient over the batches of an epoch.

    A running mean and sum of squared deviations in float64 (Welford 1962).

    Args:
        sizes: Number of weights of each layer; they follow one another in the flat gradient.
        device: Where the gradients are.
    """

    def __init__(self, sizes: Sequence[int], device: str | torch.device = "cpu") -> None:
        self._sizes = list(sizes)
        self._count = 0
        self._mean = torch.zeros(sum(sizes), dtype=torch.float64, device=device)
        self._squares = torch.zeros_like(self._mean)

    def add(self, gradients: Sequence[Tensor]) -> None:
        """Count the gradient of one batch, one tensor a weight tensor of the model.

        Raises:
            ValueError: If the tensors do not have as many entries as the layers.
        """
        flat = torch.cat([tensor.reshape(-1) for tensor in gradients]).double()
        if flat.shape != self._mean.shape:
            raise ValueError(f"a gradient of {len(flat)} entries for {len(self._mean)} weights")
        self._count += 1
        difference = flat - self._mean
        self._mean += difference / self._count
        self._squares += difference * (flat - self._mean)

    def mean_norms(self) -> Array:
        """Norm of each layer's mean gradient, (layers,); NaN for fewer than two batches."""
        return self._root_of_sums(self._mean.square())

    def deviations(self) -> Array:
        """Root of each layer's summed unbiased variances, (layers,); NaN likewise."""
        return self._root_of_sums(self._squares / max(self._count - 1, 1))

    def _root_of_sums(self, values: Tensor) -> Array:
        if self._count < 2:
            return np.full(len(self._sizes), np.nan)
        sums = torch.stack([part.sum() for part in values.split(self._sizes)])
        return np.asarray(sums.sqrt().cpu().numpy())


def risk_of(model: nn.Module, loss: Loss) -> Risk:
    """The mean loss of a batch as a function of its inputs and targets.

    Args:
        model: Whose outputs the loss is of.
        loss: Mean over a batch of (outputs, targets).
    """
    return lambda inputs, targets: loss(model(inputs), targets)


def descend(
    risk: Risk,
    inputs: Tensor,
    targets: Tensor,
    optimizer: torch.optim.SGD,
    step_size: StepSize,
    epoch: int,
    batch_size: int,
    order: torch.Generator,
    observe: Callable[[Sequence[Tensor]], None] | None = None,
) -> None:
    """One epoch of gradient descent: every example once, in batches drawn at random.

    Args:
        risk: Differentiated by the optimizer's weights, batch by batch.
        inputs: (examples, ...), on the weights' device.
        targets: (examples, ...), likewise.
        optimizer: Of the weights, which are changed in place.
        step_size: Of the time in epochs: epoch - 1 at the first batch, nearly ``epoch`` at the last.
        epoch: Its number, from 1.
        batch_size: Examples a step; the last batch may be smaller.
        order: Source of the order of the examples, on the CPU.
        observe: Given the gradients of each batch, in the optimizer's order, before the step.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    shuffled = torch.randperm(len(inputs), generator=order).to(inputs.device)
    batches = shuffled.split(batch_size)
    for number, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = step_size(epoch - 1 + number / len(batches))
        optimizer.zero_grad()
        risk(inputs[batch], targets[batch]).backward()
        if observe is not None:
            observe([weight.grad for weight in weights if weight.grad is not None])
        optimizer.step()
