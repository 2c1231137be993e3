"""The verdicts in the documentation are those of what is recorded."""

from pathlib import Path

import pytest

from repro.manifests.library import Library
from repro.outcome.catalogue import Catalogue, catalogue
from repro.outcome.pages import renewed, write_verdicts
from tests.fakes import CHECKOUT, MANIFESTS

FOLDER = CHECKOUT / "docs" / "verdicts"


@pytest.fixture(scope="module")
def recorded() -> Catalogue:
    return catalogue(Library(MANIFESTS))


def test_the_files_are_those_of_the_recorded_runs(recorded: Catalogue, tmp_path: Path) -> None:
    written = {path.name: path.read_bytes() for path in write_verdicts(recorded, tmp_path)}
    committed = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    assert written == committed, "make verdicts"


def test_the_readme_has_the_verdicts_of_the_recorded_runs(recorded: Catalogue) -> None:
    page = CHECKOUT / "README.md"
    text = page.read_text("utf-8")
    assert renewed(text, recorded, page) == text, "make verdicts"
