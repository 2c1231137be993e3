"""What MLflow's pages of a paper, of a figure's run and of a step say first, in Markdown."""

import html
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from repro.outcome import wording
from repro.outcome.record import DeclaredPaper, Record
from repro.outcome.tracking import views
from repro.outcome.tracking.rows import figure
from repro.outcome.verdicts import tally

_MAX = 8000  # characters of a tag
_SPECIAL = re.compile(r"([\\`*_\[\]#!|~])")


def of_paper(declared: DeclaredPaper, experiment: str) -> str:
    """What the project is about to say of a paper, and where."""
    return "\n\n".join(
        (
            # Lists of experiments show the start of this as it is.
            f"{_plain(declared.title)} ({_cited(declared.identifier)})",
            _plain(declared.summary),
            "Every run of a figure says of each of the paper's claims whether it is *supported*, *not "
            "supported* or *inconclusive*; its *status* is another question: whether the artifact does "
            "as recorded. One seed's verdict is one seed's.",
            f"[**Verdicts, figure by figure**]({views.address(experiment, views.VERDICTS)})",
        )
    )


def of_figure(record: Record, experiment: str, run_id: str) -> str:
    """A run: its verdicts, the claims with what they were judged by, and the picture."""
    declared = record.declared()
    name = figure(record)
    picture = next((one for one in record.files if one.endswith(".svg")), None)  # as wide as a page
    claims = [
        (
            claim.id,
            wording.verdict(claim),
            wording.number(claim.value),
            wording.bound(claim),
            wording.known(claim.noise),
            wording.control(claim),
            claim.statement,
        )
        for claim in record.claims
    ]
    header = ("claim", "verdict", "measured", "bound", "chance", "control", "the paper says")
    parts = [
        f"**{_plain(record.title)}** ({name} of {_cited(declared.paper.identifier)})",
        f"{_plain(_asked(record))}: **{wording.claims(tally(record.claims))}**. "
        f"The artifact: {record.status}.",
        "\n".join(f"* {_plain(failure)}" for failure in record.failures),
        _table(header, claims),
        ""
        if picture is None
        else f"![{name}](get-artifact?path={quote(picture)}&run_uuid={quote(run_id)})",
        f"[All runs of {name}, claim by claim]({views.address(experiment, name)}) · "
        f"`{record.command}`",
    ]
    return "\n\n".join(part for part in parts if part)


def of_step(record: Record, stage: str) -> str:
    """A step: its parameters, and where each of them comes from."""
    parameters = [
        (name, str(origin.value), origin.provenance, origin.reason)
        for name, origin in record.declared().stages.get(stage, {}).items()
    ]
    return _table(("parameter", "value", "origin", "where the paper says so, or why"), parameters)


def _asked(record: Record) -> str:
    changed = "" if record.alternative is None else f", with {record.alternative}"
    return f"Profile {record.profile}, seed {record.seed}{changed}"


def _cited(identifier: str) -> str:
    """A paper's identifier, with a link where it is arXiv's."""
    kind, _, number = identifier.partition(":")
    if kind != "arXiv":
        return _plain(identifier)
    return f"[{_plain(identifier)}](https://arxiv.org/abs/{quote(number)})"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """As many rows as a tag has room for."""
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    length = sum(map(len, lines))
    for row in rows:
        line = f"| {' | '.join(map(_plain, row))} |"
        length += len(line) + 1
        if length > _MAX - 1500:
            lines.append(f"| … {'| ' * len(header)}")
            break
        lines.append(line)
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Words that are no Markdown and no HTML, in one line."""
    return _SPECIAL.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))
