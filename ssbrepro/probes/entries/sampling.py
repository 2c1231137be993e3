"""Uniformly drawn entries of the Hessian, and what has been recorded of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ssbrepro.contract import Array


def draw_pairs(
    layer_sizes: Sequence[int], num_pairs: int, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Pairs of weights, uniform over all ordered pairs of two different layers.

    Args:
        layer_sizes: Number of weights of each layer.
        num_pairs: How many pairs.
        generator: Source of the draws.

    Returns:
        Rows and columns of the Hessian, (num_pairs,) both.

    Raises:
        ValueError: If there is only one layer.
    """
    if len(layer_sizes) < 2:
        raise ValueError("with one layer every entry of the Hessian is zero")
    ends = np.cumsum(layer_sizes)
    found = np.empty((2, 0), dtype=np.int64)
    while found.shape[1] < num_pairs:
        pairs = generator.integers(ends[-1], size=(2, num_pairs))
        layers = np.searchsorted(ends, pairs, side="right")
        found = np.concatenate([found, pairs[:, layers[0] != layers[1]]], axis=1)
    return found[0, :num_pairs], found[1, :num_pairs]


def same_layer_share(layer_sizes: Sequence[int]) -> float:
    """The share of entries that vanish because both weights are of one layer."""
    sizes = np.asarray(layer_sizes, dtype=np.float64)
    return float((sizes**2).sum() / sizes.sum() ** 2)


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


def ensembles(arrays: Mapping[str, Array]) -> Iterator[Ensemble | None]:
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
