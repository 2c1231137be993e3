"""A family of tiny residual networks in place of trained ones, and images to measure them on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssbrepro.contract import Array, Context, Input, NoProgress, Progress
from ssbrepro.data.cifar10 import LabelledImages
from ssbrepro.networks.flattening import load_weights
from ssbrepro.papers.ssb2018.residual_networks import loss_and_accuracy, untrained
from ssbrepro.papers.ssb2018.stages.residual_training import (
    Parameters as ResidualTrainingParameters,
)

TINY = ResidualTrainingParameters(
    num_networks=2,
    num_examples=6,
    channels=1,
    num_units=1,
    branch_scale=0.5,
    step_size=0.1,
    momentum=0.9,
    batch_size=3,
    num_epochs=3,
    cut_epoch=2,
    cut_factor=0.1,
    checkpoint_interval=1,
)


def tiny_images(parameters: Any = TINY, context: Any = None, num_examples: Any = None) -> Any:
    """Random images of 8x8 pixels, in place of those of ``residual_networks.images``."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(TINY.num_examples, 3, 8, 8, generator=generator)
    labels = torch.randint(10, (TINY.num_examples,), generator=generator)
    return LabelledImages(inputs[:num_examples], labels[:num_examples])


def random_paths() -> Array:
    """Weights of both networks at four checkpoints, (2, 4, dim): initial ones, then a random walk."""
    rows = []
    for network in range(TINY.num_networks):
        generator = torch.Generator().manual_seed(network)
        start = torch.nn.utils.parameters_to_vector(untrained(TINY, 0, network).parameters())
        steps = 0.1 * torch.randn(3, len(start), generator=generator)
        rows.append(torch.cat([start[None], start + steps.cumsum(0)]).detach().numpy())
    return np.stack(rows)


def losses_at(weights: Array) -> Array:
    """Mean loss of the tiny images at each row of flat weights, (..., dim) to (...)."""
    model = untrained(TINY, 0, 0)
    losses = []
    for row in weights.reshape(-1, weights.shape[-1]):
        load_weights(model, row)
        losses.append(loss_and_accuracy(model, *tiny_images())[0])
    return np.reshape(losses, weights.shape[:-1])


def context_of(
    paths: Array, progress: Progress | None = None, losses: Callable[[Array], Array] = losses_at
) -> Context:
    """Context of a stage that needs ``residual_training``, whose networks went along these paths."""
    arrays = {
        "checkpoint_epoch": np.arange(4),
        "checkpoint_weights": paths,
        "loss": losses(paths),
    }
    training = Input(TINY, arrays)
    return Context(
        0, "cpu", Path("unused"), {"residual_training": training}, progress or NoProgress()
    )
