"""What is seen of a download."""

import io

import pytest
from rich.console import Console

from repro import transfer
from repro.transfer import Transfer


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(transfer.time, "monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), force_terminal=False)
    with Transfer(console) as shown:
        for megabytes in (0, 1, 40, 41, 170):
            shown.progress(megabytes * 10**6, 170 * 10**6)
            now[0] += 8  # so that every second report is due
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "40 of 170 MB are here\n170 of 170 MB are here\n"


def test_on_a_terminal_there_is_a_bar_that_goes_away() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with Transfer(console) as shown:
        shown.progress(85 * 10**6, 170 * 10**6)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "85.0/170.0 MB" in text
    assert "are here" not in text
    assert text.endswith("\x1b[2K")  # the line is erased
