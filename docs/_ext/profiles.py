"""The directive ``{profiles}``: how much of a figure each profile runs, as the manifests declare it."""

from typing import Any

from docutils import nodes
from markup import code, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from repro.manifests.library import Library
from repro.manifests.profiles import PROFILES_FILE
from repro.outcome import wording
from repro.settings import Settings


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.add_directive("profiles", _Profiles)
    return {"parallel_read_safe": True}


class _Profiles(SphinxDirective):
    """A row a profile, the smallest first."""

    def run(self) -> list[nodes.Node]:
        library = Library(Settings.from_environment().manifests)
        self.env.note_dependency(str(library.root / PROFILES_FILE))
        manifests = [library.load(figure_id) for figure_id in library.computed()]
        rows = [
            (
                code(one.name),
                one.purpose,
                wording.about(one.budget_minutes * 60).removeprefix("about "),
                str(sum(one.name in manifest.profiles for manifest in manifests)),
            )
            for one in library.profiles.profiles
        ]
        return [table(("profile", "for", "all of a paper in at most", "figures"), rows)]
