"""Tanh networks that learn the 12-bit task, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from annotated_types import Ge, Gt, Le, Lt, MinLen

from ssbrepro import domains
from ssbrepro.contract import (
    Array,
    Context,
    Count,
    Positive,
    Progress,
    Result,
    Series,
    Share,
    Stage,
)
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch

    from ssbrepro import seeding
    from ssbrepro.networks import flattening
    from ssbrepro.papers.ssb2018 import tanh_networks, twelve_bit_task
    from ssbrepro.training import descent


@dataclass(frozen=True)
class Parameters:
    """Tanh networks on the 12-bit task of Shwartz-Ziv & Tishby (2017), trained by SGD.

    ``num_networks`` of them with ``layer_sizes`` units, 12 inputs first and 2 outputs last, on
    ``train_share`` of the 4,096 patterns. The labels know ``label_information`` bits of the pattern,
    through its power in the spherical harmonics of ``degrees``. The weights are kept at
    ``num_checkpoints`` epochs, logarithmic, the first and the last included.
    """

    num_networks: Annotated[int, Ge(2)]
    layer_sizes: Annotated[tuple[Count, ...], MinLen(3)]
    degrees: Annotated[tuple[Annotated[int, Ge(0)], ...], MinLen(1)]
    label_information: Share
    train_share: Annotated[float, Gt(0), Le(1)]
    step_size: Positive
    momentum: Annotated[float, Ge(0), Lt(1)]
    batch_size: Count
    num_epochs: Annotated[int, Ge(2)]
    num_checkpoints: Annotated[int, Ge(2)]


NUMBERS = {
    "label_information": domains.BIT,
    "best_accuracy": domains.SHARE,
    "final_accuracy_median": domains.SHARE,
    "final_accuracy_min": domains.SHARE,
    "final_loss_median": domains.NON_NEGATIVE,
}


class Samples(NamedTuple):
    """What the networks are trained on, each on patterns and labels of its own.

    Attributes:
        trained: The patterns, in random order, (networks, examples).
        label: The labels of all patterns, (networks, 4096).
    """

    trained: Array
    label: Array


def draw_samples(
    task: twelve_bit_task.Task, num_networks: int, train_share: float, seed: int
) -> Samples:
    """A random part of the patterns and one label a pattern by p(y|x), anew for each network.

    As in Shwartz-Ziv & Tishby (2017), section 3.2. What a network gets depends on ``seed`` and its
    number, not on how many others there are.
    """
    num_patterns = len(task.patterns)
    num_trained = max(1, round(train_share * num_patterns))
    trained, label = [], []
    for network in range(num_networks):
        order = seeding.numpy_generator(seed, "tishby", "patterns", network).permutation(
            num_patterns
        )
        trained.append(order[:num_trained])
        chance = seeding.numpy_generator(seed, "tishby", "labels", network).random(num_patterns)
        label.append((chance < task.label_probability).astype(np.int64))
    return Samples(np.stack(trained), np.stack(label))


def logarithmic_epochs(num_epochs: int, number: int) -> list[int]:
    """``number`` epochs, 0, 1, ..., ``num_epochs``, in equal ratios from 1 as far as they are whole.

    Raises:
        ValueError: If there are not as many epochs.
    """
    if number > num_epochs + 1:
        raise ValueError(f"{number} checkpoints of {num_epochs} epochs; one an epoch at most")
    ranks = np.arange(number - 1)
    ideal = np.geomspace(num_epochs, 1, number - 1).round().astype(int)[::-1]
    distinct = np.maximum.accumulate(ideal - ranks) + ranks
    return [0, *distinct.tolist()]


def run(parameters: Parameters, context: Context) -> Result:
    """Train all networks by stochastic gradient descent on the cross-entropy of their labels.

    Network k sees its own patterns and labels, in batches drawn by one order of places for all. An
    interrupted run continues after its last checkpoint with the same bits.

    Returns:
        Arrays: ``epoch`` (epochs+1,). After each epoch, over the patterns trained on at fixed weights:
        ``loss`` in nats and ``accuracy``, (networks, epochs+1), their medians over networks
        ``loss_median`` and ``accuracy_median`` (epochs+1,), and ``weight_norm`` of each layer, weights
        and biases together, (networks, layers, epochs+1). Over the batches of each epoch, while the
        weights move: ``gradient_mean``, the norm of each layer's mean gradient, and
        ``gradient_deviation``, the root of its summed variances, of the same shape, NaN before
        training and where an epoch has one batch. ``layer_sizes`` (layers+1,), inputs first;
        ``checkpoint_epoch`` (checkpoints,) and ``checkpoint_weights`` (networks, checkpoints, dim);
        ``patterns`` (4096, 12), ``label_probability`` (4096,), and of each network the patterns that
        it was ``trained`` on and the ``label`` of each, (networks, 4096). Numbers: I(X;Y) in bits; the
        expected accuracy of the best classifier; accuracies and losses after the last epoch.

    Raises:
        ValueError: If the task or the checkpoints are impossible, or the layers do not go from 12
            inputs to 2 classes.
        ArithmeticError: If a loss stops being finite.
    """
    sizes = parameters.layer_sizes
    if (sizes[0], sizes[-1]) != (12, 2):
        raise ValueError(f"layer_sizes {list(sizes)}; the task has 12 inputs and 2 classes")
    checkpoint_epochs = logarithmic_epochs(parameters.num_epochs, parameters.num_checkpoints)
    task = twelve_bit_task.twelve_bit_task(parameters.degrees, parameters.label_information)
    samples = draw_samples(task, parameters.num_networks, parameters.train_share, context.seed)
    device = torch.device(context.device)
    networks = tanh_networks.TanhNetworks(sizes, parameters.num_networks, context.seed).to(device)
    inputs = tanh_networks.network_inputs(task.patterns, device)[
        torch.from_numpy(samples.trained.T), 0
    ]
    targets = torch.from_numpy(np.take_along_axis(samples.label, samples.trained, axis=1).T)
    history = _train(
        parameters, networks, inputs, targets.to(device), checkpoint_epochs, context.seed,
        context.progress,
    )  # fmt: skip
    checkpoint_weights = history.pop("checkpoint_weights")
    loss, accuracy = history["loss"], history["accuracy"]
    trained = np.zeros(samples.label.shape, dtype=bool)
    np.put_along_axis(trained, samples.trained, True, axis=1)
    best = np.maximum(task.label_probability, 1 - task.label_probability)
    return Result(
        arrays={
            "epoch": np.arange(parameters.num_epochs + 1),
            **history,
            "loss_median": np.median(loss, axis=0),
            "accuracy_median": np.median(accuracy, axis=0),
            "layer_sizes": np.array(sizes),
            "checkpoint_epoch": np.array(checkpoint_epochs),
            "checkpoint_weights": checkpoint_weights,
            "patterns": task.patterns,
            "label_probability": task.label_probability,
            "trained": trained,
            "label": samples.label,
        },
        numbers={
            "label_information": twelve_bit_task.label_information(task.label_probability),
            "best_accuracy": float(best.mean()),
            "final_accuracy_median": float(np.median(accuracy[:, -1])),
            "final_accuracy_min": float(accuracy[:, -1].min()),
            "final_loss_median": float(np.median(loss[:, -1])),
        },
        series={
            "loss": Series("epoch", "loss_median"),
            "accuracy": Series("epoch", "accuracy_median"),
        },
    )


def _train(
    parameters: Parameters,
    networks: tanh_networks.TanhNetworks,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    checkpoint_epochs: Sequence[int],
    seed: int,
    progress: Progress,
) -> dict[str, Array]:
    """The history of all epochs and the weights at the checkpoints.

    Args:
        parameters: Of the stage.
        networks: Trained in place.
        inputs: (examples, networks, 12).
        targets: 0 or 1, (examples, networks).
        checkpoint_epochs: Ascending from 0 to the last epoch.
        seed: Root seed of the batches.
        progress: Keeps what happened up to each checkpoint.
    """
    optimizer = torch.optim.SGD(
        networks.parameters(), lr=parameters.step_size, momentum=parameters.momentum
    )
    parts: list[dict[str, Array]] = []
    for previous, checkpoint in zip((-1, *checkpoint_epochs), checkpoint_epochs, strict=False):
        part = progress.restore(f"epochs-to-{checkpoint}")
        if part is None:
            rows = []
            for epoch in range(previous + 1, checkpoint + 1):
                rows.append(_epoch(parameters, networks, inputs, targets, optimizer, epoch, seed))
                loss = float(np.median(rows[-1]["loss"]))
                progress.report(epoch, parameters.num_epochs, f"training, loss {loss:.2g}")
            part = {name: np.stack([row[name] for row in rows], axis=-1) for name in rows[0]}
            part["weights"] = networks.weights.detach().cpu().numpy().copy()
            momentum = optimizer.state[networks.weights].get("momentum_buffer")
            if momentum is not None:
                part["momentum"] = momentum.cpu().numpy().copy()
            progress.save(f"epochs-to-{checkpoint}", part)
        else:
            flattening.load_weights(networks, part["weights"].ravel())
            if "momentum" in part:
                momentum = torch.tensor(part["momentum"], device=networks.weights.device)
                optimizer.state[networks.weights]["momentum_buffer"] = momentum
        parts.append(part)
    checkpoint_weights = np.stack([part.pop("weights") for part in parts], axis=1)
    history = {
        name: np.concatenate([part[name] for part in parts], axis=-1)
        for name in parts[0]
        if name != "momentum"
    }
    return {**history, "checkpoint_weights": checkpoint_weights}


def _epoch(
    parameters: Parameters,
    networks: tanh_networks.TanhNetworks,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    optimizer: torch.optim.SGD,
    epoch: int,
    seed: int,
) -> dict[str, Array]:
    """Train for one epoch, none before the first, and record: (networks,) or (networks, layers).

    Raises:
        ArithmeticError: If the loss of a network is not finite any more.
    """
    num_networks, num_layers = len(networks.weights), len(networks.layer_dims)
    moments = descent.GradientMoments(networks.layer_dims * num_networks, inputs.device)
    if epoch > 0:
        descent.descend(
            descent.risk_of(networks, _summed_loss), inputs, targets, optimizer,
            lambda _: parameters.step_size, epoch, parameters.batch_size,
            seeding.torch_generator(seed, "tishby", "batches", epoch), moments.add,
        )  # fmt: skip
    with torch.no_grad():
        outputs = networks(inputs).double()
        loss = torch.nn.functional.cross_entropy(
            outputs.transpose(1, 2), targets, reduction="none"
        ).mean(dim=0)
        accuracy = (outputs.argmax(dim=2) == targets).double().mean(dim=0)
        layers = networks.weights.double().split(networks.layer_dims, dim=1)
        weight_norm = torch.stack([layer.norm(dim=1) for layer in layers], dim=1)
    if not loss.isfinite().all():
        network = int((~loss.isfinite()).nonzero()[0])
        raise ArithmeticError(
            f"the loss of network {network} is {loss[network].item()} after epoch {epoch}; "
            "a smaller step size may help"
        )
    return {
        "loss": loss.cpu().numpy(),
        "accuracy": accuracy.cpu().numpy(),
        "weight_norm": weight_norm.cpu().numpy(),
        "gradient_mean": moments.mean_norms().reshape(num_networks, num_layers),
        "gradient_deviation": moments.deviations().reshape(num_networks, num_layers),
    }


def _summed_loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Sum over networks of their mean losses: each network's gradient is then that of its own."""
    return (
        torch.nn.functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())
        * targets.shape[1]
    )


STAGE = Stage(Parameters, NUMBERS, run)
