"""The surfaces of fig. 5: closed forms, and that the landscape has no other minima."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.func import grad, vmap

from ssbrepro.contract import Context
from ssbrepro.papers import stage
from ssbrepro.papers.li2022.stages import surfaces
from ssbrepro.papers.li2022.stages.surfaces import Parameters as SurfacesParameters
from ssbrepro.papers.li2022.stages.surfaces import landscape, saddle

BALANCE = 0.25


def measure(balance=BALANCE, num_points=5):
    parameters = SurfacesParameters(balance=balance, extent=2.0, num_points=num_points)
    return stage("li2022/surfaces").run(parameters, Context(0, "cpu", Path("unused")))


def test_the_marked_points_have_the_derivatives_computed_by_hand():
    result = measure()
    assert result.arrays["position"].tolist() == [[0, 0], [0, 0], [1, 1], [-1, -1]]
    assert result.arrays["surface"].tolist() == [0, 1, 1, 1]
    assert result.arrays["height"].tolist() == [0, 1, 0, 0]
    assert not result.arrays["gradient"].any()
    # Hessians diag(2, -2); [[0, -2], [-2, 0]]; and at ±(1, 1) 2 [[1, 1], [1, 1]] of the risk plus
    # 8 balance [[1, -1], [-1, 1]]. Eigenvalues of 2 x 2 matrices in float64.
    np.testing.assert_allclose(
        result.arrays["eigenvalues"],
        [[-2, 2], [-2, 2], [16 * BALANCE, 4], [16 * BALANCE, 4]],
        atol=1e-14,
    )
    assert result.numbers == {
        "num_wrong_signatures": 0,
        "num_wrong_signatures_control": 2,  # without balance the two minima lie on curves of minima
        "gradient_max": 0,
        "minimum_excess": 0,
    }


@pytest.mark.parametrize("balance", [1e-3, 3.0])
def test_any_balance_leaves_the_signatures(balance):
    assert measure(balance).numbers["num_wrong_signatures"] == 0


def test_a_wrong_caption_is_counted(monkeypatch):
    wrong = [point._replace(num_descents=1 - point.num_descents) for point in surfaces._POINTS[:3]]
    monkeypatch.setattr(surfaces, "_POINTS", (*wrong, surfaces._POINTS[3]))
    assert measure().numbers["num_wrong_signatures"] == 3


@pytest.mark.parametrize(
    ("flat", "number"),
    [
        # Without balance both minima lie on curves of minima.
        (lambda point, balance: (1 - point.prod()) ** 2, 2),
        # A valley along x + 3y = 4, where the vanishing eigenvalues are roundings of either sign; the
        # point in the middle is flat along it as well.
        (lambda point, balance: ((0.1 * point[0] + 0.3 * point[1]) ** 2 - 0.16) ** 2, 3),
    ],
)
def test_a_flat_direction_is_no_minimum(monkeypatch, flat, number):
    monkeypatch.setattr(surfaces, "landscape", flat)
    assert measure().numbers["num_wrong_signatures"] == number


def test_a_point_beside_a_minimum_is_told(monkeypatch):
    beside = surfaces._POINTS[2]._replace(position=(1.0, 1.25))
    monkeypatch.setattr(surfaces, "_POINTS", (beside,))
    numbers = measure().numbers
    # f = (1/4)² + (9/16)²/4; ∂f/∂x = 2 (1 - xy)(-y) + 4b x (x² - y²), ∂f/∂y likewise.
    assert numbers["minimum_excess"] == pytest.approx(1 / 16 + 81 / 1024, rel=1e-14)
    slopes = (2 * 0.25 * 1.25 - 9 / 16, 2 * 0.25 + 1.25 * 9 / 16)
    assert numbers["gradient_max"] == pytest.approx(max(slopes), rel=1e-14)


def test_heights_lie_on_the_grid_with_x_along_the_columns():
    result = measure()
    axis, heights = result.arrays["axis"], result.arrays["heights"]
    assert axis.tolist() == [-2, -1, 0, 1, 2]
    assert heights.shape == (2, 5, 5)
    # x = 2, y = -1: 4 - 1, and (1 + 2)² + balance (4 - 1)². Small integers: exact.
    assert heights[:, 1, 4].tolist() == [3, 9 + 9 * BALANCE]
    # x = -1, y = 2.
    assert heights[:, 4, 1].tolist() == [-3, 9 + 9 * BALANCE]


def points(number):
    generator = torch.Generator().manual_seed(0)
    return 4 * torch.rand(number, 2, generator=generator, dtype=torch.float64) - 2


def test_the_identity_that_leaves_three_critical_points_holds_everywhere():
    given = points(200)
    slopes = vmap(grad(lambda point: landscape(point, BALANCE)))(given)
    x, y = given.T
    received = x * slopes[:, 0] - y * slopes[:, 1]
    expected = 4 * BALANCE * (x**2 - y**2) * (x**2 + y**2)
    # Cancelling terms of at most some hundred.
    torch.testing.assert_close(received, expected, rtol=0, atol=1e-12)


def test_every_descent_ends_at_one_of_the_marked_minima():
    def height(position):
        return float(landscape(torch.from_numpy(position), BALANCE))

    def slope(position):
        return grad(lambda point: landscape(point, BALANCE))(torch.from_numpy(position)).numpy()

    ends = [minimize(height, start.numpy(), jac=slope).x for start in points(25)]
    # BFGS stops at slopes of 1e-5; the smallest curvature is 4.
    np.testing.assert_allclose(np.abs(ends), 1, atol=1e-5)
    assert {tuple(np.sign(end)) for end in ends} == {(1.0, 1.0), (-1.0, -1.0)}


def test_the_saddle_falls_along_y_and_rises_along_x():
    given = points(50)
    x, y = given.T
    assert torch.equal(vmap(saddle)(given), x**2 - y**2)
