"""Docutils nodes that the other extensions build their pages of."""

from collections.abc import Iterable, Sequence

from docutils import nodes

Cell = str | nodes.Node | Sequence[nodes.Node]


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]], *classes: str) -> nodes.table:
    """A table; a row of one cell spans all columns."""
    made = nodes.table(classes=[*classes])
    group = nodes.tgroup(cols=len(header))
    group += [nodes.colspec(colwidth=1) for _ in header]
    head = nodes.thead()
    head += _row(header, len(header))
    body = nodes.tbody()
    body += [_row(row, len(header)) for row in rows]
    group += [head, body]
    made += group
    return made


def _row(cells: Sequence[Cell], columns: int) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        entry = nodes.entry()
        if len(cells) == 1 and columns > 1:
            entry["morecols"] = columns - 1
        entry += paragraph(cell)
        row += entry
    return row


def paragraph(content: Cell, *classes: str) -> nodes.paragraph:
    """Text, or inline nodes, as a paragraph."""
    made = nodes.paragraph(classes=[*classes])
    if isinstance(content, str):
        made += nodes.Text(content)
    elif isinstance(content, nodes.Node):
        made += content
    else:
        made += [*content]
    return made


def code(text: str) -> nodes.literal:
    """A name as it is typed."""
    return nodes.literal(text, text)


def link(text: str, uri: str) -> nodes.reference:
    """A link to an address relative to the page."""
    return nodes.reference(text, text, refuri=uri, internal=True)


def details(summary: str, content: Sequence[nodes.Node]) -> list[nodes.Node]:
    """What is shown once it is asked for."""
    opening = f"<details><summary>{summary}</summary>"
    return [
        nodes.raw("", opening, format="html"),
        *content,
        nodes.raw("", "</details>", format="html"),
    ]
