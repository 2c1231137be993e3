"""Verdicts over seeds: what one seed says is one seed's.

A claim is *supported* where the 95 % t-interval of the mean over at least five seeds lies wholly within
its bound, *not supported* where it lies wholly beyond, and *inconclusive* otherwise. Each of the two is
then held against what could have led to it all the same: the control, and chance alone.
"""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from repro.outcome import wording
from repro.outcome.checks import Finding, judge
from repro.outcome.intervals import Interval, clipped, mean, mean_interval
from repro.outcome.machines import SeedNumbers, one_a_seed
from repro.outcome.verdicts import (
    Cause,
    ClaimVerdict,
    ClaimWord,
    Described,
    Relation,
    meets,
    tally,
)
from ssbrepro.domains import REAL, Domain

if TYPE_CHECKING:
    from repro.manifests.library import FigureManifest
    from repro.manifests.models import Claim, Figure
    from repro.outcome.references import RecordedRun

# The t factor is 2.8 there, 4.3 with three seeds, 12.7 with two: with fewer, hardly any interval is on
# one side of anything.
MIN_SEEDS = 5

P = TypeVar("P")


class Numbers(Protocol):
    """What a run measured, and why it could not measure the rest."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Numbers, "stage.number"."""

    @property
    def missing(self) -> Mapping[str, str]:
        """Reasons, "stage.number"."""


@dataclass(frozen=True)
class ClaimStatistics(Described):
    """How often a claim would be called supported if it were false, and if it were true."""

    supported_if_false: int
    """Seeds whose control, where the statement is false, is within the bound."""
    controls: int
    """Seeds whose control was measured."""
    supported_if_true: int
    """Seeds whose chance, a 95 % quantile, is within the bound: of 20 such runs at least 19 are."""
    chances: int
    """Seeds that measured what chance alone does."""


@dataclass(frozen=True, kw_only=True)
class PooledVerdict(Described):
    """What became of a claim over the seeds of a figure at a profile."""

    id: str
    """The claim's name, of its figure's alone."""
    statement: str
    """What the paper says, and what it is made precise as."""
    where: str
    """Where the paper says it."""
    metric: str
    """The number that is bounded, "stage.number"."""
    relation: Relation
    """Which side of the bound is claimed; the bound itself belongs to it."""
    bound: float
    """Fixed before measuring."""
    seeds: int
    """Runs that count: all but the unsound ones."""
    unsound: int
    """Runs whose exact identities do not hold; they count for nothing."""
    measured: int
    """Seeds that have a value."""
    mean: float | None
    """Over them."""
    low: float | None
    """The lower end of the 95 % interval of the mean, as far as the number can lie there."""
    high: float | None
    """The upper end."""
    smallest: float | None
    """Of the seeds' values."""
    largest: float | None
    """Of the seeds' values."""
    noise: float | None
    """What chance alone reaches if the statement holds exactly: the median over seeds."""
    control: float | None
    """What the same measurement gives where the statement is false: the median over seeds."""
    no_control: str
    """Why there can be no such number."""
    own: Mapping[str, int]
    """How many seeds came to which verdict by themselves."""
    verdict: ClaimWord
    """Over all seeds."""
    cause: Cause
    """Why nothing can be said."""
    reason: str
    """The same with its numbers."""
    statistics: ClaimStatistics
    """What the claim could have come to."""

    @property
    def has_few_seeds(self) -> bool:
        """Whether it was measured, in fewer seeds than a verdict needs."""
        return self.cause == "not measured" and 0 < self.measured < MIN_SEEDS

    @property
    def is_algebra(self) -> bool:
        """Whether it holds or fails by construction, so that no control says anything of it."""
        return bool(self.no_control)


def pool(
    figure: "Figure", runs: Sequence[Numbers], domains: Mapping[str, Domain] | None = None
) -> tuple[PooledVerdict, ...]:
    """The verdict of each claim over runs of several seeds.

    Args:
        figure: The manifest with the bounds.
        runs: One a seed, of one profile.
        domains: Where numbers can lie, "stage.number"; all others anywhere.
    """
    sound = _sound(figure, runs)
    return tuple(
        _pooled(claim, [claims[index] for claims in sound], len(runs) - len(sound), domains or {})
        for index, claim in enumerate(figure.claims)
    )


def pool_runs(
    manifest: "FigureManifest", runs: Iterable["RecordedRun"]
) -> tuple[PooledVerdict, ...]:
    """The verdict of each claim over some of the recorded runs of a figure at a profile."""
    return pool(manifest.figure, seeds_of(manifest, runs), manifest.domains)


@dataclass(frozen=True)
class Spread:
    """What single seeds gave of a claim, as far as they were measured, ascending."""

    values: tuple[float, ...]
    noises: tuple[float, ...]
    controls: tuple[float, ...]


def spreads_of(manifest: "FigureManifest", runs: Iterable["RecordedRun"]) -> dict[str, Spread]:
    """What the seeds of recorded runs gave of each claim, by its id."""
    sound = _sound(manifest.figure, seeds_of(manifest, runs))
    spreads = {}
    for index, claim in enumerate(manifest.figure.claims):
        seeds = [claims[index] for claims in sound]
        spreads[claim.id] = Spread(
            values=_ascending(one.value for one in seeds),
            noises=_ascending(one.noise for one in seeds),
            controls=_ascending(one.control for one in seeds),
        )
    return spreads


def _ascending(numbers: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(sorted(one for one in numbers if one is not None))


def _sound(figure: "Figure", runs: Sequence[Numbers]) -> list[tuple[ClaimVerdict, ...]]:
    """The claims of each run whose exact identities hold, judged anew."""
    judged = [judge(figure, run.metrics, run.missing, ()) for run in runs]
    return [one.claims for one in judged if not one.violations]


def seeds_of(manifest: "FigureManifest", runs: Iterable["RecordedRun"]) -> list[SeedNumbers]:
    """The numbers of each seed over the machines that ran it: each counts once, and is judged anew."""
    return one_a_seed(runs, {identity.metric for identity in manifest.figure.identities})


def largest_judged(profiles: Sequence[P], num_seeds: Callable[[P], int]) -> P | None:
    """The largest profile recorded of as many seeds as a verdict needs; of any, if there is none.

    Args:
        profiles: Those that are recorded, in order of size.
        num_seeds: Of how many seeds one is.
    """
    downwards = profiles[::-1]
    return next(
        (one for one in downwards if num_seeds(one) >= MIN_SEEDS), next(iter(downwards), None)
    )


@dataclass(frozen=True)
class _Sample:
    """A number over seeds, as far as it was measured."""

    numbers: tuple[float, ...]
    domain: Domain

    @property
    def enough(self) -> bool:
        return len(self.numbers) >= MIN_SEEDS

    @property
    def mean(self) -> float | None:
        return mean(self.numbers) if self.numbers else None

    @property
    def median(self) -> float | None:
        return statistics.median(self.numbers) if self.numbers else None

    @property
    def interval(self) -> Interval | None:
        """Of the mean, as far as the number can lie there; none of fewer than two numbers."""
        if len(self.numbers) < 2:
            return None
        return clipped(mean_interval(self.numbers), self.domain)


def _sample(numbers: Iterable[float | None], domain: Domain | None) -> _Sample:
    return _Sample(tuple(one for one in numbers if one is not None), domain or REAL)


def _pooled(
    claim: "Claim",
    seeds: Sequence[ClaimVerdict],
    unsound: int,
    domains: Mapping[str, Domain],
) -> PooledVerdict:
    values = _sample((one.value for one in seeds), domains.get(claim.metric))
    noises = _sample((one.noise for one in seeds), domains.get(claim.noise or ""))
    controls = _sample((one.control for one in seeds), domains.get(claim.control or ""))
    found = _finding(claim, seeds, values, noises, controls)
    low, high = values.interval or (None, None)
    return PooledVerdict(
        id=claim.id,
        statement=claim.statement,
        where=claim.where,
        metric=claim.metric,
        relation=claim.relation,
        bound=claim.bound,
        seeds=len(seeds),
        unsound=unsound,
        measured=len(values.numbers),
        mean=values.mean,
        low=low,
        high=high,
        smallest=min(values.numbers, default=None),
        largest=max(values.numbers, default=None),
        noise=noises.median,
        control=controls.median,
        no_control=claim.no_control or "",
        own=tally(seeds),
        verdict=found.verdict,
        cause=found.cause,
        reason=found.reason,
        statistics=ClaimStatistics(
            _num_within(claim, controls),
            len(controls.numbers),
            _num_within(claim, noises),
            len(noises.numbers),
        ),
    )


def _num_within(claim: "Claim", sample: _Sample) -> int:
    return sum(meets(number, claim.relation, claim.bound) for number in sample.numbers)


def _finding(
    claim: "Claim",
    seeds: Sequence[ClaimVerdict],
    values: _Sample,
    noises: _Sample,
    controls: _Sample,
) -> Finding:
    if not values.enough:
        return _too_few(seeds, values)
    ends = {meets(end, claim.relation, claim.bound) for end in values.interval or ()}
    if ends == {True}:
        return _within(claim, controls)
    if ends == {False}:
        return _beyond(claim, values, noises)
    return Finding("inconclusive", "crosses the bound", "the interval crosses the bound")


def _too_few(seeds: Sequence[ClaimVerdict], values: _Sample) -> Finding:
    """Of fewer values than a verdict needs: whether that is for want of power or of seeds."""
    measured = len(values.numbers)
    powerless = sum(one.value is None and one.cause == "without power" for one in seeds)
    if measured + powerless >= MIN_SEEDS:
        why = f"no power at {powerless} of {wording.counted(len(seeds), 'seed')}"
        return Finding("inconclusive", "without power", why)
    return Finding("inconclusive", "not measured", _few(measured))


def _within(claim: "Claim", controls: _Sample) -> Finding:
    """Of an interval within the bound: whether no seed's control is within it too.

    One of them is enough to count against the claim. Where a false statement is taken for a true one
    more often than once in twenty seeds, a hit says nothing, and of fewer seeds one is more than that.
    Their mean would say less, as a single control far off carries it anywhere.
    """
    if claim.control is None:
        return Finding("supported")
    if not controls.enough:
        return Finding("inconclusive", "not measured", _not_recorded("the control", controls))
    if number := _num_within(claim, controls):
        of = wording.counted(len(controls.numbers), "seed")
        why = f"the control, where the statement is false, meets the bound in {number} of {of}"
        return Finding("inconclusive", "without power", why)
    return Finding("supported")


def _beyond(claim: "Claim", values: _Sample, noises: _Sample) -> Finding:
    """Of an interval beyond the bound: whether chance alone takes the mean there.

    The mean of the seeds' quantiles, which is generous to the claim: a mean strays less than one run.
    """
    if claim.noise is None:
        return Finding("not supported")
    if not noises.enough:
        why = _not_recorded("what chance alone does", noises)
        return Finding("inconclusive", "not measured", why)
    measured, chance = mean(values.numbers), mean(noises.numbers)
    if meets(measured, claim.relation, chance):
        goes = "reaches" if claim.relation == "at_most" else "falls to"
        why = f"chance alone {goes} {chance:.3g} on average if the statement holds exactly"
        return Finding("inconclusive", "by chance", f"{why}; measured: {measured:.3g}")
    return Finding("not supported")


def _not_recorded(subject: str, sample: _Sample) -> str:
    if not sample.numbers:
        return f"{subject} is not recorded"
    return f"{subject} is known of {_few(len(sample.numbers))}"


def _few(measured: int) -> str:
    return f"{wording.counted(measured, 'seed')}; a pooled verdict needs {MIN_SEEDS}"
