"""The law of a Hessian entry over random examples, entry by entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Imitations, Positive, Result, Share, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro import seeding
    from ssbrepro.papers.li2022 import entry_copies
    from ssbrepro.probes.entries import bootstrap, ensembles
    from ssbrepro.statistics import histograms, symmetry


@dataclass(frozen=True)
class Parameters:
    """Bootstrap laws of Hessian entries: each draw averages ``resample_size`` random examples.

    A law is centred where abs(mean / standard deviation) is at most ``centred_below``, and symmetric
    where the asymmetry of ``num_draws`` draws is at most ``symmetric_below``. ``num_flips`` patterns
    of random signs say what chance alone would give. ``num_shown`` laws are judged and drawn, as
    histograms on an axis that is linear below ``linear_share`` of its end.

    The law over the examples that an entry is not zero for needs ``min_nonzero`` of them.
    """

    resample_size: Count
    num_draws: Annotated[int, Ge(2)]
    num_flips: Imitations
    centred_below: Positive
    symmetric_below: Positive
    num_shown: Count
    min_nonzero: Count
    num_bins: Count
    kernel_width: Share
    linear_share: Share


NUMBERS = {
    "num_shown": domains.COUNT,
    "shown_symmetric_share": domains.SHARE,
    "shown_symmetric_share_noise": domains.SHARE,
    "shown_symmetric_share_control": domains.SHARE,
    "shown_centred_share": domains.SHARE,
    "shown_centred_share_noise": domains.SHARE,
    "shown_centred_share_control": domains.SHARE,
    "symmetric_share": domains.SHARE,
    "centred_share": domains.SHARE,
    "nonzero_asymmetry_index_max": domains.REAL,
    "nonzero_asymmetry_index_noise": domains.REAL,
    "nonzero_asymmetry_index_control": domains.REAL,
}

_TOGETHER = 500  # entries whose draws are held at once; bounds memory only
_MARGIN = 1.5  # of the axis beyond the largest draw, so that none is drawn at its end


def run(parameters: Parameters, context: Context) -> Result:
    """Measure mean / standard deviation and asymmetry of the bootstrap law of every live entry.

    The entries shown and judged are the first ones drawn of those live at the most checkpoints. What
    chance alone would give comes from random signs of the examples, the same at all entries and
    checkpoints, so that cells stay as dependent as they are; what broken symmetries would, from as many
    entries of the broken copies.

    All entries together have one number a checkpoint: the median over entries of the asymmetry of an
    entry's law over the examples it is not zero for. Its breaking index is judged.

    Returns:
        Arrays ``epoch`` (checkpoints,); ``asymmetry`` and ``ratio`` (entries, checkpoints), NaN where
        an entry is not live; ``nonzero_asymmetry`` (checkpoints,), ``nonzero_asymmetry_intact`` and
        ``nonzero_asymmetry_broken`` (copies, checkpoints), NaN where no entry has enough examples;
        ``shown``, which entries are, (shown,); for drawing ``histogram`` (shown, checkpoints, bins) of
        the draws in units of their standard deviation, zero where not live, on ``edges``, an axis that
        is linear below ``linear``. Numbers: shares of the cells (entry, checkpoint) that are live.
    """
    arrays = context.inputs["entries"].arrays
    epochs, num_entries = arrays["epoch"], len(arrays["rows"])
    asymmetry = np.full((num_entries, len(epochs)), np.nan)
    ratio = asymmetry.copy()
    nonzero = np.full(len(epochs), np.nan)
    for index, ensemble in enumerate(ensembles.recorded(arrays)):
        context.progress.report(index, 2 * len(epochs), "bootstrap laws")
        if ensemble is not None:
            asymmetry[ensemble.live, index], ratio[ensemble.live, index] = _law(
                ensemble, ensemble.values, parameters, context.seed
            )
            nonzero[index] = _nonzero_asymmetry(ensemble, parameters.min_nonzero)
    most_live = np.argsort(-np.isfinite(ratio).sum(axis=1), kind="stable")
    shown = most_live[: parameters.num_shown]
    flips = np.full((2, len(shown), len(epochs), parameters.num_flips), np.nan)
    draws: dict[tuple[int, int], Array] = {}
    for index, ensemble in enumerate(ensembles.recorded(arrays)):
        context.progress.report(len(epochs) + index, 2 * len(epochs), "bootstrap laws")
        for row, entry in enumerate(shown):
            if ensemble is not None and entry in ensemble.live:
                values = ensemble.values[:, np.searchsorted(ensemble.live, entry)]
                draws[row, index] = _standardised_draws(ensemble, values, parameters, context.seed)
                flipped = _flipped(ensemble, values, parameters, context.seed)
                flips[:, row, index] = _law(ensemble, flipped, parameters, context.seed)
    numbers, missing = _numbers(asymmetry, ratio, flips, shown, parameters)
    controls, lacking = _controls(context, parameters)
    of_copies, indices, weak = entry_copies.breaking(
        context,
        "nonzero_asymmetry",
        nonzero,
        lambda one: _nonzero_asymmetry(one, parameters.min_nonzero),
    )
    return Result(
        arrays={
            "epoch": epochs,
            "asymmetry": asymmetry,
            "ratio": ratio,
            **of_copies,
            "shown": shown,
            **_histograms(draws, len(shown), len(epochs), parameters),
        },
        numbers=numbers | controls | indices,
        missing=missing | lacking | weak,
    )


def _law(
    ensemble: ensembles.Ensemble, values: Array, parameters: Parameters, seed: int
) -> tuple[Array, Array]:
    """Asymmetry of the draws, and exact mean / standard deviation, of each column of values."""
    asymmetries = []
    for first in range(0, values.shape[1], _TOGETHER):
        part = values[:, first : first + _TOGETHER]
        asymmetries.append(
            symmetry.reflection_asymmetries(_draws(ensemble, part, parameters, seed).T)
        )
    mean, variance = bootstrap.bootstrap_cumulants(
        values, ensemble.num_examples, parameters.resample_size
    )[:2]
    return np.concatenate(asymmetries), mean / np.sqrt(variance)


def _nonzero_asymmetry(ensemble: ensembles.Ensemble, least: int) -> float:
    """Median asymmetry of the laws over the examples an entry is not zero for; NaN without any.

    Args:
        ensemble: The entries.
        least: How many examples a law needs.
    """
    laws = [column[column != 0] for column in ensemble.values.T]
    found = [symmetry.reflection_asymmetry(law) for law in laws if len(law) >= least]
    return float(np.median(found)) if found else np.nan


def _draws(ensemble: ensembles.Ensemble, values: Array, parameters: Parameters, seed: int) -> Array:
    """Bootstrap draws of columns of values, the same examples for all of them."""
    return bootstrap.bootstrap_means(
        values,
        ensemble.num_examples,
        parameters.resample_size,
        parameters.num_draws,
        seeding.numpy_generator(seed, "bootstrap", ensemble.epoch),
    )


def _flipped(
    ensemble: ensembles.Ensemble, values: Array, parameters: Parameters, seed: int
) -> Array:
    """One entry's values with random signs of the examples, (active, num_flips)."""
    shape = (ensemble.num_examples, parameters.num_flips)
    signs = seeding.numpy_generator(seed, "signs").integers(0, 2, size=shape) * 2 - 1
    return values[:, None] * signs[ensemble.examples]


def _standardised_draws(
    ensemble: ensembles.Ensemble, values: Array, parameters: Parameters, seed: int
) -> Array:
    column = values[:, None]
    variance = bootstrap.bootstrap_cumulants(
        column, ensemble.num_examples, parameters.resample_size
    )[1]
    draws: Array = _draws(ensemble, column, parameters, seed)[:, 0] / np.sqrt(variance)
    return draws


def _numbers(
    asymmetry: Array, ratio: Array, flips: Array, shown: Array, parameters: Parameters
) -> tuple[dict[str, float], dict[str, str]]:
    bounds = {
        "symmetric_share": parameters.symmetric_below,
        "centred_share": parameters.centred_below,
    }
    numbers = {"num_shown": float(len(shown))}
    missing: dict[str, str] = {}
    for values, imitated, (name, bound) in zip(
        (asymmetry, np.abs(ratio)), (flips[0], np.abs(flips[1])), bounds.items(), strict=True
    ):
        live = np.isfinite(values)
        if not live[shown].any():
            names = (f"shown_{name}", f"shown_{name}_noise", name)
            missing |= dict.fromkeys(names, "no entry is live at any checkpoint")
            continue
        numbers[name] = float((values[live] <= bound).mean())
        cells = live[shown]
        numbers[f"shown_{name}"] = float((values[shown][cells] <= bound).mean())
        shares = (imitated[cells] <= bound).mean(axis=0)
        numbers[f"shown_{name}_noise"] = float(np.quantile(shares, 0.05))
    return numbers, missing


def _controls(context: Context, parameters: Parameters) -> tuple[dict[str, float], dict[str, str]]:
    """The shares that as many entries as are shown, of a broken copy, pass one time in twenty."""
    names = ("shown_symmetric_share_control", "shown_centred_share_control")
    shares: tuple[list[float], list[float]] = ([], [])
    for checkpoints in entry_copies.copies_of(context, "broken"):
        laws = [
            _law(one, one.values, parameters, context.seed)
            for one in checkpoints
            if one is not None
        ]
        groups = min((len(ratio) // parameters.num_shown for _, ratio in laws), default=0)
        used = groups * parameters.num_shown
        for law, bound, found in zip(
            zip(*laws, strict=True),
            (parameters.symmetric_below, parameters.centred_below),
            shares,
            strict=False,
        ):
            passing = np.abs([values[:used] for values in law]) <= bound
            found += passing.reshape(len(laws), groups, -1).mean(axis=(0, 2)).tolist()
    if not shares[0]:
        return {}, dict.fromkeys(names, "no broken copy has as many live entries as are shown")
    return {
        name: entry_copies.highest(np.array(found))
        for name, found in zip(names, shares, strict=True)
    }, {}


def _histograms(
    draws: dict[tuple[int, int], Array], num_shown: int, num_epochs: int, parameters: Parameters
) -> dict[str, Array]:
    """The shown laws on one axis."""
    largest = max((float(np.abs(values).max()) for values in draws.values()), default=1.0) or 1.0
    largest *= _MARGIN
    edges = histograms.symlog_edges(largest, parameters.linear_share * largest, parameters.num_bins)
    histogram = np.zeros((num_shown, num_epochs, parameters.num_bins))
    for place, values in draws.items():
        histogram[place] = histograms.smoothed_histogram(values, edges, parameters.kernel_width)
    linear = np.array(parameters.linear_share * largest)
    return {"histogram": histogram, "edges": edges, "linear": linear}


STAGE = Stage(Parameters, NUMBERS, run, needs=("entries", "entry_controls"))
