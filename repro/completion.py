"""What the shell offers on Tab; nothing where manifests are broken, and never an error."""

import contextlib
import json

import typer

from repro.errors import ReproError
from repro.manifests.library import FigureManifest, Library
from repro.manifests.loading import flow_value
from repro.names import AUTO, DEVICES
from repro.selection import ENGINES
from repro.settings import Settings


def figures() -> list[str]:
    """Names of figures, in full and in short."""
    with contextlib.suppress(ReproError):
        return _library().names()
    return []


def subjects() -> list[str]:
    """What is short for recorded runs in ``repro compare``: figures at profiles."""
    return [f"{name}@{profile}" for name in figures() for profile in recorded_profiles()]


def papers() -> list[str]:
    """What ``repro table`` takes."""
    with contextlib.suppress(ReproError):
        return list(_library().papers())
    return []


def paper_folders() -> list[str]:
    """What the name of a new figure begins with."""
    return [f"{paper}/" for paper in papers()]


def profiles() -> list[str]:
    """What ``--profile`` takes."""
    return [AUTO, *recorded_profiles()]


def recorded_profiles() -> list[str]:
    """What ``--profile`` takes where nothing is run."""
    with contextlib.suppress(ReproError):
        return list(_library().profiles.names)
    return []


def devices() -> list[str]:
    """What ``--device`` takes."""
    return [AUTO, *DEVICES]


def engines() -> list[str]:
    """What ``--engine`` takes."""
    return list(ENGINES)


def alternatives(context: typer.Context) -> list[str]:
    """What ``--alternative`` takes for the figures that the line names already."""
    # An option that still lacks its value keeps the words before it from becoming parameters.
    names = [*(context.params.get("ids") or ()), *context.args]
    return list(dict.fromkeys(label for name in names for label in _alternatives_of(name)))


def _alternatives_of(name: str) -> list[str]:
    with contextlib.suppress(ReproError):
        library = _library()
        manifest = library.load(library.resolve(name))
        if isinstance(manifest, FigureManifest):
            return [_one_word(label) for label in manifest.alternatives()]
    return []


def _one_word(label: str) -> str:
    """An alternative without the spaces inside a list, which some shells take for separators."""
    name, _, value = label.partition("=")
    content = flow_value(value)
    if isinstance(content, str):
        return label
    return f"{name}={json.dumps(content, ensure_ascii=False, separators=(',', ':'))}"


def _library() -> Library:
    return Library(Settings.from_environment().manifests)
