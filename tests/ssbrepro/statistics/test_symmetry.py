"""Reflection asymmetry against closed forms and SciPy; the sign-flip test against its own claim."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, wasserstein_distance

from ssbrepro.statistics import symmetry as statistics
from ssbrepro.statistics.symmetry import (
    random_sign_asymmetries,
    reflection_asymmetries,
    reflection_asymmetry,
    sign_flip_test,
)

# Sums of up to 40 terms, of which SciPy's merged cumulative weights lose up to 1e-16 each, times
# the range over the mean magnitude, at most 40: 40 * 40 * 1e-16 < 1e-12.
ROUNDING = 1e-12

numbers = st.floats(-1e6, 1e6).map(lambda value: 0.0 if abs(value) < 1e-6 else value)
samples = st.lists(numbers, min_size=1, max_size=40).filter(any)


@st.composite
def weighted_samples(draw):
    values = draw(samples)
    # Weights within a factor 1000, so that rounding stays that of the sums.
    weights = draw(st.lists(st.floats(1e-3, 1.0), min_size=len(values), max_size=len(values)))
    return np.array(values), np.array(weights)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], 2.0),
        ([-3.0], 2.0),
        ([1.0, 2.0, 5.0], 2.0),
        ([-4.0, -0.5], 2.0),
        ([-1.0, 1.0], 0.0),
        ([-2.0, 0.0, 2.0], 0.0),
        ([-3.0, -1.0, 1.0, 3.0], 0.0),
        # Sorted -1, 2: both sums are 1, magnitudes 3.
        ([2.0, -1.0], 2 / 3),
        # Sorted -1, 0, 3: |2| + |0| + |2| over 4.
        ([3.0, 0.0, -1.0], 1.0),
        # Sorted -2, 1, 4: |2| + |2| + |2| over 7.
        ([1.0, 4.0, -2.0], 6 / 7),
        # Zeros are values too: sorted 0, 0, 0, 1: 1 + 0 + 0 + 1 over 1.
        ([0.0, 0.0, 1.0, 0.0], 2.0),
    ],
)
def test_small_samples_have_the_asymmetry_computed_by_hand(values, expected):
    # One division of two sums of integers.
    assert reflection_asymmetry(values) == pytest.approx(expected, rel=1e-15, abs=0)


@pytest.mark.parametrize(
    ("values", "weights", "expected"),
    [
        # Mass 3/4 at 1 and 1/4 at -1: half of the mass lies on the wrong side, at distance 2.
        ([1.0, -1.0], [3.0, 1.0], 1.0),
        ([1.0, -2.0], [2.0, 1.0], 1.0),
        ([1.0, -1.0], [5.0, 5.0], 0.0),
        ([1.0, 7.0], [0.5, 0.0], 2.0),
        # A weight of zero removes the only asymmetric value.
        ([1.0, -1.0, 9.0], [1.0, 1.0, 0.0], 0.0),
    ],
)
def test_small_weighted_laws_have_the_asymmetry_computed_by_hand(values, weights, expected):
    # The second: Q = -2 on (0, 1/3), 1 on (1/3, 1); |Q(u) + Q(1-u)| is 1, 2, 1 on the thirds;
    # the integral 4/3 over E|s| = 4/3. Thirds and their sums are rounded some times.
    assert reflection_asymmetry(values, weights) == pytest.approx(expected, rel=1e-14, abs=1e-14)


@given(samples)
def test_asymmetry_is_scipys_distance_to_the_mirror_image(values):
    values = np.array(values)
    expected = wasserstein_distance(values, -values) / np.abs(values).mean()
    assert reflection_asymmetry(values) == pytest.approx(expected, rel=0, abs=ROUNDING)


@given(weighted_samples())
def test_weighted_asymmetry_is_scipys_distance_to_the_mirror_image(law):
    values, weights = law
    distance = wasserstein_distance(values, -values, weights, weights)
    expected = distance / np.average(np.abs(values), weights=weights)
    # The small weights make the mean magnitude up to 1000 times smaller against the range.
    assert reflection_asymmetry(values, weights) == pytest.approx(
        expected, rel=0, abs=1000 * ROUNDING
    )


@given(samples, st.integers(-60, 60))
def test_a_power_of_two_leaves_the_asymmetry_bit_for_bit(values, exponent):
    scaled = np.array(values) * 2.0**exponent
    assert reflection_asymmetry(scaled) == reflection_asymmetry(values)


@given(samples, st.floats(1e-9, 1e9))
def test_any_positive_factor_leaves_the_asymmetry(values, factor):
    scaled = np.array(values) * factor
    assert reflection_asymmetry(scaled) == pytest.approx(
        reflection_asymmetry(values), rel=0, abs=ROUNDING
    )


@given(weighted_samples(), st.floats(1e-9, 1e9))
def test_only_ratios_of_weights_matter(law, factor):
    values, weights = law
    assert reflection_asymmetry(values, weights * factor) == pytest.approx(
        reflection_asymmetry(values, weights), rel=0, abs=1000 * ROUNDING
    )


@given(samples)
def test_the_mirror_image_has_the_same_asymmetry(values):
    # The same terms in reverse order.
    assert reflection_asymmetry(np.negative(values)) == pytest.approx(
        reflection_asymmetry(values), rel=0, abs=ROUNDING
    )


@given(weighted_samples(), st.randoms(use_true_random=False))
def test_order_does_not_matter(law, random):
    values, weights = law
    order = list(range(len(values)))
    random.shuffle(order)
    assert reflection_asymmetry(values[order]) == reflection_asymmetry(values)
    # Equal values may trade their weights' places in the sums.
    assert reflection_asymmetry(values[order], weights[order]) == pytest.approx(
        reflection_asymmetry(values, weights), rel=0, abs=1000 * ROUNDING
    )


@given(
    st.lists(st.tuples(numbers, st.integers(0, 4)), min_size=1, max_size=10).filter(
        lambda law: any(value * count for value, count in law)
    )
)
def test_integer_weights_are_repetitions(law):
    values, counts = zip(*law, strict=True)
    repeated = np.repeat(values, counts)
    assert reflection_asymmetry(values, counts) == pytest.approx(
        reflection_asymmetry(repeated), rel=0, abs=ROUNDING
    )


@given(weighted_samples())
def test_asymmetry_lies_between_zero_and_two(law):
    values, weights = law
    assert 0 <= reflection_asymmetry(values) <= 2 * (1 + ROUNDING)
    assert 0 <= reflection_asymmetry(values, weights) <= 2 * (1 + 1000 * ROUNDING)


@given(samples)
def test_one_signed_samples_have_asymmetry_two_and_mirrored_ones_zero(values):
    values = np.array(values)
    assert reflection_asymmetry(np.abs(values)) == pytest.approx(2, rel=ROUNDING)
    # Exactly: every sorted value meets its own negative.
    assert reflection_asymmetry(np.concatenate([values, -values])) == 0


def test_shape_does_not_matter():
    values = np.array([[1.0, -2.0], [4.0, 0.5]])
    assert reflection_asymmetry(values) == reflection_asymmetry(values.ravel())
    weights = np.array([[1.0, 2.0], [0.5, 1.5]])
    assert reflection_asymmetry(values, weights) == reflection_asymmetry(
        values.ravel(), weights.ravel()
    )


def test_the_arguments_are_left_as_they_were():
    values, weights = np.array([3.0, -1.0, 2.0]), np.array([1.0, 0.0, 2.0])
    reflection_asymmetry(values, weights)
    sign_flip_test(values, np.random.default_rng(0), 9, weights)
    assert values.tolist() == [3.0, -1.0, 2.0]
    assert weights.tolist() == [1.0, 0.0, 2.0]


@pytest.mark.parametrize(
    ("values", "weights", "message"),
    [
        ([], None, "empty"),
        ([], [], "empty"),
        ([1.0, np.nan], None, "finite"),
        ([1.0, np.inf], None, "finite"),
        ([0.0, 0.0], None, "all-zero"),
        ([0.0, 1.0], [1.0, 0.0], "all-zero"),
        ([1.0, 2.0], [1.0], "1 weights for 2 values"),
        ([1.0, 2.0], [1.0, -1.0], "non-negative"),
        ([1.0, 2.0], [1.0, np.nan], "non-negative"),
        ([1.0, 2.0], [1.0, np.inf], "non-negative"),
        ([1.0, 2.0], [0.0, 0.0], "0/0|weight"),
    ],
)
def test_what_has_no_asymmetry_is_an_error(values, weights, message):
    with pytest.raises(ValueError, match=message):
        reflection_asymmetry(values, weights)
    with pytest.raises(ValueError, match=message):
        sign_flip_test(values, np.random.default_rng(0), 9, weights)


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 30)),
        elements=numbers,
    )
)
def test_many_samples_have_each_its_own_asymmetry(rows):
    before = rows.copy()
    received = reflection_asymmetries(rows)
    assert received.shape == rows.shape[:2]
    for place in np.ndindex(received.shape):
        if rows[place].any():
            # The same operations on the same values.
            assert received[place] == reflection_asymmetry(rows[place])
        else:
            assert np.isnan(received[place])
    assert np.array_equal(rows, before)
    for at_once in (1, 2 * rows.shape[-1]):  # a sample, and two
        np.testing.assert_array_equal(reflection_asymmetries(rows, at_once), received)


def test_a_single_sample_is_one_of_many():
    assert reflection_asymmetries([2.0, -1.0]) == reflection_asymmetry([2.0, -1.0])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((3, 0)), "empty"),
        (np.zeros((0, 0)), "empty"),
        ([[1.0, np.nan]], "finite"),
        ([[1.0], [-np.inf]], "finite"),
    ],
)
def test_many_samples_need_finite_values(rows, message):
    with pytest.raises(ValueError, match=message):
        reflection_asymmetries(rows)


@pytest.mark.parametrize("num_flips", [0, -1])
def test_the_sign_flip_test_needs_a_flip(num_flips):
    with pytest.raises(ValueError, match="num_flips"):
        sign_flip_test([1.0, -2.0], np.random.default_rng(0), num_flips)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", [7, 12])
def test_p_values_of_symmetric_laws_are_uniform(size, weighted):
    generator = np.random.default_rng(20220107)
    num_samples = 400
    p_values = []
    for _ in range(num_samples):
        values = generator.normal(size=size)
        weights = generator.uniform(0.5, 1.5, size=size) if weighted else None
        p_values.append(sign_flip_test(values, generator, 19, weights)[0])
    for level in (0.05, 0.25, 0.5, 0.75):
        rejections = np.count_nonzero(np.array(p_values) <= level + 1e-9)
        # Exact by exchangeability: each p <= level, a multiple of 1/20, has this probability
        # (ties between sign patterns, 2 in 2^7, can only lower it). Both tails at 1e-4 and eight
        # cases with four levels: a false alarm in fewer than 1 in 100 choices of the seed.
        low, high = binom.ppf([1e-4, 1 - 1e-4], num_samples, level)
        slack = num_samples * 2 / 2**7
        assert low - slack <= rejections <= high


def test_an_exactly_symmetric_sample_has_p_value_one():
    values = np.arange(1.0, 12.0)
    p_value, null_95 = sign_flip_test([*values, *-values], np.random.default_rng(0), 199)
    assert p_value == 1
    assert null_95 > 0


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_one_signed_sample_of_twenty_has_the_smallest_p_value(sign):
    values = sign * np.random.default_rng(5).exponential(size=20)
    # Only 2 of 2^20 sign patterns reach A = 2; none is among these 999.
    p_value, null_95 = sign_flip_test(values, np.random.default_rng(0), 999)
    assert p_value == 1 / 1000
    assert 0 < null_95 < 2


def test_an_asymmetric_law_is_found_in_a_large_sample():
    values = np.random.default_rng(2).exponential(size=400) - 1  # mean zero, skewed
    assert sign_flip_test(values, np.random.default_rng(0), 199)[0] == 1 / 200


def test_the_null_of_equal_magnitudes_is_that_of_a_coin():
    # With all magnitudes 1 and k of n positive, A = 2 |2k - n| / n, and k is binomial.
    size, num_flips = 100, 4000
    values = np.where(np.arange(size) < 50, 1.0, -1.0)
    _, null_95 = sign_flip_test(values, np.random.default_rng(3), num_flips)
    # An empirical 95 % quantile of 4000 flips lies between the exact 93.5 and 96.5 % quantiles
    # (more than four standard errors, sqrt(0.05 * 0.95 / 4000) = 0.0034, each way).
    law = 2 * np.abs(2 * np.arange(size + 1) - size) / size
    order = np.argsort(law, kind="stable")
    cumulative = np.cumsum(binom.pmf(np.arange(size + 1), size, 0.5)[order])
    low, high = (law[order][np.searchsorted(cumulative, q)] for q in (0.935, 0.965))
    assert 0 < low < high < 1
    assert low <= null_95 <= high


def test_the_null_shrinks_as_the_square_root_of_the_sample_size():
    small, large = (
        sign_flip_test(
            np.random.default_rng(size).normal(size=size), np.random.default_rng(0), 499
        )[1]
        for size in (100, 6400)
    )
    # Eight by the central limit theorem; the quantile of 499 flips has an error of about 5 %, twice.
    assert 6 < small / large < 10.5


def test_the_same_generator_gives_the_same_numbers_and_another_one_others():
    values = np.random.default_rng(1).normal(size=30)
    first, again, other = (
        sign_flip_test(values, np.random.default_rng(seed), 199) for seed in (7, 7, 8)
    )
    assert first == again
    assert first != other


def test_equal_weights_change_nothing_but_rounding():
    values = np.random.default_rng(1).normal(size=30)
    plain = sign_flip_test(values, np.random.default_rng(7), 199)
    weighted = sign_flip_test(values, np.random.default_rng(7), 199, np.full(30, 0.1))
    assert weighted == pytest.approx(plain, rel=0, abs=ROUNDING)


# Random signs: the short cut against flipping and sorting again.


def sign_patterns(seed, num_flips, num_values):
    """The signs that a generator of that seed yields, (flips, values): bits of whole 32-bit words."""
    words = -(-num_values // 32)
    packed = np.random.default_rng(seed).bytes(4 * words * num_flips)
    bits = np.unpackbits(
        np.frombuffer(packed, dtype=np.uint8).reshape(num_flips, 4 * words), axis=1
    )
    return 2.0 * bits[:, :num_values] - 1


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 3), st.integers(1, 60)),
        elements=st.integers(-5, 5).map(float),  # with ties and zeros
    )
)
def test_it_is_the_asymmetry_of_the_flipped_values(samples):
    received = random_sign_asymmetries(samples, np.random.default_rng(3), 4)
    flipped = sign_patterns(3, 4, samples.shape[1])[:, None, :] * samples
    np.testing.assert_allclose(received, reflection_asymmetries(flipped), rtol=0, atol=ROUNDING)


@given(weighted_samples())
def test_with_weights_it_is_the_weighted_asymmetry_of_the_flipped_values(sample):
    values, weights = sample
    received = random_sign_asymmetries(
        [values, -values[::-1]], np.random.default_rng(3), 4, weights
    )
    for pattern, asymmetries in zip(sign_patterns(3, 4, len(values)), received, strict=True):
        expected = [
            reflection_asymmetry(pattern * row, weights) if (row * weights).any() else np.nan
            for row in (values, -values[::-1])
        ]
        np.testing.assert_allclose(asymmetries, expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_test_is_that_of_sorting_every_flipped_sample(weighted):
    generator = np.random.default_rng(4)
    for seed in range(20):
        values = generator.integers(-4, 6, size=15).astype(float)  # many patterns tie
        weights = generator.integers(1, 4, size=15).astype(float) if weighted else None
        observed = reflection_asymmetry(values, weights)
        null = [reflection_asymmetry(p * values, weights) for p in sign_patterns(seed, 99, 15)]
        p_value, null_95 = sign_flip_test(values, np.random.default_rng(seed), 99, weights)
        # Asymmetries are ratios of whole numbers below 1000: ties to rounding, or 1e-6 apart.
        assert p_value == (1 + np.count_nonzero(np.array(null) >= observed - 1e-9)) / 100
        assert null_95 == pytest.approx(np.quantile(null, 0.95), abs=ROUNDING)


@pytest.mark.parametrize("block", [1, 100, 1 << 17])
@pytest.mark.parametrize("weighted", [False, True])
def test_patterns_do_not_depend_on_how_many_are_taken_at_once(monkeypatch, block, weighted):
    samples = np.random.default_rng(0).normal(size=(2, 33))
    weights = np.random.default_rng(1).random(33) if weighted else None
    expected = random_sign_asymmetries(samples, np.random.default_rng(5), 10, weights)
    monkeypatch.setattr(statistics, "_FLIP_BLOCK", block)
    received = random_sign_asymmetries(samples, np.random.default_rng(5), 10, weights)
    np.testing.assert_allclose(received, expected, rtol=0, atol=ROUNDING)


def test_a_sample_larger_than_a_block_is_flipped_all_the_same():
    # One-signed: p = 1/3.
    values = np.abs(np.random.default_rng(0).normal(size=2 * statistics._FLIP_BLOCK))
    p_value, null_95 = sign_flip_test(values, np.random.default_rng(0), 2)
    assert p_value == 1 / 3
    # The null of n values is of the order 1/sqrt(n) = 2e-3; a flip left out would be 0 or garbage.
    assert 2e-4 < null_95 < 2e-2


def test_values_near_the_ends_of_float64_have_the_same_null():
    values, weights = np.random.default_rng(0).normal(size=20), np.full(20, 0.3)
    expected = random_sign_asymmetries([values], np.random.default_rng(0), 5)
    received = random_sign_asymmetries(
        [values * 1e307, values * 1e-300], np.random.default_rng(0), 5, weights * 1e308
    )
    np.testing.assert_allclose(received, expected.repeat(2, axis=1), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(
    ("samples", "num_flips", "weights", "message"),
    [
        ([[1.0, 2.0]], 0, None, "num_flips"),
        (np.empty((2, 0)), 3, None, "empty"),
        ([[1.0, np.nan]], 3, None, "finite"),
        ([[1.0, 2.0]], 3, [1.0], "1 weights for 2 values"),
        ([[1.0, 2.0]], 3, [1.0, -1.0], "non-negative"),
    ],
)
def test_random_signs_need_finite_values_and_a_flip(samples, num_flips, weights, message):
    with pytest.raises(ValueError, match=message):
        random_sign_asymmetries(samples, np.random.default_rng(0), num_flips, weights)


def test_one_value_is_one_signed_whatever_its_sign():
    received = random_sign_asymmetries(np.array([[-3.0]]), np.random.default_rng(0), 5)
    assert received.tolist() == [[2.0]] * 5


def test_two_equal_values_cancel_or_agree():
    received = random_sign_asymmetries(np.array([[1.0, 1.0]]), np.random.default_rng(0), 400)
    assert set(received.ravel().tolist()) == {0.0, 2.0}
    # Half of the patterns agree; four standard deviations of 400 fair coins are 40.
    assert abs(np.count_nonzero(received) - 200) < 40


def test_a_value_has_the_same_sign_in_all_samples():
    sample = np.random.default_rng(0).normal(size=50)
    once, again = random_sign_asymmetries(
        np.stack([sample, -3 * sample]), np.random.default_rng(1), 20
    ).T
    np.testing.assert_allclose(once, again, rtol=0, atol=ROUNDING)


def test_a_sample_of_zeros_has_none():
    received = random_sign_asymmetries(
        np.array([[0.0, 0.0], [1.0, 2.0]]), np.random.default_rng(0), 3
    )
    assert np.isnan(received[:, 0]).all()
    assert np.isfinite(received[:, 1]).all()


def test_its_mean_is_that_of_a_random_walk():
    magnitudes = np.linspace(2.0, 0.1, 20)
    null = random_sign_asymmetries(magnitudes[None], np.random.default_rng(1), 4000)
    # A fair walk is on average |S_k| = k C(k-1, floor((k-1)/2)) / 2^(k-1) from 0 after k steps.
    walk = [k * comb(k - 1, (k - 1) // 2) / 2 ** (k - 1) for k in range(1, 21)]
    expected = 2 * (-np.diff(magnitudes, append=0) @ walk) / magnitudes.sum()
    # Four standard errors.
    assert null.mean() == pytest.approx(expected, abs=4 * null.std() / np.sqrt(4000))
