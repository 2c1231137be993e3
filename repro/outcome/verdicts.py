"""The words for what came of a run, how grave each is, and the verdicts that are made of them.

What the paper says and whether the artifact does as recorded are two answers to two questions, in two
sets of words; a missing value is never a yes.
"""

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, get_args

from repro.names import NOT_COMPUTABLE

# What the paper says of the world, as far as this run can tell.
ClaimWord = Literal["supported", "not supported", "inconclusive"]
# Why it can say nothing: chance alone does as much if the statement holds, the control does as much
# where it is false, a number is missing, or the run's exact identities do not hold. Over seeds, the
# interval may also lie on both sides of the bound.
Cause = Literal["", "by chance", "without power", "not measured", "unsound", "crosses the bound"]
# Which side of a bound is claimed; the bound itself belongs to it.
Relation = Literal["at_most", "at_least"]
# Whether what must be zero is.
IdentityWord = Literal["holds", "violated"]
# Where a number stands against our own recorded runs.
ReferenceWord = Literal["within", "outside", "missing", "no tolerance"]
# Where a number stands against what was written down before anything of its size had been run.
PredictionWord = Literal["as predicted", "not as predicted", "not predicted"]
# What the artifact does, against its recorded runs. A run whose exact identities do not hold counts as
# no measurement.
Status = Literal["as recorded", "changed", "not recorded", "failed"]

CLAIM_VERDICTS: tuple[ClaimWord, ...] = get_args(ClaimWord)
AS_RECORDED: Status = "as recorded"
CHANGED: Status = "changed"
NOT_RECORDED: Status = "not recorded"
FAILED: Status = "failed"


class Severity(enum.Enum):
    """What a verdict means to a reader; screen and page each give it a colour."""

    SUPPORTS = enum.auto()  # the paper holds, as far as this run can tell
    AGAINST = enum.auto()  # it does not
    OPEN = enum.auto()  # nothing can be said
    PLAIN = enum.auto()  # as it should be, which says nothing of the paper
    FAULT = enum.auto()  # the artifact is not as it should be


_SEVERITIES: dict[str, Severity] = {
    "supported": Severity.SUPPORTS,
    "not supported": Severity.AGAINST,
    "inconclusive": Severity.OPEN,
    "holds": Severity.PLAIN,
    "violated": Severity.FAULT,
    "within": Severity.PLAIN,
    "outside": Severity.FAULT,
    "missing": Severity.FAULT,
    "no tolerance": Severity.OPEN,
    "beyond": Severity.FAULT,
    "as predicted": Severity.SUPPORTS,
    "not as predicted": Severity.AGAINST,
    "not predicted": Severity.OPEN,
    AS_RECORDED: Severity.PLAIN,
    CHANGED: Severity.FAULT,
    NOT_RECORDED: Severity.OPEN,
    FAILED: Severity.FAULT,
    NOT_COMPUTABLE: Severity.PLAIN,
}


def severity(text: str) -> Severity:
    """How grave a verdict is, whatever follows it after a colon; what is no verdict is plain."""
    return _SEVERITIES.get(text.partition(":")[0], Severity.PLAIN)


def meets(number: float, relation: Relation, bound: float) -> bool:
    """Whether a number is on the claimed side of a bound, or on it."""
    return number <= bound if relation == "at_most" else number >= bound


class Described:
    """A dataclass whose JSON Schema, as pydantic writes it, describes its fields."""

    __pydantic_config__: ClassVar[Mapping[str, bool]] = {"use_attribute_docstrings": True}


@dataclass(frozen=True)
class IdentityVerdict:
    """Whether an exact identity held."""

    id: str
    metric: str
    value: float | None
    bound: float
    verdict: IdentityWord


@dataclass(frozen=True)
class ClaimVerdict:
    """What became of a claim, and which verdicts the recorded runs gave.

    ``noise`` and ``control`` are what chance alone reaches and what the control gives, where the
    claim names them and they were measured; ``no_control`` says why it names no control;
    ``expected``, whether all these numbers lie where recorded runs make expect.
    """

    id: str
    statement: str
    metric: str
    value: float | None
    relation: Relation
    bound: float
    verdict: ClaimWord
    reason: str
    recorded: tuple[ClaimWord, ...] = ()
    cause: Cause = ""
    noise: float | None = None
    control: float | None = None
    no_control: str = ""
    expected: bool = False

    @property
    def changed(self) -> bool:
        """Whether there are recorded runs and none came to this; to measure nothing is a change.

        Another verdict is none where all its numbers lie as recorded runs make expect, as those near a
        bound do; nor is it one to find no power where recorded runs were inconclusive too.
        """
        if not self.recorded:
            return False
        unheard = self.verdict not in self.recorded
        return self.cause == "not measured" or (unheard and not self.expected)


@dataclass(frozen=True)
class ReferenceVerdict:
    """Where a number stands against the recorded runs."""

    metric: str
    value: float | None
    low: float | None
    high: float | None
    runs: int
    verdict: ReferenceWord


@dataclass(frozen=True)
class PredictionVerdict:
    """Where a number stands against its prediction; without one, it has no interval."""

    metric: str
    value: float
    low: float | None
    high: float | None
    verdict: PredictionWord


@dataclass(frozen=True)
class Verdicts:
    """All verdicts of one figure."""

    identities: tuple[IdentityVerdict, ...]
    claims: tuple[ClaimVerdict, ...]
    references: tuple[ReferenceVerdict, ...]

    @property
    def violations(self) -> list[str]:
        """The exact identities that do not hold, one line each."""
        return [
            f"identity {one.id}: {one.verdict}" for one in self.identities if one.verdict != "holds"
        ]

    @property
    def failures(self) -> list[str]:
        """Every check that failed, one line each: these make the exit status 1.

        A claim whose verdict recorded runs share is none, whatever the verdict; without any, one that
        is not supported is. One that was not measured always is.
        """
        claims = []
        for one in self.claims:
            if one.cause == "not measured":
                claims.append(f"claim {one.id}: {one.reason}")
            elif one.changed:
                claims.append(
                    f"claim {one.id}: {one.verdict}, recorded: {' or '.join(one.recorded)}"
                )
            elif not one.recorded and one.verdict == "not supported":
                claims.append(f"claim {one.id}: not supported, and nothing is recorded")
        references = [
            f"{one.metric}: {one.verdict}" if one.verdict == "missing"
            else f"{one.metric}: {one.verdict} what recorded runs make expect"
            for one in self.references
            if one.verdict in ("outside", "missing")
        ]  # fmt: skip
        return [*self.violations, *claims, *references]

    @property
    def status(self) -> Status:
        """What the artifact does."""
        if self.violations:
            return FAILED
        compared = [one for one in self.references if one.runs]
        if any(one.verdict in ("outside", "missing") for one in compared) or any(
            one.changed for one in self.claims
        ):
            return CHANGED
        known = [one.verdict == "within" for one in self.references]
        known += [bool(one.recorded) for one in self.claims]
        return AS_RECORDED if known and all(known) else NOT_RECORDED


class Judged(Protocol):
    """What has a verdict, of one run or of several."""

    @property
    def verdict(self) -> ClaimWord:
        """What the paper says."""


def tally(claims: Iterable[Judged]) -> dict[str, int]:
    """How many claims came to each verdict."""
    counts = Counter(claim.verdict for claim in claims)
    return {verdict: counts[verdict] for verdict in CLAIM_VERDICTS}


def changed_claims(
    declared: Iterable[ClaimVerdict], alternative: Iterable[ClaimVerdict]
) -> tuple[str, ...]:
    """Ids of the claims whose verdict is another one in a second run of the same figure."""
    pairs = zip(declared, alternative, strict=True)
    return tuple(one.id for one, other in pairs if one.verdict != other.verdict)
