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
    from ssbrepro.papers.li2022 import experiment
    from ssbrepro.probes import controls
    from ssbrepro.probes.circuits import counting, sampling
    from ssbrepro.statistics import histograms, symmetry
    from ssbrepro.training import losses


@dataclass(frozen=True)
class Parameters:
    """Circuits of untrained networks, sampled uniformly from all active ones of an example.

    Each of ``num_draws`` draws takes another network and another example, and samples ``num_circuits``
    circuits of each order. A draw counts as asymmetric where its sign-flip p-value, from ``num_flips``
    patterns, is below ``small_p_value``. The rest shapes the drawn histograms only: the axis is linear
    below ``linear_share`` of its end.
    """

    num_draws: Count
    num_circuits: Annotated[int, Ge(2)]
    num_flips: Count
    small_p_value: Share
    num_bins: Count
    kernel_width: Share
    linear_share: Share


_ORDERS = (0, 1, 2)

NUMBERS = {
    "log10_num_circuits": domains.NON_NEGATIVE,
    "log10_active_share": domains.NON_POSITIVE,
    "imbalance_noise": domains.SHARE,
    **{f"num_small_p_values_{order}": domains.COUNT for order in _ORDERS},
    **{f"num_small_p_values_{order}_control": domains.COUNT for order in _ORDERS},
    **{f"asymmetry_{order}": domains.ASYMMETRY for order in _ORDERS},
    **{f"imbalance_{order}": domains.SHARE for order in _ORDERS},
    **{f"imbalance_{order}_control": domains.SHARE for order in _ORDERS},
    **{f"weight_imbalance_{order}": domains.SHARE for order in _ORDERS},
    **{f"weight_imbalance_{order}_control": domains.SHARE for order in _ORDERS},
}

_BROKEN = "broken_"  # begins the names of what is measured on copies with every symmetry broken
_GAIN_EXAMPLES = 100  # that the gains of copies are over
_EXAMPLES = 100  # looked at for one inside the margin
_CANDIDATES = 8  # looked at for one with an active circuit
_IMITATIONS = 999  # of chance, for the 95 % quantile


def run(parameters: Parameters, context: Context) -> Result:
    """Sample active circuits of one untrained network after the other.

    The networks are drawn as the one of the stage ``training`` was, independently of it and of each
    other, and each is given a random example inside its margin. The values are X ψ for order 0 (li2022,
    eq. 11); for orders 1 and 2 they are the perturbations Ω of eqs. 16 and 18, with the derivative of
    the loss by the output, which is -y inside the margin. The same is measured on a copy of each network
    with every symmetry broken. The sign of a value is also told without that of the input, which no
    weight decides.

    Returns:
        Arrays: ``example`` (draws,); ``log10_active`` (draws,), of the number of active circuits;
        ``p_value``, ``asymmetry``, ``noise_95``, its 95 % quantile under random signs, ``imbalance``,
        the distance of the share of positive values from one half, and ``weight_imbalance``, that
        without the input, (orders, draws); ``small_p_value``, the level; ``histogram`` (orders, draws,
        bins), smoothed, on axes with ``edges`` (orders, bins+1), linear below ``linear`` (orders,), in
        units of ten to the ``log10_unit`` (orders,), the median magnitude; and the same of the copies,
        as ``broken_<name>``. Numbers: medians over the draws. If a network or its copy has no circuits
        to draw, all numbers are missing and there are no draws.
    """
    training = context.inputs["training"].parameters
    images, _ = experiment.images_and_network(training, context)
    rows = []
    for index in range(parameters.num_draws):
        row = context.progress.restore(f"draw-{index}")
        if row is None:
            row = _draw(parameters, training, context.seed, images, index)
            if row:
                context.progress.save(f"draw-{index}", row)
        rows.append(row)
        context.progress.report(index + 1, parameters.num_draws, "circuits")
    num_found = sum(len(row) > 0 for row in rows)
    if num_found < len(rows):
        reason = (
            f"only {num_found} of {len(rows)} networks and their copies have an example inside the "
            "margin with circuits to draw"
        )
        nothing = dict.fromkeys(("p_value", f"{_BROKEN}p_value"), np.empty((len(_ORDERS), 0)))
        return Result(nothing, {}, missing=dict.fromkeys(NUMBERS, reason))
    arrays = {name: np.stack([row[name] for row in rows], axis=-1) for name in rows[0]}
    for kind in ("", _BROKEN):
        log_abs, sign = (arrays.pop(f"{kind}{name}").swapaxes(1, 2) for name in ("log_abs", "sign"))
        drawn = _histograms(parameters, log_abs, sign)
        arrays |= {f"{kind}{name}": values for name, values in drawn.items()}
    arrays["small_p_value"] = np.array(parameters.small_p_value)
    return Result(arrays, _numbers(parameters, context.seed, arrays))


def _numbers(parameters: Parameters, seed: int, arrays: dict[str, Array]) -> dict[str, float]:
    """Counts and medians over the draws, and what chance would make of the shares of signs."""
    active, total = arrays["log10_active"], arrays.pop("log10_all")
    chance = seeding.numpy_generator(seed, "circuits", "coins")
    shape = _IMITATIONS, parameters.num_draws
    heads = chance.binomial(parameters.num_circuits, 0.5, shape) / parameters.num_circuits
    numbers = {
        "log10_num_circuits": total[0],
        "log10_active_share": np.median(active) - total[0],
        "imbalance_noise": np.quantile(np.median(np.abs(heads - 0.5), axis=1), 0.95),
    }
    for order in _ORDERS:
        numbers[f"asymmetry_{order}"] = np.median(arrays["asymmetry"][order])
        for kind, ending in (("", ""), (_BROKEN, "_control")):
            small = arrays[f"{kind}p_value"][order] < parameters.small_p_value
            numbers[f"num_small_p_values_{order}{ending}"] = small.sum()
            for name in ("imbalance", "weight_imbalance"):
                values = arrays[f"{kind}{name}"][order]
                numbers[f"{name}_{order}{ending}"] = np.median(values)
    return {name: float(number) for name, number in numbers.items()}


def _draw(
    parameters: Parameters,
    training: experiment.Setting,
    seed: int,
    images: cifar10.BinaryImages,
    index: int,
) -> dict[str, Array]:
    """Values of a new network and of its broken copy; nothing if one has no circuits to draw."""
    drawn = seeding.torch_generator(seed, "circuits", "network", index)
    model = experiment.network(training, drawn).to(images.inputs.device)
    signs = seeding.torch_generator(seed, "circuits", "copy", index)
    copy = controls.broken_copy(model, images.inputs[:_GAIN_EXAMPLES], 1.0, signs)
    row: dict[str, Array] = {}
    for kind, network in (("", model), (_BROKEN, copy)):
        order = seeding.torch_generator(seed, "circuits", f"{kind}example", index)
        example = _example(images, network, order)
        if example is None:
            return {}
        image, target = images.inputs[example], images.targets[example].item()
        counts = counting.count_circuits(network, image[None])
        measured = _measure(parameters, seed, network, image, target, f"{kind}circuits", index) | {
            "example": np.array(example),
            "log10_active": np.array(counts.log_active.item() / math.log(10)),
            "log10_all": np.array(counts.log_all.item() / math.log(10)),
        }
        row |= {f"{kind}{name}": values for name, values in measured.items()}
    return row


def _example(
    images: cifar10.BinaryImages, model: torch.nn.Module, generator: torch.Generator
) -> int | None:
    """A random example inside the margin with an active circuit; none if there is hardly any."""
    order = torch.randperm(len(images.targets), generator=generator)[:_EXAMPLES]
    order = order.to(images.targets.device)
    with torch.no_grad():
        outputs = model(images.inputs[order])
    inside = order[losses.within_margin(outputs, images.targets[order])][:_CANDIDATES]
    alive = inside[counting.count_circuits(model, images.inputs[inside]).log_active.isfinite()]
    return int(alive[0]) if len(alive) else None


def _measure(
    parameters: Parameters,
    seed: int,
    model: torch.nn.Module,
    image: torch.Tensor,
    target: float,
    purpose: str,
    index: int,
) -> dict[str, Array]:
    """Values for one example, and what is said of them, by order."""
    rows = []
    for order in _ORDERS:
        drawn = seeding.torch_generator(seed, purpose, index, order)
        sample = sampling.sample_circuits(
            model, image, parameters.num_circuits, order, generator=drawn
        )
        log_abs, sign = sample.log_abs.cpu().numpy(), sample.sign.cpu().numpy()
        if order > 0:
            sign = sign * np.int8(-target)  # the derivative of the hinge loss by the output
        given = image.reshape(-1)[sample.units[:, 0]].sign().to(torch.int8).cpu().numpy()
        values = sign * np.exp(log_abs - log_abs.max())  # the asymmetry has no scale
        flips = seeding.numpy_generator(seed, purpose, "flips", index, order)
        p_value, noise_95 = symmetry.sign_flip_test(values, flips, parameters.num_flips)
        rows.append(
            {
                "log_abs": log_abs,
                "sign": sign,
                "p_value": p_value,
                "asymmetry": symmetry.reflection_asymmetry(values),
                "noise_95": noise_95,
                "imbalance": abs(sign.mean()) / 2,
                "weight_imbalance": abs((sign * given).mean()) / 2,
            }
        )
    return {name: np.stack([np.asarray(row[name]) for row in rows]) for name in rows[0]}


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
