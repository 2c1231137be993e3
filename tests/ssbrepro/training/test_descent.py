"""One epoch of gradient descent, its schedule, and the moments of its gradients."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn
from torch.nn.functional import mse_loss

from ssbrepro.training.descent import GradientMoments, Schedule, descend, risk_of


def half_square(outputs, targets):
    return ((outputs - targets) ** 2).mean() / 2


class Weight(nn.Module):
    """T(x) = w x of one number."""

    def __init__(self, weight: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, inputs):
        return self.weight * inputs


def go_down(model, inputs, targets, step_size, epoch=1, batch_size=2, observe=None, momentum=0.0):
    optimizer = torch.optim.SGD(model.parameters(), lr=123.0, momentum=momentum)
    order = torch.Generator().manual_seed(0)
    risk = risk_of(model, half_square)
    descend(risk, inputs, targets, optimizer, step_size, epoch, batch_size, order, observe)


def ones(number: int) -> torch.Tensor:
    return torch.ones(number, dtype=torch.float64)


def test_a_constant_step_size_contracts_the_distance_to_the_minimum():
    # R = (w - 1)²/2, so each step multiplies w - 1 by 1 - η: quarters are exact.
    model = Weight()
    go_down(model, ones(6), ones(6), lambda _: 0.25)
    assert model.weight.item() == 1 - 0.75**3


def test_the_step_size_is_asked_for_at_the_time_of_each_batch():
    times = []

    def step_size(time):
        times.append(time)
        return 0.5 ** len(times)

    model = Weight()
    go_down(model, ones(7), ones(7), step_size, epoch=3)  # batches of 2, 2, 2 and 1
    assert times == [2, 2.25, 2.5, 2.75]
    # The distance shrinks by 1/2, 3/4, 7/8, 15/16: exact in binary.
    assert model.weight.item() == 1 - (1 / 2) * (3 / 4) * (7 / 8) * (15 / 16)


def test_momentum_lasts_over_the_batches():
    # v = v/2 + (w - 1), w -= v/4.
    model = Weight()
    go_down(model, ones(6), ones(6), lambda _: 0.25, momentum=0.5)
    velocity = weight = 0.0
    for _ in range(3):
        velocity = velocity / 2 + weight - 1
        weight -= velocity / 4
    assert model.weight.item() == weight


def test_every_gradient_is_observed_before_its_step():
    seen = []
    model = Weight()

    def observe(gradients):
        seen.append((model.weight.item(), *(gradient.item() for gradient in gradients)))

    go_down(model, ones(6), ones(6), lambda _: 0.25, observe=observe)
    assert seen == [(1 - 0.75**n, -(0.75**n)) for n in range(3)]


def test_each_example_is_visited_once_in_the_order_of_the_generator():
    seen = []

    class Spy(Weight):
        def forward(self, inputs):
            seen.extend(inputs.tolist())
            return super().forward(inputs)

    inputs = torch.arange(7, dtype=torch.float64)
    go_down(Spy(), inputs, inputs, lambda _: 0.0)
    expected = torch.randperm(7, generator=torch.Generator().manual_seed(0)).tolist()
    assert seen == expected


@pytest.mark.parametrize("time", [0, 1.999, 2, 2.5, 4.999, 5, 7])
def test_a_schedule_cuts_when_as_many_epochs_are_finished(time):
    expected = 1.0 if time < 2 else 0.5 if time < 5 else 0.25
    assert Schedule(1.0, (2, 5), 0.5).at(time) == expected


@given(
    st.integers(2, 5).flatmap(
        lambda batches: arrays(np.float64, (batches, 5), elements=st.floats(-100, 100))
    )
)
def test_moments_are_those_of_numpy(gradients):
    moments = GradientMoments([2, 3])
    for row in torch.from_numpy(gradients):
        moments.add([row[:1], row[1:2], row[2:].reshape(1, 3)])
    layers = (gradients[:, :2], gradients[:, 2:])
    # Float64 roundings of some terms of at most 100; a root doubles their digits near zero.
    np.testing.assert_allclose(
        moments.mean_norms(), [np.linalg.norm(part.mean(axis=0)) for part in layers], atol=1e-12
    )
    np.testing.assert_allclose(
        moments.deviations() ** 2, [part.var(axis=0, ddof=1).sum() for part in layers], atol=1e-9
    )


def test_moments_of_few_batches_by_hand():
    moments = GradientMoments([1, 2])
    assert np.isnan([*moments.mean_norms(), *moments.deviations()]).all()
    moments.add([torch.tensor([3.0, 1.0, 2.0])])
    assert np.isnan([*moments.mean_norms(), *moments.deviations()]).all()
    moments.add([torch.tensor([5.0, 5.0, 6.0])])
    # Means 4, 3, 4; variances over two batches 2, 8, 8.
    # Vectorised roots are right to a unit in the last place or so, not always correctly rounded.
    assert moments.mean_norms().tolist() == pytest.approx([4, 5], rel=1e-15)
    assert moments.deviations().tolist() == pytest.approx([math.sqrt(2), 4], rel=1e-15)


def test_a_large_mean_does_not_drown_a_small_variance():
    moments = GradientMoments([1])
    for value in (1e6, 1e6 + 1e-3):  # squares in float64 would be off by 1e-4
        moments.add([torch.tensor([value], dtype=torch.float64)])
    # The difference of two numbers near 1e6 carries a rounding of 1e-10.
    assert moments.deviations()[0] == pytest.approx(1e-3 / math.sqrt(2), rel=1e-6)


def test_a_gradient_that_lacks_a_layer_is_an_error():
    with pytest.raises(ValueError, match="a gradient of 2 entries for 3 weights"):
        GradientMoments([2, 1]).add([torch.zeros(2)])


def test_descent_learns_a_line():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(20, generator=generator, dtype=torch.float64)
    model = Weight()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(1, 31):
        descend(
            risk_of(model, mse_loss), inputs, 3 * inputs, optimizer, lambda _: 0.1, epoch, 4,
            torch.Generator().manual_seed(epoch),
        )  # fmt: skip
    # No noise: each epoch shrinks the error by a factor of about (1 - 0.2)^5, in float64.
    assert model.weight.item() == pytest.approx(3, abs=1e-9)
