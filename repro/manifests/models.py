"""What a manifest may say: frozen models, one for each kind of file.

``paper.yaml`` cites a paper, ``experiment.yaml`` declares the stages its figures share, and every
other file is a figure. Stage names and parameters come from
the paper's package, so a manifest is checked against the science that will run it before anything
runs.
"""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    create_model,
    model_validator,
)

from repro.manifests.fields import Identifier, Model, Text, Version
from repro.names import nearest_names
from ssbrepro.contract import Stage
from ssbrepro.papers import stages as stages_of

if TYPE_CHECKING:
    from repro.outcome.verdicts import Relation

T = TypeVar("T")
Others = TypeVar("Others")
Sizes = TypeVar("Sizes")
M = TypeVar("M", bound=BaseModel)


def _known_metric(stages: Mapping[str, Stage], name: str) -> str:
    stage, _, number = name.partition(".")
    if stage not in stages:
        raise ValueError(f"no stage {stage!r}{nearest_names(stage, stages)}")
    if number not in stages[stage].numbers:
        raise ValueError(
            f"stage {stage} measures no {number!r}{nearest_names(number, stages[stage].numbers)}"
        )
    return name


class Alternative(Model, Generic[T, Others, Sizes]):
    """Another value that the paper leaves open, and what has to change together with it.

    ``profiles`` says what changes at some profiles only; it wins over ``with``.
    """

    value: T
    with_: Others | None = Field(default=None, alias="with")
    profiles: Sizes | None = None
    why: Text


class Value(Model, Generic[T, Others, Sizes]):
    """A parameter of the paper's experiment and where it comes from.

    ``Others`` holds any of the stage's parameters, as in a profile, and ``Sizes`` such others by
    profile. ``untested`` names in words the alternatives that nobody has run.
    """

    value: T
    provenance: Literal["paper", "derived", "assumed"]
    where: Text | None = None
    why: Text | None = None
    alternatives: tuple[Alternative[T, Others, Sizes], ...] = ()
    untested: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _has_an_origin(self) -> "Value[T, Others, Sizes]":
        if self.provenance == "paper" and self.where is None:
            raise ValueError("provenance paper needs 'where': the section or caption that says so")
        if self.provenance != "paper" and self.why is None:
            raise ValueError(f"provenance {self.provenance} needs 'why': the derivation or reason")
        return self

    @model_validator(mode="after")
    def _has_alternatives_where_it_is_open(self) -> "Value[T, Others, Sizes]":
        if self.provenance == "paper" and self.alternatives:
            raise ValueError("what the paper states has no 'alternatives'")
        seen = [self.value]
        for alternative in self.alternatives:
            if alternative.value in seen:
                raise ValueError("'alternatives' differ from the value and from each other")
            seen.append(alternative.value)
        return self


def _model(name: str, **fields: Any) -> type[Model]:
    """A strict model made from (type, default) pairs."""
    made: type[Model] = create_model(name, __base__=Model, **fields)
    return made


def _with_fields(base: type[M], **fields: Any) -> type[M]:
    """A model of the same name with some of its fields given their types, and others added."""
    made: type[M] = create_model(base.__name__, __base__=base, __doc__=base.__doc__, **fields)
    return made


def _optional(types: Mapping[str, Any]) -> dict[str, Any]:
    return {name: (kind | None, None) for name, kind in types.items()}


def _stage_models(
    stages: Mapping[str, Stage], profiles: Sequence[str]
) -> tuple[type[Model], type[Model]]:
    """Models of "stages", every parameter with its origin, and of a profile's plain overrides."""
    declared, overridden = {}, {}
    for name, stage in stages.items():
        hints = typing.get_type_hints(stage.parameters, include_extras=True)
        types = {field.name: hints[field.name] for field in dataclasses.fields(stage.parameters)}
        title = name.replace("-", " ").title().replace(" ", "")
        override = overridden[name] = _model(f"{title}Override", **_optional(types))
        sizes = _model(f"{title}Sizes", **_optional(dict.fromkeys(profiles, override)))
        required = {key: (Value[kind, override, sizes], ...) for key, kind in types.items()}  # type: ignore[valid-type]
        declared[name] = _model(f"{title}Declaration", **required)
    return _model("Stages", **_optional(declared)), _with_fields(Sized, **_optional(overridden))


class Omission(Model):
    """Why something is not to be had at a profile."""

    omitted: Text


class Sized(Model):
    """What a profile changes in the stages of its file, and why; or why there is no such profile."""

    why: Text | None = None
    omitted: Text | None = None

    @model_validator(mode="after")
    def _is_there_or_omitted(self) -> "Sized":
        if (self.why is None) == (self.omitted is None):
            raise ValueError("a profile has either a reason for its sizes in 'why' or is 'omitted'")
        if self.omitted is not None and len(self.model_fields_set) > 1:
            raise ValueError("a profile that is 'omitted' changes nothing")
        return self


class Profiles(Model):
    """What a file says of each profile; the declared values are the paper's own size.

    A field for each of the profiles that are declared is added to it.
    """

    @property
    def sizes(self) -> dict[str, BaseModel]:
        """What each profile changes, of those that it does not omit."""
        return {name: said for name, said in self if said is not None and not said.omitted}

    @property
    def omitted(self) -> dict[str, str]:
        """The reasons why profiles are omitted."""
        return {name: said.omitted for name, said in self if said is not None and said.omitted}


class Inconsistency(Model):
    """A place where the paper contradicts itself."""

    where: Text
    statement: Text
    problem: Text


class NotComputable(Model):
    """A figure that no computation gives, such as a photograph, with the reason."""

    id: Identifier
    title: Text
    caption: Text
    why: Text


class Paper(Model):
    """A paper: its citation, what is wrong in it, and its figures that nothing computes.

    ``url`` is where to read it, ``profiles`` what is omitted of all its figures.
    """

    schema_version: Version
    kind: Literal["paper"]
    title: Text
    authors: tuple[Text, ...]
    year: int
    identifier: Text
    url: Annotated[str, Field(pattern=r"^https://\S+$")] | None = None
    summary: Text
    inconsistencies: tuple[Inconsistency, ...] = ()
    not_computable: tuple[NotComputable, ...] = ()
    profiles: Profiles = Profiles()


class Experiment(Model):
    """Stages that several figures of a paper share."""

    schema_version: Version
    kind: Literal["experiment"]
    title: Text
    stages: Any
    profiles: Profiles = Profiles()


class Claim(Model):
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


class Identity(Model):
    """A number that must be small for the run to count at all."""

    id: Identifier
    metric: str
    at_most: Annotated[float, Field(gt=0)]
    why: Text


class Reference(Model):
    """A number whose spread over seeds is recorded, and the smallest difference that matters."""

    metric: str
    resolution: Annotated[float, Field(gt=0)]
    why: Text


class Prediction(Model):
    """A number of a larger profile, and the numbers of a smaller one that are its interval's ends."""

    metric: str
    low: str
    high: str


class Predictions(Model):
    """What the recorded runs of one profile predict of others, before anything is run there."""

    by: str
    of: tuple[str, ...]
    numbers: tuple[Prediction, ...]

    @model_validator(mode="after")
    def _predicts_others(self) -> "Predictions":
        if self.by in self.of:
            raise ValueError(f"runs of {self.by} cannot predict what they are themselves")
        return self


class Figure(Model):
    """A figure: the stages behind it, what the paper claims of it, and what is recorded of it."""

    schema_version: Version
    kind: Literal["figure"]
    title: Text
    caption: Text
    shared_stages: tuple[str, ...] = ()
    stages: Any = None
    profiles: Profiles = Profiles()
    identities: tuple[Identity, ...] = ()
    claims: tuple[Claim, ...] = ()
    references: tuple[Reference, ...] = ()
    predictions: Predictions | None = None


class Models(NamedTuple):
    """What the files of one paper may be, with the stages that it has."""

    paper: type[Paper]
    experiment: type[Experiment]
    figure: type[Figure]


@cache
def paper_model(profiles: tuple[str, ...]) -> type[Paper]:
    """The model of ``paper.yaml`` where there are these profiles."""
    omissions = _with_fields(Profiles, **_optional(dict.fromkeys(profiles, Omission)))
    return _with_fields(Paper, profiles=(omissions, omissions()))


@cache
def models_of(paper: str, profiles: tuple[str, ...]) -> Models:
    """The models of a paper's files where there are these profiles.

    Raises:
        LookupError: If the paper has no stages.
    """
    stages = stages_of(paper)
    metric = Annotated[str, AfterValidator(partial(_known_metric, stages))]
    declared, sized = _stage_models(stages, profiles)
    of_profiles = _with_fields(Profiles, **_optional(dict.fromkeys(profiles, sized)))
    optional = (metric | None, None)
    claim = _with_fields(Claim, metric=(metric, ...), noise=optional, control=optional)
    identity = _with_fields(Identity, metric=(metric, ...))
    reference = _with_fields(Reference, metric=(metric, ...))
    prediction = _with_fields(Prediction, **dict.fromkeys(Prediction.model_fields, (metric, ...)))
    predictions = _with_fields(
        Predictions,
        by=(Literal[profiles], ...),
        of=(tuple[Literal[profiles], ...], ...),  # type: ignore[valid-type]
        numbers=(tuple[prediction, ...], ...),  # type: ignore[valid-type]
    )
    return Models(
        paper_model(profiles),
        _with_fields(Experiment, stages=(declared, ...), profiles=(of_profiles, of_profiles())),
        _with_fields(
            Figure,
            stages=(declared, declared()),
            profiles=(of_profiles, of_profiles()),
            identities=(tuple[identity, ...], ()),  # type: ignore[valid-type]
            claims=(tuple[claim, ...], ()),  # type: ignore[valid-type]
            references=(tuple[reference, ...], ()),  # type: ignore[valid-type]
            predictions=(predictions | None, None),
        ),
    )


def declared_stages(stages: BaseModel) -> dict[str, BaseModel]:
    """The stages a "stages" block declares, by name, each after those it needs."""
    blocks = {name: getattr(stages, name) for name in type(stages).model_fields}
    return {name: block for name, block in blocks.items() if block is not None}
