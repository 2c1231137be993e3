"""Intervals of what is measured twice."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

_TWO_SIDED, _ONE_SIDED = 1.959964, 1.644854  # 97.5 % and 95 % quantiles of a normal law


class Growth(NamedTuple):
    """A difference of two independent measurements, and how far chance carries it.

    Attributes:
        value: The second less the first.
        low: Lower end of its 95 % interval.
        value_noise: What 95 % of such values stay above if nothing grows.
        low_noise: What 95 % of such lower ends stay above if nothing grows.
    """

    value: float
    low: float
    value_noise: float
    low_noise: float


def growth(start: float, end: float, starts: ArrayLike, ends: ArrayLike) -> Growth:
    """The growth between two measurements, with a normal interval from their bootstrap samples.

    Centred at the growth itself, not at the samples': a statistic that is never negative is larger in
    a bootstrap sample, which is twice as noisy.

    Args:
        start: The first measurement.
        end: The second.
        starts: The first in bootstrap samples, (samples,), at least two.
        ends: The second likewise.
    """
    error = float(np.hypot(*(np.std(np.asarray(one), ddof=1) for one in (starts, ends))))
    value = end - start
    return Growth(
        value,
        value - _TWO_SIDED * error,
        -_ONE_SIDED * error,
        -(_TWO_SIDED + _ONE_SIDED) * error,
    )
