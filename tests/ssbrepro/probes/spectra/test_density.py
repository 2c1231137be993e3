"""Densities of chosen spectra against their closed forms."""

import math
from types import SimpleNamespace

import pytest
import torch

from ssbrepro.probes.operators import hessian_operator
from ssbrepro.probes.spectra import density, moments
from ssbrepro.training.losses import hinge
from tests.oracles.hessians import dense_derivatives
from tests.oracles.nets import wider


def diagonal(eigenvalues, dtype=torch.float64):
    """A diagonal matrix: in a basis of its own a start vector is as random as in any."""
    own = torch.as_tensor(eigenvalues, dtype=dtype)
    return SimpleNamespace(
        dim=len(own), dtype=dtype, device=own.device, matvec=lambda vector: own * vector
    )


def generator():
    return torch.Generator().manual_seed(0)


def smoothed(eigenvalues, found):
    """The mean of Gaussians at all eigenvalues, on the grid."""
    distance = (found.grid[:, None] - eigenvalues) / found.sigma
    kernels = torch.exp(-(distance**2) / 2) / (found.sigma * math.sqrt(2 * math.pi))
    return kernels.mean(dim=1)


def test_one_eigenvalue_is_one_gaussian():
    found = density(diagonal([3.0] * 7), generator(), sigma=0.2)
    torch.testing.assert_close(found.values, smoothed(torch.tensor([3.0]), found))
    assert found.errors.max() < 1e-12
    with pytest.raises(
        ValueError, match="all eigenvalues found are 3, without a range; give sigma"
    ):
        density(diagonal([3.0] * 7), generator())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_semicircle_is_found_within_its_error(dtype):
    # Its quantiles: the density at x in [-1, 1] is 2/π (1 - x²)^½.
    angles = torch.linspace(0, math.pi, 20_001, dtype=torch.float64)
    shares = (angles - torch.sin(2 * angles) / 2) / math.pi
    wanted = (torch.arange(3000, dtype=torch.float64) + 0.5) / 3000
    eigenvalues = -torch.cos(angles[torch.searchsorted(shares, wanted)])
    grid = torch.linspace(-0.9, 0.9, 37)
    found = density(diagonal(eigenvalues, dtype), generator(), 20, 50, grid, sigma=0.05)
    assert (found.grid.dtype, found.values.dtype, found.sigma) == (torch.float64,) * 2 + (0.05,)
    exact = 2 / math.pi * torch.sqrt(1 - found.grid**2)
    # A start vector's variance is about 2/dim times that of the kernel, f / (2 √π σ).
    expected = torch.sqrt(2 / 3000 * exact / (2 * math.sqrt(math.pi) * 0.05) / 20)
    assert (found.errors / expected).mean() == pytest.approx(1, abs=0.2)
    # Smoothing adds σ²/2 times the second derivative, below 0.01 here.
    assert ((found.values - exact).abs() < 4 * expected + 0.01).all()


def test_a_hessian_has_the_density_of_its_eigenvalues_and_its_moments():
    model, inputs, targets = wider()
    hessian = hessian_operator(model, hinge, inputs, targets, dtype=torch.float64)
    eigenvalues = torch.linalg.eigvalsh(dense_derivatives(model, hinge, inputs, targets)[1])
    found = density(hessian, generator(), num_vectors=16)
    exact = smoothed(eigenvalues, found)
    assert torch.trapezoid(found.values, found.grid) == pytest.approx(1, abs=1e-5)
    assert found.sigma == pytest.approx(0.01 * float(eigenvalues[-1] - eigenvalues[0]), rel=1e-6)
    # 4 standard errors, and a thousandth of the peak, below which quadratures do not resolve kernels.
    assert ((found.values - exact).abs() <= 4 * found.errors + 1e-3 * exact.max()).all()
    draws = [
        moments(hessian, generator=generator().manual_seed(seed), num_probes=4)
        for seed in range(40)
    ]
    for power in (2, 3, 4):
        values = torch.tensor([draw[power] for draw in draws], dtype=torch.float64)
        error = values.std() / math.sqrt(40)
        assert abs(values.mean() - (eigenvalues**power).sum()) < 4 * error


def test_the_density_scales_with_the_operator_and_is_as_wide_as_its_range():
    spectrum = torch.linspace(-2, 1, 50).double()
    one, other = (density(diagonal(scale * spectrum), generator()) for scale in (1, 1e-9))
    torch.testing.assert_close(other.values * 1e-9, one.values)
    assert one.grid[[0, -1]].tolist() == pytest.approx([-2.15, 1.15])
    assert other.sigma == pytest.approx(3e-11)
    assert repr(one) == "Density(552 points from -2.15 to 1.15, sigma 0.03)"


def test_by_default_it_takes_four_vectors_of_a_hundred_steps():
    operator, products = diagonal(torch.linspace(-1, 1, 400)), []
    own = operator.matvec
    operator.matvec = lambda vector: products.append(vector) or own(vector)
    density(operator, generator())
    assert len(products) == 4 * 100


def test_one_start_vector_leaves_the_errors_open():
    found = density(diagonal([1.0, 2.0]), generator(), num_vectors=1)
    assert found.values.isfinite().all()
    assert found.errors.isnan().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_vectors": 0}, "num_vectors must be at least 1"),
        ({"num_steps": 0}, "num_steps must be at least 1"),
        ({"sigma": 0.0}, "sigma must be positive"),
        ({"sigma": math.nan}, "sigma must be positive"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        density(diagonal([1.0, 2.0]), generator(), **arguments)
