"""How numbers and bounds of verdicts are written, on the screen, in figures and on pages."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from repro.outcome.intervals import MIN_RUNS
from repro.outcome.verdicts import ClaimVerdict, ReferenceVerdict

if TYPE_CHECKING:
    from repro.outcome.comparing.comparison import ClaimComparison
    from repro.outcome.pooling import PooledVerdict
    from repro.outcome.predictions import HeldNumber, HeldPredictions

# A bound belongs to what is claimed, so that "more than zero" takes a number that is hardly more.
_STRICTLY = {("at_least", 1e-12): "> 0", ("at_most", -1e-12): "< 0"}


def number(value: float | None) -> str:
    """A measured value; a missing one says so."""
    return "missing" if value is None else f"{value:.4g}"


def bound(claim: "ClaimVerdict | PooledVerdict | ClaimComparison") -> str:
    """A claim's bound, such as "≤ 0.25", or "> 0" for the least number that stands for it."""
    strictly = _STRICTLY.get((claim.relation, claim.bound))
    return strictly or f"{'≤' if claim.relation == 'at_most' else '≥'} {claim.bound:g}"


def edge(claim: "ClaimVerdict | PooledVerdict") -> float:
    """A claim's bound where it is drawn: zero if it stands for "more than zero" or "less"."""
    return 0.0 if (claim.relation, claim.bound) in _STRICTLY else claim.bound


def is_in_paper(figure: str) -> bool:
    """Whether a figure of this name is the paper's, and its caption too; others measure what it says."""
    return re.match(r"fig\d", figure) is not None


def verdict(claim: "ClaimVerdict | PooledVerdict") -> str:
    """A claim's verdict with its cause, such as "inconclusive: without power".

    Of too few seeds it says what they came to by themselves.
    """
    if not isinstance(claim, ClaimVerdict) and claim.has_few_seeds:
        return f"{claim.verdict}: too few seeds ({claims(claim.own)})"
    return f"{claim.verdict}: {claim.cause}" if claim.cause else claim.verdict


def reason(claim: "ClaimVerdict | PooledVerdict") -> str:
    """The reason of a verdict, to stand beside its cause."""
    return claim.reason.removeprefix(f"{claim.cause}: ")


def outcome(claim: ClaimVerdict) -> str:
    """A claim's verdict with the value that led to it, if any did."""
    return f"{verdict(claim)}: {claim.value:.4g}" if claim.value is not None else verdict(claim)


def said(statement: str) -> str:
    """What the paper says, without what a claim makes it precise as."""
    return re.split(r", made precise|: ", statement)[0]


def control(claim: "ClaimVerdict | PooledVerdict") -> str:
    """What a claim's control gives, or why there is none."""
    return claim.no_control if claim.control is None and claim.no_control else known(claim.control)


def mean(value: float | None, ends: Sequence[float | None]) -> str:
    """A mean over seeds with the ends of its interval, where there is one."""
    around = between(ends)
    return f"{known(value)} ({around})" if around else known(value)


def between(ends: Sequence[float | None]) -> str:
    """From one number to another, such as "0.1 to 0.2", where both are known."""
    return "" if None in ends else " to ".join(f"{end:.3g}" for end in ends)


def later(number: "HeldNumber") -> str:
    """What was measured of a predicted number, such as "wide: 0.1"."""
    found = [f"{one.profile}: {', '.join(map(known, one.values))}" for one in number.later]
    return "; ".join(found) or "not yet"


def fate(number: "HeldNumber") -> str:
    """What became of a prediction over all seeds and profiles; nothing before any was measured."""
    measured = sum(len(one.values) for one in number.later)
    held = sum(one.as_predicted for one in number.later)
    if 0 < held < measured:
        return f"as predicted in {held} of {counted(measured, 'seed')}"
    return "" if not measured else "as predicted" if held else "not as predicted"


def predictions(made: "HeldPredictions") -> str:
    """What a prediction was made by, and when."""
    return (
        f"Predicted at {made.made_at} by {counted(len(made.seeds), 'seed')} at {made.made_by}, before "
        "anything larger was run: where one run is expected with 95 % probability"
    )


def statistics(claim: "PooledVerdict") -> str:
    """How often a claim would be called supported if it were false, and if it were true."""
    one = claim.statistics
    parts = [
        f"if {case}: {supported} of {counted(number, 'seed')}"
        for case, supported, number in (
            ("false", one.supported_if_false, one.controls),
            ("true", one.supported_if_true, one.chances),
        )
        if number
    ]
    return f"would be supported {'; '.join(parts)}" if parts else ""


def known(value: float | None) -> str:
    """A number that not every claim has."""
    return "" if value is None else number(value)


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


def megabytes(number: int) -> str:
    """A number of bytes."""
    return f"{number / 1e6:,.1f} MB"


def counted(number: int, noun: str) -> str:
    """A number of things, such as "1 step" and "2 steps"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def ranges(numbers: Sequence[int]) -> str:
    """Ascending whole numbers as they are written on the command line, such as "0-4,7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def without_ends(texts: Sequence[str], length: int) -> list[str]:
    """At most so many characters of each text; prose says what it is about at its start."""
    return [text if len(text) <= length else f"{text[: length - 1].rstrip()}…" for text in texts]


def without_middles(names: Sequence[str], length: int) -> list[str]:
    """At most so many characters of each name, so that different ones stay different if they can.

    Names of numbers differ at their ends, or else before: then more of the end is kept, or the stage
    before the point goes.
    """
    short = [name.partition(".")[2] or name for name in names]
    ways = [
        [_without_middle(name, length, share) for name in kept]
        for kept, share in ((names, 3 / 4), (names, 7 / 8), (short, 3 / 4))
    ]
    apart = len({*names})
    return next((way for way in ways if len({*way}) == apart), ways[0])


def _without_middle(text: str, length: int, end_share: float) -> str:
    if len(text) <= length:
        return text
    end = int((length - 1) * end_share)
    return f"{text[: length - 1 - end]}…{text[len(text) - end :]}"


def dependence(alternative: str, changed: Sequence[str]) -> str:
    """Whether the answer is another one with an alternative, given the claims whose verdict is."""
    if not changed:
        return f"the verdicts do not depend on {alternative}"
    claims = "claim" if len(changed) == 1 else "claims"
    return f"the answer depends on {alternative}: {claims} {', '.join(changed)}"
