"""The hinge loss and its margin."""

import pytest
import torch

from ssbrepro.training.losses import hinge, within_margin


def test_hinge_loss_is_the_mean_shortfall_of_the_margin():
    outputs = torch.tensor([2.0, 0.25, -1.0, -3.0])
    targets = torch.tensor([1.0, 1.0, 1.0, -1.0])
    # Shortfalls 0, 0.75, 2, 0.
    assert hinge(outputs, targets).item() == 2.75 / 4


def test_an_example_is_within_the_margin_where_the_loss_is_positive():
    margins = torch.tensor([-1.0, 0.0, 1 - 2**-24, 1.0, 1 + 2**-23, 5.0])
    for sign in (1.0, -1.0):
        within = within_margin(sign * margins, torch.full((6,), sign))
        assert within.tolist() == [True, True, True, False, False, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_only_examples_within_the_margin_have_a_gradient(dtype):
    outputs = torch.linspace(-3, 3, 41, dtype=dtype).requires_grad_()
    targets = torch.where(torch.arange(41) % 2 == 0, 1.0, -1.0).to(dtype)
    (gradient,) = torch.autograd.grad(hinge(outputs, targets), outputs)
    expected = torch.where(
        within_margin(outputs, targets), -targets / 41, torch.zeros(()).to(dtype)
    )
    assert torch.equal(gradient, expected)
    assert 0 < torch.count_nonzero(expected) < 41
