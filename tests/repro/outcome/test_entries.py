"""Entries of ``--json`` where no command comes by."""

from repro.library import Library
from repro.outcome.entries import ListEntry, list_entry
from tests.fakes import MANIFESTS, record_of


def test_a_figure_that_became_not_computable_shows_nothing_of_its_runs() -> None:
    manifest = Library(MANIFESTS).load("li2022/fig1")
    title = "Environment and Umwelt of a honey bee"
    entry = ListEntry("li2022/fig1", title, "not-computable", "not-computable")
    assert list_entry(manifest, record_of()) == list_entry(manifest, None) == entry
