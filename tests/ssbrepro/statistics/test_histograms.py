"""Histograms: axes that are their own mirror images, and a kernel that loses nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssbrepro.statistics.histograms import (
    smoothed_histogram,
    symlog_edges,
    symlog_grid,
    symmetric_edges,
)

NO_KERNEL = 1e-9  # of the axis: far below a bin, so the kernel is a single point
AXES = [symmetric_edges(3.0, 101), symlog_edges(3.0, 1e-6, 101)]


@pytest.mark.parametrize("edges", AXES)
def test_an_axis_is_its_own_mirror_image_and_reaches_its_end_exactly(edges):
    assert edges.shape == (102,)
    assert np.array_equal(edges, -edges[::-1])
    assert edges[-1] == 3.0
    assert (np.diff(edges) > 0).all()
    assert edges[50] < 0 < edges[51]


def test_bins_are_equally_wide_where_they_are_drawn():
    # A difference of two edges, each rounded at the axis's end, over a hundredth of the axis.
    assert np.ptp(np.diff(symmetric_edges(3.0, 101))) < 1e-13
    drawn = np.arcsinh(symlog_edges(3.0, 1e-6, 101) / 1e-6)
    assert np.ptp(np.diff(drawn)) < 1e-13


def test_bins_are_logarithmic_far_from_zero_and_linear_near_it():
    widths = np.diff(symlog_edges(1e3, 1e-3, 2001))
    # u = asinh(x) is log(2 x) up to 1/(4 x²), and x up to x³/6; two neighbours show it.
    assert widths[-1] / widths[-2] == pytest.approx(np.exp(2 * np.arcsinh(1e6) / 2001), rel=1e-9)
    assert widths[1000] == pytest.approx(widths[1001], rel=1e-3)


def test_without_a_kernel_it_counts():
    edges = symmetric_edges(2.5, 5)  # five bins, each 1 wide
    counted = smoothed_histogram([[-2.5, -0.4], [0.0, 2.4]], edges, NO_KERNEL)
    # Four values, five bins: one value is a share of 1/4 on a length of 1/5.
    np.testing.assert_array_equal(counted, np.array([1, 0, 2, 0, 1]) * 5 / 4)


@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=30),
    st.sampled_from([NO_KERNEL, 0.01, 0.3]),
    st.sampled_from(AXES),
)
def test_smoothing_loses_nothing(values, kernel_width, edges):
    # Sums over 101 bins, each rounded to 1e-16 of at most 101.
    assert smoothed_histogram(values, edges, kernel_width).mean() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("edges", AXES)
def test_the_mirror_image_has_the_mirrored_histogram(edges):
    values = np.random.default_rng(0).uniform(-3, 3, 500)
    values[:100] = 0  # sides with neither sign
    mirrored = smoothed_histogram(-values, edges, 0.02)
    # The kernel's sums in reverse order.
    np.testing.assert_allclose(
        mirrored, smoothed_histogram(values, edges, 0.02)[::-1], rtol=0, atol=1e-12
    )


def test_a_single_value_becomes_a_gaussian_of_the_kernels_width():
    edges = symmetric_edges(0.5, 1001)  # an axis of length 1
    curve = smoothed_histogram([0.0], edges, 0.05)
    middles = (edges[1:] + edges[:-1]) / 2
    expected = np.exp(-((middles / 0.05) ** 2) / 2) / (0.05 * np.sqrt(2 * np.pi))
    # The kernel ends at 4 standard deviations, where it is exp(-8) = 3.4e-4 of its peak.
    np.testing.assert_allclose(curve, expected, rtol=0, atol=4e-4 * expected.max())


@pytest.mark.parametrize("values", [[3.1], [0.0, -3.1], [np.nan], [np.inf, 0.0], []])
def test_nothing_is_left_out_silently(values):
    with pytest.raises(ValueError, match=rf"of {len(values)} values"):
        smoothed_histogram(values, AXES[0], 0.01)


@pytest.mark.parametrize("largest", [0.0, -1.0, np.inf, np.nan])
def test_an_axis_needs_an_end(largest):
    with pytest.raises(ValueError, match="no axis"):
        symmetric_edges(largest, 5)
    with pytest.raises(ValueError, match="no axis"):
        symlog_edges(largest, 1e-3, 5)


@pytest.mark.parametrize("num_bins", [0, 4])
def test_zero_lies_inside_a_bin(num_bins):
    with pytest.raises(ValueError, match="odd"):
        symmetric_edges(1.0, num_bins)
    with pytest.raises(ValueError, match="odd"):
        symlog_edges(1.0, 0.1, num_bins)


@pytest.mark.parametrize("linear", [0.0, -1.0, 2.0])
def test_the_linear_part_lies_within_the_axis(linear):
    with pytest.raises(ValueError, match="no grid"):
        symlog_edges(1.0, linear, 5)


@pytest.mark.parametrize("num_points", [2, 51, 400])
def test_the_grid_is_symmetric_to_the_last_bit_and_even_in_asinh(num_points):
    grid = symlog_grid(10.0, 0.01, num_points)
    assert np.array_equal(grid, -grid[::-1])
    steps = np.diff(np.arcsinh(grid / 0.01))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-11)  # rounding of asinh and sinh


@pytest.mark.parametrize(
    ("largest", "linear", "num_points"),
    [(1.0, 0.0, 5), (1.0, 1.5, 5), (np.inf, 0.1, 5), (np.nan, 0.1, 5), (1.0, 0.1, 1)],
)
def test_an_impossible_grid_is_an_error(largest, linear, num_points):
    with pytest.raises(ValueError, match="no grid"):
        symlog_grid(largest, linear, num_points)
