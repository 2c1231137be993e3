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

    def thinned(self, num_active: int, generator: np.random.Generator) -> "Ensemble":
        """The entries had only some random examples been inside the margin.

        Args:
            num_active: How many; at most as many as are.
            generator: Source of the examples.

        Returns:
            All entries that are still live, of as many examples in all.
        """
        chosen = np.sort(generator.permutation(len(self.examples))[:num_active])
        return self._live(self.examples[chosen], self.values[chosen])

    def resampled(self, generator: np.random.Generator) -> "Ensemble":
        """A bootstrap sample of as many examples inside the margin, and the entries live in it."""
        chosen = generator.integers(len(self.examples), size=len(self.examples))
        return self._live(self.examples, self.values[chosen])

    def standardised(self) -> Array:
        """All examples' values with mean 0 and standard deviation 1, (num_examples, live)."""
        rows = np.zeros((self.num_examples, len(self.live)))
        rows[self.examples] = self.values
        means, deviations = rows.mean(axis=0), rows.std(axis=0)
        rows -= means
        rows /= deviations
        return rows

    def correlations(self) -> Array:
        """Correlation coefficients over all examples, (live, live)."""
        means = self.values.sum(axis=0) / self.num_examples
        centred = self.values - means
        outside = self.num_examples - len(self.values)
        covariances = centred.T @ centred + outside * np.outer(means, means)
        deviations = np.sqrt(np.diagonal(covariances))
        return np.asarray(covariances / np.outer(deviations, deviations))

    def _live(self, examples: Array, values: Array) -> "Ensemble":
        live = _live(values, self.num_examples)
        return replace(self, examples=examples, values=values[:, live], live=self.live[live])


def recorded(arrays: Mapping[str, Array], of: str = "") -> Iterator[Ensemble | None]:
    """What a stage recorded of entries, a checkpoint at a time; None where no entry is live.

    An entry is live where its value differs between examples.

    Args:
        arrays: ``epoch`` (checkpoints,), ``num_examples``, and for checkpoint k ``<of>examples_<k>``
            (active,) and ``<of>values_<k>`` (active, entries).
        of: What the names begin with.

    Yields:
        The checkpoint's live entries, or None.
    """
    num_examples = int(arrays["num_examples"])
    for index, epoch in enumerate(arrays["epoch"].tolist()):
        examples = arrays[f"{of}examples_{index}"]
        values = arrays[f"{of}values_{index}"].astype(np.float64)
        live = np.flatnonzero(_live(values, num_examples))
        found = Ensemble(epoch, examples, values[:, live], live, num_examples)
        yield found if len(live) else None


def _live(values: Array, num_examples: int) -> Array:
    """Which columns differ between examples, those not given being zero, (entries,)."""
    spread = np.ptp(values, axis=0) > 0 if len(values) else np.zeros(values.shape[1], bool)
    if len(values) < num_examples:  # the others' zeros belong to the law
        spread |= values.any(axis=0)
    return np.asarray(spread)
