"""The training loss along lines through the final weights.

Along the straight line from the initial to the final weights (Goodfellow et al. 2014,
arXiv:1412.6544), and along the principal directions of the path between them (Li et al. 2018,
arXiv:1712.09913, section 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro import seeding
    from ssbrepro.networks import flattening
    from ssbrepro.papers.ssb2018 import residual_networks


@dataclass(frozen=True)
class Parameters:
    """The loss along the line from the initial to the final weights and along principal directions.

    ``num_points`` from the one to the other and, to see the minimum from both sides, as far beyond it
    as ``beyond`` times the distance. The principal directions are those of the kept weights.
    """

    num_points: Annotated[int, Ge(3)]
    beyond: Annotated[float, Ge(0)]


NUMBERS = {
    "rise_max": domains.REAL,
    "rise_median": domains.REAL,
    "random_rise_max": domains.REAL,
    "monotone_share": domains.SHARE,
    "final_loss_residual_max": domains.NON_NEGATIVE,
    "path_share_first": domains.SHARE,
    "path_share_second": domains.SHARE,
}

_NUM_DIRECTIONS = 2
_ROUNDING = 1e-6  # of the initial loss: a mean of float32 outputs is no more certain


def principal_directions(path: Array, num_directions: int) -> tuple[Array, Array, Array]:
    """Directions from the end of a path in which it extends most.

    Right singular vectors of the displacements from the last point (Li et al. 2018), not from the
    mean: the lines along them pass through the final weights. Each points away from where the path
    has its largest coordinate along it, so the first one points roughly from the start to the end
    and beyond. A share says little by itself: of a random walk in many dimensions the first
    direction about the mean already has 61 % (Antognini & Sohl-Dickstein 2018, arXiv:1806.08805).

    Args:
        path: (points, dim), the last one is the end; at least ``num_directions`` others.
        num_directions: How many.

    Returns:
        Unit vectors (num_directions, dim); coordinates of the path along them, (num_directions,
        points), 0 at the end and negative where largest; shares of the summed squared displacements,
        (num_directions,).

    Raises:
        ValueError: If there are too few points, or the path does not extend in so many directions.
    """
    displacements = np.asarray(path, dtype=np.float64) - path[-1]
    _, sizes, directions = np.linalg.svd(displacements[:-1], full_matrices=False)
    if len(sizes) < num_directions or sizes[num_directions - 1] <= 1e-12 * sizes[0]:
        raise ValueError(
            f"a path of {len(path)} points does not extend in {num_directions} directions; "
            "keep the weights more often"
        )
    directions = directions[:num_directions]
    coordinates = directions @ displacements.T
    farthest = np.abs(coordinates).argmax(axis=1)
    signs = -np.sign(coordinates[np.arange(num_directions), farthest])[:, None]
    shares = (sizes**2 / (sizes**2).sum())[:num_directions]
    return signs * directions, signs * coordinates, shares


def random_displacement(
    displacement: Array, sizes: Sequence[int], generator: np.random.Generator
) -> Array:
    """One in a random direction, of the same length in each layer as ``displacement``.

    Args:
        displacement: (dim,).
        sizes: Number of weights of each layer, in their order.
        generator: Source of the directions, uniform over the sphere of each layer.

    Returns:
        (dim,).
    """
    ends = np.cumsum(sizes)
    drawn: Array = generator.standard_normal(ends[-1])
    for layer, random in zip(
        np.split(displacement, ends[:-1]), np.split(drawn, ends[:-1]), strict=True
    ):
        random *= np.linalg.norm(layer) / np.linalg.norm(random)
    return drawn


def run(parameters: Parameters, context: Context) -> Result:
    """Measure the mean loss of all training examples along lines, for each network.

    Positions on the line from the initial weights are s in (1 - s) θ_0 + s θ_1, from 0 to 1 +
    ``beyond``; on a line from there in a random direction, as long in each layer, likewise. On a
    principal direction the final weights are at 0 and the farthest ones of the path
    at -1; positions go as far as 1 + ``beyond`` to both sides.

    Returns:
        Arrays: ``position`` (points,) and ``loss`` (networks, points) on the line from the initial
        weights, and ``random_loss`` on the random one; ``direction_position`` (points,) and
        ``direction_loss`` (networks, 2, points) on the principal directions; ``path_position``
        (networks, 2, checkpoints), of the kept weights on them; ``path_share`` (networks, 2). Numbers:
        over networks the largest and the median of the largest rise of the loss between successive
        points from s = 0 to 1, relative to the loss at 0, negative where it only falls; the largest
        along the random lines; the share of networks without a rise beyond rounding; the largest
        relative difference between the loss at s = 1 and the one recorded at the end of training;
        medians of the path's shares.
    """
    training = context.inputs["residual_training"]
    inputs, labels = residual_networks.images(training.parameters, context)
    model = residual_networks.untrained(training.parameters, context.seed, 0).to(inputs.device)

    def losses(origin: Array, displacement: Array, positions: Array) -> Array:
        values = []
        for position in positions:
            flattening.load_weights(model, (origin + position * displacement).astype(np.float32))
            values.append(residual_networks.loss_and_accuracy(model, inputs, labels)[0])
        return np.array(values)

    steps = parameters.num_points - 1
    outermost = steps + int(parameters.beyond * steps)
    position = np.arange(outermost + 1) / steps
    direction_position = np.arange(-outermost, outermost + 1) / steps
    networks = []
    for number, path in enumerate(training.arrays["checkpoint_weights"]):
        name = f"network-{number}"
        measured = context.progress.restore(name)
        if measured is None:
            directions, coordinates, shares = principal_directions(path, _NUM_DIRECTIONS)
            extents = np.abs(coordinates).max(axis=1, keepdims=True)
            displacement = path[-1].astype(np.float64) - path[0]
            aside = random_displacement(
                displacement,
                [weight.numel() for weight in model.parameters()],
                seeding.numpy_generator(context.seed, "interpolation", "random line", number),
            )
            measured = {
                "loss": losses(path[0], displacement, position),
                "random_loss": losses(path[0], aside, position),
                "direction_loss": np.stack(
                    [losses(path[-1], along, direction_position) for along in extents * directions]
                ),
                "path_position": coordinates / extents,
                "path_share": shares,
            }
            context.progress.save(name, measured)
        networks.append(measured)
        context.progress.report(number + 1, training.parameters.num_networks, "losses along lines")
    arrays = {name: np.stack([row[name] for row in networks]) for name in networks[0]}
    between, random_between = (
        arrays[name][:, : parameters.num_points] for name in ("loss", "random_loss")
    )
    rises = _largest_rises(between)
    recorded = training.arrays["loss"][:, -1]
    share_first, share_second = np.median(arrays["path_share"], axis=0)
    return Result(
        arrays={**arrays, "position": position, "direction_position": direction_position},
        numbers={
            "rise_max": float(rises.max()),
            "rise_median": float(np.median(rises)),
            "random_rise_max": float(_largest_rises(random_between).max()),
            "monotone_share": float((rises <= _ROUNDING).mean()),
            "final_loss_residual_max": float((np.abs(between[:, -1] - recorded) / recorded).max()),
            "path_share_first": float(share_first),
            "path_share_second": float(share_second),
        },
    )


def _largest_rises(loss: Array) -> Array:
    """Of the loss (networks, points) between successive points, over the first; (networks,)."""
    rises: Array = np.diff(loss, axis=1).max(axis=1) / loss[:, 0]
    return rises


STAGE = Stage(Parameters, NUMBERS, run, needs=("residual_training",), data="cifar10")
