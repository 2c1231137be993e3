"""Where the numbers of a claim stand on one axis, in percent of its width."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from repro.outcome import wording
from repro.outcome.pooling import PooledVerdict, Spread
from repro.outcome.verdicts import ClaimVerdict

_MARGIN = 4.0  # percent, to both sides
_ZERO = 2.0  # of a logarithmic axis, left of a gap
_GAP = 12.0
_DECADES = 2.5  # more than these between numbers are not seen on a linear axis
_TICKS = 4


@dataclass(frozen=True)
class Strip:
    """An axis with what is claimed, each seed's numbers, the interval of their mean, and this run's.

    Two numbers are a start and a width. ``ticks`` are places with what to write there.
    """

    claimed: tuple[float, float]
    bound: float
    values: tuple[float, ...]
    interval: tuple[float, float] | None
    mean: float | None
    controls: tuple[float, ...]
    noises: tuple[float, ...]
    run: float | None
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Axis:
    """From ``low`` to ``high``; the logarithmic one has a place for zero where one is needed."""

    low: float
    high: float
    logarithmic: bool
    with_zero: bool = False

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Axis":
        """One on which these numbers are told apart."""
        low, high = min(numbers), max(numbers)
        positive = [one for one in numbers if one > 0]
        if low >= 0 and positive and math.log10(high / min(positive)) > _DECADES:
            return cls(min(positive), high, logarithmic=True, with_zero=low == 0)
        margin = 0.0 if high > low else abs(high) or 1.0
        return cls(low - margin, high + margin, logarithmic=False)

    def place(self, number: float) -> float:
        """Percent of the width."""
        start = _GAP if self.with_zero else _MARGIN
        if self.logarithmic and number <= 0:
            return _ZERO
        low, high, number = (
            (math.log10(one) for one in (self.low, self.high, number))
            if self.logarithmic
            else (self.low, self.high, number)
        )
        share = (number - low) / (high - low)
        return round(start + min(max(share, 0.0), 1.0) * (100 - _MARGIN - start), 1)

    def claimed(self, claim: PooledVerdict | ClaimVerdict) -> tuple[float, float]:
        """Where what is claimed starts, and how wide it is."""
        bound = self.place(claim.bound)
        return (0.0, bound) if claim.relation == "at_most" else (bound, round(100 - bound, 1))

    def interval(self, pooled: PooledVerdict) -> tuple[float, float] | None:
        """Where the interval of a mean over seeds starts, and how wide it is; none without one."""
        if pooled.low is None or pooled.high is None:
            return None
        low, high = self.place(pooled.low), self.place(pooled.high)
        return low, round(high - low, 1)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Places of a few round numbers, with what to write there."""
        return tuple((self.place(number), f"{number:.6g}") for number in self._round_numbers())

    def _round_numbers(self) -> list[float]:
        """At most a few round numbers; powers of ten on a logarithmic axis."""
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            spacing = max(1, math.ceil((last - first + 1) / _TICKS))
            return [0.0] * self.with_zero + [10.0**n for n in range(first, last + 1, spacing)]
        rough = (self.high - self.low) / _TICKS
        decade = 10.0 ** math.floor(math.log10(rough))
        step = next(one * decade for one in (1, 2, 5, 10) if one * decade >= rough)
        numbers = range(math.ceil(self.low / step), math.floor(self.high / step) + 1)
        return [n * step for n in numbers]


def strip_of(
    pooled: PooledVerdict | None, spread: Spread | None, run: ClaimVerdict | None
) -> Strip | None:
    """The axis of a claim, or none if nothing was measured.

    Args:
        pooled: The verdict over recorded seeds, where there are any.
        spread: What these seeds gave.
        run: What the run on this machine gave; where there are no seeds its chance and control show.
    """
    values = spread.values if spread else ()
    own = run.value if run else None
    if not values and own is None:
        return None
    claim = pooled or run
    assert claim is not None
    controls = spread.controls if spread else _known(claim.control)
    noises = spread.noises if spread else _known(claim.noise)
    axis = Axis.of([*values, *controls, *noises, *_known(own), wording.edge(claim)])
    return Strip(
        claimed=axis.claimed(claim),
        bound=axis.place(claim.bound),
        values=tuple(map(axis.place, values)),
        interval=axis.interval(pooled) if pooled else None,
        mean=axis.place(pooled.mean) if pooled and pooled.mean is not None else None,
        controls=tuple(map(axis.place, controls)),
        noises=tuple(map(axis.place, noises)),
        run=None if own is None else axis.place(own),
        ticks=axis.ticks(),
    )


def _known(number: float | None) -> tuple[float, ...]:
    return () if number is None else (number,)
