"""Distribution functions from quadratures, against spectra whose distribution is known."""

import numpy as np
import pytest
import torch

from ssbrepro.probes.spectra import lanczos
from ssbrepro.probes.spectra.distribution import (
    _symmetric_model,
    distribution,
    largest_asymmetry,
    mean_bounds,
    mean_distribution,
    mirror_asymmetry,
    padded,
    spectral_density,
    symmetric_null,
)
from ssbrepro.statistics.histograms import symlog_grid
from ssbrepro.statistics.symmetry import reflection_asymmetry


def measured(eigenvalues, num_steps, rows, seed=0):
    """Quadratures of a diagonal matrix at random start vectors."""
    values = torch.as_tensor(eigenvalues, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    spectrum = {name: np.zeros((rows, num_steps)) for name in ("nodes", "weights", "residuals")}
    for row in range(rows):
        start = torch.randn(len(values), generator=generator, dtype=torch.float64)
        rule = lanczos(lambda vector: values * vector, start, num_steps)
        for name, found in rule._asdict().items():
            spectrum[name][row, : len(found)] = found.numpy()
    return spectrum


def mirrored(spectrum):
    """The quadratures of minus the operator."""
    return {
        "nodes": -spectrum["nodes"][:, ::-1],
        "weights": spectrum["weights"][:, ::-1],
        "residuals": spectrum["residuals"][:, ::-1],
    }


def heavy_tailed(dim, positive_scale=1.0):
    """Many small and few large eigenvalues, as of a network: quantiles of a cubed normal law."""
    levels = (np.arange(dim // 2) + 0.5) / (dim // 2)
    magnitudes = np.tan(levels * np.pi / 2.2) ** 3
    return np.concatenate([-magnitudes, positive_scale * magnitudes])


def test_at_full_length_the_distribution_is_the_exact_staircase():
    eigenvalues = np.array([-2.0, -0.5, 0.0, 1.0, 7.0])
    spectrum = measured(eigenvalues, 5, 1)
    between = np.array([-3.0, -1.0, -0.2, 0.4, 3.0, 8.0])
    weights = spectrum["weights"][0]
    # Five steps on five eigenvalues are exact; what is left of the last residual is rounding.
    np.testing.assert_allclose(
        mean_distribution(spectrum, between),
        np.concatenate([[0.0], np.cumsum(weights)]),
        atol=1e-9,
    )


@pytest.mark.parametrize("num_steps", [4, 16, 40])
def test_the_distribution_of_a_uniform_law_is_a_straight_line(num_steps):
    eigenvalues = np.linspace(-1, 1, 2000)
    spectrum = measured(eigenvalues, num_steps, 4)
    points = np.linspace(-0.95, 0.95, 39)
    # A start vector of 2000 random components misses a share by at most some 3/sqrt(2000) = 0.07
    # (Kolmogorov-Smirnov), a mean of four by half of that; the bounds are about 1/steps apart, and
    # their middle is well inside a tenth of that for a smooth law.
    error = np.abs(mean_distribution(spectrum, points) - (points + 1) / 2).max()
    assert error < 0.04 + 0.1 / num_steps


def test_it_stays_between_zero_and_one_and_reaches_both():
    spectrum = measured(heavy_tailed(600), 12, 2)
    points = np.linspace(-1, 1, 101) * 2 * np.abs(spectrum["nodes"]).max()
    values = mean_distribution(spectrum, points)
    assert (values >= 0).all()
    assert (values <= 1 + 1e-12).all()  # sums of squares of unit vectors
    # Far outside the spectrum the rule's node there carries next to nothing.
    assert values[0] < 1e-3
    assert values[-1] > 1 - 1e-3


def test_the_mirrored_operator_has_the_mirrored_distribution():
    spectrum = measured(heavy_tailed(600, 1.5), 12, 2)
    points = np.array([-3.0, -0.1, 0.02, 0.5, 4.0])
    np.testing.assert_allclose(
        mean_distribution(mirrored(spectrum), points),
        1 - mean_distribution(spectrum, -points),
        atol=1e-9,  # a few roundings of eigenvectors, magnified where nodes nearly coincide
    )


def test_padding_without_weight_changes_nothing():
    spectrum = measured(np.linspace(-1, 2, 50), 8, 1)
    row = [spectrum[name][0] for name in ("nodes", "weights", "residuals")]
    points = np.linspace(-2, 3, 7)
    padded = [np.pad(values, (0, 4)) for values in row]
    assert np.array_equal(distribution(*padded, points), distribution(*row, points))


def test_padding_is_zeros_behind():
    for length in (3, 4, 11):
        assert padded(np.array([3.0, 1.0, 2.0]), length).tolist() == [3, 1, 2] + [0] * (length - 3)


@pytest.mark.parametrize(
    "eigenvalues",
    [[-2.0, -0.5, 0.25, 1.0, 7.0], [-1.0, 0.5, 1.0, 1.5], [-3.0, -1.0, 1.0, 3.5]],
)
def test_at_full_length_the_asymmetry_is_that_of_the_weighted_eigenvalues(eigenvalues):
    spectrum = measured(eigenvalues, len(eigenvalues), 1)
    exact = reflection_asymmetry(spectrum["nodes"], spectrum["weights"])
    # F is constant but for its jumps, each between two points 2e-9 of its place apart.
    assert mirror_asymmetry(spectrum) == pytest.approx(exact, rel=1e-7)


@pytest.mark.parametrize(("num_steps", "least"), [(16, 0.4), (40, 0.6), (80, 0.75)])
def test_a_planted_asymmetry_is_found_the_better_the_more_steps(num_steps, least):
    eigenvalues = heavy_tailed(4000, positive_scale=1.5)
    truth = reflection_asymmetry(eigenvalues)
    assert truth == pytest.approx(0.4)  # (1.5 - 1) / ((1.5 + 1) / 2)
    found = np.mean([mirror_asymmetry(measured(eigenvalues, num_steps, 4, s)) for s in range(3)])
    # What lies in the unresolved bulk near zero is missed, the more the fewer the steps.
    assert least * truth < found < 1.2 * truth


def test_the_null_is_what_symmetric_spectra_measure():
    eigenvalues = heavy_tailed(2000)
    measurements = [mirror_asymmetry(measured(eigenvalues, 12, 2, seed)) for seed in range(30)]
    spectrum = measured(eigenvalues, 12, 2, 99)
    null = symmetric_null(spectrum, 2000, np.random.default_rng(0), 60)
    # Means of 30 and 60 draws whose spread is about a third of their mean: within 25 %.
    assert np.mean(null) == pytest.approx(np.mean(measurements), rel=0.25)
    # Of 30 exactly symmetric measurements some 1.5 exceed the 95 % quantile; binomial, below 6.
    assert np.count_nonzero(measurements > np.quantile(null, 0.95)) < 6


def test_the_null_imitates_the_magnitudes_that_were_measured():
    spectrum = measured(np.linspace(-1, 1, 2001), 24, 1)
    magnitudes, multiplicities = _symmetric_model(spectrum, 2001)
    assert multiplicities.sum() == pytest.approx(2001 / 2)
    ranks = multiplicities.cumsum() - multiplicities / 2
    # Nodes of 24 steps are up to π/24 apart; where between them the law is, they do not say.
    np.testing.assert_allclose(magnitudes, 1 - ranks / (2001 / 2), atol=0.13)


def test_the_null_rejects_a_planted_asymmetry():
    spectrum = measured(heavy_tailed(2000, 1.5), 12, 2)
    null = symmetric_null(spectrum, 2000, np.random.default_rng(0), 39)
    assert mirror_asymmetry(spectrum) > null.max()


def test_the_null_is_determined_by_its_generator():
    spectrum = measured(heavy_tailed(400), 6, 2)
    first, again = (symmetric_null(spectrum, 400, np.random.default_rng(3), 5) for _ in range(2))
    assert np.array_equal(first, again)


def test_the_density_integrates_to_one_and_mirrors_with_the_measure():
    spectrum = measured(heavy_tailed(600, 1.5), 12, 2)
    extreme = np.abs(spectrum["nodes"]).max()
    linear = 1e-2 * extreme
    grid = symlog_grid(3 * extreme, linear, 801)
    density = spectral_density(spectrum, grid, linear, 0.01)
    assert (density >= 0).all()
    # Cells of the axis hold their weight exactly; the trapezoid's cells are as wide to (du)^2 ~ 1e-3.
    assert np.trapezoid(density, grid) == pytest.approx(1, rel=5e-3)
    assert not np.allclose(density, density[::-1], rtol=0.1)
    other = spectral_density(mirrored(spectrum), grid, linear, 0.01)
    np.testing.assert_allclose(other, density[::-1], rtol=1e-6, atol=1e-8 * density.max())


def test_the_first_and_the_last_cell_of_a_density_hold_their_weight():
    spectrum = measured([-1.0, 0.3, 1.0], 3, 1)
    grid = symlog_grid(1.0, 0.1, 101)
    density = spectral_density(spectrum, grid, 0.1, 1e-3)  # a kernel of a tenth of a cell: none
    shares = density * np.hypot(grid, 0.1) * np.ptp(np.arcsinh(grid / 0.1)) / 100
    np.testing.assert_allclose(shares[[0, -1]], spectrum["weights"][0][[0, -1]], rtol=1e-9)
    assert shares.sum() == pytest.approx(1)


def test_an_empty_measure_has_a_peak_at_zero():
    empty = {name: np.zeros((2, 5)) for name in ("nodes", "weights", "residuals")}
    empty["weights"][:, 0] = 1.0
    grid = symlog_grid(10.0, 1e-2, 2001)
    density = spectral_density(empty, grid, 1e-2, 0.01)
    assert np.isfinite(density).all()
    assert abs(grid[np.argmax(density)]) < 1e-2
    assert np.trapezoid(density, grid) == pytest.approx(1, rel=5e-3)
    # The peak is the kernel, which is cut at four deviations: a thousandth of its variance is beyond.
    grid = symlog_grid(10.0, 1e-2, 101)
    axis = np.arcsinh(grid / 1e-2)
    shares = spectral_density(empty, grid, 1e-2, 0.05) * np.hypot(grid, 1e-2)
    deviation = np.sqrt(np.average(axis**2, weights=shares))
    assert deviation == pytest.approx(0.05 * np.ptp(axis), rel=2e-3)


@pytest.mark.parametrize("num_steps", [3, 8, 20])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_bounds_hold_the_distribution_at_the_start_vector(num_steps, seed):
    eigenvalues = heavy_tailed(100, 1.5)
    generator = torch.Generator().manual_seed(seed)  # the start vector that `measured` draws
    start = torch.randn(len(eigenvalues), generator=generator, dtype=torch.float64).numpy()
    masses = start**2 / (start**2).sum()
    # Halfway between eigenvalues, where the true staircase is flat.
    ordered = np.sort(eigenvalues)
    points = (ordered[1:] + ordered[:-1]) / 2
    exact = np.array([masses[eigenvalues < point].sum() for point in points])
    least, largest = mean_bounds(measured(eigenvalues, num_steps, 1, seed), points)
    assert (least <= exact + 1e-9).all()
    assert (exact <= largest + 1e-9).all()
    assert (largest - least).max() > 0.01  # they leave something open
    truth = reflection_asymmetry(eigenvalues, masses)
    # Trapezoids over eighty points a side: 3 %, as for the middle.
    assert truth < 1.03 * largest_asymmetry(measured(eigenvalues, num_steps, 1, seed))


def test_the_largest_asymmetry_closes_in_on_the_exact_one():
    eigenvalues = heavy_tailed(40, 1.5)
    spectra = [measured(eigenvalues, num_steps, 1) for num_steps in (4, 12, 40)]
    worst = [largest_asymmetry(spectrum) for spectrum in spectra]
    assert 2 >= worst[0] > worst[1] > worst[2]
    assert worst[2] == pytest.approx(mirror_asymmetry(spectra[2]), rel=0.03)
    assert all(
        one >= mirror_asymmetry(spectrum) for one, spectrum in zip(worst, spectra, strict=True)
    )


def test_the_largest_asymmetry_is_that_of_the_worst_corners():
    spectrum = measured(heavy_tailed(60, 1.2), 5, 2)
    x = np.linspace(0, 1.05 * np.abs(spectrum["nodes"]).max(), 4001)
    least, largest = mean_bounds(spectrum, np.concatenate([-x[:0:-1], x]))
    upper = 1 - np.stack([largest, least])[:, 4000:]
    lower = np.stack([least, largest])[:, 4000::-1]
    far = np.stack([np.abs(upper[1] - lower[0]), np.abs(lower[1] - upper[0])])
    sums = np.stack([upper[1] + lower[0], lower[1] + upper[0]])
    # By bisection instead: r is within reach while the worst corners make up for r times their sum.
    low, high = 0.0, 2.0
    for _ in range(40):
        ratio = (low + high) / 2
        if np.trapezoid((2 * far - ratio * sums).max(axis=0), x) > 0:
            low = ratio
        else:
            high = ratio
    # On an even grid in place of one that follows the nodes.
    assert largest_asymmetry(spectrum) == pytest.approx(low, rel=0.03)
