"""How a number depends on the size of a network and of its dataset, and what it is at another size.

Over networks of P weights trained on n examples, y = a + b log P + c log n by least squares. For
y = log S that is the power law S ~ P^b n^c. Intervals are Student's: what the law misses is in the
residuals, and so in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit  # the t quantile of scipy.stats, which takes long to import

from ssbrepro.contract import Array

FIXED, RATIO = (0.0, 1.0, 0.0), (0.0, 1.0, 1.0)  # what grows: P alone, or n in proportion to it
_LEVEL = 0.95


class Estimate(NamedTuple):
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Law:
    """A fitted law.

    Attributes:
        coefficients: a, b and c, (3,).
        covariance: Theirs in units of ``variance``, (3, 3).
        variance: Of the residuals, unbiased.
        degrees: Of freedom: networks less three.
    """

    coefficients: Array
    covariance: Array
    variance: float
    degrees: int

    def slope(self, direction: Sequence[float]) -> Estimate:
        """By log P, along ``FIXED`` or ``RATIO``."""
        return self._estimate(np.array(direction), 0)

    def mean(self, num_weights: float, num_examples: float) -> Estimate:
        """Of networks of a size, as far as the fit knows it."""
        return self._estimate(_row(num_weights, num_examples), 0)

    def predicted(self, num_weights: float, num_examples: float) -> Estimate:
        """Where one more network of a size lies with 95 % probability."""
        return self._estimate(_row(num_weights, num_examples), 1)

    def null_slopes(self, generator: np.random.Generator, num_draws: int) -> Array:
        """What chance makes of both slopes if they are zero, (draws, 2)."""
        spread = self.variance * self.degrees / generator.chisquare(self.degrees, (num_draws, 1))
        drawn = generator.multivariate_normal(np.zeros(3), self.covariance, num_draws)
        return np.asarray(np.sqrt(spread) * drawn @ np.array([FIXED, RATIO]).T)

    def _estimate(self, row: Array, of_one: float) -> Estimate:
        value = float(row @ self.coefficients)
        spread = float(np.sqrt(self.variance * (of_one + row @ self.covariance @ row)))
        half = float(stdtrit(self.degrees, (1 + _LEVEL) / 2)) * spread
        return Estimate(value, value - half, value + half)


def fit(num_weights: Array, num_examples: Array, values: Array) -> Law | None:
    """The law of some networks.

    Args:
        num_weights: P of each, (networks,).
        num_examples: n of each, likewise.
        values: y of each, likewise.

    Returns:
        The law; none where these networks do not tell P from n, or leave no residual.
    """
    design = np.stack([np.ones(len(values)), np.log(num_weights), np.log(num_examples)], axis=1)
    if len(values) <= 3 or np.linalg.matrix_rank(design) < 3:
        return None
    coefficients = np.linalg.lstsq(design, values)[0]
    degrees = len(values) - 3
    variance = float(np.sum((values - design @ coefficients) ** 2) / degrees)
    return Law(coefficients, np.linalg.inv(design.T @ design), variance, degrees)


def num_examples_at_ratio(num_weights: int, at_size: tuple[int, int]) -> int:
    """So many examples that there are as many weights an example as at a known size.

        >>> num_examples_at_ratio(9506, at_size=(9664704, 50000))
        49

    Args:
        num_weights: P.
        at_size: P and n of that size.
    """
    known_weights, known_examples = at_size
    return round(known_examples * num_weights / known_weights)


def _row(num_weights: float, num_examples: float) -> Array:
    return np.array([1.0, np.log(num_weights), np.log(num_examples)])
