"""What the page shows, found together: papers, their figures, and what was run and recorded of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from repro.manifests.library import Library
from repro.outcome import wording
from repro.outcome.pooling import PooledVerdict, Spread, pool_runs, spreads_of
from repro.outcome.predictions import HeldPredictions, held_predictions
from repro.outcome.record import Record, Run
from repro.outcome.references import recorded_runs
from repro.outcome.report.flow import Flow, flow_of
from repro.outcome.report.forests import Forest, forest_of
from repro.outcome.report.pictures import Picture, picture_of
from repro.outcome.report.strips import Strip, strip_of
from repro.outcome.verdicts import ClaimVerdict, changed_claims, tally

if TYPE_CHECKING:
    from repro.manifests.library import FigureManifest
    from repro.manifests.models import Claim, NotComputable, Paper


@dataclass(frozen=True)
class AlternativeRun:
    """A run with another assumed value, beside the run as declared of the same profile and seed."""

    declared: Record
    record: Record

    @property
    def sentence(self) -> str:
        """Whether the answer hangs on it, and whether the run counts at all."""
        changed = changed_claims(self.declared.claims, self.record.claims)
        sentence = wording.dependence(str(self.record.alternative), changed)
        violated = [one.id for one in self.record.identities if one.verdict != "holds"]
        unsound = f"; exact identities do not hold: {', '.join(violated)}" if violated else ""
        return sentence + unsound

    @property
    def pairs(self) -> list[tuple[ClaimVerdict, ClaimVerdict]]:
        """Each claim as declared and with the alternative."""
        return list(zip(self.declared.claims, self.record.claims, strict=True))


@dataclass(frozen=True)
class Shown:
    """The latest run of a figure at a profile on this machine, with its picture and its steps."""

    record: Record
    picture: Picture
    flow: Flow
    alternatives: tuple[AlternativeRun, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a claim at a profile: over the recorded seeds, in the latest run, or both."""

    profile: str
    pooled: PooledVerdict | None
    spread: Spread | None
    seed: int | None
    run: ClaimVerdict | None

    @property
    def verdict(self) -> PooledVerdict | ClaimVerdict:
        """That of the recorded seeds, where there are any."""
        verdict = self.pooled or self.run
        assert verdict is not None
        return verdict

    @property
    def strip(self) -> Strip | None:
        """All its numbers on one axis; none if nothing was measured."""
        return strip_of(self.pooled, self.spread, self.run)


@dataclass(frozen=True)
class ClaimPart:
    """A claim of the paper, and its outcomes, those of the largest profile first."""

    anchor: str
    claim: "Claim"
    outcomes: tuple[Outcome, ...]

    @property
    def forest(self) -> Forest | None:
        """The recorded ones on one axis; none of a single one, which has an axis of its own."""
        recorded = {one.profile: one.pooled for one in reversed(self.outcomes) if one.pooled}
        return forest_of(recorded) if len(recorded) > 1 else None


@dataclass(frozen=True)
class FigurePart:
    """A figure, and its latest runs, those of the largest profile first; or why nothing computes it."""

    anchor: str
    title: str
    caption: str
    claims: tuple[ClaimPart, ...] = ()
    runs: tuple[Shown, ...] = ()
    omitted: Mapping[str, str] = field(default_factory=dict)
    not_computable: str = ""
    predictions: HeldPredictions | None = None

    @property
    def name(self) -> str:
        """Its short name."""
        return self.anchor.partition("/")[2]

    @property
    def known(self) -> bool:
        """Whether it was run here, or is recorded with a claim."""
        return bool(self.runs) or any(part.outcomes for part in self.claims)

    def outcomes(self, profile: str) -> list[tuple[ClaimPart, Outcome]]:
        """What became of its claims at a profile."""
        return [
            (part, one) for part in self.claims for one in part.outcomes if one.profile == profile
        ]


@dataclass(frozen=True)
class PaperPart:
    """A paper and its figures; ``declared`` are all profiles, the smallest first."""

    anchor: str
    paper: "Paper"
    declared: tuple[str, ...]
    figures: list[FigurePart] = field(default_factory=list)

    @property
    def profiles(self) -> list[str]:
        """Those at which anything was run or recorded, the largest first."""
        known = {one.profile for figure in self.figures for part in figure.claims
                 for one in part.outcomes}  # fmt: skip
        known |= {run.record.profile for figure in self.figures for run in figure.runs}
        return [profile for profile in reversed(self.declared) if profile in known]

    def tally(self, profile: str) -> dict[str, int]:
        """How many of all its claims came to each verdict at a profile."""
        found = (one for figure in self.figures for _, one in figure.outcomes(profile))
        return tally(one.verdict for one in found)


def contents(library: Library, figure_ids: Sequence[str], runs: Sequence[Run]) -> list[PaperPart]:
    """What is known of figures.

    Args:
        library: The manifests.
        figure_ids: Which figures, as they are named there.
        runs: On this machine, oldest first; those of other figures are left out.

    Returns:
        The papers with these figures, in the order of the library.

    Raises:
        ManifestError: If a manifest is wrong.
        StoreError: If a file of recorded runs is damaged.
    """
    papers, without = library.papers(), library.not_computable()
    profiles = library.profiles.names
    parts = {name: PaperPart(name, paper, profiles) for name, paper in papers.items()}
    for figure_id in library.ids():
        if figure_id not in figure_ids:
            continue
        figure = (
            _not_computable(figure_id, without[figure_id])
            if figure_id in without
            else _figure(library.load(figure_id), [r for r in runs if r.record.id == figure_id])
        )
        parts[figure_id.partition("/")[0]].figures.append(figure)
    return [part for part in parts.values() if part.figures]


def _not_computable(figure_id: str, figure: "NotComputable") -> FigurePart:
    return FigurePart(figure_id, figure.title, figure.caption, not_computable=figure.why)


def _figure(manifest: "FigureManifest", runs: Sequence[Run]) -> FigurePart:
    latest = {run.record.profile: run for run in runs if run.record.alternative is None}
    recorded = {profile: _recorded(manifest, profile) for profile in reversed(manifest.profiles)}
    profiles = [profile for profile in recorded if recorded[profile] or profile in latest]
    claims = []
    for claim in manifest.figure.claims:
        outcomes = [
            _outcome(claim, profile, recorded[profile], latest.get(profile)) for profile in profiles
        ]
        kept = tuple(one for one in outcomes if one.pooled or one.run)
        claims.append(ClaimPart(f"{manifest.id}/{claim.id}", claim, kept))
    return FigurePart(
        manifest.id,
        manifest.figure.title,
        manifest.figure.caption,
        tuple(claims),
        tuple(_shown(latest[profile], runs) for profile in profiles if profile in latest),
        manifest.own_omissions,
        predictions=held_predictions(manifest),
    )


def _recorded(manifest: "FigureManifest", profile: str) -> dict[str, tuple[PooledVerdict, Spread]]:
    runs = recorded_runs(manifest, profile)
    spreads = spreads_of(manifest, runs)
    return {one.id: (one, spreads[one.id]) for one in pool_runs(manifest, runs)} if runs else {}


def _outcome(
    claim: "Claim",
    profile: str,
    recorded: Mapping[str, tuple[PooledVerdict, Spread]],
    run: Run | None,
) -> Outcome:
    """The run counts as far as it was judged by what the manifest says now."""
    pooled, spread = recorded.get(claim.id, (None, None))
    asked = claim.id, claim.metric, claim.relation, claim.bound
    judged = () if run is None else run.record.claims
    own = (one for one in judged if (one.id, one.metric, one.relation, one.bound) == asked)
    seed = None if run is None else run.record.seed
    return Outcome(profile, pooled, spread, seed, next(own, None))


def _shown(run: Run, runs: Sequence[Run]) -> Shown:
    alternatives = {
        other.record.alternative: AlternativeRun(run.record, other.record)
        for other in runs
        if other.record.alternative is not None and _comparable(run.record, other.record)
    }
    return Shown(
        run.record, picture_of(run), flow_of(run.record.steps), tuple(alternatives.values())
    )


def _comparable(declared: Record, other: Record) -> bool:
    """Whether they differ in the alternative alone, and are judged by the same claims."""
    claims = [one.declared().figure.claims for one in (declared, other)]
    subjects = [(one.profile, one.seed) for one in (declared, other)]
    return claims[0] == claims[1] and subjects[0] == subjects[1]
