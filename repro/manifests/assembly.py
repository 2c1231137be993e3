"""What the files of a figure say together: its stages at every profile, and profiles that it omits."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from repro.errors import ManifestError
from repro.manifests.loading import Document, flow_text
from repro.names import nearest_names
from ssbrepro.papers import stages as stages_of

if TYPE_CHECKING:  # building these models takes longer than listing the manifests
    from pydantic import BaseModel

    from repro.manifests.models import Experiment, Figure, Paper
    from repro.manifests.profiles import DeclaredProfiles


@dataclass(frozen=True)
class DeclaredStage:
    """A stage as the manifests declare it: values with origins, and what profiles change.

    ``sizes`` is what each profile changes in the stages of its file, ``overrides`` are origins, by
    profile, that win over both: those of an alternative.
    """

    name: str
    declaration: "BaseModel"
    sizes: Mapping[str, "BaseModel"]
    overrides: Mapping[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def parameters(self, profile: str) -> dict[str, Any]:
        """Parameter values at a profile."""
        return {name: origin["value"] for name, origin in self.origins(profile).items()}

    def origins(self, profile: str) -> dict[str, dict[str, Any]]:
        """Parameter values at a profile, each with its provenance."""
        sizes: Any = self.sizes[profile]
        overrides = getattr(sizes, self.name)
        origins = self.declared()
        for name in origins:
            override = None if overrides is None else getattr(overrides, name)
            if override is not None:
                origins[name] = {"value": override, "provenance": "profile", "why": sizes.why}
        return origins | self.overrides.get(profile, {})

    def declared(self) -> dict[str, dict[str, Any]]:
        """Parameter values of the paper's own size, each with its provenance."""
        return {
            name: value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            for name, value in self.declaration
        }

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
                    for profile in self.sizes
                }
                yield f"{name}={flow_text(content['value'])}", replace(self, overrides=overrides)


def assemble(
    paper_id: str,
    profiles: "DeclaredProfiles",
    paper: "Document[Paper]",
    document: "Document[Figure]",
    experiment: "Document[Experiment] | None",
) -> tuple[tuple[DeclaredStage, ...], dict[str, str]]:
    """What a figure consists of, by its own file and by those that it shares with others.

    Args:
        paper_id: Its folder, and the package of its stages.
        profiles: Those that are declared.
        paper: What is said of all its figures.
        document: The figure.
        experiment: What its paper's figures share, if anything.

    Returns:
        Its own stages and those it shares, in the order in which they run, and the reasons why it
        omits profiles.

    Raises:
        ManifestError: With every place where the files do not fit together.
    """
    from repro.manifests.models import declared_stages

    known_stages, figure = stages_of(paper_id), document.model
    faults = _faulty_overrides(document)
    faults += _faulty_alternatives(document, figure.stages)
    own = declared_stages(figure.stages)
    shared: Mapping[str, BaseModel] = {}
    if experiment is not None:
        shared = declared_stages(experiment.model.stages)
        faults += _faulty_overrides(experiment)
        faults += _faulty_alternatives(experiment, experiment.model.stages)
    sizes = figure.profiles.sizes
    stages = {name: DeclaredStage(name, block, sizes) for name, block in own.items()}
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
            stages[name] = DeclaredStage(name, shared[name], experiment.model.profiles.sizes)
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
    used: list[Document[Any]] = [document] if own else []
    if experiment is not None and figure.shared_stages:
        used.append(experiment)
    omitted = _omitted(paper, document, used)
    omitted |= {
        one.name: "its manifest says nothing of it"
        for one in profiles.profiles
        if one.optional and one.name not in omitted
        and not all(one.name in document.model.profiles.sizes for document in used)
    }  # fmt: skip
    faults += _unsaid(profiles.names, omitted, used)
    if faults:
        raise ManifestError(faults)
    return tuple(stages[name] for name in known_stages if name in stages), omitted


def _omitted(
    paper: "Document[Paper]", figure: "Document[Figure]", used: Sequence[Document[Any]]
) -> dict[str, str]:
    """Why a figure omits profiles: by its own words or, where it has none, by those for all figures."""
    own = figure.model.profiles
    omitted = dict(paper.model.profiles.omitted)
    for document in used:
        omitted |= document.model.profiles.omitted
    return {name: why for name, why in omitted.items() if name not in own.sizes} | own.omitted


def _unsaid(
    profiles: Sequence[str], omitted: Collection[str], used: Iterable[Document[Any]]
) -> list[str]:
    """Files of a figure's stages that say nothing of a profile that it does not omit."""
    faults = []
    for document in used:
        known = {*omitted, *document.model.profiles.sizes}
        if unsaid := [name for name in profiles if name not in known]:
            problem = (
                f"nothing is said of {' and '.join(unsaid)}: write 'why' with what it changes, or "
                "'omitted' with the reason, which may also stand in paper.yaml for all figures"
            )
            place = "profiles" if ("profiles",) in document.marks else "stages"
            faults.append(document.fault((place,), problem))
    return faults


def _faulty_overrides(document: Document[Any]) -> list[str]:
    """Profiles that change a stage the same file does not declare."""
    from repro.manifests.models import declared_stages

    stages = document.model.stages
    declared = declared_stages(stages)
    return [
        document.fault(("profiles", profile, name), f"stage {name!r} is not declared in this file")
        for profile, sizes in document.model.profiles.sizes.items()
        for name in type(stages).model_fields
        if getattr(sizes, name) is not None and name not in declared
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
