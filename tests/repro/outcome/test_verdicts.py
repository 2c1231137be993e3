"""The words of verdicts, how grave each is, and what all of a figure's come to."""

from dataclasses import replace
from typing import Any, get_args

import pytest

from repro.outcome import verdicts as words
from repro.outcome.verdicts import (
    ClaimVerdict,
    IdentityVerdict,
    ReferenceVerdict,
    Relation,
    Severity,
    Verdicts,
    changed_claims,
    meets,
    severity,
    tally,
)

ASYMMETRY, EULER = "spectrum.asymmetry_max", "spectrum.euler_residual_max"


def verdicts(
    claim: str = "supported",
    recorded: tuple[str, ...] = (),
    reference: str = "within",
    identity: str = "holds",
    cause: str = "",
    runs: int = 3,
) -> Verdicts:
    return Verdicts(
        (IdentityVerdict("i", EULER, 0.0, 1.0, identity),),
        (ClaimVerdict("c", "s", ASYMMETRY, 1.0, "at_most", 1.0, claim, "", recorded, cause),),
        (ReferenceVerdict(ASYMMETRY, 1.0, 0.0, 2.0, runs, reference),),
    )


NOT_MEASURED = {"claim": "inconclusive", "cause": "not measured"}
WITHOUT_POWER = {"claim": "inconclusive", "cause": "without power"}


@pytest.mark.parametrize(
    ("parts", "status", "failures"),
    [
        ({}, "not recorded", 0),
        ({"claim": "inconclusive"}, "not recorded", 0),
        ({"claim": "not supported"}, "not recorded", 1),
        # What the recorded runs found is what is expected again, be it against the paper.
        ({"recorded": ("supported",)}, "as recorded", 0),
        ({"claim": "not supported", "recorded": ("not supported",)}, "as recorded", 0),
        ({"claim": "inconclusive", "recorded": ("inconclusive",)}, "as recorded", 0),
        ({"claim": "inconclusive", "recorded": ("inconclusive", "supported")}, "as recorded", 0),
        # A changed verdict fails in either direction.
        ({"claim": "supported", "recorded": ("not supported",)}, "changed", 1),
        ({"claim": "not supported", "recorded": ("supported",)}, "changed", 1),
        ({"claim": "inconclusive", "recorded": ("supported",)}, "changed", 1),
        ({"recorded": ("supported",), "reference": "no tolerance"}, "not recorded", 0),
        ({"recorded": ("supported",), "reference": "outside"}, "changed", 1),
        ({"recorded": ("supported",), "reference": "missing"}, "changed", 1),
        ({"reference": "missing", "runs": 0}, "not recorded", 1),
        # Not to measure is a failure, whatever is recorded; to find no power is a finding.
        ({**NOT_MEASURED, "recorded": ("inconclusive",)}, "changed", 1),
        ({**NOT_MEASURED, "recorded": ("supported",)}, "changed", 1),
        (NOT_MEASURED, "not recorded", 1),
        ({**WITHOUT_POWER, "recorded": ("inconclusive",)}, "as recorded", 0),
        ({**WITHOUT_POWER, "recorded": ("supported",)}, "changed", 1),
        (WITHOUT_POWER, "not recorded", 0),
        # One change outweighs all that nothing is recorded of, a violated identity any change.
        ({"claim": "inconclusive", "reference": "outside"}, "changed", 1),
        ({"identity": "violated", "recorded": ("supported",), "reference": "outside"}, "failed", 2),
    ],
)
def test_status(parts: dict[str, Any], status: str, failures: int) -> None:
    judged = verdicts(**parts)
    assert (judged.status, len(judged.failures)) == (status, failures)


def test_nothing_is_recorded_of_what_has_neither_claims_nor_references() -> None:
    assert Verdicts((), (), ()).status == "not recorded"


def test_claims_are_counted_by_verdict() -> None:
    claims = [verdicts(claim).claims[0] for claim in ("inconclusive", "supported", "inconclusive")]
    assert tally(claims) == {"supported": 1, "not supported": 0, "inconclusive": 2}


@pytest.mark.parametrize(
    "kind", [words.ClaimWord, words.IdentityWord, words.ReferenceWord, words.Status]
)
def test_every_word_says_how_grave_it_is(kind: Any) -> None:
    for word in get_args(kind):
        assert word in words._SEVERITIES
    assert severity("inconclusive: without power") is severity("inconclusive") is Severity.OPEN


@pytest.mark.parametrize(
    ("relation", "within"),
    [("at_most", [True, True, False]), ("at_least", [False, True, True])],
)
def test_the_bound_itself_is_within(relation: Relation, within: list[bool]) -> None:
    assert [meets(number, relation, 0.25) for number in (0.2, 0.25, 0.3)] == within


def test_only_a_supported_paper_is_good_and_only_the_artifact_at_fault() -> None:
    grave: dict[Severity, set[str]] = {}
    for word in words._SEVERITIES:
        grave.setdefault(severity(word), set()).add(word)
    assert grave[Severity.SUPPORTS] == {"supported", "as predicted"}
    assert grave[Severity.AGAINST] == {"not supported", "not as predicted"}
    assert grave[Severity.FAULT] == {
        "violated", "outside", "beyond", "missing", "changed", "failed"
    }  # fmt: skip
    assert severity("stored") is Severity.PLAIN


def test_changed_claims_are_those_whose_verdict_is_another_one() -> None:
    (claim,) = verdicts().claims
    declared = [replace(claim, id=name) for name in "abc"]
    other = [
        replace(declared[0], value=2.0),
        replace(declared[1], verdict="inconclusive"),
        replace(declared[2], verdict="not supported"),
    ]
    assert changed_claims(declared, other) == ("b", "c")
    assert changed_claims(declared, declared) == ()
