"""The distributions that a lock names for this machine, and what is installed of them."""

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


class Locked(NamedTuple):
    """A distribution of a lock; ``here`` says whether this machine is one that it is for."""

    name: str
    version: str
    here: bool


def locked(lock: Path) -> list[Locked]:
    """All that a lock names; with several releases of one, this machine's is the one that is here."""
    return [*_locked(lock)]


def _locked(lock: Path) -> Iterator[Locked]:
    for line in re.findall(r"^\w.*==.*", lock.read_text("utf-8"), re.MULTILINE):
        one = Requirement(line.rstrip(" \\"))
        (pin,) = one.specifier
        here = one.marker is None or one.marker.evaluate()
        yield Locked(canonicalize_name(one.name), pin.version, here)


def installed(one: Locked) -> Distribution | None:
    """What is installed of a distribution, if it is of the release that the lock names."""
    try:
        found = distribution(one.name)
    except PackageNotFoundError:
        return None
    return found if found.version == one.version else None
