"""Initial weights."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor


def he_normal_(weights: Iterable[Tensor], generator: torch.Generator | None) -> None:
    """Fill weights (outputs, inputs, ...) with zero-mean normal values of deviation sqrt(2 / fan_in).

    He et al. (2015), arXiv:1502.01852.

    Args:
        weights: Tensors to fill, in the order they are drawn.
        generator: Source of the values; ``None`` takes PyTorch's global one.
    """
    with torch.no_grad():
        for weight in weights:
            weight.normal_(0.0, math.sqrt(2 / weight[0].numel()), generator=generator)
