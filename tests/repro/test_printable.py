"""What is not printable is shown as an escape, in errors and wherever a console prints."""

import io

import pytest

from repro.errors import ManifestError, UsageError
from repro.outcome.console import Terminal, say, show_table
from repro.printable import printable

OBEYED = {
    "\x1b[31m": "\\x1b[31m",
    "\x1b]0;title\x07": "\\x1b]0;title\\x07",
    "a\nb": "a\\nb",
    "a\rb\tc": "a\\rb\\tc",
    "\u202egnp.exe": "\\u202egnp.exe",
    "\u2028": "\\u2028",
    "\x9b2J": "\\x9b2J",
    "\udcff": "\\udcff",
}
STAYS = ["", "σ ≤ 1e-9 · Σ é ж 中 [bold] \\x1b '"]


@pytest.mark.parametrize("text", OBEYED)
def test_what_a_terminal_obeys_is_escaped(text: str) -> None:
    assert printable(f"σ{text}") == f"σ{OBEYED[text]}"
    assert (
        str(UsageError(f"{text}: is wrong", "so is this"))
        == f"{OBEYED[text]}: is wrong\nso is this"
    )
    assert ManifestError([text, "b"]).faults == (OBEYED[text], "b")


@pytest.mark.parametrize("text", STAYS)
def test_other_text_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("text", [one for one in OBEYED if "\n" not in one])
def test_a_console_prints_it_escaped_whatever_is_printed(text: str) -> None:
    console = Terminal(file=io.StringIO(), width=80, color_system="truecolor", force_terminal=True)
    say(console, f"{text} [bold]")
    show_table(console, ("claim", "verdict"), [(text, "supported")])
    console.print(text, markup=False)
    printed = console.file.getvalue()
    assert text not in printed
    assert "[bold]" in printed
    assert "\x1b[32msupported" in printed  # our own colours stay
    assert OBEYED[text] in printed
