"""A model's weights as one flat array, in the order of ``model.parameters()``."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ssbrepro.contract import Array


def flat_weights(weights: Iterable[Tensor]) -> Array:
    """Tensors flattened and concatenated, (dim,), on the CPU."""
    return parameters_to_vector(weights).detach().cpu().numpy()


def load_weights(model: nn.Module, weights: Array) -> None:
    """Put flat ``weights``, (dim,), into the model, in the order of ``model.parameters()``."""
    device = next(model.parameters()).device
    # A copy: training on must not write into the caller's array.
    vector_to_parameters(torch.tensor(weights, device=device), model.parameters())
