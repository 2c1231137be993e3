"""What a person sees while a figure runs: a bar of the whole command, or a line now and then."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from repro.forecast import Forecast
from repro.outcome import wording
from repro.outcome.console import INDENT, say

if TYPE_CHECKING:
    from repro.plan import Plan, Step

_LINE_SECONDS = 15.0  # between progress lines where there is no terminal to redraw


class Screen:
    """Shows steps as they happen: under the bar of the whole command, or as lines.

    Args:
        console: Where to show them.
        forecast: Told of all that happens.
        plans: All that is run: with several seeds, steps are told apart by them.
    """

    def __init__(self, console: Console, forecast: Forecast, plans: "Iterable[Plan]" = ()) -> None:
        self._console = console
        self._forecast = forecast
        self._several_seeds = len({plan.seed for plan in plans}) > 1
        self._activities: dict[str, str] = {}
        self._spoke = time.monotonic()
        self._started: dict[str, float] = {}
        self._live = Live(
            console=console, get_renderable=self._bar, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> "Screen":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Leave the terminal to others for a moment."""
        self._live.stop()
        try:
            yield
        finally:
            self.__enter__()

    def step(self, step: "Step", status: str) -> None:
        """A step is "stored", "running", "continued", "ran", "failed" or "stopped"."""
        now = time.monotonic()
        name = self._name(step)
        if status in ("running", "continued"):
            self._started[step.key] = now
            self._forecast.begin(step.key, now, status == "continued")
            self._activities[step.key] = name
            threads = wording.counted(step.facts.threads, "thread")
            again = ", continuing where it stopped" if status == "continued" else ""
            self.say(f"{name}: running on {step.facts.device}, {threads}{again}")
            return
        if status in ("ran", "stored"):
            self._forecast.finish(step.key, now)
        else:
            self._forecast.drop(step.key)
        self._activities.pop(step.key, None)
        took = self._started.pop(step.key, None)
        seconds = "" if took is None else f" in {_duration(now - took)}"
        self.say(f"{name}: {status}{seconds} ({step.key[:12]})")

    def progress(self, step: "Step", message: Mapping[str, Any]) -> None:
        """Move the bar, or say where all is now and then."""
        now = time.monotonic()
        self._forecast.advance(step.key, message["done"], message["total"], now)
        activity = f"{self._name(step)}: {message['activity']}"
        self._activities[step.key] = activity
        if not self._console.is_terminal and now - self._spoke > _LINE_SECONDS:
            done = f"{message['done']} of {message['total']}"
            self.say(f"{activity}, {done}; {self._overall(now)}")

    def _name(self, step: "Step") -> str:
        return f"{step.stage}, seed {step.seed}" if self._several_seeds else step.stage

    def _bar(self) -> Padding:
        now = time.monotonic()
        row = Table.grid(
            Column(), Column(), Column(ratio=1, no_wrap=True), padding=(0, 1), expand=True
        )
        row.add_row(
            ProgressBar(total=1, completed=self._forecast.share(now), width=20),
            self._overall(now),
            Text(" · ".join(self._activities.values()), overflow="ellipsis"),
        )
        return Padding(row, (0, 0, 0, INDENT))

    def _overall(self, now: float) -> str:
        """How far the whole command is, and how long the rest takes as far as that is known."""
        share, seconds = self._forecast.share(now), self._forecast.remaining(now)
        left = f", {wording.about(seconds)} left" if seconds else ""
        return f"{math.floor(100 * share)} % of all{left}"

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._spoke = time.monotonic()
        say(self._console, f"  {text}")


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
