"""Manifests that are damaged: refused at a place, or read as another parser reads them."""

import json
import random
import re
import shutil
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel

from attack.attack import Attack, Trial
from attack.mutation import altered, bounded, damaged
from repro.errors import ManifestError, UsageError
from repro.manifests.library import Library
from repro.manifests.loading import load
from repro.manifests.models import models_of
from repro.manifests.profiles import DeclaredProfiles
from repro.settings import MANIFESTS

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes all text in one style, and everything out."""

    style: str | None = None

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    str, lambda to, text: to.represent_scalar("tag:yaml.org,2002:str", text, style=to.style)
)
_LISTS = ("identities", "claims", "references", "inconsistencies", "not_computable")
_UNFIT = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # what a terminal would obey, and what ends a line


@dataclass(frozen=True)
class Prepared:
    """A copy of the manifests, and one library of it, which reads what figures share once."""

    root: Path
    library: Library
    files: tuple[Path, ...]
    words: tuple[str, ...]

    def model(self, path: Path) -> type[BaseModel]:
        """What a file must be."""
        if path.parent == self.root:
            return DeclaredProfiles
        models = models_of(path.parent.name, self.library.profiles.names)
        return {"paper": models.paper, "experiment": models.experiment}.get(
            path.stem, models.figure
        )


def prepare(folder: Path) -> Prepared:
    """Copy the manifests of this checkout."""
    root = folder / "manifests"
    shutil.copytree(MANIFESTS, root, ignore=shutil.ignore_patterns("references", "*.json", "*.md"))
    files = tuple(sorted(root.rglob("*.yaml")))
    metrics = (f"{one}" for path in files for one in re.findall(r"metric: (\S+)", path.read_text()))
    return Prepared(root, Library(root), files, tuple(sorted({*metrics, "smoke", "fig8a", "desk"})))


def _fuzz(prepared: object, one: Trial) -> str | None:
    """Change one file, or a part of it that is a manifest by itself, and read it."""
    assert isinstance(prepared, Prepared)
    draw = one.random
    original = draw.choice(prepared.files)
    text, same = _changed(original.relative_to(prepared.root), prepared, draw)
    is_figure = original.parent != prepared.root and original.stem not in ("paper", "experiment")
    path = original if is_figure else one.folder / original.name
    path.write_bytes(text)
    try:
        with bounded():
            if is_figure:
                manifest = prepared.library.load(f"{path.parent.name}/{path.stem}")
                model: BaseModel = manifest.figure
                json.dumps([manifest.content(profile) for profile in manifest.profiles])
                manifest.alternatives()
            else:
                model = load(path, prepared.model(original)).model
    except ManifestError as error:
        if same:
            return f"refused, although nothing but its layout changed: {error}"
        return _fault_of_faults(error, {path: text})
    return _misread(model, text)


def _changed(path: Path, prepared: Prepared, draw: random.Random) -> tuple[bytes, bool]:
    """A changed file, and whether it still says what it said."""
    whole = (MANIFESTS / path).read_bytes()
    if draw.random() < 0.05:
        return damaged(whole, draw), False
    data = _piece(_content(MANIFESTS / path), draw)
    kind = draw.random()
    if kind < 0.1:
        return _laid_out(data, draw), True
    if kind < 0.5:
        return damaged(_laid_out(data, draw), draw), False
    return _laid_out(altered(data, draw, prepared.words), draw), False


@cache
def _content(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = _plain(yaml.compose(path.read_text("utf-8"), Loader=_Parser))
    return content


def _piece(data: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """The file with one entry of one of its lists, and short texts: read fast, as good as the whole."""
    lists = [name for name in _LISTS if data.get(name)]
    kept = draw.choice(lists) if lists else ""
    piece = {name: value for name, value in data.items() if name not in lists or name == kept}
    piece |= {kept: [draw.choice(data[kept])]} if kept else {}
    return cast("dict[str, Any]", _shortened(piece))


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shortened(one) for one in value]
    return value[:12] if isinstance(value, str) and " " in value else value


def _laid_out(data: Any, draw: random.Random) -> bytes:
    """Plain data as YAML in one of the ways in which one may write it."""
    if draw.random() < 0.5:
        return json.dumps(data, ensure_ascii=False, indent=draw.choice((None, 1, 3))).encode(
            "utf-8", "surrogatepass"
        )
    _Dumper.style = draw.choice((None, None, '"', "'", "|", ">"))
    sort_keys, allow_unicode = draw.random() < 0.2, draw.random() < 0.7
    width = draw.choice((20, 80, 1000))
    try:
        text: str = yaml.dump(
            data,
            Dumper=_Dumper,
            sort_keys=sort_keys,
            allow_unicode=allow_unicode,
            width=width,
            indent=draw.choice((2, 4, 7)),
            default_flow_style=draw.choice((False, None)),
        )
    except (UnicodeEncodeError, RecursionError):  # half a surrogate pair; nested beyond its means
        return json.dumps(data).encode()
    if draw.random() < 0.2 and '"' not in text:
        # Within a text of several lines, a comment would be its end.
        commented = "\n# a comment\n" if "'" not in text and width == 1000 else "\n"
        text = text.replace("\n", draw.choice(("\r\n", commented)))
    return text.encode("utf-8", "surrogatepass")


def _fault_of_faults(error: ManifestError, texts: Mapping[Path, bytes]) -> str | None:
    """What is wrong with a refusal: it names no place in any of the files, or one that is not there."""
    if not error.faults or str(error) != "\n".join(error.faults):
        return f"refused without a reason: {error}"
    for fault in error.faults:
        path = next((path for path in texts if fault.startswith(f"{path}:")), Path())
        if fault.startswith(f"{path}: cannot be read: larger than"):
            continue  # what is not read has no places
        last = len(texts.get(path, b"").decode("utf-8", "replace").splitlines()) + 1
        place = re.fullmatch(r":([1-9]\d*):([1-9]\d*): (.+)", fault.removeprefix(str(path)), re.S)
        if not place or int(place[1]) > last:
            return f"a fault names no place in the file: {fault!r}"
        if _UNFIT & set(map(unicodedata.category, fault)):
            return f"a fault is not one printable line: {fault!r}"
        if len(fault) > 2000:
            return f"a fault is {len(fault)} characters long: {fault[:200]!r}"
    return None


def _misread(model: BaseModel, text: bytes) -> str | None:
    """How what was read differs from what libyaml reads of the same bytes, by YAML 1.2's core schema."""
    read = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    try:
        meant = _plain(yaml.compose(text, Loader=_Parser))
    except (yaml.YAMLError, ValueError) as error:
        return f"accepted, and libyaml refuses it: {error}"
    return None if _typed(read) == _typed(meant) else f"reads {read!r:.3000} of {meant!r:.3000}"


def _plain(node: Any) -> Any:
    if isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value]
        if len({*names}) < len(names):
            raise ValueError("a key is there twice")
        return {key.value: _plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    text = node.value
    if node.style or text in ("true", "false", "null", "~", ""):
        known = {"true": True, "false": False, "null": None, "~": None, "": None}
        return text if node.style else known[text]
    if re.fullmatch(r"[-+]?[0-9]+", text):
        return int(text)
    number = re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", text)
    return float(text) if number else text


def _typed(value: Any) -> Any:
    """With which 1 equals 1.0, and neither equals true; an integer may be rounded to a float."""
    if isinstance(value, dict):
        return {name: _typed(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_typed(one) for one in value]
    return float(value) if type(value) in (int, float) else (type(value), value)


def _fuzz_shared(prepared: object, one: Trial) -> str | None:
    """Change what all figures share, and read the whole library as commands do."""
    assert isinstance(prepared, Prepared)
    draw = one.random
    shared = [path for path in prepared.files if path.stem in ("paper", "experiment", "profiles")]
    root = one.folder / "manifests"
    shutil.copytree(prepared.root, root)
    path = draw.choice(shared).relative_to(prepared.root)
    data = _content(MANIFESTS / path)
    text = _laid_out(altered(data, draw, prepared.words), draw)
    (root / path).write_bytes(text)
    library = Library(root)
    figure = draw.choice(("li2022/fig6b", "ssb2018/decoupling"))
    try:
        with bounded(20):
            library.ids()
            library.resolve(figure)
            library.load(figure)
    except ManifestError as error:
        # Where one file does not fit another, it may be the other that is named.
        return _fault_of_faults(error, {file: file.read_bytes() for file in root.rglob("*.yaml")})
    except UsageError as error:
        return None if str(error).replace("\n", "").isprintable() else f"not printable: {error!r}"
    return None


ATTACKS = (
    Attack("manifests", "one manifest, changed", 100_000, 400, prepare, _fuzz),
    Attack("libraries", "what figures share, changed", 1000, 8, prepare, _fuzz_shared),
)
