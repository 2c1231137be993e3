"""What a person sees: progress while a figure runs, and tables of verdicts afterwards."""

import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from repro import wording

if TYPE_CHECKING:
    from repro.library import NotComputableManifest
    from repro.plan import Step

_LINE_SECONDS = 15.0  # between progress lines where there is no terminal to redraw

# Green is for what supports a paper, magenta for what does not, red for an artifact that changed.
_COLOURS = {
    "supported": "green",
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
    """Shows the steps of runs as they happen: bars on a terminal, lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._spoke = time.monotonic()
        self._started: dict[str, float] = {}

    def __enter__(self) -> "Screen":
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def step(self, step: "Step", status: str) -> None:
        """A step is "stored", "running", "continued" or "ran"."""
        if status in ("running", "continued"):
            self._tasks[step.key] = self._bars.add_task(step.stage, total=None)
            self._started[step.key] = time.monotonic()
            again = ", continuing where it stopped" if status == "continued" else ""
            self.say(f"{step.stage}: running on {step.device}, {step.threads} threads{again}")
            return
        if step.key in self._tasks:
            self._bars.remove_task(self._tasks.pop(step.key))
        took = self._started.pop(step.key, None)
        seconds = "" if took is None else f" in {_duration(time.monotonic() - took)}"
        self.say(f"{step.stage}: {status}{seconds} ({step.key[:12]})")

    def progress(self, step: "Step", message: Mapping[str, Any]) -> None:
        """Move the step's bar, or say where it is now and then."""
        done, total, activity = message["done"], message["total"], message["activity"]
        self._bars.update(self._tasks[step.key], completed=done, total=total, description=activity)
        if not self._console.is_terminal and time.monotonic() - self._spoke > _LINE_SECONDS:
            self.say(f"{step.stage}: {activity}, {done} of {total}")

    def say(self, text: str) -> None:
        """Print a line above the bars."""
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
        (c["id"], wording.number(c["value"]), wording.bound(c), _with_reason(c))
        for c in entry["claims"]
    ]
    show_table(console, ("claim", "measured", "claimed", "verdict"), rows)
    _show_identities(console, entry["identities"])
    show_table(
        console,
        ("reference", "measured", "expected of a new run", "verdict"),
        [
            (r["metric"], wording.number(r["value"]), wording.interval(r), r["verdict"])
            for r in entry["references"]
        ],
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
    console: Console, header: Sequence[str], rows: Iterable[Sequence[str | Text]]
) -> None:
    """A plain table; nothing if there are no rows. The last column is coloured by verdict."""
    table = Table(*map(escape, header), box=None, padding=(0, 2, 0, 2), header_style="dim")
    for *cells, last in rows:
        texts = [Text(cell) if isinstance(cell, str) else cell for cell in cells]
        table.add_row(*texts, _coloured(last) if isinstance(last, str) else last)
    if table.row_count:
        console.print(table)


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


def _coloured(text: str) -> Text:
    return Text(text, style=_COLOURS.get(text.partition(":")[0], ""))


def _with_reason(claim: Mapping[str, Any]) -> str:
    changed = claim["recorded"] and claim["verdict"] not in claim["recorded"]
    notes = [claim["reason"]] if claim["reason"] else []
    if changed:
        notes.append(f"recorded: {' or '.join(claim['recorded'])}")
    return ": ".join([claim["verdict"], "; ".join(notes)] if notes else [claim["verdict"]])


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
