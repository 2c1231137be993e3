"""What a person sees once a figure has been run: verdicts, in tables of eighty columns."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from repro.outcome import wording
from repro.outcome.entries import PooledEntry
from repro.outcome.record import Record
from repro.outcome.verdicts import (
    IdentityVerdict,
    Judged,
    Severity,
    changed_claims,
    severity,
    tally,
)
from repro.printable import printable

if TYPE_CHECKING:
    from repro.manifests.models import NotComputable

INDENT = 2
_NARROWEST = 8  # of a column that is shortened

_COLOURS = {
    Severity.SUPPORTS: "green",
    Severity.AGAINST: "magenta",
    Severity.OPEN: "yellow",
    Severity.PLAIN: "",
    Severity.FAULT: "red",
}


class Terminal(Console):
    """A console that prints as escapes what a terminal would obey, wherever the text comes from."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Segments of text that is all printable, but for the ends of lines.

        Yields:
            Each of them.
        """
        for text, style, control in super().render(renderable, options):
            shown = text if control else "\n".join(map(printable, text.split("\n")))
            yield Segment(shown, style, control)


def say(console: Console, text: str) -> None:
    """Print a line as it is: text is no markup, and paths stay whole."""
    console.print(printable(text), highlight=False, markup=False, soft_wrap=True)


def show_run(console: Console, record: Record) -> None:
    """A figure's verdicts as tables, every failure with what it means."""
    name = Text.assemble((record.id, "bold"), f" at {record.profile}: ")
    console.print(name + _counts(record.claims) + Text("; ") + _coloured(record.status))
    rows = [
        (c.id, wording.number(c.value), wording.bound(c), wording.verdict(c)) for c in record.claims
    ]
    show_table(
        console,
        ("claim", "measured", "claimed", "verdict"),
        rows,
        shorten={"claim": wording.without_middles},
    )
    for claim in record.claims:
        if claim.reason:
            say(console, f"  {claim.id}: {claim.reason}")
    _show_identities(console, record.identities)
    show_table(
        console,
        ("reference", "measured", "expected of a new run", "verdict"),
        [
            (r.metric, wording.number(r.value), wording.interval(r), r.verdict)
            for r in record.references
        ],
        shorten={"reference": wording.without_middles},
    )
    show_table(
        console,
        ("prediction", "measured", "predicted", "verdict"),
        [
            (p.metric, wording.number(p.value), wording.between((p.low, p.high)), p.verdict)
            for p in record.predictions
        ],
        shorten={"prediction": wording.without_middles},
    )
    for failure in record.failures:
        console.print(f"  check failed: {failure}", style="red", highlight=False, markup=False)


def show_alternative(console: Console, declared: Record, alternative: Record) -> None:
    """The verdicts of a figure as declared beside those with an alternative."""
    name = str(alternative.alternative)
    pairs = zip(declared.claims, alternative.claims, strict=True)
    rows = [
        (one.id, _coloured(wording.outcome(one)), wording.outcome(other)) for one, other in pairs
    ]
    show_table(console, ("claim", "as declared", f"with {name}"), rows)
    _show_identities(console, alternative.identities)
    changed = changed_claims(declared.claims, alternative.claims)
    say(console, f"  {wording.dependence(name, changed)}")


def show_pooled(console: Console, entry: PooledEntry) -> None:
    """A figure's verdicts over several seeds."""
    name = Text.assemble((entry.id, "bold"), f" at {entry.profile} over ")
    seeds = wording.counted(len(entry.seeds), "seed")
    console.print(name + Text(f"{seeds}: ") + _counts(entry.claims))
    show_table(
        console,
        ("claim", "mean", "95 % of means", "claimed", "verdict"),
        [
            (
                c.id,
                wording.known(c.mean),
                wording.between((c.low, c.high)),
                wording.bound(c),
                wording.verdict(c),
            )
            for c in entry.claims
        ],
        shorten={"claim": wording.without_middles},
    )
    for claim in entry.claims:
        if claim.reason:
            say(console, f"  {claim.id}: {claim.reason}")


def show_not_computable(console: Console, figure_id: str, figure: "NotComputable") -> None:
    """That nothing computes a figure, and why."""
    console.print(Text.assemble((figure_id, "bold"), f": {figure.title}: not computable"))
    say(console, f"  {figure.why}")


def show_table(
    console: Console,
    header: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    shorten: Mapping[str, Callable[[list[str], int], list[str]]] | None = None,
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
    excess = INDENT + sum(widths) + 2 * len(widths) - console.width
    for index, name in enumerate(header):
        table.add_column(escape(name), no_wrap=index == 0)
        if shorten and name in shorten and excess > 0:
            room = max(widths[index] - excess, _NARROWEST)
            texts = shorten[name]([row[index].plain for row in cells], room)
            for row, text in zip(cells, texts, strict=True):
                row[index] = Text(text)
    for row in cells:
        table.add_row(*row)
    console.print(Padding(table, (0, 0, 0, INDENT)))


def _show_identities(console: Console, identities: Sequence[IdentityVerdict]) -> None:
    bad = [identity for identity in identities if identity.verdict != "holds"]
    if identities and not bad:
        worst = max(identity.value for identity in identities if identity.value is not None)
        names = ", ".join(identity.id for identity in identities)
        console.print(f"  exact identities hold to {worst:.1e}: {names}", highlight=False)
    show_table(
        console,
        ("identity", "residual", "bound", "verdict"),
        [(i.id, wording.number(i.value), f"≤ {i.bound:g}", i.verdict) for i in bad],
    )


def _counts(claims: Iterable[Judged]) -> Text:
    """How many claims came to which verdict."""
    counts = [
        Text(f"{count} {verdict}", style=_COLOURS[severity(verdict)])
        for verdict, count in tally(claims).items()
        if count
    ]
    return Text(", ").join(counts)


def _text(cell: str | Text, made: Callable[[str], Text] = Text) -> Text:
    return made(cell) if isinstance(cell, str) else cell


def _coloured(text: str) -> Text:
    return Text(text, style=_COLOURS[severity(text)])
