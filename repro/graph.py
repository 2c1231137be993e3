"""The steps of many plans as one: merged by key, each ready once its inputs are there."""

import heapq
from collections.abc import Iterable, Iterator, Mapping

from repro.plan import Plan, Step


class Graph:
    """What is to be run, in which order; whoever runs it says what is done.

    Whatever has its inputs is ready. Of that the step comes first that begins the longest chain of
    steps, in seconds: what is left to do at the end then is as short as can be known beforehand.

    Args:
        plans: Whose steps to merge.
        seconds: How long each step is expected to take, by key; a step of which nothing is known counts
            as much as the others do on average.
    """

    def __init__(self, plans: Iterable[Plan], seconds: Mapping[str, float | None]) -> None:
        self.steps: dict[str, Step] = {}
        for plan in plans:
            for step in plan.steps:  # inputs come before what needs them
                self.steps.setdefault(step.key, step)
        self._missing = {key: len(set(one.inputs.values())) for key, one in self.steps.items()}
        self._needed_by: dict[str, list[str]] = {key: [] for key in self.steps}
        for key, step in self.steps.items():
            for needed in set(step.inputs.values()):
                self._needed_by[needed].append(key)
        self._chain = self._longest_chains(seconds)
        self._order = {key: number for number, key in enumerate(self.steps)}
        self._ready: list[tuple[float, int, str]] = []
        for key, missing in self._missing.items():
            if not missing:
                self._push(key)

    def pop(self) -> Step | None:
        """The ready step that comes first; None if none is ready."""
        return self.steps[heapq.heappop(self._ready)[2]] if self._ready else None

    def put_back(self, step: Step) -> None:
        """A popped step could not be started: it is ready as before."""
        self._push(step.key)

    def done(self, key: str) -> None:
        """The result of a step is there."""
        for waiting in self._needed_by[key]:
            self._missing[waiting] -= 1
            if not self._missing[waiting]:
                self._push(waiting)

    def depends_on(self, key: str) -> Iterator[Step]:
        """All that cannot be computed without a step.

        Yields:
            Each once, in the order of the plans.
        """
        found, waiting = set(), [key]
        while waiting:
            for name in self._needed_by[waiting.pop()]:
                if name not in found:
                    found.add(name)
                    waiting.append(name)
        yield from (self.steps[name] for name in sorted(found, key=self._order.__getitem__))

    def _push(self, key: str) -> None:
        heapq.heappush(self._ready, (-self._chain[key], self._order[key], key))

    def _longest_chains(self, seconds: Mapping[str, float | None]) -> dict[str, float]:
        """Seconds from a step's beginning to the end of the longest chain that needs it."""
        known = [one for key in self.steps if (one := seconds.get(key)) is not None]
        usual = sum(known) / len(known) if known else 1.0
        chains: dict[str, float] = {}
        for key in reversed(self.steps):
            own = seconds.get(key)
            after = max((chains[name] for name in self._needed_by[key]), default=0.0)
            chains[key] = (usual if own is None else own) + after
        return chains
