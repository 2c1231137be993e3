"""Finding manifests by name, and reading all that one figure needs."""

import contextlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.code import source
from repro.errors import ManifestError, UsageError
from repro.manifests.loading import Document, flow_text, flow_value, load
from repro.names import nearest_names, plot_module
from ssbrepro.contract import Stage
from ssbrepro.domains import Domain
from ssbrepro.papers import stages as stages_of

if TYPE_CHECKING:  # building these models takes longer than listing the manifests
    from pydantic import BaseModel

    from repro.manifests.models import Experiment, Figure, NotComputable, Paper, Profiles

_NOT_FIGURES = ("paper", "experiment")


@dataclass(frozen=True)
class DeclaredStage:
    """A stage as the manifests declare it: values with origins, and what profiles change.

    ``overrides`` are origins, by profile, that win over both: those of an alternative.
    """

    name: str
    declaration: "BaseModel"
    profiles: "Profiles"
    overrides: Mapping[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

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
                origins[name] = declared.model_dump(
                    mode="json", by_alias=True, exclude_defaults=True
                )
            else:
                origins[name] = {"value": override, "provenance": "profile", "why": sizes.why}
        return origins | self.overrides.get(profile, {})

    def alternatives(self) -> Iterator[tuple[str, "DeclaredStage"]]:
        """This stage with each of its alternatives applied, and how that is written.

        Yields:
            The text, as for ``--alternative`` but without the stage's name, and the stage.
        """
        for name in type(self.declaration).model_fields:
            for alternative in getattr(self.declaration, name).alternatives:
                content = alternative.model_dump(mode="json", exclude_none=True)
                always = {name: content["value"], **content.get("with_", {})}
                sizes = content.get("profiles", {})
                overrides = {
                    profile: {
                        parameter: {
                            "value": value,
                            "provenance": "alternative",
                            "why": content["why"],
                        }
                        for parameter, value in (always | sizes.get(profile, {})).items()
                    }
                    for profile in type(self.profiles).model_fields
                }
                yield f"{name}={flow_text(content['value'])}", replace(self, overrides=overrides)


@dataclass(frozen=True)
class FigureManifest:
    """A figure with its paper and its stages, in an order in which they can run.

    ``alternative`` says which one is applied, such as "width=0.5"; none in a figure as declared.
    """

    id: str
    figure: "Figure"
    paper: "Paper"
    stages: tuple[DeclaredStage, ...]
    folder: Path
    alternative: str | None = None

    @property
    def paper_id(self) -> str:
        """The folder of its paper, and the package of the paper's stages."""
        return self.id.partition("/")[0]

    @property
    def domains(self) -> dict[str, Domain]:
        """Where each number of its stages can lie, "stage.number"."""
        known = stages_of(self.paper_id)
        return {
            f"{stage.name}.{number}": domain
            for stage in self.stages
            for number, domain in known[stage.name].numbers.items()
        }

    def with_alternative(self, text: str) -> "FigureManifest":
        """This figure with one assumed value replaced by a listed alternative.

        It has no references: what is recorded is of the figure as declared.

        Args:
            text: "NAME=VALUE", or "stage.NAME=VALUE" where two stages have the same alternative.

        Raises:
            UsageError: If this is not one of the alternatives; it lists them.
        """
        known = self.alternatives()
        for label, changed in known.items():
            if _assignment(label) == _assignment(text):
                return replace(
                    self,
                    figure=self.figure.model_copy(update={"references": ()}),
                    stages=tuple(changed if s.name == changed.name else s for s in self.stages),
                    alternative=label,
                )
        options = [f"  {shlex.join(['--alternative', label])}" for label in known]
        raise UsageError(
            "\n".join([f"{self.id} has no alternative {text!r}; it has:", *options])
            if options
            else f"{self.id} has no alternatives"
        )

    def alternatives(self) -> dict[str, DeclaredStage]:
        """Stages with an alternative applied, by how it is written."""
        found = [entry for stage in self.stages for entry in stage.alternatives()]
        times = Counter(_assignment(label) for label, _ in found)
        return {
            label if times[_assignment(label)] == 1 else f"{stage.name}.{label}": stage
            for label, stage in found
        }

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
    """The manifests below one folder: ``<paper>/<figure>.yaml``.

    What the figures of a paper share is read once.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._shared: dict[Path, Document[Any] | ManifestError] = {}

    def ids(self) -> list[str]:
        """All figure ids, with fig2 before fig10."""
        return sorted([*self.computed(), *self.not_computable()], key=_natural)

    def computed(self) -> list[str]:
        """The ids of those that :meth:`load` reads."""
        paths = [path for path in self.root.glob("*/*.yaml") if path.stem not in _NOT_FIGURES]
        return sorted((f"{path.parent.name}/{path.stem}" for path in paths), key=_natural)

    def not_computable(self) -> dict[str, "NotComputable"]:
        """The figures that nothing computes, by id; none of a paper that cannot be read."""
        return {
            f"{folder}/{one.id}": one
            for folder, paper in self.papers().items()
            for one in paper.not_computable
        }

    def papers(self) -> dict[str, "Paper"]:
        """The papers that can be read, by folder; what is wrong with another, :meth:`load` says."""
        from repro.manifests.models import Paper

        found = {
            path.parent.name: self._read_once(path, Paper)
            for path in sorted(self.root.glob("*/paper.yaml"))
        }
        return {
            name: document.model
            for name, document in found.items()
            if not isinstance(document, ManifestError)
        }

    def names(self) -> list[str]:
        """All names that :meth:`resolve` takes: ids, and what is short for one of them."""
        ids = self.ids()
        times = Counter(figure_id.partition("/")[2] for figure_id in ids)
        return [*ids, *(short for short, number in times.items() if number == 1)]

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
        hint = nearest_names(name, self.names())
        raise UsageError(f"no figure {name!r}{hint}; `repro list` shows all")

    def load(self, figure_id: str) -> FigureManifest:
        """Read a figure that is computed, its paper and the experiment it shares.

        Raises:
            ManifestError: With the faults of all the files.
        """
        from repro.manifests.models import Paper, models_of

        name = figure_id.partition("/")[0]
        folder = self.root / name
        faults: list[str] = []
        try:
            models = models_of(name)
        except LookupError as error:
            raise ManifestError([f"{folder}: {error}"]) from error

        def read(document: Document[Any] | ManifestError) -> Any:
            if isinstance(document, ManifestError):
                faults.extend(document.faults)
            return document

        paper = read(self._read_once(folder / "paper.yaml", Paper))
        figure = read(_read(self.root / f"{figure_id}.yaml", models.figure))
        experiment = None
        if (folder / "experiment.yaml").exists():
            experiment = read(self._read_once(folder / "experiment.yaml", models.experiment))
        if faults:
            raise ManifestError(faults)
        if source(plot_module(figure_id)) is None:
            problem = f"no module {plot_module(figure_id)} draws this figure"
            raise ManifestError([figure.fault((), problem)])
        stages = _assemble(stages_of(name), figure, experiment)
        return FigureManifest(figure_id, figure.model, paper.model, stages, folder)

    def _read_once(self, path: Path, model: type[Any]) -> Document[Any] | ManifestError:
        if path not in self._shared:
            self._shared[path] = _read(path, model)
        return self._shared[path]


def _read(path: Path, model: type[Any]) -> Document[Any] | ManifestError:
    """A document, or what is wrong with it."""
    try:
        return load(path, model)
    except ManifestError as error:
        return error


def _assemble(
    known_stages: Mapping[str, Stage],
    document: "Document[Figure]",
    experiment: "Document[Experiment] | None",
) -> tuple[DeclaredStage, ...]:
    """The figure's stages and those it shares, in the order in which they run.

    Raises:
        ManifestError: With every place where they do not fit together.
    """
    from repro.manifests.models import declared_stages

    figure = document.model
    faults = _faulty_overrides(document, figure.stages, figure.profiles)
    faults += _faulty_alternatives(document, figure.stages)
    own = declared_stages(figure.stages)
    shared: Mapping[str, BaseModel] = {}
    if experiment is not None:
        shared = declared_stages(experiment.model.stages)
        faults += _faulty_overrides(experiment, experiment.model.stages, experiment.model.profiles)
        faults += _faulty_alternatives(experiment, experiment.model.stages)
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
        for needed in known_stages[name].needs:
            if needed not in stages:
                problem = f"stage {name!r} needs stage {needed!r}; add it to 'shared_stages'"
                faults.append(document.fault(("stages", name), problem))
    for group in ("identities", "claims", "references"):
        known: set[str] = set()
        for index, entry in enumerate(getattr(figure, group)):
            for role in ("metric", "noise", "control"):
                metric = getattr(entry, role, None)
                if metric is not None and metric.partition(".")[0] not in stages:
                    problem = f"{metric!r} is of a stage this figure does not run"
                    faults.append(document.fault((group, index, role), problem))
            name = "metric" if group == "references" else "id"
            if (text := getattr(entry, name)) in known:
                faults.append(document.fault((group, index, name), f"{text!r} is there already"))
            known.add(text)
    if faults:
        raise ManifestError(faults)
    return tuple(stages[name] for name in known_stages if name in stages)


def _faulty_overrides(
    document: Document[Any], stages: "BaseModel", profiles: "Profiles | None"
) -> list[str]:
    """Profiles that change a stage the same file does not declare."""
    from repro.manifests.models import declared_stages

    if profiles is None:
        return []
    declared = declared_stages(stages)
    return [
        document.fault(("profiles", profile, name), f"stage {name!r} is not declared in this file")
        for profile in type(profiles).model_fields
        for name in type(stages).model_fields
        if getattr(getattr(profiles, profile), name) is not None and name not in declared
    ]


def _faulty_alternatives(document: Document[Any], stages: "BaseModel") -> list[str]:
    """Alternatives of a parameter that give it a second value in 'with' or 'profiles'."""
    from repro.manifests.models import declared_stages

    return [
        document.fault(
            ("stages", stage, name, "alternatives", index, *place, name),
            f"the alternative gives its value already; {place[0]!r} is for other parameters",
        )
        for stage, declaration in declared_stages(stages).items()
        for name in type(declaration).model_fields
        for index, alternative in enumerate(getattr(declaration, name).alternatives)
        for place, others in [
            (("with",), alternative.with_),
            *((("profiles", profile), sizes) for profile, sizes in alternative.profiles or ()),
        ]
        if others is not None and getattr(others, name) is not None
    ]


def _assignment(text: str) -> tuple[str, str] | None:
    """``NAME=VALUE`` so that what means the same is equal: 1 and 1.0, but not 1 and true."""
    name, _, value = text.partition("=")
    with contextlib.suppress(ManifestError):
        return name, json.dumps(json.loads(json.dumps(flow_value(value)), parse_int=float))
    return None


def _natural(name: str) -> list[tuple[int, str]]:
    """An order with fig2 before fig10."""
    return [_numeric(part) for part in re.split(r"(\d+)", name)]


def _numeric(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdigit() else (0, part)
