"""Why a step is not stored: against what is stored, which parts of its key are others."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from repro.files import canonical_digest
from repro.machine import Facts
from repro.plan import Step, changed_parts

# Parts that say what a step is computed with; the others say what is computed.
_CIRCUMSTANCES = [fact.name for fact in fields(Facts)]

Parts = Mapping[str, Any]


class StoredParts:
    """The parts of the keys of stored results, newest first.

    Args:
        metas: Records of the stored results.
        steps: Steps of a command, each after its inputs.
    """

    def __init__(self, metas: Iterable[Mapping[str, Any]], steps: Iterable[Step]) -> None:
        self._stored = [meta["parts"] for meta in metas]
        # By digests made here, so that nothing can be its own input.
        self._by_key = {canonical_digest(parts): parts for parts in self._stored}
        self._by_key |= {step.key: step.parts for step in steps}

    def nearest(self, step: Step) -> Parts | None:
        """Of the results of the same stage the one most like a step.

        First of all one of the same computation, whatever else is like another one.
        """
        return min(
            (parts for parts in self._stored if parts["stage"] == step.parts["stage"]),
            key=lambda parts: (not self._same(step, parts), len(changed_parts(step.parts, parts))),
            default=None,
        )

    def computed_anew(self, steps: Iterable[Step]) -> list[str]:
        """Which steps are stored for other circumstances, one line for each reason."""
        stages: dict[str, dict[str, None]] = {}
        for step in steps:
            nearest = self.nearest(step)
            if nearest is not None and self._same(step, nearest):
                stages.setdefault(_reason(step.parts, nearest), {})[step.stage] = None
        return [
            f"{_some(list(names))}: stored, but with other {reason}; computed anew"
            for reason, names in stages.items()
        ]

    def _same(self, step: Step, parts: Parts) -> bool:
        return self._computation(step.parts) == self._computation(parts)

    def _computation(self, parts: Parts) -> dict[str, Any]:
        """What is computed, of the inputs as well, without what it is computed with."""
        inputs = {
            name: self._computation(self._by_key[key]) if key in self._by_key else key
            for name, key in parts["inputs"].items()
        }
        kept = {name: part for name, part in parts.items() if name not in _CIRCUMSTANCES}
        return kept | {"inputs": inputs}


def _reason(now: Parts, before: Parts) -> str:
    """How circumstances differ, as in "threads: 2 → 1"."""
    changes = changed_parts(*({n: p[n] for n in _CIRCUMSTANCES if n in p} for p in (now, before)))
    return ", ".join(changes).replace("threads:", "threads (OMP_NUM_THREADS):")


def _some(names: list[str]) -> str:
    """A few names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
