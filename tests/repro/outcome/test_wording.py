"""How numbers, names and times are written."""

import pytest

from repro.outcome.wording import about, dependence, without_end, without_middle


def test_several_claims_that_change_are_all_named() -> None:
    assert dependence("a=1", ["b", "c"]) == "the answer depends on a=1: claims b, c"


def test_names_lose_their_middle_and_prose_its_end() -> None:
    assert without_middle("spectrum.standard_deviation_max", 20) == "spect…_deviation_max"
    assert without_end("Training loss and accuracy", 14) == "Training loss…"
    for shorten in (without_end, without_middle):
        assert shorten("as it is", 8) == "as it is"
        assert len(shorten("x" * 50, 20)) == 20


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.001, "1 s"), (89.4, "89 s"), (90, "2 min"), (40 * 60, "40 min"), (2 * 3600, "2.0 h")],
)
def test_times_that_are_estimated(seconds: float, said: str) -> None:
    assert about(seconds) == f"about {said}"
