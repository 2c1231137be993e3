"""Bias-free piecewise-linear networks, taken apart into layers, gates, pools and branches.

At fixed weights such a network is linear around every example: what a gate lets through and which
unit a max-pool selects does not change. Counting circuits and differentiating twice are sums over the
same tables: which cell of its input a kernel slot reads at each output position. Hessian products need
no tables and take branches too, between a :class:`Fork` and a :class:`Join`.

Activations are written channel first, (channels, examples, cells), with the cells of a feature map
numbered row by row; a unit's number is channel * cells + cell, its place in the flattened map.

To add a layer kind, give its module a method ``reads_as``: known parts that compute the same, one after
the other. Known are the modules of PyTorch in ``SUPPORTED``, :class:`Branch`, and modules that describe
themselves in turn. ::

    class MeanOfFour(nn.Module):
        def forward(self, maps: Tensor) -> Tensor:
            return maps.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).mean((3, 5))

        def reads_as(self) -> list[nn.Module]:
            return [nn.AvgPool2d(2)]

No other file needs to know of it: probes see layers, gates, pools and branches only. Its weights must be
those of its parts, in the same order, which is checked; that the parts compute the same is for a test to
show, as ``tests/ssbrepro/networks/test_layer_kinds.py`` does. What known parts cannot express needs a
case in ``_step`` below; and where none of the steps fits, a new one, which ``PiecewiseLinear`` (for
circuits and entries) and ``probes.operators.linear_maps`` (for Hessian products) refuse by name until
they are taught it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

SUPPORTED = (
    "bias-free Conv2d and Linear, ReLU, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d(1), LeakyReLU, Flatten, "
    "nested in Sequential, and modules that say what they read as (see ssbrepro.networks.reading)"
)


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution or a linear map: outputs[o, p] = sum_ck weight[o, c, k] x[c, sources[k, p]].

    Attributes:
        name: Its path in the network and its kind.
        module: The layer itself.
        channels: Channels of its input.
        spatial: Shape of an input channel, (height, width), or () for features.
        outputs: Channels of its output.
        sources: Input cell of each kernel slot and output position, (slots, positions);
            ``cells`` stands for padding.
    """

    name: str
    module: nn.Conv2d | nn.Linear
    channels: int
    spatial: tuple[int, ...]
    outputs: int
    sources: Tensor

    @property
    def cells(self) -> int:
        """Cells of an input channel."""
        return math.prod(self.spatial)

    @property
    def weight(self) -> Tensor:
        """The weights, (outputs, channels, slots), in the order of the flat parameters."""
        slots = self.sources.shape[0]
        return self.module.weight.detach().reshape(self.outputs, self.channels, slots)


@dataclass(frozen=True, eq=False)
class Gate:
    """A ReLU, or a leaky one: what is not positive is multiplied by ``leak``, 0 where it is shut."""

    name: str
    channels: int
    leak: float = 0.0


@dataclass(frozen=True, eq=False)
class Pool:
    """A pool over windows of each channel; ``sources`` as in :class:`Layer`."""

    name: str
    module: nn.MaxPool2d | nn.AvgPool2d
    cells: int
    sources: Tensor

    @property
    def selects(self) -> bool:
        """Whether it passes the largest unit only; otherwise it passes the mean over all slots."""
        return isinstance(self.module, nn.MaxPool2d)


Step = Layer | Gate | Pool


@dataclass(frozen=True)
class Fork:
    """Where a branch begins: what is here goes on, and waits for the branch's :class:`Join`."""

    name: str


@dataclass(frozen=True)
class Join:
    """Where a branch ends: ``scale`` times what comes is added to what waits."""

    name: str
    scale: float


@dataclass(frozen=True)
class Branch:
    """x + ``scale`` F(x), where F are ``parts`` one after the other; they keep the shape."""

    parts: "Sequence[nn.Module | Branch]"
    scale: float


@runtime_checkable
class Readable(Protocol):
    """A module of a kind that is not known here and says itself what it is."""

    def reads_as(self) -> Sequence[nn.Module | Branch]:
        """Known parts that compute the same one after the other, with the module's own weights.

        A float32 product decides each gate as the module does only if their roundings agree too.
        """


def read_steps(
    model: nn.Module, input_shape: tuple[int, ...]
) -> tuple[list[Step | Fork | Join], int]:
    """A network's steps in their order, and the number of its outputs.

    Args:
        model: Bias-free sequence of supported layers, or a module that reads as one.
        input_shape: Of one example.

    Raises:
        ValueError: Naming the layer that is not supported, and what is.
    """
    steps: list[Step | Fork | Join] = []
    channels, spatial, flat = _input(input_shape)
    waiting: list[tuple[int, tuple[int, ...], bool]] = []
    seen: set[int] = set()
    if not isinstance(model, nn.Sequential | Readable):
        kind = type(model).__name__
        raise ValueError(f"a network of class {kind} is not supported; supported: {SUPPORTED}")
    for name, module in _leaves(model, ""):
        if isinstance(module, Fork | Join):
            steps.append(module)
            if isinstance(module, Fork):
                waiting.append((channels, spatial, flat))
            elif waiting.pop() != (channels, spatial, flat):
                raise ValueError(f"{module.name} has a branch that changes the shape of its input")
            continue
        label = _label(name, module)
        if any(id(weight) in seen for weight in module.parameters()):
            raise ValueError(f"{label} shares its weights with another; each may be used once")
        seen |= {id(weight) for weight in module.parameters()}
        if isinstance(module, nn.Flatten):
            flat = _flattens(module, label, channels * math.prod(spatial))
            continue
        step, channels, spatial, flat = _step(label, module, channels, spatial, flat)
        steps.append(step)
    return steps, channels * math.prod(spatial)


def read(values: Tensor, sources: Tensor) -> Tensor:
    """What kernel slots find in the cells they read; zero at padding.

    Args:
        values: (..., cells).
        sources: (slots, positions), as in :class:`Layer`.

    Returns:
        (..., slots, positions).
    """
    return functional.pad(values, (0, 1))[..., sources]


def _input(shape: tuple[int, ...]) -> tuple[int, tuple[int, ...], bool]:
    """Channels of an example, their shape, and whether it is flat.

    Raises:
        ValueError: If an example is neither flat nor a stack of feature maps.
    """
    if len(shape) == 1:
        return shape[0], (), True
    if len(shape) == 3:
        channels, height, width = shape
        return channels, (height, width), False
    raise ValueError(
        f"an example has shape {shape}; (features,) or (channels, height, width) is supported"
    )


def _label(name: str, module: nn.Module) -> str:
    return " ".join(filter(None, ("layer", name, f"({type(module).__name__})")))


_Leaf = tuple[str, nn.Module | Fork | Join]


def _leaves(module: nn.Module, path: str) -> Iterator[_Leaf]:
    """The modules of nested sequences, with their paths; those that describe themselves taken apart.

    Yields:
        A path and a module; where a branch begins or ends a fork or join, with an empty path.

    Raises:
        ValueError: If a module's parts do not hold its own weights, or one reads as itself.
    """
    if isinstance(module, Readable):
        leaves = [*_described(module, module.reads_as(), path)]
        held = [leaf.parameters() for _, leaf in leaves if isinstance(leaf, nn.Module)]
        if [*map(id, chain(*held))] != [*map(id, module.parameters())]:
            raise ValueError(
                f"{_label(path, module)} reads as parts that do not hold its own weights, each once "
                "and in their order"
            )
        yield from leaves
    elif type(module) is nn.Sequential or (isinstance(module, nn.Sequential) and not path):
        # Not named_children(), which passes over a module that is there a second time.
        for name, child in module._modules.items():
            assert child is not None
            yield from _leaves(child, _within(path, name))
    else:
        yield path, module


def _described(
    module: nn.Module, parts: Sequence[nn.Module | Branch], path: str
) -> Iterator[_Leaf]:
    """The leaves of a module's parts; a part that it does not hold itself goes by its path.

    Yields:
        As :func:`_leaves`.

    Raises:
        ValueError: As :func:`_leaves`.
    """
    label = _label(path, module)
    names = {id(held): name for name, held in module.named_modules()}
    for part in parts:
        if isinstance(part, Branch):
            yield "", Fork(label)
            yield from _described(module, part.parts, path)
            yield "", Join(label, part.scale)
        elif part is module:
            raise ValueError(f"{label} reads as itself")
        else:
            yield from _leaves(part, _within(path, names.get(id(part), "")))


def _within(path: str, name: str) -> str:
    return ".".join(filter(None, (path, name)))


def _flattens(module: nn.Flatten, label: str, size: int) -> bool:
    """That a flattening keeps the examples apart.

    Raises:
        ValueError: If it does not.
    """
    ends = module.end_dim == -1
    if not ends or not (module.start_dim == 1 or (module.start_dim == 0 and size == 1)):
        raise ValueError(
            f"{label} flattens dimensions {module.start_dim} to {module.end_dim}; supported: all but "
            "the batch, or all of a single output"
        )
    return True


def _step(
    label: str, module: nn.Module, channels: int, spatial: tuple[int, ...], flat: bool
) -> tuple[Step, int, tuple[int, ...], bool]:
    """The step of a module, and the shape of its output.

    Raises:
        ValueError: If the module, or a setting of it, is not supported.
    """
    cells = math.prod(spatial)
    if type(module) is nn.ReLU:
        return Gate(label, channels), channels, spatial, flat
    if type(module) is nn.LeakyReLU:
        return Gate(label, channels, module.negative_slope), channels, spatial, flat
    if type(module) is nn.Linear:
        _require(module.bias is None, label, "has a bias")
        _require(flat, label, "acts on a feature map; put a Flatten before it")
        _require(module.in_features == channels * cells, label, f"has {channels * cells} inputs")
        sources = torch.arange(cells, device=module.weight.device)[:, None]
        layer = Layer(label, module, channels, spatial, module.out_features, sources)
        return layer, module.out_features, (), True
    if type(module) is nn.Conv2d:
        _require(not flat, label, "acts on a flattened input")
        _require(module.bias is None, label, "has a bias")
        _require(module.groups == 1, label, "is a grouped convolution")
        _require(module.padding_mode == "zeros", label, f"pads with {module.padding_mode}")
        _require(module.in_channels == channels, label, f"has {channels} input channels")
        sources, positions = _windows(
            spatial, module.kernel_size, module.stride, module.padding, module.dilation
        )
        sources = sources.to(module.weight.device)
        layer = Layer(label, module, channels, spatial, module.out_channels, sources)
        return layer, module.out_channels, positions, False
    if type(module) is nn.MaxPool2d:
        _require(not flat, label, "acts on a flattened input")
        _require(not module.ceil_mode, label, "rounds the number of its windows up")
        sources, spatial = _windows(
            spatial, module.kernel_size, module.stride, module.padding, module.dilation
        )
        return Pool(label, module, cells, sources), channels, spatial, False
    if type(module) is nn.AvgPool2d:
        _require(not flat, label, "acts on a flattened input")
        _require(not module.ceil_mode, label, "rounds the number of its windows up")
        even = module.divisor_override is None and (
            module.count_include_pad or module.padding in (0, (0, 0))
        )
        _require(even, label, "does not divide by the size of its window")
        sources, spatial = _windows(spatial, module.kernel_size, module.stride, module.padding, 1)
        return Pool(label, module, cells, sources), channels, spatial, False
    if type(module) is nn.AdaptiveAvgPool2d:
        _require(not flat, label, "acts on a flattened input")
        _require(module.output_size in (1, (1, 1)), label, "has more than one output a channel")
        whole = nn.AvgPool2d((spatial[0], spatial[1]))
        return _step(label, whole, channels, spatial, flat)
    raise ValueError(f"{label} is not supported; supported: {SUPPORTED}")


def _require(condition: bool, label: str, problem: str) -> None:
    if not condition:
        raise ValueError(f"{label} {problem}; supported: {SUPPORTED}")


Pair = int | tuple[int, ...]


def _windows(
    spatial: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair | str, dilation: Pair
) -> tuple[Tensor, tuple[int, ...]]:
    """Which cell each slot reads at each position, (slots, positions), and the output's shape."""
    kernel, dilation = _pair(kernel), _pair(dilation)
    spans = [spread * (size - 1) for size, spread in zip(kernel, dilation, strict=True)]
    if padding == "same":
        before = [span // 2 for span in spans]
        after = [span - span // 2 for span in spans]
    else:
        before = after = [0, 0] if isinstance(padding, str) else [*_pair(padding)]
    cells = math.prod(spatial)
    # Cells counted from 1, so that what unfolding reads outside the map is 0.
    numbers = torch.arange(1, cells + 1, dtype=torch.float64).reshape(1, 1, *spatial)
    framed = functional.pad(numbers, (before[1], after[1], before[0], after[0]))
    windows = functional.unfold(framed, kernel, dilation, 0, _pair(stride))[0].long()
    shape = tuple(
        (size - span - 1) // step + 1
        for size, span, step in zip(framed.shape[2:], spans, _pair(stride), strict=True)
    )
    return torch.where(windows == 0, cells, windows - 1), shape


def _pair(value: Pair) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    first, second = value
    return first, second
