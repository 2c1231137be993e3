"""The entities of a crate's metadata: things and numbers, as flat as RO-Crate has them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from repro.outcome import wording
from repro.outcome.record import RanStep, Record
from repro.outcome.verdicts import ClaimVerdict, IdentityVerdict
from ssbrepro.data import DATASETS
from ssbrepro.domains import Domain

TERMS = "https://w3id.org/ro/terms/workflow-run#"
_FORMATS = {
    "": "text/plain",  # SHA256SUMS
    ".json": "application/json",
    ".npz": "application/zip",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".yaml": "application/yaml",
}

Entity = dict[str, Any]


@dataclass(frozen=True)
class CrateFile:
    """A file of a crate: its place, size and digest, and what it is."""

    place: str
    title: str
    size: int
    sha256: str


def library(name: str, version: str) -> Entity:
    """A library that computes, or Python; its name is a package URL, wherever it comes from."""
    kind = "generic" if name == "python" else "pypi"
    return {
        "@id": f"pkg:{kind}/{name}@{version}",
        "@type": "SoftwareApplication",
        "name": name,
        "softwareVersion": version,
    }


def variable(name: str, value: str) -> Entity:
    """A variable of the environment that was set."""
    return {
        "@id": f"#environment-{name}-{value}",
        "@type": "PropertyValue",
        "name": name,
        "value": value,
    }


def image(digest: str) -> Entity:
    """The container image that actions ran in, by its digest."""
    return {
        "@id": f"#image-{digest}",
        "@type": "ContainerImage",
        "additionalType": reference(f"{TERMS}DockerImage"),
        "name": "ssbrepro",
        "sha256": digest.removeprefix("sha256:"),
    }


def dataset(digest: str) -> Entity:
    """A dataset, by the digest that keys of results have of it."""
    titles = [known.title for known in DATASETS.values() if known.digest == digest]
    return {
        "@id": f"#data-{digest.replace(' ', '-')}",
        "@type": "CreativeWork",
        "name": titles[0] if titles else digest,
        "identifier": digest,
    }


def number(step: RanStep, name: str, value: float, domains: Mapping[str, Domain]) -> Entity:
    """A number that a step measured, "stage.number"."""
    unit = domains[name].unit
    return {
        "@id": f"#{step.key}-{name.partition('.')[2]}",
        "@type": "PropertyValue",
        "name": name,
        "value": value,
        **({"unitText": unit} if unit else {}),
    }


def identity(record: Record, one: IdentityVerdict) -> Entity:
    """An exact identity, and whether it held."""
    return _judged(record, "identity", one, one.verdict) | {
        "description": "an exact identity, without which the run counts for nothing",
        "maxValue": one.bound,
    }


def claim(record: Record, one: ClaimVerdict) -> Entity:
    """A claim, and what became of it."""
    limit = "maxValue" if one.relation == "at_most" else "minValue"
    return _judged(record, "claim", one, wording.verdict(one)) | {
        "description": one.statement,
        limit: one.bound,
    }


def _judged(record: Record, kind: str, one: IdentityVerdict | ClaimVerdict, verdict: str) -> Entity:
    """A number with its bound and what came of it; no value where it was not measured."""
    return {
        "@id": f"#{record.digest}-{kind}-{one.id}",
        "@type": "PropertyValue",
        "name": f"{kind} {one.id}",
        "propertyID": one.metric,
        **({} if one.value is None else {"value": one.value}),
        "valueReference": verdict,
    }


def file(one: CrateFile) -> Entity:
    """A file of the crate."""
    return {
        "@id": one.place,
        "@type": "File",
        "name": one.title,
        "encodingFormat": _FORMATS[PurePosixPath(one.place).suffix],
        "contentSize": str(one.size),
        "sha256": one.sha256,
    }


def reference(name: str) -> Entity:
    """What stands for an entity in another one."""
    return {"@id": name}


def references(names: Iterable[str]) -> list[Entity]:
    """The same of several, each once."""
    return [reference(name) for name in dict.fromkeys(names)]
