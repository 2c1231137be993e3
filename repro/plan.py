"""From a manifest to steps, each with a key that says exactly what its result depends on."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from repro import kernels
from repro.code import module_digests
from repro.files import canonical_digest
from repro.settings import num_threads
from ssbrepro.data import DATASETS
from ssbrepro.papers import stage as stage_of

if TYPE_CHECKING:
    from repro.manifests.library import FigureManifest

# Libraries whose release can change the bits of a result.
_LIBRARIES = ("torch", "numpy", "scipy", "pyhessian")


@dataclass(frozen=True)
class Step:
    """One stage with everything its result depends on.

    ``parts`` is what the key is the digest of: stage, parameters, seed, inputs, data, code, and what
    changes bits (device, libraries, threads, the processor's architecture and instructions).
    """

    stage: str
    parameters: Mapping[str, Any]
    seed: int
    device: str
    threads: int
    inputs: Mapping[str, str]
    parts: Mapping[str, Any]
    key: str


@dataclass(frozen=True)
class Plan:
    """The steps of one figure at one profile, in an order in which they can run."""

    manifest: "FigureManifest"
    profile: str
    seed: int
    device: str
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """The figure, and the alternative where it is not as declared."""
        alternative = self.manifest.alternative
        return self.manifest.id + ("" if alternative is None else f" with {alternative}")

    def with_alternative(self, text: str) -> "Plan":
        """The same with one assumed value replaced; steps it does not affect keep their keys.

        Raises:
            UsageError: If the figure lists no such alternative.
        """
        changed = self.manifest.with_alternative(text)
        return make_plan(changed, self.profile, self.seed, self.device)


def make_plan(manifest: "FigureManifest", profile: str, seed: int, device: str) -> Plan:
    """The steps behind a figure."""
    steps: dict[str, Step] = {}
    for declared in manifest.stages:
        stage_id = f"{manifest.paper_id}/{declared.name}"
        inputs = {name: steps[name].key for name in stage_of(stage_id).needs}
        parameters = declared.parameters(profile)
        steps[declared.name] = make_step(stage_id, parameters, seed, device, inputs)
    return Plan(manifest, profile, seed, device, tuple(steps.values()))


def make_step(
    stage_id: str,
    parameters: Mapping[str, Any],
    seed: int,
    device: str,
    inputs: Mapping[str, str],
) -> Step:
    """A step and its key; ``stage_id`` is such as "li2022/training"."""
    definition = stage_of(stage_id)
    threads = num_threads()
    parts = {
        "stage": stage_id,
        "parameters": dict(parameters),
        "seed": seed,
        "inputs": dict(inputs),
        "data": None if definition.data is None else DATASETS[definition.data].digest,
        "code": module_digests(definition.module),
        "device": device,
        "threads": threads,
        "architecture": platform.machine(),
        "instructions": kernels.instructions(),
        "limits": kernels.limits(),
        "libraries": library_versions(),
    }
    # Through JSON once, so that parts compare equal to those read back from the store.
    parts = json.loads(json.dumps(parts, allow_nan=False))
    return Step(
        definition.name, parameters, seed, device, threads, inputs, parts, canonical_digest(parts)
    )


@cache
def library_versions() -> dict[str, str]:
    """Releases of the libraries that compute."""
    return {name: version(name) for name in _LIBRARIES}


def changed_parts(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """How ``now`` differs from ``before``, one line a difference."""
    flat_now, flat_before = _flatten(now), _flatten(before)
    absent = "absent"
    lines = []
    for name in sorted(flat_now.keys() | flat_before.keys()):
        new, old = flat_now.get(name, absent), flat_before.get(name, absent)
        if new == old:
            continue
        if name.startswith(("code.", "inputs.")):
            lines.append(f"{name}: changed" if absent not in (new, old) else f"{name}: new or gone")
        else:
            lines.append(f"{name}: {old} → {new}")
    return lines


def _flatten(parts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in parts.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
