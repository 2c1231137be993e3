"""How long a command may take, as users write it, and what that stops."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro import budget
from repro.budget import Budget
from repro.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("9m", 540), ("2h", 7200), ("1h30m", 5400), ("1m1s", 61), ("0h5s", 5)],
)
def test_times_as_users_write_them(text: str, seconds: float) -> None:
    assert seconds - 1 < budget.from_text(text).left() <= seconds


@pytest.mark.parametrize(
    "text",
    ["", "9", "m", "9x", "9m5", "0s", "0h0m", "-1m", "1.5h", " 9m", "9 m", "²s", "9999999s", "9M"],
)
def test_what_is_no_time_is_one_line(text: str) -> None:
    with pytest.raises(UsageError) as wrong:
        budget.from_text(text)
    assert str(wrong.value) == f"--budget {text!r}: write 90s, 9m or 1h30m"


def test_without_one_nothing_is_ever_stopped() -> None:
    endless = Budget()
    endless.started("a")
    endless.saved("a")
    assert endless.left() == math.inf
    assert endless.to_stop(["a"]) == []
    assert not endless.spent


@given(
    st.floats(1, 1000),
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 100)), min_size=1, max_size=30),
)
def test_no_step_outlives_it_and_what_stops_early_would_not_have_saved_again(
    seconds: float, events: list[tuple[str, float]]
) -> None:
    now = 0.0
    limited = Budget(seconds, lambda: now)
    running = {"a": 0.0, "b": 0.0, "c": 0.0}  # when each last saved
    for key in running:
        limited.started(key)
    for key, waits in events:
        now += waits
        if key in running:
            took = now - running[key]
            running[key] = now
            limited.saved(key)
        for stopped in limited.to_stop(list(running)):
            assert limited.spent  # and nothing is started any more
            assert now >= seconds or (stopped == key and now + took > seconds)
            del running[stopped]
        assert now < seconds or not running
