"""Two sides held against each other: their verdicts, their numbers, and whether they differ.

Of two runs a claim's verdicts are those of their records. Of several seeds they are the verdicts over
seeds, where both sides have enough of them. One run against several differs in a claim where none of
these came to its verdict.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from repro.errors import UsageError
from repro.outcome import wording
from repro.outcome.comparing.numbers import NumberComparison, compare_numbers
from repro.outcome.comparing.subjects import Subject
from repro.outcome.pooling import MIN_SEEDS, pool, seeds_of
from repro.outcome.verdicts import ClaimWord, Relation

if TYPE_CHECKING:
    from repro.manifests.models import Claim


ComparisonWord = Literal["same", "differs", "not compared"]


@dataclass(frozen=True)
class SideEntry:
    """What was compared: the words that stand for it, and what they stood for."""

    text: str
    source: str
    id: str
    profile: str
    alternative: str | None
    seeds: tuple[int, ...]
    machines: tuple[str, ...]
    first: str
    last: str

    def __str__(self) -> str:
        name = self.id if self.alternative is None else f"{self.id} with {self.alternative}"
        noun = "seed" if len(self.seeds) == 1 else "seeds"
        return f"{name} at {self.profile}, {self.source}: {noun} {wording.ranges(self.seeds)}"

    @property
    def made_on(self) -> str:
        """Its machines in words."""
        return f"on {' and '.join(self.machines)}"


@dataclass(frozen=True)
class ClaimSide:
    """What a side says of a claim: its number, with the interval of the mean of several seeds.

    ``values`` are those of the seeds, and ``own`` their verdicts, each once. ``verdict`` is that of a
    run, or over seeds where both sides have enough of them.
    """

    value: float | None
    low: float | None
    high: float | None
    values: tuple[float, ...]
    own: tuple[ClaimWord, ...]
    verdict: ClaimWord | None
    cause: str

    @property
    def word(self) -> str:
        """Its verdict, or those of its seeds."""
        return self.verdict or " or ".join(self.own) or "none"


@dataclass(frozen=True)
class ClaimComparison:
    """A claim on both sides, and whether their verdicts differ; ``reason`` says why nobody can tell."""

    id: str
    statement: str
    metric: str
    relation: Relation
    bound: float
    a: ClaimSide
    b: ClaimSide
    verdict: ComparisonWord
    reason: str


@dataclass(frozen=True)
class Comparison:
    """All that two sides have in common, and what they differ in."""

    a: SideEntry
    b: SideEntry
    claims: tuple[ClaimComparison, ...]
    numbers: tuple[NumberComparison, ...]

    @property
    def differences(self) -> list[str]:
        """What makes the exit status 1, one line each."""
        claims = [
            f"claim {one.id}: {one.a.word} against {one.b.word}"
            for one in self.claims
            if one.verdict == "differs"
        ]
        beyond = [
            f"{one.metric}: {wording.number(one.a)} against {wording.number(one.b)}"
            for one in self.numbers
            if one.verdict in ("beyond", "missing")
        ]
        return [*claims, *beyond]

    def as_data(self) -> dict[str, Any]:
        """What ``--json`` writes."""
        return asdict(self) | {"differences": self.differences}


def compare(a: Subject, b: Subject) -> Comparison:
    """Hold two sides against each other.

    Raises:
        UsageError: If they are not of one figure, or have no number in common.
    """
    if a.manifest.id != b.manifest.id:
        raise UsageError(
            f"{a.text} is of {a.manifest.id} and {b.text} of {b.manifest.id}: compare runs of one figure"
        )
    measured = [{name for run in side.runs for name in run.metrics} for side in (a, b)]
    if not measured[0] & measured[1]:
        raise UsageError(
            f"{a.text} and {b.text} have no number in common: "
            f"they were made by different releases; run {a.manifest.id} again"
        )
    return Comparison(_side(a), _side(b), _compare_claims(a, b), compare_numbers(a, b))


def _side(subject: Subject) -> SideEntry:
    moments = sorted(subject.runs, key=lambda run: run.moment)
    return SideEntry(
        text=subject.text,
        source=subject.source,
        id=subject.manifest.id,
        profile=subject.profile,
        alternative=subject.alternative,
        seeds=tuple(subject.seeds),
        machines=tuple(subject.machines),
        first=moments[0].recorded_at,
        last=moments[-1].recorded_at,
    )


def _compare_claims(a: Subject, b: Subject) -> tuple[ClaimComparison, ...]:
    over_seeds = min(len(a.seeds), len(b.seeds)) >= MIN_SEEDS
    claims = a.manifest.figure.claims
    sides = _claim_sides(a, over_seeds), _claim_sides(b, over_seeds)
    return tuple(_compared(claim, *pair) for claim, *pair in zip(claims, *sides, strict=True))


def _claim_sides(subject: Subject, over_seeds: bool) -> Iterator[ClaimSide]:
    """What a side says of the claims of its figure.

    Yields:
        One a claim, in the manifest's order.
    """
    manifest, alone = subject.manifest, len(subject.runs) == 1
    seeds = seeds_of(manifest, subject.runs)
    for pooled in pool(manifest.figure, seeds, manifest.domains):
        numbers = (one.metrics.get(pooled.metric) for one in seeds)
        values = tuple(number for number in numbers if number is not None)
        own = {run.claims[pooled.id] for run in subject.runs if pooled.id in run.claims}
        verdict = pooled.verdict if over_seeds else min(own, default=None) if alone else None
        yield ClaimSide(
            value=next(iter(values), None) if alone else pooled.mean,
            low=pooled.low,
            high=pooled.high,
            values=values,
            own=tuple(sorted(own)),
            verdict=verdict,
            cause=pooled.cause if over_seeds else "",
        )


def _compared(claim: "Claim", a: ClaimSide, b: ClaimSide) -> ClaimComparison:
    verdict, reason = _verdict(a, b)
    return ClaimComparison(
        claim.id, claim.statement, claim.metric, claim.relation, claim.bound, a, b, verdict, reason
    )


def _verdict(a: ClaimSide, b: ClaimSide) -> tuple[ComparisonWord, str]:
    if not a.own or not b.own:
        return "not compared", "one side was run before there was this claim"
    if a.verdict and b.verdict:
        return ("same" if a.verdict == b.verdict else "differs"), ""
    if a.verdict or b.verdict:  # one run: whether any of the others came to this
        return ("same" if {*a.own} & {*b.own} else "differs"), ""
    return "not compared", f"a verdict over seeds needs {MIN_SEEDS}"
