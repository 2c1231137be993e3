"""Gradients along a line in input space, plain against residual networks.

Balduzzi et al. (2017), arXiv:1702.08591: the gradients of deep plain networks resemble white noise,
those of residual networks keep the correlations between neighbouring inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, TypeAlias

from annotated_types import Ge, MinLen

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch

    from ssbrepro import seeding
    from ssbrepro.data import cifar10


@dataclass(frozen=True)
class Parameters:
    """Gradients of untrained bias-free networks along a line between two CIFAR-10 images.

    Pairs of a plain and a residual network of the same number of weight layers, for each of
    ``depths``, all of ``width`` units, at ``num_points`` points; autocorrelations up to ``num_lags``.
    """

    num_networks: Annotated[int, Ge(2)]
    depths: Annotated[tuple[Annotated[int, Ge(4)], ...], MinLen(1)]
    width: Count
    num_points: Annotated[int, Ge(8)]
    num_lags: Count


NUMBERS = {
    "difference_min": domains.REAL,
    "difference_noise": domains.REAL,
    "plain_difference_min": domains.REAL,
    "plain_closer_share": domains.SHARE,
    "plain_deepest": domains.NON_NEGATIVE,
    "residual_deepest": domains.NON_NEGATIVE,
    "white_noise": domains.NON_NEGATIVE,
}

Output: TypeAlias = "Callable[[Sequence[torch.Tensor], torch.Tensor], torch.Tensor]"

_NUM_IMAGES = 1000  # of the dataset, for the ends of the lines: half a million pairs
_NUM_SERIES = 1000  # of white noise: their mean is then known to one per cent
_NUM_FLIPS = 999  # sign patterns: a 5 % quantile of the median to some per cent of its size
_ROUNDING = 1e-12  # of a gradient's size: less than this is no change in float64


def plain_output(weights: Sequence[torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
    """Output of the plain network, W_L R W_{L-1} ... R W_1 x with R the ReLU.

    Args:
        weights: Of the layers, the first one first, (outputs, inputs) each; the last has one output.
        inputs: (examples, features).

    Returns:
        (examples,).
    """
    hidden = inputs
    for weight in weights[:-1]:
        hidden = torch.relu(hidden @ weight.T)
    return hidden @ weights[-1][0]


def residual_output(weights: Sequence[torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
    """Output of the residual network with the same weights as the plain one.

    All but the first and the last layer form units, x + R W' R W x (ssb2018, footnote 1).

    Args:
        weights: An even number of layers; otherwise as in :func:`plain_output`.
        inputs: (examples, features).

    Returns:
        (examples,).
    """
    hidden = torch.relu(inputs @ weights[0].T)
    for first, second in zip(weights[1:-1:2], weights[2:-1:2], strict=True):
        hidden = hidden + torch.relu(torch.relu(hidden @ first.T) @ second.T)
    return hidden @ weights[-1][0]


def along_line(
    output: Output, weights: Sequence[torch.Tensor], points: torch.Tensor, direction: torch.Tensor
) -> Array:
    """Derivative of a network's output in a fixed direction at each of the points.

    Args:
        output: :func:`plain_output` or :func:`residual_output`.
        weights: Its weights.
        points: (points, features).
        direction: (features,).

    Returns:
        (points,): the gradient times the direction, by automatic differentiation.
    """
    inputs = points.clone().requires_grad_()
    # Each output depends on its own input alone, so the gradient of the sum is that of each.
    (gradient,) = torch.autograd.grad(output(weights, inputs).sum(), inputs)
    slopes: Array = (gradient @ direction).cpu().numpy()
    return slopes


def autocorrelation(series: Array, num_lags: int) -> Array:
    """Sample autocorrelations, sum_t z_t z_{t+k} / sum_t z_t² with z the centred series.

    Box & Jenkins (1976), section 2.1.6. A constant series, here the gradient of a function without
    a kink, has none; it counts as 1 at every lag, the farthest from white noise.

    Args:
        series: One a row, (..., points).
        num_lags: The lags are k = 1 to ``num_lags``.

    Returns:
        (..., num_lags).

    Raises:
        ValueError: If a value is not finite, or a series is not longer than the largest lag.
    """
    if not np.isfinite(series).all():
        raise ValueError("autocorrelation needs finite values")
    if not 1 <= num_lags < series.shape[-1]:
        raise ValueError(
            f"no {num_lags} lags of {series.shape[-1]} points; take fewer lags or more points"
        )
    size = np.abs(series).max(axis=-1, keepdims=True)
    scaled = series / np.where(size == 0, 1.0, size)  # no square of it can overflow
    centred = scaled - scaled.mean(axis=-1, keepdims=True)
    constant = np.abs(centred).max(axis=-1) <= _ROUNDING
    variance = np.where(constant, 1.0, (centred**2).sum(axis=-1))
    lagged = [
        (centred[..., :-lag] * centred[..., lag:]).sum(axis=-1) for lag in range(1, num_lags + 1)
    ]
    result: Array = np.where(constant, 1.0, np.stack(lagged) / variance)
    return np.moveaxis(result, 0, -1)


def run(parameters: Parameters, context: Context) -> Result:
    """Measure how close to white noise the gradients of both kinds of network are.

    The two networks of a pair share their weights, He-normal, and their line: evenly spaced points on
    the segment between two images drawn from the first 1,000 of the dataset. The gradient is the exact
    derivative of the output along the segment, in float64. The distance from white noise is the mean
    magnitude of the autocorrelations at lags 1 to ``num_lags``.

    Returns:
        Arrays, plain networks first on the first axis: ``gradient`` (2, networks, depths, points) per
        unit of ``position`` (points,) from 0 to 1; ``autocorrelation_median`` over networks (2, depths,
        lags) at ``lag`` (lags,); ``distance`` (2, networks, depths) at ``depth`` (depths,) and
        ``distance_quartiles`` (3, 2, depths), the median in the middle; ``white_noise`` (), the mean
        distance of white noise of as many points. Numbers: the smallest difference over the depths, of
        medians over networks of the residual one's distance less its plain partner's, and what it would
        fall to in one of twenty cases were the two kinds alike at that depth; the same difference with
        other plain networks in the place of the residual ones; the share of pairs in which the plain
        network's is smaller; the medians at the largest depth, and the white noise's.

    Raises:
        ValueError: If a depth is odd, or there are not more points than lags.
    """
    if odd := [depth for depth in parameters.depths if depth % 2]:
        raise ValueError(f"depths {odd} leave half a residual unit; take even ones")
    lines = _lines(context.data_root, parameters.num_networks, context.seed)
    position = torch.linspace(0, 1, parameters.num_points, dtype=torch.float64)
    pairs = [
        [
            _gradients(parameters, depth, ends, position, context, network)
            for depth in parameters.depths
        ]
        for network, ends in enumerate(lines)
    ]
    gradient: Array = np.moveaxis(np.array(pairs), 2, 0)
    correlation = autocorrelation(gradient, parameters.num_lags)
    distance = np.abs(correlation).mean(axis=-1)
    noise = seeding.numpy_generator(context.seed, "shattered", "white noise").standard_normal(
        (_NUM_SERIES, parameters.num_points)
    )
    white_noise = np.abs(autocorrelation(noise, parameters.num_lags)).mean()
    plain, residual = distance
    difference = np.median(residual - plain, axis=0)
    smallest, deepest = int(difference.argmin()), int(np.argmax(parameters.depths))
    flips = seeding.numpy_generator(context.seed, "shattered", "flips")
    return Result(
        arrays={
            "position": position.numpy(),
            "depth": np.array(parameters.depths),
            "lag": np.arange(1, parameters.num_lags + 1),
            "gradient": gradient,
            "autocorrelation_median": np.median(correlation, axis=1),
            "distance": distance,
            "distance_quartiles": np.quantile(distance, (0.25, 0.5, 0.75), axis=1),
            "white_noise": np.array(white_noise),
        },
        numbers={
            "difference_min": float(difference[smallest]),
            "difference_noise": _chance_difference((residual - plain)[:, smallest], flips),
            "plain_difference_min": _difference_among(plain),
            "plain_closer_share": float((plain < residual).mean()),
            "plain_deepest": float(np.median(plain[:, deepest])),
            "residual_deepest": float(np.median(residual[:, deepest])),
            "white_noise": float(white_noise),
        },
    )


def _chance_difference(differences: Array, generator: np.random.Generator) -> float:
    """5 % quantile of the median of paired differences, (pairs,), under random signs."""
    signs = generator.choice((-1.0, 1.0), (_NUM_FLIPS, len(differences)))
    return float(np.quantile(np.median(signs * differences, axis=1), 0.05))


def _difference_among(distance: Array) -> float:
    """The smallest difference over the depths where partners are networks of one kind.

    ``distance`` (networks, depths) is compared with itself, each network with the one a shift away: all
    are alike, so a median difference is zero but for chance. The median over all shifts.
    """
    smallest = [
        np.median(np.roll(distance, shift, axis=0) - distance, axis=0).min()
        for shift in range(1, len(distance))
    ]
    return float(np.median(smallest))


def _lines(data_root: Path, num_networks: int, seed: int) -> list[torch.Tensor]:
    """For each network two different images, (2, pixels) float64."""
    images = cifar10.load_classes(data_root, _NUM_IMAGES).inputs.flatten(1).double()
    return [
        images[
            torch.randperm(
                _NUM_IMAGES, generator=seeding.torch_generator(seed, "shattered", "line", network)
            )[:2]
        ]
        for network in range(num_networks)
    ]


def _gradients(
    parameters: Parameters,
    depth: int,
    ends: torch.Tensor,
    position: torch.Tensor,
    context: Context,
    network: int,
) -> list[Array]:
    """The plain and the residual network's derivative along the line, (points,) each."""
    generator = seeding.torch_generator(context.seed, "shattered", "weights", network, depth)
    sizes = [ends.shape[1], *[parameters.width] * (depth - 1), 1]
    weights = [
        (
            math.sqrt(2 / inputs)
            * torch.randn(outputs, inputs, generator=generator, dtype=torch.float64)
        ).to(context.device)
        for inputs, outputs in pairwise(sizes)
    ]
    start, end = ends.to(context.device)
    points = torch.lerp(start, end, position.to(context.device)[:, None])
    return [
        along_line(output, weights, points, end - start)
        for output in (plain_output, residual_output)
    ]


STAGE = Stage(Parameters, NUMBERS, run, data="cifar10")
