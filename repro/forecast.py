"""How far a command is and how long it still takes: recorded seconds, corrected by what is observed."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

_ALMOST = 0.99  # as far as anything gets that is not done
_KNEE = 0.9  # from here on a step that takes longer than expected slows down instead of arriving
# As if so many seconds had gone as expected: what the first moments say of the pace is mostly noise.
_PRIOR_SECONDS = 5.0


@dataclass
class _Running:
    """A step that runs, as far as its own counter tells."""

    key: str
    began: float
    continued: bool
    start: float = 0.0  # of its counter, where an earlier process had got to
    counted: float | None = None  # share done of what it counts now
    passes: int = 0  # how often its counter began anew


class Forecast:
    """How far the steps of one command are, and how long the rest takes.

    Pure arithmetic: whoever tells it what happens says when, in seconds of any clock. Each step
    weighs as many seconds as it is expected to take, one that nothing is known of as much as the
    others do on average. How much slower or faster than expected things go is learned on the way.

    Many a step counts anew for each of its networks, so its counter alone says little: it is
    believed where it is behind the clock and has never begun anew. Otherwise the clock is.

    Args:
        expected: Seconds of each step there is to compute, by key; None where nothing is known.
        inputs: Keys of the steps that each needs; others than those to compute count for nothing.
        at_once: How many steps can run side by side.
    """

    def __init__(
        self,
        expected: Mapping[str, float | None],
        inputs: Mapping[str, Collection[str]] | None = None,
        at_once: int = 1,
    ) -> None:
        self._expected = {
            key: None if seconds is None else max(seconds, 1e-3)
            for key, seconds in expected.items()
        }
        known = [seconds for seconds in self._expected.values() if seconds is not None]
        usual = math.fsum(known) / len(known) if known else 1.0
        self._weights = {key: seconds or usual for key, seconds in self._expected.items()}
        self._taken: dict[str, float | None] = {}  # seconds of what is done, if it was computed
        self._running: dict[str, _Running] = {}
        self._inputs = inputs or {}
        self._at_once = at_once
        self._reached = 0.0

    def begin(self, key: str, now: float, continued: bool = False) -> None:
        """A step begins, or continues where an earlier process stopped."""
        self._running[key] = _Running(key, now, continued)

    def advance(self, key: str, done: int, total: int, now: float) -> None:
        """A running step counts."""
        running = self._running.get(key)
        if running is None or total <= 0:
            return
        counted = min(max(done / total, 0.0), 1.0)
        if running.counted is None:
            if counted == 0:
                running.began = (
                    now  # what came before, such as importing libraries, is not recorded
                )
            elif running.continued:
                running.start = counted
        elif counted < running.counted:
            running.passes += 1
        running.counted = counted
        self.share(now)

    def finish(self, key: str, now: float) -> None:
        """A step is done, whether it was computed here or elsewhere; once is enough."""
        running = self._running.pop(key, None)
        ours = running is not None and not running.continued
        self._taken.setdefault(key, now - running.began if running and ours else None)

    def drop(self, key: str) -> None:
        """A running step ends without a result."""
        self._running.pop(key, None)

    def share(self, now: float) -> float:
        """How much of all is done, from 0 to 1; never less than before, 1 only when all is."""
        if self._taken.keys() >= self._weights.keys():
            return 1.0
        done = math.fsum(w for key, w in self._weights.items() if key in self._taken)
        for key, running in self._running.items():
            if key in self._weights:
                done += self._weights[key] * self._share_of(running, now)
        share = min(done / math.fsum(self._weights.values()), _ALMOST)
        self._reached = max(self._reached, share)
        return self._reached

    def remaining(self, now: float) -> float | None:
        """Seconds until all is done; None where that is not known.

        No less than the longest chain of steps takes, and no less than all take on all there is.
        """
        left: dict[str, float] = {}
        pace = self._pace(now)
        for key, expected in self._expected.items():
            if key in self._taken:
                continue
            if expected is None:
                return None
            part = 1.0
            if running := self._running.get(key):
                clock = self._clock(running, now)
                if clock is not None and clock >= 1 and not self._lags(running, now):
                    return None  # it takes longer than expected, by nobody knows how much
                part -= self._share_of(running, now)
            left[key] = expected * pace * part
        return max(math.fsum(left.values()) / self._at_once, self._longest_chain(left))

    def _longest_chain(self, left: Mapping[str, float]) -> float:
        """The most seconds that steps which need each other have left; inputs come first."""
        ends: dict[str, float] = {}
        for key, seconds in left.items():
            ends[key] = seconds + max(
                (ends.get(needed, 0.0) for needed in self._inputs.get(key, ())), default=0.0
            )
        return max(ends.values(), default=0.0)

    def _share_of(self, running: _Running, now: float) -> float:
        clock = self._clock(running, now)
        if clock is None:
            # Each pass of its counter gets nine tenths of what is left.
            left = (1 - _KNEE) ** running.passes * (1 - _KNEE * (running.counted or 0.0))
            return 1 - left
        if running.counted is not None and self._lags(running, now):
            return running.counted
        beyond = (clock - _KNEE) / (1 - _KNEE)
        return clock if beyond <= 0 else 1 - (1 - _KNEE) * math.exp(-beyond)

    def _lags(self, running: _Running, now: float) -> bool:
        """Whether the step is slower than expected, as far as its counter can be believed."""
        clock = self._clock(running, now)
        counted = running.counted
        return running.passes == 0 and counted is not None and clock is not None and counted < clock

    def _clock(self, running: _Running, now: float) -> float | None:
        """Share of its expected time that a step has taken, at the pace of those before it."""
        expected = self._expected.get(running.key)
        if expected is None:
            return None
        return running.start + (now - running.began) / (expected * self._pace())

    def _pace(self, now: float | None = None) -> float:
        """Seconds taken for each expected one: of what is done, and until ``now`` where it lags."""
        taken = expected = _PRIOR_SECONDS
        for key, seconds in self._taken.items():
            usual = self._expected.get(key)
            if usual is not None and seconds is not None:
                taken, expected = taken + seconds, expected + usual
        if now is None:
            return taken / expected
        for key, running in self._running.items():
            usual = self._expected.get(key)
            if usual is not None and running.counted is not None and self._lags(running, now):
                taken += now - running.began
                expected += usual * (running.counted - running.start)
        return taken / expected
