"""Sizes of the coupling sets of Hessian entries throughout training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Imitations, Result, Series, Share, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro import seeding
    from ssbrepro.papers.li2022 import entry_copies
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
    "covariance_relative_size_end_noise": domains.SHARE,
    "covariance_relative_size_end_control": domains.SHARE,
    "covariance_exponent_growth_control": domains.SIGNED_SHARE,
}


def run(parameters: Parameters, context: Context) -> Result:
    """Estimate with what share of all entries an entry has a joint cumulant that is not zero.

    The whole has N = P (P + 1) / 2 entries, P the number of weights. Cumulants of means of several
    examples differ from those of single ones by a factor common to all pairs and to their null, so
    which are not zero does not depend on how many a bootstrap draw averages.

    It does depend on how many examples are inside the margin. What that alone makes of the exponent is
    the control of its growth: the start, with only as many of them as the end has.

    Returns:
        Arrays over the checkpoints, NaN where fewer than two entries are live: ``epoch``,
        ``num_live``, and for each of ``CUMULANTS`` ``<name>_relative_size``, ``<name>_exponent``,
        both with their ``_band``, the standard deviation over bootstrap samples of the entries;
        ``exponent_min``, that of the fewest pairs that are sure to be found; ``log10_num_entries`` and
        ``log10_paper_num_entries``.
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
            "relative_size_noise",
            "exponent",
            "exponent_band",
        )
    ]
    kinds.append("exponent_min")
    measured = {name: np.full(len(epochs), np.nan) for name in kinds}
    num_live = np.zeros(len(epochs))
    found = {
        index: one
        for index, one in enumerate(ensembles.recorded(arrays))
        if one is not None and len(one.live) >= 2
    }
    for place, (index, ensemble) in enumerate(found.items()):
        context.progress.report(place, len(found) + 1, "coupling of Hessian entries")
        row = context.progress.restore(f"checkpoint-{ensemble.epoch}")
        if row is None:
            row = _measure(ensemble, whole, parameters, context.seed)
            context.progress.save(f"checkpoint-{ensemble.epoch}", row)
        num_live[index] = min(len(ensemble.live), parameters.num_entries)
        for name in kinds:
            measured[name][index] = float(row[name])
    controls = _controls(found, whole, parameters, context) if found else {}
    numbers, missing = _numbers(epochs, measured, num_live, controls, whole)
    return Result(
        arrays={
            "epoch": epochs,
            "num_live": num_live,
            **{name: values for name, values in measured.items() if not name.endswith("_noise")},
            "log10_num_entries": np.log10(whole),
            "log10_paper_num_entries": np.log10(parameters.paper_num_entries),
        },
        numbers=numbers,
        series={name: Series("epoch", name) for name in kinds if not name.endswith("_noise")},
        missing=missing,
    )


def _measure(
    ensemble: ensembles.Ensemble, whole: float, parameters: Parameters, seed: int
) -> dict[str, Array]:
    """Of each kind the size and the exponent with their bands, and the size that chance reaches."""
    shares, noises, least = _shares(ensemble, parameters, seed)
    generator = seeding.numpy_generator(seed, "bands", ensemble.epoch)
    size = (parameters.num_replicates, shares.shape[1])
    replicates = shares[:, generator.integers(shares.shape[1], size=size)].mean(axis=-1)
    row: dict[str, Array | float] = {"exponent_min": coupling.exponents(np.array(least), whole)}
    for name, share, noise, replicate in zip(
        coupling.CUMULANTS, shares.mean(axis=-1), noises, replicates, strict=True
    ):
        row |= {
            f"{name}_relative_size_noise": noise,
            f"{name}_relative_size": share,
            f"{name}_relative_size_band": replicate.std(ddof=1),
            f"{name}_exponent": coupling.exponents(share, whole),
            f"{name}_exponent_band": coupling.exponents(replicate, whole).std(ddof=1),
        }
    return {name: np.asarray(value) for name, value in row.items()}


class _Shares(NamedTuple):
    """How many others entries are coupled with.

    Attributes:
        found: The share of others, (kinds, entries).
        noise: What chance alone couples, (kinds,).
        least: The share from which on pairs are sure to be told from chance.
    """

    found: Array
    noise: Array
    least: float


def _shares(ensemble: ensembles.Ensemble, parameters: Parameters, seed: int) -> _Shares:
    values = ensemble.first(parameters.num_entries).standardised().astype(np.float32)
    generator = seeding.numpy_generator(seed, "permutations", ensemble.epoch)
    examples = ensemble.examples if parameters.permuted == "active" else slice(None)
    # NumPy shuffles fastest where an entry's values lie side by side and are 64 bits wide.
    entries = np.ascontiguousarray(values.T, dtype=np.float64)

    def null() -> Array:
        entries[:, examples] = generator.permuted(entries[:, examples], axis=1)
        return coupling.joint_cumulants(entries.T.astype(np.float32))

    classes = coupling.tail_classes(values)
    cumulants = coupling.joint_cumulants(values)
    independent = coupling.PermutationNull(null, classes, parameters.num_permutations)
    thresholds = independent.thresholds(cumulants, parameters.false_discovery_rate)
    return _Shares(
        coupling.coupling_shares(cumulants, thresholds),
        coupling.chance_shares(null, thresholds),
        independent.least_share(parameters.false_discovery_rate),
    )


def _controls(
    found: Mapping[int, ensembles.Ensemble], whole: float, parameters: Parameters, context: Context
) -> Mapping[str, Array]:
    """Of covariances the size in each broken copy at the end, and the exponent at the thinned start."""
    saved = context.progress.restore("controls")
    if saved is None:
        start, end = found[min(found)], found[max(found)]
        thinned = start.thinned(len(end.examples), seeding.numpy_generator(context.seed, "thinned"))
        broken = [one[max(found)] for one in entry_copies.copies_of(context, "broken")]
        size = _size(thinned, parameters, context.seed)
        saved = {
            "exponent": coupling.exponents(np.array(size), whole),
            "broken": np.array([_size(one, parameters, context.seed) for one in broken]),
        }
        context.progress.save("controls", saved)
    return saved


def _size(ensemble: ensembles.Ensemble | None, parameters: Parameters, seed: int) -> float:
    """Mean share of covariant pairs; NaN with fewer than two entries."""
    if ensemble is None or len(ensemble.live) < 2:
        return np.nan
    return float(_shares(ensemble, parameters, seed).found[0].mean())


def _numbers(
    epochs: Array,
    measured: Mapping[str, Array],
    num_live: Array,
    controls: Mapping[str, Array],
    whole: float,
) -> tuple[dict[str, float], dict[str, str]]:
    """Sizes and exponents at the first and the last checkpoint with two live entries."""
    live = np.flatnonzero(num_live)
    numbers = {"log10_num_entries": float(np.log10(whole))}
    if not len(live):
        names = {*NUMBERS} - {*numbers}
        return numbers, dict.fromkeys(names, "no two entries are live at any checkpoint")
    numbers["end_epoch"] = float(epochs[live[-1]])
    for cumulant in coupling.CUMULANTS:
        for when, index in (("start", live[0]), ("end", live[-1])):
            for quantity in ("relative_size", "exponent"):
                name = f"{cumulant}_{quantity}"
                numbers[f"{name}_{when}"] = float(measured[name][index])
        exponent = f"{cumulant}_exponent"
        numbers[f"{exponent}_growth"] = numbers[f"{exponent}_end"] - numbers[f"{exponent}_start"]
    noise = measured["covariance_relative_size_noise"][live[-1]]
    numbers |= {
        "covariance_relative_size_end_noise": float(noise),
        "covariance_relative_size_end_control": entry_copies.lowest(controls["broken"]),
        "covariance_exponent_growth_control": float(controls["exponent"])
        - numbers["covariance_exponent_start"],
    }
    missing = {
        name: "no two entries of the control are live"
        for name, value in numbers.items()
        if np.isnan(value)
    }
    return {name: value for name, value in numbers.items() if name not in missing}, missing


STAGE = Stage(Parameters, NUMBERS, run, needs=("entries", "entry_controls"))
