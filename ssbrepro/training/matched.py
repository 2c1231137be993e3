"""Trainings compared at matched loss, however many steps each of them takes to get there."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ssbrepro.contract import Array, NoProgress, Progress
from ssbrepro.networks.flattening import flat_weights, load_weights
from ssbrepro.seeding import torch_generator
from ssbrepro.training.descent import descend
from ssbrepro.training.hinge import risk_within_margin
from ssbrepro.training.losses import hinge

_CHUNK = 500  # examples run through the network at once; bounds memory only
_OFF = 0.01  # of a level: what the loss of the weights may be off by
_HALVINGS = 30  # at most; some seven take an epoch's fall to a hundredth
_STEPS = 200  # after which a training is kept; small ones are sooner done anew


class Crossing(NamedTuple):
    """Where a training first has a loss.

    ``epoch`` counts from 0 and has a fraction, ``loss`` is within 1 % of the level, ``weights`` are
    flat, (dim,).
    """

    epoch: float
    loss: float
    weights: Array


def crossings(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    shares: Sequence[float],
    step_size: float,
    momentum: float,
    batch_size: int,
    max_epochs: int,
    seed: int,
    progress: Progress | None = None,
    name: str = "crossings",
) -> list[Crossing]:
    """Train until the hinge loss over all examples has fallen to shares of its initial value.

    A loss is crossed in the first epoch that ends with no more. Where in it is found by bisection, on
    the straight line between the weights at both its ends: any fall is then stopped at the same loss,
    where the first look at or below it would be below by as much as an epoch happens to bring.

    Args:
        model: Maps (batch, ...) to (batch,); trained in place.
        inputs: (examples, ...), on the model's device.
        targets: Labels +1 or -1, (examples,).
        shares: Of the initial loss, descending, in (0, 1).
        step_size: Constant.
        momentum: In [0, 1).
        batch_size: Examples a step; the last batch of an epoch may be smaller.
        max_epochs: After so many the training is given up.
        seed: Source of the order of the examples.
        progress: Where to keep a long training, which then continues with the same bits.
        name: It is kept under.

    Returns:
        One for each share that was reached, in their order.
    """
    progress = progress or NoProgress()
    optimizer = torch.optim.SGD(model.parameters(), lr=step_size, momentum=momentum)
    risk = partial(risk_within_margin, model)
    found: list[Crossing] = []
    finished = 0
    if state := progress.restore(name):
        finished, initial = int(state["epoch"]), float(state["initial"])
        _resume(state, model, optimizer)
        kept = (state["epochs"].tolist(), state["losses"].tolist(), state["crossed"])
        found = [Crossing(*one) for one in zip(*kept, strict=True)]
    else:
        initial = _loss(model, inputs, targets)
    levels = [share * initial for share in shares]
    before = flat_weights(model.parameters())
    steps = 0
    for epoch in range(finished + 1, max_epochs + 1):
        order = torch_generator(seed, "batches", epoch)
        descend(risk, inputs, targets, optimizer, lambda _: step_size, epoch, batch_size, order)
        after = flat_weights(model.parameters())
        loss = _loss(model, inputs, targets)
        while len(found) < len(levels) and loss <= levels[len(found)]:
            level = levels[len(found)]
            place, reached = _crossed(model, before, after, inputs, targets, level)
            weights = flat_weights(model.parameters())
            found.append(Crossing(epoch - 1 + place, reached, weights))
            load_weights(model, after)
        if len(found) == len(levels):
            break
        before = after
        steps += -(-len(inputs) // batch_size)
        if steps >= _STEPS:
            progress.save(name, _state(epoch, initial, found, model, optimizer))
            steps = 0
    return found


def _state(
    epoch: int,
    initial: float,
    found: Sequence[Crossing],
    model: nn.Module,
    optimizer: torch.optim.SGD,
) -> dict[str, Array]:
    """All that the next epoch depends on; batch orders come from the seed."""
    weights = list(model.parameters())
    momenta = [
        optimizer.state[one].get("momentum_buffer", torch.zeros_like(one)) for one in weights
    ]
    return {
        "epoch": np.array(epoch),
        "initial": np.array(initial),
        "weights": flat_weights(weights),
        "momenta": flat_weights(momenta),
        "epochs": np.array([one.epoch for one in found]),
        "losses": np.array([one.loss for one in found]),
        "crossed": np.array([one.weights for one in found]),
    }


def _resume(state: Mapping[str, Array], model: nn.Module, optimizer: torch.optim.SGD) -> None:
    weights = list(model.parameters())
    load_weights(model, state["weights"])
    momenta = torch.from_numpy(state["momenta"]).to(weights[0].device)
    sizes = [weight.numel() for weight in weights]
    for weight, part in zip(weights, momenta.split(sizes), strict=True):
        optimizer.state[weight]["momentum_buffer"] = part.view_as(weight).clone()


def _loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    with torch.no_grad():
        outputs = torch.cat([model(part) for part in inputs.split(_CHUNK)])
    return hinge(outputs.double(), targets.double()).item()


def _crossed(
    model: nn.Module, before: Array, after: Array, inputs: Tensor, targets: Tensor, level: float
) -> tuple[float, float]:
    """Put weights of that loss into the model; how far they are on the way, and their loss."""
    # The loss is above the level at the former, and at most that at the latter.
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        place = (low + high) / 2
        load_weights(model, before + (after - before) * after.dtype.type(place))
        loss = _loss(model, inputs, targets)
        if abs(loss - level) <= _OFF * level:
            break
        low, high = (place, high) if loss > level else (low, place)
    return place, loss
