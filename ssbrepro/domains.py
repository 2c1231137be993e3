"""Where the numbers that stages measure can lie."""

import math
from typing import NamedTuple


class Domain(NamedTuple):
    """Where a measured number can lie at all, both ends included, and in which unit."""

    low: float = -math.inf
    high: float = math.inf
    unit: str = ""  # none: a pure number

    def __str__(self) -> str:
        return f"[{self.low:g}, {self.high:g}] {self.unit}".rstrip()

    def holds(self, value: float) -> bool:
        """Whether a value lies in it, up to the rounding of a sum of shares."""
        return self.low - 1e-9 <= value <= self.high + 1e-9


REAL = Domain()
NON_NEGATIVE = Domain(low=0)
COUNT = Domain(low=0)  # a median of counts need not be whole
EPOCHS = Domain(low=0, unit="epochs")
NON_POSITIVE = Domain(high=0)
AT_LEAST_ONE = Domain(low=1)  # the larger over the smaller
SHARE = Domain(0, 1)
BIT = Domain(0, 1, "bits")  # what can be known of a label of two values
BITS = Domain(low=0, unit="bits")
SIGNED_SHARE = Domain(-1, 1)  # a correlation, a difference of two shares
ASYMMETRY = Domain(0, 2)  # the distance to the mirror image over the mean magnitude
