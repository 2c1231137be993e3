"""The tables of verdicts in the documentation are those of what is recorded."""

import pytest

from repro.manifests.library import Library
from repro.outcome.tables import verdict_table
from tests.fakes import CHECKOUT, MANIFESTS

FOLDER = CHECKOUT / "docs" / "verdicts"


@pytest.mark.parametrize("profile", ["smoke", "desk"])
@pytest.mark.parametrize("paper", sorted(Library(MANIFESTS).papers()))
def test_the_tables_are_those_of_the_recorded_runs(paper: str, profile: str) -> None:
    written = (FOLDER / f"{paper}.{profile}.md").read_text("utf-8")
    assert written == verdict_table(Library(MANIFESTS), paper, profile), "make verdicts"
