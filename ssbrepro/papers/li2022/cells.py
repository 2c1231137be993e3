"""What is measured of one network of the grid of sizes, at each loss that it has been trained to."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ssbrepro.contract import Array, Progress
from ssbrepro.data.cifar10 import BinaryImages
from ssbrepro.networks.flattening import load_weights
from ssbrepro.papers.li2022 import copies
from ssbrepro.probes.gradients import mean_gradient
from ssbrepro.probes.operators import hessian_operator
from ssbrepro.probes.spectra import top_eigenpairs
from ssbrepro.probes.spectra.extremes import extremes_asymmetry
from ssbrepro.seeding import torch_generator
from ssbrepro.statistics.symmetry import reflection_asymmetries, reflection_asymmetry
from ssbrepro.training.losses import hinge, within_margin
from ssbrepro.training.matched import Crossing

_AMONG = 100  # images that a copy's gains are over, and that its examples are from
_CHUNK = 500  # examples run through the network at once; bounds memory only
_PAIRS = 10  # eigenvalues on each side, at most
_CONVERGED = 0.01  # residual in units of the largest magnitude: a hundredth of S_k at most


class Effort(NamedTuple):
    """How much is measured of a network.

    ``num_active`` examples inside the margin serve for everything. Of ``num_intact`` copies whose
    symmetries hold and of ``num_draws`` sets of examples of the network and of its broken copy, the
    first ``num_spectra`` have their spectra measured, by ``num_steps`` Lanczos steps at most.
    """

    num_active: int
    num_intact: int
    num_draws: int
    num_spectra: int
    num_steps: int


def measure(
    model: nn.Module,
    images: BinaryImages,
    crossings: Sequence[Crossing],
    num_losses: int,
    names: Sequence[str],
    effort: Effort,
    seed: int,
    progress: Progress,
    cell: str,
) -> dict[str, Array]:
    """The statistics of a network and of its copies where its training crosses each loss.

    All are of equally many examples inside the margin, drawn anew each time: chance carries a statistic
    the further the fewer they are. Where the network has fewer, the cell is empty.

    Args:
        model: Takes the weights of the crossings.
        images: It was trained on.
        crossings: Of the losses that were reached, the first ones.
        num_losses: All losses.
        names: Of the statistics.
        effort: How much is measured.
        seed: Of all draws.
        progress: Where what is measured at a loss is kept.
        cell: By the name of this network.

    Returns:
        ``epoch``, ``loss`` and ``active``, the number inside the margin, (losses,), NaN where not
        reached; of each statistic ``<statistic>`` (losses,), the median over draws,
        ``<statistic>_intact`` (losses, copies) and ``<statistic>_broken`` (losses, draws), NaN where
        empty or not measured.
    """
    nothing = np.full(num_losses, np.nan)
    found = {name: nothing.copy() for name in ("epoch", "loss", "active", *names)}
    kinds = {"own": effort.num_draws, "intact": effort.num_intact, "broken": effort.num_draws}
    values = {kind: np.full((len(names), num_losses, kinds[kind]), np.nan) for kind in kinds}
    for place, crossing in enumerate(crossings):
        state = progress.restore(f"{cell}-loss-{place}")
        if state is None:
            load_weights(model, crossing.weights)
            state = _at_loss(model, images, place, names, effort, seed)
            progress.save(f"{cell}-loss-{place}", state)
        found["epoch"][place], found["loss"][place] = crossing.epoch, crossing.loss
        found["active"][place] = state["active"]
        for kind in kinds:
            values[kind][:, place] = state[kind]
    for number, name in enumerate(names):
        found[name] = medians(values["own"][number])
        found |= {f"{name}_{kind}": values[kind][number] for kind in ("intact", "broken")}
    return found


def _at_loss(
    model: nn.Module,
    images: BinaryImages,
    place: int,
    names: Sequence[str],
    effort: Effort,
    seed: int,
) -> dict[str, Array]:
    """``active``, and by kind all statistics, (statistics, copies or draws), at one loss."""
    active = _inside(model, images)
    kinds = {"own": effort.num_draws, "intact": effort.num_intact, "broken": effort.num_draws}
    values = {kind: np.full((len(names), number), np.nan) for kind, number in kinds.items()}
    values["active"] = np.array(len(active))
    if len(active) < effort.num_active:
        return values

    def note(kind: str, number: int, of: nn.Module, examples: BinaryImages) -> None:
        if len(examples.inputs) == effort.num_active:
            steps = effort.num_steps if number < effort.num_spectra else 0
            start = torch_generator(seed, "start", kind, place, number)
            measured = statistics(of, examples, steps, start)
            values[kind][:, number] = [measured[name] for name in names]

    for number in range(effort.num_draws):
        order = torch_generator(seed, "own", place, number)
        chosen = active[torch.randperm(len(active), generator=order)[: effort.num_active]]
        note("own", number, model, BinaryImages(images.inputs[chosen], images.targets[chosen]))
    some = BinaryImages(images.inputs[:_AMONG], images.targets[:_AMONG])
    for copy in copies.copies(
        model, some, effort.num_active, effort.num_intact, effort.num_draws, seed
    ):
        note(copy.kind, copy.number, copy.model, BinaryImages(copy.inputs, copy.targets))
    return values


def medians(values: Array) -> Array:
    """Over the last axis, of what has a value; NaN where nothing has."""
    some = np.asarray(np.isfinite(values).any(axis=-1, keepdims=True))
    found = np.nanmedian(np.where(some, values, 0), axis=-1)
    return np.asarray(np.where(some[..., 0], found, np.nan))


def statistics(
    model: nn.Module, inside: BinaryImages, num_steps: int, generator: torch.Generator
) -> dict[str, float]:
    """``weights``, A of a layer's, averaged over all; ``gradient``, A of it; ``spectrum``, S_k.

    Args:
        model: A bias-free network.
        inside: Examples inside its margin.
        num_steps: Lanczos steps at most; 0 for no spectrum.
        generator: Source of Lanczos' start vector.

    Returns:
        NaN where there is no gradient, or no eigenvalue has converged on both sides.
    """
    layers = [weight.detach().cpu().numpy().ravel() for weight in model.parameters()]
    asymmetries = [float(reflection_asymmetries(layer)) for layer in layers]
    mean = float(np.average(asymmetries, weights=[layer.size for layer in layers]))
    found = {"weights": mean, "gradient": float("nan"), "spectrum": float("nan")}
    gradient = mean_gradient(model, *inside)
    if not gradient.any():
        return found
    found["gradient"] = reflection_asymmetry(gradient.cpu().numpy())
    if num_steps:
        hessian = hessian_operator(model, hinge, *inside, "cached")
        pairs = top_eigenpairs(hessian, _PAIRS, generator, _CONVERGED, num_steps)
        extremes = pairs.converged(_CONVERGED).values
        if extremes.numel():
            found["spectrum"] = extremes_asymmetry(extremes.numpy())
    return found


def _inside(model: nn.Module, images: BinaryImages) -> Tensor:
    """Indices of all examples inside the margin."""
    with torch.no_grad():
        outputs = torch.cat([model(part) for part in images.inputs.split(_CHUNK)])
    return within_margin(outputs, images.targets).nonzero()[:, 0].cpu()
