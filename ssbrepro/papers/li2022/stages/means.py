"""How closely the means of Hessian entries concentrate on zero."""

from __future__ import annotations

from dataclasses import dataclass

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
    from ssbrepro.probes.entries import bootstrap, ensembles
    from ssbrepro.statistics import histograms, symmetry


@dataclass(frozen=True)
class Parameters:
    """Means of Hessian entries in units of their standard deviations over bootstrap draws.

    Each draw averages ``resample_size`` random examples. A mean counts as centred below
    ``centred_below``. ``num_replicates`` bootstrap samples of all examples give the band of the
    centred share, and as many patterns of random signs what chance alone would give.
    """

    resample_size: Count
    centred_below: Positive
    num_replicates: Imitations
    num_bins: Count
    kernel_width: Share


NUMBERS = {
    "end_epoch": domains.EPOCHS,
    "num_live_min": domains.COUNT,
    "asymmetry_max": domains.ASYMMETRY,
    "asymmetry_noise": domains.ASYMMETRY,
    "centred_share_min": domains.SHARE,
    "centred_share_start": domains.SHARE,
    "centred_share_end": domains.SHARE,
    "centred_share_growth": domains.SIGNED_SHARE,
    "centred_share_band_max": domains.NON_NEGATIVE,
}

_SERIES = ("num_live", "asymmetry", "asymmetry_noise", "centred_share", "centred_share_band")


def run(parameters: Parameters, context: Context) -> Result:
    """Measure mean / standard deviation of the bootstrap law of every live entry, exactly.

    Returns:
        Arrays over the checkpoints, NaN where no entry is live: ``epoch``, ``num_live``,
        ``asymmetry`` of the ratios, ``asymmetry_noise``, its 95 % quantile under random signs of the
        examples, ``centred_share`` and ``centred_share_band``, its standard deviation over bootstrap
        samples of the examples; for drawing ``centred_below``, and ``histogram`` (checkpoints, bins)
        of the ratios, zero where none is live, on ``edges``. Numbers: the end is the last checkpoint
        with a live entry.
    """
    arrays = context.inputs["entries"].arrays
    epochs = arrays["epoch"]
    measured = {name: np.full(len(epochs), np.nan) for name in _SERIES}
    measured["num_live"][:] = 0
    ratios: dict[int, Array] = {}
    for index, ensemble in enumerate(ensembles.recorded(arrays)):
        context.progress.report(index, len(epochs), "means of Hessian entries")
        if ensemble is None:
            continue
        ratios[index] = _ratios(_moments(ensemble), parameters.resample_size)
        for name, value in _measure(ensemble, ratios[index], parameters, context.seed).items():
            measured[name][index] = value
    numbers, missing = _numbers(epochs, measured)
    return Result(
        arrays={
            "epoch": epochs,
            **measured,
            "centred_below": np.array(parameters.centred_below),
            **_histograms(ratios, len(epochs), parameters),
        },
        numbers=numbers,
        series={name: Series("epoch", name) for name in _SERIES},
        missing=missing,
    )


def _moments(ensemble: ensembles.Ensemble) -> Array:
    """First and second moment of each entry over the examples, (2, live)."""
    powers = np.stack([ensemble.values, ensemble.values**2])
    moments: Array = powers.sum(axis=1) / ensemble.num_examples
    return moments


def _ratios(moments: Array, resample_size: int) -> Array:
    """Mean / standard deviation of means of ``resample_size`` examples; moments (2, ...)."""
    mean, second = moments
    ratios: Array = np.sqrt(resample_size) * mean / np.sqrt(second - mean**2)
    return ratios


def _measure(
    ensemble: ensembles.Ensemble, ratios: Array, parameters: Parameters, seed: int
) -> dict[str, float]:
    examples, replicates = ensemble.num_examples, parameters.num_replicates
    generator = seeding.numpy_generator(seed, "signs", ensemble.epoch)
    signs = generator.integers(0, 2, size=(replicates, len(ensemble.examples))) * 2.0 - 1
    second = _moments(ensemble)[1]
    flipped = np.stack(
        [signs @ ensemble.values / examples, np.broadcast_to(second, (replicates, len(second)))]
    )
    asymmetries = symmetry.reflection_asymmetries(_ratios(flipped, parameters.resample_size))
    values = np.concatenate([ensemble.values, ensemble.values**2], axis=1)
    generator = seeding.numpy_generator(seed, "bootstrap", ensemble.epoch)
    resampled = bootstrap.bootstrap_means(values, examples, examples, replicates, generator)
    with np.errstate(invalid="ignore", divide="ignore"):  # a sample may miss all that is not zero
        again = _ratios(np.stack(np.split(resampled, 2, axis=1)), parameters.resample_size)
        shares = _share(again, parameters.centred_below)
    return {
        "num_live": len(ratios),
        "asymmetry": symmetry.reflection_asymmetry(ratios),
        "asymmetry_noise": float(np.quantile(asymmetries, 0.95)),
        "centred_share": float(_share(ratios, parameters.centred_below)),
        "centred_share_band": float(shares[np.isfinite(shares)].std()),
    }


def _share(ratios: Array, bound: float) -> Array:
    """The share of defined ratios with a magnitude below the bound, along the last axis."""
    defined = np.isfinite(ratios)
    share: Array = (np.abs(ratios) < bound).sum(axis=-1) / defined.sum(axis=-1)
    return share


def _numbers(epochs: Array, measured: dict[str, Array]) -> tuple[dict[str, float], dict[str, str]]:
    names = NUMBERS
    live = np.flatnonzero(measured["num_live"])
    if not len(live):
        return {}, dict.fromkeys(names, "no entry is live at any checkpoint")
    found = {name: values[live] for name, values in measured.items()}
    worst = int(found["asymmetry"].argmax())
    shares = found["centred_share"]
    values = (
        epochs[live[-1]],
        found["num_live"].min(),
        found["asymmetry"][worst],
        found["asymmetry_noise"][worst],
        shares.min(),
        shares[0],
        shares[-1],
        shares[-1] - shares[0],
        found["centred_share_band"].max(),
    )
    return {name: float(value) for name, value in zip(names, values, strict=True)}, {}


def _histograms(
    ratios: dict[int, Array], num_epochs: int, parameters: Parameters
) -> dict[str, Array]:
    """The ratios of each checkpoint on one axis."""
    largest = max((float(np.abs(values).max()) for values in ratios.values()), default=1.0)
    edges = histograms.symmetric_edges(largest, parameters.num_bins)
    histogram = np.zeros((num_epochs, parameters.num_bins))
    for index, values in ratios.items():
        histogram[index] = histograms.smoothed_histogram(values, edges, parameters.kernel_width)
    return {"histogram": histogram, "edges": edges}


STAGE = Stage(Parameters, NUMBERS, run, needs=("entries",))
