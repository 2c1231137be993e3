"""All that is recorded, as data: what the tables, the pages and a registry of replications read.

Fields keep their names and meaning within a ``schema_version``, and are only ever added to.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from repro.outcome.machines import by_machine, labels
from repro.outcome.pooling import PooledVerdict, pool_runs
from repro.outcome.predictions import HeldPredictions, held_predictions
from repro.outcome.references import recorded_runs
from repro.outcome.verdicts import Described
from ssbrepro import __version__

if TYPE_CHECKING:
    from repro.manifests.library import FigureManifest, Library
    from repro.manifests.models import NotComputable
    from repro.outcome.machines import MachineName
    from repro.outcome.references import RecordedRun


@dataclass(frozen=True, kw_only=True)
class MachineVerdicts(Described):
    """What the runs of one machine say."""

    machine: str
    """Its GPU or processor, told apart from others of the same name."""
    device: str
    """ "cpu" or "cuda"."""
    system: str
    """Operating system."""
    architecture: str
    """Of the processor, such as "x86_64"."""
    seeds: tuple[int, ...]
    """Root seeds of the runs."""
    recorded: tuple[str, str]
    """When the first and the last of them were recorded, in ISO 8601."""
    versions: tuple[Mapping[str, str], ...]
    """Of the libraries, each combination once."""
    claims: tuple[PooledVerdict, ...]
    """In the manifest's order."""


@dataclass(frozen=True, kw_only=True)
class ProfileVerdicts(Described):
    """What all recorded runs of a figure say at one size."""

    profile: str
    """How much is run; ``profiles`` of the catalogue say what it is for."""
    seeds: tuple[int, ...]
    """Root seeds, each counted once, whatever machines ran it."""
    claims: tuple[PooledVerdict, ...]
    """Over all machines, in the manifest's order."""
    machines: tuple[MachineVerdicts, ...]
    """The same for each machine by itself."""


@dataclass(frozen=True, kw_only=True)
class FigureVerdicts(Described):
    """A figure of a paper, or a claim's that has none, and what is recorded of it."""

    id: str
    """ "paper/figure"."""
    title: str
    """What it shows."""
    caption: str
    """The paper's own where there is one."""
    why_not: str
    """Why nothing can compute it, such as a photograph."""
    profiles: tuple[ProfileVerdicts, ...]
    """Those at which runs are recorded, the smallest first."""
    omitted: Mapping[str, str]
    """Why it is not to be had at other profiles."""
    predictions: HeldPredictions | None
    """What was predicted of its larger profiles, where anything was."""

    @property
    def name(self) -> str:
        """The figure's name within its paper."""
        return self.id.partition("/")[2]

    def at(self, profile: str) -> ProfileVerdicts | None:
        """What is recorded at a profile, if anything is."""
        return next((one for one in self.profiles if one.profile == profile), None)


@dataclass(frozen=True, kw_only=True)
class PaperVerdicts(Described):
    """A paper and its figures."""

    id: str
    """Its name here."""
    title: str
    """As published."""
    authors: tuple[str, ...]
    """As published."""
    year: int
    """Of this version."""
    identifier: str
    """Where it is found, such as "arXiv:2201.07934"."""
    profiles: tuple[str, ...]
    """Those at which any of its figures is recorded, the smallest first."""
    figures: tuple[FigureVerdicts, ...]
    """All that there are manifests of, and those that nothing computes."""


@dataclass(frozen=True, kw_only=True)
class ProfileEntry(Described):
    """How much of a figure is run."""

    name: str
    """As in ``--profile``."""
    purpose: str
    """What it is for."""
    budget_minutes: int
    """What all figures of a paper may take."""
    device: Literal["cpu", "cuda", "any"]
    """What it is meant for."""


@dataclass(frozen=True, kw_only=True)
class Catalogue(Described):
    """Every recorded claim of every figure, profile and machine, with its verdict."""

    schema_version: Literal[1]
    """A reader of this version can read whatever has it."""
    project: Literal["ssbrepro"]
    """Who judges."""
    version: str
    """The project's."""
    profiles: tuple[ProfileEntry, ...]
    """All that there are, the smallest first."""
    papers: tuple[PaperVerdicts, ...]
    """By name."""

    def figure(self, figure_id: str) -> FigureVerdicts:
        """A figure by its id, "paper/figure".

        Raises:
            KeyError: If there is none.
        """
        figures = {figure.id: figure for paper in self.papers for figure in paper.figures}
        return figures[figure_id]

    def as_json(self) -> str:
        """The content of ``verdicts.json``."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def catalogue(library: "Library") -> Catalogue:
    """What is recorded of all figures of a library.

    Raises:
        ManifestError: If a manifest is wrong.
        StoreError: If a file of recorded runs is damaged.
    """
    return Catalogue(
        schema_version=1,
        project="ssbrepro",
        version=__version__,
        profiles=tuple(
            ProfileEntry(
                name=one.name,
                purpose=one.purpose,
                budget_minutes=one.budget_minutes,
                device=one.device,
            )
            for one in library.profiles.profiles
        ),
        papers=tuple(paper_verdicts(library, name) for name in library.papers()),
    )


def paper_verdicts(library: "Library", name: str) -> PaperVerdicts:
    """What is recorded of the figures of a paper that can be read.

    Raises:
        ManifestError: If one of its manifests is wrong.
        StoreError: If a file of recorded runs is damaged.
    """
    paper = library.papers()[name]
    without = library.not_computable()
    figures = tuple(
        _without(figure_id, without[figure_id])
        if figure_id in without
        else _figure(library.load(figure_id))
        for figure_id in library.ids()
        if figure_id.partition("/")[0] == name
    )
    recorded = {one.profile for figure in figures for one in figure.profiles}
    return PaperVerdicts(
        id=name,
        title=paper.title,
        authors=paper.authors,
        year=paper.year,
        identifier=paper.identifier,
        profiles=tuple(library.profiles.ascending(recorded)),
        figures=figures,
    )


def schema() -> str:
    """The JSON Schema of ``verdicts.json``."""
    from pydantic import TypeAdapter

    content: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    content |= TypeAdapter(Catalogue).json_schema(mode="serialization")
    return json.dumps(content, indent=1) + "\n"


def _without(figure_id: str, figure: "NotComputable") -> FigureVerdicts:
    return FigureVerdicts(
        id=figure_id,
        title=figure.title,
        caption=figure.caption,
        why_not=figure.why,
        profiles=(),
        omitted={},
        predictions=None,
    )


def _figure(manifest: "FigureManifest") -> FigureVerdicts:
    recorded = {profile: recorded_runs(manifest, profile) for profile in manifest.profiles}
    return FigureVerdicts(
        id=manifest.id,
        title=manifest.figure.title,
        caption=manifest.figure.caption,
        why_not="",
        profiles=tuple(
            _profile(manifest, profile, runs) for profile, runs in recorded.items() if runs
        ),
        omitted=manifest.omitted,
        predictions=held_predictions(manifest),
    )


def _profile(
    manifest: "FigureManifest", profile: str, runs: Sequence["RecordedRun"]
) -> ProfileVerdicts:
    groups = by_machine(runs)
    names = labels(groups.keys())
    return ProfileVerdicts(
        profile=profile,
        seeds=tuple(sorted({run.seed for run in runs})),
        claims=pool_runs(manifest, runs),
        machines=tuple(
            _machine(manifest, machine, names[machine], groups[machine])
            for machine in sorted(groups)
        ),
    )


def _machine(
    manifest: "FigureManifest", machine: "MachineName", name: str, runs: Sequence["RecordedRun"]
) -> MachineVerdicts:
    moments = sorted(runs, key=lambda run: run.moment)
    versions = {tuple(sorted(run.versions.items())) for run in runs}
    return MachineVerdicts(
        machine=name,
        device=machine.device,
        system=machine.system,
        architecture=machine.architecture,
        seeds=tuple(sorted(run.seed for run in runs)),
        recorded=(moments[0].recorded_at, moments[-1].recorded_at),
        versions=tuple(dict(one) for one in sorted(versions)),
        claims=pool_runs(manifest, runs),
    )
