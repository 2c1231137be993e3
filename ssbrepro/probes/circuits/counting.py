"""How many circuits a network has, and how many of them are active for an example.

A circuit is a path through one unit a layer; a unit of a feature map is (channel, row, column), and
paths through padding do not exist. It is active where every gate on its way is open or leaks and
every max-pool is passed through the unit it selects. The circuits that end in a unit are those that
end in the units it reads: one pass through the network counts them all.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssbrepro.networks.reading import Layer, Pool, Step, read
from ssbrepro.networks.tracing import PiecewiseLinear, Trace
from ssbrepro.probes.arguments import check_model, check_precision, check_tensor

# Examples run through the network at once; bounds memory only.
_CHUNK = 64


class CircuitCounts(NamedTuple):
    """Natural logarithms of numbers of circuits for each example, (batch,) float64; -inf for none."""

    log_all: Tensor
    log_active: Tensor

    def __repr__(self) -> str:
        if not len(self.log_all):
            return "CircuitCounts(no examples)"
        least, most = self.log_active.min(), self.log_active.max()
        return (
            f"CircuitCounts({len(self.log_all)} examples, log_all {self.log_all[0]:.2f}, log_active "
            f"{least:.2f} to {most:.2f})"
        )


class PathCounts(NamedTuple):
    """Numbers of paths that end in each unit.

    Attributes:
        read: One entry a step, of the units it reads, (channels, examples, cells) float64, up to a
            power of two of each example.
        log_total: Natural logarithm of the number of whole circuits, (examples,).
    """

    read: list[Tensor]
    log_total: Tensor


def count_circuits(model: nn.Module, inputs: Tensor) -> CircuitCounts:
    """Count all circuits and the active ones, exactly up to the rounding of float64.

        >>> import torch
        >>> from ssbrepro.networks import vgg12
        >>> generator = torch.Generator().manual_seed(0)
        >>> model = vgg12(width=1 / 64, generator=generator)
        >>> counts = count_circuits(model, torch.randn(4, 3, 32, 32, generator=generator))
        >>> bool((counts.log_active < counts.log_all).all())
        True

    Args:
        model: Bias-free sequential network with one output neuron, as :class:`PiecewiseLinear`
            supports it.
        inputs: (batch, *shape of an example), on the weights' device and of their type.

    Raises:
        TypeError: If the model is no module, or the inputs are no tensor.
        ValueError: If the network is not supported, or examples do not fit it or are not finite.
    """
    check_model(model)
    check_tensor("inputs", inputs)
    network = PiecewiseLinear(model, inputs.shape[1:])
    active = [torch.empty(0, dtype=torch.float64, device=inputs.device)]
    for part in inputs.split(_CHUNK) if len(inputs) else ():
        states = finite_trace(network, part).states
        active.append(path_counts(network, len(part), states).log_total)
    architecture = path_counts(network, 1, [None] * len(network.steps)).log_total
    return CircuitCounts(architecture.expand(len(inputs)), torch.cat(active))


def finite_trace(network: PiecewiseLinear, inputs: Tensor) -> Trace:
    """The trace of examples (examples, *input_shape).

    Raises:
        ValueError: If they do not fit the network, or an output is not finite.
    """
    check_precision(inputs, network.layers[0].weight)
    trace = network.trace(inputs)
    if not trace.outputs.isfinite().all():
        raise ValueError("an output is not finite; weights and examples have to be")
    return trace


def path_counts(
    network: PiecewiseLinear, num_examples: int, states: Sequence[Tensor | None]
) -> PathCounts:
    """Count the paths that end in each unit, for each example.

    Args:
        network: Whose circuits to count.
        num_examples: Number of examples.
        states: One entry a step, as in :class:`Trace`; with None a gate is open and a max-pool may be
            passed through any unit of its window.
    """
    device = network.layers[0].weight.device
    channels = network.input_shape[0]
    size = (channels, num_examples, network.input_cells)
    counts = torch.ones(size, dtype=torch.float64, device=device)
    log_scale = torch.zeros(num_examples, dtype=torch.float64, device=device)
    before = []
    for step, state in zip(network.steps, states, strict=True):
        before.append(counts)
        counts, exponent = _scaled(_through(step, counts, state))
        log_scale += exponent.double() * math.log(2)
    return PathCounts(before, counts[0, :, 0].log() + log_scale)


def _through(step: Step, counts: Tensor, state: Tensor | None) -> Tensor:
    """Paths up to the units a step reads in, paths up to its own units out."""
    if isinstance(step, Layer):
        # A unit of any output channel reads all input channels, so their sums serve all.
        positions = read(counts.sum(0), step.sources).sum(-2)
        return positions.expand(step.outputs, -1, -1)
    if isinstance(step, Pool):
        if step.selects and state is not None:
            return counts.gather(-1, state)
        return read(counts, step.sources).sum(-2)
    return counts if state is None else counts * (state != 0)


def _scaled(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Counts divided by a power of two of each example, which changes no bit, and its exponent.

    No depth then leads to an overflow, and integers below 2^53 stay exact.
    """
    largest = counts.amax(dim=(0, 2))
    mantissa, exponent = torch.frexp(largest)
    scale = torch.where(largest > 0, mantissa / largest, 1.0)
    return counts * scale[:, None], exponent
