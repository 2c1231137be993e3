"""Measurements at the checkpoints of the training run."""

from collections.abc import Callable, Mapping

import numpy as np

from ssbrepro.contract import Array, Context
from ssbrepro.networks.flattening import load_weights
from ssbrepro.papers.li2022.experiment import images_and_network
from ssbrepro.probes.risk import HingeRisk


def measure_checkpoints(
    context: Context, measure: Callable[[HingeRisk, int, int], Mapping[str, Array]]
) -> dict[str, Array]:
    """Measure the mean hinge loss at each checkpoint of the stage ``training``.

    Every checkpoint is saved once it is measured, and an interrupted stage continues after the last.

    Args:
        context: Of a stage that has ``training`` for an input.
        measure: Gets the risk, the checkpoint's index and the number of checkpoints; returns arrays of
            the same names and shapes for all.

    Returns:
        ``epoch`` (checkpoints,), and what was measured, stacked along a first axis of checkpoints.
    """
    training = context.inputs["training"]
    images, model = images_and_network(training.parameters, context)
    epochs = training.arrays["checkpoint_epoch"]
    rows: list[Mapping[str, Array]] = []
    for index, epoch in enumerate(epochs.tolist()):
        name = f"checkpoint-{epoch}"
        measured: Mapping[str, Array] | None = context.progress.restore(name)
        if measured is None:
            load_weights(model, training.arrays["checkpoint_weights"][index])
            risk = HingeRisk(model, images.inputs, images.targets)
            measured = measure(risk, index, len(epochs))
            context.progress.save(name, measured)
        rows.append(measured)
    return {"epoch": epochs} | {name: np.stack([row[name] for row in rows]) for name in rows[0]}
