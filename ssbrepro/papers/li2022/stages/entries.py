"""Per-example values of the same Hessian entries at every checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Progress, Result, Series, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch

    from ssbrepro import seeding
    from ssbrepro.networks import flattening
    from ssbrepro.papers.li2022 import experiment
    from ssbrepro.probes import risk as risks
    from ssbrepro.probes.entries import per_example, sampling
    from ssbrepro.training import losses


@dataclass(frozen=True)
class Parameters:
    """Per-example values of uniformly drawn entries of the Hessian at each checkpoint.

    Pairs of weights are drawn until ``num_entries`` of them are live at some checkpoint, that is not
    zero for all of the first ``num_examples`` training examples (of all, where there are fewer), or
    until ``max_pairs`` pairs of different layers have been tried. A checkpoint with fewer than
    ``min_active`` examples inside the margin is left out: the law over so few is theirs, not the
    entries'.
    """

    num_examples: Annotated[int, Ge(2)]
    min_active: Annotated[int, Ge(1)]
    num_entries: Count
    max_pairs: Count


NUMBERS = {
    "num_live": domains.COUNT,
    "num_empty": domains.COUNT,
    "num_sparse": domains.COUNT,
    "same_layer_share": domains.SHARE,
    "dead_share": domains.SHARE,
    "hessian_residual_max": domains.NON_NEGATIVE,
}

_CHECKED = 3  # entries a checkpoint compared with a Hessian product
_CHUNK = 500  # examples a forward pass; bounds memory only
_PAIRS_AN_ENTRY = 2  # that are expected to be tried; forecasts the whole only


def run(parameters: Parameters, context: Context) -> Result:
    """Draw entries that are live at some checkpoint, and follow them through training.

    The Hessian is that of the mean hinge loss over the first ``num_examples`` training images, or
    over all where training has fewer.

    Returns:
        Arrays ``epoch`` and ``num_active`` (checkpoints,), ``rows`` and ``columns`` (entries,),
        ``layer_sizes`` (layers,), ``num_examples``, ``num_tried``, the pairs of different layers that
        were looked at, and for checkpoint k ``examples_<k>`` (active,), those inside the margin, and
        their h_ij ``values_<k>`` (active, entries) in float32; those of all others are exactly zero.
        Where too few are active, both are empty. Numbers: ``num_empty`` checkpoints without an active
        example and ``num_sparse`` with too few; ``dead_share`` is that of the pairs tried, dead at
        every checkpoint that is neither, ``hessian_residual_max`` the largest difference of a mean of
        values from a Hessian product's entry, in units of the values' mean magnitude.
    """
    training = context.inputs["training"]
    images, model = experiment.images_and_network(training.parameters, context)
    examples = _Examples(
        images.inputs[: parameters.num_examples], images.targets[: parameters.num_examples]
    )
    measurement = _Measurement(
        model, training.arrays["checkpoint_weights"], examples, parameters, context.progress
    )
    sizes = [weight.numel() for weight in model.parameters()]
    entries = _live_entries(measurement, sizes, parameters, context.seed)
    epochs, num_active = training.arrays["checkpoint_epoch"], measurement.num_active
    residuals = [
        measurement.residuals(index, entries, seeding.numpy_generator(context.seed, "check", epoch))
        for index, epoch in enumerate(epochs.tolist())
    ]
    numbers, missing = _numbers(entries, num_active, residuals, parameters.min_active)
    return Result(
        arrays={
            "epoch": epochs,
            "num_active": num_active,
            "rows": entries.rows,
            "columns": entries.columns,
            "layer_sizes": np.array(sizes),
            "num_examples": np.array(len(examples.inputs)),
            "num_tried": np.array(entries.tried),
            **{f"examples_{index}": one for index, one in enumerate(measurement.places)},
            **{f"values_{index}": values for index, values in enumerate(entries.values)},
        },
        numbers=numbers | {"same_layer_share": sampling.same_layer_share(sizes)},
        series={"num_active": Series("epoch", "num_active")},
        missing=missing,
    )


class _Examples(NamedTuple):
    """All examples, or those inside the margin."""

    inputs: torch.Tensor
    targets: torch.Tensor

    def within_margin(self, model: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            outputs = torch.cat([model(part) for part in self.inputs.split(_CHUNK)])
        return losses.within_margin(outputs, self.targets)


class _Measurement:
    """The trained network at its checkpoints, and the examples inside its margin there."""

    def __init__(
        self,
        model: torch.nn.Module,
        weights: Array,
        examples: _Examples,
        parameters: Parameters,
        progress: Progress,
    ) -> None:
        self._model, self._weights = model, weights
        self._examples, self._progress = examples, progress
        self._num_entries = parameters.num_entries
        self._batches = self._tried = 0
        self.num_active = np.zeros(len(weights), dtype=np.int64)
        self.places: list[Array] = []  # of the examples measured, none where too few are active
        for index in range(len(weights)):
            self._load(index)
            active = np.flatnonzero(examples.within_margin(model).cpu().numpy())
            self.num_active[index] = len(active)
            self.places.append(active if len(active) >= parameters.min_active else active[:0])

    def values(self, rows: Array, columns: Array) -> list[Array]:
        """The next pairs' h_ij at each checkpoint, (examples, pairs) each."""
        found = []
        before = self._tried
        self._tried += len(rows)
        for index in range(len(self.places)):
            name = f"pairs-{self._batches}-checkpoint-{index}"
            saved = self._progress.restore(name)
            if saved is None:
                saved = {"values": self._values_at(index, rows, columns)}
                self._progress.save(name, saved)
            found.append(saved["values"])
            share = sum(map(len, self.places[: index + 1])) / sum(map(len, self.places))
            self._progress.report(
                before + int(share * len(rows)),
                max(self._tried, _PAIRS_AN_ENTRY * self._num_entries),
                "Hessian entries",
            )
        self._batches += 1
        return found

    def residuals(
        self, index: int, entries: sampling.LivePairs, generator: np.random.Generator
    ) -> Array:
        """How far sums of values are from entries of Hessian products, in units of their magnitude."""
        saved = self._progress.restore(f"residuals-{index}")
        if saved is None:
            self._load(index)
            found = _residuals(self._model, self._examples, entries, index, generator)
            saved = {"residuals": found}
            self._progress.save(f"residuals-{index}", saved)
        return saved["residuals"]

    def _load(self, index: int) -> None:
        flattening.load_weights(self._model, self._weights[index])

    def _values_at(self, index: int, rows: Array, columns: Array) -> Array:
        places = self.places[index]
        if not len(places):
            return np.zeros((0, len(rows)), dtype=np.float32)
        self._load(index)
        values = per_example.per_example_entries(
            self._model,
            losses.hinge,
            self._examples.inputs[places],
            self._examples.targets[places],
            torch.from_numpy(rows),
            torch.from_numpy(columns),
        )
        found: Array = values.cpu().numpy()
        return found


def _live_entries(
    measurement: _Measurement, sizes: list[int], parameters: Parameters, seed: int
) -> sampling.LivePairs:
    if not any(map(len, measurement.places)):
        none = np.empty(0, dtype=np.int64)
        nothing = np.zeros((0, 0), dtype=np.float32)
        return sampling.LivePairs(none, none, (nothing,) * len(measurement.places), 0)
    return sampling.live_pairs(
        sizes,
        measurement.values,
        parameters.num_entries,
        parameters.max_pairs,
        seeding.numpy_generator(seed, "entries"),
    )


def _residuals(
    model: torch.nn.Module,
    examples: _Examples,
    entries: sampling.LivePairs,
    index: int,
    generator: np.random.Generator,
) -> Array:
    values = entries.values[index]
    magnitudes = np.abs(values).sum(axis=0, dtype=np.float64) / len(examples.inputs)
    checked = generator.permutation(np.flatnonzero(magnitudes))[:_CHECKED]
    if not len(checked):  # nor is there a Hessian, where no example is active
        return np.empty(0)
    hessian = risks.HingeRisk(model, *examples).hessian("autograd")
    residuals = []
    for entry in checked:
        unit = torch.zeros(hessian.dim, device=examples.inputs.device)
        unit[entries.columns[entry]] = 1
        product = float(hessian.matvec(unit)[entries.rows[entry]])
        mean = values[:, entry].sum(dtype=np.float64) / len(examples.inputs)
        residuals.append(abs(product - mean) / magnitudes[entry])
    return np.array(residuals)


def _numbers(
    entries: sampling.LivePairs, num_active: Array, residuals: Sequence[Array], min_active: int
) -> tuple[dict[str, float], dict[str, str]]:
    num_live = len(entries.rows)
    numbers = {
        "num_live": float(num_live),
        "num_empty": float((num_active == 0).sum()),
        "num_sparse": float(((num_active > 0) & (num_active < min_active)).sum()),
    }
    if not num_live:
        reason = (
            f"none of {entries.tried} entries is live at any checkpoint"
            if entries.tried
            else "no entry is known to be live: at most "
            f"{num_active.max()} examples are inside the margin at a checkpoint, fewer than {min_active}"
        )
        return numbers, dict.fromkeys(("dead_share", "hessian_residual_max"), reason)
    numbers["dead_share"] = 1 - num_live / entries.tried
    numbers["hessian_residual_max"] = float(np.concatenate(residuals).max())
    return numbers, {}


STAGE = Stage(Parameters, NUMBERS, run, needs=("training",), data="cifar10")
