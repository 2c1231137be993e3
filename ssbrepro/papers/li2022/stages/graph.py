"""A small network with all its circuits, and one of them to be drawn."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import MinLen

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch

    from ssbrepro import seeding
    from ssbrepro.networks import tracing
    from ssbrepro.probes.circuits import counting, perturbations, sampling


@dataclass(frozen=True)
class Parameters:
    """A small fully connected network with all its circuits, to be drawn.

    ``layer_sizes`` are the units of each layer, inputs first, one output last.
    """

    layer_sizes: Annotated[tuple[Count, ...], MinLen(3)]


NUMBERS = {
    "num_circuits": domains.COUNT,
    "num_active": domains.COUNT,
    "value_residual": domains.NON_NEGATIVE,
    "value_residual_control": domains.NON_NEGATIVE,
    "output_residual": domains.NON_NEGATIVE,
}

_MAX_CIRCUITS = 1_000_000  # written out at once
_MAX_ATTEMPTS = 100


def run(parameters: Parameters, context: Context) -> Result:
    """Draw a random fully connected network, an example, and one of its active circuits.

    Returns:
        Arrays: ``input`` (inputs,); for layer l = 1, 2, ... ``weight_<l>`` (outputs, inputs) and
        ``gate_<l>`` (outputs,), 1 or 0 after each layer but the last; ``units`` (1+layers,) of a
        uniformly drawn active circuit; ``layers_removed`` (2,), counted from 0, the first of which is
        left out in its first-order perturbation and both in its second-order one; ``values`` (3,) of
        orders 0, 1 and 2, without the loss's derivative; ``output``. Numbers: ``num_circuits``,
        ``num_active``; ``value_residual``, the largest relative difference of ``values`` from the
        products of their parts, and ``value_residual_control``, the smallest one from products with
        every weight exchanged for that of the next input; ``output_residual``, that of the output from
        the sum over all circuits in units of the sum of their magnitudes.

    Raises:
        ValueError: If the network has too many circuits to write out, or none that is active could be
            found.
    """
    if math.prod(parameters.layer_sizes) > _MAX_CIRCUITS:
        raise ValueError(f"{parameters.layer_sizes} have more than {_MAX_CIRCUITS:,} circuits")
    model, example = _active_network(parameters.layer_sizes, context.seed)
    generator = seeding.torch_generator(context.seed, "graph", "circuit")
    circuit = sampling.sample_circuits(model, example, 1, order=2, generator=generator)
    network = tracing.PiecewiseLinear(model, example.shape)
    values = []
    for order in range(3):
        removed = circuit.layers_removed[:, :order]
        log_abs, sign = perturbations.circuit_values(network, example, circuit.units, removed)
        values.append((sign * log_abs.exp()).item())
    weights = [layer.weight[:, :, 0] for layer in network.layers]
    gates = _gates(weights, example)
    units, layers_removed = circuit.units[0].tolist(), circuit.layers_removed[0].tolist()
    exchanged = [weight.roll(1, dims=1) for weight in weights]
    residuals, wrong_residuals = (
        [
            abs(value / _product(used, gates, example, units, layers_removed[:order]) - 1)
            for order, value in enumerate(values)
        ]
        for used in (weights, exchanged)
    )
    terms = _all_circuits(weights, gates, example)
    output = model(example[None]).item()
    counts = counting.count_circuits(model, example[None])
    arrays: dict[str, Array] = {
        "input": example.numpy(),
        **{f"weight_{number}": weight.numpy() for number, weight in enumerate(weights, 1)},
        **{f"gate_{number}": gate.numpy() for number, gate in enumerate(gates, 1)},
        "units": np.array(units),
        "layers_removed": np.array(layers_removed),
        "values": np.array(values),
        "output": np.array(output),
    }
    return Result(
        arrays=arrays,
        numbers={
            "num_circuits": float(round(counts.log_all.exp().item())),
            "num_active": float(round(counts.log_active.exp().item())),
            "value_residual": max(residuals),
            "value_residual_control": min(wrong_residuals),
            "output_residual": (abs(terms.sum() - output) / terms.abs().sum()).item(),
        },
    )


def _active_network(
    layer_sizes: tuple[int, ...], seed: int
) -> tuple[torch.nn.Sequential, torch.Tensor]:
    """The first of the seed's random networks with an example that opens a circuit.

    Raises:
        ValueError: If none of the first ``_MAX_ATTEMPTS`` has one.
    """
    for attempt in range(_MAX_ATTEMPTS):
        generator = seeding.torch_generator(seed, "graph", "network", attempt)
        model, example = _network(layer_sizes, generator)
        if counting.count_circuits(model, example[None]).log_active.isfinite():
            return model, example
    raise ValueError(f"of {_MAX_ATTEMPTS} networks {layer_sizes} none has an active circuit")


def _network(
    layer_sizes: tuple[int, ...], generator: torch.Generator
) -> tuple[torch.nn.Sequential, torch.Tensor]:
    """A bias-free ReLU network with He-normal weights, and a normal example, in float64."""
    modules: list[torch.nn.Module] = []
    for inputs, outputs in itertools.pairwise(layer_sizes):
        layer = torch.nn.utils.skip_init(
            torch.nn.Linear, inputs, outputs, bias=False, dtype=torch.float64
        )
        torch.nn.init.normal_(layer.weight, 0.0, math.sqrt(2 / inputs), generator)
        modules += [layer, torch.nn.ReLU()]
    example = torch.randn(layer_sizes[0], generator=generator, dtype=torch.float64)
    return torch.nn.Sequential(*modules[:-1]), example


def _gates(weights: list[torch.Tensor], example: torch.Tensor) -> list[torch.Tensor]:
    """Which hidden units are active, 1 or 0, layer by layer."""
    gates: list[torch.Tensor] = []
    signal = example
    for weight in weights[:-1]:
        signal = weight @ signal
        gates.append((signal > 0).double())
        signal = signal * gates[-1]
    return gates


def _product(
    weights: list[torch.Tensor],
    gates: list[torch.Tensor],
    example: torch.Tensor,
    units: list[int],
    removed: list[int],
) -> float:
    """Multiply the parts of a circuit, without the weights of some layers."""
    edges = itertools.pairwise(units)
    kept = [
        weight[after, before].item()
        for layer, (weight, (before, after)) in enumerate(zip(weights, edges, strict=True))
        if layer not in removed
    ]
    opened = [gate[unit].item() for gate, unit in zip(gates, units[1:-1], strict=True)]
    return math.prod([example[units[0]].item(), *kept, *opened])


def _all_circuits(
    weights: list[torch.Tensor], gates: list[torch.Tensor], example: torch.Tensor
) -> torch.Tensor:
    """The values of all circuits, shut ones included, (circuits,): every product written out."""
    values = example[None]
    for weight, gate in itertools.zip_longest(weights, gates, fillvalue=torch.ones(1).double()):
        values = (values[:, :, None] * weight.T * gate).flatten(0, 1)
    return values.flatten()


STAGE = Stage(Parameters, NUMBERS, run)
