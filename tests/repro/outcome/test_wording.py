"""How numbers, names and times are written."""

from dataclasses import replace

import pytest

from repro.outcome import wording
from repro.outcome.pooling import ClaimStatistics
from repro.outcome.wording import about, dependence, without_end, without_middle
from tests.fakes import CLAIM, POOLED


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


def test_a_verdict_is_written_with_its_cause_and_its_reason_without() -> None:
    powerless = replace(
        CLAIM, verdict="inconclusive", cause="without power", reason="without power: alike"
    )
    assert wording.verdict(powerless) == "inconclusive: without power"
    assert wording.reason(powerless) == "alike"
    assert wording.outcome(powerless) == "inconclusive: without power: 0.5"
    assert wording.outcome(replace(powerless, value=None)) == "inconclusive: without power"
    assert wording.verdict(CLAIM) == "supported"


def test_where_there_is_no_control_the_reason_stands_in_its_place() -> None:
    assert wording.control(replace(CLAIM, control=0.25)) == "0.25"
    assert wording.control(replace(CLAIM, no_control="it is algebra")) == "it is algebra"
    assert wording.control(CLAIM) == ""


def test_what_would_be_supported_is_said_as_far_as_it_is_known() -> None:
    true, false = "if true: 4 of 6 seeds", "if false: 2 of 5 seeds"
    assert wording.statistics(POOLED) == f"would be supported {false}; {true}"
    for numbers, said in (
        ((2, 5, 0, 0), f"would be supported {false}"),
        ((0, 0, 4, 6), f"would be supported {true}"),
        ((0, 0, 0, 0), ""),
    ):
        one = replace(POOLED, statistics=ClaimStatistics(*numbers))
        assert wording.statistics(one) == said
