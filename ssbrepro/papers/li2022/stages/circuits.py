"""The law of circuits and of their perturbations before training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Result, Share, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch

    from ssbrepro import seeding
    from ssbrepro.data import cifar10
    from ssbrepro.networks import flattening
    from ssbrepro.papers.li2022 import experiment
    from ssbrepro.probes.circuits import counting, sampling
    from ssbrepro.statistics import histograms, symmetry
    from ssbrepro.training import losses


@dataclass(frozen=True)
class Parameters:
    """Circuits of the untrained network, sampled uniformly from all active ones of an example.

    Each of ``num_draws`` draws takes another example and samples ``num_circuits`` circuits of each
    order. A draw counts as asymmetric where its sign-flip p-value, from ``num_flips`` patterns, is
    below ``small_p_value``. The rest shapes the drawn histograms only: the axis is linear below
    ``linear_share`` of its end.
    """

    num_draws: Count
    num_circuits: Annotated[int, Ge(2)]
    num_flips: Count
    small_p_value: Share
    num_bins: Count
    kernel_width: Share
    linear_share: Share


NUMBERS = {
    "log10_num_circuits": domains.NON_NEGATIVE,
    "log10_active_share": domains.NON_POSITIVE,
    **{f"num_small_p_values_{order}": domains.COUNT for order in range(3)},
    **{f"asymmetry_{order}": domains.ASYMMETRY for order in range(3)},
}

_ORDERS = (0, 1, 2)
_CHUNK = 500  # examples a forward pass; bounds memory only


def run(parameters: Parameters, context: Context) -> Result:
    """Sample active circuits of the untrained network, for one example after another.

    The values are X ψ for order 0 (li2022, eq. 11); for orders 1 and 2 they are the perturbations Ω of
    eqs. 16 and 18, with the derivative of the loss by the output, which is -y inside the margin. Each
    draw takes another example of those inside the margin, in random order.

    Returns:
        Arrays: ``example`` (draws,); ``log10_active`` (draws,), of the number of active circuits;
        ``p_value``, ``asymmetry`` and ``noise_95``, its 95 % quantile under random signs, (orders,
        draws); ``small_p_value``, the level; ``histogram`` (orders, draws, bins), smoothed, on axes
        with ``edges`` (orders, bins+1), linear below ``linear`` (orders,), in units of ten to the
        ``log10_unit`` (orders,), the median magnitude. Numbers: medians over the draws. If too few
        examples have circuits to draw, all numbers are missing and there are no draws.

    Raises:
        ValueError: If the first checkpoint of the stage ``training`` is not the one before training.
    """
    training = context.inputs["training"]
    first = int(training.arrays["checkpoint_epoch"][0])
    if first != 0:
        raise ValueError(f"circuits need the checkpoint of epoch 0; the first is of epoch {first}")
    images, model = experiment.images_and_network(training.parameters, context)
    flattening.load_weights(model, training.arrays["checkpoint_weights"][0])
    order = seeding.torch_generator(context.seed, "circuits", "examples")
    examples = _within_margin(images, model, order)[: parameters.num_draws]
    log_all, log_active = counting.count_circuits(model, images.inputs[examples])
    num_alive = int(log_active.isfinite().sum())
    if num_alive < parameters.num_draws:
        reason = f"only {num_alive} examples inside the margin have circuits to draw"
        nothing = {"p_value": np.empty((len(_ORDERS), 0))}
        return Result(nothing, {}, missing=dict.fromkeys(NUMBERS, reason))
    rows = []
    for index, example in enumerate(examples.tolist()):
        row = context.progress.restore(f"draw-{index}")
        if row is None:
            target = images.targets[example].item()
            row = _draw(parameters, context.seed, model, images.inputs[example], target, index)
            context.progress.save(f"draw-{index}", row)
        rows.append(row)
        context.progress.report(index + 1, len(examples), "circuits")
    arrays = {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}
    arrays |= _histograms(parameters, arrays.pop("log_abs"), arrays.pop("sign"))
    arrays["small_p_value"] = np.array(parameters.small_p_value)
    arrays["example"] = examples.cpu().numpy()
    arrays["log10_active"] = log_active.cpu().numpy() / math.log(10)
    log10_all = log_all[0].item() / math.log(10)
    numbers = {
        "log10_num_circuits": log10_all,
        "log10_active_share": float(np.median(arrays["log10_active"])) - log10_all,
    }
    for k in _ORDERS:
        small = arrays["p_value"][k] < parameters.small_p_value
        numbers[f"num_small_p_values_{k}"] = float(small.sum())
        numbers[f"asymmetry_{k}"] = float(np.median(arrays["asymmetry"][k]))
    return Result(arrays, numbers)


def _within_margin(
    images: cifar10.BinaryImages, model: torch.nn.Module, generator: torch.Generator
) -> torch.Tensor:
    """The examples with a loss, in random order."""
    with torch.no_grad():
        outputs = torch.cat([model(part) for part in images.inputs.split(_CHUNK)])
    within = losses.within_margin(outputs, images.targets)
    shuffled = torch.randperm(len(within), generator=generator).to(within.device)
    return shuffled[within[shuffled]]


def _draw(
    parameters: Parameters,
    seed: int,
    model: torch.nn.Module,
    example: torch.Tensor,
    target: float,
    index: int,
) -> dict[str, Array]:
    """Values for one example, and what is said of them, by order."""
    names = ("log_abs", "sign", "p_value", "asymmetry", "noise_95")
    row: dict[str, list[Array]] = {name: [] for name in names}
    for order in _ORDERS:
        sample = sampling.sample_circuits(
            model,
            example,
            parameters.num_circuits,
            order,
            generator=seeding.torch_generator(seed, "circuits", index, order),
        )
        log_abs, sign = sample.log_abs.cpu().numpy(), sample.sign.cpu().numpy()
        if order > 0:
            sign = sign * np.int8(-target)  # the derivative of the hinge loss by the output
        values = sign * np.exp(log_abs - log_abs.max())  # the asymmetry has no scale
        flips = seeding.numpy_generator(seed, "circuits", "flips", index, order)
        p_value, noise_95 = symmetry.sign_flip_test(values, flips, parameters.num_flips)
        measured = (log_abs, sign, p_value, symmetry.reflection_asymmetry(values), noise_95)
        for name, value in zip(names, measured, strict=True):
            row[name].append(np.asarray(value))
    return {name: np.stack(values) for name, values in row.items()}


def _histograms(parameters: Parameters, log_abs: Array, sign: Array) -> dict[str, Array]:
    """The smoothed histograms of all draws, by order on one axis, from (orders, draws, circuits)."""
    units = np.median(log_abs, axis=(1, 2))
    values = sign * np.exp(log_abs - units[:, None, None])
    largest = np.abs(values).max(axis=(1, 2))
    linear = parameters.linear_share * largest
    axes = [
        histograms.symlog_edges(*ends, parameters.num_bins)
        for ends in zip(largest, linear, strict=True)
    ]
    rows = [
        [histograms.smoothed_histogram(draw, edges, parameters.kernel_width) for draw in draws]
        for draws, edges in zip(values, axes, strict=True)
    ]
    return {
        "edges": np.stack(axes),
        "linear": linear,
        "histogram": np.array(rows),
        "log10_unit": units / math.log(10),
    }


STAGE = Stage(Parameters, NUMBERS, run, needs=("training",), data="cifar10")
