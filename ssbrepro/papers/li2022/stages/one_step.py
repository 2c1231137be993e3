"""What one step down the gradient takes from the loss, and how large the gradient could be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Positive, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch

    from ssbrepro import seeding
    from ssbrepro.papers.li2022 import checkpoints
    from ssbrepro.probes import gradients
    from ssbrepro.probes import risk as risks
    from ssbrepro.training import losses


@dataclass(frozen=True)
class Parameters:
    """Steps from each checkpoint, ``num_steps`` sizes spaced evenly in their logarithms.

    ``smallest`` and ``largest`` are shares of the step size that the checkpoint was trained with. The
    loss is that of at most ``num_examples`` random examples inside the margin.
    """

    num_examples: Count
    smallest: Positive
    largest: Positive
    num_steps: Annotated[int, Ge(3)]


NUMBERS = {
    "num_empty": domains.COUNT,
    "slope_error": domains.NON_NEGATIVE,
    "slope_error_control": domains.NON_NEGATIVE,
    "smallest_defect": domains.NON_NEGATIVE,
}

_CHUNK = 500  # examples a forward pass; bounds memory only


def run(parameters: Parameters, context: Context) -> Result:
    """Take steps θ - η ∇R at each checkpoint, in float64.

    To first order such a step takes η‖∇R‖² from the loss (li2022, II.E.2: "the uncertainty reduced in
    one step of the risk minimization"). The ratio of what it takes to that is 1 up to a defect, which
    the curvature makes proportional to η. The control are steps of the same lengths in one random
    direction. The examples are some of those inside the margin; their mean stands for that over all
    such examples, of which R is the active share.

    The norms of these examples' own gradients say how large ‖∇R‖² over all examples could be: if all
    had the same direction, (mean ‖∇R_n‖)², and with random signs, on average, mean ‖∇R_n‖² over the
    number of examples, where examples outside the margin count as zero.

    Returns:
        Arrays: ``epoch`` and ``loss``, of all examples, (checkpoints,); ``share`` (steps,), of the step
        size; ``ratio`` and ``random_ratio``, along the gradient and along the random direction,
        (checkpoints, steps), NaN where the gradient is exactly zero; ``coherent_square`` and
        ``random_square`` (checkpoints,), what ‖∇R‖² could be. Numbers: at the checkpoints that
        are not empty the largest distance from 1 of the slope of log defect on log η, the same for the
        random direction, and the largest defect at the smallest step.

    Raises:
        ValueError: If the largest step is not above the smallest.
    """
    if not parameters.smallest < parameters.largest:
        raise ValueError("the largest step is not above the smallest")
    shares = np.geomspace(parameters.smallest, parameters.largest, parameters.num_steps)
    measure = partial(_measure, parameters, shares, context)
    arrays = checkpoints.measure_checkpoints(context, measure) | {"share": shares}
    filled = np.isfinite(arrays["ratio"]).all(axis=1)
    numbers = {"num_empty": float((~filled).sum())}
    if not filled.any():
        reason = "the gradient is exactly zero at every checkpoint"
        return Result(arrays, numbers, missing=dict.fromkeys([*NUMBERS][1:], reason))
    defects, random_defects = (
        np.abs(1 - arrays[name][filled]) for name in ("ratio", "random_ratio")
    )
    numbers |= {
        "slope_error": _slope_error(shares, defects),
        "slope_error_control": _slope_error(shares, random_defects),
        "smallest_defect": float(defects[:, 0].max()),
    }
    return Result(arrays, numbers)


def _slope_error(shares: Array, defects: Array) -> float:
    """The largest distance from 1 of the slopes of log defects, (checkpoints, steps), on log steps."""
    tiny = np.finfo(float).tiny  # a defect of exactly zero is no power law
    slopes, _ = np.polyfit(np.log(shares), np.log(np.maximum(defects, tiny)).T, 1)
    return float(np.abs(slopes - 1).max())


def _measure(
    parameters: Parameters,
    shares: Array,
    context: Context,
    risk: risks.HingeRisk,
    index: int,
    total: int,
) -> dict[str, Array]:
    """Steps at the checkpoint of that index."""
    training = context.inputs["training"].arrays
    epoch = int(training["checkpoint_epoch"][index])
    measured = {
        "coherent_square": np.array(0.0),
        "random_square": np.array(0.0),
        "ratio": np.full(len(shares), np.nan),
        "random_ratio": np.full(len(shares), np.nan),
    }
    if risk.num_active:
        steps = training["step_size"][epoch] * shares
        draws = seeding.torch_generator(context.seed, "one_step", index)
        measured |= _steps(parameters.num_examples, risk, steps, draws)
    context.progress.report(index + 1, total, "single steps")
    return measured | {"loss": np.array(training["loss"][epoch])}


def _steps(
    num_examples: int, risk: risks.HingeRisk, steps: Array, generator: torch.Generator
) -> dict[str, Array]:
    """What steps of those sizes take from the loss, and what the examples' own gradients come to."""
    exact = _exact(num_examples, risk, generator)
    gradient, squares = torch.zeros_like(exact.weights), []
    for part in gradients.example_gradients(exact.model, exact.inputs, exact.targets):
        gradient += part.sum(dim=0) / len(exact.targets)
        squares.append(part.square().sum(dim=1))
    share = risk.num_active / len(risk.targets)
    norms = torch.cat(squares).sqrt()
    measured = {
        "coherent_square": np.array((share * norms.mean()).square().item()),
        "random_square": np.array(share * norms.square().mean().item() / len(risk.targets)),
    }
    square = gradient.square().sum().item()
    if square == 0:
        return measured
    other = torch.randn(len(gradient), generator=generator, dtype=torch.float64).to(gradient)
    other *= gradient.norm() / other.norm()
    before = _losses(exact, exact.weights)
    lengths = share * steps  # all others add nothing to the mean, and to its gradient
    for name, direction in (("ratio", gradient), ("random_ratio", other)):
        after = [_losses(exact, exact.weights - step * direction) for step in lengths]
        taken = np.array([(before - lowered).mean().item() for lowered in after])
        measured[name] = taken / (lengths * square)
    return measured


def _exact(num_examples: int, risk: risks.HingeRisk, generator: torch.Generator) -> risks.HingeRisk:
    """The risk of some random examples inside the margin, in float64."""
    with torch.no_grad():
        outputs = torch.cat([risk.model(part) for part in risk.inputs.split(_CHUNK)])
    active = losses.within_margin(outputs, risk.targets).nonzero()[:, 0]
    order = torch.randperm(len(active), generator=generator)[:num_examples]
    chosen = active[order.to(active.device)]
    return risks.HingeRisk(risk.model, risk.inputs[chosen], risk.targets[chosen], torch.float64)


def _losses(risk: risks.HingeRisk, weights: torch.Tensor) -> torch.Tensor:
    """Each example's loss at those weights, (examples,)."""
    named = risk.model.named_parameters()
    sizes = weights.split(risk.layer_sizes)
    moved = {name: part.view_as(own) for (name, own), part in zip(named, sizes, strict=True)}
    with torch.no_grad():
        outputs = torch.func.functional_call(risk.model, moved, (risk.inputs,))
    return torch.relu(1 - risk.targets * outputs)


STAGE = Stage(Parameters, NUMBERS, run, needs=("training",), data="cifar10")
