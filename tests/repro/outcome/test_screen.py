"""What a person sees while a figure runs."""

import io

import pytest
from rich.console import Console

from repro.forecast import Forecast
from repro.outcome.screen import Screen
from repro.plan import Step
from tests.fakes import plan_of

LONG = "/a/path/" + "that/is/much/longer/than/eighty/columns/" * 4 + "file"


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Step:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return plan_of().steps[0]


def console(terminal: bool = False) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=80, color_system=None), text


def test_steps_are_lines_where_there_is_no_terminal(step: Step) -> None:
    shown, text = console()
    with Screen(shown, Forecast({})) as screen:
        screen.step(step, "continued")
        screen.progress(step, {"done": 1, "total": 2, "activity": "training"})
        screen.step(step, "ran")
        screen.step(step, "stored")
    first, ran, stored = text.getvalue().splitlines()
    assert first == "  training: running on cpu, 1 thread, continuing where it stopped"
    assert ran.startswith("  training: ran in ")
    assert stored == f"  training: stored ({step.key[:12]})"


def test_a_terminal_shows_a_bar_and_cleans_up(step: Step) -> None:
    shown, text = console(terminal=True)
    with Screen(shown, Forecast({})) as screen:
        screen.step(step, "running")
        screen.progress(step, {"done": 1, "total": 4, "activity": "training, loss 0.5"})
        screen.step(step, "ran")
    assert "training: running on cpu" in text.getvalue()
    assert "━" in text.getvalue()
    hide, show = "\x1b[?25l", "\x1b[?25h"  # the cursor
    assert text.getvalue().rindex(hide) < text.getvalue().rindex(show)


def test_a_screen_closes_after_a_failure(step: Step) -> None:
    shown, _ = console(terminal=True)
    with pytest.raises(RuntimeError), Screen(shown, Forecast({})) as screen:  # noqa: PT012
        screen.step(step, "running")
        raise RuntimeError
    with Screen(shown, Forecast({})):  # a second live display is refused while one is open
        pass


def test_lines_say_how_far_the_whole_command_is(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("repro.outcome.screen.time.monotonic", lambda: clock[0])
    shown, text = console()
    message = {"done": 1, "total": 2, "activity": "learning"}
    with Screen(shown, Forecast({step.key: 200.0, "another": 200.0})) as screen:
        screen.step(step, "running")
        for clock[0] in (10.0, 100.0, 110.0):
            screen.progress(step, message)
    assert text.getvalue().splitlines()[1:] == [
        "  training: learning, 1 of 2; 25 % of all, about 5 min left"
    ]


def test_what_is_said_is_not_markup_and_its_paths_stay_whole(step: Step) -> None:
    shown, text = console()
    with Screen(shown, Forecast({})) as screen:
        screen.say(f"[bold]{LONG}[/nothing]")
    assert text.getvalue() == f"  [bold]{LONG}[/nothing]\n"
