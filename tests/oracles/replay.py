"""A network done again from its tables and from what a trace kept of it."""

import torch

from ssbrepro.networks.reading import Gate, Layer, read
from ssbrepro.networks.tracing import PiecewiseLinear
from tests.oracles.circuits import Case

ROUNDING = {"rtol": 0, "atol": 1e-12}  # sums of some hundred terms of order one, in float64


def assert_steps_replay_the_network(network: Case, num_examples: int = 3) -> None:
    """Every step, done by its table from what the trace kept, is the module's own output."""
    generator = torch.Generator().manual_seed(0)
    shape = (num_examples, *network.example.shape)
    inputs = torch.randn(shape, generator=generator, dtype=torch.float64)
    taken = PiecewiseLinear(network.model, network.example.shape)
    states, signals, outputs = taken.trace(inputs)
    torch.testing.assert_close(outputs, network.model(inputs).flatten(), **ROUNDING)
    channels = network.example.shape[0]
    current = inputs.reshape(num_examples, channels, taken.input_cells).transpose(0, 1)
    for step, state in zip(taken.steps, states, strict=True):
        if isinstance(step, Layer):
            torch.testing.assert_close(state, current, **ROUNDING)
            current = torch.einsum("ock,cnkp->onp", step.weight, read(current, step.sources))
        elif isinstance(step, Gate):
            factors = torch.where(current > 0, torch.ones_like(current), step.leak)
            assert torch.equal(state.to(current), factors)
            current = current * state
        elif step.selects:
            chosen = current.gather(-1, state)
            framed = torch.cat([current, torch.full_like(current[..., :1], -torch.inf)], dim=-1)
            # Of values that are equal but for rounding, either is the largest.
            torch.testing.assert_close(chosen, framed[..., step.sources].amax(-2), **ROUNDING)
            current = chosen
        else:
            assert state is None
            current = read(current, step.sources).mean(-2)
    torch.testing.assert_close(current.flatten(), outputs, **ROUNDING)
    # A layer's gradient is its signal times what its slots read.
    gradients = torch.autograd.grad(network.model(inputs).sum(), network.model.parameters())
    kept = [
        state for step, state in zip(taken.steps, states, strict=True) if isinstance(step, Layer)
    ]
    for layer, signal, state, gradient in zip(taken.layers, signals, kept, gradients, strict=True):
        product = torch.einsum("onp,cnkp->ock", signal, read(state, layer.sources))
        torch.testing.assert_close(product.flatten(), gradient.flatten(), **ROUNDING)
