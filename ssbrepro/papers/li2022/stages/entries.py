"""Per-example values of the same Hessian entries at every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Result, Series, Stage
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

    Pairs of weights are drawn until ``num_entries`` of them are live at the first checkpoint, that
    is not zero for all of the first ``num_examples`` training examples (of all, where there are
    fewer), or until ``max_pairs`` pairs of different layers have been tried. A checkpoint with fewer
    than ``min_active`` examples inside the margin is left out: the law over so few is theirs, not the
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


def run(parameters: Parameters, context: Context) -> Result:
    """Draw entries that are live at the first checkpoint, and follow them through training.

    The Hessian is that of the mean hinge loss over the first ``num_examples`` training images, or
    over all where training has fewer.

    Returns:
        Arrays ``epoch`` and ``num_active`` (checkpoints,), ``rows`` and ``columns`` (entries,),
        ``layer_sizes`` (layers,), ``num_examples``, and for checkpoint k
        ``examples_<k>`` (active,), those inside the margin, and their h_ij ``values_<k>`` (active,
        entries) in float32; those of all others are exactly zero. Where too few are active, both are
        empty. Numbers: ``num_empty`` checkpoints without an active example and ``num_sparse`` with
        too few; ``dead_share`` is that of the pairs of different layers that were tried,
        ``hessian_residual_max`` the largest difference of a mean of values from a Hessian product's
        entry, in units of the values' mean magnitude.
    """
    training = context.inputs["training"]
    images, model = experiment.images_and_network(training.parameters, context)
    examples = _Examples(
        images.inputs[: parameters.num_examples], images.targets[: parameters.num_examples]
    )
    epochs = training.arrays["checkpoint_epoch"]
    sizes = [weight.numel() for weight in model.parameters()]
    rows: list[dict[str, Array]] = []
    for index, epoch in enumerate(epochs.tolist()):
        found = context.progress.restore(f"checkpoint-{epoch}")
        if found is None:
            flattening.load_weights(model, training.arrays["checkpoint_weights"][index])
            pairs = (rows[0]["rows"], rows[0]["columns"]) if rows else None
            found = _measure(model, examples, pairs, sizes, parameters, context)
            found |= _residual(
                model, examples, found, seeding.numpy_generator(context.seed, "check", epoch)
            )
            context.progress.save(f"checkpoint-{epoch}", found)
        rows.append(found)
        context.progress.report(index + 1, len(epochs), "Hessian entries")
    num_active = np.array([int(row["num_active"]) for row in rows])
    numbers, missing = _numbers(rows, num_active, parameters.min_active)
    return Result(
        arrays={
            "epoch": epochs,
            "num_active": num_active,
            "rows": rows[0]["rows"],
            "columns": rows[0]["columns"],
            "layer_sizes": np.array(sizes),
            "num_examples": np.array(len(examples.inputs)),
            **{f"examples_{index}": row["examples"] for index, row in enumerate(rows)},
            **{f"values_{index}": row["values"] for index, row in enumerate(rows)},
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

    def values(self, model: torch.nn.Module, rows: Array, columns: Array) -> Array:
        """h_ij of each example, (examples, entries)."""
        indices = torch.from_numpy(rows), torch.from_numpy(columns)
        return per_example.per_example_entries(model, losses.hinge, *self, *indices).cpu().numpy()


def _measure(
    model: torch.nn.Module,
    examples: _Examples,
    pairs: tuple[Array, Array] | None,
    sizes: list[int],
    parameters: Parameters,
    context: Context,
) -> dict[str, Array]:
    """The entries at one checkpoint; without ``pairs`` they are drawn here."""
    active = examples.within_margin(model)
    inside = _Examples(examples.inputs[active], examples.targets[active])
    sparse = len(inside.inputs) < parameters.min_active
    rows, columns = pairs or (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    tried = 0
    if sparse:
        values = np.zeros((0, len(rows)), dtype=np.float32)
    elif pairs is not None:
        values = inside.values(model, rows, columns)
    else:
        rows, columns, values, tried = _live_entries(model, inside, sizes, parameters, context)
    return {
        "num_active": np.array(len(inside.inputs)),
        "examples": np.flatnonzero(active.cpu().numpy() & (not sparse)),
        "rows": rows,
        "columns": columns,
        "values": values,
        "tried": np.array(tried),
    }


def _live_entries(
    model: torch.nn.Module,
    inside: _Examples,
    sizes: list[int],
    parameters: Parameters,
    context: Context,
) -> tuple[Array, Array, Array, int]:
    """Entries that are not zero for all examples, their values, and how many were tried."""
    generator = seeding.numpy_generator(context.seed, "entries")
    rows, columns, values = [], [], []
    tried = live = 0
    while live < parameters.num_entries and tried < parameters.max_pairs:
        batch = min(parameters.num_entries, parameters.max_pairs - tried)
        pairs = sampling.draw_pairs(sizes, batch, generator)
        found = inside.values(model, *pairs)
        alive = np.flatnonzero(found.any(axis=0))[: parameters.num_entries - live]
        live += len(alive)
        # The pairs after the last one needed have not been looked at.
        tried += int(alive[-1]) + 1 if live == parameters.num_entries else batch
        rows.append(pairs[0][alive])
        columns.append(pairs[1][alive])
        values.append(found[:, alive])
        context.progress.report(live, parameters.num_entries, "looking for live entries")
    return (
        np.concatenate(rows),
        np.concatenate(columns),
        np.concatenate(values, axis=1),
        tried,
    )


def _residual(
    model: torch.nn.Module,
    examples: _Examples,
    found: Mapping[str, Array],
    generator: np.random.Generator,
) -> dict[str, Array]:
    """How far sums of values are from entries of Hessian products, in units of their magnitude."""
    magnitudes = np.abs(found["values"]).sum(axis=0, dtype=np.float64) / len(examples.inputs)
    checked = generator.permutation(np.flatnonzero(magnitudes))[:_CHECKED]
    if not len(checked):  # nor is there a Hessian, where no example is active
        return {"residuals": np.empty(0)}
    hessian = risks.HingeRisk(model, *examples).hessian("autograd")
    residuals = []
    for entry in checked:
        unit = torch.zeros(hessian.dim, device=examples.inputs.device)
        unit[found["columns"][entry]] = 1
        product = float(hessian.matvec(unit)[found["rows"][entry]])
        mean = found["values"][:, entry].sum(dtype=np.float64) / len(examples.inputs)
        residuals.append(abs(product - mean) / magnitudes[entry])
    return {"residuals": np.array(residuals)}


def _numbers(
    rows: Sequence[Mapping[str, Array]], num_active: Array, min_active: int
) -> tuple[dict[str, float], dict[str, str]]:
    num_live, tried = len(rows[0]["rows"]), int(rows[0]["tried"])
    numbers = {
        "num_live": float(num_live),
        "num_empty": float((num_active == 0).sum()),
        "num_sparse": float(((num_active > 0) & (num_active < min_active)).sum()),
    }
    if not num_live:
        if num_active[0] < min_active:
            reason = (
                f"no entry is known to be live: {num_active[0]} examples are inside the margin at the "
                f"first checkpoint, fewer than {min_active}"
            )
        else:
            reason = f"none of {tried} entries is live at the first checkpoint"
        return numbers, dict.fromkeys(("dead_share", "hessian_residual_max"), reason)
    numbers["dead_share"] = 1 - num_live / tried
    numbers["hessian_residual_max"] = float(np.concatenate([r["residuals"] for r in rows]).max())
    return numbers, {}


STAGE = Stage(Parameters, NUMBERS, run, needs=("training",), data="cifar10")
