"""What is recorded, as files for a documentation: data, their schema, tables, a badge.

A page of prose holds tables between two comments, which say what stands between them:

    <!-- verdicts: counts -->
    <!-- verdicts: desk li2022/fig3a/weights-skew li2022/fig4a/symmetric-gradients -->
    …
    <!-- end of verdicts -->
"""

import re
from collections.abc import Iterator
from pathlib import Path

from repro import bounded, files, output
from repro.errors import UsageError
from repro.outcome.catalogue import Catalogue, schema
from repro.outcome.pooling import largest_judged
from repro.outcome.tables import counts, highlights, verdict_tables
from repro.outcome.verdicts import tally

_BLOCK = re.compile(
    r"(?P<begin><!-- verdicts: (?P<what>[^>]*?) -->\n).*?(?P<end><!-- end of verdicts -->)",
    re.DOTALL,
)
_GREEN, _GREY = "#2e7d32", "#555"


def write_verdicts(catalogue: Catalogue, folder: Path) -> list[Path]:
    """Write ``verdicts.json``, its schema, a table a paper and profile, and the badge.

    Raises:
        StoreError: If a file cannot be written.
    """
    contents = {
        "verdicts.json": catalogue.as_json(),
        "verdicts.schema.json": schema(),
        "badge.svg": badge(catalogue),
        **dict(_tables(catalogue)),
    }
    with files.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        output.write_text(folder / name, content)
    return [folder / name for name in contents]


def _tables(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    for paper in catalogue.papers:
        for profile in paper.profiles:
            title = f"# {paper.id} at {profile}: verdicts over all recorded seeds\n\n"
            yield f"{paper.id}.{profile}.md", title + verdict_tables(paper, profile)


def renew(page: Path, catalogue: Catalogue) -> None:
    """Write the tables of a page anew.

    Raises:
        StoreError: If it cannot be written.
        UsageError: If it cannot be read, has no tables, or one of them names what is not recorded.
    """
    try:
        text = bounded.read_bytes(page).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{page}: cannot be read: {error}") from error
    output.write_text(page, renewed(text, catalogue, page))


def renewed(text: str, catalogue: Catalogue, page: Path) -> str:
    """The text of a page with its tables as they are now; ``page`` is where errors say they are.

    Raises:
        UsageError: If there are no tables, or one of them names what is not recorded.
    """

    def block(match: re.Match[str]) -> str:
        line = text.count("\n", 0, match.start()) + 1
        return match["begin"] + _block(catalogue, match["what"], f"{page}:{line}") + match["end"]

    new, found = _BLOCK.subn(block, text)
    if not found:
        raise UsageError(f"{page}: no line <!-- verdicts: … --> before an <!-- end of verdicts -->")
    return new


def _block(catalogue: Catalogue, what: str, place: str) -> str:
    if what == "counts":
        return counts(catalogue)
    profile, *claims = what.split()
    try:
        return highlights(catalogue, profile, claims)
    except KeyError as error:
        raise UsageError(f"{place}: nothing is recorded of {error} at {profile}") from error


def badge(catalogue: Catalogue) -> str:
    """A small picture that says how many claims are supported, each at the largest profile judged.

    Algebra is not counted.
    """
    figures = [figure for paper in catalogue.papers for figure in paper.figures]
    largest = (largest_judged(fig.profiles, lambda one: len(one.seeds)) for fig in figures)
    claims = (claim for verdicts in largest if verdicts for claim in verdicts.claims)
    found = tally(claim for claim in claims if not claim.is_algebra)
    left, right = "claims supported", f"{found['supported']} of {sum(found.values())}"
    widths = [6.5 * len(text) + 10 for text in (left, right)]
    total, right_edge = sum(widths), f"{widths[1] - 3:g}"
    texts = "".join(
        f'<text x="{x:g}" y="14">{text}</text>'
        for x, text in ((widths[0] / 2, left), (widths[0] + widths[1] / 2, right))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total:g}" height="20" role="img" '
        f'aria-label="{left}: {right}"><title>{left}: {right}</title>'
        f'<rect width="{total:g}" height="20" rx="3" fill="{_GREY}"/>'
        f'<path d="M{widths[0]:g} 0h{right_edge}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{right_edge}z" '
        f'fill="{_GREEN}"/><g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" '
        f'text-anchor="middle">{texts}</g></svg>\n'
    )
