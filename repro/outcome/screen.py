"""What a person sees while a figure runs: a bar of the whole command, or a line now and then."""

import math
import time
from collections.abc import Mapping
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
    from repro.plan import Step

_LINE_SECONDS = 15.0  # between progress lines where there is no terminal to redraw


class Screen:
    """Shows the steps of a plan as they happen: under the bar of the whole command, or as lines."""

    def __init__(self, console: Console, forecast: Forecast) -> None:
        self._console = console
        self._forecast = forecast
        self._activity = ""
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

    def step(self, step: "Step", status: str) -> None:
        """A step is "stored", "running", "continued" or "ran"."""
        now = time.monotonic()
        if status in ("running", "continued"):
            self._started[step.key] = now
            self._forecast.begin(step.key, now, status == "continued")
            self._activity = step.stage
            threads = wording.counted(step.threads, "thread")
            again = ", continuing where it stopped" if status == "continued" else ""
            self.say(f"{step.stage}: running on {step.device}, {threads}{again}")
            return
        self._forecast.finish(step.key, now)
        self._activity = ""
        took = self._started.pop(step.key, None)
        seconds = "" if took is None else f" in {_duration(now - took)}"
        self.say(f"{step.stage}: {status}{seconds} ({step.key[:12]})")

    def progress(self, step: "Step", message: Mapping[str, Any]) -> None:
        """Move the bar, or say where all is now and then."""
        now = time.monotonic()
        self._forecast.advance(message["done"], message["total"], now)
        self._activity = f"{step.stage}: {message['activity']}"
        if not self._console.is_terminal and now - self._spoke > _LINE_SECONDS:
            done = f"{message['done']} of {message['total']}"
            self.say(f"{self._activity}, {done}; {self._overall(now)}")

    def _bar(self) -> Padding:
        now = time.monotonic()
        row = Table.grid(
            Column(), Column(), Column(ratio=1, no_wrap=True), padding=(0, 1), expand=True
        )
        row.add_row(
            ProgressBar(total=1, completed=self._forecast.share(now), width=20),
            self._overall(now),
            Text(self._activity, overflow="ellipsis"),
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
