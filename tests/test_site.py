"""The site's sources, held to the project; `make docs` builds them, warnings being errors."""

import re
from pathlib import Path

import pytest

from repro.manifests.library import Library
from tests.fakes import CHECKOUT, MANIFESTS

DOCS = CHECKOUT / "docs"
PAGES = {
    path.relative_to(DOCS).with_suffix("").as_posix()
    for path in DOCS.rglob("*.md")
    if path.relative_to(DOCS).parts[0] not in ("_build", "verdicts")
}
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```", re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"^\((\S+)\)=\n##[^\n]*\n\n```\{figure-claims\} (\S+)\n```", re.MULTILINE)


def reached(page: str) -> set[str]:
    """A page and all that its lists of pages lead to."""
    text = (DOCS / f"{page}.md").read_text("utf-8")
    lines = [line for block in TOCTREE.findall(text) for line in block.splitlines()]
    below = [(Path(page).parent / line).as_posix() for line in lines if line and line[0] != ":"]
    return {page}.union(*map(reached, below))


def test_every_page_is_reached_from_the_first() -> None:
    assert len(PAGES) > 10
    assert reached("index") == PAGES


@pytest.mark.parametrize("paper", sorted(Library(MANIFESTS).papers()))
def test_every_figure_of_a_paper_has_a_section_that_is_found_by_its_name(paper: str) -> None:
    sections = FIGURE.findall((DOCS / f"{paper}.md").read_text("utf-8"))
    assert sorted(figure for _, figure in sections) == sorted(
        figure for figure in Library(MANIFESTS).ids() if figure.startswith(f"{paper}/")
    )
    assert all(label == figure.replace("/", "-") for label, figure in sections)


@pytest.mark.parametrize(
    "file",
    ["CONTRIBUTING.md", "manifests/README.md", "repro/README.md", "ssbrepro/README.md"]
    + [f"ssbrepro/papers/{paper}/README.md" for paper in Library(MANIFESTS).papers()],
)
def test_what_the_repository_says_elsewhere_is_included_and_not_copied(file: str) -> None:
    texts = [(DOCS / f"{page}.md").read_text("utf-8") for page in PAGES]
    assert sum(f"{{include}} ../{file}\n" in text for text in texts) == 1
    lines = {line for line in (CHECKOUT / file).read_text("utf-8").splitlines() if len(line) > 80}
    assert not any(lines & {*text.splitlines()} for text in texts)
