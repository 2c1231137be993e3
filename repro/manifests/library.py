"""Finding manifests by name, and reading all that one figure needs."""

import contextlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.code import source
from repro.errors import ManifestError, UsageError
from repro.manifests.assembly import DeclaredStage, assemble
from repro.manifests.loading import Document, flow_value, load
from repro.manifests.profiles import DeclaredProfiles, load_profiles
from repro.names import nearest_names, plot_module
from ssbrepro.domains import Domain
from ssbrepro.papers import stages as stages_of

if TYPE_CHECKING:  # building these models takes longer than listing the manifests
    from repro.manifests.models import Figure, NotComputable, Paper

_NOT_FIGURES = ("paper", "experiment")
_ID = re.compile(r"[a-z0-9_]+/[a-z0-9]+(-[a-z0-9]+)*")  # as it is part of paths and of modules


@dataclass(frozen=True)
class FigureManifest:
    """A figure with its paper and its stages, in an order in which they can run.

    It is to be had at ``profiles``, the smallest first; ``omitted`` says why not at the others.
    ``alternative`` says which one is applied, such as "width=0.5"; none in a figure as declared.
    """

    id: str
    figure: "Figure"
    paper: "Paper"
    stages: tuple[DeclaredStage, ...]
    profiles: tuple[str, ...]
    omitted: Mapping[str, str]
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

    @property
    def own_omissions(self) -> dict[str, str]:
        """Those of ``omitted`` that are not said of all figures of the paper."""
        common = self.paper.profiles.omitted
        return {name: why for name, why in self.omitted.items() if common.get(name) != why}

    def omission(self, profile: str) -> str:
        """That this figure omits a profile, why, and at which others it is to be had."""
        others = f" (it has {', '.join(self.profiles)})" if self.profiles else ""
        return f"{self.id} omits profile {profile}{others}: {self.omitted[profile]}"

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
        if not options:
            raise UsageError(f"{self.id} has no alternatives")
        raise UsageError(f"{self.id} has no alternative {text!r}; it has:", *options)

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
            "paper": self.paper.model_dump(mode="json", exclude={"profiles"}),
            "figure": self.figure.model_dump(
                mode="json", exclude={"stages", "profiles", "shared_stages"}
            ),
            "stages": {stage.name: stage.origins(profile) for stage in self.stages},
        }

    def references_path(self, profile: str) -> Path:
        """Where the recorded runs of this figure at this profile are kept."""
        return self.folder / "references" / f"{self.id.partition('/')[2]}.{profile}.json"

    @property
    def predictions_path(self) -> Path:
        """Where it is written down what is predicted of this figure."""
        return self.folder / "predictions" / f"{self.id.partition('/')[2]}.json"


class Library:
    """The manifests below one folder: ``profiles.yaml`` and ``<paper>/<figure>.yaml``.

    What the figures of a paper share is read once.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._shared: dict[Path, Document[Any] | ManifestError] = {}

    @cached_property
    def profiles(self) -> DeclaredProfiles:
        """The profiles that are declared.

        Raises:
            UsageError: If none are.
            ManifestError: If they are declared wrongly.
        """
        return load_profiles(self.root)

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
        from repro.manifests.models import paper_model

        found = {
            path.parent.name: self._read_once(path, paper_model(self.profiles.names))
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

    def chosen(self, names: Iterable[str] | None) -> list[str]:
        """The ids of the figures named, each once; of all for None.

        Raises:
            UsageError: If there is no such figure.
        """
        return self.ids() if names is None else list(dict.fromkeys(map(self.resolve, names)))

    def load(self, figure_id: str) -> FigureManifest:
        """Read a figure that is computed, its paper and the experiment it shares.

        Raises:
            ManifestError: With the faults of all the files.
        """
        from repro.manifests.models import models_of

        name = figure_id.partition("/")[0]
        folder = self.root / name
        faults: list[str] = []
        try:
            models = models_of(name, self.profiles.names)
        except LookupError as error:
            raise ManifestError([f"{folder}: {error}"]) from error

        def read(document: Document[Any] | ManifestError) -> Any:
            if isinstance(document, ManifestError):
                faults.extend(document.faults)
            return document

        paper = read(self._read_once(folder / "paper.yaml", models.paper))
        figure = read(_read(self.root / f"{figure_id}.yaml", models.figure))
        experiment = None
        if (folder / "experiment.yaml").exists():
            experiment = read(self._read_once(folder / "experiment.yaml", models.experiment))
        if faults:
            raise ManifestError(faults)
        if not _ID.fullmatch(figure_id):
            problem = "a figure's file is named with small letters, digits and hyphens"
            raise ManifestError([figure.fault((), problem)])
        if source(plot_module(figure_id)) is None:
            problem = f"no module {plot_module(figure_id)} draws this figure"
            raise ManifestError([figure.fault((), problem)])
        stages, omitted = assemble(name, self.profiles, paper, figure, experiment)
        profiles = tuple(one for one in self.profiles.names if one not in omitted)
        return FigureManifest(
            figure_id, figure.model, paper.model, stages, profiles, omitted, folder
        )

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
    return (int(part), "") if part.isdecimal() else (0, part)
