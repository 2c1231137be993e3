"""Measured spectra against dense eigendecompositions, and where symmetry is exact."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ssbrepro.probes.risk import HingeRisk
from ssbrepro.probes.spectra.distribution import mirror_asymmetry
from ssbrepro.probes.spectra.measurement import (
    empty_sides,
    empty_spectrum,
    extreme_ratio,
    measure_sides,
    measure_spectrum,
    standard_deviation,
    summarise,
)
from ssbrepro.statistics.symmetry import reflection_asymmetry
from ssbrepro.training.losses import hinge
from tests.oracles.hessians import dense_derivatives
from tests.oracles.matrices import symmetric
from tests.oracles.nets import problem, wider


class Matrix:
    """A given symmetric matrix in the place of a Hessian."""

    def __init__(self, matrix):
        self.matrix = matrix
        self.dim = len(matrix)
        self.dtype, self.device = matrix.dtype, matrix.device

    def matvec(self, vector):
        return self.matrix @ vector

    def gradient(self):
        raise AssertionError("the spectrum does not depend on the gradient")


def layers_of(*sizes):
    """What the measurement needs of a risk: its layers, and weights of the right kind."""
    return SimpleNamespace(
        layer_sizes=list(sizes), weights=torch.zeros(sum(sizes), dtype=torch.float64)
    )


def quadratures(risk, hessian, num_steps, num_pairs, seed, report=lambda done: None):
    """The first of what is measured."""
    return measure_spectrum(risk, hessian, num_steps, num_pairs, 1, seed, report)[0]


def numbers_of(risk, hessian, num_steps, num_pairs, seed=0):
    spectrum = quadratures(risk, hessian, num_steps, num_pairs, seed)
    return summarise(spectrum, hessian.dim, seed, 1, 99)


@pytest.fixture(scope="module")
def three_layers():
    """Risk, Hessian operator and true eigenvalues of a network of 460 weights."""
    given = wider()
    _, hessian = dense_derivatives(*given[:1], hinge, *given[1:])
    risk = HingeRisk(*given, torch.float64)
    return risk, Matrix(hessian), torch.linalg.eigvalsh(hessian).numpy()


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("num_steps", [2, 5, 16])
@pytest.mark.parametrize(
    # Nodes are right to some roundings of the norm; A is relative to the mean magnitude, here no
    # less than a tenth of the norm. Sixteen steps pile up a few dozen roundings.
    ("dtype", "rounding"),
    [(torch.float64, 1e-12), (torch.float32, 1e-4)],
)
def test_two_layers_measure_exactly_symmetric(seed, num_steps, dtype, rounding):
    given = problem("two-layer", seed)
    risk = HingeRisk(*given, dtype)
    numbers = numbers_of(risk, risk.hessian("autograd"), num_steps, 2, seed)
    assert numbers["standard_deviation"] > 0.01
    assert numbers["asymmetry"] < rounding
    assert numbers["extreme_ratio"] == pytest.approx(1, abs=rounding)
    assert numbers["largest"] == pytest.approx(-numbers["smallest"], rel=rounding)


def test_of_what_is_exactly_symmetric_no_null_is_below():
    given = problem("two-layer")
    risk = HingeRisk(*given, torch.float64)
    spectrum = quadratures(risk, risk.hessian("autograd"), 6, 1, 0)
    assert summarise(spectrum, risk.hessian("autograd").dim, 0, 7, 9)["p_value"] == 1
    mirrored = {**spectrum, "nodes": np.abs(spectrum["nodes"])}
    mirrored["nodes"][0, 0] *= -1e-9  # for the trace
    numbers = summarise(mirrored, risk.hessian("autograd").dim, 0, 7, 9)
    assert numbers["p_value"] == 1 / 8


def test_rows_stay_probabilities_where_the_krylov_space_ends_early():
    # Eight hidden units: 16 eigenvalues are not zero, so at most 17 steps of 40.
    given = problem("two-layer")
    risk = HingeRisk(*given, torch.float64)
    spectrum = quadratures(risk, risk.hessian("autograd"), 40, 2, 0)
    assert {values.shape for values in spectrum.values()} == {(4, 40)}
    assert {values.dtype for values in spectrum.values()} == {np.dtype(np.float64)}
    np.testing.assert_allclose(spectrum["weights"].sum(axis=1), 1, rtol=1e-12)
    for nodes, weights in zip(spectrum["nodes"], spectrum["weights"], strict=True):
        # A step more, on rounding alone, only splits the node at zero.
        distinct = np.unique(nodes[weights > 1e-24].round(10))
        assert 9 <= len(distinct) <= 17
    assert not spectrum["weights"][:, 20:].any()
    for values in spectrum.values():
        assert np.isfinite(values).all()


def test_the_standard_deviation_is_unbiased(three_layers):
    risk, hessian, eigenvalues = three_layers
    spectrum = quadratures(risk, hessian, 4, 60, 0)
    squares = (spectrum["weights"] * spectrum["nodes"] ** 2).sum(axis=1).reshape(-1, 2).mean(axis=1)
    # Over random start vectors the mean is tr H^2 / dim; five standard errors of 60 pairs.
    error = squares.std(ddof=1) / np.sqrt(len(squares))
    truth = (eigenvalues**2).mean()
    assert error < 0.15 * truth
    assert abs(squares.mean() - truth) < 5 * error
    summarised = summarise(spectrum, 460, 0, 1, 9)["standard_deviation"]
    assert summarised == pytest.approx(np.sqrt(squares.mean()), rel=1e-12)


@pytest.mark.parametrize("scale", [3.0, 0.2])
def test_by_probes_the_standard_deviation_is_that_of_the_eigenvalues(scale):
    # Of eigenvalues of one magnitude each probe has exactly their mean square.
    matrix = scale * torch.diag(torch.tensor([1.0, -1, 1, -1, -1, 1], dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    assert standard_deviation(Matrix(matrix), 2, generator) == pytest.approx(scale, rel=1e-14)


@pytest.mark.parametrize("num_steps", [16, 40])
def test_extreme_nodes_are_the_extreme_eigenvalues_within_their_bounds(three_layers, num_steps):
    risk, hessian, eigenvalues = three_layers
    numbers = numbers_of(risk, hessian, num_steps, 2)
    for name, truth in (("largest", eigenvalues[-1]), ("smallest", eigenvalues[0])):
        bound = numbers[f"{name}_residual"]
        assert np.abs(eigenvalues - numbers[name]).min() <= bound + 1e-12
        # Ritz values lie inside; after 16 steps within a tenth (gap of the top two to range ~ 0.05,
        # Kaniel-Paige), and at 40 to a millionth.
        assert abs(numbers[name] - truth) < (0.1 if num_steps == 16 else 1e-6) * abs(truth)
        assert abs(numbers[name]) <= abs(truth) * (1 + 1e-12)
    expected = max(eigenvalues[-1] / -eigenvalues[0], -eigenvalues[0] / eigenvalues[-1])
    assert numbers["extreme_ratio"] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("num_steps", "seed"), [(16, 0), (16, 1), (16, 2), (40, 0)])
def test_a_nearly_symmetric_spectrum_measures_nearly_symmetric(three_layers, num_steps, seed):
    risk, hessian, eigenvalues = three_layers
    truth = reflection_asymmetry(eigenvalues)
    assert truth < 0.05
    asymmetry = mirror_asymmetry(quadratures(risk, hessian, num_steps, 5, seed))
    # Ten start vectors weight the twenty or so eigenvalues that dominate by chi-squared shares,
    # relative error sqrt(2/10): A comes out at up to about sqrt(2/10) / sqrt(20) = 0.1.
    assert abs(asymmetry - truth) < 0.12


@pytest.mark.parametrize(("num_steps", "seed"), [(16, 0), (16, 1), (16, 2), (40, 0)])
def test_a_skewed_spectrum_does_not_measure_more_symmetric_than_it_is(num_steps, seed):
    # Quantiles of an exponential law less their mean: the trace vanishes, as for a Hessian.
    dim = 400
    eigenvalues = -np.log1p(-(np.arange(dim) + 0.5) / dim)
    eigenvalues -= eigenvalues.mean()
    truth = reflection_asymmetry(eigenvalues)
    assert truth > 0.7
    matrix, _ = symmetric(torch.from_numpy(eigenvalues), seed)
    spectrum = quadratures(layers_of(200, 150, 50), Matrix(matrix), num_steps, 5, seed)
    # Over start seeds, Gauss quadratures have a standard deviation of 0.02 here: four of them.
    assert abs(mirror_asymmetry(spectrum) - truth) < 0.08
    if (num_steps, seed) == (16, 0):  # as small a p-value as 19 draws can give
        assert summarise(spectrum, dim, seed, 19, 9)["p_value"] == pytest.approx(0.05)


def test_units_do_not_matter(three_layers):
    risk, hessian, _ = three_layers
    plain = numbers_of(risk, hessian, 12, 2)
    factor = 2.0**-66  # about 1e-20, where a training run may end
    scaled = numbers_of(risk, Matrix(factor * hessian.matrix), 12, 2)
    for name, number in plain.items():
        with_units = name.split("_")[0] in ("standard", "largest", "smallest")
        # Powers of two are exact; eigensolvers may round otherwise at another scale.
        assert scaled[name] == pytest.approx(number * (factor if with_units else 1), rel=1e-12)


def test_the_mirrored_operator_has_the_same_asymmetry(three_layers):
    risk, hessian, _ = three_layers
    plain = numbers_of(risk, hessian, 12, 2)
    mirrored = numbers_of(risk, Matrix(-hessian.matrix), 12, 2)
    # The same numbers, through an eigensolver that starts from the other end.
    assert mirrored["asymmetry"] == pytest.approx(plain["asymmetry"], abs=1e-8)
    assert mirrored["largest"] == pytest.approx(-plain["smallest"], rel=1e-12)
    assert mirrored["extreme_ratio"] == pytest.approx(plain["extreme_ratio"], rel=1e-12)


def test_the_seed_determines_the_measurement_and_more_pairs_extend_it(three_layers):
    risk, hessian, _ = three_layers
    first, again, longer, other = (
        quadratures(risk, hessian, 6, num_pairs, seed)
        for num_pairs, seed in ((2, 3), (2, 3), (3, 3), (2, 4))
    )
    for name, values in first.items():
        assert np.array_equal(again[name], values)
        assert np.array_equal(longer[name][:4], values)
    assert not np.array_equal(other["nodes"], first["nodes"])
    # No two start vectors are the same.
    assert len(np.unique(longer["nodes"][:, 0])) == 6
    assert summarise(first, 460, 5, 3, 49) == summarise(first, 460, 5, 3, 49)


def test_every_product_is_reported(three_layers):
    risk, hessian, _ = three_layers
    reported = []
    quadratures(risk, hessian, 3, 2, 0, reported.append)
    assert reported == list(range(1, 13))  # 2 pairs of 2 start vectors of 3 products


def test_an_empty_spectrum_has_the_shape_of_a_full_one_and_no_symmetry_to_speak_of(three_layers):
    risk, hessian, _ = three_layers
    full = quadratures(risk, hessian, 7, 2, 0)
    empty = empty_spectrum(7, 2)
    assert {name: values.shape for name, values in empty.items()} == {
        name: values.shape for name, values in full.items()
    }
    assert not empty["nodes"].any()
    np.testing.assert_array_equal(empty["weights"].sum(axis=1), 1)
    numbers = summarise(empty, 460, 0, 1, 9)
    assert set(numbers) == set(summarise(full, 460, 0, 1, 9))
    undefined = {name for name, number in numbers.items() if np.isnan(number)}
    assert {"asymmetry", "p_value", "extreme_ratio"} <= undefined
    assert {numbers[name] for name in set(numbers) - undefined} == {0.0}


def test_a_zero_operator_measures_as_an_empty_spectrum():
    risk = layers_of(4, 3)
    measured = quadratures(risk, Matrix(torch.zeros(7, 7, dtype=torch.float64)), 5, 2, 0)
    for name, values in empty_spectrum(5, 2).items():
        assert np.array_equal(measured[name], values), name


def test_nodes_of_one_sign_are_refused_since_the_trace_vanishes():
    risk = layers_of(4, 3)
    positive, _ = symmetric(torch.arange(1.0, 8.0))
    spectrum = quadratures(risk, Matrix(positive), 5, 2, 0)
    with pytest.raises(ArithmeticError, match="trace is zero"):
        summarise(spectrum, 460, 0, 1, 9)


def test_the_first_run_also_gives_the_outermost_pairs(three_layers):
    risk, hessian, _ = three_layers
    spectrum, pairs = measure_spectrum(risk, hessian, 40, 2, 3, 0)
    nodes = spectrum["nodes"][0]
    np.testing.assert_array_equal(pairs.values, [nodes[::-1][:3], nodes[:3]])
    np.testing.assert_array_equal(pairs.residuals[1], spectrum["residuals"][0][:3])
    for values, vectors in zip(pairs.values, pairs.vectors, strict=True):
        # The outermost to 1e-6 after 40 steps (above), so their vectors to 1e-3.
        moved = hessian.matrix @ vectors[0]
        torch.testing.assert_close(
            moved, values[0] * vectors[0], rtol=0, atol=1e-3 * abs(values[0])
        )


def test_sides_are_the_converged_eigenvalues_and_the_moments(three_layers):
    risk, hessian, eigenvalues = three_layers
    _, pairs = measure_spectrum(risk, hessian, 24, 1, 8, 0)
    sides = measure_sides(hessian, pairs, 8, 1e-3, 200, torch.Generator().manual_seed(0))
    known = np.isfinite(sides["outermost"]).all(axis=0)
    count = int(known.sum())
    assert 1 <= count < 8  # else there is nothing to tell apart
    assert not np.isfinite(sides["outermost"][:, count:]).any()
    expected = [eigenvalues[::-1][:count], eigenvalues[:count]]
    # Of second order in the tolerance over gaps of some hundredths.
    np.testing.assert_allclose(sides["outermost"][:, :count], expected, rtol=1e-4)
    truth = [(eigenvalues**power).sum() for power in (2, 3, 4)]
    # In units of what Cauchy and Schwarz allow; 200 probes on what is left, see the traces' own tests.
    scales = np.array([truth[0], np.sqrt(truth[0] * truth[2]), truth[2]])
    np.testing.assert_allclose(sides["traces"] / scales, truth / scales, atol=0.05)


def test_few_pairs_fill_up_with_nan_and_the_zero_operator_has_none(three_layers):
    risk, hessian, _ = three_layers
    _, pairs = measure_spectrum(risk, hessian, 6, 1, 10, 0)
    assert pairs.values.shape == (2, 3)  # six steps
    loose = measure_sides(hessian, pairs, 10, 1.0, 1, torch.Generator().manual_seed(0))
    assert np.isfinite(loose["outermost"]).sum(axis=1).tolist() == [3, 3]
    strict = measure_sides(hessian, pairs, 10, 1e-9, 1, torch.Generator().manual_seed(0))
    assert not np.isfinite(strict["outermost"]).any()
    assert np.isfinite(strict["traces"]).all()
    zero = Matrix(torch.zeros(7, 7, dtype=torch.float64))
    _, none = measure_spectrum(layers_of(4, 3), zero, 5, 1, 2, 0)
    dead = measure_sides(zero, none, 10, 1e-3, 1, torch.Generator().manual_seed(0))
    for name, values in empty_sides(10).items():
        np.testing.assert_array_equal(dead[name], values)
        assert values.shape == loose[name].shape


def test_the_extreme_ratio_is_above_one_whichever_side_is_larger():
    assert extreme_ratio(np.array([[-1.0, 0.2], [0.5, 4.0]])) == 4
    assert extreme_ratio(np.array([-4.0, 1.0])) == 4
    with pytest.raises(ArithmeticError, match="trace is zero"):
        extreme_ratio(np.array([0.0, 1.0]))
