"""Where commands speak: a terminal of a size that there is."""

import os

import pytest

from repro.commands import settle_for_what_there_is
from tests.repro.conftest import Cli


@pytest.mark.parametrize(
    ("text", "kept"),
    [("80", True), ("9999", True), ("0", False), ("000", False), ("²", False), ("9" * 12, False)],
)
def test_a_size_that_no_terminal_has_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, text: str, kept: bool
) -> None:
    monkeypatch.setenv("COLUMNS", text)
    settle_for_what_there_is()
    assert ("COLUMNS" in os.environ) == kept


@pytest.mark.parametrize("words", [("compare", "x" * 5000, "fig8b"), ("verdicts", "/dev/null")])
def test_what_no_file_or_folder_can_be_is_one_line(repro: Cli, words: tuple[str, ...]) -> None:
    outcome = repro.call(*words)
    assert (outcome.status, outcome.out) == (3, "")
    assert len(outcome.err.splitlines()) == 1
