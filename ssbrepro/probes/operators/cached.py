"""The exact product for bias-free piecewise-linear networks, from what no product changes.

At fixed weights the activations, gates, selected units and back-signals are the same for every vector
and are computed once. A product H v is then one sweep of tangents forward and one backward (Pearlmutter
1994, "Fast exact multiplication by the Hessian"). With x a layer's input, W its weights, δ the
derivative of the loss by its output, and dashes for derivatives along v,

    y' = W x' + W' x,        δ' of x = Wᵀ δ' + W'ᵀ δ,        (H v) of W = δ' xᵀ + δ x'ᵀ.

A gradient applies three such maps a layer and a product these six, without a graph.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from ssbrepro.networks.reading import Fork, Join, Layer, read_steps
from ssbrepro.probes.operators.linear_maps import Branches, Unweighted, Weighted, linear_map
from ssbrepro.probes.operators.operator import HessianOperator
from ssbrepro.training.losses import Loss


class _Record(NamedTuple):
    """What a chunk of examples leaves behind at fixed weights.

    ``states`` has one entry a step: the input of a layer, else what the step's map needs. ``shapes``
    are those of the steps' inputs. ``signals`` are the derivatives of the chunk's part of the risk by
    the outputs of each layer; ``slopes`` those by the network's ``outputs``, and differentiable.
    """

    states: list[Tensor]
    shapes: list[torch.Size]
    signals: list[Tensor]
    outputs: Tensor
    slopes: Tensor

    def num_bytes(self) -> int:
        """Memory that keeping it takes; a gate's outputs may also be a layer's input."""
        kept = {tensor.data_ptr(): tensor.nbytes for tensor in (*self.states, *self.signals)}
        return sum(kept.values())


class UnsupportedNetwork(ValueError):
    """A layer that is not supported, by its name, and what is."""


class CachedOperator(HessianOperator):
    """Hessian of the mean loss of a bias-free piecewise-linear network, two gradients a product.

    Its forward pass has the bits of the model's own: float32 decides each gate as the model does.
    Feature maps are best given in channels-last memory.

    What as many chunks leave behind as fit into ``memory_budget_bytes`` is kept; of the others it is
    computed anew for every product.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        chunks: list[tuple[Tensor, Tensor]],
        memory_budget_bytes: int = 2 * 2**30,
    ) -> None:
        """Take the network apart and run the examples through it.

        Raises:
            UnsupportedNetwork: Naming the layer that is not supported, and what is.
        """
        try:
            steps, _ = read_steps(model, chunks[0][0].shape[1:])
            self._maps = [linear_map(step) for step in steps]
        except ValueError as error:
            raise UnsupportedNetwork(f"{error}; the backend 'autograd' takes any model") from error
        num_examples = sum(len(inputs) for inputs, _ in chunks)
        super().__init__([weight.detach() for weight in model.parameters()], num_examples)
        self._places = [place for place, step in enumerate(steps) if isinstance(step, Layer)]
        self._loss = loss
        self._chunks = chunks
        with torch.no_grad():
            self._output_shape = model(chunks[0][0][:1]).shape[1:]
        self._kept: list[_Record] = []
        for inputs, targets in chunks:
            record = self._record(inputs, targets)
            memory_budget_bytes -= record.num_bytes()
            if memory_budget_bytes < 0:
                break
            self._kept.append(record)

    def gradient(self) -> Tensor:
        """Gradient of the mean loss, (dim,)."""
        return self._sum_over_chunks(self._gradient)

    def _matvec(self, vector: Tensor) -> Tensor:
        parts = vector.split([weight.numel() for weight in self._weights])
        direction = [part.view_as(w) for part, w in zip(parts, self._weights, strict=True)]
        return self._sum_over_chunks(lambda record: self._product(record, direction))

    def _sum_over_chunks(self, part: Callable[[_Record], list[Tensor]]) -> Tensor:
        total = torch.zeros_like(parameters_to_vector(self._weights))
        with torch.no_grad():
            for index, chunk in enumerate(self._chunks):
                kept = index < len(self._kept)
                record = self._kept[index] if kept else self._record(*chunk)
                total += torch.cat([tensor.reshape(-1) for tensor in part(record)])
        return total

    @torch.no_grad()
    def _record(self, inputs: Tensor, targets: Tensor) -> _Record:
        """Run a chunk through the network and its derivatives back."""
        states, shapes, weights, branches = [], [], iter(self._weights), Branches()
        current = inputs
        for step in self._maps:
            shapes.append(current.shape)
            if isinstance(step, Weighted):
                states.append(current)
                current = step.outputs(current, next(weights))
            elif isinstance(step, Fork | Join):
                states.append(current.new_empty(0))
                moved = branches.forward(step, current)
                assert moved is not None  # a tangent alone may be
                current = moved
            else:
                current, state = step.run(current)
                states.append(state)
        with torch.enable_grad():
            outputs = current.reshape(len(inputs), *self._output_shape).requires_grad_()
            risk = self._loss(outputs, targets) * (len(inputs) / self._num_examples)
            (slopes,) = torch.autograd.grad(risk, outputs, create_graph=True)
        signals: list[Tensor] = []
        signal, branches = slopes.detach().reshape(current.shape), Branches()
        for place, step in self._backwards():
            if isinstance(step, Weighted):
                signals.insert(0, signal)
                weight = self._weights[-len(signals)]
                if place > self._places[0]:
                    signal = step.to_inputs(signal, weight, shapes[place])
            elif isinstance(step, Fork | Join):
                signal = branches.backward(step, signal)
            else:
                signal = step.to_inputs(signal, states[place], shapes[place])
        return _Record(states, shapes, signals, outputs, slopes)

    def _gradient(self, record: _Record) -> list[Tensor]:
        """The chunk's part of the gradient, a tensor a layer."""
        return [
            self._layer(index).to_weight(record.signals[index], record.states[place])
            for index, place in enumerate(self._places)
        ]

    def _product(self, record: _Record, direction: Sequence[Tensor]) -> list[Tensor]:
        """The chunk's part of H v, a tensor a layer."""
        tangents: list[Tensor | None] = []  # at the inputs of the layers; the first has none
        tangent: Tensor | None = None
        branches = Branches()
        for place, step in enumerate(self._maps):
            if isinstance(step, Weighted):
                index = len(tangents)
                inputs, weight = record.states[place], self._weights[index]
                tangents.append(tangent)
                if tangent is None:
                    tangent = step.outputs(inputs, direction[index])
                else:
                    joined = torch.cat([weight, direction[index]], dim=1)
                    tangent = step.outputs(torch.cat([tangent, inputs], dim=1), joined)
            elif isinstance(step, Fork | Join):
                tangent = branches.forward(step, tangent)
            elif tangent is not None:
                tangent = step.outputs(tangent, record.states[place])
        assert tangent is not None  # there is a layer
        signal, branches = self._curvature(record, tangent), Branches()
        parts: list[Tensor] = []
        for place, step in self._backwards():
            if isinstance(step, Weighted):
                index = len(self._places) - 1 - len(parts)
                fixed, weight, before = record.signals[index], self._weights[index], tangents[index]
                part = step.to_weight(signal, record.states[place])
                if before is not None:
                    part = part + step.to_weight(fixed, before)
                parts.append(part)
                if place > self._places[0]:
                    joined = torch.cat([weight, direction[index]])
                    both = torch.cat([signal, fixed], dim=1)
                    signal = step.to_inputs(both, joined, record.shapes[place])
            elif isinstance(step, Fork | Join):
                signal = branches.backward(step, signal)
            else:
                signal = step.to_inputs(signal, record.states[place], record.shapes[place])
        return parts[::-1]

    def _curvature(self, record: _Record, tangent: Tensor) -> Tensor:
        """How the slopes change along a tangent of the outputs; hinge loss has no curvature."""
        if not record.slopes.requires_grad:
            return torch.zeros_like(tangent)
        (change,) = torch.autograd.grad(
            record.slopes,
            record.outputs,
            tangent.reshape(record.outputs.shape),
            retain_graph=True,
            materialize_grads=True,
        )
        return change.reshape(tangent.shape)

    def _backwards(self) -> Iterator[tuple[int, Weighted | Unweighted | Fork | Join]]:
        """The steps from the last to the first layer, with their places.

        Yields:
            The place and the step.
        """
        for place in range(len(self._maps) - 1, self._places[0] - 1, -1):
            yield place, self._maps[place]

    def _layer(self, index: int) -> Weighted:
        step = self._maps[self._places[index]]
        assert isinstance(step, Weighted)
        return step
