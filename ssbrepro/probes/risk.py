"""The mean hinge loss of a network over fixed examples, at fixed weights."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from ssbrepro.probes.arguments import check_examples
from ssbrepro.probes.operators import HessianOperator, hessian_operator
from ssbrepro.training.losses import check_labels, hinge, within_margin

_CHUNK = 500  # examples a forward pass; bounds memory only


class HingeRisk:
    """R(θ), the mean hinge loss over all examples, and which examples it still depends on.

    Attributes:
        model: The network, with weights of its own.
        inputs: All examples, (examples, ...).
        targets: Their labels, (examples,).
        weights: θ, (dim,).
        layer_sizes: Number of weights of each layer, in the order of θ.
        num_active: Examples with margin y T below 1; only they enter derivatives of R.
        places: Which of the examples first given these are, (examples,).
    """

    def __init__(
        self, model: nn.Module, inputs: Tensor, targets: Tensor, dtype: torch.dtype = torch.float32
    ) -> None:
        """Run all examples through the network.

        Raises:
            TypeError: If an argument is of another kind.
            ValueError: If examples, labels or weights are not as a mean hinge loss needs them.
        """
        check_examples(model, inputs, targets)
        check_labels(targets)
        self.model = copy.deepcopy(model).to(dtype)
        self.inputs = inputs.to(dtype)
        self.targets = targets.to(dtype)
        self._dtype = dtype
        self.weights = parameters_to_vector(self.model.parameters()).detach()
        self.layer_sizes = [weight.numel() for weight in self.model.parameters()]
        with torch.no_grad():
            outputs = torch.cat([self.model(part) for part in self.inputs.split(_CHUNK)])
        self._active = within_margin(outputs, self.targets)
        self.num_active = int(self._active.sum())
        self.places = torch.arange(len(self.targets), device=self.targets.device)
        self._scale = 1.0  # of R's derivatives, over those of these examples' mean loss

    def thinned(self, max_active: int, generator: torch.Generator) -> "HingeRisk":
        """A risk that depends on fewer examples, with the same derivatives on average.

        Of those inside the margin that many are drawn uniformly, without replacement, and stand for
        all of them; those outside, which add nothing, stay. So gradient and Hessian are unbiased
        estimates of R's. What is not linear in them is not: a mean over fewer examples scatters
        more, and the eigenvalues of its Hessian are spread wider.

        Args:
            max_active: How many examples inside the margin to keep; with no more of them than that,
                nothing changes.
            generator: Source of the draw, on the CPU.

        Raises:
            ValueError: If none is to be kept.
        """
        if max_active < 1:
            raise ValueError(f"{max_active} examples inside the margin; keep at least 1")
        if self.num_active <= max_active:
            return self
        inside = self._active.nonzero()[:, 0]
        order = torch.randperm(len(inside), generator=generator).to(inside.device)
        kept = torch.ones_like(self._active)
        kept[inside[order[max_active:]]] = False
        thinned = copy.copy(self)
        thinned.inputs, thinned.targets = self.inputs[kept], self.targets[kept]
        thinned._active, thinned.places = self._active[kept], self.places[kept]
        thinned.num_active = max_active
        thinned._scale = self._scale * self.num_active / max_active * int(kept.sum()) / len(kept)
        return thinned

    def hessian(self, backend: str, active_only: bool = True) -> HessianOperator:
        """H, the Hessian of R at θ.

        Leaving out the examples that R no longer depends on changes nothing beyond rounding.

        Raises:
            ValueError: If no example is left: H is zero.
        """
        kept = self._active if active_only else torch.ones_like(self._active)
        share = self._scale * int(kept.sum()) / len(kept)
        return hessian_operator(
            self.model,
            lambda outputs, targets: share * hinge(outputs, targets),
            self.inputs[kept],
            self.targets[kept],
            backend,
            self._dtype,
        )
