"""How long a command may take: it stops by itself, where a stop loses least."""

import math
import time
from collections.abc import Callable, Iterable

from repro.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600}


class Budget:
    """Tells which steps to stop so that a command ends in time.

    A step is stopped right after it has saved its state, if it will not save again in time: as long
    after as it took to save this one. At the end of the budget all are stopped. From the first on that
    is stopped, none is started.

    Args:
        seconds: From now on; None for as long as it takes.
        clock: Seconds of any clock.
    """

    def __init__(
        self, seconds: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._deadline = None if seconds is None else clock() + seconds
        self._since: dict[str, float] = {}  # when it last saved, or started
        self._to_stop: set[str] = set()
        self._stopped = False

    @property
    def spent(self) -> bool:
        """Whether no step may be started any more."""
        return self._stopped or self._over()

    def left(self) -> float:
        """Seconds until the end."""
        return math.inf if self._deadline is None else max(0.0, self._deadline - self._clock())

    def started(self, key: str) -> None:
        """A step starts."""
        self._since[key] = self._clock()

    def saved(self, key: str) -> None:
        """A step has saved its state."""
        now = self._clock()
        took = now - self._since[key]
        self._since[key] = now
        if self._deadline is not None and now + took > self._deadline:
            self._to_stop.add(key)

    def to_stop(self, running: Iterable[str]) -> list[str]:
        """Those of the running steps that are to be stopped now."""
        stop = [key for key in running if key in self._to_stop or self._over()]
        self._stopped = self._stopped or bool(stop)
        return stop

    def _over(self) -> bool:
        return self._deadline is not None and self._clock() >= self._deadline


def from_text(text: str) -> Budget:
    """The budget of "90s", "9m", "1h30m" or "2h", from now on.

    Raises:
        UsageError: If the text is not that, or no time at all.
    """
    total, number = 0, ""
    for sign in text:
        if sign.isdecimal() and sign.isascii():
            number += sign
        elif sign in _UNITS and number and len(number) <= 6:
            total += int(number) * _UNITS[sign]
            number = ""
        else:
            number = ""
            break
    else:
        if not number and total > 0:
            return Budget(total)
    raise UsageError(f"--budget {text!r}: write 90s, 9m or 1h30m")
