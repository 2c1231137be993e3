"""Adapter around the Hessian-vector product of PyHessian 0.1 (Yao et al. 2020, arXiv:1912.07145).

Only its product is used. Its ``density()`` calls the removed ``torch.eig``, and its ``trace()``
stops after two samples whenever the running mean is negative, so neither is a measurement.
"""

import warnings

import torch
from pyhessian import hessian
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from ssbrepro.probes.operators.operator import HessianOperator
from ssbrepro.training.losses import Loss


class PyHessianOperator(HessianOperator):
    """PyHessian's loader mode: it weights the batches by their sizes, so ragged ones are right."""

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        chunks: list[tuple[Tensor, Tensor]],
    ) -> None:
        super().__init__([*model.parameters()], sum(len(inputs) for inputs, _ in chunks))
        self._model = model
        self._loss = loss
        self._chunks = chunks
        self._pyhessian = hessian(model, loss, dataloader=chunks, cuda=self.device.type == "cuda")

    def gradient(self) -> Tensor:
        """Gradient of the mean loss, (dim,); PyHessian offers none in loader mode."""
        total = torch.zeros_like(parameters_to_vector(self._weights).detach())
        for inputs, targets in self._chunks:
            loss = self._loss(self._model(inputs), targets) * (len(inputs) / self._num_examples)
            gradient = torch.autograd.grad(loss, self._weights)
            total += torch.cat([part.reshape(-1) for part in gradient])
        return total

    def _matvec(self, vector: Tensor) -> Tensor:
        parts = vector.split([weight.numel() for weight in self._weights])
        shaped = [part.view_as(weight) for part, weight in zip(parts, self._weights, strict=True)]
        with warnings.catch_warnings():
            # PyHessian calls backward(create_graph=True); it clears the gradients itself.
            warnings.filterwarnings("ignore", message="Using backward\\(\\) with create_graph")
            _, product = self._pyhessian.dataloader_hv_product(shaped)
        return torch.cat([part.reshape(-1) for part in product])
