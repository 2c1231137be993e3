"""The 12-bit task: the power spectrum by its definition, symmetry, and the law of the labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.special import lpmv

from ssbrepro.papers.ssb2018.twelve_bit_task import (
    all_patterns,
    binary_entropy,
    icosahedron,
    label_information,
    power_spectrum,
    twelve_bit_task,
)

DEGREES = (0, 1, 3, 4)
SOME = np.random.default_rng(0).choice(4096, 40, replace=False)


def factorial(number):
    return float(np.prod(np.arange(1, number + 1)))


def real_harmonics(degree, points):
    """Real orthonormal Y_lm, (orders, points), from associated Legendre functions."""
    azimuth = np.arctan2(points[:, 1], points[:, 0])
    rows = []
    for order in range(-degree, degree + 1):
        m = abs(order)
        norm = (2 * degree + 1) / (4 * np.pi) * factorial(degree - m) / factorial(degree + m)
        wave = np.cos(m * azimuth) if order >= 0 else np.sin(m * azimuth)
        factor = 1.0 if order == 0 else np.sqrt(2)
        rows.append(factor * np.sqrt(norm) * lpmv(m, degree, points[:, 2]) * wave)
    return np.stack(rows)


def test_the_points_are_evenly_spread():
    points = icosahedron()
    cosines = np.sort(points @ points.T, axis=1)
    # Each vertex: itself, five neighbours, the five of the opposite vertex, and that vertex.
    expected = [-1.0] + 5 * [-1 / np.sqrt(5)] + 5 * [1 / np.sqrt(5)] + [1.0]
    np.testing.assert_allclose(cosines, np.tile(expected, (12, 1)), atol=1e-15)  # rounding


def test_all_patterns_are_there_once():
    patterns = all_patterns()
    assert patterns.shape == (4096, 12)
    assert set(np.unique(patterns)) == {0.0, 1.0}
    assert len(np.unique(patterns, axis=0)) == 4096
    assert patterns[[0, 1, -1]].sum(axis=1).tolist() == [0, 1, 12]


@pytest.mark.parametrize("degree", range(6))
def test_the_addition_theorem_gives_the_power_in_spherical_harmonics(degree):
    points, patterns = icosahedron(), all_patterns()[SOME]
    by_definition = np.square(patterns @ real_harmonics(degree, points).T).sum(axis=1)
    # Sums of at most 144 terms below four; the associated functions carry some more digits of error.
    np.testing.assert_allclose(
        power_spectrum(patterns, points, [degree])[0], by_definition, atol=1e-11
    )


def test_the_power_in_degree_zero_counts_the_points():
    patterns = all_patterns()
    received = power_spectrum(patterns, icosahedron(), [0])[0]
    # Twelve terms of one over 4 pi.
    np.testing.assert_allclose(received, patterns.sum(axis=1) ** 2 / (4 * np.pi), rtol=1e-14)


def test_a_rotation_leaves_the_spectrum_and_moving_one_point_does_not():
    points, patterns = icosahedron(), all_patterns()[SOME]
    expected = power_spectrum(patterns, points, DEGREES)
    rotated = Rotation.random(random_state=1).apply(points)
    reflected = points * [1, 1, -1]
    for moved in (rotated, reflected):
        received = power_spectrum(patterns, moved, DEGREES)
        np.testing.assert_allclose(received, expected, atol=1e-12)  # as many terms as above
    points[0] = -points[0]
    assert np.abs(power_spectrum(patterns, points, DEGREES) - expected).max() > 0.1


def test_permuting_the_points_permutes_the_patterns():
    points, patterns = icosahedron(), all_patterns()[SOME]
    order = np.random.default_rng(1).permutation(12)
    np.testing.assert_allclose(
        power_spectrum(patterns[:, order], points[order], DEGREES),
        power_spectrum(patterns, points, DEGREES),
        atol=1e-12,  # the same terms in another order
    )


def test_the_spectrum_has_the_64_classes_of_the_cited_work():
    power = power_spectrum(all_patterns(), icosahedron(), range(8)).round(9)
    assert len(np.unique(power, axis=1).T) == 64
    assert len(np.unique(power[list(DEGREES)].sum(axis=0).round(9))) == 64


def test_labels_without_noise_are_those_of_the_published_data():
    # Share of ones of each number of points in the data of Shwartz-Ziv & Tishby, as tabulated in the
    # documentation of deep-bottleneck:
    # 7.575757 %, 57.575757 % and 92.424242 % for 5, 6 and 7 points, none below and all above.
    task = twelve_bit_task(DEGREES, 0.99)
    ones, points = task.label_probability > 0.5, task.patterns.sum(axis=1)
    counts = [int(ones[points == number].sum()) for number in range(13)]
    assert counts == [0, 0, 0, 0, 0, 60, 532, 732, 495, 220, 66, 12, 1]
    other = twelve_bit_task((0, 1, 2), 0.9)
    others = [int((other.label_probability > 0.5)[points == number].sum()) for number in (5, 6, 7)]
    assert others != [60, 532, 732]


@given(information=st.floats(0.05, 0.998))
@settings(max_examples=15)
def test_labels_know_as_much_as_asked_for(information):
    task = twelve_bit_task(DEGREES, information)
    # The root is found to 1e-12 of the gain, in which the information is no steeper than linear.
    assert label_information(task.label_probability) == pytest.approx(information, abs=1e-9)


def test_more_information_makes_every_label_surer():
    less, more = (twelve_bit_task(DEGREES, bits).label_probability for bits in (0.9, 0.99))
    assert ((less > 0.5) == (more > 0.5)).all()
    # The surest labels of both are 0 and 1 up to a rounding.
    assert (np.abs(more - 0.5) >= np.abs(less - 0.5) - 1e-15).all()


def test_an_impossible_task_is_refused():
    with pytest.raises(ValueError, match=r"bits at most, not 0\.9995"):
        twelve_bit_task(DEGREES, 0.9995)


def test_entropies_by_hand():
    # h(1/4) = 2 - 3/4 log2(3). Logarithms are right to a unit in the last place or so.
    given = np.array([0.0, 0.25, 0.5, 1.0])
    expected = [0, 2 - 0.75 * np.log2(3), 1, 0]
    np.testing.assert_allclose(binary_entropy(given), expected, rtol=1e-14)
    assert label_information(np.array([0.0, 1.0])) == pytest.approx(1, rel=1e-14)
    assert label_information(np.array([0.25, 0.25])) == pytest.approx(0, abs=1e-14)
