"""What the backends of Hessian products have in common, and what SciPy makes of it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from ssbrepro.lazy import lazily
from ssbrepro.probes.arguments import PRECISIONS

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

with lazily():
    from scipy.sparse import linalg


class Operator(Protocol):
    """A symmetric matrix H of ``dim`` rows, known by its products alone."""

    dim: int
    dtype: torch.dtype  # of the products
    device: torch.device  # that they are on

    def matvec(self, vector: Tensor) -> Tensor:
        """H v: (dim,) to (dim,)."""


class HessianOperator(ABC):
    """The Hessian of a mean loss by the weights of a network, at one fixed point.

    Attributes:
        dim: Number of weights.
        dtype: Of products and gradient: ``torch.float32`` or ``torch.float64``.
        device: That they are on, and vectors have to be on.
    """

    def __init__(self, weights: Sequence[Tensor], num_examples: int) -> None:
        self._weights = weights
        self._num_examples = num_examples
        self.dim = sum(weight.numel() for weight in weights)
        self.dtype, self.device = weights[0].dtype, weights[0].device

    @property
    def shape(self) -> tuple[int, int]:
        """(dim, dim)."""
        return self.dim, self.dim

    def matvec(self, vector: Tensor) -> Tensor:
        """The product H v.

        Args:
            vector: (dim,), finite, float32 or float64, on the operator's device; it is rounded to the
                operator's ``dtype``.

        Returns:
            (dim,), of the operator's ``dtype``.

        Raises:
            TypeError: If it is no tensor, or one of another type.
            ValueError: If it is of another shape or on another device, or not finite.
        """
        if not isinstance(vector, Tensor):
            raise TypeError(
                f"a vector is a tensor, not a {type(vector).__name__}; to_scipy() takes NumPy arrays"
            )
        if vector.dtype not in PRECISIONS:
            raise TypeError(f"a vector of {vector.dtype}; give float32 or float64")
        if vector.shape != (self.dim,):
            raise ValueError(f"a vector of shape {tuple(vector.shape)}; give ({self.dim},)")
        if vector.device != self.device:
            raise ValueError(
                f"a vector on {vector.device}, the operator is on {self.device}; move it by "
                f".to({self.device})"
            )
        rounded = vector.to(self.dtype)
        if not rounded.isfinite().all():
            raise ValueError(f"a vector that is not finite in {self.dtype}")
        return self._matvec(rounded)

    @abstractmethod
    def _matvec(self, vector: Tensor) -> Tensor:
        """The product with a vector that fits in every respect."""

    @abstractmethod
    def gradient(self) -> Tensor:
        """The gradient of the mean loss at the same point, (dim,)."""

    def to_scipy(self) -> "LinearOperator":
        """The same operator on NumPy arrays, for ``scipy.sparse.linalg``.

        SciPy cannot take the operator itself, whose ``dtype`` is PyTorch's. Vectors are moved to the
        operator's device and products back.

            >>> import torch
            >>> from scipy.sparse.linalg import eigsh
            >>> from ssbrepro.networks import vgg12
            >>> from ssbrepro.probes.operators import hessian_operator
            >>> from ssbrepro.training.losses import hinge
            >>> generator = torch.Generator().manual_seed(0)
            >>> model = vgg12(width=1 / 64, generator=generator)
            >>> inputs = torch.randn(4, 3, 32, 32, generator=generator)
            >>> hessian = hessian_operator(model, hinge, inputs, torch.tensor([1, -1, 1, -1]))
            >>> values, vectors = eigsh(hessian.to_scipy(), k=2, which="LA")
            >>> vectors.shape == (hessian.dim, 2)
            True

        Returns:
            Of shape (dim, dim), float32 or float64 as the operator.
        """
        own = torch.empty(0, dtype=self.dtype).numpy().dtype

        def product(vector: Any) -> Any:  # (dim,) or (dim, 1)
            values = vector.reshape(-1).astype(own, casting="same_kind")
            return self.matvec(torch.from_numpy(values).to(self.device)).cpu().numpy()

        return linalg.LinearOperator(self.shape, product, rmatvec=product, dtype=own)

    def __repr__(self) -> str:
        precision = str(self.dtype).removeprefix("torch.")
        return (
            f"<{type(self).__name__}: {self.dim:,} weights, {self._num_examples:,} examples, "
            f"{precision} on {self.device}>"
        )
