"""What examples leave behind on their way through a network, step by step.

Activations are written as in :mod:`ssbrepro.networks.reading`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssbrepro.networks.reading import (
    SUPPORTED,
    Fork,
    Gate,
    Join,
    Layer,
    Step,
    read_steps,
)


class Trace(NamedTuple):
    """What examples leave behind on their way through a network.

    ``states`` has one entry a step: the input of a layer, (channels, examples, cells); what a gate
    multiplies by, of that shape, booleans where it does not leak; the cells a max-pool selects,
    (channels, examples, positions), and None for a mean-pool. ``signals`` are the derivatives of the
    output by the outputs of each layer, (outputs, examples, positions), and ``outputs`` is (examples,).
    """

    states: list[Tensor | None]
    signals: list[Tensor]
    outputs: Tensor


class PiecewiseLinear:
    """A sequential network of supported layers with one output neuron.

    Attributes:
        steps: Layers, gates and pools in their order; flattening changes no cell and is none.
        input_shape: Of one example.
        input_cells: Cells of an input channel; 1 for a vector of features.
    """

    def __init__(self, model: nn.Module, input_shape: Sequence[int]) -> None:
        """Take the network apart.

        Raises:
            ValueError: Naming the layer that is not supported, and what is.
        """
        self.input_shape = tuple(input_shape)
        self.steps: list[Step] = []
        steps, size = read_steps(model, self.input_shape)
        for step in steps:
            if isinstance(step, Fork | Join):
                raise ValueError(f"{step.name} has a branch; supported: {SUPPORTED}")
            if not isinstance(step, Step):
                kind = type(step).__name__
                raise ValueError(
                    f"{step.name}: circuits and entries do not support the step {kind}"
                )
            self.steps.append(step)
        self.input_cells = math.prod(self.input_shape[1:])
        if size != 1 or not self.layers:
            raise ValueError(f"the network has {size} outputs; circuits end in one output neuron")

    @property
    def layers(self) -> list[Layer]:
        """The steps that hold weights, in the order of the parameters."""
        return [step for step in self.steps if isinstance(step, Layer)]

    @property
    def places(self) -> list[int]:
        """Where the layers stand among the steps."""
        return [place for place, step in enumerate(self.steps) if isinstance(step, Layer)]

    def trace(self, inputs: Tensor) -> Trace:
        """Run examples through the network.

        Args:
            inputs: (examples, *input_shape), of the weights' type.

        Raises:
            ValueError: If the examples are of another shape.
        """
        if tuple(inputs.shape[1:]) != self.input_shape:
            raise ValueError(f"examples of shape {tuple(inputs.shape[1:])}, not {self.input_shape}")
        states: list[Tensor | None] = []
        sums: list[Tensor] = []
        # The output's derivatives by the layers' outputs need the way between them, nothing before.
        current = inputs.detach()
        with torch.enable_grad():
            for step in self.steps:
                current, state = self._advance(step, current)
                states.append(state)
                if isinstance(step, Layer):
                    sums.append(current if sums else current.requires_grad_())
            outputs = current.reshape(len(inputs))
            signals = torch.autograd.grad(outputs.sum(), sums)
        return Trace(
            states,
            [
                _channel_first(signal, layer.outputs)
                for signal, layer in zip(signals, self.layers, strict=True)
            ],
            outputs.detach(),
        )

    @staticmethod
    def _advance(step: Step, current: Tensor) -> tuple[Tensor, Tensor | None]:
        """The step's output, and what is kept of it."""
        if isinstance(step, Layer):
            kept = _channel_first(current.detach(), step.channels)
            if isinstance(step.module, nn.Linear):
                current = current.flatten(1)
            return step.module(current), kept
        if isinstance(step, Gate):
            opened = current.detach() > 0
            if not step.leak:
                return torch.relu(current), _channel_first(opened, step.channels)
            factors = torch.ones_like(current).masked_fill_(~opened, step.leak)
            return current * factors, _channel_first(factors, step.channels)
        pool = step.module
        if isinstance(pool, nn.AvgPool2d):
            return pool(current), None
        current, selected = functional.max_pool2d(
            current,
            pool.kernel_size,
            pool.stride,
            pool.padding,
            pool.dilation,
            return_indices=True,
        )
        return current, _channel_first(selected, selected.shape[1])


def _channel_first(values: Tensor, channels: int) -> Tensor:
    """(examples, channels, ...) as (channels, examples, cells)."""
    return values.reshape(len(values), channels, -1).transpose(0, 1).contiguous()
