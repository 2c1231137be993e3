"""A family of residual networks on CIFAR-10, each trained on its own and recorded every epoch."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ssbrepro.contract import Array, Context, NoProgress, Progress
from ssbrepro.data.cifar10 import LabelledImages, load_classes
from ssbrepro.networks import residual_net
from ssbrepro.networks.flattening import flat_weights
from ssbrepro.papers.ssb2018.parameters import ResidualNetworks
from ssbrepro.seeding import torch_generator
from ssbrepro.training.descent import GradientMoments, StepSize, descend, risk_of

# Examples run through the network at once outside training; bounds memory only.
_CHUNK = 500


def images(
    parameters: ResidualNetworks, context: Context, num_examples: int | None = None
) -> LabelledImages:
    """The images that all networks are trained on, or the first few, on the context's device.

    Args:
        parameters: Of the family.
        context: Of the stage.
        num_examples: How many of the training images, standardised as all of them are.

    Raises:
        ValueError: If more are asked for than the networks are trained on.
    """
    if num_examples is not None and num_examples > parameters.num_examples:
        raise ValueError(
            f"{num_examples} examples asked for; the networks were trained on "
            f"{parameters.num_examples}"
        )
    inputs, labels = load_classes(context.data_root, parameters.num_examples)
    device = torch.device(context.device)
    # Channels last is the layout in which convolutions are fastest; it changes no value.
    inputs = inputs[:num_examples].to(device, memory_format=torch.channels_last)
    return LabelledImages(inputs, labels[:num_examples].to(device))


def untrained(parameters: ResidualNetworks, seed: int, network: int) -> nn.Sequential:
    """The freshly initialised ``network``, counted from 0, on the CPU."""
    return residual_net(
        parameters.channels,
        parameters.num_units,
        parameters.branch_scale,
        generator=torch_generator(seed, "weights", network),
    )


def learn(
    parameters: ResidualNetworks,
    inputs: Tensor,
    labels: Tensor,
    network: int,
    seed: int,
    step_size: StepSize,
    checkpoint_epochs: Sequence[int] = (),
    progress: Progress | None = None,
) -> dict[str, Array]:
    """Train one network of the family by stochastic gradient descent on the cross-entropy.

    Its initial weights and the order of the images depend on the seed and its number alone.

    Args:
        parameters: Of the family; its step size is not used.
        inputs: (examples, 3, 32, 32), on the device to train on.
        labels: (examples,) int64, likewise.
        network: Its number, from 0.
        seed: Root seed.
        step_size: Of the time in epochs.
        checkpoint_epochs: Ascending; the weights after so many epochs are kept. 0: before training.
        progress: Where to report each epoch.

    Returns:
        After each epoch, over all examples at fixed weights: ``loss`` and ``accuracy``, (epochs+1,);
        ``weight_norm`` of each layer, (layers, epochs+1). Over the batches of each epoch, while the
        weights move: ``gradient_mean``, the norm of each layer's mean gradient, and
        ``gradient_deviation``, the root of its summed variances, (layers, epochs+1), NaN before
        training and where an epoch has one batch. ``checkpoint_weights``, (checkpoints, dim)
        float32 in the order of ``model.parameters()``.

    Raises:
        ArithmeticError: If the loss stops being finite.
    """
    progress = progress or NoProgress()
    model = untrained(parameters, seed, network).to(inputs.device)
    weights = list(model.parameters())
    sizes = [weight.numel() for weight in weights]
    optimizer = torch.optim.SGD(weights, lr=step_size(0), momentum=parameters.momentum)
    history: dict[str, list[Array]] = {}
    checkpoints = []
    for epoch in range(parameters.num_epochs + 1):
        moments = GradientMoments(sizes, inputs.device)
        if epoch > 0:
            descend(
                risk_of(model, cross_entropy), inputs, labels, optimizer, step_size, epoch,
                parameters.batch_size, torch_generator(seed, "batches", network, epoch), moments.add,
            )  # fmt: skip
        loss, accuracy = loss_and_accuracy(model, inputs, labels)
        if not np.isfinite(loss):
            raise ArithmeticError(
                f"the loss of network {network} is {loss} after epoch {epoch}; "
                "a smaller step size may help"
            )
        record = {
            "loss": np.array(loss),
            "accuracy": np.array(accuracy),
            "gradient_mean": moments.mean_norms(),
            "gradient_deviation": moments.deviations(),
            "weight_norm": np.array([weight.detach().double().norm().item() for weight in weights]),
        }
        for name, value in record.items():
            history.setdefault(name, []).append(value)
        if epoch in checkpoint_epochs:
            checkpoints.append(flat_weights(weights))
        progress.report(
            epoch,
            parameters.num_epochs,
            f"network {network + 1} of {parameters.num_networks}, loss {loss:.2g}",
        )
    arrays = {name: np.stack(values, axis=-1) for name, values in history.items()}
    return arrays | ({"checkpoint_weights": np.stack(checkpoints)} if checkpoints else {})


def loss_and_accuracy(model: nn.Module, inputs: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean cross-entropy in float64, and the share of examples whose class has the largest output.

    Args:
        model: Maps (batch, ...) to (batch, classes).
        inputs: (examples, ...), on the model's device.
        labels: (examples,) int64, likewise.
    """
    with torch.no_grad():
        outputs = torch.cat([model(part) for part in inputs.split(_CHUNK)]).double()
    accuracy = (outputs.argmax(dim=1) == labels).double().mean()
    return cross_entropy(outputs, labels).item(), accuracy.item()


def learn_all(
    num_networks: int, progress: Progress, learn_one: Callable[[int], Mapping[str, Array]]
) -> dict[str, Array]:
    """Train each network unless an interrupted run has finished it, and stack what they return.

    Args:
        num_networks: How many.
        progress: Keeps each finished network.
        learn_one: Trains the network of a number from 0 and returns its arrays.

    Returns:
        The arrays with the networks along a first axis.
    """
    finished = []
    for network in range(num_networks):
        name = f"network-{network}"
        arrays = progress.restore(name)
        if arrays is None:
            arrays = dict(learn_one(network))
            progress.save(name, arrays)
        finished.append(arrays)
    return {name: np.stack([arrays[name] for arrays in finished]) for name in finished[0]}
