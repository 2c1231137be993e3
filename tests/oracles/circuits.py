"""Circuits written out one by one with plain loops, and small random architectures to do it for."""

import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.oracles.nets import he_normal


class Circuit(NamedTuple):
    """One path from an input to the output, with all that is multiplied along it.

    ``units`` are the flat numbers of the input and of what each layer and pool puts out;
    ``parameters`` are places in the flat parameters, one a layer; ``factor`` is what gates and pools
    multiply by.
    """

    units: tuple[int, ...]
    input: float
    weights: tuple[float, ...]
    parameters: tuple[int, ...]
    factor: float

    @property
    def active(self) -> bool:
        return self.factor != 0

    def value(self, removed: Iterable[int] = (), with_input: bool = True) -> float:
        kept = [weight for layer, weight in enumerate(self.weights) if layer not in {*removed}]
        return math.prod([*kept, self.factor, self.input if with_input else 1.0])


class _Edge(NamedTuple):
    source: int
    target: int
    weight: float | None = None
    parameter: int | None = None
    factor: float = 1.0


def enumerate_circuits(model: nn.Module, example: Tensor) -> list[Circuit]:
    """All circuits of a network of Conv2d, Linear, ReLUs, pools and Flatten, for one example."""
    values = example.flatten().tolist()
    shape = tuple(example.shape)
    paths = {unit: [Circuit((unit,), value, (), (), 1.0)] for unit, value in enumerate(values)}
    first_parameter = 0
    for module in model.modules():
        if isinstance(module, nn.ReLU | nn.LeakyReLU):
            leak = module.negative_slope if isinstance(module, nn.LeakyReLU) else 0.0
            for unit, value in enumerate(values):
                gate = 1.0 if value > 0 else leak
                paths[unit] = [path._replace(factor=path.factor * gate) for path in paths[unit]]
                values[unit] = value * gate
        elif isinstance(module, nn.Flatten):
            shape = (len(values),)
        elif not isinstance(module, nn.Sequential):
            edges, shape = _edges(module, shape, values, first_parameter)
            first_parameter += sum(weight.numel() for weight in module.parameters())
            paths, values = _follow(edges, math.prod(shape), paths, values)
    assert len(values) == 1
    return paths[0]


def _follow(edges, size, paths, values):
    longer = {unit: [] for unit in range(size)}
    sums = [0.0] * size
    for edge in edges:
        sums[edge.target] += values[edge.source] * (edge.weight or 1.0) * edge.factor
        for path in paths[edge.source]:
            weights, parameters = path.weights, path.parameters
            if edge.weight is not None:
                weights, parameters = (*weights, edge.weight), (*parameters, edge.parameter)
            longer[edge.target].append(
                Circuit(
                    (*path.units, edge.target),
                    path.input,
                    weights,
                    parameters,
                    path.factor * edge.factor,
                )
            )
    return longer, sums


def _edges(module, shape, values, first_parameter):
    if isinstance(module, nn.Linear):
        weight = module.weight.tolist()
        inputs = module.in_features
        edges = [
            _Edge(
                source, target, weight[target][source], first_parameter + target * inputs + source
            )
            for target in range(module.out_features)
            for source in range(inputs)
        ]
        return edges, (module.out_features,)
    channels, height, width = shape
    kernel, stride, padding, dilation = (
        _two(getattr(module, name, 1)) for name in ("kernel_size", "stride", "padding", "dilation")
    )
    rows, columns = (
        (length + 2 * pad - spread * (size - 1) - 1) // step + 1
        for length, size, step, pad, spread in zip(
            (height, width), kernel, stride, padding, dilation, strict=True
        )
    )
    convolves = isinstance(module, nn.Conv2d)
    outputs = module.out_channels if convolves else channels
    edges = []
    for output, row, column in itertools.product(range(outputs), range(rows), range(columns)):
        target = (output * rows + row) * columns + column
        window = []
        for channel in range(channels) if convolves else [output]:
            for i, j in itertools.product(range(kernel[0]), range(kernel[1])):
                y = row * stride[0] - padding[0] + i * dilation[0]
                x = column * stride[1] - padding[1] + j * dilation[1]
                if not (0 <= y < height and 0 <= x < width):
                    continue
                source = (channel * height + y) * width + x
                if convolves:
                    weight = module.weight[output, channel, i, j].item()
                    place = ((output * channels + channel) * kernel[0] + i) * kernel[1] + j
                    edges.append(_Edge(source, target, weight, first_parameter + place))
                else:
                    window.append(source)
        if isinstance(module, nn.MaxPool2d):
            largest = max(window, key=lambda source: values[source])
            edges += [_Edge(unit, target, factor=float(unit == largest)) for unit in window]
        elif isinstance(module, nn.AvgPool2d):
            share = 1 / (kernel[0] * kernel[1])
            edges += [_Edge(unit, target, factor=share) for unit in window]
    return edges, (outputs, rows, columns)


def _two(value):
    return (value, value) if isinstance(value, int) else value


class Case(NamedTuple):
    """A small network in float64 with one example."""

    model: nn.Sequential
    example: Tensor


def linear(*sizes: int) -> list[nn.Module]:
    """Fully connected layers with ReLUs between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs, bias=False), nn.ReLU()]
    return layers[:-1]


def convolution(inputs: int, outputs: int, kernel=3, **options) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, bias=False, **options)


def flattened(*modules: nn.Module, size: int) -> list[nn.Module]:
    """Modules, and a linear layer from what they put out to one neuron."""
    return [*modules, nn.Flatten(), *linear(size, 1)]


# Modules and shape of an example; few enough circuits to write out.
ARCHITECTURES = {
    "fully-connected": (lambda: linear(3, 4, 3, 1), (3,)),
    "padded": (
        lambda: [convolution(2, 2, padding=1), nn.ReLU(), nn.Flatten(), *linear(18, 2, 1)],
        (2, 3, 3),
    ),
    "strided-and-dilated": (
        lambda: [
            convolution(2, 3, 2, stride=(2, 1), padding=(1, 0)),
            nn.ReLU(),
            convolution(3, 2, 2, dilation=(1, 2), padding=(0, 1)),
            nn.ReLU(),
            nn.Flatten(),
            *linear(6, 1),
        ],
        (2, 3, 4),
    ),
    "max-pooled": (
        lambda: [
            convolution(1, 2, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            convolution(2, 2, 2),
            nn.ReLU(),
            nn.Flatten(),
            *linear(2, 2, 1),
        ],
        (1, 4, 4),
    ),
    "overlapping-max-pool": (
        lambda: [
            convolution(1, 2, 2),
            nn.MaxPool2d(3, stride=1, padding=1),  # before the gate, where all values differ
            nn.ReLU(),
            nn.Flatten(),
            *linear(18, 2, 1),
        ],
        (1, 4, 4),
    ),
    "average-pooled": (
        lambda: [
            convolution(2, 2, 2),
            nn.ReLU(),
            nn.AvgPool2d(2, stride=1, padding=1),
            convolution(2, 1, 2, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            *linear(4, 1),
        ],
        (2, 4, 4),
    ),
    "leaky": (
        lambda: [
            convolution(1, 2, 2),
            nn.LeakyReLU(0.1),
            nn.MaxPool2d(2, stride=1),
            nn.Flatten(),
            *linear(8, 3, 2),
            nn.LeakyReLU(-0.3),
            *linear(2, 1),
        ],
        (1, 4, 4),
    ),
}


def case(name: str) -> Case:
    """The named network with an example, the first random ones whose output is not zero."""
    modules, shape = ARCHITECTURES[name]
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        model = he_normal(nn.Sequential(*modules()), generator)
        example = torch.randn(shape, generator=generator, dtype=torch.float64)
        if model(example[None]).item() != 0:
            return Case(model, example)
    raise AssertionError(f"{name} is always dead")


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Random small networks with an example, dead ones included."""
    few = st.integers(1, 3)
    channels, height, width = draw(few), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    shape = (channels, height, width)
    modules: list[nn.Module] = []
    for kind in draw(
        st.lists(st.sampled_from(["conv", "relu", "leaky", "max", "mean"]), max_size=4)
    ):
        kernel = (draw(st.integers(1, min(2, height))), draw(st.integers(1, min(2, width))))
        padding = tuple(draw(st.integers(0, size // 2)) for size in kernel)
        options = {"stride": draw(st.integers(1, 2)), "padding": padding}
        if kind == "relu":
            modules.append(nn.ReLU())
            continue
        if kind == "leaky":
            modules.append(nn.LeakyReLU(draw(st.sampled_from([-1.0, 0.0, 0.1, 1.5]))))
            continue
        if kind == "conv":
            outputs = draw(few)
            modules.append(convolution(channels, outputs, kernel, **options))
            channels = outputs
        else:
            pool = nn.MaxPool2d if kind == "max" else nn.AvgPool2d
            modules.append(pool(kernel, **options))
        height, width = (
            (length + 2 * pad - size) // options["stride"] + 1
            for length, pad, size in zip((height, width), padding, kernel, strict=True)
        )
    modules += [
        nn.Flatten(),
        *linear(channels * height * width, *draw(st.lists(few, max_size=2)), 1),
    ]
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    model = he_normal(nn.Sequential(*modules), generator)
    return Case(model, torch.randn(shape, generator=generator, dtype=torch.float64))
