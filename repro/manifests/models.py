"""What a manifest may say: frozen models, one for each kind of file.

``paper.yaml`` cites a paper, ``experiment.yaml`` declares the stages its figures share, and every
other file is a figure. Stage names and parameters come from
the paper's package, so a manifest is checked against the science that will run it before anything
runs.
"""

import dataclasses
import json
import typing
from collections.abc import Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    create_model,
    model_validator,
)
from pydantic.json_schema import models_json_schema

from repro.names import nearest_names
from ssbrepro.contract import Stage
from ssbrepro.papers import stages as stages_of

if TYPE_CHECKING:
    from repro.outcome.verdicts import Relation

T = TypeVar("T")
Others = TypeVar("Others")
M = TypeVar("M", bound=BaseModel)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


Text = Annotated[str, Field(min_length=1)]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


def _known_metric(stages: Mapping[str, Stage], name: str) -> str:
    stage, _, number = name.partition(".")
    if stage not in stages:
        raise ValueError(f"no stage {stage!r}{nearest_names(stage, stages)}")
    if number not in stages[stage].numbers:
        raise ValueError(
            f"stage {stage} measures no {number!r}{nearest_names(number, stages[stage].numbers)}"
        )
    return name


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


def _stage_models(stages: Mapping[str, Stage]) -> tuple[type[_Model], type[_Model]]:
    """Models of "stages", every parameter with its origin, and of a profile's plain overrides."""
    declared, overridden = {}, {}
    for name, stage in stages.items():
        hints = typing.get_type_hints(stage.parameters, include_extras=True)
        types = {field.name: hints[field.name] for field in dataclasses.fields(stage.parameters)}
        title = name.replace("-", " ").title().replace(" ", "")
        override = overridden[name] = _model(f"{title}Override", **_optional(types))
        required = {key: (Value[kind, override], ...) for key, kind in types.items()}  # type: ignore[valid-type]
        declared[name] = _model(f"{title}Declaration", **required)
    sizes = _model("ProfileSizes", why=(Text, ...), **_optional(overridden))
    return _model("Stages", **_optional(declared)), sizes


class Profiles(_Model):
    """What each profile changes; the declared values are those of the profile ``paper``."""

    smoke: Any
    desk: Any
    paper: Any


class Inconsistency(_Model):
    """A place where the paper contradicts itself."""

    where: Text
    statement: Text
    problem: Text


class NotComputable(_Model):
    """A figure that no computation gives, such as a photograph, with the reason."""

    id: Identifier
    title: Text
    caption: Text
    why: Text


class Paper(_Model):
    """A paper: its citation, what is wrong in it, and its figures that nothing computes.

    ``url`` is where to read it.
    """

    schema_version: Literal[1]
    kind: Literal["paper"]
    title: Text
    authors: tuple[Text, ...]
    year: int
    identifier: Text
    url: Annotated[str, Field(pattern=r"^https://\S+$")] | None = None
    summary: Text
    inconsistencies: tuple[Inconsistency, ...] = ()
    not_computable: tuple[NotComputable, ...] = ()


class Experiment(_Model):
    """Stages that several figures of a paper share."""

    schema_version: Literal[1]
    kind: Literal["experiment"]
    title: Text
    stages: Any
    profiles: Profiles


class Claim(_Model):
    """A statement of the paper as a bound on one number, fixed before measuring.

    ``noise`` names the number that chance alone would reach, or fall to below ``at_least``, if the
    statement held exactly: a value beyond the bound but not beyond that noise is inconclusive.
    ``control`` names what the same measurement gives where the statement is false by construction: a
    bound that it meets as well says nothing. ``no_control`` says why there can be no such number.
    """

    id: Identifier
    statement: Text
    where: Text
    metric: str
    at_most: float | None = None
    at_least: float | None = None
    noise: str | None = None
    control: str | None = None
    no_control: Text | None = None

    @model_validator(mode="after")
    def _has_one_bound(self) -> "Claim":
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("a claim has either 'at_most' or 'at_least'")
        return self

    @property
    def relation(self) -> "Relation":
        """Which side of the bound is claimed."""
        return "at_most" if self.at_most is not None else "at_least"

    @property
    def bound(self) -> float:
        """The bound, which itself belongs to what is claimed."""
        bound = self.at_most if self.at_most is not None else self.at_least
        assert bound is not None
        return bound

    @model_validator(mode="after")
    def _is_controlled_or_says_why_not(self) -> "Claim":
        if (self.control is None) == (self.no_control is None):
            raise ValueError("a claim has either a 'control' or a reason in 'no_control'")
        return self


class Identity(_Model):
    """A number that must be small for the run to count at all."""

    id: Identifier
    metric: str
    at_most: Annotated[float, Field(gt=0)]
    why: Text


class Reference(_Model):
    """A number whose spread over seeds is recorded, and the smallest difference that matters."""

    metric: str
    resolution: Annotated[float, Field(gt=0)]
    why: Text


class Figure(_Model):
    """A figure: the stages behind it, what the paper claims of it, and what is recorded of it."""

    schema_version: Literal[1]
    kind: Literal["figure"]
    title: Text
    caption: Text
    shared_stages: tuple[str, ...] = ()
    stages: Any = None
    profiles: Profiles | None = None
    identities: tuple[Identity, ...] = ()
    claims: tuple[Claim, ...] = ()
    references: tuple[Reference, ...] = ()


class Models(NamedTuple):
    """What the files of one paper may be, with the stages that it has."""

    experiment: type[Experiment]
    figure: type[Figure]


@cache
def models_of(paper: str) -> Models:
    """The models of a paper's files.

    Raises:
        LookupError: If the paper has no stages.
    """
    stages = stages_of(paper)
    metric = Annotated[str, AfterValidator(partial(_known_metric, stages))]
    declared, sizes = _stage_models(stages)

    def with_fields(base: type[M], **fields: Any) -> type[M]:
        made: type[M] = create_model(base.__name__, __base__=base, __doc__=base.__doc__, **fields)
        return made

    profiles = with_fields(Profiles, **dict.fromkeys(Profiles.model_fields, (sizes, ...)))
    optional = (metric | None, None)
    claim = with_fields(Claim, metric=(metric, ...), noise=optional, control=optional)
    identity = with_fields(Identity, metric=(metric, ...))
    reference = with_fields(Reference, metric=(metric, ...))
    return Models(
        with_fields(Experiment, stages=(declared, ...), profiles=(profiles, ...)),
        with_fields(
            Figure,
            stages=(declared, declared()),
            profiles=(profiles | None, None),
            identities=(tuple[identity, ...], ()),  # type: ignore[valid-type]
            claims=(tuple[claim, ...], ()),  # type: ignore[valid-type]
            references=(tuple[reference, ...], ()),  # type: ignore[valid-type]
        ),
    )


def declared_stages(stages: BaseModel) -> dict[str, BaseModel]:
    """The stages a "stages" block declares, by name, each after those it needs."""
    blocks = {name: getattr(stages, name) for name in type(stages).model_fields}
    return {name: block for name, block in blocks.items() if block is not None}


def json_schema(paper: str) -> str:
    """The JSON Schema of a paper's files, for editors, as committed beside them."""
    models = (Paper, *models_of(paper))
    _, schema = models_json_schema(
        [(model, "validation") for model in models], title=f"Manifests of {paper}"
    )
    schema["oneOf"] = [{"$ref": f"#/$defs/{model.__name__}"} for model in models]
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"
