"""Runs that were recorded elsewhere: checked against what is here, then merged with what is recorded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro import files
from repro.errors import StoreError, UsageError
from repro.manifests.library import FigureManifest, Library
from repro.names import nearest_names
from repro.outcome import sums
from repro.outcome.checks import judge
from repro.outcome.machines import MachineName
from repro.outcome.references import RecordedRun, RecordedRuns, merged, recorded_runs, write_runs


@dataclass(frozen=True)
class Merge:
    """What is to be recorded of a figure at a profile: what was there before, and with it the rest."""

    manifest: FigureManifest
    profile: str
    before: tuple[RecordedRun, ...]
    after: tuple[RecordedRun, ...]

    @property
    def new(self) -> list[RecordedRun]:
        """The runs that were not there."""
        return [run for run in self.after if run not in self.before]

    @property
    def machines(self) -> set[MachineName]:
        """Those that everything was recorded on."""
        return {run.made_on for run in self.after}

    def write(self) -> None:
        """Record it, if there is anything new.

        Raises:
            StoreError: If the file cannot be written.
        """
        if self.new:
            write_runs(self.manifest, self.profile, self.after)


def merge_files(library: Library, paths: Iterable[Path]) -> list[Merge]:
    """What files of recorded runs make of ours, one a figure and profile; nothing is written yet.

    Raises:
        StoreError: If what is recorded here is damaged.
        UsageError: If a file cannot be read, or its runs are not what manifests here would record.
        ManifestError: If a manifest is wrong.
    """
    merges: dict[tuple[str, str], Merge] = {}
    for path in paths:
        content = read_runs(path)
        manifest = manifest_of(library, path, content.id, content.profile)
        for run in content.runs:
            if problem := _problem(manifest, run):
                raise UsageError(f"{path}: seed {run.seed}: {problem}")
        subject = manifest.id, content.profile
        known = merges.get(subject)
        before = _before(manifest, content.profile, path) if known is None else known.before
        others = before if known is None else known.after
        after = merged([*others, *content.runs])
        merges[subject] = Merge(manifest, content.profile, before, after)
    return list(merges.values())


def _before(manifest: FigureManifest, profile: str, path: Path) -> tuple[RecordedRun, ...]:
    """What is recorded; nothing if the file to import is our own that is not as it is listed.

    Raises:
        StoreError: If either file is not as it is listed otherwise.
    """
    ours = manifest.references_path(profile)
    own = ours.exists() and ours.samefile(path)
    try:
        if not own:
            sums.refuse_changed(path)
        return recorded_runs(manifest, profile)
    except StoreError:
        if own:
            return ()
        raise


def read_runs(path: Path) -> RecordedRuns:
    """A file of recorded runs, wherever it is.

    Raises:
        UsageError: If it cannot be read or is none; it says what is one.
    """
    try:
        return files.read_as(path, RecordedRuns)
    except StoreError as error:
        line = " ".join(str(error).split())
        raise UsageError(
            f"{line}; recorded runs are what `repro record` writes into manifests/*/references/"
        ) from error


def manifest_of(library: Library, path: Path, figure_id: str, profile: str) -> FigureManifest:
    """The figure that a file says its runs are of.

    Raises:
        UsageError: If it is not here, or not at this profile.
    """
    if figure_id not in library.computed():
        hint = nearest_names(figure_id, library.computed())
        raise UsageError(f"{path}: is of {figure_id}{hint}, which no manifest here declares")
    known = library.profiles.names
    if profile not in known:
        raise UsageError(f"{path}: is at {profile!r}; there are {', '.join(known)}")
    manifest = library.load(figure_id)
    if profile in manifest.omitted:
        raise UsageError(f"{path}: {manifest.omission(profile)}")
    return manifest


def _problem(manifest: FigureManifest, run: RecordedRun) -> str | None:
    """Why a run cannot be recorded here, with the way out; nothing if it can be."""
    again = "; record it there again, with the release that is here"
    if not run.made_on.known:
        return f"does not say which machine it is of{again}"
    if run.seed < 0 or any(step.seconds < 0 for step in run.steps):
        return f"a seed or a time is negative{again}"
    found = _unknown(manifest, run) or _impossible(manifest, run) or _misjudged(manifest, run)
    return f"{found}{again}" if found else None


def _unknown(manifest: FigureManifest, run: RecordedRun) -> str | None:
    """What the run names that the manifest does not, or the other way round."""
    stages = [stage.name for stage in manifest.stages]
    claims = [claim.id for claim in manifest.figure.claims]
    named: Sequence[tuple[str, Iterable[str], Sequence[str]]] = (
        ("stage", (step.stage for step in run.steps), stages),
        ("number", (*run.metrics, *run.missing), list(manifest.domains)),
        ("claim", run.claims, claims),
    )
    for kind, names, known in named:
        for name in names:
            if name not in known:
                return f"{manifest.id} has no {kind} {name!r}{nearest_names(name, known)}"
    measured = {*run.metrics, *run.missing}
    lacks = [f"claim {claim!r}" for claim in claims if claim not in run.claims]
    lacks += [one.metric for one in manifest.figure.references if one.metric not in measured]
    return f"says nothing of {lacks[0]}" if lacks else None


def _impossible(manifest: FigureManifest, run: RecordedRun) -> str | None:
    for name, value in run.metrics.items():
        if not manifest.domains[name].holds(value):
            return f"{name} = {value:g}, which is not in {manifest.domains[name]}"
    return None


def _misjudged(manifest: FigureManifest, run: RecordedRun) -> str | None:
    """An identity that does not hold, or a verdict that is not what the bounds here make of it."""
    judged = judge(manifest.figure, run.metrics, run.missing, ())
    if judged.violations:
        return judged.violations[0]
    for claim in judged.claims:
        if run.claims[claim.id] != claim.verdict:
            said = f"claim {claim.id} is {run.claims[claim.id]!r} there"
            return f"{said}, and {claim.verdict!r} by the manifest here"
    return None
