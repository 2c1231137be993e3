"""Predictions: numbers of larger profiles, written down before anything of that size was run.

What is predicted is a stage's business: at the profile it is made by, each recorded run measures the
two ends of an interval. They are frozen here into a committed file, which later runs are held against.
"""

import datetime
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from repro import files
from repro.code import commit
from repro.errors import StoreError, UsageError
from repro.outcome import sums, wording
from repro.outcome.pooling import MIN_SEEDS, seeds_of
from repro.outcome.record import Run
from repro.outcome.references import recorded_runs
from repro.outcome.verdicts import Described, PredictionVerdict, PredictionWord

if TYPE_CHECKING:
    from repro.manifests.library import FigureManifest


@dataclass(frozen=True)
class PredictedNumber:
    """Where one run is expected with 95 % probability."""

    metric: str
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class FrozenPredictions:
    """A file of predictions: of which figure, by the runs of which seeds, and when.

    ``commit`` is the checkout's, ``digest`` that of all else in the file, compared whenever it is read.
    """

    schema_version: Literal[1]
    id: str
    made_by: str
    seeds: tuple[int, ...]
    made_at: str
    commit: str
    numbers: tuple[PredictedNumber, ...]
    digest: str = ""

    def sealed(self) -> str:
        """The digest that the file should have."""
        return files.canonical_digest({**asdict(self), "digest": ""})


def frozen_predictions(manifest: "FigureManifest") -> FrozenPredictions | None:
    """What is predicted of a figure as declared, if it has been.

    Raises:
        StoreError: If the file is damaged, or was changed after it had been made.
    """
    path = manifest.predictions_path
    if manifest.alternative is not None or (content := sums.read(path)) is None:
        return None
    try:
        found = files.checked(content, FrozenPredictions)
    except ValueError as error:
        raise StoreError(f"{path}: is damaged: {error}") from error
    if found.id != manifest.id:
        raise StoreError(f"{path}: is not about {manifest.id}")
    if found.digest != found.sealed():
        raise StoreError(f"{path}: was changed after it had been made")
    return found


@dataclass(frozen=True, kw_only=True)
class Later(Described):
    """What recorded runs of a larger profile gave of a predicted number."""

    profile: str
    """Of the runs."""
    values: tuple[float, ...]
    """One a seed, ascending."""
    as_predicted: int
    """How many of them lie in the interval."""


@dataclass(frozen=True, kw_only=True)
class HeldNumber(Described):
    """A predicted number, and what became of it."""

    metric: str
    """What is predicted, "stage.number"."""
    low: float
    """The lower end of where one new run is expected with 95 % probability."""
    high: float
    """The upper end."""
    later: tuple[Later, ...]
    """The profiles at which it was measured since, the smallest first."""


@dataclass(frozen=True, kw_only=True)
class HeldPredictions(Described):
    """What was predicted of a figure's larger profiles, before anything was run there."""

    made_by: str
    """The profile whose runs predict."""
    seeds: tuple[int, ...]
    """Their root seeds."""
    made_at: str
    """When, in ISO 8601."""
    numbers: tuple[HeldNumber, ...]
    """In the manifest's order."""


def held_predictions(manifest: "FigureManifest") -> HeldPredictions | None:
    """What was predicted of a figure, beside what is recorded since; none if nothing was predicted.

    Raises:
        StoreError: If a file is damaged.
    """
    made, wanted = frozen_predictions(manifest), manifest.figure.predictions
    if made is None or wanted is None:
        return None
    later = {
        profile: seeds_of(manifest, recorded_runs(manifest, profile))
        for profile in manifest.profiles
        if profile in wanted.of
    }

    def of(number: PredictedNumber) -> HeldNumber:
        found = []
        for profile, seeds in later.items():
            values = sorted(
                run.metrics[number.metric] for run in seeds if number.metric in run.metrics
            )
            held = sum(number.low <= value <= number.high for value in values)
            if values:
                found.append(Later(profile=profile, values=tuple(values), as_predicted=held))
        return HeldNumber(**asdict(number), later=tuple(found))

    return HeldPredictions(
        made_by=made.made_by,
        seeds=made.seeds,
        made_at=made.made_at,
        numbers=tuple(map(of, made.numbers)),
    )


def freeze(manifest: "FigureManifest", known: Iterable[Run]) -> FrozenPredictions:
    """Write down what the recorded runs of a figure predict, once and for all.

    Each end of an interval is the median of the seeds' own. Every one of those is to hold a new run 19
    times in 20, with its own seed's chance in its middle, so their median holds it no less often; and no
    change of scale alters it.

    Args:
        manifest: The figure.
        known: Runs of this machine.

    Raises:
        UsageError: If the figure predicts nothing, has been predicted, has been run at a profile that
            is predicted, or too few seeds are recorded.
        StoreError: If a file is damaged, or cannot be written.
    """
    wanted = manifest.figure.predictions
    if wanted is None:
        raise UsageError(f"{manifest.id} predicts nothing: its manifest has no 'predictions'")
    if made := frozen_predictions(manifest):
        raise UsageError(
            f"{manifest.id} has been predicted at {made.made_at}, in {manifest.predictions_path}; a "
            "prediction is made once"
        )
    facts = {run.record.profile: run.folder for run in known if run.record.id == manifest.id}
    facts |= {
        profile: manifest.references_path(profile)
        for profile in wanted.of
        if recorded_runs(manifest, profile)
    }
    for profile in wanted.of:
        if profile in facts:
            raise UsageError(
                f"{manifest.id} has been run at {profile}: {facts[profile]}; what is known cannot be "
                "predicted"
            )
    seeds = seeds_of(manifest, recorded_runs(manifest, wanted.by))

    def median(metric: str) -> float:
        values = [seed.metrics[metric] for seed in seeds if metric in seed.metrics]
        if len(values) < MIN_SEEDS:
            raise UsageError(
                f"{manifest.id}: {metric} is recorded of {wording.counted(len(values), 'seed')} at "
                f"{wanted.by}; a prediction needs {MIN_SEEDS}: repro record {manifest.id} "
                f"--profile {wanted.by} --seeds 0-{MIN_SEEDS - 1}"
            )
        return statistics.median(values)

    numbers = tuple(
        PredictedNumber(one.metric, median(one.low), median(one.high)) for one in wanted.numbers
    )
    unsealed = FrozenPredictions(
        schema_version=1,
        id=manifest.id,
        made_by=wanted.by,
        seeds=tuple(sorted({run.seed for run in recorded_runs(manifest, wanted.by)})),
        made_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        commit=commit(),
        numbers=numbers,
    )
    made = replace(unsealed, digest=unsealed.sealed())
    with sums.locked(manifest.predictions_path.parent):
        sums.write_json(manifest.predictions_path, asdict(made))
    return made


def judge_predictions(
    manifest: "FigureManifest", profile: str, metrics: Mapping[str, float]
) -> tuple[PredictionVerdict, ...]:
    """What became of the predictions of a profile, as far as a run measured what they are about.

    Raises:
        StoreError: If the file of predictions is damaged.
    """
    wanted = manifest.figure.predictions
    if wanted is None or profile not in wanted.of or manifest.alternative is not None:
        return ()
    made = frozen_predictions(manifest)
    intervals = {one.metric: (one.low, one.high) for one in made.numbers} if made else {}
    return tuple(
        _judged(one.metric, metrics[one.metric], intervals.get(one.metric))
        for one in wanted.numbers
        if one.metric in metrics
    )


def _judged(metric: str, value: float, interval: tuple[float, float] | None) -> PredictionVerdict:
    if interval is None:
        return PredictionVerdict(metric, value, None, None, "not predicted")
    low, high = interval
    word: PredictionWord = "as predicted" if low <= value <= high else "not as predicted"
    return PredictionVerdict(metric, value, low, high, word)
