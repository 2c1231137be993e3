"""The oracles are right: against hand-derived formulas and finite differences."""

import pytest
import torch

from ssbrepro.training.losses import hinge
from tests.oracles.hessians import dense_derivatives, two_layer_hinge_derivatives
from tests.oracles.matrices import symmetric
from tests.oracles.nets import NETS, problem


def test_dense_derivatives_of_two_layers_match_the_formula_derived_by_hand():
    model, inputs, targets = problem("two-layer")
    first, second = (weight.detach() for weight in model.parameters())
    by_hand = two_layer_hinge_derivatives(first, second[0], inputs, targets)
    for received, expected in zip(
        dense_derivatives(model, hinge, inputs, targets), by_hand, strict=True
    ):
        assert expected.norm() > 0.1
        # Sums of 17 terms of order one: a few float64 roundings.
        torch.testing.assert_close(received, expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", NETS)
def test_dense_hessian_is_the_finite_difference_of_the_gradient(name):
    model, inputs, targets = problem(name)
    _, hessian = dense_derivatives(model, hinge, inputs, targets)
    weights = problem(name).weights
    generator = torch.Generator().manual_seed(1)
    direction = torch.randn(len(weights), generator=generator, dtype=torch.float64)
    # Small enough that no gate, pool or margin switches; the gradient is then a polynomial of the
    # step, so the central difference is off by step^2 ~ 1e-14 and by rounding, 1e-16 / step.
    step = 1e-7

    def gradient(shift):
        torch.nn.utils.vector_to_parameters(weights + shift * direction, model.parameters())
        return dense_derivatives(model, hinge, inputs, targets)[0]

    difference = (gradient(step) - gradient(-step)) / (2 * step)
    assert difference.norm() > 0.1
    torch.testing.assert_close(hessian @ direction, difference, rtol=0, atol=1e-7)


def test_prescribed_eigenvalues_are_the_eigenvalues():
    values = torch.tensor([-3.0, -0.5, 0.0, 0.25, 4.0], dtype=torch.float64)
    matrix, vectors = symmetric(values)
    # Backward-stable solvers: a few roundings of the norm, 4.
    torch.testing.assert_close(torch.linalg.eigvalsh(matrix), values, rtol=0, atol=1e-14)
    torch.testing.assert_close(matrix @ vectors, vectors * values, rtol=0, atol=1e-14)
