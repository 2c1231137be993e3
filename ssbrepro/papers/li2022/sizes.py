"""What a grid of networks says of size: how S₀ falls, whether B grows, what another is predicted."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ssbrepro.contract import WITHOUT_POWER, Array
from ssbrepro.papers.li2022 import power_laws
from ssbrepro.papers.li2022.cells import medians
from ssbrepro.papers.li2022.power_laws import FIXED, RATIO, Law
from ssbrepro.probes import controls

Arrays = dict[str, Array]
Found = tuple[dict[str, float], dict[str, str]]  # numbers, and why others are missing

_FEWEST_WIDTHS = 3  # of each regime: a line through two has no residual of its own
_DRAWS = 999
_LEVEL = 0.95
_LINE = 60  # sizes that a fitted law is drawn at


class Predicted(NamedTuple):
    """What is predicted: networks of so many weights, trained on each of these numbers of images.

    ``loss`` is the place of the loss they are compared at.
    """

    num_weights: int
    num_images: Sequence[int]
    loss: int


def numbers_of(
    arrays: Arrays, statistic: str, wanted: Predicted, generator: np.random.Generator
) -> Found:
    """The numbers of one statistic, and the arrays that show them, which are added.

    Args:
        arrays: Of the grid, all of (2, widths, losses, ...): ``<statistic>``, ``<statistic>_intact`` and
            ``<statistic>_broken``; and ``num_weights`` (widths,), ``num_examples`` (2, widths).
        statistic: Its name.
        wanted: What to predict.
        generator: Source of what chance does.

    Returns:
        The numbers, and why others are missing.
    """
    copies = [arrays[f"{statistic}_{kind}"] for kind in ("intact", "broken")]
    for name, values in zip(("s0", "s1"), copies, strict=True):
        arrays[f"{statistic}_{name}"] = medians(values)
    shape = arrays[statistic].shape
    indices = controls.breaking_indices(
        arrays[statistic].ravel(), *(one.reshape(-1, one.shape[-1]).T for one in copies)
    )
    arrays[f"{statistic}_index"] = indices.index.reshape(shape)
    numbers: dict[str, float] = {}
    missing: dict[str, str] = {}
    for found, lost in (
        _slopes(arrays, statistic, generator),
        _growth(statistic, indices, shape),
        _predicted(arrays, statistic, wanted),
        _at_the_size(arrays, statistic, wanted),
    ):
        numbers |= found
        missing |= lost
    return numbers, missing


def law_of(arrays: Arrays, values: Array) -> Law | None:
    """The law of values (2, widths) at one loss; none where a regime has fewer than three widths."""
    measured = np.isfinite(values)
    if (measured.sum(axis=1) < _FEWEST_WIDTHS).any():
        return None
    num_weights = np.broadcast_to(arrays["num_weights"], values.shape)
    return power_laws.fit(num_weights[measured], arrays["num_examples"][measured], values[measured])


def _slopes(arrays: Arrays, statistic: str, generator: np.random.Generator) -> Found:
    name = f"{statistic}_s0_slope"
    laws, constant = (
        [
            law_of(arrays, values)
            for values in np.moveaxis(np.log(arrays[f"{statistic}_{kind}"]), 2, 0)
        ]
        for kind in ("s0", "s1")
    )
    slopes = np.full((len(laws), 2, 3), np.nan)
    for place, law in enumerate(laws):
        if law is not None:
            slopes[place] = [law.slope(direction) for direction in (FIXED, RATIO)]
    arrays[f"{name}s"] = slopes
    fitted = [law for law in laws if law is not None]
    broken = [law for law in constant if law is not None]
    if not (fitted and broken):
        reason = "no loss is measured at three widths, with images fixed and in proportion"
        return {}, {f"{name}{part}": reason for part in ("", "_noise", "_control")}
    drawn = np.concatenate([law.null_slopes(generator, _DRAWS) for law in fitted], axis=1)
    return {
        name: float(np.nanmax(slopes[..., 0])),
        f"{name}_noise": float(np.quantile(drawn.max(axis=1), _LEVEL)),
        f"{name}_control": max(
            law.slope(direction).value for law in broken for direction in (FIXED, RATIO)
        ),
    }, {}


def _growth(statistic: str, indices: controls.BreakingIndices, shape: tuple[int, ...]) -> Found:
    """B at the largest width less B at the smallest, the largest over losses and regimes."""
    name = f"{statistic}_index_growth"
    names = [f"{name}{part}" for part in ("", "_noise", "_control")]
    places = np.arange(np.prod(shape)).reshape(shape)
    measured, power = (one.reshape(shape) for one in (indices.measured, indices.power))
    # The widths of a regime at which the statistic is measured at all.
    ends = []
    for regime in range(len(places)):
        widths = np.flatnonzero(measured[regime].any(axis=1))
        for loss in range(shape[2]):
            pair = (widths[[0, -1]], loss) if len(widths) > 1 else None
            if pair and measured[regime][pair].all():
                ends.append((places[regime][pair], power[regime][pair].all()))
    if not ends:
        return {}, dict.fromkeys(names, "no loss is measured at the smallest and the largest width")
    if not all(strong for _, strong in ends):
        reason = (
            f"{WITHOUT_POWER}: at the smallest or the largest width copies with every symmetry broken "
            "cannot be told from intact ones"
        )
        return {}, dict.fromkeys(names, reason)
    small, large = np.array([pair for pair, _ in ends]).T

    def worst(at_large: Array, at_small: Array) -> Array:
        """Of each pair of copies, (copies, ends) both: what they would make of the number."""
        differences = at_large[:, None, large] - at_small[None, :, small]
        seen = differences[np.isfinite(differences).any(axis=-1)]
        return np.asarray(np.nanmax(seen, axis=-1))

    growth = indices.index[large] - indices.index[small]
    noise = np.quantile(worst(indices.intact, indices.intact), _LEVEL)
    control = np.quantile(worst(indices.broken, indices.intact), 1 - _LEVEL)
    return dict(zip(names, map(float, (growth.max(), noise, control)), strict=True)), {}


def _predicted(arrays: Arrays, statistic: str, wanted: Predicted) -> Found:
    numbers: dict[str, float] = {}
    missing: dict[str, str] = {}
    sizes = np.geomspace(arrays["num_weights"][0], wanted.num_weights, _LINE)
    arrays["line_weights"] = sizes
    fixed, growing = arrays["num_examples"]
    examples = [np.full(_LINE, fixed[0]), growing[0] * sizes / arrays["num_weights"][0]]
    for kind in ("s0", "index"):
        values = arrays[f"{statistic}_{kind}"][..., wanted.loss]
        law = law_of(arrays, np.log(values) if kind == "s0" else values)
        lines = np.full((2, _LINE, 3), np.nan)
        points = np.full((len(wanted.num_images), 3), np.nan)
        if law is not None:
            lines = np.array(
                [[law.mean(*at) for at in zip(sizes, n, strict=True)] for n in examples]
            )
            points = np.array([law.predicted(wanted.num_weights, n) for n in wanted.num_images])
        shown = np.exp if kind == "s0" else np.positive
        arrays[f"{statistic}_{kind}_line"] = shown(lines)
        arrays[f"{statistic}_{kind}_predicted"] = shown(points)
        for images, point in zip(wanted.num_images, shown(points), strict=True):
            names = [f"predicted_{statistic}_{kind}_{images}{end}" for end in ("", "_low", "_high")]
            if law is not None:
                numbers |= dict(zip(names, map(float, point), strict=True))
            else:
                reason = "too few cells are measured at the loss it is predicted at"
                missing |= dict.fromkeys(names, reason)
    return numbers, missing


def _at_the_size(arrays: Arrays, statistic: str, wanted: Predicted) -> Found:
    """What is predicted, where the grid has a cell of that size."""
    numbers: dict[str, float] = {}
    missing: dict[str, str] = {}
    weights = np.broadcast_to(arrays["num_weights"], arrays["num_examples"].shape)
    for kind in ("s0", "index"):
        values = arrays[f"{statistic}_{kind}"][..., wanted.loss]
        for images in wanted.num_images:
            there = (weights == wanted.num_weights) & (arrays["num_examples"] == images)
            found = values[there]
            name = f"{statistic}_{kind}_{images}"
            if not len(found):
                missing[name] = (
                    f"the grid has no {wanted.num_weights:,} weights with {images:,} images"
                )
            elif np.isnan(found[0]):
                missing[name] = "the cell is empty, or without power, at that loss"
            else:
                numbers[name] = float(found[0])
    return numbers, missing
