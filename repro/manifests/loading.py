"""Strict YAML: a small, safe, unambiguous subset, validated, with every fault at its place.

Read with YAML 1.2's core scalars only (``no`` and ``1:30`` are strings, ``1e-3`` is a number). No
anchors, aliases, tags, duplicate keys or non-finite numbers. All faults of a file are reported
together as ``file:line:col: field: problem``.
"""

import contextlib
import json
import math
import re
import typing
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from yaml.composer import Composer
from yaml.resolver import Resolver

from repro import bounded
from repro.errors import ManifestError
from repro.names import nearest_names

_MAX_BYTES = 256 * 1024
_MAX_DEPTH = 24
_MAX_NODES = 20_000
_MAX_FAULTS = 1000  # nobody reads more at once
_MAX_SHOWN = 300  # characters of a fault, which may quote what was found

Location = tuple[str | int, ...]
_FoundFault = tuple[yaml.Mark | None, Location, str]
M = TypeVar("M", bound=BaseModel)


class _CoreLoader(yaml.SafeLoader):
    """PyYAML's scanner and parser with the scalar types of YAML 1.2's core schema."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own class-level registry


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _CoreLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first)
    )


class _Composer(Composer, Resolver):
    """Makes the tree of events that were parsed already: to parse them takes most of the time."""

    yaml_implicit_resolvers = _CoreLoader.yaml_implicit_resolvers

    def __init__(self, events: Iterable[yaml.Event]) -> None:
        Composer.__init__(self)
        Resolver.__init__(self)
        self._events = deque(events)

    def check_event(self, *kinds: type[yaml.Event]) -> bool:
        return isinstance(self._events[0], kinds)

    def peek_event(self) -> yaml.Event:
        return self._events[0]

    def get_event(self) -> yaml.Event:
        return self._events.popleft()


@dataclass
class Document(Generic[M]):
    """A validated manifest and where each of its fields stands."""

    path: Path
    model: M
    marks: dict[Location, yaml.Mark]

    def fault(self, location: Location, problem: str) -> str:
        """A fault of this document at a field, for checks that need more than the document."""
        return _fault(self.path, self.marks, location, problem)


@dataclass
class _Reader:
    """Turns YAML nodes into plain values, noting marks and faults."""

    path: Path
    marks: dict[Location, yaml.Mark] = field(default_factory=dict)
    key_marks: dict[Location, yaml.Mark] = field(default_factory=dict)
    faults: list[_FoundFault] = field(default_factory=list)
    unreadable: set[Location] = field(default_factory=set)  # nothing more to say of these values

    def value(self, node: yaml.Node, location: Location) -> Any:
        self.marks[location] = node.start_mark
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*location, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, location)

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or not key:
                self.faults.append((key_node.start_mark, location, "keys must be plain text"))
            elif key in mapping:
                self.faults.append((key_node.start_mark, (*location, key), "duplicate key"))
                self.unreadable.add((*location, key))
            elif _has_surrogate(key):
                self.faults.append((key_node.start_mark, location, "keys must be plain text"))
            else:
                self.key_marks[(*location, key)] = key_node.start_mark
                mapping[key] = self.value(value_node, (*location, key))
        return mapping

    def _scalar(self, node: yaml.Node, location: Location) -> Any:
        kind, text = node.tag.rpartition(":")[2], node.value
        problem = None
        if kind == "bool":
            return text == "true"
        if kind == "null":
            return None
        if kind == "int":
            if len(text.lstrip("+-")) <= bounded.MAX_DIGITS:
                return int(text)
            problem = "more digits than a 64-bit integer has"
        if kind == "float":
            if math.isfinite(number := float(text)):
                return number
            problem = f"{text} is not a finite number"
        if _has_surrogate(text):
            problem = "half of a surrogate pair is not a character"
        if problem:
            self.faults.append((node.start_mark, location, problem))
            self.unreadable.add(location)
            return None
        return text


def load(path: Path, model: type[M]) -> Document[M]:
    """Read and validate one manifest.

    Args:
        path: The file.
        model: What it must be.

    Raises:
        ManifestError: With every fault found, sorted by place.
    """
    reader = _Reader(path)
    data = reader.value(_compose(path), ())
    faults = list(reader.faults)
    validated = None
    try:
        # As JSON: pydantic's strict mode then takes lists for tuples and 1 for 1.0, nothing more.
        validated = model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        for details in error.errors():
            location = tuple(details["loc"])
            # A value that could not even be read is reported once, by the reader.
            if not any(location[: len(bad)] == bad for bad in reader.unreadable):
                mark = reader.key_marks.get(location) if _is_extra(details) else None
                faults.append((mark, location, _problem(details, model)))
    if validated is None or faults:
        raise ManifestError(_lines(reader, faults))
    return Document(path, validated, reader.marks)


def flow_value(text: str) -> Any:
    """A value from the command line, as strict as in a manifest, in YAML's flow style.

    Raises:
        ManifestError: If the text is not one such value.
    """
    reader = _Reader(Path("value"))
    node = _tree(reader.path, f"[{text}\n]")  # in brackets, all of it is in flow style
    assert node is not None
    values = reader.value(node, ())
    if reader.faults:
        raise ManifestError(_lines(reader, reader.faults))
    if len(values) != 1:
        raise ManifestError([f"{text!r} is not one value"])
    return values[0]


def flow_text(value: Any) -> str:
    """Plain data as :func:`flow_value` reads it; text without quotes where none are needed."""
    if isinstance(value, str):
        with contextlib.suppress(ManifestError):
            if flow_value(value) == value:
                return value
    return json.dumps(value, ensure_ascii=False)


def _lines(reader: _Reader, faults: Sequence[_FoundFault]) -> list[str]:
    """Faults as lines, sorted by place."""
    lines = [(mark or _nearest(reader.marks, loc), loc, text) for mark, loc, text in faults]
    lines.sort(key=lambda fault: (fault[0].line, fault[0].column))
    return _capped(reader.path, [_line(reader.path, *fault) for fault in lines])


def _capped(path: Path, faults: list[str]) -> list[str]:
    """Faults, no more of them than anybody reads."""
    if len(faults) <= _MAX_FAULTS:
        return faults
    return [*faults[:_MAX_FAULTS], f"{path}:1:1: and {len(faults) - _MAX_FAULTS} more faults"]


def _compose(path: Path) -> yaml.Node:
    """The node tree of the file's one document.

    Raises:
        ManifestError: If the file cannot be read, is too large, or holds no such document.
    """
    try:
        text = bounded.read_bytes(path, _MAX_BYTES).decode("utf-8")
    except OSError as error:
        raise ManifestError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ManifestError([f"{path}:1:1: not UTF-8 text (byte {error.start})"]) from error
    node = _tree(path, text)
    if not isinstance(node, yaml.MappingNode):
        raise ManifestError([f"{path}:1:1: a manifest is a mapping of fields"])
    return node


def _tree(path: Path, text: str) -> yaml.Node | None:
    """The node tree of a text, refusing what could surprise or blow up.

    Raises:
        ManifestError: If it is not YAML, or has something of that kind.
    """
    try:
        node, faults = _composed(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place(path, mark) if mark else f"{path}:1:1"
        raise ManifestError([f"{place}: {error.problem or error.context}"]) from error
    except yaml.YAMLError as error:
        raise ManifestError([f"{path}:1:1: {' '.join(str(error).split())}"]) from error
    if faults:
        raise ManifestError(_capped(path, [f"{_place(path, mark)}: {say}" for mark, say in faults]))
    return node


# To parse a text takes most of the time to read it, and every figure of a paper reads what all share.
@lru_cache(maxsize=256)
def _composed(text: str) -> tuple[yaml.Node | None, Sequence[tuple[yaml.Mark, str]]]:
    """A text's node tree, or what is forbidden in it."""
    loader = _CoreLoader(text)
    events: list[yaml.Event] = []
    faults: list[tuple[yaml.Mark, str]] = []
    try:
        faults.extend(_forbidden(loader, events))
    except (ValueError, OverflowError):  # chr() in PyYAML, of a \U escape beyond Unicode
        faults.append((loader.get_mark(), "not a Unicode character"))
    return None if faults else _Composer(events).get_single_node(), faults


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _brief(text: str) -> str:
    """A text without its middle if it is very long."""
    half = _MAX_SHOWN // 2
    return text if len(text) <= _MAX_SHOWN else f"{text[:half]} … {text[-half:]}"


def _forbidden(loader: _CoreLoader, events: list[yaml.Event]) -> Iterator[tuple[yaml.Mark, str]]:
    """Faults in the stream of events, which are noted, before any tree is built.

    Yields:
        Each with its place.
    """
    depth = count = 0
    while loader.check_event():
        event = loader.get_event()
        events.append(event)
        count += 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        mark = event.start_mark
        if depth > _MAX_DEPTH:
            yield mark, f"nested deeper than {_MAX_DEPTH} levels"
            return
        if count > _MAX_NODES:
            yield mark, f"more than {_MAX_NODES} nodes"
            return
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent):
            yield mark, f"aliases (*{anchor}) are not allowed; write the value out"
        elif anchor:
            yield mark, f"anchors (&{anchor}) are not allowed; write the value out"
        if tag:
            yield mark, f"tags ({tag}) are not allowed"


def _is_extra(details: Any) -> bool:
    return bool(details["type"] == "extra_forbidden")


def _problem(details: Any, model: type[BaseModel]) -> str:
    """A pydantic error in our words, with the nearest right name where a name is wrong."""
    kind, location = details["type"], details["loc"]
    if kind == "extra_forbidden":
        return f"unknown field{nearest_names(str(location[-1]), _fields_at(model, location[:-1]))}"
    if kind == "missing":
        return "missing"
    message: str = details["msg"].removeprefix("Value error, ")
    given = details["input"]
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", details["ctx"]["expected"])
        return f"{message}, not {given!r}{nearest_names(str(given), known)}"
    if isinstance(given, str | int | float | bool) or given is None:
        return f"{message} (found {given!r})"
    return message


def _fields_at(annotation: Any, location: Location) -> list[str]:
    """Names of the fields a mapping at ``location`` below the model may have."""
    models = list(_models_in(annotation))
    if not location:
        return [name for model in models for name in _fields(model)]
    head, rest = location[0], location[1:]
    names: list[str] = []
    for model in models:
        if isinstance(head, int):
            names += _fields_at(model, rest)
        elif head in _fields(model):
            names += _fields_at(_fields(model)[head].annotation, rest)
    return names


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model by their names in manifests."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models an annotation may hold, directly, optionally, or as items.

    Yields:
        Each of them, in the order written.
    """
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)


def _nearest(marks: dict[Location, yaml.Mark], location: Location) -> yaml.Mark:
    """The mark of a field, or of the closest field around it."""
    while location not in marks:
        location = location[:-1]
    return marks[location]


def _fault(path: Path, marks: dict[Location, yaml.Mark], location: Location, problem: str) -> str:
    return _line(path, _nearest(marks, location), location, problem)


def _line(path: Path, mark: yaml.Mark, location: Location, problem: str) -> str:
    name, problem = _brief(".".join(str(part) for part in location)), _brief(problem)
    place = _place(path, mark)
    return f"{place}: {name}: {problem}" if name else f"{place}: {problem}"


def _place(path: Path, mark: Any) -> str:
    return f"{path}:{mark.line + 1}:{mark.column + 1}"
