"""Per-example values of Hessian entries of intact and broken copies of the trained network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch

    from ssbrepro import seeding
    from ssbrepro.data import cifar10
    from ssbrepro.networks import flattening
    from ssbrepro.papers.li2022 import copies, experiment
    from ssbrepro.probes.entries import per_example, sampling
    from ssbrepro.training import losses


@dataclass(frozen=True)
class Parameters:
    """Entries of ``num_intact`` intact and ``num_broken`` broken copies of each checkpoint.

    Of each copy, at each checkpoint that has enough examples inside the margin, pairs of weights are
    drawn until ``num_entries`` are live or ``max_pairs`` have been tried, as for the network itself.
    """

    num_intact: Annotated[int, Ge(3)]
    num_broken: Count
    num_entries: Count
    max_pairs: Count


NUMBERS = {
    "num_intact": domains.COUNT,
    "num_broken": domains.COUNT,
    "num_checkpoints": domains.COUNT,
}


def run(parameters: Parameters, context: Context) -> Result:
    """Measure entries of copies on as many examples inside the margin as the network has.

    Returns:
        Arrays ``epoch`` (checkpoints,), ``num_examples``, and of each copy at checkpoint k, with
        <copy> ``intact_<number>`` or ``broken_<number>``, ``<copy>_values_<k>`` (active, entries)
        float32, and ``<copy>_examples_<k>`` (active,), their places in a law over all examples; all
        others are zero. Both are empty at a checkpoint that the stage ``entries`` left out. Numbers:
        of copies, and of the checkpoints they were made of.
    """
    training, entries = context.inputs["training"], context.inputs["entries"]
    images, model = experiment.images_and_network(training.parameters, context)
    num_examples = int(entries.arrays["num_examples"])
    images = cifar10.BinaryImages(images.inputs[:num_examples], images.targets[:num_examples])
    num_active = [
        len(entries.arrays[f"examples_{index}"]) for index in range(len(entries.arrays["epoch"]))
    ]
    names = [f"intact_{number}" for number in range(parameters.num_intact)]
    names += [f"broken_{number}" for number in range(parameters.num_broken)]
    arrays: dict[str, Array] = {}
    for index, epoch in enumerate(entries.arrays["epoch"].tolist()):
        found = {name: context.progress.restore(f"checkpoint-{epoch}-{name}") for name in names}
        if num_active[index] and None in found.values():
            flattening.load_weights(model, training.arrays["checkpoint_weights"][index])
            for one in copies.copies(
                model,
                images,
                num_active[index],
                parameters.num_intact,
                parameters.num_broken,
                context.seed,
            ):
                name = f"{one.kind}_{one.number}"
                if found[name] is None:
                    generator = seeding.numpy_generator(
                        context.seed, "copies' entries", one.kind, one.number, epoch
                    )
                    measured = {"values": _values(one, parameters, generator)}
                    context.progress.save(f"checkpoint-{epoch}-{name}", measured)
                    found[name] = measured
                _report(context, num_active, index, (1 + names.index(name)) / len(names))
        for name, state in found.items():
            values = np.zeros((0, 0), dtype=np.float32) if state is None else state["values"]
            arrays[f"{name}_values_{index}"] = values
            arrays[f"{name}_examples_{index}"] = np.arange(len(values))
    return Result(
        arrays | {name: entries.arrays[name] for name in ("epoch", "num_examples")},
        {
            "num_intact": float(parameters.num_intact),
            "num_broken": float(parameters.num_broken),
            "num_checkpoints": float(np.count_nonzero(num_active)),
        },
    )


def _values(one: copies.Copy, parameters: Parameters, generator: np.random.Generator) -> Array:
    """Of a copy's live entries, (examples, entries)."""
    if not len(one.inputs):
        return np.zeros((0, 0), dtype=np.float32)

    def measure(rows: Array, columns: Array) -> Sequence[Array]:
        places = torch.from_numpy(rows), torch.from_numpy(columns)
        found = per_example.per_example_entries(
            one.model, losses.hinge, one.inputs, one.targets, *places
        )
        return (found.cpu().numpy(),)

    sizes = [weight.numel() for weight in one.model.parameters()]
    return sampling.live_pairs(
        sizes, measure, parameters.num_entries, parameters.max_pairs, generator
    ).values[0]


def _report(context: Context, num_active: Sequence[int], index: int, share: float) -> None:
    """Progress in examples, which the time goes with, with a share of this checkpoint's behind it."""
    done = sum(num_active[:index]) + share * num_active[index]
    context.progress.report(round(done), sum(num_active), "Hessian entries of copies")


STAGE = Stage(Parameters, NUMBERS, run, needs=("training", "entries"), data="cifar10")
