"""Initial weights."""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

Initialisation = Literal["he_normal", "he_uniform"]


def initialise_(
    weights: Iterable[Tensor],
    generator: torch.Generator | None,
    initialisation: Initialisation = "he_normal",
) -> None:
    """Fill weights (outputs, inputs, ...) with symmetric values of deviation sqrt(2 / fan_in).

    He et al. (2015), arXiv:1502.01852.

    Args:
        weights: Tensors to fill, in the order they are drawn.
        generator: Source of the values; ``None`` takes PyTorch's global one.
        initialisation: ``"he_normal"``, or ``"he_uniform"``, evenly spread with the same deviation.

    Raises:
        ValueError: If there is no such law.
    """
    if initialisation not in ("he_normal", "he_uniform"):
        raise ValueError(f"unknown initialisation {initialisation!r}")
    with torch.no_grad():
        for weight in weights:
            deviation = math.sqrt(2 / weight[0].numel())
            if initialisation == "he_normal":
                weight.normal_(0.0, deviation, generator=generator)
            else:
                end = math.sqrt(3) * deviation
                weight.uniform_(-end, end, generator=generator)
