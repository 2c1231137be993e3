"""Training a network with hinge loss, recorded epoch by epoch and resumable at every epoch."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from ssbrepro.contract import Array, NoProgress, Progress
from ssbrepro.networks.flattening import flat_weights, load_weights
from ssbrepro.seeding import torch_generator
from ssbrepro.training.descent import Schedule, descend, risk_of
from ssbrepro.training.losses import hinge, shortfall, within_margin

# Examples run through the network at once outside training; bounds memory only.
_CHUNK = 500
# Examples differentiated at once are a multiple of it: CPUs prepare a convolution for each size anew.
_BLOCK = 8
# A forward pass to find the examples within the margin, and all three for them, is less than all three
# for all examples below this share.
_PAYS_BELOW = 2 / 3

HISTORY = ("loss", "accuracy", "step_size", "active_share", "order_parameter")


def state_of_training(
    model: nn.Module, inputs: Tensor, targets: Tensor, step_size: float
) -> dict[str, float]:
    """What is recorded after each epoch, over all examples at fixed weights.

    Returns:
        ``loss``; ``accuracy``, the share with y T > 0; ``step_size``; ``active_share``, the share
        with y T < 1; ``order_parameter``, the step size times the squared norm of the gradient of
        the mean loss (li2022, eq. 16).
    """
    with torch.no_grad():
        outputs = torch.cat([model(part) for part in inputs.split(_CHUNK)])
    active = within_margin(outputs, targets)
    gradient = torch.zeros_like(parameters_to_vector(model.parameters()))
    # Examples outside the margin add exactly nothing to the gradient.
    for part, labels in zip(
        inputs[active].split(_CHUNK), targets[active].split(_CHUNK), strict=True
    ):
        if len(part):
            loss = hinge(model(part), labels) * (len(part) / len(inputs))
            parts = torch.autograd.grad(loss, list(model.parameters()))
            gradient += torch.cat([tensor.reshape(-1) for tensor in parts])
    return {
        "loss": shortfall(outputs.double(), targets.double()).item(),
        "accuracy": (targets * outputs > 0).double().mean().item(),
        "step_size": step_size,
        "active_share": active.double().mean().item(),
        "order_parameter": step_size * gradient.double().square().sum().item(),
    }


def risk_within_margin(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """The mean hinge loss of a batch, differentiated where it is not flat.

    Examples outside the margin have a loss and a gradient of exactly zero, so no more than a forward
    pass is spent on them. Value and gradient are those of the plain mean up to rounding.

    Args:
        model: Maps (batch, ...) to (batch,).
        inputs: (batch, ...), on the model's device.
        targets: Labels +1 or -1, (batch,).
    """
    with torch.no_grad():
        active = within_margin(model(inputs), targets)
    blocks = max(1, math.ceil(int(active.sum()) / _BLOCK))
    # Those within the margin come first; what fills up the last block adds nothing.
    chosen = active.int().argsort(descending=True, stable=True)[: blocks * _BLOCK]
    return shortfall(model(inputs[chosen]), targets[chosen]) * (len(chosen) / len(inputs))


def train(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    schedule: Schedule,
    momentum: float,
    batch_size: int,
    num_epochs: int,
    checkpoint_epochs: Sequence[int],
    seed: int,
    progress: Progress | None = None,
    differentiated: Literal["active", "all"] = "active",
) -> dict[str, Array]:
    """Stochastic gradient descent with momentum on the hinge loss.

    Every epoch visits all examples once, in an order drawn from ``seed`` and the epoch's number. An
    interrupted run continues after its last finished epoch with the same bits.

    Args:
        model: Maps (batch, ...) to (batch,); trained in place.
        inputs: (examples, ...), on the model's device.
        targets: Labels +1 or -1, (examples,).
        schedule: Step size of each epoch.
        momentum: Momentum of the step, in [0, 1).
        batch_size: Examples a step; the last batch of an epoch may be smaller.
        num_epochs: Epochs to train.
        checkpoint_epochs: Ascending; the weights after so many epochs are kept. 0: before training.
        seed: Root seed.
        progress: Where to report, and what to continue from.
        differentiated: Which examples of a batch, by :func:`risk_within_margin` or by the plain mean;
            the same up to rounding, and ``"active"`` is plain too where it would not be faster.

    Returns:
        ``epoch`` (num_epochs+1,) and the ``HISTORY`` of the same length in float64;
        ``checkpoint_epoch`` (checkpoints,) and ``checkpoint_weights`` (checkpoints, dim).

    Raises:
        ValueError: If a checkpoint lies outside the training.
        ArithmeticError: If the loss stops being finite.
    """
    if any(not 0 <= epoch <= num_epochs for epoch in checkpoint_epochs):
        raise ValueError(f"checkpoints {list(checkpoint_epochs)} of {num_epochs} epochs")
    progress = progress or NoProgress()
    optimizer = torch.optim.SGD(model.parameters(), lr=schedule.at(0), momentum=momentum)
    plain, skipping = risk_of(model, shortfall), partial(risk_within_margin, model)
    history: dict[str, list[float]] = {name: [] for name in HISTORY}
    checkpoints: dict[int, Array] = {}
    if state := progress.restore("epoch"):
        finished = len(state["loss"])
        kept = {
            epoch: progress.restore(f"checkpoint-{epoch}")
            for epoch in checkpoint_epochs
            if epoch < finished
        }
        if None not in kept.values():
            checkpoints = {epoch: found["weights"] for epoch, found in kept.items() if found}
            _resume(state, model, optimizer, history)
    for epoch in range(len(history["loss"]), num_epochs + 1):
        step_size = schedule.at(max(epoch - 1, 0))
        if epoch > 0:
            order = torch_generator(seed, "batches", epoch)
            pays = differentiated == "active" and history["active_share"][-1] < _PAYS_BELOW
            risk = skipping if pays else plain
            descend(risk, inputs, targets, optimizer, schedule.at, epoch, batch_size, order)
        record = state_of_training(model, inputs, targets, step_size)
        if not np.isfinite(record["loss"]):
            raise ArithmeticError(f"the loss is {record['loss']} after epoch {epoch}")
        for name in HISTORY:
            history[name].append(record[name])
        if epoch in checkpoint_epochs:
            progress.save(f"checkpoint-{epoch}", {"weights": flat_weights(model.parameters())})
            checkpoints[epoch] = flat_weights(model.parameters())
        progress.save("epoch", _state(model, optimizer, history))
        progress.report(epoch, num_epochs, f"training, loss {record['loss']:.2g}")
    return {
        "epoch": np.arange(num_epochs + 1),
        **{name: np.array(values) for name, values in history.items()},
        "checkpoint_epoch": np.array(checkpoint_epochs),
        "checkpoint_weights": np.stack([checkpoints[epoch] for epoch in checkpoint_epochs]),
    }


def _state(
    model: nn.Module, optimizer: torch.optim.SGD, history: Mapping[str, list[float]]
) -> dict[str, Array]:
    """All that the next epoch depends on; batch orders come from the seed."""
    momenta = [
        optimizer.state[weight].get("momentum_buffer", torch.zeros_like(weight))
        for weight in model.parameters()
    ]
    return {
        **{name: np.array(values) for name, values in history.items()},
        "weights": flat_weights(model.parameters()),
        "momenta": flat_weights(momenta),
    }


def _resume(
    state: Mapping[str, Array],
    model: nn.Module,
    optimizer: torch.optim.SGD,
    history: Mapping[str, list[float]],
) -> None:
    weights = list(model.parameters())
    load_weights(model, state["weights"])
    momenta = torch.from_numpy(state["momenta"]).to(weights[0].device)
    sizes = [weight.numel() for weight in weights]
    for weight, part in zip(weights, momenta.split(sizes), strict=True):
        optimizer.state[weight]["momentum_buffer"] = part.view_as(weight).clone()
    for name in HISTORY:
        history[name].extend(state[name].tolist())
