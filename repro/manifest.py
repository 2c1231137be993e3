"""What a manifest may say: frozen models, one for each kind of file.

``paper.yaml`` cites a paper, ``experiment.yaml`` declares the stages its figures share, and every
other file is a figure, or says why nothing computes a figure. Stage names and parameters come from
:mod:`ssbrepro.stages`, so a manifest is checked against the science that will run it before anything
runs.
"""

import dataclasses
import json
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    create_model,
    model_validator,
)
from pydantic.json_schema import models_json_schema

from repro.names import NOT_COMPUTABLE, nearest_names
from ssbrepro.stages import STAGES

Profile = Literal["smoke", "desk", "paper"]
T = TypeVar("T")
Others = TypeVar("Others")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


Text = Annotated[str, Field(min_length=1)]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


def _known_metric(name: str) -> str:
    stage, _, number = name.partition(".")
    if stage not in STAGES:
        raise ValueError(f"no stage {stage!r}{nearest_names(stage, STAGES)}")
    if number not in STAGES[stage].numbers:
        raise ValueError(
            f"stage {stage} measures no {number!r}{nearest_names(number, STAGES[stage].numbers)}"
        )
    return name


Metric = Annotated[str, AfterValidator(_known_metric)]


class SizesOfAlternative(_Model, Generic[Others]):
    """What an alternative changes at some profiles only; it wins over ``with``."""

    smoke: Others | None = None
    desk: Others | None = None
    paper: Others | None = None


class Alternative(_Model, Generic[T, Others]):
    """Another value that the paper leaves open, and what has to change together with it."""

    value: T
    with_: Others | None = Field(default=None, alias="with")
    profiles: SizesOfAlternative[Others] | None = None
    why: Text


class Value(_Model, Generic[T, Others]):
    """A parameter of the paper's experiment and where it comes from.

    ``Others`` holds any of the stage's parameters, as in a profile. ``untested`` names in words the
    alternatives that nobody has run.
    """

    value: T
    provenance: Literal["paper", "derived", "assumed"]
    where: Text | None = None
    why: Text | None = None
    alternatives: tuple[Alternative[T, Others], ...] = ()
    untested: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _has_an_origin(self) -> "Value[T, Others]":
        if self.provenance == "paper" and self.where is None:
            raise ValueError("provenance paper needs 'where': the section or caption that says so")
        if self.provenance != "paper" and self.why is None:
            raise ValueError(f"provenance {self.provenance} needs 'why': the derivation or reason")
        return self

    @model_validator(mode="after")
    def _has_alternatives_where_it_is_open(self) -> "Value[T, Others]":
        if self.provenance == "paper" and self.alternatives:
            raise ValueError("what the paper states has no 'alternatives'")
        seen = [self.value]
        for alternative in self.alternatives:
            if alternative.value in seen:
                raise ValueError("'alternatives' differ from the value and from each other")
            seen.append(alternative.value)
        return self


def _model(name: str, **fields: Any) -> type[_Model]:
    """A strict model made from (type, default) pairs."""
    made: type[_Model] = create_model(name, __base__=_Model, **fields)
    return made


def _optional(types: Mapping[str, Any]) -> dict[str, Any]:
    return {name: (kind | None, None) for name, kind in types.items()}


def _stage_models() -> tuple[type[_Model], type[_Model]]:
    """Models of "stages", every parameter with its origin, and of a profile's plain overrides."""
    declared, overridden = {}, {}
    for name, stage in STAGES.items():
        hints = typing.get_type_hints(stage.parameters, include_extras=True)
        types = {field.name: hints[field.name] for field in dataclasses.fields(stage.parameters)}
        title = name.replace("-", " ").title().replace(" ", "")
        override = overridden[name] = _model(f"{title}Override", **_optional(types))
        required = {key: (Value[kind, override], ...) for key, kind in types.items()}  # type: ignore[valid-type]
        declared[name] = _model(f"{title}Declaration", **required)
    stages = _model("Stages", **_optional(declared))
    return stages, _model("ProfileSizes", why=(Text, ...), **_optional(overridden))


Stages, ProfileSizes = _stage_models()


class Profiles(_Model):
    """What each profile changes; the declared values are those of the profile ``paper``."""

    smoke: ProfileSizes  # type: ignore[valid-type]
    desk: ProfileSizes  # type: ignore[valid-type]
    paper: ProfileSizes  # type: ignore[valid-type]


class Inconsistency(_Model):
    """A place where the paper contradicts itself."""

    where: Text
    statement: Text
    problem: Text


class Paper(_Model):
    """A paper: its citation and what is wrong in it."""

    schema_version: Literal[1]
    kind: Literal["paper"]
    title: Text
    authors: tuple[Text, ...]
    year: int
    identifier: Text
    summary: Text
    inconsistencies: tuple[Inconsistency, ...] = ()


class Experiment(_Model):
    """Stages that several figures of a paper share."""

    schema_version: Literal[1]
    kind: Literal["experiment"]
    title: Text
    stages: Stages  # type: ignore[valid-type]
    profiles: Profiles


class Claim(_Model):
    """A statement of the paper as a bound on one number, fixed before measuring.

    ``noise`` names the number that chance alone would reach, or fall to below ``at_least``, if the
    statement held exactly: a value beyond the bound but not beyond that noise is inconclusive.
    """

    id: Identifier
    statement: Text
    where: Text
    metric: Metric
    at_most: float | None = None
    at_least: float | None = None
    noise: Metric | None = None

    @model_validator(mode="after")
    def _has_one_bound(self) -> "Claim":
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("a claim has either 'at_most' or 'at_least'")
        return self


class Identity(_Model):
    """A number that must be small for the run to count at all."""

    id: Identifier
    metric: Metric
    at_most: Annotated[float, Field(gt=0)]
    why: Text


class Reference(_Model):
    """A number whose spread over seeds is recorded, and the smallest difference that matters."""

    metric: Metric
    resolution: Annotated[float, Field(gt=0)]
    why: Text


class Figure(_Model):
    """A figure: the stages behind it, what the paper claims of it, and what is recorded of it."""

    schema_version: Literal[1]
    kind: Literal["figure"]
    title: Text
    caption: Text
    shared_stages: tuple[str, ...] = ()
    stages: Stages = Stages()  # type: ignore[valid-type]
    profiles: Profiles | None = None
    identities: tuple[Identity, ...] = ()
    claims: tuple[Claim, ...] = ()
    references: tuple[Reference, ...] = ()


class NotComputable(_Model):
    """A figure that no computation gives, such as a photograph, listed with the reason."""

    schema_version: Literal[1]
    kind: Literal["not-computable"]  # NOT_COMPUTABLE; a type needs the literal
    title: Text
    caption: Text
    why: Text


# What a figure's file may be.
FIGURE_KINDS: Mapping[str, type[Figure | NotComputable]] = {
    "figure": Figure,
    NOT_COMPUTABLE: NotComputable,
}


def declared_stages(stages: BaseModel) -> dict[str, BaseModel]:
    """The stages a "stages" block declares, by name, in the order of the registry."""
    return {name: block for name in STAGES if (block := getattr(stages, name)) is not None}


def json_schema() -> str:
    """The JSON Schema of all manifests, for editors, as committed in ``manifests/schema.json``."""
    models = (Paper, Experiment, *FIGURE_KINDS.values())
    _, schema = models_json_schema(
        [(model, "validation") for model in models], title="Manifest of ssbrepro"
    )
    schema["oneOf"] = [{"$ref": f"#/$defs/{model.__name__}"} for model in models]
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"
