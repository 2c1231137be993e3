"""Reverse over reverse by automatic differentiation: general, and the oracle of the others."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from ssbrepro.probes.operators.operator import HessianOperator
from ssbrepro.training.losses import Loss

# The graph of a gradient holds the forward pass, the back-signals and their own graph. On vgg12 that
# was 1.5 to 1.6 times what the forward pass saves; twice that stays inside the budget.
_GRADIENT_OVER_FORWARD = 3


class AutogradOperator(HessianOperator):
    """Hessian of the mean loss by a second backward pass through the graph of the gradient.

    The graph is the same for every product, so as many chunks' graphs as fit into
    ``memory_budget_bytes`` are kept: a product then costs about 5 forward passes instead of 9.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        chunks: list[tuple[Tensor, Tensor]],
        memory_budget_bytes: int = 2 * 2**30,
    ) -> None:
        super().__init__([*model.parameters()], sum(len(inputs) for inputs, _ in chunks))
        self._model = model
        self._loss = loss
        self._chunks = chunks
        self._budget_bytes = memory_budget_bytes
        self._kept: dict[int, Tensor] = {}
        self._too_large: set[int] = set()

    def gradient(self) -> Tensor:
        """Gradient of the mean loss, (dim,)."""
        total = torch.zeros_like(parameters_to_vector(self._weights).detach())
        for inputs, targets in self._chunks:
            total += _flat(torch.autograd.grad(self._part(inputs, targets), self._weights))
        return total

    def _matvec(self, vector: Tensor) -> Tensor:
        total = torch.zeros_like(parameters_to_vector(self._weights).detach())
        for index in range(len(self._chunks)):
            gradient = self._gradient_with_graph(index)
            # A loss flat in the weights (all gates shut) has no second-order graph.
            if gradient.requires_grad:
                rows = torch.autograd.grad(
                    gradient,
                    self._weights,
                    vector,
                    retain_graph=index in self._kept,
                    materialize_grads=True,
                )
                total += _flat(rows)
        return total

    def _gradient_with_graph(self, index: int) -> Tensor:
        """This chunk's part of the gradient, (dim,), differentiable; kept if there is room."""
        if index in self._kept:
            return self._kept[index]
        loss = self._part(*self._chunks[index])
        gradient = _flat(torch.autograd.grad(loss, self._weights, create_graph=True))
        if index not in self._too_large:
            needed_bytes = _GRADIENT_OVER_FORWARD * self._forward_bytes(index)
            if needed_bytes <= self._budget_bytes:
                self._budget_bytes -= needed_bytes
                self._kept[index] = gradient
            else:
                self._too_large.add(index)
        return gradient

    def _forward_bytes(self, index: int) -> int:
        """What automatic differentiation saves of this chunk's forward pass."""
        sizes: dict[int, int] = {}

        def measure(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()

        with torch.autograd.graph.saved_tensors_hooks(measure, lambda tensor: tensor):
            self._part(*self._chunks[index])
        return sum(sizes.values())

    def _part(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """This chunk's share of the mean over all examples."""
        share = len(inputs) / self._num_examples
        return share * self._loss(self._model(inputs), targets)


def _flat(tensors: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])
