"""Products that outlive the process which computed them."""

import time
from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ssbrepro.contract import Array, Progress
from ssbrepro.probes.operators.operator import Operator

_SECONDS = 60.0  # between two saves
_BYTES = 1 << 30  # of products held for the next one


class RememberedOperator:
    """An operator whose products are saved as they come, and not computed again after an interruption.

    For computations that ask for the same products in the same order whenever they are begun anew, as
    Lanczos' method does. What it does between two products is done again, with the same bits, at a
    small part of their cost; in float32 they take half the space of the basis that is rebuilt so.

    What is saved is appended in blocks, each written once. Names are used again by the next such
    operator, which takes nothing that is not its own; so there are never more blocks than one needs.

    The attributes are those of any :class:`Operator`.
    """

    def __init__(
        self,
        operator: Operator,
        progress: Progress,
        owner: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin a computation.

        Args:
            operator: What the products are of.
            progress: Where they are kept.
            owner: A number of this operator and this computation alone, below 2^63.
            clock: Seconds of any clock; decides when to save, and nothing else.
        """
        self.dim, self.dtype, self.device = operator.dim, operator.dtype, operator.device
        self._operator, self._progress, self._owner = operator, progress, owner
        self._clock, self._saved_at = clock, clock()
        self._num_given = self._num_blocks = 0
        self._resuming, self._found = True, deque[Array]()
        self._new: list[Array] = []

    def matvec(self, vector: Tensor) -> Tensor:
        """H v: (dim,) to (dim,), remembered or computed."""
        if self._resuming and not self._found:
            self._restore()
        if self._found:
            product = torch.from_numpy(self._found.popleft()).to(self.device)
        else:
            product = self._operator.matvec(vector)
            self._new.append(product.cpu().numpy().copy())  # what is handed out may be changed
        self._num_given += 1
        if self._new and self._is_time():
            self._save()
        return product

    def _is_time(self) -> bool:
        held = len(self._new) * self._new[0].nbytes
        return held >= _BYTES or self._clock() - self._saved_at >= _SECONDS

    def _save(self) -> None:
        state = {"products": np.stack(self._new), **self._mark(self._num_given - len(self._new))}
        self._progress.save(f"products-{self._num_blocks}", state)
        self._num_blocks += 1
        self._new, self._saved_at = [], self._clock()

    def _restore(self) -> None:
        """The next block, if it goes on where this computation is."""
        state = self._progress.restore(f"products-{self._num_blocks}")
        mark = self._mark(self._num_given)
        if state is None or any(state[name] != value for name, value in mark.items()):
            self._resuming = False
            return
        self._found.extend(state["products"])
        self._num_blocks += 1

    def _mark(self, first: int) -> dict[str, Array]:
        """Says whose products a block holds, and which is the first."""
        return {"owner": np.array(self._owner), "first": np.array(first)}
