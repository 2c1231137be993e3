"""What has been recorded of entries of the Hessian, a checkpoint at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ssbrepro.contract import Array


@dataclass(frozen=True)
class Ensemble:
    """The live entries at one checkpoint, over all its examples.

    Attributes:
        epoch: Of the checkpoint.
        examples: Those inside the margin, (active,).
        values: Of these examples, (active, live) float64; the values of all others are zero.
        live: Which of the drawn entries these are, (live,).
        num_examples: Number of all examples.
    """

    epoch: int
    examples: Array
    values: Array
    live: Array
    num_examples: int

    def first(self, num_entries: int) -> "Ensemble":
        """The same examples, and at most as many of the live entries."""
        chosen = slice(num_entries)
        return replace(self, values=self.values[:, chosen], live=self.live[chosen])

    def standardised(self) -> Array:
        """All examples' values with mean 0 and standard deviation 1, (num_examples, live)."""
        rows = np.zeros((self.num_examples, len(self.live)))
        rows[self.examples] = self.values
        means, deviations = rows.mean(axis=0), rows.std(axis=0)
        rows -= means
        rows /= deviations
        return rows


def recorded(arrays: Mapping[str, Array]) -> Iterator[Ensemble | None]:
    """What the stage ``entries`` recorded, a checkpoint at a time; None where no entry is live.

    An entry is live where its value differs between examples.

    Yields:
        The checkpoint's live entries, or None.
    """
    num_examples = int(arrays["num_examples"])
    for index, epoch in enumerate(arrays["epoch"].tolist()):
        examples = arrays[f"examples_{index}"]
        values = arrays[f"values_{index}"].astype(np.float64)
        spread = np.ptp(values, axis=0) > 0 if len(values) else np.zeros(values.shape[1], bool)
        if len(values) < num_examples:  # the others' zeros belong to the law
            spread |= values.any(axis=0)
        live = np.flatnonzero(spread)
        found = Ensemble(epoch, examples, values[:, live], live, num_examples)
        yield found if len(live) else None
