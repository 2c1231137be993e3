"""How closely the means of Hessian entries concentrate on zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ssbrepro import domains
from ssbrepro.contract import (
    Array,
    Context,
    Count,
    Imitations,
    Positive,
    Result,
    Series,
    Share,
    Stage,
)
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro import seeding
    from ssbrepro.papers.li2022 import entry_copies
    from ssbrepro.probes.entries import bootstrap, ensembles
    from ssbrepro.statistics import histograms, intervals, symmetry


@dataclass(frozen=True)
class Parameters:
    """Means of Hessian entries in units of a standard deviation.

    That is ``each`` entry's own, over bootstrap draws of the mean of ``resample_size`` random examples,
    or that of the means themselves, ``across`` entries. A mean counts as centred below
    ``centred_below``. ``num_replicates`` bootstrap samples of all examples give the band of the
    centred share, and as many patterns of random signs what chance alone would give.
    """

    normalised_by: Literal["each", "across"]
    resample_size: Count
    centred_below: Positive
    num_replicates: Imitations
    num_bins: Count
    kernel_width: Share


NUMBERS = {
    "end_epoch": domains.EPOCHS,
    "num_live_min": domains.COUNT,
    "num_forced": domains.COUNT,
    "asymmetry_max": domains.ASYMMETRY,
    "asymmetry_noise": domains.ASYMMETRY,
    "asymmetry_control": domains.ASYMMETRY,
    **{f"first_asymmetry_index_{part}": domains.REAL for part in ("max", "noise", "control")},
    "centred_share_band_max": domains.NON_NEGATIVE,
    **{
        f"{share}_share_{quantity}": domain
        for share in ("centred", "unforced")
        for quantity, domain in {
            "min": domains.SHARE,
            "min_noise": domains.SHARE,
            "min_control": domains.SHARE,
            "start": domains.SHARE,
            "end": domains.SHARE,
            "growth": domains.SIGNED_SHARE,
            "growth_noise": domains.NON_POSITIVE,
            "growth_control": domains.SIGNED_SHARE,
            "growth_low": domains.REAL,
            "growth_low_noise": domains.NON_POSITIVE,
            "growth_low_control": domains.REAL,
        }.items()
    },
}

_SERIES = (
    "num_live",
    "asymmetry",
    "asymmetry_noise",
    "centred_share",
    "centred_share_band",
    "centred_share_noise",
)
_MARGIN = 1.1  # of the axis beyond the largest ratio, so that none is drawn at its end


def run(parameters: Parameters, context: Context) -> Result:
    """Measure mean / standard deviation of the bootstrap law of every live entry, exactly.

    Values that are zero but for a share a of all examples have abs(mean / standard deviation) of at
    most the root of a / (1 - a), whatever they are (Cauchy and Schwarz). A checkpoint where that alone
    is below ``centred_below`` is *forced*: all its means are centred, and nothing is found out. It also
    raises the share as a falls. What that alone gives is the control of growth: the share at the start
    with only as many examples inside the margin as at the end.

    Returns:
        Arrays over the checkpoints, NaN where no entry is live: ``epoch``, ``num_live``, ``forced``, 0
        or 1, ``asymmetry`` of the ratios, ``asymmetry_noise``, its 95 % quantile under random signs of
        the examples, ``centred_share``, ``centred_share_band``, its standard deviation over bootstrap
        samples of the examples, ``centred_share_noise``, its 5 % quantile under random signs, and
        ``first_asymmetry``, that of as many entries as copies have; of copies ``first_asymmetry_<kind>``
        and ``centred_share_<kind>`` (copies, checkpoints); for drawing ``centred_below``, and
        ``histogram`` (checkpoints, bins) of the ratios, zero where none is live, on ``edges``. Numbers:
        the end is the last checkpoint with a live entry; an unforced share is that of the checkpoints
        that are not forced.
    """
    epochs = context.inputs["entries"].arrays["epoch"]
    found: dict[int, _Checkpoint] = {}
    for index, ensemble in enumerate(ensembles.recorded(context.inputs["entries"].arrays)):
        context.progress.report(index, len(epochs), "means of Hessian entries")
        if ensemble is not None and _defined(ensemble, parameters):
            found[index] = _measure(ensemble, parameters, context)
    of_copies, indices, weak = entry_copies.breaking(
        context,
        "first_asymmetry",
        _over_checkpoints(found, "first_asymmetry", len(epochs)),
        lambda one: _asymmetry(one, parameters),
    )
    shares = {
        f"centred_share_{kind}": entry_copies.statistic_of_copies(
            context, kind, lambda one: _centred_share(one, parameters)
        )
        for kind in ("intact", "broken")
    }
    numbers, missing = _numbers(
        epochs,
        found,
        of_copies["first_asymmetry_broken"],
        shares["centred_share_broken"],
        parameters,
        context.seed,
    )
    measured = {name: _over_checkpoints(found, name, len(epochs)) for name in _SERIES}
    measured["num_live"][np.isnan(measured["num_live"])] = 0
    return Result(
        arrays={
            "epoch": epochs,
            "forced": _over_checkpoints(found, "forced", len(epochs)),
            **measured,
            **of_copies,
            **shares,
            "centred_below": np.array(parameters.centred_below),
            **_histograms({i: one.ratios for i, one in found.items()}, len(epochs), parameters),
        },
        numbers=numbers | indices,
        series={name: Series("epoch", name) for name in _SERIES},
        missing=missing | weak,
    )


class _Checkpoint(NamedTuple):
    """What is measured at a checkpoint.

    Attributes:
        ensemble: The entries.
        ratios: Of each, (live,).
        replicates: The centred share in bootstrap samples of the examples.
        flipped: The centred share under random signs of the examples.
    """

    ensemble: ensembles.Ensemble
    ratios: Array
    num_live: int
    forced: bool
    asymmetry: float
    asymmetry_noise: float
    first_asymmetry: float
    centred_share: float
    centred_share_band: float
    centred_share_noise: float
    replicates: Array
    flipped: Array


def _measure(ensemble: ensembles.Ensemble, parameters: Parameters, context: Context) -> _Checkpoint:
    num_copied = context.inputs["entry_controls"].parameters.num_entries
    generator = seeding.numpy_generator(context.seed, "signs", ensemble.epoch)
    size = (parameters.num_replicates, len(ensemble.examples))
    signs = generator.integers(0, 2, size=size) * 2.0 - 1
    second = _moments(ensemble)[1]
    means = signs @ ensemble.values / ensemble.num_examples
    flipped = _ratios(np.stack([means, np.broadcast_to(second, means.shape)]), parameters)
    flipped_shares = _share(flipped, parameters.centred_below)
    ratios = _ratios(_moments(ensemble), parameters)
    replicates = _replicates(ensemble, parameters, context.seed)
    return _Checkpoint(
        ensemble,
        ratios,
        num_live=len(ratios),
        forced=_forced(ensemble, parameters),
        asymmetry=symmetry.reflection_asymmetry(ratios),
        asymmetry_noise=float(np.quantile(symmetry.reflection_asymmetries(flipped), 0.95)),
        first_asymmetry=_asymmetry(ensemble.first(num_copied), parameters),
        centred_share=float(_share(ratios, parameters.centred_below)),
        centred_share_band=float(replicates.std()),
        centred_share_noise=float(np.quantile(flipped_shares, 0.05)),
        replicates=replicates,
        flipped=flipped_shares,
    )


def _defined(ensemble: ensembles.Ensemble, parameters: Parameters) -> bool:
    """Whether there is a standard deviation; a single mean has none across entries."""
    return len(ensemble.live) >= (1 if parameters.normalised_by == "each" else 2)


def _forced(ensemble: ensembles.Ensemble, parameters: Parameters) -> bool:
    """Whether so few examples are inside the margin that every mean is centred by that alone."""
    active = len(ensemble.examples) / ensemble.num_examples
    squared = parameters.resample_size * active
    below = squared < parameters.centred_below**2 * (1 - active)
    return parameters.normalised_by == "each" and below


def _moments(ensemble: ensembles.Ensemble) -> Array:
    """First and second moment of each entry over the examples, (2, live)."""
    powers = np.stack([ensemble.values, ensemble.values**2])
    moments: Array = powers.sum(axis=1) / ensemble.num_examples
    return moments


def _ratios(moments: Array, parameters: Parameters) -> Array:
    """Means in units of standard deviations, from moments (2, ..., live)."""
    mean, second = moments
    if parameters.normalised_by == "across":
        return np.asarray(mean / mean.std(axis=-1, keepdims=True))
    return np.asarray(np.sqrt(parameters.resample_size) * mean / np.sqrt(second - mean**2))


def _asymmetry(ensemble: ensembles.Ensemble, parameters: Parameters) -> float:
    """Of the ratios; NaN where there is none."""
    if not _defined(ensemble, parameters):
        return np.nan
    return symmetry.reflection_asymmetry(_ratios(_moments(ensemble), parameters))


def _centred_share(ensemble: ensembles.Ensemble, parameters: Parameters) -> float:
    """Of the ratios; NaN where there is none."""
    if not _defined(ensemble, parameters):
        return np.nan
    return float(_share(_ratios(_moments(ensemble), parameters), parameters.centred_below))


def _share(ratios: Array, bound: float) -> Array:
    """The share of defined ratios with a magnitude below the bound, along the last axis."""
    defined = np.isfinite(ratios)
    share: Array = (np.abs(ratios) < bound).sum(axis=-1) / defined.sum(axis=-1)
    return share


def _replicates(ensemble: ensembles.Ensemble, parameters: Parameters, seed: int) -> Array:
    """Centred shares in bootstrap samples of all examples, of those where they are defined."""
    values = np.concatenate([ensemble.values, ensemble.values**2], axis=1)
    generator = seeding.numpy_generator(seed, "bootstrap", ensemble.epoch)
    examples = ensemble.num_examples
    resampled = bootstrap.bootstrap_means(
        values, examples, examples, parameters.num_replicates, generator
    )
    with np.errstate(invalid="ignore", divide="ignore"):  # a sample may miss all that is not zero
        again = _ratios(np.stack(np.split(resampled, 2, axis=1)), parameters)
        shares = _share(again, parameters.centred_below)
    found: Array = shares[np.isfinite(shares)]
    return found


def _over_checkpoints(found: Mapping[int, _Checkpoint], name: str, num_epochs: int) -> Array:
    """A measured quantity, NaN where there is none, (checkpoints,)."""
    values = np.full(num_epochs, np.nan)
    for index, one in found.items():
        values[index] = getattr(one, name)
    return values


def _numbers(
    epochs: Array,
    found: Mapping[int, _Checkpoint],
    asymmetry_broken: Array,
    share_broken: Array,
    parameters: Parameters,
    seed: int,
) -> tuple[dict[str, float], dict[str, str]]:
    if not found:
        names = [name for name in NUMBERS if not name.startswith("first_asymmetry_index")]
        return {}, dict.fromkeys(names, "no entry is live at any checkpoint")
    measured = [*found]
    worst = max(found.values(), key=lambda one: one.asymmetry)
    numbers = {
        "end_epoch": float(epochs[measured[-1]]),
        "num_live_min": float(min(one.num_live for one in found.values())),
        "num_forced": float(sum(one.forced for one in found.values())),
        "asymmetry_max": worst.asymmetry,
        "asymmetry_noise": worst.asymmetry_noise,
        "asymmetry_control": entry_copies.lowest(
            np.fmax.reduce(asymmetry_broken[:, measured], axis=1)
        ),
        "centred_share_band_max": max(one.centred_share_band for one in found.values()),
    }
    numbers |= _of_shares("centred", found, share_broken, parameters, seed)
    free = {index: one for index, one in found.items() if not one.forced}
    if free:
        numbers |= _of_shares("unforced", free, share_broken, parameters, seed)
    missing = {
        name: "no entry of a control is live" if free else "every checkpoint is forced"
        for name in NUMBERS
        if not name.startswith("first_asymmetry_index") and np.isnan(numbers.get(name, np.nan))
    }
    return {name: value for name, value in numbers.items() if name not in missing}, missing


def _of_shares(
    name: str,
    found: Mapping[int, _Checkpoint],
    share_broken: Array,
    parameters: Parameters,
    seed: int,
) -> dict[str, float]:
    """Numbers of the centred share over these checkpoints, which are ordered; NaN where undefined."""
    checkpoints = [*found.values()]
    start, end = checkpoints[0], checkpoints[-1]
    growth = intervals.growth(
        start.centred_share, end.centred_share, start.replicates, end.replicates
    )
    without = _growth_by_thinning(start, len(end.ensemble.examples), parameters, seed)
    flipped = np.min([one.flipped for one in checkpoints], axis=0)
    numbers = {
        "min": min(one.centred_share for one in checkpoints),
        "min_noise": float(np.quantile(flipped, 0.05)),
        "min_control": entry_copies.highest(np.fmin.reduce(share_broken[:, [*found]], axis=1)),
        "start": start.centred_share,
        "end": end.centred_share,
        "growth": growth.value,
        "growth_noise": growth.value_noise,
        "growth_control": without.value,
        "growth_low": growth.low,
        "growth_low_noise": growth.low_noise,
        "growth_low_control": without.low,
    }
    return {f"{name}_share_{quantity}": value for quantity, value in numbers.items()}


def _growth_by_thinning(
    start: _Checkpoint, num_active: int, parameters: Parameters, seed: int
) -> intervals.Growth:
    """What the share grows by where nothing changes but how many examples are inside the margin."""
    generator = seeding.numpy_generator(seed, "thinned", start.ensemble.epoch)
    thinned = start.ensemble.thinned(num_active, generator)
    if not _defined(thinned, parameters):
        return intervals.Growth(np.nan, np.nan, np.nan, np.nan)
    return intervals.growth(
        start.centred_share,
        _centred_share(thinned, parameters),
        start.replicates,
        _replicates(thinned, parameters, seed),
    )


def _histograms(
    ratios: dict[int, Array], num_epochs: int, parameters: Parameters
) -> dict[str, Array]:
    """The ratios of each checkpoint on one axis."""
    largest = max((float(np.abs(values).max()) for values in ratios.values()), default=1.0)
    edges = histograms.symmetric_edges(_MARGIN * largest, parameters.num_bins)
    histogram = np.zeros((num_epochs, parameters.num_bins))
    for index, values in ratios.items():
        histogram[index] = histograms.smoothed_histogram(values, edges, parameters.kernel_width)
    return {"histogram": histogram, "edges": edges}


STAGE = Stage(Parameters, NUMBERS, run, needs=("entries", "entry_controls"))
