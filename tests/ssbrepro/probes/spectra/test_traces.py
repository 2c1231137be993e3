"""Moments against spectra whose moments are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssbrepro.probes.spectra import moments, top_eigenpairs
from ssbrepro.probes.spectra.traces import odd_moment
from tests.oracles.matrices import symmetric

# Few large eigenvalues and many small ones, the positive ones larger.
SPECTRUM = torch.cat(
    [
        torch.tensor([-6.0, -4.0, 5.0, 9.0], dtype=torch.float64),
        torch.linspace(-1, 1.5, 96, dtype=torch.float64),
    ]
)
POWERS = (2, 3, 4)


def operator(matrix, dtype=torch.float64):
    own = matrix.to(dtype)
    return SimpleNamespace(
        dim=len(matrix),
        dtype=dtype,
        device=torch.device("cpu"),
        matvec=lambda vector: own @ vector,
    )


def generator(seed):
    return torch.Generator().manual_seed(seed)


def truth(spectrum, powers=POWERS):
    return np.array([float((spectrum**power).sum()) for power in powers])


def estimates(given, count, known=None):
    """One probe each, (count, powers)."""
    draws = [
        moments(given, POWERS, generator=generator(seed), num_probes=1, known=known)
        for seed in range(count)
    ]
    return np.array([[draw[power] for power in POWERS] for draw in draws])


def test_the_zeroth_moment_is_the_dimension():
    found = moments(operator(symmetric(SPECTRUM)[0]), (0,), generator=generator(0), num_probes=3)
    assert found == {0: pytest.approx(100, rel=1e-14)}  # a probe's signs squared


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_with_all_pairs_known_the_moments_are_exact(dtype, rounding):
    spectrum = torch.tensor([-7.0, -2.5, -1.0, 0.5, 3.0, 12.0], dtype=torch.float64)
    given = operator(symmetric(spectrum)[0], dtype)
    known = top_eigenpairs(given, 3, generator(1))
    powers = (0, 1, 2, 3, 4, 5)
    found = moments(given, powers, generator=generator(0), num_probes=1, known=known)
    assert tuple(found) == powers
    # Relative to the largest term of each sum.
    scales = 12.0 ** np.array(powers)
    np.testing.assert_allclose(
        [found[power] for power in powers] / scales, truth(spectrum, powers) / scales, atol=rounding
    )


@pytest.mark.parametrize("num_known", [0, 2])
def test_the_moments_are_unbiased(num_known):
    given = operator(symmetric(SPECTRUM)[0])
    known = top_eigenpairs(given, num_known, generator(1), 1e-9) if num_known else None
    found = estimates(given, 400, known)
    errors = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    assert (errors < 0.15 * np.abs(truth(SPECTRUM))).all()
    assert (np.abs(found.mean(axis=0) - truth(SPECTRUM)) < 4 * errors).all()


def test_known_pairs_take_most_of_the_variance_away():
    given = operator(symmetric(SPECTRUM)[0])
    known = top_eigenpairs(given, 2, generator(1), 1e-9)
    plain, deflated = (estimates(given, 60, pairs).std(axis=0, ddof=1) for pairs in (None, known))
    # The variance of a probe is about twice tr H^2p: with the four outliers known, the standard
    # deviation of the second moment falls to (96 * 0.9)^½ / (9⁴ + 6⁴ + 5⁴ + 4⁴)^½ = 0.1, and that of
    # higher ones further.
    assert (deflated < [0.2, 0.1, 0.05] * plain).all()


def test_several_probes_are_averaged():
    given = operator(symmetric(SPECTRUM)[0])
    draws = generator(0)
    each = [moments(given, generator=draws, num_probes=1) for _ in range(3)]
    together = moments(given, generator=generator(0), num_probes=3)
    for power in POWERS:
        assert together[power] == pytest.approx(np.mean([one[power] for one in each]), rel=1e-12)


@pytest.mark.parametrize(
    ("powers", "products"), [((2, 3, 4), 2), ((2,), 1), ((1,), 1), ((0,), 0), ((5,), 3)]
)
def test_a_probe_takes_half_as_many_products_as_the_power(powers, products):
    given = operator(symmetric(SPECTRUM)[0])
    matvec, seen = given.matvec, []
    given.matvec = lambda vector: seen.append(1) or matvec(vector)
    moments(given, powers, generator=generator(0), num_probes=3)
    assert len(seen) == 3 * products


def test_products_that_are_not_finite_have_no_moments():
    given = operator(torch.full((3, 3), torch.nan, dtype=torch.float64))
    with pytest.raises(ArithmeticError, match="not finite"):
        moments(given, generator=generator(0), num_probes=1)


@pytest.mark.parametrize(("powers", "num_probes"), [((2, -1), 1), ((2,), 0)])
def test_no_probes_and_negative_powers_are_refused(powers, num_probes):
    given = operator(symmetric(SPECTRUM)[0])
    with pytest.raises(ValueError, match="at least 1, and none negative"):
        moments(given, powers, generator=generator(0), num_probes=num_probes)


@pytest.mark.parametrize(
    ("eigenvalues", "expected"),
    [
        ([2.0, -2.0, 1.0, -1.0], 0.0),
        ([3.0], 1.0),
        ([-3.0, 0.0], -1.0),
        ([1.0, 1.0, -1.0], 1 / 3),
        ([2.0, -1.0, -1.0], 6 / (6 * 18) ** 0.5),
    ],
)
def test_the_odd_moment_in_closed_form(eigenvalues, expected):
    found = odd_moment(truth(torch.tensor(eigenvalues)))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(st.lists(st.integers(-9, 9), min_size=4, max_size=9).filter(any), st.integers(0, 99))
def test_estimated_odd_moments_too_lie_between_minus_one_and_one(eigenvalues, seed):
    given = operator(symmetric(torch.tensor(eigenvalues).double(), seed)[0])
    found = moments(given, generator=generator(seed), num_probes=2)
    if found[2] > 1e-12:
        assert abs(odd_moment(np.array([*found.values()]))) <= 1 + 1e-9


def test_odd_moments_of_many_spectra_at_once_pass_nan_on():
    rows = np.array([[[1.0, 1.0, 1.0], [2.0, 0.0, 2.0]], [[np.nan] * 3, [4.0, -8.0, 16.0]]])
    np.testing.assert_array_equal(odd_moment(rows), [[1.0, 0.0], [np.nan, -1.0]])
