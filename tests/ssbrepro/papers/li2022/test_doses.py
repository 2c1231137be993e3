"""Half-way shares by hand, and their decline where it is planted."""

import numpy as np
import pytest

from ssbrepro.papers.li2022.doses import decline, half_shares, quantile_curve, slopes

SHARES = np.array([0.0, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0])
FAN_INS = np.array([90.0, 180.0, 360.0])


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([0.0, 0.2, 1.0], 0.5 + 0.5 * 0.3 / 0.8),
        ([0.0, 0.5, 1.0], 0.5),
        ([1.0, 3.0, 2.0], 0.125),  # level 1.5, a quarter of the way up to 3
        ([0.4, 0.0, 1.0], 0.85),  # falls at first; level 0.7
        ([1.0, 3.0, 1.0], np.nan),
        ([1.0, 3.0, 0.5], np.nan),
        ([np.nan, 3.0, 5.0], np.nan),
    ],
)
def test_the_half_way_share_is_where_the_curve_first_gets_there(curve, expected):
    shares = np.array([0.0, 0.5, 1.0])
    # Sums and quotients of a few numbers.
    assert half_shares(shares, np.array(curve)) == pytest.approx(expected, rel=1e-14, nan_ok=True)


def test_half_way_shares_of_many_curves_have_no_unit():
    curves = np.sort(np.random.default_rng(0).random((4, 5, 7)), axis=-1)
    found = half_shares(SHARES, curves)
    assert found.shape == (4, 5)
    assert found[2, 3] == half_shares(SHARES, curves[2, 3])
    assert half_shares(SHARES, 3 * curves + 1) == pytest.approx(found, rel=1e-12)  # rounding


def test_dead_networks_are_left_out_of_a_quantile():
    values = np.array([[1.0, np.nan, np.nan], [2.0, 5.0, np.nan], [9.0, 7.0, np.nan]])
    assert quantile_curve(values).tolist()[:2] == [2.0, 6.0]
    assert np.isnan(quantile_curve(values)[2])
    many = np.random.default_rng(0).random((3, 8, 5))
    many[many < 0.2] = np.nan
    for level in (0.0, 0.05, 0.5, 0.75, 1.0):
        expected = np.nanquantile(many, level, axis=1)
        assert quantile_curve(many, level) == pytest.approx(expected, rel=1e-14)  # one product


def test_the_slope_of_a_power_law_is_its_exponent():
    halves = np.stack([3 * FAN_INS**-0.5, 0.1 * FAN_INS**0.25])
    assert slopes(FAN_INS, halves) == pytest.approx([-0.5, 0.25], abs=1e-13)  # logarithms' rounding


def response(middle):
    """S that is half-way at p = middle, and close to its end at p = 1."""
    with np.errstate(divide="ignore"):
        return 1 / (1 + (middle / SHARES) ** 4)


def networks(exponent, generator, number=39):
    """S(p) of networks that break around p = 3 n^exponent, each at a share of its own."""
    middles = [
        3 * fan_in**exponent * np.exp(0.3 * generator.standard_normal((number, 1)))
        for fan_in in FAN_INS
    ]
    return [response(middle) for middle in middles]


def test_a_planted_decline_is_found_and_told_from_none():
    generator = np.random.default_rng(1)
    falls = decline(FAN_INS, SHARES, networks(-0.5, generator), generator, 499)
    # The curve is known at seven shares, and straight lines between them bend the slope a little.
    assert falls.slope == pytest.approx(-0.5, abs=0.1)
    assert falls.distance == abs(falls.slope + 0.5)
    assert falls.noise < 0.2 < falls.control
    stays = decline(FAN_INS, SHARES, networks(-0.5, generator)[:1] * 3, generator, 499)
    assert stays.slope == pytest.approx(0, abs=1e-12)  # equal networks
    assert stays.distance > max(stays.noise, 0.2)


def test_noise_and_control_are_what_they_say_they_are():
    generator = np.random.default_rng(2)
    runs = 200
    large = decline(FAN_INS, SHARES, networks(-0.5, generator, 4000), generator, 2)
    found = [
        decline(FAN_INS, SHARES, networks(-0.5, generator), generator, 99) for _ in range(runs)
    ]
    within = sum(abs(one.slope - large.slope) <= one.noise for one in found)
    # 95 % of all runs, to three standard errors and what the bootstrap of a median is off.
    assert 0.88 * runs <= within
    middle = [
        [networks(-0.5, generator)[1] for _ in FAN_INS] for _ in range(runs)
    ]  # width in name only
    constant = [decline(FAN_INS, SHARES, values, generator, 99) for values in middle]
    above = sum(one.distance >= one.control for one in constant)
    assert 0.88 * runs <= above < runs


def test_more_networks_leave_less_noise_and_a_stronger_control():
    generator = np.random.default_rng(3)
    few, many = (
        decline(FAN_INS, SHARES, networks(-0.5, generator, number), generator, 499)
        for number in (9, 144)
    )
    assert many.noise < few.noise / 2  # a factor 4 in the limit
    assert many.control > few.control
