"""What a person sees: progress while a figure runs, and tables of verdicts afterwards."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from repro import wording
from repro.forecast import Forecast

if TYPE_CHECKING:
    from repro.library import NotComputableManifest
    from repro.plan import Step

_LINE_SECONDS = 15.0  # between progress lines where there is no terminal to redraw

_INDENT = 2
_NARROWEST = 8  # of a column that is shortened

# Green is for what supports a paper, magenta for what does not, red for an artifact that changed.
_COLOURS = {
    "supported": "green",
    "ok": "green",
    "not supported": "magenta",
    "inconclusive": "yellow",
    "no tolerance": "yellow",
    "not recorded": "yellow",
    "changed": "red",
    "failed": "red",
    "violated": "red",
    "outside": "red",
    "missing": "red",
}


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
            threads = wording.counted(step.facts.threads, "thread")
            again = ", continuing where it stopped" if status == "continued" else ""
            self.say(f"{step.stage}: running on {step.facts.device}, {threads}{again}")
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
        return Padding(row, (0, 0, 0, _INDENT))

    def _overall(self, now: float) -> str:
        """How far the whole command is, and how long the rest takes as far as that is known."""
        share, seconds = self._forecast.share(now), self._forecast.remaining(now)
        left = f", {wording.about(seconds)} left" if seconds else ""
        return f"{math.floor(100 * share)} % of all{left}"

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._spoke = time.monotonic()
        say(self._console, f"  {text}")


def say(console: Console, text: str) -> None:
    """Print a line as it is: text is no markup, and paths stay whole."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def show_run(console: Console, entry: Mapping[str, Any]) -> None:
    """A figure's verdicts as tables, every failure with what it means."""
    counts = [
        Text(f"{count} {verdict}", style=_COLOURS[verdict])
        for verdict, count in entry["verdicts"].items()
        if count
    ]
    name = Text.assemble((f"{entry['id']}", "bold"), f" at {entry['profile']}: ")
    console.print(name + Text(", ").join(counts) + Text("; ") + _coloured(entry["status"]))
    rows = [
        (c["id"], wording.number(c["value"]), wording.bound(c), c["verdict"])
        for c in entry["claims"]
    ]
    show_table(console, ("claim", "measured", "claimed", "verdict"), rows)
    for claim in entry["claims"]:
        if claim["reason"]:
            say(console, f"  {claim['id']}: {claim['reason']}")
    _show_identities(console, entry["identities"])
    show_table(
        console,
        ("reference", "measured", "expected of a new run", "verdict"),
        [
            (r["metric"], wording.number(r["value"]), wording.interval(r), r["verdict"])
            for r in entry["references"]
        ],
        shorten={"reference": wording.without_middle},
    )
    for failure in entry["failures"]:
        console.print(f"  check failed: {failure}", style="red", highlight=False, markup=False)


def show_alternative(
    console: Console, declared: Mapping[str, Any], alternative: Mapping[str, Any]
) -> None:
    """The verdicts of a figure as declared beside those with an alternative."""
    name = alternative["alternative"]
    pairs = zip(declared["claims"], alternative["claims"], strict=True)
    rows = [(one["id"], _coloured(_outcome(one)), _outcome(other)) for one, other in pairs]
    show_table(console, ("claim", "as declared", f"with {name}"), rows)
    _show_identities(console, alternative["identities"])
    say(console, f"  {wording.dependence(name, alternative['changed'])}")


def show_not_computable(console: Console, manifest: "NotComputableManifest") -> None:
    """That nothing computes a figure, and why."""
    figure = manifest.figure
    console.print(Text.assemble((manifest.id, "bold"), f": {figure.title}: not computable"))
    say(console, f"  {figure.why}")


def show_table(
    console: Console,
    header: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    shorten: Mapping[str, Callable[[str, int], str]] | None = None,
) -> None:
    """A plain table; nothing if there are no rows. The last column is coloured by verdict.

    Args:
        console: Where to show it.
        header: Names of the columns.
        rows: Their cells; those of the first column stay in one piece.
        shorten: How to shorten the texts of a column to a number of characters where the console is
            too narrow for them.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    cells = [[*map(_text, first), _text(last, _coloured)] for *first, last in rows]
    if not cells:
        return
    widths = [
        max(text.cell_len for text in (Text(name), *column))
        for name, column in zip(header, zip(*cells, strict=True), strict=True)
    ]
    excess = _INDENT + sum(widths) + 2 * len(widths) - console.width
    for index, name in enumerate(header):
        table.add_column(escape(name), no_wrap=index == 0)
        if shorten and name in shorten and excess > 0:
            room = max(widths[index] - excess, _NARROWEST)
            for row in cells:
                row[index] = Text(shorten[name](row[index].plain, room))
    for row in cells:
        table.add_row(*row)
    console.print(Padding(table, (0, 0, 0, _INDENT)))


def _show_identities(console: Console, identities: Sequence[Mapping[str, Any]]) -> None:
    bad = [identity for identity in identities if identity["verdict"] != "holds"]
    if identities and not bad:
        worst = max(identity["value"] for identity in identities)
        names = ", ".join(identity["id"] for identity in identities)
        console.print(f"  exact identities hold to {worst:.1e}: {names}", highlight=False)
    show_table(
        console,
        ("identity", "residual", "bound", "verdict"),
        [(i["id"], wording.number(i["value"]), f"≤ {i['bound']:g}", i["verdict"]) for i in bad],
    )


def _outcome(claim: Mapping[str, Any]) -> str:
    return f"{claim['verdict']}: {wording.number(claim['value'])}"


def _text(cell: str | Text, made: Callable[[str], Text] = Text) -> Text:
    return made(cell) if isinstance(cell, str) else cell


def _coloured(text: str) -> Text:
    verdict = text.partition(":")[0].partition(" (")[0]
    return Text(text, style=_COLOURS.get(verdict, ""))


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
