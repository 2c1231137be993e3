"""Finding manifests by name, and reading all that one figure needs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from repro.code import source
from repro.drawing import plot_module
from repro.errors import ManifestError, UsageError
from repro.loading import Document, load, nearest_names
from repro.manifest import Experiment, Figure, Paper, Profiles, declared_stages
from ssbrepro.stages import STAGES

_NOT_FIGURES = ("paper", "experiment")


@dataclass(frozen=True)
class DeclaredStage:
    """A stage as the manifests declare it: values with origins, and what profiles change."""

    name: str
    declaration: BaseModel
    profiles: Profiles

    def parameters(self, profile: str) -> dict[str, Any]:
        """Parameter values at a profile."""
        return {name: origin["value"] for name, origin in self.origins(profile).items()}

    def origins(self, profile: str) -> dict[str, dict[str, Any]]:
        """Parameter values at a profile, each with its provenance."""
        sizes = getattr(self.profiles, profile)
        overrides = getattr(sizes, self.name)
        origins = {}
        for name in type(self.declaration).model_fields:
            declared = getattr(self.declaration, name)
            override = None if overrides is None else getattr(overrides, name)
            if override is None:
                origins[name] = declared.model_dump(mode="json", exclude_defaults=True)
            else:
                origins[name] = {"value": override, "provenance": "profile", "why": sizes.why}
        return origins


@dataclass(frozen=True)
class FigureManifest:
    """A figure with its paper and its stages, in an order in which they can run."""

    id: str
    figure: Figure
    paper: Paper
    stages: tuple[DeclaredStage, ...]
    folder: Path

    def content(self, profile: str) -> dict[str, Any]:
        """All that this figure at this profile says, as plain data."""
        return {
            "id": self.id,
            "profile": profile,
            "paper": self.paper.model_dump(mode="json"),
            "figure": self.figure.model_dump(
                mode="json", exclude={"stages", "profiles", "shared_stages"}
            ),
            "stages": {stage.name: stage.origins(profile) for stage in self.stages},
        }

    def references_path(self, profile: str) -> Path:
        """Where the recorded runs of this figure at this profile are kept."""
        return self.folder / "references" / f"{self.id.partition('/')[2]}.{profile}.json"


class Library:
    """The manifests below one folder: ``<paper>/<figure>.yaml``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def ids(self) -> list[str]:
        """All figure ids, with fig2 before fig10."""
        paths = [path for path in self.root.glob("*/*.yaml") if path.stem not in _NOT_FIGURES]
        ids = [f"{path.parent.name}/{path.stem}" for path in paths]
        return sorted(ids, key=lambda name: [_numeric(part) for part in re.split(r"(\d+)", name)])

    def resolve(self, name: str) -> str:
        """The full id of a figure named in full or, where only one paper has it, in short.

        Raises:
            UsageError: If there is no such figure, or several.
        """
        ids = self.ids()
        if name in ids:
            return name
        matches = [known for known in ids if known.partition("/")[2] == name]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise UsageError(f"{name} is in several papers: {', '.join(matches)}")
        if not ids:
            raise UsageError(f"no manifests below {self.root}; set SSBREPRO_MANIFESTS")
        short = dict.fromkeys(known.partition("/")[2] for known in ids)
        hint = nearest_names(name, [*ids, *short])
        raise UsageError(f"no figure {name!r}{hint}; `repro list` shows all")

    def load(self, figure_id: str) -> FigureManifest:
        """Read a figure, its paper and the experiment it shares.

        Raises:
            ManifestError: With the faults of all the files.
        """
        folder = self.root / figure_id.partition("/")[0]
        faults: list[str] = []

        def read(path: Path, model: type[Any]) -> Any:
            try:
                return load(path, model)
            except ManifestError as error:
                faults.extend(error.faults)

        paper = read(folder / "paper.yaml", Paper)
        figure = read(self.root / f"{figure_id}.yaml", Figure)
        experiment = None
        if (folder / "experiment.yaml").exists():
            experiment = read(folder / "experiment.yaml", Experiment)
        if faults:
            raise ManifestError(faults)
        if source(plot_module(figure_id)) is None:
            problem = f"no module {plot_module(figure_id)} draws this figure"
            raise ManifestError([figure.fault((), problem)])
        stages = _assemble(figure, experiment)
        return FigureManifest(figure_id, figure.model, paper.model, stages, folder)


def _assemble(
    document: Document[Figure], experiment: Document[Experiment] | None
) -> tuple[DeclaredStage, ...]:
    """The figure's stages and those it shares; faults where they do not fit together."""
    figure = document.model
    faults = _faulty_overrides(document, figure.stages, figure.profiles)
    own = declared_stages(figure.stages)
    shared: Mapping[str, BaseModel] = {}
    if experiment is not None:
        shared = declared_stages(experiment.model.stages)
        faults += _faulty_overrides(experiment, experiment.model.stages, experiment.model.profiles)
    stages = {}
    for name, block in own.items():
        if figure.profiles is None:
            faults.append(document.fault(("stages",), "stages of its own need 'profiles'"))
            break
        stages[name] = DeclaredStage(name, block, figure.profiles)
    for index, name in enumerate(figure.shared_stages):
        place = ("shared_stages", index)
        if name not in shared or experiment is None:
            hint = nearest_names(name, shared)
            faults.append(
                document.fault(place, f"experiment.yaml declares no stage {name!r}{hint}")
            )
        elif name in own:
            faults.append(document.fault(place, f"stage {name!r} is declared here as well"))
        else:
            stages[name] = DeclaredStage(name, shared[name], experiment.model.profiles)
    for name in stages:
        for needed in STAGES[name].needs:
            if needed not in stages:
                problem = f"stage {name!r} needs stage {needed!r}; add it to 'shared_stages'"
                faults.append(document.fault(("stages", name), problem))
    for group in ("identities", "claims", "references"):
        known: set[str] = set()
        for index, entry in enumerate(getattr(figure, group)):
            for field in ("metric", "noise"):
                metric = getattr(entry, field, None)
                if metric is not None and metric.partition(".")[0] not in stages:
                    problem = f"{metric!r} is of a stage this figure does not run"
                    faults.append(document.fault((group, index, field), problem))
            name = "metric" if group == "references" else "id"
            if (text := getattr(entry, name)) in known:
                faults.append(document.fault((group, index, name), f"{text!r} is there already"))
            known.add(text)
    if faults:
        raise ManifestError(faults)
    return tuple(stages[name] for name in STAGES if name in stages)


def _faulty_overrides(
    document: Document[Any], stages: BaseModel, profiles: Profiles | None
) -> list[str]:
    """Profiles that change a stage the same file does not declare."""
    if profiles is None:
        return []
    declared = declared_stages(stages)
    return [
        document.fault(("profiles", profile, name), f"stage {name!r} is not declared in this file")
        for profile in Profiles.model_fields
        for name in STAGES
        if getattr(getattr(profiles, profile), name) is not None and name not in declared
    ]


def _numeric(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdigit() else (0, part)
