"""How far a command is and how long it still takes: shares that never fall, times that come true."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.forecast import Forecast

SECONDS = st.floats(0.01, 1e4)
PACE = st.floats(0.1, 10)


@st.composite
def commands(draw: st.DrawFn) -> list[tuple[float | None, float, list[tuple[int, int]]]]:
    """Steps: expected seconds, real seconds, and what their counters say at equal intervals."""
    counts = st.tuples(st.integers(-1, 9), st.integers(-1, 9))
    step = st.tuples(st.none() | SECONDS, SECONDS, st.lists(counts, max_size=12))
    return draw(st.lists(step, min_size=1, max_size=6))


@given(commands(), st.booleans())
def test_the_share_never_falls_and_is_whole_only_at_the_end(
    steps: list[tuple[float | None, float, list[tuple[int, int]]]], continued: bool
) -> None:
    forecast = Forecast({str(key): step[0] for key, step in enumerate(steps)})
    now, shares = 0.0, [forecast.share(0.0)]
    for key, (_, real, counts) in enumerate(steps):
        forecast.begin(str(key), now, continued)
        for done, total in counts:
            now += real / (len(counts) + 1)
            forecast.advance(str(key), done, total, now)
            shares.append(forecast.share(now))
            left = forecast.remaining(now)
            assert left is None or (left >= 0 and math.isfinite(left))
        now += real / (len(counts) + 1)
        shares.append(forecast.share(now))
        forecast.finish(str(key), now)
        if key < len(steps) - 1:
            shares.append(forecast.share(now))
    assert shares == sorted(shares)
    assert shares[0] >= 0
    assert shares[-1] < 1
    assert forecast.share(now) == 1.0
    assert forecast.remaining(now) == 0.0


@given(st.lists(SECONDS, min_size=2, max_size=20), PACE)
def test_the_time_left_comes_true_as_steps_finish(expected: list[float], pace: float) -> None:
    forecast = Forecast({str(key): seconds for key, seconds in enumerate(expected)})
    now = 0.0
    for key, seconds in enumerate(expected):
        forecast.begin(str(key), now)
        now += pace * seconds
        forecast.finish(str(key), now)
        rest, seen = math.fsum(expected[key + 1 :]), math.fsum(expected[: key + 1])
        # Five seconds count as if they had gone as expected: that is all it is off by.
        error = abs(1 - pace) * 5 / (seen + 5) * rest
        assert forecast.remaining(now) == pytest.approx(pace * rest, abs=error * 1.000001 + 1e-9)


def test_a_counter_behind_the_clock_is_believed() -> None:
    forecast = Forecast({"a": 100.0, "b": 100.0})
    forecast.begin("a", 0.0)
    forecast.advance("a", 0, 10, 0.0)
    forecast.advance("a", 1, 10, 50.0)  # five times slower than expected
    assert forecast.share(50.0) == pytest.approx(0.05)
    assert forecast.remaining(50.0) == pytest.approx(190 * 55 / 15)


def test_a_counter_that_begins_anew_gives_way_to_the_clock() -> None:
    forecast = Forecast({"a": 40.0, "b": 60.0})
    forecast.begin("a", 0.0)
    for now in range(1, 36):  # four networks of ten seconds
        forecast.advance("a", now % 10, 10, float(now))
        assert forecast.share(now) == pytest.approx(0.4 * now / 40)
        assert forecast.remaining(now) == pytest.approx(100 - now)


def test_longer_than_expected_nobody_knows_how_long() -> None:
    forecast = Forecast({"a": 10.0})
    forecast.begin("a", 0.0)
    assert forecast.remaining(9.0) == pytest.approx(1.0)
    assert forecast.remaining(11.0) is None
    assert 0.9 < forecast.share(11.0) < forecast.share(1000.0) < 1


def test_what_comes_before_a_counter_is_not_held_against_the_step() -> None:
    forecast = Forecast({"a": 10.0})
    forecast.begin("a", 0.0)
    forecast.advance("a", 0, 10, 8.0)  # libraries were imported
    assert forecast.remaining(8.0) == pytest.approx(10.0)
    forecast.advance("a", 5, 10, 13.0)
    assert forecast.remaining(13.0) == pytest.approx(5.0)


def test_a_continued_step_starts_where_it_stopped_and_says_nothing_of_the_pace() -> None:
    forecast = Forecast({"a": 100.0, "b": 100.0})
    forecast.begin("a", 0.0, continued=True)
    forecast.advance("a", 80, 100, 0.0)
    assert forecast.share(0.0) == pytest.approx(0.4)
    assert forecast.remaining(0.0) == pytest.approx(120.0)
    forecast.finish("a", 20.0)
    assert forecast.remaining(20.0) == pytest.approx(100.0)


def test_an_unknown_step_has_a_share_but_no_time() -> None:
    forecast = Forecast({"a": 10.0, "b": None})
    forecast.finish("a", 0.0)
    assert forecast.share(0.0) == pytest.approx(0.5)
    assert forecast.remaining(0.0) is None
    forecast.begin("b", 0.0)
    shares = []
    for now, done in enumerate((0, 1, 2, 0, 1, 2)):  # two networks
        forecast.advance("b", done, 2, float(now))
        shares.append(forecast.share(float(now)))
    assert shares == sorted(shares)
    assert shares[5] > shares[2]
    assert forecast.remaining(6.0) is None


def test_what_was_not_foreseen_changes_nothing() -> None:
    """A stored result that turns out to be damaged is computed after all."""
    forecast = Forecast({"a": 10.0})
    forecast.begin("damaged", 0.0)
    forecast.advance("damaged", 1, 2, 5.0)
    assert forecast.share(5.0) == 0.0
    forecast.finish("damaged", 9.0)
    assert forecast.remaining(9.0) == pytest.approx(10.0)


def test_a_step_that_another_figure_finds_stored_counts_once() -> None:
    forecast = Forecast({"a": 10.0, "b": 10.0})
    forecast.begin("a", 0.0)
    forecast.finish("a", 20.0)
    left = forecast.remaining(20.0)
    forecast.finish("a", 20.0)
    assert forecast.share(20.0) == pytest.approx(0.5)
    assert forecast.remaining(20.0) == left == pytest.approx(10 * 25 / 15)


def test_nothing_to_do_is_done() -> None:
    assert Forecast({}).share(0.0) == 1.0
    assert Forecast({}).remaining(0.0) == 0.0
