"""The hinge loss and its margin."""

import math

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


@pytest.mark.parametrize("bad", [[0.0, 1.0], [math.nan, 1.0], [2.0, -1.0]])
def test_labels_are_plus_and_minus_one(bad):
    with pytest.raises(ValueError, match=r"labels \+1 and -1.*2 \* targets - 1"):
        hinge(torch.ones(2), torch.tensor(bad))
    assert hinge(torch.zeros(2), torch.tensor([1, -1])) == 1  # integers too


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_output_that_is_not_finite_has_no_loss(bad):
    with pytest.raises(ValueError, match="an output is not finite"):
        hinge(torch.tensor([0.5, bad]), torch.ones(2))


@pytest.mark.parametrize("function", [hinge, within_margin])
@pytest.mark.parametrize("shapes", [((3, 1), (3,)), ((3,), (3, 1)), ((3, 2), (3,))])
def test_each_output_has_one_label(function, shapes):
    outputs, targets = map(torch.ones, shapes)
    with pytest.raises(ValueError, match=r"one of each an example"):
        function(outputs, targets)
