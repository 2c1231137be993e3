"""The Hessian spectra of copies of the network whose symmetries hold, or are broken, by construction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Progress, Result, Series, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro import seeding
    from ssbrepro.data import cifar10
    from ssbrepro.papers.li2022 import checkpoints, copies, placement
    from ssbrepro.probes import controls, spectra
    from ssbrepro.probes import risk as risks
    from ssbrepro.probes.operators import remembered
    from ssbrepro.probes.spectra import distribution, extremes, measurement, traces


@dataclass(frozen=True)
class Parameters:
    """Measure ``num_intact`` copies whose symmetries hold, and the one whose weights are all positive.

    They are measured as the stage ``spectrum`` measures the network, on at most as many examples inside
    the margin; but an intact copy runs one start vector only, and no longer than until as many of its
    eigenvalues have converged as of the network's.
    """

    num_intact: Count


_STATISTICS = ("extremes", "odd_moment")
_SHARE = "standard_deviation_final_share_control"

NUMBERS = {
    "num_converged_min": domains.COUNT,
    **{f"{statistic}_max": domains.SHARE for statistic in _STATISTICS},
    **{
        f"{statistic}_index_{part}": domains.REAL
        for statistic in _STATISTICS
        for part in ("max", "noise", "control")
    },
    "asymmetry_control": domains.ASYMMETRY,
    "extreme_ratio_noise": domains.AT_LEAST_ONE,
    "extreme_ratio_control": domains.AT_LEAST_ONE,
    _SHARE: domains.SHARE,
}

_LEVEL = 0.95
_ENDS: dict[str, tuple[str, float, Literal["lower", "higher"]]] = {
    "asymmetry_control": ("asymmetry_broken", 1 - _LEVEL, "lower"),
    "extreme_ratio_noise": ("extreme_ratio_intact", _LEVEL, "higher"),
    "extreme_ratio_control": ("extreme_ratio_broken", 1 - _LEVEL, "lower"),
}
_EMPTY = "the Hessian is exactly zero at every checkpoint"

_SERIES = (*_STATISTICS, *(f"{statistic}_index" for statistic in _STATISTICS), "num_converged")


def run(parameters: Parameters, context: Context) -> Result:
    """Measure copies of the network at each checkpoint, and place the network among them.

    Two statistics of the sides of a spectrum are placed: ``extremes``, S_k of
    :func:`extremes_asymmetry`, with k the number of eigenvalues that have converged on both sides at the
    network and at all its copies of that checkpoint; and ``odd_moment``, the magnitude of
    :func:`odd_moment`.

    Returns:
        Arrays over the checkpoints, NaN where there is nothing to measure: of both statistics that
        of the network, ``<statistic>_intact`` and ``<statistic>_broken`` (checkpoints, copies), and
        the breaking index, ``<statistic>_index`` and ``<statistic>_index_intact``;
        ``num_converged``, the k; of the copies likewise ``asymmetry_broken``, ``extreme_ratio_...``
        and, of :func:`measure_sides`, ``outermost_...`` and ``traces_...``;
        ``standard_deviation_intact``, of one copy over all examples. Numbers: the worst at the
        network, and what 95 % of intact copies stay below and of broken ones reach; the fewest
        eigenvalues compared; that one copy's last standard deviation over its largest.
    """
    spectrum = context.inputs["spectrum"].arrays
    arrays = checkpoints.measure_checkpoints(context, partial(_measure, parameters, context))
    arrays |= _compared(spectrum, arrays)
    filled = spectrum["standard_deviation"] > 0
    numbers, missing = _worst_of_copies(arrays, filled)
    for statistic in _STATISTICS:
        indices = _indices(statistic, arrays)
        arrays[f"{statistic}_index"] = indices.index
        arrays[f"{statistic}_index_intact"] = indices.intact.T
        placed, unplaced = _placed(statistic, arrays, filled, indices)
        numbers, missing = numbers | placed, missing | unplaced
    return Result(
        arrays=arrays,
        numbers=numbers,
        missing=missing,
        series={name: Series("epoch", name) for name in _SERIES},
    )


def _measure(
    parameters: Parameters, context: Context, risk: risks.HingeRisk, index: int, total: int
) -> dict[str, Array]:
    """What is measured of the copies of the network at the checkpoint of that index."""
    spectrum = context.inputs["spectrum"]
    settings = spectrum.parameters
    filled = spectrum.arrays["standard_deviation"][index] > 0
    wanted = int(np.isfinite(spectrum.arrays["outermost"][index]).all(axis=0).sum())
    images = cifar10.BinaryImages(risk.inputs, risk.targets)
    number = parameters.num_intact + 1
    rows: dict[str, list[dict[str, Array]]] = {"intact": [], "broken": []}
    num_active = min(max(risk.num_active, 1), settings.max_active)
    made = copies.copies(risk.model, images, num_active, parameters.num_intact, 1, context.seed)
    for done, copy in enumerate(made, start=index * number + 1):
        name = f"copy-{index}-{copy.kind}-{copy.number}"
        row = context.progress.restore(name)
        if row is None:
            seed = seeding.derived_seed(context.seed, "copies", copy.kind, copy.number, index)
            row = _nothing(settings, copy.kind)
            if filled:
                row |= _measure_copy(settings, copy, max(wanted, 1), seed, context.progress)
            if copy.kind == "intact" and copy.number == 0:
                deviation = _standard_deviation(settings, copy, images, seed)
                row["standard_deviation"] = np.array(deviation)
            context.progress.save(name, row)
        rows[copy.kind].append(row)
        context.progress.report(done, total * number, "copies")
    return {"standard_deviation_intact": rows["intact"][0].pop("standard_deviation")} | {
        f"{name}_{kind}": np.stack([row[name] for row in measured])
        for kind, measured in rows.items()
        for name in measured[0]
    }


def _nothing(settings: Any, kind: str) -> dict[str, Array]:
    """Of a copy whose Hessian is zero, or that there is nothing to compare with."""
    numbers = ("extreme_ratio", "asymmetry") if kind == "broken" else ("extreme_ratio",)
    return measurement.empty_sides(settings.num_extremes) | {
        name: np.array(np.nan) for name in numbers
    }


def _measure_copy(
    settings: Any, copy: copies.Copy, wanted: int, seed: int, progress: Progress
) -> dict[str, Array]:
    """The sides of a copy's spectrum, its extreme ratio and, if it is a broken one, its asymmetry."""
    risk = risks.HingeRisk(copy.model, copy.inputs, copy.targets)
    if not risk.num_active:
        return {}
    hessian = remembered.RememberedOperator(risk.hessian(settings.operator), progress, seed)
    numbers = {}
    if copy.kind == "broken":
        spectrum, pairs = measurement.measure_spectrum(
            risk, hessian, settings.num_steps, settings.num_pairs, settings.num_extremes, seed
        )
        nodes = spectrum["nodes"]
        if nodes.any():
            numbers["asymmetry"] = np.array(distribution.mirror_asymmetry(spectrum))
    else:
        start = seeding.torch_generator(seed, "start")
        pairs = spectra.top_eigenpairs(
            hessian, wanted, start, settings.tolerance, settings.num_steps
        )
        nodes = pairs.values.numpy()
    if nodes.any():
        numbers["extreme_ratio"] = np.array(measurement.extreme_ratio(nodes))
    sides = measurement.measure_sides(
        hessian,
        pairs,
        settings.num_extremes,
        settings.tolerance,
        settings.num_probes,
        seeding.torch_generator(seed, "moments"),
    )
    return sides | numbers


def _standard_deviation(
    settings: Any, copy: copies.Copy, images: cifar10.BinaryImages, seed: int
) -> float:
    """Of the spectrum of a copy's mean hinge loss over all examples, of which so many stand for all."""
    risk = risks.HingeRisk(copy.model, images.inputs, images.targets)
    if not risk.num_active:
        return 0.0
    risk = risk.thinned(settings.max_active, seeding.torch_generator(seed, "examples"))
    probes = seeding.torch_generator(seed, "all examples")
    hessian = risk.hessian(settings.operator)
    return measurement.standard_deviation(hessian, settings.num_probes, probes)


def _compared(spectrum: Mapping[str, Array], copied: Mapping[str, Array]) -> dict[str, Array]:
    """Both statistics at the network and at its copies, and how many eigenvalues the first compares."""
    values, moments = (
        np.concatenate(
            [spectrum[name][:, None], copied[f"{name}_intact"], copied[f"{name}_broken"]], axis=1
        )
        for name in ("outermost", "traces")
    )
    alive = np.isfinite(moments).all(axis=-1)  # (checkpoints, networks), the measured one first
    found = np.isfinite(values).all(axis=-2).sum(axis=-1)
    common = np.where(alive, found, values.shape[-1]).min(axis=1)
    asymmetries = np.full(alive.shape, np.nan)
    for place in np.argwhere(alive & (common > 0)[:, None]):
        compared = values[tuple(place)][:, : common[place[0]]]
        asymmetries[tuple(place)] = extremes.extremes_asymmetry(compared)
    arrays = {"num_converged": np.where(alive[:, 0], common, np.nan)}
    first_broken = 1 + copied["traces_intact"].shape[1]
    statistics = {"extremes": asymmetries, "odd_moment": np.abs(traces.odd_moment(moments))}
    for name, measured in statistics.items():
        arrays[name] = measured[:, 0]
        arrays[f"{name}_intact"] = measured[:, 1:first_broken]
        arrays[f"{name}_broken"] = measured[:, first_broken:]
    return arrays


def _indices(statistic: str, arrays: Mapping[str, Array]) -> controls.BreakingIndices:
    """The breaking index of a statistic at each checkpoint."""
    intact, broken = (arrays[f"{statistic}_{kind}"].T for kind in ("intact", "broken"))
    return controls.breaking_indices(arrays[statistic], intact, broken)


def _placed(
    statistic: str, arrays: Mapping[str, Array], filled: Array, indices: controls.BreakingIndices
) -> tuple[dict[str, float], dict[str, str]]:
    """The worst value and index over the checkpoints that are not empty, or why there is none."""
    lost = arrays["epoch"][filled & ~indices.measured]
    numbers, missing = placement.worst_index(statistic, arrays["epoch"], indices)
    if len(lost):
        reason = (
            f"at epoch {', '.join(map(str, lost))} no eigenvalue has converged on both sides at the "
            "network and at all its copies"
        )
        return {}, dict.fromkeys([f"{statistic}_max", *numbers, *missing], reason)
    if not filled.any():
        return {}, {f"{statistic}_max": _EMPTY} | missing
    return numbers | {f"{statistic}_max": float(arrays[statistic][filled].max())}, missing


def _worst_of_copies(
    arrays: Mapping[str, Array], filled: Array
) -> tuple[dict[str, float], dict[str, str]]:
    """What copies make of the numbers of the network that have no index, or why they make nothing."""
    numbers: dict[str, float] = {}
    missing: dict[str, str] = {}
    for name, (values, level, method) in _ENDS.items():
        rows = arrays[values][filled]
        if not len(rows):
            missing[name] = _EMPTY
        elif not np.isfinite(rows).any(axis=1).all():
            missing[name] = "the Hessians of all copies are zero at a checkpoint"
        else:
            seen = rows[:, np.isfinite(rows).any(axis=0)]
            numbers[name] = float(np.quantile(np.nanmax(seen, axis=0), level, method=method))
    if filled.any():
        numbers["num_converged_min"] = float(arrays["num_converged"][filled].min())
    else:
        missing["num_converged_min"] = _EMPTY
    deviations = arrays["standard_deviation_intact"]
    if deviations.any():
        numbers[_SHARE] = float(deviations[-1] / deviations.max())
    else:
        missing[_SHARE] = "the Hessian of the copy is zero at every checkpoint"
    return numbers, missing


STAGE = Stage(Parameters, NUMBERS, run, needs=("training", "spectrum"), data="cifar10")
