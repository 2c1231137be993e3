"""How numbers and bounds of verdicts are written, on the screen, in figures and on pages."""

from collections.abc import Mapping, Sequence

from repro.outcome.checks import MIN_RUNS
from repro.outcome.verdicts import ClaimVerdict, ReferenceVerdict


def number(value: float | None) -> str:
    """A measured value; a missing one says so."""
    return "missing" if value is None else f"{value:.4g}"


def bound(claim: ClaimVerdict) -> str:
    """A claim's bound, such as "≤ 0.25"."""
    return f"{'≤' if claim.relation == 'at_most' else '≥'} {claim.bound:g}"


def interval(reference: ReferenceVerdict) -> str:
    """Where a new run is expected, or how many runs are recorded where they are too few."""
    if reference.low is None or reference.high is None:
        return f"{reference.runs} runs recorded, {MIN_RUNS} needed"
    return f"{reference.low:.4g} to {reference.high:.4g}"


def claims(counts: Mapping[str, int]) -> str:
    """How many claims came to which verdict, such as "2 supported, 1 inconclusive"."""
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) or "none"


def about(seconds: float) -> str:
    """A time that is estimated, in the unit a person would take; never none."""
    if seconds < 90:
        return f"about {max(seconds, 1):.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 90 * 60 else f"about {seconds / 3600:.1f} h"


def counted(number: int, noun: str) -> str:
    """A number of things, such as "1 step" and "2 steps"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def without_end(text: str, length: int) -> str:
    """At most so many characters of a text; prose says what it is about at its start."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def without_middle(text: str, length: int) -> str:
    """At most so many characters of a text; names of numbers differ at their ends."""
    if len(text) <= length:
        return text
    end = (length - 1) * 3 // 4
    return f"{text[: length - 1 - end]}…{text[len(text) - end :]}"


def dependence(alternative: str, changed: Sequence[str]) -> str:
    """Whether the answer is another one with an alternative, given the claims whose verdict is."""
    if not changed:
        return f"the verdicts do not depend on {alternative}"
    claims = "claim" if len(changed) == 1 else "claims"
    return f"the answer depends on {alternative}: {claims} {', '.join(changed)}"
