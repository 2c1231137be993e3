"""The largest number of images that networks of several widths learn, labels true and random."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, MinLen

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Imitations, Positive, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch

    from ssbrepro import seeding
    from ssbrepro.data import cifar10
    from ssbrepro.papers.li2022 import capacities, experiment
    from ssbrepro.training import descent, losses


@dataclass(frozen=True)
class Parameters:
    """Networks of each of ``widths``, trained with the step size at its place in ``step_sizes``.

    Of ascending ``sizes`` of the set of images the largest is looked for that is learnt, brought to a
    mean hinge loss of ``zero_loss`` within ``num_steps`` steps of ``batch_size`` images, by
    ``num_required`` of ``num_networks``. Everything else is that of the stage ``training``.
    ``num_replicates`` draws of the networks say what is chance.
    """

    widths: Annotated[tuple[Positive, ...], MinLen(2)]
    step_sizes: Annotated[tuple[Positive, ...], MinLen(2)]
    sizes: Annotated[tuple[Count, ...], MinLen(2)]
    num_networks: Annotated[int, Ge(2)]
    num_required: Count
    zero_loss: Positive
    batch_size: Count
    num_steps: Count
    num_replicates: Imitations


NUMBERS = {
    **{
        f"{contrast}{of_it}": domains.REAL
        for contrast in ("slope", "advantage")
        for of_it in ("", "_low", "_noise", "_control")
    },
    "random_slope": domains.REAL,
    "late_share": domains.SHARE,
    "num_contradictions": domains.COUNT,
}

_LABELS = ("true", "random")
_CHUNK = 500  # images run through the network at once outside training; bounds memory only
_STEPS_BETWEEN = 50  # from one look at the loss to the next at least: a look costs some steps


def run(parameters: Parameters, context: Context) -> Result:
    """Find n_c, the largest number of images learnt, of each width and both kinds of labels.

    A network is an initialisation, an order of the images, whose first n are the set of that size, and a
    random label for each image. It has the same ones with both kinds of labels. Its own largest size is
    found by bisection; n_c is the largest that enough networks learn. All of them are then
    trained with n_c images, visited or not: what comes out otherwise than the bisection takes for
    granted, that more images are harder, is counted as a contradiction.

    Every training has as many steps, rounded up to whole epochs, and its step size is cut at the same
    share of them and by the same factor as in the stage ``training``. It ends once the set is learnt.

    Returns:
        Arrays ``widths`` and ``num_weights`` (widths,); ``sizes`` (sizes,); ``num_networks`` and
        ``num_required``; ``learnt`` (labels, widths, networks), how many sizes each network learns, with
        true labels and with random ones; ``trained`` (labels, widths, sizes, 2), how many networks were
        trained at a size and how many of them learnt it; ``n_c`` (labels, widths), 0 where not even the
        smallest size is learnt; ``slopes`` (2,), with true and random labels, NaN where open.
        Numbers: ``slope`` of log n_c on log P, the number of weights, with true labels and
        ``random_slope`` with random ones; ``advantage``, the mean over widths of the decades by which
        n_c is larger with true labels; of both the lower end of a 95 % interval over networks, its noise
        and its control by :func:`capacities.contrast`, where the middle width's networks stand for all
        widths, and random labels for true ones; ``late_share``, the share of sets
        learnt that took more than half of the steps; the number of contradictions. What the ends
        of the grid leave open is missing.

    Raises:
        ValueError: If there is not one step size a width, sizes do not ascend, or more networks are
            required than there are.
    """
    _check(parameters)
    search = _Search.of(parameters, context)
    cells = [
        (kind, width) for width in range(len(parameters.widths)) for kind in range(len(_LABELS))
    ]
    networks = range(parameters.num_networks)
    total = len(cells) * (len(networks) + 1)
    learnt = np.zeros((len(_LABELS), len(parameters.widths), len(networks)), dtype=int)
    for number in networks:
        for done, cell in enumerate(cells, start=number * len(cells) + 1):
            learnt[*cell, number] = search.num_learnt(*cell, number)
            context.progress.report(done, total, "networks at their limit")
    places = capacities.learnt_by(learnt, parameters.num_required)
    num_contradictions = 0
    for done, cell in enumerate(cells, start=len(networks) * len(cells) + 1):
        for number in networks if places[cell] else ():
            learns = search.learns(*cell, number, int(places[cell]) - 1)
            num_contradictions += learns != (learnt[*cell, number] >= places[cell])
        context.progress.report(done, total, "all networks at n_c")
    return _result(parameters, context.seed, search, learnt, num_contradictions)


def _check(parameters: Parameters) -> None:
    if len(parameters.step_sizes) != len(parameters.widths):
        raise ValueError(
            f"{len(parameters.step_sizes)} step_sizes for {len(parameters.widths)} widths"
        )
    if any(low >= high for low, high in zip(parameters.sizes, parameters.sizes[1:], strict=False)):
        raise ValueError(f"sizes {list(parameters.sizes)} do not ascend")
    if parameters.num_required > parameters.num_networks:
        raise ValueError(
            f"num_required {parameters.num_required} of num_networks {parameters.num_networks}"
        )


@dataclass(frozen=True)
class _Search:
    """All trainings of a run: each done once, and kept as soon as it is."""

    parameters: Parameters
    context: Context
    setting: Any  # the parameters of the stage training, with as many images as the largest size
    schedule: descent.Schedule  # over the whole training as its unit of time
    momentum: float
    images: cifar10.BinaryImages
    outcomes: dict[tuple[int, int, int, int], dict[str, Array]]

    @classmethod
    def of(cls, parameters: Parameters, context: Context) -> _Search:
        training = context.inputs["training"].parameters
        setting = dataclasses.replace(
            training, num_examples=parameters.sizes[-1], width=parameters.widths[0]
        )
        images, _ = experiment.images_and_network(setting, context)
        cuts = [epoch / training.num_epochs for epoch in training.cut_epochs]
        schedule = descent.Schedule(1.0, cuts, training.cut_factor)
        return cls(parameters, context, setting, schedule, training.momentum, images, {})

    def num_learnt(self, kind: int, width: int, number: int) -> int:
        """How many sizes a network learns."""
        return capacities.num_learnt(
            len(self.parameters.sizes), lambda place: self.learns(kind, width, number, place)
        )

    def learns(self, kind: int, width: int, number: int, place: int) -> bool:
        """Whether a network learns the size at a place."""
        key = (kind, width, number, place)
        if key not in self.outcomes:
            name = f"{_LABELS[kind]}-{width}-{number}-{place}"
            kept = self.context.progress.restore(name)
            if kept is None:
                kept = self._train(kind, width, number, place)
                self.context.progress.save(name, kept)
            self.outcomes[key] = kept
        return bool(self.outcomes[key]["loss"] <= self.parameters.zero_loss)

    def num_weights(self, width: float) -> int:
        """P of a width."""
        setting = dataclasses.replace(self.setting, width=width)
        model = experiment.network(setting, torch.Generator())
        return sum(weight.numel() for weight in model.parameters())

    def trained(self) -> Array:
        """How many networks were trained at a size and learnt it, (labels, widths, sizes, 2)."""
        widths, sizes = len(self.parameters.widths), len(self.parameters.sizes)
        counts = np.zeros((len(_LABELS), widths, sizes, 2), dtype=int)
        for kind, width, number, place in self.outcomes:
            counts[kind, width, place] += 1, self.learns(kind, width, number, place)
        return counts

    def late_share(self) -> float:
        """Of the sets learnt, the share that took more than half of the steps; NaN without any."""
        half = self.parameters.num_steps / 2
        late = [one["steps"] > half for key, one in self.outcomes.items() if self.learns(*key)]
        return float(np.mean(late)) if late else math.nan

    def _train(self, kind: int, width: int, number: int, place: int) -> dict[str, Array]:
        """Train a network until it has learnt its images or the steps are over: ``loss``, ``steps``."""
        parameters, seed = self.parameters, self.context.seed
        names = ("capacity", width, number)
        order = torch.randperm(
            len(self.images.inputs), generator=seeding.torch_generator(seed, *names, "images")
        )[: parameters.sizes[place]].to(self.images.inputs.device)
        targets = self.images.targets
        if _LABELS[kind] == "random":
            targets = random_labels(len(targets), seeding.torch_generator(seed, *names, "labels"))
        inputs, targets = self.images.inputs[order], targets.to(order.device)[order]
        setting = dataclasses.replace(self.setting, width=parameters.widths[width])
        weights = seeding.torch_generator(seed, *names, "weights")
        model = experiment.network(setting, weights).to(order.device)
        step_size = parameters.step_sizes[width]
        optimizer = torch.optim.SGD(model.parameters(), lr=step_size, momentum=self.momentum)
        epoch_steps = math.ceil(len(inputs) / parameters.batch_size)
        num_epochs = math.ceil(parameters.num_steps / epoch_steps)
        epochs_between = math.ceil(_STEPS_BETWEEN / epoch_steps)
        loss = math.nan
        for epoch in range(1, num_epochs + 1):
            descent.descend(
                descent.risk_of(model, losses.shortfall), inputs, targets, optimizer,
                lambda time: step_size * self.schedule.at(time / num_epochs), epoch,
                parameters.batch_size, seeding.torch_generator(seed, *names, "batches", epoch),
            )  # fmt: skip
            if epoch % epochs_between and epoch < num_epochs:
                continue
            loss = mean_loss(model, inputs, targets)
            if not loss > parameters.zero_loss:  # learnt, or not finite any more
                break
        return {"loss": np.array(loss), "steps": np.array(epoch * epoch_steps)}


def random_labels(number: int, generator: torch.Generator) -> torch.Tensor:
    """A fair coin an image, (number,): +1 or -1 whatever it shows."""
    return torch.randint(2, (number,), generator=generator) * 2.0 - 1


def mean_loss(model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> float:
    """The mean hinge loss over a set of images."""
    with torch.no_grad():
        outputs = torch.cat([model(part) for part in inputs.split(_CHUNK)])
    return float(losses.shortfall(outputs.double(), targets.double()))


def _result(
    parameters: Parameters, seed: int, search: _Search, learnt: Array, num_contradictions: int
) -> Result:
    """What all trainings come to."""
    num_weights = np.array([search.num_weights(width) for width in parameters.widths])
    slope = capacities.slope_weights(num_weights)
    none, mean = np.zeros_like(slope), np.full_like(slope, 1 / (len(slope) * math.log(10)))
    one_size = np.repeat(learnt[:, [len(slope) // 2]], len(slope), axis=1)
    found = {
        name: capacities.contrast(
            np.stack(weights), parameters.sizes, learnt, alike, parameters.num_required,
            seeding.numpy_generator(seed, "capacity", name), parameters.num_replicates,
        )
        for name, weights, alike in (
            ("slope", (slope, none), one_size),
            ("advantage", (mean, -mean), learnt[[1, 1]]),
            ("random_slope", (none, slope), one_size),
        )
    }  # fmt: skip
    numbers = {
        "random_slope": found["random_slope"].value,
        "late_share": search.late_share(),
        "num_contradictions": float(num_contradictions),
    }
    for name in ("slope", "advantage"):
        value, low, noise, control = found[name]
        numbers |= {
            name: value, f"{name}_low": low, f"{name}_noise": noise, f"{name}_control": control,
        }  # fmt: skip
    places = capacities.learnt_by(learnt, parameters.num_required)
    return Result(
        arrays={
            "widths": np.array(parameters.widths),
            "num_weights": num_weights,
            "sizes": np.array(parameters.sizes),
            "num_networks": np.array(parameters.num_networks),
            "num_required": np.array(parameters.num_required),
            "learnt": learnt,
            "trained": search.trained(),
            "n_c": np.array([0, *parameters.sizes])[places],
            "slopes": np.array([found[name].value for name in ("slope", "random_slope")]),
        },
        numbers={name: value for name, value in numbers.items() if math.isfinite(value)},
        missing={
            name: _ends(parameters, places)
            for name, value in numbers.items()
            if not math.isfinite(value)
        },
    )


def _ends(parameters: Parameters, places: Array) -> str:
    """Where n_c is at an end of the grid."""
    reasons = []
    for kind, width in np.argwhere((places == 0) | (places == len(parameters.sizes))):
        where = f"at width {parameters.widths[width]:g} with {_LABELS[kind]} labels"
        if places[kind, width]:
            reasons.append(f"all {parameters.sizes[-1]} images are learnt {where}")
        else:
            reasons.append(f"not even {parameters.sizes[0]} images are learnt {where}")
    return "; ".join(reasons)


STAGE = Stage(Parameters, NUMBERS, run, needs=("training",), data="cifar10")
