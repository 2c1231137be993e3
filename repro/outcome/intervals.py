"""Intervals of Student's t: where a mean lies, and where one more run will.

Without SciPy, which takes most of a second to import: `repro list` asks for dozens of them.
"""

import math
import statistics
from collections.abc import Sequence

from ssbrepro.domains import Domain

MIN_RUNS = 3  # below, a spread says next to nothing: the t factor for two runs is 12.7
_LEVEL = 0.95

Interval = tuple[float, float]


def prediction_interval(values: Sequence[float], resolution: float, together: int = 1) -> Interval:
    """Where a new run is expected with 95 % probability: mean ± t s √(1 + 1/n).

    At least ``resolution`` to each side: recorded runs that all agree do not mean that a difference
    too small to matter is a failure.

    Args:
        values: Of the recorded runs.
        resolution: Smallest difference that matters.
        together: Number of intervals that are to hold a new run together with that probability
            (Bonferroni).

    Raises:
        ValueError: With fewer than ``MIN_RUNS`` values.
    """
    n = len(values)
    if n < MIN_RUNS:
        raise ValueError(f"{n} runs; a prediction interval needs {MIN_RUNS}")
    half = max(
        _factor(together, n - 1) * statistics.stdev(values) * math.sqrt(1 + 1 / n), resolution
    )
    middle = mean(values)
    return middle - half, middle + half


def mean_interval(values: Sequence[float], together: int = 1) -> Interval:
    """Where the mean of the law the values are drawn from lies with 95 % confidence: mean ± t s/√n.

    Args:
        values: At least two.
        together: Number of intervals that are to hold together with that confidence (Bonferroni).

    Raises:
        ValueError: With fewer than two values.
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"{n} values; the interval of a mean needs 2")
    half = _factor(together, n - 1) * statistics.stdev(values) / math.sqrt(n)
    middle = mean(values)
    return middle - half, middle + half


def difference_interval(
    before: Sequence[float], after: Sequence[float], together: int = 1
) -> Interval:
    """Where the difference of two means lies with 95 % confidence, after less before, each drawn alone.

    Welch's interval, which takes no spread for the other's; its degrees of freedom are rounded down.

    Args:
        before: At least two values.
        after: Likewise.
        together: Number of intervals that are to hold together with that confidence (Bonferroni).

    Raises:
        ValueError: With fewer than two values.
    """
    if min(len(before), len(after)) < 2:
        raise ValueError(f"{len(before)} and {len(after)} values; a difference of means needs 2")
    one, two = (statistics.variance(values) / len(values) for values in (before, after))
    difference = mean(after) - mean(before)
    if one + two == 0:
        return difference, difference
    share = one / (one + two)
    degrees = 1 / (share**2 / (len(before) - 1) + (1 - share) ** 2 / (len(after) - 1))
    # Up to rounding they are no fewer than those of the shorter sample.
    half = _factor(together, math.floor(degrees * (1 + 1e-12))) * math.sqrt(one + two)
    return difference - half, difference + half


def allowed_between_two(values: Sequence[float], resolution: float, together: int = 1) -> float:
    """What two new runs differ by at most with 95 % probability: t s √2, and at least the resolution.

    Args:
        values: Of recorded runs.
        resolution: Smallest difference that matters.
        together: Number of differences that are to be within theirs together (Bonferroni).

    Raises:
        ValueError: With fewer than ``MIN_RUNS`` values.
    """
    if len(values) < MIN_RUNS:
        raise ValueError(f"{len(values)} runs; a tolerance needs {MIN_RUNS}")
    spread = statistics.stdev(values) * math.sqrt(2)
    return max(_factor(together, len(values) - 1) * spread, resolution)


def _factor(together: int, degrees: int) -> float:
    return t_quantile(1 - (1 - _LEVEL) / 2 / together, degrees)


def mean(values: Sequence[float]) -> float:
    """The mean, which no rounding takes out of the values' range: it is compared with bounds."""
    return min(max(statistics.fmean(values), min(values)), max(values))


def clipped(interval: Interval, domain: Domain) -> Interval:
    """The part of an interval where its number can lie: t is symmetric, the number need not be."""
    low, high = (min(max(end, float(domain.low)), float(domain.high)) for end in interval)
    return low, high


def t_quantile(probability: float, degrees: int) -> float:
    """The value that Student's t stays below with a probability above one half.

    By bisection of the angle θ with t = √degrees tan θ, in which the distribution is a finite sum.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):  # to the last bit of the angle
        middle = (low + high) / 2
        if _within(middle, degrees) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(low)


def _within(angle: float, degrees: int) -> float:
    """P(abs(t) < √degrees tan(angle)): Abramowitz and Stegun 1964, 26.7.3 and 26.7.4."""
    odd = degrees % 2
    cosine = math.cos(angle)
    total, term = 0.0, math.sin(angle) * (cosine if odd else 1)
    for k in range(1, degrees // 2 + 1):
        total += term
        term *= cosine**2 * (2 * k - 1 + odd) / (2 * k + odd)
    return 2 / math.pi * (angle + total) if odd else total
