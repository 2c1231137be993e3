"""Two sides' numbers: by how much they differ, and whether that is more than they may.

Only the numbers that a manifest's ``references`` name decide, all of them together at 95 %, and only at
one profile: of the others nobody said which difference matters.

* Two runs may differ by what two new runs do, as recorded of the figure as declared (t s √2); without
  enough runs recorded, those of one seed by the reference's resolution. Runs of one seed by the same
  machine, libraries and threads must agree to the last bit, in every number.
* A run may differ from several as far as these make expect of a new one, as in ``repro verify``.
* Of several against several the interval of the mean difference counts, paired where at least three
  seeds are the same, else Welch's: they differ where it excludes all that is within the resolution, do
  not where it is within, and otherwise nobody can tell.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from repro.outcome.comparing.subjects import Subject
from repro.outcome.intervals import (
    MIN_RUNS,
    Interval,
    allowed_between_two,
    difference_interval,
    mean,
    mean_interval,
    prediction_interval,
)
from repro.outcome.machines import by_machine
from repro.outcome.pooling import seeds_of
from repro.outcome.references import RecordedRun, recorded_runs

if TYPE_CHECKING:
    from repro.manifests.models import Reference

# Equal is to the last bit. Inconclusive: so many seeds cannot tell. Missing: measured on one side only,
# and the other says why not. Not compared: nobody said which difference matters, or one side knows no
# such number.
NumberWord = Literal[
    "equal", "within", "beyond", "inconclusive", "no tolerance", "missing", "not compared"
]


@dataclass(frozen=True)
class NumberComparison:
    """A number of both sides, means over the seeds that are compared: all, or those that are paired.

    ``difference`` is B less A, ``relative`` to abs(A); ``low`` and ``high`` are the ends of its interval
    where both sides have several seeds, ``pairs`` of which are the same, and ``allowed`` is by how much
    the sides may differ.
    """

    metric: str
    reference: bool
    a: float | None
    b: float | None
    difference: float | None
    relative: float | None
    low: float | None
    high: float | None
    pairs: int
    allowed: float | None
    verdict: NumberWord


def compare_numbers(a: Subject, b: Subject) -> tuple[NumberComparison, ...]:
    """Every number that either side knows, references first, then by name."""
    references = {one.metric: one for one in a.manifest.figure.references}
    one, two = _Side(a), _Side(b)
    names = sorted(one.names | two.names, key=lambda name: (name not in references, name))
    rules = _Rules(a, b, len(references))
    return tuple(_compared(name, one, two, references.get(name), rules) for name in names)


class _Side:
    """Numbers of a side by name and seed."""

    def __init__(self, subject: Subject) -> None:
        self._seeds = seeds_of(subject.manifest, subject.runs)
        self.names = {name for one in self._seeds for name in (*one.metrics, *one.missing)}

    def of(self, name: str) -> dict[int, float]:
        return {one.seed: one.metrics[name] for one in self._seeds if name in one.metrics}


@dataclass(frozen=True)
class _Rules:
    """By which two sides are held against each other."""

    a: Subject
    b: Subject
    together: int

    @property
    def one_profile(self) -> bool:
        return self.a.profile == self.b.profile

    @property
    def to_the_bit(self) -> bool:
        """Whether both are one run twice over."""
        return (
            len(self.a.runs) == len(self.b.runs) == 1
            and (self.a.profile, self.a.alternative) == (self.b.profile, self.b.alternative)
            and self.a.seeds == self.b.seeds
            and _same_facts(self.a.runs[0], self.b.runs[0])
        )

    def between_two(self, reference: "Reference") -> float | None:
        """What two runs may differ by; nothing where that is not known."""
        recorded = by_machine(recorded_runs(self.a.manifest, self.a.profile)).values()
        values = [
            [run.metrics[reference.metric] for run in group if reference.metric in run.metrics]
            for group in recorded
        ]
        known = [
            allowed_between_two(one, reference.resolution, self.together)
            for one in values
            if len(one) >= MIN_RUNS
        ]
        if known:
            return max(known)
        return reference.resolution if self.a.seeds == self.b.seeds else None


def _same_facts(one: RecordedRun, two: RecordedRun) -> bool:
    """Whether two runs were computed by the same machine, libraries, threads and kernels."""
    facts = [
        (run.made_on, run.versions, run.machine.limits, {s.stage: s.threads for s in run.steps})
        for run in (one, two)
    ]
    return one.made_on.known and facts[0] == facts[1]


def _compared(
    name: str, one: _Side, two: _Side, reference: "Reference | None", rules: _Rules
) -> NumberComparison:
    a, b = one.of(name), two.of(name)
    pairs = sorted(a.keys() & b.keys())
    apart = _apart(a, b, pairs)
    interval = _interval(a, b, pairs, rules.together if reference else 1)
    low, high = interval or (None, None)
    decides = reference is not None and rules.one_profile
    allowed = _allowed(a, b, reference, rules) if reference and decides else None
    verdict: NumberWord
    if apart is None:
        lost = bool(a) != bool(b) and name in one.names & two.names
        verdict = "missing" if lost and (decides or rules.to_the_bit) else "not compared"
    elif a == b or (len(a) == 1 and [*a.values()] == [*b.values()]):
        verdict = "equal"
    elif rules.to_the_bit:
        verdict, allowed = "beyond", 0.0
    elif allowed is None:
        verdict = "no tolerance" if decides else "not compared"
    else:
        verdict = _word(interval or (apart, apart), allowed)
    middles = [_middle(side, pairs) for side in (a, b)]
    return NumberComparison(
        metric=name,
        reference=reference is not None,
        a=middles[0],
        b=middles[1],
        difference=apart,
        relative=apart / abs(middles[0]) if apart is not None and middles[0] else None,
        low=low,
        high=high,
        pairs=len(pairs),
        allowed=allowed,
        verdict=verdict,
    )


def _word(interval: Interval, allowed: float) -> NumberWord:
    low, high = interval
    if low > allowed or high < -allowed:
        return "beyond"
    return "within" if -allowed <= low and high <= allowed else "inconclusive"


def _apart(a: Mapping[int, float], b: Mapping[int, float], pairs: Sequence[int]) -> float | None:
    """The mean difference, of the seeds that both have where that is how they are compared."""
    if not a or not b:
        return None
    if _paired(pairs):
        return mean([*_differences(a, b, pairs)])
    return mean([*b.values()]) - mean([*a.values()])


def _middle(side: Mapping[int, float], pairs: Sequence[int]) -> float | None:
    """The mean of a side over the seeds that are compared."""
    seeds = pairs if _paired(pairs) else [*side]
    return mean([side[seed] for seed in seeds]) if seeds else None


def _interval(
    a: Mapping[int, float], b: Mapping[int, float], pairs: Sequence[int], together: int
) -> Interval | None:
    if _paired(pairs):
        return mean_interval([*_differences(a, b, pairs)], together)
    if min(len(a), len(b)) < 2:
        return None
    return difference_interval([*a.values()], [*b.values()], together)


def _paired(pairs: Sequence[int]) -> bool:
    return len(pairs) >= MIN_RUNS


def _differences(
    a: Mapping[int, float], b: Mapping[int, float], pairs: Sequence[int]
) -> Iterator[float]:
    return (b[seed] - a[seed] for seed in pairs)


def _allowed(
    a: Mapping[int, float], b: Mapping[int, float], reference: "Reference", rules: _Rules
) -> float | None:
    """By how much the sides may differ; of several seeds on both, beside what chance does."""
    if min(len(a), len(b)) > 1:
        return reference.resolution
    if len(a) == len(b) == 1:
        return rules.between_two(reference)
    many = [*max(a, b, key=len).values()]
    if len(many) < MIN_RUNS:
        return None
    low, high = prediction_interval(many, reference.resolution, rules.together)
    return (high - low) / 2
