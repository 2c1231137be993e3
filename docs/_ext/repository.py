"""What the site shows of the repository's own files: READMEs that pages include, and manifests.

A link to a file outside of ``docs/`` leads to the page that shows this file where there is one, and is
plain text where there is none. The role ``{manifest}`` links to a manifest's page.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

CHECKOUT = Path(__file__).resolve().parents[2]
MANIFESTS = "_manifests"

# The page that shows a file. Papers' READMEs are part of the page of their paper.
_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "docs/cluster.md": "cluster.md",
    "repro/README.md": "harness.md",
    "ssbrepro/README.md": "science.md",
    "manifests/README.md": "manifests.md",
} | {
    path.relative_to(CHECKOUT).as_posix(): f"{path.parent.name}.md"
    for path in CHECKOUT.glob("ssbrepro/papers/*/README.md")
}
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:)([^)#\s]+)(#[^)\s]*)?\)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.add_role("manifest", _Manifest())
    app.connect("include-read", _of_included)
    app.connect("source-read", _of_page)
    app.connect("html-collect-pages", _manifest_pages)
    return {"parallel_read_safe": True}


class _Manifest(SphinxRole):
    """``{manifest}`li2022/fig8a``` is a link to the page of this file."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        return [manifest_link(self.env.docname, self.text)], []


def manifest_link(page: str, name: str) -> nodes.reference:
    """A link from a page to that of a manifest, such as ``li2022/fig8a``."""
    text = f"manifests/{name}.yaml"
    uri = posixpath.relpath(f"{MANIFESTS}/{name}.html", posixpath.dirname(page) or ".")
    return nodes.reference(text, text, refuri=uri, internal=True)


def _of_included(app: Sphinx, path: Path, parent: str, content: list[str]) -> None:
    file = posixpath.normpath(posixpath.join("docs", path.as_posix()))
    content[0] = links_to_pages(content[0], posixpath.dirname(file))


def _of_page(app: Sphinx, page: str, content: list[str]) -> None:
    content[0] = links_to_pages(content[0], posixpath.dirname(f"docs/{page}"))


def links_to_pages(text: str, folder: str) -> str:
    """Markdown whose links to files of the repository lead to pages of the site.

    Args:
        text: Markdown of a file in ``folder``.
        folder: Relative to the checkout.
    """

    def page(match: re.Match[str]) -> str:
        words, target, anchor = match.groups()
        file = posixpath.normpath(posixpath.join(folder, target))
        shown = _PAGES.get(file)
        if shown is None:
            return match[0] if file.startswith("docs/") else words
        return f"[{words}]({shown if anchor is None else shown + anchor})"

    return _LINK.sub(page, text)


def _manifest_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A page for each YAML file of a paper, which figures link to."""
    highlighter = app.builder.highlighter  # type: ignore[attr-defined]
    for path in sorted((CHECKOUT / "manifests").glob("*/*.yaml")):
        name = path.relative_to(CHECKOUT / "manifests").with_suffix("").as_posix()
        shown = highlighter.highlight_block(path.read_text("utf-8"), "yaml")
        title = f"manifests/{name}.yaml"
        paper = posixpath.dirname(name)
        back = f'<p>Part of <a href="../../{paper}.html">{paper}</a>.</p>'
        body = f"<h1>{title}</h1>{back}{shown}"
        yield f"{MANIFESTS}/{name}", {"title": title, "body": body}, "page.html"
