"""Lanczos quadrature against matrices whose eigenvalues were chosen."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssbrepro.probes.spectra import Quadrature, lanczos
from ssbrepro.probes.spectra.lanczos import krylov, tridiagonalise
from tests.oracles.matrices import symmetric

# Eigenvalues of very different sizes and both signs, distinct.
SPECTRUM = torch.tensor(
    [-7.0, -2.5, -1.0, -0.3, -0.04, 0.001, 0.02, 0.5, 0.9, 1.7, 3.0, 12.0], dtype=torch.float64
)


def random_start(dim: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(dim, generator=torch.Generator().manual_seed(seed)).to(dtype)


def spectral_weights(vectors: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """Squared components of the normalised start along the eigenvectors."""
    return (vectors.T @ (start / start.norm())) ** 2


def moments(values: torch.Tensor, weights: torch.Tensor, degrees: range) -> torch.Tensor:
    """Moments of a measure, each relative to the largest magnitude there could be."""
    scaled = values / SPECTRUM.abs().max()
    return torch.stack([(weights * scaled**degree).sum() for degree in degrees])


def test_all_steps_give_the_eigenvalues_and_the_components_of_the_start():
    matrix, vectors = symmetric(SPECTRUM)
    start = random_start(len(SPECTRUM))
    rule = lanczos(lambda vector: matrix @ vector, start, len(SPECTRUM))
    # Full re-orthogonalisation keeps the basis orthogonal to rounding: backward stable, so
    # eigenvalues are right to some 1e-16 of the norm, 12; eigenvectors lose norm / gap ~ 600 more.
    torch.testing.assert_close(rule.nodes, SPECTRUM, rtol=0, atol=1e-13)
    expected = spectral_weights(vectors, start)
    torch.testing.assert_close(rule.weights, expected, rtol=0, atol=1e-12)
    # The space is exhausted: nothing is left of the last product but rounding.
    assert rule.residuals.max() < 1e-12


@pytest.mark.parametrize("num_steps", range(1, 12))
def test_the_quadrature_is_exact_up_to_degree_two_m_minus_one_and_no_further(num_steps):
    matrix, vectors = symmetric(SPECTRUM)
    start = random_start(len(SPECTRUM), seed=num_steps)
    rule = lanczos(lambda vector: matrix @ vector, start, num_steps)
    weights = spectral_weights(vectors, start)
    exact = range(2 * num_steps)
    # Moments relative to norm^degree: the error of a node grows with the degree, at most 21 roundings.
    torch.testing.assert_close(
        moments(rule.nodes, rule.weights, exact),
        moments(SPECTRUM, weights, exact),
        rtol=0,
        atol=1e-14,
    )
    # At degree 2m the quadrature falls short by the product of the squared off-diagonal entries,
    # which is the squared norm of the monic orthogonal polynomial: compute that independently.
    scaled = SPECTRUM / SPECTRUM.abs().max()
    polynomial = torch.ones_like(scaled)
    previous = torch.zeros_like(scaled)
    ratio = torch.zeros(())
    for _ in range(num_steps):  # Stieltjes' recurrence on the known measure
        norm = (weights * polynomial**2).sum()
        centre = (weights * scaled * polynomial**2).sum() / norm
        polynomial, previous = (scaled - centre) * polynomial - ratio * previous, polynomial
        ratio = (weights * polynomial**2).sum() / norm
    shortfall = (weights * polynomial**2).sum()
    degree = range(2 * num_steps, 2 * num_steps + 1)
    missing = moments(SPECTRUM, weights, degree) - moments(rule.nodes, rule.weights, degree)
    torch.testing.assert_close(missing[0], shortfall, rtol=1e-6, atol=1e-14)


@given(
    st.lists(st.integers(-1000, 1000), min_size=1, max_size=12),
    st.integers(1, 14),
    st.integers(0, 1000),
)
def test_any_quadrature_is_a_probability_on_the_range_of_the_spectrum(values, num_steps, seed):
    spectrum = torch.tensor(sorted(values), dtype=torch.float64)
    matrix, _ = symmetric(spectrum, seed)
    rule = lanczos(lambda vector: matrix @ vector, random_start(len(spectrum), seed), num_steps)
    rounding = 1e-12 * max(1.0, spectrum.abs().max().item())
    assert 1 <= len(rule.nodes) <= min(num_steps, len(spectrum))
    assert {len(part) for part in rule} == {len(rule.nodes)}
    assert {part.dtype for part in rule} == {torch.float64}
    # Squares of the first row of an orthogonal matrix of at most 12 rows.
    assert abs(rule.weights.sum().item() - 1) < 1e-13
    assert (rule.weights >= 0).all()
    assert (rule.residuals >= 0).all()
    assert (rule.nodes.diff() >= 0).all()
    assert rule.nodes[0] >= spectrum[0] - rounding
    assert rule.nodes[-1] <= spectrum[-1] + rounding
    # Each node has an eigenvalue within its residual bound.
    nearest = (rule.nodes[:, None] - spectrum).abs().min(dim=1).values
    assert (nearest <= rule.residuals + rounding).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_residuals_bound_the_distance_to_an_eigenvalue_and_not_by_much(dtype):
    matrix, _ = symmetric(SPECTRUM)
    own = matrix.to(dtype)
    rounding = 20 * torch.finfo(dtype).eps * SPECTRUM.abs().max()
    bounded = 0
    for seed in range(20):
        start = random_start(len(SPECTRUM), seed, dtype)
        for num_steps in range(1, len(SPECTRUM)):
            rule = lanczos(lambda vector: own @ vector, start, num_steps)
            distance = (rule.nodes[:, None] - SPECTRUM).abs().min(dim=1).values
            assert (distance <= rule.residuals + rounding).all()
            bounded += int((rule.residuals < 0.1).sum())
    # The bounds say something: hundreds of nodes are known to within a hundredth of the norm.
    assert bounded > 200


def test_an_extreme_eigenvalue_converges_long_before_the_space_is_exhausted():
    spectrum = torch.cat([torch.linspace(-1, 1, 199, dtype=torch.float64), torch.tensor([5.0])])
    matrix, _ = symmetric(spectrum)
    rule = lanczos(lambda vector: matrix @ vector, random_start(200), 20)
    # The outlier is 4 away from a bulk of radius 1: each step gains a factor of about 9.9
    # (Chebyshev growth at 5), so 20 steps reach rounding.
    assert abs(rule.nodes[-1].item() - 5) < 1e-12
    assert rule.residuals[-1] < 1e-6
    assert rule.residuals.max() > 1e-2


@pytest.mark.parametrize(
    ("spectrum", "num_nodes"),
    [
        ([1.0] * 6, 1),
        ([-3.0] * 6, 1),
        ([0.0] * 6, 1),
        ([2.0], 1),
        ([0.0] * 9 + [1.0, 4.0], 3),
        ([-1.0] * 5 + [1.0] * 5, 2),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_krylov_space_that_ends_early_is_a_result(spectrum, num_nodes, dtype):
    matrix, vectors = symmetric(spectrum)
    start = random_start(len(spectrum), 3, dtype)
    own = matrix.to(dtype)
    rule = lanczos(lambda vector: own @ vector, start, 10)
    distinct, place = torch.unique(torch.tensor(spectrum).double(), return_inverse=True)
    expected = (
        torch.zeros(len(distinct))
        .double()
        .index_add_(0, place, spectral_weights(vectors, start.double()))
    )
    # One product's rounding times the few steps there are.
    rounding = 50 * torch.finfo(dtype).eps
    assert len(rule.nodes) == num_nodes
    torch.testing.assert_close(rule.nodes, distinct, rtol=0, atol=4 * rounding)
    torch.testing.assert_close(rule.weights, expected, rtol=0, atol=rounding)
    assert rule.residuals.max() < 4 * rounding


def test_an_eigenvector_as_start_gives_its_eigenvalue_alone():
    matrix, vectors = symmetric(SPECTRUM)
    rule = lanczos(lambda vector: matrix @ vector, 3 * vectors[:, 4], 8)
    # Rounding leaves components of 1e-16 along the others: one step, or more with negligible weight.
    heavy = rule.weights > 1e-20
    assert int(heavy.sum()) == 1
    # A product with a matrix of norm 12 and as many rows: 12 * 12 roundings of 1e-16 at worst.
    assert abs(rule.nodes[heavy].item() - SPECTRUM[4].item()) < 2e-14


def test_more_steps_than_dimensions_are_as_many_as_dimensions():
    matrix, _ = symmetric(SPECTRUM)
    start = random_start(len(SPECTRUM))
    asked, capped = (
        lanczos(lambda vector: matrix @ vector, start, steps) for steps in (50, len(SPECTRUM))
    )
    for one, other in zip(asked, capped, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("exponent", [-66, -10, 1, 10, 66])
@pytest.mark.parametrize("num_steps", [5, 12])
def test_a_power_of_two_scales_the_recurrence_bit_for_bit(exponent, num_steps):
    matrix, _ = symmetric(SPECTRUM)
    start = random_start(len(SPECTRUM))
    factor = 2.0**exponent  # 2^-66 ~ 1e-20
    plain = tridiagonalise(lambda vector: matrix @ vector, start, num_steps)
    scaled = tridiagonalise(lambda vector: factor * (matrix @ vector), start, num_steps)
    for one, other in zip(plain, scaled, strict=True):
        assert torch.equal(other, factor * one)
    # The eigensolver may round otherwise at another scale: some roundings of the norm, 12, and of
    # eigenvectors of gaps of 1/600 of it.
    one, other = plain.quadrature(), scaled.quadrature()
    torch.testing.assert_close(other.nodes / factor, one.nodes, rtol=0, atol=1e-13)
    torch.testing.assert_close(other.weights, one.weights, rtol=0, atol=1e-12)
    torch.testing.assert_close(other.residuals / factor, one.residuals, rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [2.0**-66, 0.5, 2.0**66])
def test_the_length_of_the_start_does_not_matter(factor):
    matrix, _ = symmetric(SPECTRUM)
    start = random_start(len(SPECTRUM))
    plain = lanczos(lambda vector: matrix @ vector, start, 7)
    scaled = lanczos(lambda vector: matrix @ vector, factor * start, 7)
    for one, other in zip(plain, scaled, strict=True):
        assert torch.equal(one, other)


def test_minus_the_operator_has_the_mirrored_quadrature():
    matrix, _ = symmetric(SPECTRUM)
    start = random_start(len(SPECTRUM))
    plain = lanczos(lambda vector: matrix @ vector, start, 8)
    mirrored = lanczos(lambda vector: -(matrix @ vector), start, 8)
    # The eigensolver runs through the mirrored matrix from the other end: a few roundings of 12.
    torch.testing.assert_close(mirrored.nodes, -plain.nodes.flip(0), rtol=0, atol=1e-13)
    torch.testing.assert_close(mirrored.weights, plain.weights.flip(0), rtol=0, atol=1e-13)


def test_float32_products_lose_float32_rounding_and_no_more():
    matrix, vectors = symmetric(SPECTRUM)
    single = matrix.float()
    start = random_start(len(SPECTRUM), dtype=torch.float32)
    seen = set()

    def matvec(vector):
        seen.add(vector.dtype)
        return single @ vector

    rule = lanczos(matvec, start, len(SPECTRUM))
    assert seen == {torch.float32}
    assert {part.dtype for part in rule} == {torch.float64}
    # The recurrences are in float64, so the weights still sum to one to float64's rounding, and
    # the nodes are eigenvalues of a matrix off by a few float32 roundings of the norm, 12.
    assert abs(rule.weights.sum().item() - 1) < 1e-13
    eps = torch.finfo(torch.float32).eps
    torch.testing.assert_close(rule.nodes, SPECTRUM, rtol=0, atol=12 * 20 * eps)
    exact = range(2 * len(SPECTRUM))
    expected = moments(SPECTRUM, spectral_weights(vectors, start.double()), exact)
    received = moments(rule.nodes, rule.weights, exact)
    torch.testing.assert_close(received, expected, rtol=0, atol=len(exact) * 20 * eps)


def test_orthogonality_holds_far_beyond_convergence():
    # Without re-orthogonalisation, converged outliers come back as ghost copies.
    spectrum = torch.cat(
        [torch.linspace(-1, 1, 117, dtype=torch.float64), torch.tensor([50.0, 80.0, 100.0])]
    )
    matrix, _ = symmetric(spectrum)
    rule = lanczos(lambda vector: matrix @ vector, random_start(120), 80)
    assert len(rule.nodes) == 80
    assert int((rule.nodes > 2).sum()) == 3


def test_products_are_left_as_they_were_handed_out():
    matrix, _ = symmetric(SPECTRUM)
    handed_out = []

    def matvec(vector):
        product = matrix @ vector
        handed_out.append((product, product.clone()))
        return product

    lanczos(matvec, random_start(len(SPECTRUM)), 5)
    assert len(handed_out) == 5
    for product, copy in handed_out:
        assert torch.equal(product, copy)


def test_the_start_is_left_as_it_was():
    start = random_start(6)
    copy = start.clone()
    lanczos(lambda vector: vector, start, 3)
    lanczos(lambda vector: 2 * vector, start, 3)
    assert torch.equal(start, copy)


@pytest.mark.parametrize("num_steps", [0, -1])
def test_no_steps_are_an_error(num_steps):
    with pytest.raises(ValueError, match="num_steps"):
        lanczos(lambda vector: vector, torch.ones(3), num_steps)


@pytest.mark.parametrize("entry", [0.0, float("nan"), float("inf")])
def test_a_start_without_a_direction_is_an_error(entry):
    start = torch.zeros(3)
    start[1] = entry
    with pytest.raises(ValueError, match="start"):
        lanczos(lambda vector: vector, start, 2)


@pytest.mark.parametrize("entry", [float("nan"), float("inf")])
def test_a_product_that_is_not_finite_is_an_error_that_names_the_step(entry):
    matrix, _ = symmetric(SPECTRUM)
    calls = []

    def matvec(vector):
        calls.append(1)
        product = matrix @ vector
        if len(calls) == 3:
            product[2] = entry
        return product

    with pytest.raises(ArithmeticError, match="step 3"):
        lanczos(matvec, random_start(len(SPECTRUM)), 8)


def test_the_result_is_a_named_tuple_that_numpy_reads():
    rule = lanczos(lambda vector: vector, torch.tensor([0.0, 2.0, 0.0]), 1)
    assert isinstance(rule, Quadrature)
    assert Quadrature._fields == ("nodes", "weights", "residuals")
    assert np.asarray(rule.nodes).tolist() == [1.0]


def test_the_basis_brings_the_operator_to_the_tridiagonal_form():
    matrix, _ = symmetric(SPECTRUM)
    space = krylov(lambda vector: matrix @ vector, random_start(12), 7)
    assert space.basis.shape == (7, 12)
    inside = space.basis @ matrix @ space.basis.T
    diagonal, beside = space.tridiagonal
    expected = torch.diag(diagonal) + torch.diag(beside[:-1], 1) + torch.diag(beside[:-1], -1)
    # A few roundings of the norm, 12.
    torch.testing.assert_close(inside, expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(
        space.basis @ space.basis.T, torch.eye(7).double(), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("distinct", [[2.0, -1.0], [5.0, 2.0, -1.0, -4.0]])
def test_another_vector_goes_on_where_the_space_has_ended(distinct):
    spectrum = torch.tensor(distinct * (8 // len(distinct)), dtype=torch.float64)
    matrix, _ = symmetric(spectrum)
    draws = torch.Generator().manual_seed(5)
    space = krylov(
        lambda vector: matrix @ vector,
        random_start(8),
        8,
        another=lambda: torch.randn(8, generator=draws, dtype=torch.float64),
    )
    assert len(space.basis) == 8
    blocks = space.tridiagonal.off_diagonal.unflatten(0, (-1, len(distinct)))
    assert blocks[:, -1].abs().max() < 1e-14  # between blocks of all that are distinct: rounding
    assert blocks[:, :-1].abs().min() > 1e-3
    torch.testing.assert_close(space.tridiagonal.quadrature().nodes, spectrum.sort().values)
    torch.testing.assert_close(
        space.basis @ space.basis.T, torch.eye(8).double(), rtol=0, atol=1e-14
    )


def test_the_run_stops_where_it_is_enough():
    matrix, _ = symmetric(SPECTRUM)
    asked = []

    def enough(so_far):
        asked.append(len(so_far.diagonal))
        return len(so_far.diagonal) == 4

    start = random_start(12)
    space = krylov(lambda vector: matrix @ vector, start, 9, enough)
    assert asked == [1, 2, 3, 4]
    for part, whole in zip(
        space.tridiagonal, tridiagonalise(lambda v: matrix @ v, start, 4), strict=True
    ):
        assert torch.equal(part, whole)
