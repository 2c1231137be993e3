"""Which machine a recorded run was made on, and what runs of several machines say together.

A machine is known by its device, its processor with the instructions that it has, and its GPU where
that is the device. How many threads and which kernels it was told to use is no other machine.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from repro.outcome.intervals import mean

if TYPE_CHECKING:
    from repro.machine import Facts
    from repro.outcome.record import Machine
    from repro.outcome.references import RecordedRun


class MachineName(NamedTuple):
    """What tells machines apart; without a processor it is one that was not asked for its name."""

    device: str
    system: str
    architecture: str
    processor: str
    instructions: str
    gpu: str

    @classmethod
    def of(cls, device: str, one: "Machine") -> "MachineName":
        """The machine that a run was made on, by what its record says."""
        return cls(device, one.system, one.architecture, one.processor, one.instructions, one.gpu)

    @property
    def known(self) -> bool:
        """Whether it can be told from others at all."""
        return bool(self.processor)

    def __str__(self) -> str:
        """What people call it, which another machine may be called too."""
        return self.gpu or self.processor or f"unnamed {self.architecture} machine"

    def takes_the_place_of(self, other: "MachineName") -> bool:
        """Whether what it records replaces what the other had recorded.

        Runs of no named machine are replaced by those of any machine of their kind: they may well be
        its own, and nobody could ever say that they are not.
        """
        if other.known:
            return self == other
        return (self.device, self.architecture) == (other.device, other.architecture)


def by_machine(runs: Iterable["RecordedRun"]) -> dict[MachineName, list["RecordedRun"]]:
    """The runs of each machine."""
    groups: dict[MachineName, list[RecordedRun]] = {}
    for run in runs:
        groups.setdefault(run.made_on, []).append(run)
    return groups


def labels(machines: Collection[MachineName]) -> dict[MachineName, str]:
    """What to call machines, each its own way: those of one model get the start of a digest too."""
    times = Counter(map(str, machines))
    return {
        one: str(one) if times[str(one)] == 1 else f"{one} [{_digest(one)}]" for one in machines
    }


def _digest(machine: MachineName) -> str:
    return hashlib.sha256("\n".join(machine).encode()).hexdigest()[:4]


def nearest_machine(runs: Sequence["RecordedRun"], facts: "Facts") -> Sequence["RecordedRun"]:
    """The runs of machines like this one, else of its kind of device, else all: they took as long."""
    gpu = facts.gpu.get("model", "")
    here = facts.device, gpu, facts.architecture, facts.instructions
    alike = [
        run
        for run in runs
        if (run.device, run.machine.gpu, run.machine.architecture, run.machine.instructions) == here
    ]
    return alike or [run for run in runs if run.device == facts.device] or runs


@dataclass(frozen=True)
class SeedNumbers:
    """What a seed measured, over the machines that ran it."""

    seed: int
    metrics: Mapping[str, float]
    missing: Mapping[str, str]


def one_a_seed(runs: Iterable["RecordedRun"], identities: Collection[str]) -> list[SeedNumbers]:
    """The numbers of each seed, ascending: a seed on two machines is no two independent runs.

    Args:
        runs: Of one figure and profile.
        identities: Numbers that must be small for a run to count.

    Returns:
        Means over the machines that measured a number, and why none did. Of identities it is the
        largest, and none unless all did: no machine makes up for what another violates.
    """
    seeds: dict[int, list[RecordedRun]] = {}
    for run in runs:
        seeds.setdefault(run.seed, []).append(run)
    return [_together(seed, seeds[seed], identities) for seed in sorted(seeds)]


def _together(seed: int, runs: Sequence["RecordedRun"], identities: Collection[str]) -> SeedNumbers:
    values: dict[str, list[float]] = {}
    reasons: dict[str, str] = {}
    for run in runs:
        for name, number in run.metrics.items():
            values.setdefault(name, []).append(number)
        for name, why in run.missing.items():
            reasons.setdefault(name, why)
    metrics = {
        name: max(numbers) if name in identities else mean(numbers)
        for name, numbers in values.items()
        if name not in identities or len(numbers) == len(runs)
    }
    missing = {name: why for name, why in reasons.items() if name not in metrics}
    return SeedNumbers(seed, metrics, missing)
