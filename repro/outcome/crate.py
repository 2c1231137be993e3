"""What ``ro-crate-metadata.json`` says of runs: a Process Run Crate, for machines to read.

Version 0.5 of the profile is the last one for RO-Crate 1.1, which validators know; 0.6 asks the same of
a crate of RO-Crate 1.3. Each step is an action, from manifests, data and other steps' results to its own
and to the numbers in it; that the record is made is one more, from results to verdicts and pictures.

Nothing is said that is not known: who ran it is in no record, and no time of results from before
it was kept.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repro.code import DIRTY
from repro.outcome import crate_entities as entities
from repro.outcome import wording
from repro.outcome.crate_entities import CrateFile, Entity
from repro.outcome.record import RanStep, Record
from ssbrepro import __version__
from ssbrepro.domains import Domain

METADATA = "ro-crate-metadata.json"
_ROCRATE = "https://w3id.org/ro/crate/1.1"
_PROFILE, _PROFILE_VERSION = "https://w3id.org/ro/wfrun/process", "0.5"
_LICENSE = "https://spdx.org/licenses/MIT"
_SOFTWARE, _AUTHORS = "#ssbrepro", "#authors"
_DESCRIPTION = (
    "Runs of figures with manifests, results, verdicts and pictures. Where SSBREPRO_HOME names a copy "
    "of this folder and SSBREPRO_MANIFESTS the manifests in it, `repro store check` compares every "
    "result with its digest, and `repro verify` judges the figures again from what is stored."
)


@dataclass(frozen=True)
class CrateRun:
    """A run, and where in the crate it has what.

    Args:
        record: Of it.
        metas: What the store says of the result of each step, by key.
        domains: Where each number can lie, "stage.number".
        manifests: Places of the files that say what to run.
        references: Those of the recorded runs and predictions it was compared with, if there are any.
        steps: Places of the files of each step's result, by key.
        outputs: Places of the record, the verdicts and the pictures.
    """

    record: Record
    metas: Mapping[str, Mapping[str, Any]]
    domains: Mapping[str, Domain]
    manifests: Sequence[str]
    references: Sequence[str]
    steps: Mapping[str, Sequence[str]]
    outputs: Sequence[str]


def metadata(
    runs: Sequence[CrateRun],
    files: Iterable[CrateFile],
    commit: str,
    made_at: datetime.datetime,
) -> dict[str, Any]:
    """The content of ``ro-crate-metadata.json``.

    Args:
        runs: What the crate is of.
        files: All other files of it.
        commit: Of the checkout, as :func:`repro.code.commit` says it.
        made_at: When the crate is made, with its time zone.
    """
    graph = _Graph()
    for run in runs:
        _add_run(graph, run)
    parts = [graph.add(entities.file(one)) for one in files]
    software = {
        "@id": _SOFTWARE,
        "@type": "SoftwareApplication",
        "name": "ssbrepro",
        "softwareVersion": __version__,
        "license": entities.reference(_LICENSE),
        "author": entities.reference(_AUTHORS),
        "softwareRequirements": entities.references(graph.of_type("SoftwareApplication")),
    }
    if commit and not commit.endswith(DIRTY):
        software["identifier"] = f"swh:1:rev:{commit}"  # which is a commit's digest, wherever it is
    graph.add(software)
    graph.add({"@id": _AUTHORS, "@type": "Organization", "name": "The ssbrepro authors"})
    graph.add({"@id": _LICENSE, "@type": "CreativeWork", "name": "MIT License"})
    profile = f"{_PROFILE}/{_PROFILE_VERSION}"
    graph.add(
        {
            "@id": profile,
            "@type": "CreativeWork",
            "name": "Process Run Crate",
            "version": _PROFILE_VERSION,
        }
    )
    names = dict.fromkeys(f"{run.record.id} at {run.record.profile}" for run in runs)
    root = {
        "@id": "./",
        "@type": "Dataset",
        "conformsTo": entities.reference(profile),
        "name": f"ssbrepro: {', '.join(names)}",
        "description": _DESCRIPTION,
        "datePublished": made_at.isoformat(timespec="seconds"),
        "license": entities.reference(_LICENSE),
        "author": entities.reference(_AUTHORS),
        "hasPart": entities.references(parts),
        "mentions": entities.references(graph.of_type("CreateAction")),
    }
    descriptor = {
        "@id": METADATA,
        "@type": "CreativeWork",
        "conformsTo": entities.reference(_ROCRATE),
        "about": entities.reference("./"),
    }
    own = {
        name: f"{entities.TERMS}{name}"
        for name in ("ContainerImage", "containerImage", "environment", "sha256")
    }
    return {
        "@context": [f"{_ROCRATE}/context", own],
        "@graph": [descriptor, root, *graph.entities.values()],
    }


class _Graph:
    """Entities, each once: runs share steps, and steps their surroundings."""

    def __init__(self) -> None:
        self.entities: dict[str, Entity] = {}

    def add(self, entity: Entity) -> str:
        return str(self.entities.setdefault(entity["@id"], entity)["@id"])

    def of_type(self, kind: str) -> list[str]:
        return [name for name, entity in self.entities.items() if entity["@type"] == kind]


def _add_run(graph: _Graph, run: CrateRun) -> None:
    record = run.record
    surroundings = _surroundings(graph, record)
    for step in record.steps:
        _add_step(graph, run, step, surroundings)
    made = [place for step in record.steps for place in run.steps[step.key]]
    judged = [entities.identity(record, one) for one in record.identities]
    judged += [entities.claim(record, one) for one in record.claims]
    graph.add(
        {
            "@id": f"#{record.digest}",
            "@type": "CreateAction",
            "name": f"{record.id} at {record.profile}, seed {record.seed}: judged and drawn",
            "description": f"{record.command} --device {record.device}; came out {record.status}",
            "instrument": entities.reference(_SOFTWARE),
            "endTime": record.recorded_at,
            "object": entities.references([*run.manifests, *run.references, *made]),
            "result": entities.references([*run.outputs, *map(graph.add, judged)]),
            **surroundings,
        }
    )


def _add_step(graph: _Graph, run: CrateRun, step: RanStep, surroundings: Entity) -> None:
    meta = run.metas[step.key]
    parts = meta["parts"]
    objects = [*run.manifests]
    if parts["data"] is not None:
        objects.append(graph.add(entities.dataset(parts["data"])))
    objects += [place for key in parts["inputs"].values() for place in run.steps[key]]
    own = f"{step.stage}."
    numbers = [
        graph.add(entities.number(step, name, value, run.domains))
        for name, value in run.record.metrics.items()
        if name.startswith(own)
    ]
    graph.add(
        {
            "@id": f"#{step.key}",
            "@type": "CreateAction",
            "name": f"stage {parts['stage']}, seed {parts['seed']}",
            "description": (
                f"{step.seconds:.1f} s with {wording.counted(step.threads, 'thread')} on "
                f"{meta.get('processor') or run.record.machine.architecture}; the key of the result is "
                "the digest of the parts in its meta.json"
            ),
            "instrument": entities.reference(_SOFTWARE),
            **_times(meta),
            "object": entities.references(objects),
            "result": entities.references([*run.steps[step.key], *numbers]),
            **surroundings,
        }
    )


def _times(meta: Mapping[str, Any]) -> Entity:
    """When a step began and ended, if that was kept."""
    if "started_at" not in meta:
        return {}
    started = datetime.datetime.fromisoformat(meta["started_at"])
    ended = started + datetime.timedelta(seconds=meta["seconds"])
    return {"startTime": meta["started_at"], "endTime": ended.isoformat(timespec="milliseconds")}


def _surroundings(graph: _Graph, record: Record) -> Entity:
    """What all actions of a run were made with: variables, and the image if there was one."""
    for name, version in record.versions.items():
        if name != "ssbrepro":
            graph.add(entities.library(name, version))
    variables = [graph.add(entities.variable(*one)) for one in record.machine.limits.items()]
    found: Entity = {"environment": entities.references(variables)} if variables else {}
    if record.machine.image is not None:
        found["containerImage"] = entities.reference(
            graph.add(entities.image(record.machine.image))
        )
    return found
