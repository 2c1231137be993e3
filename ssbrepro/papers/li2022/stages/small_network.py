"""The training of the experiment on a network too small for its images: what no training can fit."""

from __future__ import annotations

from dataclasses import dataclass

from ssbrepro import domains
from ssbrepro.contract import Context, Count, Result, Series, Stage
from ssbrepro.lazy import lazily

with lazily():
    import torch

    from ssbrepro import seeding
    from ssbrepro.networks import initialisation
    from ssbrepro.papers.li2022 import experiment
    from ssbrepro.training import descent, hinge


@dataclass(frozen=True)
class Parameters:
    """Train a single linear unit on images averaged over ``num_cells`` times ``num_cells`` cells.

    Everything else is that of the stage ``training``. A unit without hidden layers has a convex loss, so
    what it does not reach is a matter of its size and not of its training.
    """

    num_cells: Count


NUMBERS = {
    "final_loss": domains.NON_NEGATIVE,
    "final_accuracy": domains.SHARE,
    "examples_per_weight": domains.NON_NEGATIVE,
}


def run(parameters: Parameters, context: Context) -> Result:
    """:func:`train` a linear unit on the images of the stage ``training``.

    Returns:
        ``epoch``, ``loss`` and ``accuracy``, (epochs+1,); the last of both, and examples per weight.

    Raises:
        ValueError: If there are no more than twice as many examples as weights: a unit of n weights
            realises any labelling of n examples, half of those of 2n, and hardly any of more (Cover
            1965).
    """
    training = context.inputs["training"].parameters
    images, _ = experiment.images_and_network(training, context)
    cells = torch.nn.functional.adaptive_avg_pool2d(images.inputs, parameters.num_cells).flatten(1)
    num_examples, num_weights = cells.shape
    if num_examples <= 2 * num_weights:
        raise ValueError(f"{num_weights} weights are not too few for {num_examples} examples")
    model = torch.nn.Sequential(torch.nn.Linear(num_weights, 1, bias=False), torch.nn.Flatten(0))
    start = seeding.torch_generator(context.seed, "small network")
    initialisation.initialise_(model.parameters(), start, training.initialisation)
    arrays = hinge.train(
        model.to(cells.device),
        cells,
        images.targets,
        descent.Schedule(training.step_size, training.cut_epochs, training.cut_factor),
        training.momentum,
        training.batch_size,
        training.num_epochs,
        training.checkpoint_epochs,
        context.seed,
        context.progress,
        training.differentiated,
    )
    return Result(
        arrays={name: arrays[name] for name in ("epoch", "loss", "accuracy")},
        numbers={
            "final_loss": float(arrays["loss"][-1]),
            "final_accuracy": float(arrays["accuracy"][-1]),
            "examples_per_weight": num_examples / num_weights,
        },
        series={name: Series("epoch", name) for name in ("loss", "accuracy")},
    )


STAGE = Stage(Parameters, NUMBERS, run, needs=("training",), data="cifar10")
