"""Sizes of the coupling sets of Hessian entries throughout training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Imitations, Result, Series, Share, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro import seeding
    from ssbrepro.probes.entries import coupling, ensembles


@dataclass(frozen=True)
class Parameters:
    """With how many others an entry of the Hessian has a joint cumulant that is not zero.

    Covariance, coskewness and excess cokurtosis of ``num_entries`` live entries; not zero means
    beyond a threshold from ``num_permutations`` independent permutations of the examples at
    ``false_discovery_rate``: of ``all``, or of the ``active`` ones, inside the margin, which keeps
    that all entries are zero for the same others. ``num_replicates`` bootstrap samples of the entries
    give the bands. ``paper_num_entries`` is the N of the paper's own statement.
    """

    num_entries: Annotated[int, Ge(2)]
    false_discovery_rate: Share
    permuted: Literal["all", "active"]
    num_permutations: Count
    num_replicates: Imitations
    paper_num_entries: Annotated[float, Gt(1)]


NUMBERS = {
    "end_epoch": domains.EPOCHS,
    "log10_num_entries": domains.NON_NEGATIVE,
    **{
        f"{cumulant}_{quantity}": domain
        for cumulant in ("covariance", "coskewness", "cokurtosis")
        for quantity, domain in {
            "relative_size_start": domains.SHARE,
            "relative_size_end": domains.SHARE,
            "exponent_start": domains.SHARE,
            "exponent_end": domains.SHARE,
            "exponent_growth": domains.SIGNED_SHARE,
        }.items()
    },
}


def run(parameters: Parameters, context: Context) -> Result:
    """Estimate with what share of all entries an entry has a joint cumulant that is not zero.

    The whole has N = P (P + 1) / 2 entries, P the number of weights. Cumulants of means of several
    examples differ from those of single ones by a factor common to all pairs and to their null, so
    which are not zero does not depend on how many a bootstrap draw averages.

    Returns:
        Arrays over the checkpoints, NaN where fewer than two entries are live: ``epoch``,
        ``num_live``, and for each of ``CUMULANTS`` ``<name>_relative_size``, ``<name>_exponent``,
        both with their ``_band``, the standard deviation over bootstrap samples of the entries;
        ``log10_num_entries`` and ``log10_paper_num_entries``.
    """
    arrays = context.inputs["entries"].arrays
    epochs, weights = arrays["epoch"], float(arrays["layer_sizes"].sum())
    whole = weights * (weights + 1) / 2
    kinds = [
        f"{name}_{quantity}"
        for name in coupling.CUMULANTS
        for quantity in (
            "relative_size",
            "relative_size_band",
            "exponent",
            "exponent_band",
        )
    ]
    measured = {name: np.full(len(epochs), np.nan) for name in kinds}
    num_live = np.zeros(len(epochs))
    for index, (epoch, ensemble) in enumerate(
        zip(epochs.tolist(), ensembles.recorded(arrays), strict=True)
    ):
        if ensemble is None or len(ensemble.live) < 2:
            continue
        row = context.progress.restore(f"checkpoint-{epoch}")
        if row is None:
            row = _measure(ensemble, whole, parameters, context.seed)
            context.progress.save(f"checkpoint-{epoch}", row)
        num_live[index] = min(len(ensemble.live), parameters.num_entries)
        for name in kinds:
            measured[name][index] = float(row[name])
        context.progress.report(index + 1, len(epochs), "coupling of Hessian entries")
    numbers, missing = _numbers(epochs, measured, num_live, whole)
    return Result(
        arrays={
            "epoch": epochs,
            "num_live": num_live,
            **measured,
            "log10_num_entries": np.log10(whole),
            "log10_paper_num_entries": np.log10(parameters.paper_num_entries),
        },
        numbers=numbers,
        series={name: Series("epoch", name) for name in kinds},
        missing=missing,
    )


def _measure(
    ensemble: ensembles.Ensemble, whole: float, parameters: Parameters, seed: int
) -> dict[str, Array]:
    values = ensemble.first(parameters.num_entries).standardised().astype(np.float32)
    generator = seeding.numpy_generator(seed, "permutations", ensemble.epoch)
    examples = ensemble.examples if parameters.permuted == "active" else slice(None)
    # NumPy shuffles fastest where an entry's values lie side by side and are 64 bits wide.
    entries = np.ascontiguousarray(values.T, dtype=np.float64)

    def null() -> Array:
        entries[:, examples] = generator.permuted(entries[:, examples], axis=1)
        return coupling.joint_cumulants(entries.T.astype(np.float32))

    cumulants = coupling.joint_cumulants(values)
    thresholds = coupling.discovery_thresholds(
        cumulants,
        null,
        coupling.tail_classes(values),
        parameters.num_permutations,
        parameters.false_discovery_rate,
    )
    shares = coupling.coupling_shares(cumulants, thresholds)
    generator = seeding.numpy_generator(seed, "bands", ensemble.epoch)
    size = (parameters.num_replicates, shares.shape[1])
    replicates = shares[:, generator.integers(shares.shape[1], size=size)].mean(axis=-1)
    row: dict[str, Array | float] = {}
    for name, share, replicate in zip(
        coupling.CUMULANTS, shares.mean(axis=-1), replicates, strict=True
    ):
        row |= {
            f"{name}_relative_size": share,
            f"{name}_relative_size_band": replicate.std(ddof=1),
            f"{name}_exponent": coupling.exponents(share, whole),
            f"{name}_exponent_band": coupling.exponents(replicate, whole).std(ddof=1),
        }
    return {name: np.asarray(value) for name, value in row.items()}


def _numbers(
    epochs: Array, measured: dict[str, Array], num_live: Array, whole: float
) -> tuple[dict[str, float], dict[str, str]]:
    """Sizes and exponents at the first and the last checkpoint with two live entries."""
    live = np.flatnonzero(num_live)
    names = [
        f"{cumulant}_{quantity}_{when}"
        for cumulant in coupling.CUMULANTS
        for quantity in ("relative_size", "exponent")
        for when in ("start", "end")
    ]
    names_of_growth = [f"{cumulant}_exponent_growth" for cumulant in coupling.CUMULANTS]
    numbers = {"log10_num_entries": float(np.log10(whole))}
    if not len(live):
        reason = "no two entries are live at any checkpoint"
        return numbers, dict.fromkeys([*names, *names_of_growth, "end_epoch"], reason)
    numbers["end_epoch"] = float(epochs[live[-1]])
    for name in names:
        quantity, _, when = name.rpartition("_")
        numbers[name] = float(measured[quantity][live[0 if when == "start" else -1]])
    for name in names_of_growth:
        exponent = name.removesuffix("_growth")
        numbers[name] = numbers[f"{exponent}_end"] - numbers[f"{exponent}_start"]
    return numbers, {}


STAGE = Stage(Parameters, NUMBERS, run, needs=("entries",))
