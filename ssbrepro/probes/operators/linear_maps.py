"""The steps of a piecewise-linear network at fixed gates: linear maps with their transposes.

Feature maps are (examples, channels, height, width), preferably in channels-last memory, and vectors of
features (examples, features).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_input, conv2d_weight

from ssbrepro.networks.reading import Fork, Gate, Join, Layer, Pool, Step


class FullyConnected:
    """A linear layer, which flattens a feature map before it."""

    def outputs(self, inputs: Tensor, weight: Tensor) -> Tensor:
        """What the layer with that weight makes of inputs."""
        return inputs.flatten(1) @ weight.T

    def to_inputs(self, signal: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        """A signal at the outputs carried back to inputs of that shape."""
        return (signal @ weight).reshape(shape)

    def to_weight(self, signal: Tensor, inputs: Tensor) -> Tensor:
        """The derivative by the weight of the outputs' product with ``signal``."""
        return signal.T @ inputs.flatten(1)


class Convolution:
    """A convolution; methods as those of :class:`FullyConnected`."""

    def __init__(self, module: nn.Conv2d) -> None:
        self._shape = module.weight.shape
        self._stride, self._dilation = module.stride, module.dilation
        self._spans = [d * (k - 1) for d, k in zip(module.dilation, self._shape[2:], strict=True)]
        self._padding, self._odd = _padding(module.padding, self._spans)

    def outputs(self, inputs: Tensor, weight: Tensor) -> Tensor:
        """What the layer with that weight makes of inputs."""
        return functional.conv2d(
            self._framed(inputs), weight, None, self._stride, self._padding, self._dilation
        )

    def to_inputs(self, signal: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        """A signal at the outputs carried back to inputs of that shape."""
        height, width = (side + odd for side, odd in zip(shape[2:], self._odd, strict=True))
        mirrored = [span - pad for span, pad in zip(self._spans, self._padding, strict=True)]
        if self._stride == (1, 1) and min(mirrored) >= 0:
            # The same numbers as a convolution with the mirrored kernel: on CPUs several times faster
            # than the gradient's own routine where there are few channels.
            kernel = weight.flip(2, 3).transpose(0, 1)
            carried = functional.conv2d(
                signal, kernel, None, 1, (mirrored[0], mirrored[1]), self._dilation
            )
        else:
            framed = (len(signal), shape[1], height, width)
            carried = conv2d_input(
                framed, weight, signal, self._stride, self._padding, self._dilation
            )
        return carried[..., : shape[2], : shape[3]]

    def to_weight(self, signal: Tensor, inputs: Tensor) -> Tensor:
        """The derivative by the weight of the outputs' product with ``signal``."""
        derivative: Tensor = conv2d_weight(
            self._framed(inputs), self._shape, signal, self._stride, self._padding, self._dilation
        )
        return derivative

    def _framed(self, inputs: Tensor) -> Tensor:
        """Inputs with the cells that an uneven padding has more after them than before."""
        if not any(self._odd):
            return inputs  # padding by nothing would copy
        return functional.pad(inputs, (0, self._odd[1], 0, self._odd[0]))


Weighted = FullyConnected | Convolution


class Gates:
    """A ReLU. Its state are its outputs, positive where it lets through."""

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs, and the state for the other two methods."""
        outputs = torch.relu(inputs)
        return outputs, outputs

    def outputs(self, tangents: Tensor, state: Tensor) -> Tensor:
        """Tangents at the inputs carried to the outputs."""
        # One pass over memory: a product with booleans would turn them into numbers first.
        carried: Tensor = torch.ops.aten.threshold_backward(tangents, state, 0)
        return carried

    def to_inputs(self, signal: Tensor, state: Tensor, shape: torch.Size) -> Tensor:
        """A signal at the outputs carried back to inputs of that shape."""
        return self.outputs(signal, state)


class LeakyGates:
    """A leaky ReLU; its state are its inputs. Methods as those of :class:`Gates`."""

    def __init__(self, leak: float) -> None:
        self._leak = leak

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs, and the state for the other two methods."""
        return functional.leaky_relu(inputs, self._leak), inputs

    def outputs(self, tangents: Tensor, state: Tensor) -> Tensor:
        """Tangents at the inputs carried to the outputs."""
        carried: Tensor = torch.ops.aten.leaky_relu_backward(tangents, state, self._leak, False)
        return carried

    def to_inputs(self, signal: Tensor, state: Tensor, shape: torch.Size) -> Tensor:
        """A signal at the outputs carried back to inputs of that shape."""
        return self.outputs(signal, state)


class Selection:
    """A max-pool; its state are the cells it selects. Methods as those of :class:`Gates`."""

    def __init__(self, module: nn.MaxPool2d) -> None:
        self._module = module

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs, and the state for the other two methods."""
        module = self._module
        return functional.max_pool2d(
            inputs, module.kernel_size, module.stride, module.padding, module.dilation,
            return_indices=True,
        )  # fmt: skip

    def outputs(self, tangents: Tensor, state: Tensor) -> Tensor:
        """Tangents at the inputs carried to the outputs."""
        # With the channels innermost, as in memory.
        cells = tangents.permute(0, 2, 3, 1).flatten(1, 2)
        selected = state.permute(0, 2, 3, 1)
        return cells.gather(1, selected.flatten(1, 2)).view(selected.shape).permute(0, 3, 1, 2)

    def to_inputs(self, signal: Tensor, state: Tensor, shape: torch.Size) -> Tensor:
        """A signal at the outputs carried back to inputs of that shape."""
        module = self._module
        like = torch.empty(
            shape, dtype=signal.dtype, device=signal.device, memory_format=torch.channels_last
        )
        carried: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
            signal, like, *_pairs(module.kernel_size, module.stride, module.padding, module.dilation),
            False, state,
        )  # fmt: skip
        return carried


class Mean:
    """A mean-pool, whose state is empty. Methods as those of :class:`Gates`."""

    def __init__(self, module: nn.AvgPool2d) -> None:
        self._module = module

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs, and the state for the other two methods."""
        return self._module(inputs), inputs.new_empty(0)

    def outputs(self, tangents: Tensor, state: Tensor) -> Tensor:
        """Tangents at the inputs carried to the outputs."""
        carried: Tensor = self._module(tangents)
        return carried

    def to_inputs(self, signal: Tensor, state: Tensor, shape: torch.Size) -> Tensor:
        """A signal at the outputs carried back to inputs of that shape."""
        module = self._module
        carried: Tensor = torch.ops.aten.avg_pool2d_backward(
            signal, signal.new_empty(shape), *_pairs(module.kernel_size, module.stride, module.padding),
            False, module.count_include_pad, None,
        )  # fmt: skip
        return carried


Unweighted = Gates | LeakyGates | Selection | Mean


class Branches:
    """What waits, in one sweep through a network, while branches are passed."""

    def __init__(self) -> None:
        self._waiting: list[Tensor | None] = []

    def forward(self, step: Fork | Join, value: Tensor | None) -> Tensor | None:
        """Through the beginning or the end of a branch; None stands for a tangent of zero."""
        if isinstance(step, Fork):
            self._waiting.append(value)
            return value
        skipped = self._waiting.pop()
        if value is None:
            return skipped
        if skipped is None:
            return step.scale * value
        return skipped + step.scale * value  # in the module's own order of rounding

    def backward(self, step: Fork | Join, signal: Tensor) -> Tensor:
        """The transpose, from the end of a branch to its beginning."""
        if isinstance(step, Join):
            self._waiting.append(signal)
            return step.scale * signal
        skipped = self._waiting.pop()
        assert skipped is not None
        return signal + skipped


def linear_map(step: Step | Fork | Join) -> Weighted | Unweighted | Fork | Join:
    """The map of a step that :func:`ssbrepro.networks.reading.read_steps` gives; a branch's ends stay.

    Raises:
        ValueError: Naming the step if Hessian products do not support its kind.
    """
    match step:
        case Fork() | Join():
            return step
        case Layer(module=nn.Conv2d() as module):
            return Convolution(module)
        case Layer():
            return FullyConnected()
        case Gate(leak=0):
            return Gates()
        case Gate(leak=leak):
            return LeakyGates(leak)
        case Pool(module=nn.MaxPool2d() as module):
            return Selection(module)
        case Pool(module=nn.AvgPool2d() as module):
            return Mean(module)
    raise ValueError(f"{step.name}: Hessian products do not support the step {type(step).__name__}")


def _padding(
    padding: str | tuple[int, ...], spans: list[int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Cells added on both sides of height and width, and those more after them."""
    if padding == "same":
        return (spans[0] // 2, spans[1] // 2), (spans[0] % 2, spans[1] % 2)
    if isinstance(padding, str):
        return (0, 0), (0, 0)
    height, width = padding
    return (height, width), (0, 0)


def _pairs(*values: Any) -> list[list[int]]:
    return [[value, value] if isinstance(value, int) else list(value) for value in values]
