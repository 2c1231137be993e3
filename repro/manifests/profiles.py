"""The profiles: how much of a figure is run, from a test of the artifact to the paper's own size.

They are declared once, in ``profiles.yaml`` beside the papers, from the smallest to the largest.
Whatever lists them, asks for them or sorts by size goes by that file.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from repro.errors import ManifestError, UsageError
from repro.manifests.fields import Model, Text, Version
from repro.manifests.loading import load
from repro.names import AUTO, DEVICES, nearest_names, require
from repro.settings import MANIFESTS

PROFILES_FILE = "profiles.yaml"


class Profile(Model):
    """How much is run.

    ``device`` is what it is meant for; it runs on others too. ``budget_minutes`` is what all figures
    of a paper may take there together: on two cores, or on one GPU. A manifest need not speak of one
    that is ``optional``; it then omits it.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$")]
    purpose: Text
    budget_minutes: Annotated[int, Field(gt=0)]
    device: Literal["cpu", "cuda", "any"]
    optional: bool = False


class Defaults(Model):
    """The profile that ``auto`` stands for, by the device that is found."""

    cpu: str
    cuda: str


class DeclaredProfiles(Model):
    """All profiles, from the smallest to the largest."""

    schema_version: Version
    kind: Literal["profiles"]
    auto: Defaults
    profiles: Annotated[tuple[Profile, ...], Field(min_length=1)]

    @property
    def names(self) -> tuple[str, ...]:
        """From the smallest to the largest."""
        return tuple(profile.name for profile in self.profiles)

    def default(self, device: str) -> str:
        """The name of the one that ``auto`` stands for on a device."""
        name: str = getattr(self.auto, device)
        return name

    def require(self, name: str) -> Profile:
        """A profile by its name.

        Raises:
            UsageError: If there is none; it says which there are.
        """
        require("profile", name, self.names)
        return self.profiles[self.names.index(name)]

    def ascending(self, names: Iterable[str]) -> list[str]:
        """Those of some names that are declared, each once, the smallest first."""
        known = set(names)
        return [name for name in self.names if name in known]


def load_profiles(manifests: Path) -> DeclaredProfiles:
    """The profiles that a folder of manifests declares, or else this project's.

    Raises:
        UsageError: If there are no manifests in it.
        ManifestError: If they are declared wrongly.
    """
    path = manifests / PROFILES_FILE
    if not path.exists():
        if not any(manifests.glob("*/paper.yaml")):
            raise UsageError(f"no manifests below {manifests}; set SSBREPRO_MANIFESTS")
        path = MANIFESTS / PROFILES_FILE
    document = load(path, DeclaredProfiles)
    declared = document.model
    faults = [
        document.fault(
            ("auto", device), f"no profile {name!r}{nearest_names(name, declared.names)}"
        )
        for device in DEVICES
        if (name := declared.default(device)) not in declared.names
    ]
    seen = {AUTO}
    for index, name in enumerate(declared.names):
        if name in seen:
            faults.append(document.fault(("profiles", index, "name"), f"{name!r} is taken"))
        seen.add(name)
    if faults:
        raise ManifestError(faults)
    return declared
