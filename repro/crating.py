"""From a home to a folder for reviewers: runs with all that made them, as a Process Run Crate.

The folder is laid out as a home with manifests in it, so that what checks a home checks it. Its software
is what is here, by version and commit: a run that code or manifests of here would not make again is
refused.
"""

import datetime
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro import bounded, files
from repro.code import commit
from repro.errors import StoreError, UsageError
from repro.machine import Facts
from repro.manifests.library import FigureManifest, Library
from repro.manifests.profiles import PROFILES_FILE
from repro.outcome import sums
from repro.outcome.crate import METADATA, CrateRun, metadata
from repro.outcome.crate_entities import CrateFile
from repro.outcome.reading import all_runs
from repro.outcome.record import Run
from repro.outcome.recording import digest_of
from repro.plan import make_plan
from repro.settings import Settings
from repro.store import ARRAYS, META, RESULT, Store

_CHUNK_BYTES = 2**20


def chosen_runs(
    settings: Settings,
    ids: Iterable[str],
    profile: str | None,
    seeds: Sequence[int] | None,
    say: Callable[[str], None] = lambda text: None,
) -> list[Run]:
    """The latest run of each figure as declared, or the latest with each of some seeds.

    Args:
        settings: Where runs are.
        ids: Figures that are computed.
        profile: At which; of each figure's latest run if None.
        seeds: With which; that of the latest run if None.
        say: Told of runs that are damaged, and so are left out.

    Raises:
        UsageError: If there is none of a figure or seed; it names all that are missing.
    """
    every = [run for run in all_runs(settings, say) if run.record.alternative is None]
    found, missing = [], []
    for figure_id in ids:
        own = [run for run in every if run.record.id == figure_id]
        at = profile or (own[-1].record.profile if own else None)
        own = [run for run in own if run.record.profile == at]
        latest = {run.record.seed: run for run in own}
        for seed in [own[-1].record.seed if own else 0] if seeds is None else seeds:
            if seed in latest:
                found.append(latest[seed])
            else:
                option = "" if at is None else f" --profile {at}"
                missing.append(f"not run here: repro run {figure_id}{option} --seed {seed}")
    if missing:
        raise UsageError(*missing)
    return found


@dataclass(frozen=True)
class _Part:
    """A file to copy."""

    source: Path
    place: str
    title: str


class Crate:
    """Runs that go to a crate, and the files that go with them.

    Args:
        settings: Where manifests and results are.
        runs: The runs.

    Raises:
        UsageError: If code or manifests of here would not make one of them; it names all of these.
        StoreError: If a result is damaged.
        ManifestError: If a manifest is wrong.
    """

    def __init__(self, settings: Settings, runs: Sequence[Run]) -> None:
        self._settings = settings
        self._store = Store(settings.home / "store")
        self._parts: dict[str, _Part] = {}
        library = Library(settings.manifests)
        stale: list[str] = []
        self._runs = [self._gathered(run, library.load(run.record.id), stale) for run in runs]
        if stale:
            raise UsageError(*stale)
        self.results = len({step.key for run in runs for step in run.record.steps})
        self.size = sum(part.source.stat().st_size for part in self._parts.values())

    def write(self, folder: Path, progress: Callable[[int, int], None]) -> None:
        """Make the folder, whole or not at all.

        Args:
            folder: It is not there, or empty.
            progress: Told how many bytes are copied, and of how many.

        Raises:
            StoreError: If something cannot be read or written, or is no longer what it was.
        """
        with files.new_folder(folder) as aside:
            done, copied = 0, []
            for part in self._parts.values():
                copied.append(_copy(part, aside / part.place))
                done += copied[-1].size
                progress(done, max(self.size, done))
            self._compare(copied)
            copied += self._lists(aside, {file.place: file.sha256 for file in copied})
            now = datetime.datetime.now(datetime.UTC)
            content = metadata(self._runs, copied, commit(), now)
            files.write_json(aside / METADATA, content)

    def _gathered(self, run: Run, manifest: FigureManifest, stale: list[str]) -> CrateRun:
        record = run.record
        metas = {}
        for step in record.steps:
            if problem := self._store.problem(step.key):
                raise StoreError(f"{self._store.folder(step.key)}: {problem}; {record.command}")
            metas[step.key] = files.read_json(self._store.folder(step.key) / META)
        facts = Facts.among(metas[record.steps[0].key]["parts"])
        if digest_of(make_plan(manifest, record.profile, record.seed, facts)) != record.digest:
            stale.append(
                f"{record.id} at {record.profile}, seed {record.seed}: code, manifest or recorded runs "
                f"have changed since it was run; {record.command}"
            )
        return CrateRun(
            record=record,
            metas=metas,
            domains=manifest.domains,
            manifests=[self._add_manifest(path) for path in _manifests(manifest)],
            references=[
                self._add_manifest(path)
                for path in [manifest.references_path(record.profile), manifest.predictions_path]
                if path.exists()
            ],
            steps={
                step.key: [
                    self._add(
                        self._store.folder(step.key) / name,
                        f"store/{step.key}/{name}",
                        f"{name} of stage {step.stage}",
                    )
                    for name in (ARRAYS, RESULT, META)
                ]
                for step in record.steps
            },
            outputs=[
                self._add(
                    run.folder / name,
                    (run.folder / name).relative_to(self._settings.home).as_posix(),
                    f"{name} of {record.id}",
                )
                for name in record.files
            ],
        )

    def _add_manifest(self, path: Path) -> str:
        place = path.relative_to(self._settings.manifests).as_posix()
        return self._add(path, f"manifests/{place}", place)

    def _add(self, source: Path, place: str, title: str) -> str:
        return self._parts.setdefault(place, _Part(source, place, title)).place

    def _lists(self, aside: Path, digests: Mapping[str, str]) -> Iterator[CrateFile]:
        """Write the lists of recorded runs and predictions, of those that the crate has.

        Yields:
            What was written.
        """
        folders: dict[str, dict[str, str]] = {}
        for place in (place for run in self._runs for place in run.references):
            folder, _, name = place.rpartition("/")
            folders.setdefault(folder, {})[name] = digests[place]
        for folder, listed in folders.items():
            place = f"{folder}/{sums.SUMS}"
            content = sums.text(listed)
            files.write_text(aside / place, content)
            digest = hashlib.sha256(content.encode()).hexdigest()
            title = f"Digests of {folder.rpartition('/')[2]}"
            yield CrateFile(place, title, len(content.encode()), digest)

    def _compare(self, copied: Iterable[CrateFile]) -> None:
        """Compare the copies of results, pictures and verdicts with the digests of the records.

        Raises:
            StoreError: If one differs.
        """
        digests = {file.place: file.sha256 for file in copied}
        for run in self._runs:
            for place in run.outputs:
                wanted = run.record.digests.get(Path(place).name)
                if wanted is not None and digests[place] != wanted:
                    raise StoreError(f"{place}: changed meanwhile; the same command tries again")
            for step in run.record.steps:
                for name, digest in step.digests.items():
                    place = f"store/{step.key}/{name}"
                    if digests[place] != digest:
                        raise StoreError(f"{place}: is not what the run was made of")


def _manifests(manifest: FigureManifest) -> list[Path]:
    """The files that a figure was read from."""
    stems = ("paper", "experiment", manifest.id.partition("/")[2])
    paths = [manifest.folder.parent / PROFILES_FILE]
    paths += [manifest.folder / f"{stem}.yaml" for stem in stems]
    return [path for path in paths if path.exists()]


def _copy(part: _Part, target: Path) -> CrateFile:
    """Copy a file into a new folder.

    Raises:
        StoreError: If it cannot be read or written.
    """
    digest, size = hashlib.sha256(), 0
    with files.writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            files.reading(part.source),
            bounded.opened(part.source) as source,
            target.open("xb") as copy,
        ):
            for chunk in iter(lambda: source.read(_CHUNK_BYTES), b""):
                copy.write(chunk)
                digest.update(chunk)
                size += len(chunk)
    return CrateFile(part.place, part.title, size, digest.hexdigest())
