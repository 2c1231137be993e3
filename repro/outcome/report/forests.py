"""A claim across profiles: what its seeds gave at each size, below each other on one axis."""

from collections.abc import Mapping
from dataclasses import dataclass

from repro.outcome import wording
from repro.outcome.pooling import PooledVerdict
from repro.outcome.report.strips import Axis

_TOP, _ROW, _BOTTOM = 18, 24, 20  # pixels


@dataclass(frozen=True)
class Row:
    """A profile: its verdict, where the mean, its interval and the control are, and all of it in words.

    ``middle`` is in pixels from the top, all else in percent of the width.
    """

    profile: str
    verdict: str
    words: str
    middle: int
    mean: float | None
    interval: tuple[float, float] | None
    control: float | None


@dataclass(frozen=True)
class Forest:
    """Rows from the smallest profile to the largest, with what is claimed behind them."""

    claimed: tuple[float, float]
    bound: float
    says: str
    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, str], ...]

    @property
    def top(self) -> int:
        """Where the rows begin, in pixels."""
        return _TOP

    @property
    def bottom(self) -> int:
        """Where they end."""
        return _TOP + _ROW * len(self.rows)

    @property
    def height(self) -> int:
        """Of all."""
        return self.bottom + _BOTTOM


def forest_of(claims: Mapping[str, PooledVerdict]) -> Forest | None:
    """A claim at profiles where it is recorded, the smallest first; none if nothing was measured."""
    measured = {name: claim for name, claim in claims.items() if claim.mean is not None}
    if not measured:
        return None
    any_claim = next(iter(measured.values()))
    numbers = [one for c in measured.values() for one in (c.mean, c.control) if one is not None]
    axis = Axis.of([*numbers, wording.edge(any_claim)])
    if not axis.logarithmic:  # whose ends a zero or less would leave without a place
        ends = [one for c in measured.values() for one in (c.low, c.high) if one is not None]
        axis = Axis.of([axis.low, axis.high, *ends])
    return Forest(
        claimed=axis.claimed(any_claim),
        bound=axis.place(any_claim.bound),
        says=wording.bound(any_claim),
        rows=tuple(
            Row(
                profile,
                claim.verdict,
                _words(claim),
                _TOP + _ROW * index + _ROW // 2,
                None if claim.mean is None else axis.place(claim.mean),
                axis.interval(claim),
                None if claim.control is None else axis.place(claim.control),
            )
            for index, (profile, claim) in enumerate(claims.items())
        ),
        ticks=axis.ticks(),
    )


def _words(claim: PooledVerdict) -> str:
    mean = wording.mean(claim.mean, (claim.low, claim.high)) or "not measured"
    control = "" if claim.control is None else f"; control {wording.number(claim.control)}"
    seeds = wording.counted(claim.measured, "seed")
    return f"{mean}, {seeds}{control}: {wording.verdict(claim)}"
