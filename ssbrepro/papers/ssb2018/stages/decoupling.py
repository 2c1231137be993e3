"""How large the branches of residual units are beside their inputs.

The decoupling limit of ssb2018 (footnote 1) is that F(x) is much smaller than x in x + F(x).
"""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from dataclasses import dataclass

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch

    from ssbrepro import networks
    from ssbrepro.networks import flattening
    from ssbrepro.papers.ssb2018 import residual_networks


@dataclass(frozen=True)
class Parameters:
    """Size of a residual unit's branch over its input, on the first ``num_examples`` images."""

    num_examples: Count


NUMBERS = {
    "ratio_start_median": domains.NON_NEGATIVE,
    "ratio_median": domains.NON_NEGATIVE,
    "ratio_median_min": domains.NON_NEGATIVE,
    "ratio_median_max": domains.NON_NEGATIVE,
    "unit_median_max": domains.NON_NEGATIVE,
    "below_one_share": domains.SHARE,
    "untrained_ratio_median_max": domains.NON_NEGATIVE,
    "unscaled_ratio_median_max": domains.NON_NEGATIVE,
}

_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)  # quantiles over examples, for the drawing

_CHUNK = 500  # examples a forward pass; bounds memory only


def branch_ratios(model: torch.nn.Module, inputs: torch.Tensor) -> Array:
    """Norm of the branch over the norm of the input, of every residual unit at every example.

    Args:
        model: Holds the units, in the order in which inputs pass them.
        inputs: (examples, ...), on the model's device.

    Returns:
        (units, examples) float64; NaN where a unit's input is zero: its branch then is zero too.

    Raises:
        ValueError: If the model has no residual unit.
    """
    units = [module for module in model.modules() if isinstance(module, networks.ResidualUnit)]
    if not units:
        raise ValueError("the model has no residual unit to measure")
    ratios: dict[torch.nn.Module, list[torch.Tensor]] = {unit: [] for unit in units}

    def record(unit: networks.ResidualUnit, arguments: tuple[torch.Tensor]) -> None:
        (unit_input,) = arguments
        ratios[unit].append(_norms(unit.branch(unit_input)) / _norms(unit_input))

    hooks = [unit.register_forward_pre_hook(record) for unit in units]
    try:
        with torch.no_grad():
            for part in inputs.split(_CHUNK):
                model(part)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack([torch.cat(ratios[unit]) for unit in units]).cpu().numpy()


def _norms(activations: torch.Tensor) -> torch.Tensor:
    """Euclidean norm of each example's activations, in float64."""
    norms: torch.Tensor = torch.linalg.vector_norm(
        activations.flatten(1), dim=1, dtype=torch.float64
    )
    return norms


def run(parameters: Parameters, context: Context) -> Result:
    """Measure each network of ``residual_training`` before training and at its end.

    Examples at which a unit's input is zero have no ratio and are left out. What branches owe to
    training shows against the untrained networks, and what these owe to the factor ``branch_scale``
    against the same weights without it: He's initial weights keep the mean square, so a branch is then
    about as large as its input.

    Returns:
        Arrays: ``unit`` (units,), counted from 1; ``level`` (levels,); for untrained, trained and
        untrained networks without the factor ``quantile`` (networks, 3, units, levels) of the ratio
        over examples and ``quantile_median`` (3, units, levels) over networks, NaN where no example has
        a ratio; ``median`` (networks, 3) over units and examples. Numbers: the median over all
        networks, units and examples before training and at the end; at the end the smallest and
        largest median of a network, the largest median of one unit of a network, and the share of
        ratios below 1; and the largest median of a network before training, with the factor and
        without it. All are missing if a network has no ratio.
    """
    training = context.inputs["residual_training"]
    inputs, _ = residual_networks.images(training.parameters, context, parameters.num_examples)
    scaled, unscaled = (
        residual_networks.untrained(family, context.seed, 0).to(inputs.device)
        for family in (
            training.parameters,
            dataclasses.replace(training.parameters, branch_scale=1.0),
        )
    )
    weights = training.arrays["checkpoint_weights"]
    phases = ((scaled, 0), (scaled, -1), (unscaled, 0))
    measured = []
    for path, (model, checkpoint) in itertools.product(weights, phases):
        flattening.load_weights(model, path[checkpoint])
        measured.append(branch_ratios(model, inputs))
        context.progress.report(len(measured), len(phases) * len(weights), "sizes of branches")
    ratios = np.array(measured).reshape(len(weights), len(phases), *measured[0].shape)
    start, end = ratios[:, 0], ratios[:, 1]
    with warnings.catch_warnings():
        # A unit or a network without any ratio has NaN for its quantiles, as documented.
        warnings.filterwarnings("ignore", message="All-NaN slice")
        quantile = np.moveaxis(np.nanquantile(ratios, _LEVELS, axis=-1), 0, -1)
        quantile_median = np.nanmedian(quantile, axis=0)
        median = np.nanmedian(ratios, axis=(2, 3))
        numbers = {
            "ratio_start_median": float(np.nanmedian(start)),
            "ratio_median": float(np.nanmedian(end)),
            "ratio_median_min": float(median[:, 1].min()),
            "ratio_median_max": float(median[:, 1].max()),
            "unit_median_max": float(np.nanmax(quantile[:, 1, :, _LEVELS.index(0.5)])),
            "below_one_share": float((end < 1).sum() / max(np.isfinite(end).sum(), 1)),
            "untrained_ratio_median_max": float(median[:, 0].max()),
            "unscaled_ratio_median_max": float(median[:, 2].max()),
        }
    arrays = {
        "unit": np.arange(1, ratios.shape[2] + 1),
        "level": np.array(_LEVELS),
        "quantile": quantile,
        "quantile_median": quantile_median,
        "median": median,
    }
    if np.isnan(median).any():
        reason = "the inputs of all residual units of a network are zero"
        return Result(arrays=arrays, numbers={}, missing=dict.fromkeys(numbers, reason))
    return Result(arrays=arrays, numbers=numbers)


STAGE = Stage(Parameters, NUMBERS, run, needs=("residual_training",), data="cifar10")
