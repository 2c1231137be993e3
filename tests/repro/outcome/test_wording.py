"""How numbers, names and times are written."""

from dataclasses import replace

import pytest

from repro.outcome import wording
from repro.outcome.pooling import ClaimStatistics
from repro.outcome.verdicts import Relation
from repro.outcome.wording import about, dependence, is_in_paper, without_ends, without_middles
from tests.fakes import CLAIM, POOLED


def test_several_claims_that_change_are_all_named() -> None:
    assert dependence("a=1", ["b", "c"]) == "the answer depends on a=1: claims b, c"


@pytest.mark.parametrize(
    ("relation", "bound", "said"),
    [
        ("at_most", 0.25, "≤ 0.25"),
        ("at_least", 0.9, "≥ 0.9"),
        ("at_least", 1e-12, "> 0"),
        ("at_most", -1e-12, "< 0"),
        ("at_most", 1e-12, "≤ 1e-12"),
    ],
)
def test_a_bound_that_stands_for_zero_is_written_so(
    relation: Relation, bound: float, said: str
) -> None:
    assert wording.bound(replace(CLAIM, relation=relation, bound=bound)) == said


def test_what_the_paper_says_ends_where_we_make_it_precise() -> None:
    assert wording.said("the loss falls, made precise as: its mean") == "the loss falls"
    assert wording.said("the loss falls: at every epoch") == "the loss falls"
    assert wording.said("the loss falls") == "the loss falls"


def test_names_lose_their_middle_and_prose_its_end() -> None:
    assert without_middles(["spectrum.standard_deviation_max"], 20) == ["spect…_deviation_max"]
    assert without_ends(["Training loss and accuracy"], 14) == ["Training loss…"]
    for shorten in (without_ends, without_middles):
        assert shorten(["as it is"], 8) == ["as it is"]
        assert len(shorten(["x" * 50], 20)[0]) == 20


@pytest.mark.parametrize(
    ("names", "length"),
    [
        (["stage.first_size", "stage.other_size"], 9),
        (["stage.some_share", "stage.dome_share"], 14),
        (["stage.one_long_share", "stage.two_long_share"], 12),
    ],
)
def test_names_that_differ_stay_apart(names: list[str], length: int) -> None:
    short = without_middles(names, length)
    assert len({*short}) == len(names)
    assert all(len(one) <= length for one in short)


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


def test_a_caption_is_the_papers_where_the_figure_is() -> None:
    assert [name for name in ("fig2", "fig8a", "capacity", "theorem1") if is_in_paper(name)] == [
        "fig2",
        "fig8a",
    ]
