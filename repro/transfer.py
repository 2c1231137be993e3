"""What a person sees while many bytes pass: a bar on a terminal, and a line now and then elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from repro.outcome.console import say

_LINE_SECONDS = 15.0  # between lines where there is no terminal to redraw


class Transfer:
    """Shows how much has passed; ``done`` says of the bytes what has become of them."""

    def __init__(self, console: Console, done: str = "are here") -> None:
        self._console = console
        self._done = done
        self._bar = Progress(
            BarColumn(bar_width=30),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)
        self._spoke = time.monotonic()

    def __enter__(self) -> "Transfer":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def progress(self, here: int, total: int) -> None:
        """Move the bar, or say where it is."""
        self._bar.update(self._task, completed=here, total=total)
        if not self._console.is_terminal and time.monotonic() - self._spoke > _LINE_SECONDS:
            self._spoke = time.monotonic()
            say(self._console, f"{here / 1e6:.0f} of {total / 1e6:.0f} MB {self._done}")
