"""Outermost eigenpairs of matrices with chosen eigenvalues; their asymmetry in closed form."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssbrepro.probes.controls import broken_copy, intact_copy
from ssbrepro.probes.risk import HingeRisk
from ssbrepro.probes.spectra import Eigenpairs, top_eigenpairs
from ssbrepro.probes.spectra.extremes import extremes_asymmetry
from ssbrepro.training.losses import hinge
from tests.oracles.hessians import dense_derivatives
from tests.oracles.matrices import symmetric
from tests.oracles.nets import problem, wider

# A dense bulk, and on each side outliers that Lanczos' method finds soon.
SPECTRUM = torch.cat(
    [
        torch.tensor([-9.0, -5.0, -3.0], dtype=torch.float64),
        torch.linspace(-1, 1, 194, dtype=torch.float64),
        torch.tensor([2.5, 4.0, 7.0], dtype=torch.float64),
    ]
)


def operator(matrix, dtype=torch.float64):
    """A matrix as an operator that counts its products."""
    own = matrix.to(dtype)
    found = SimpleNamespace(dim=len(matrix), dtype=dtype, device=torch.device("cpu"), products=0)

    def matvec(vector):
        assert vector.dtype == dtype
        found.products += 1
        return own @ vector

    found.matvec = matvec
    return found


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 1e-5)])
def test_the_outermost_pairs_are_found_in_order_with_their_vectors(dtype, tolerance):
    matrix, vectors = symmetric(SPECTRUM)
    given = operator(matrix, dtype)
    pairs = top_eigenpairs(given, 3, generator(), tolerance)
    assert (pairs.values.shape, pairs.residuals.shape) == ((2, 3), (2, 3))
    assert pairs.vectors.shape == (2, 3, 200)
    assert {part.dtype for part in pairs} == {torch.float64}
    expected = torch.stack([SPECTRUM.flip(0)[:3], SPECTRUM[:3]])
    # Of second order in the residual, and some roundings of products with a matrix of norm 9.
    rounding = 20 * 9 * torch.finfo(dtype).eps
    torch.testing.assert_close(pairs.values, expected, rtol=0, atol=rounding + (9 * tolerance) ** 2)
    overlap = torch.einsum("skd,skd->sk", pairs.vectors, torch.stack(
        [vectors.T.flip(0)[:3], vectors.T[:3]]
    )).abs()  # fmt: skip
    # An eigenvector is off by its residual over the gap, here at least 1.5.
    torch.testing.assert_close(overlap, torch.ones(2, 3).double(), rtol=0, atol=10 * tolerance)
    flat = pairs.vectors.flatten(0, 1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(6).double(), rtol=0, atol=1e-12)
    # The residual of the recurrence is that of the pair, up to the products' rounding.
    true = torch.linalg.vector_norm(
        pairs.vectors @ matrix - pairs.values[..., None] * pairs.vectors, dim=-1
    )
    torch.testing.assert_close(true, pairs.residuals, rtol=0, atol=rounding)
    assert (pairs.residuals <= 9 * tolerance).all()


def test_the_run_ends_when_all_have_converged():
    matrix, _ = symmetric(SPECTRUM)
    products = {}
    for tolerance in (1e-2, 1e-8):
        given = operator(matrix)
        top_eigenpairs(given, 2, generator(), tolerance, max_steps=150)
        products[tolerance] = given.products
    given = operator(matrix)
    top_eigenpairs(given, 2, generator())  # 1e-6, unless one says otherwise
    # Outliers 5 and 4 radii out gain a factor of 8 or more a step (Chebyshev growth).
    assert 4 <= products[1e-2] < given.products < products[1e-8] < 40


def test_what_has_not_converged_is_marked_by_its_residual():
    matrix, _ = symmetric(torch.linspace(-1, 1, 200, dtype=torch.float64))
    pairs = top_eigenpairs(operator(matrix), 4, generator(), 1e-6, max_steps=8)
    assert (pairs.residuals > 1e-6).any()
    known = pairs.converged(1e-6)
    assert known.values.shape == (2, 0)
    assert known.vectors.shape == (2, 0, 200)
    nearest = (pairs.values[..., None] - torch.linspace(-1, 1, 200).double()).abs().amin(dim=-1)
    assert (nearest <= pairs.residuals + 1e-12).all()


def test_converged_pairs_are_those_before_the_first_that_has_not_on_either_side():
    values = torch.tensor([[8.0, 4.0, 3.0], [-5.0, -4.0, -2.0]], dtype=torch.float64)
    residuals = torch.tensor([[0.0, 0.08, 0.0], [0.07, 0.0, 0.1]], dtype=torch.float64)
    pairs = Eigenpairs(values, torch.zeros(2, 3, 5, dtype=torch.float64), residuals)
    # In units of the largest magnitude, 8: 0.01, and the third on the negative side 0.0125.
    assert pairs.converged(0.01).values.tolist() == [[8, 4], [-5, -4]]
    assert pairs.converged(0.009).values.tolist() == [[8], [-5]]
    assert pairs.converged(0.008).values.shape == (2, 0)
    assert pairs.converged(0.0125).values.shape == (2, 3)


@pytest.mark.parametrize(
    "spectrum", [[3.0, -1.0], [1.0, 2.0, 4.0, 8.0], [-1.0, 0.5, 2.0, 2.5, 3.0, -7.0]]
)
def test_half_the_dimension_on_each_side_is_the_whole_spectrum(spectrum):
    matrix, _ = symmetric(spectrum)
    pairs = top_eigenpairs(operator(matrix), len(spectrum) // 2, generator())
    expected = sorted(spectrum)
    half = len(spectrum) // 2
    # A few roundings of the norm, 8.
    torch.testing.assert_close(
        pairs.values,
        torch.tensor([expected[::-1][:half], expected[:half]], dtype=torch.float64),
        rtol=0,
        atol=1e-13,
    )


@pytest.mark.parametrize(
    "spectrum",
    [[1.0] * 6, [0.0] * 6, [2.0] * 3 + [-2.0] * 3, [5.0, 5.0, 5.0, 0.0, -1.0, -1.0, 0.0, 0.0]],
)
def test_repeated_eigenvalues_are_found_as_often_as_they_occur(spectrum):
    matrix, _ = symmetric(spectrum)
    pairs = top_eigenpairs(operator(matrix), 2, generator())
    ordered = sorted(spectrum)
    expected = torch.tensor([ordered[::-1][:2], ordered[:2]], dtype=torch.float64)
    torch.testing.assert_close(pairs.values, expected, rtol=0, atol=1e-12)  # roundings of 5
    flat = pairs.vectors.flatten(0, 1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(4).double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("k", "max_steps", "message"),
    [
        (0, 300, "0 eigenvalues on each side of an operator of dimension 5"),
        (3, 300, "3 eigenvalues on each side of an operator of dimension 5"),
        (2, 3, "3 steps find no 4 eigenvalues"),
    ],
)
def test_what_cannot_be_found_is_refused(k, max_steps, message):
    matrix, _ = symmetric(torch.arange(5.0))
    with pytest.raises(ValueError, match=message):
        top_eigenpairs(operator(matrix), k, generator(), max_steps=max_steps)


def test_pairs_say_what_they_are_in_one_short_line():
    found = top_eigenpairs(operator(torch.diag(torch.tensor([5.0, 3, 1, -2, -4]))), 2, generator())
    assert repr(found).startswith("Eigenpairs(2 a side, from 5 and -4, residuals up to ")
    assert repr(found.converged(-1)) == "Eigenpairs(none)"


def test_the_generator_determines_the_pairs():
    matrix, _ = symmetric(SPECTRUM)
    first, again, other = (
        top_eigenpairs(operator(matrix), 2, generator(seed), 1e-2) for seed in (0, 0, 1)
    )
    assert torch.equal(first.vectors, again.vectors)
    assert not torch.equal(first.vectors, other.vectors)


def test_a_networks_outermost_eigenvalues_are_those_of_its_dense_hessian():
    given = wider()
    _, hessian = dense_derivatives(given.model, hinge, given.inputs, given.targets)
    truth = torch.linalg.eigvalsh(hessian)
    own = HingeRisk(*given, torch.float64).hessian("cached")
    pairs = top_eigenpairs(own, 5, generator(), 1e-7)
    expected = torch.stack([truth.flip(0)[:5], truth[:5]])
    # Of second order in the residual.
    torch.testing.assert_close(pairs.values, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [
        ([3.0, 1.0], [-3.0, -1.0], 0.0),
        ([3.0, 1.0], [0.0, 0.0], 1.0),
        ([0.0], [-2.0], 1.0),
        ([3.0, 1.0], [-2.0, -1.0], 1 / 7),
        ([3.0, 1.0], [-1.0, -1.0], 2 / 6),
        ([3.0, 2.0], [-2.0, -3e-9], (1 + 2 - 3e-9) / (7 + 3e-9)),
        ([3.0, 1.0], [0.5, 0.7], 1.0),  # the smallest eigenvalues are positive: no negative side
        ([4.0, -1.0], [-3.0, -2.0], 3 / 9),  # a single positive one
    ],
)
def test_the_asymmetry_of_extremes_in_closed_form(positive, negative, expected):
    assert extremes_asymmetry(np.array([positive, negative])) == pytest.approx(expected, rel=1e-14)


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=10).filter(lambda values: max(values) > 1e-3),
    st.lists(st.floats(0, 100), min_size=10, max_size=10),
    st.floats(1e-6, 1e6),
)
def test_the_asymmetry_of_extremes_is_a_share_without_unit_or_sign(one, other, factor):
    values = np.array([sorted(one, reverse=True), sorted(-value for value in other[: len(one)])])
    found = extremes_asymmetry(values)
    assert 0 <= found <= 1
    assert extremes_asymmetry(factor * values) == pytest.approx(found, abs=1e-12)
    assert extremes_asymmetry(-values[::-1]) == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize("values", [np.zeros((2, 3)), np.empty((2, 0)), np.array([[-1.0], [2.0]])])
def test_no_eigenvalue_on_its_side_has_no_asymmetry(values):
    with pytest.raises(ValueError, match="0/0"):
        extremes_asymmetry(values)


@pytest.mark.parametrize("seed", [0, 1])
def test_two_layers_are_symmetric_whatever_their_signs_so_that_copies_tell_nothing(seed):
    # H couples the two layers only, so that its spectrum mirrors itself with every weight positive too:
    # no claim about its symmetry has power there.
    given = problem("two-layer", seed)
    copies = [
        given.model,
        intact_copy(given.model, given.inputs, generator(seed)),
        broken_copy(given.model, given.inputs, 1.0, generator(seed)),
    ]
    for model in copies:
        risk = HingeRisk(model, given.inputs, given.targets, torch.float64)
        pairs = top_eigenpairs(risk.hessian("cached"), 4, generator(), 1e-8)
        # Eight hidden units: eight eigenvalues on each side.
        assert extremes_asymmetry(pairs.values.numpy()) < 1e-12


@pytest.mark.parametrize(
    ("num_layers", "k", "expected"),
    [(2, 1, 0), (3, 1, 1 / 3), (4, 1, 1 / 2), (12, 1, 5 / 6), (4, 2, 3 / 5)],
)
def test_a_chain_of_positive_weights_in_closed_form(num_layers, k, expected):
    # One unit a layer, all weights 1, one image of 1 with the label -1: T is the product of the weights
    # and H all ones off the diagonal, with the eigenvalues L - 1 once and -1 for all others.
    layers = [torch.nn.Linear(1, 1, bias=False) for _ in range(num_layers)]
    with torch.no_grad():
        for layer in layers:
            layer.weight.fill_(1.0)
    gates = [torch.nn.ReLU() for _ in layers[1:]]
    chain = [part for pair in zip(layers, gates, strict=False) for part in pair]
    model = torch.nn.Sequential(*chain, layers[-1], torch.nn.Flatten(0))
    risk = HingeRisk(model, torch.ones(1, 1), -torch.ones(1), torch.float64)
    pairs = top_eigenpairs(risk.hessian("cached"), k, generator())
    assert extremes_asymmetry(pairs.values.numpy()) == pytest.approx(expected, abs=1e-12)
