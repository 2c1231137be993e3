"""How statistics of symmetry answer to a growing share of broken weights, at several widths."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, MinLen

from ssbrepro import domains
from ssbrepro.contract import (
    WITHOUT_POWER,
    Array,
    Context,
    Count,
    Positive,
    Result,
    Stage,
)
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch

    from ssbrepro import seeding
    from ssbrepro.data import cifar10
    from ssbrepro.networks import flattening
    from ssbrepro.papers.li2022 import copies, doses, experiment
    from ssbrepro.probes import controls, gradients, operators, spectra
    from ssbrepro.probes.circuits import counting, sampling
    from ssbrepro.probes.entries import per_example
    from ssbrepro.probes.entries import sampling as sampling_of_pairs
    from ssbrepro.probes.spectra import extremes
    from ssbrepro.statistics import symmetry
    from ssbrepro.training import losses


@dataclass(frozen=True)
class Parameters:
    """Untrained networks with planted broken weights.

    At each of ``widths`` the gradient of ``num_networks`` is measured, on ``num_examples`` inside the
    margin, and of the first ``num_detailed`` all else, with ``num_circuits`` and ``num_pairs`` drawn of
    each; their spectra, by ``num_steps`` Lanczos steps at most, at the first ``num_spectrum_widths``
    widths only. ``num_replicates`` bootstrap samples of the networks say what is chance.
    """

    widths: Annotated[tuple[Positive, ...], MinLen(2)]
    num_networks: Annotated[int, Ge(2)]
    num_detailed: Annotated[int, Ge(2)]
    num_examples: Annotated[int, Ge(10)]
    num_circuits: Count
    num_pairs: Count
    num_spectrum_widths: Count
    num_steps: Annotated[int, Ge(20)]
    num_replicates: Annotated[int, Ge(19)]


SHARES = (0.0, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0)
STATISTICS = ("weights", "circuits", "gradient", "entries", "spectrum")
NUMBERS = {
    **{f"{statistic}_half_share": domains.SHARE for statistic in STATISTICS},
    **{f"{statistic}_slope": domains.REAL for statistic in STATISTICS},
    "gradient_slope_distance": domains.NON_NEGATIVE,
    "gradient_slope_noise": domains.NON_NEGATIVE,
    "gradient_slope_control": domains.NON_NEGATIVE,
}

_FEWEST = 10  # examples: the law of an entry over fewer is theirs, not the entry's
_ALIVE_AMONG = 10  # examples looked at for one that has circuits
_PAIRS = 10  # eigenvalues on each side, at most
_CONVERGED = 0.01  # residual in units of the largest magnitude: a hundredth of S_k at most


def run(parameters: Parameters, context: Context) -> Result:
    """Plant shares p of broken weights in untrained networks, and measure S(p).

    A network keeps its signs from one share to the next but for those that are made positive, and its
    examples' order. The fan-in n of a width is the geometric mean over its layers after the first: what
    the broken weights of a layer add to a signal, over what the fair ones do, is multiplied from layer
    to layer. The first layer's fan-in is the image's at every width.

    The statistics are ``weights`` (A of a layer's weights, mean over all weights), ``circuits`` (twice
    the distance of the share of positive active circuits from 1/2, inputs left out), ``gradient`` (A of
    its entries), ``entries`` (median over live Hessian entries of A over the examples that an entry is
    not zero for) and ``spectrum`` (S_k of the converged extremes, at most 10 on a side).

    Returns:
        Arrays ``shares`` (shares,); ``widths`` and ``fan_in`` (widths,); for each statistic the values
        ``<statistic>`` (widths, networks, shares), NaN where not measured or dead; their
        ``<statistic>_quartiles`` (widths, 3, shares) over the networks; ``<statistic>_intact``
        (widths, 2), the middle 90 % at p = 0; ``<statistic>_half_share`` (widths,), NaN where broken
        networks cannot be told from intact ones; ``<statistic>_run`` (2,), of the training run of
        ``run_width`` at ``run_epoch`` (2,): its first checkpoint, and the last that has as many examples
        inside the margin; and ``<statistic>_slope``, NaN where missing. Numbers:
        ``<statistic>_half_share`` of the largest width that has one, and the slopes of
        :mod:`ssbrepro.papers.li2022.doses`.
    """
    training = context.inputs["training"]
    images, model = experiment.images_and_network(training.parameters, context)
    rows = []
    for place, width in enumerate(parameters.widths):
        setting = dataclasses.replace(training.parameters, width=width)
        rows.append(_width(parameters, context, setting, images, place))
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    arrays |= {"shares": np.array(SHARES), "widths": np.array(parameters.widths)}
    arrays |= _of_the_run(parameters, context, model, images)
    numbers, missing = _numbers(parameters, context.seed, arrays)
    slopes = {
        f"{name}_slope": np.array(numbers.get(f"{name}_slope", np.nan)) for name in STATISTICS
    }
    return Result(arrays | slopes, numbers, missing=missing)


def _width(
    parameters: Parameters,
    context: Context,
    setting: experiment.Setting,
    images: cifar10.BinaryImages,
    place: int,
) -> dict[str, Array]:
    """Values (networks, shares) of each statistic at one width, its half-way shares and its fan-in."""
    device = images.inputs.device
    rows = []
    total = len(parameters.widths) * parameters.num_networks
    for number in range(parameters.num_networks):
        name = f"network-{place}-{number}"
        row = context.progress.restore(name)
        if row is None:
            weights = seeding.torch_generator(context.seed, "doses", "weights", place, number)
            network = experiment.network(setting, weights).to(device)
            wanted: tuple[str, ...] = ("gradient",)
            if number < parameters.num_detailed:
                wanted = STATISTICS if place < parameters.num_spectrum_widths else STATISTICS[:-1]
            row = _network(parameters, context.seed, network, images, name, wanted)
            row["fan_in"] = np.array(_fan_in(network))
            context.progress.save(name, row)
        rows.append(row)
        done = place * parameters.num_networks + number + 1
        context.progress.report(done, total, "networks with broken weights")
    found = {"fan_in": rows[0]["fan_in"]}
    for statistic in STATISTICS:
        values = np.stack([row[statistic] for row in rows])
        found |= {
            statistic: values,
            f"{statistic}_quartiles": _quantiles(values, (0.25, 0.5, 0.75)),
            f"{statistic}_intact": _quantiles(values, (0.05, 0.95))[:, 0],
            f"{statistic}_half_share": np.array(_half_share(values)),
        }
    return found


def _quantiles(values: Array, levels: Sequence[float]) -> Array:
    return np.stack([doses.quantile_curve(values, level) for level in levels])


def _fan_in(model: torch.nn.Module) -> float:
    """Geometric mean over the layers after the first."""
    _, *later = model.parameters()
    return float(np.exp(np.mean([np.log(weight[0].numel()) for weight in later])))


def _network(
    parameters: Parameters,
    seed: int,
    network: torch.nn.Module,
    images: cifar10.BinaryImages,
    name: str,
    wanted: Sequence[str],
) -> dict[str, Array]:
    """S(p) of one network, (shares,) for each statistic."""
    copier = controls.Copier(network, images.inputs[: parameters.num_examples])
    rows = []
    for share in SHARES:
        made = copier.broken(share, seeding.torch_generator(seed, "doses", "signs", name))
        rows.append(_measure(parameters, seed, made, images, name, wanted))
    return {statistic: np.array([row[statistic] for row in rows]) for statistic in STATISTICS}


def _measure(
    parameters: Parameters,
    seed: int,
    model: torch.nn.Module,
    images: cifar10.BinaryImages,
    name: str,
    wanted: Sequence[str],
) -> dict[str, float]:
    """The statistics that are wanted of one network; NaN for all others, and where it is dead."""
    order = seeding.torch_generator(seed, "doses", "examples", name)
    chosen = copies.inside_margin(model, images, parameters.num_examples, order)
    inside = cifar10.BinaryImages(images.inputs[chosen], images.targets[chosen])
    found = dict.fromkeys(STATISTICS, float("nan"))
    if "weights" in wanted:
        found["weights"] = _weights(model)
    gradient = gradients.mean_gradient(model, *inside) if len(chosen) else torch.zeros(1)
    if not gradient.any():
        return found
    found["gradient"] = symmetry.reflection_asymmetry(gradient.cpu().numpy())
    if "circuits" in wanted:
        draws = seeding.torch_generator(seed, "doses", "circuits", name)
        found["circuits"] = _circuits(model, inside.inputs, parameters.num_circuits, draws)
    if "entries" in wanted:
        pairs = seeding.numpy_generator(seed, "doses", "pairs", name)
        found["entries"] = _entries(model, inside, parameters.num_pairs, pairs)
    if "spectrum" in wanted:
        start = seeding.torch_generator(seed, "doses", "start", name)
        found["spectrum"] = _spectrum(model, inside, parameters.num_steps, start)
    return found


def _weights(model: torch.nn.Module) -> float:
    """A of each layer's weights, averaged over all weights."""
    layers = [weight.detach().cpu().numpy().ravel() for weight in model.parameters()]
    asymmetries = [symmetry.reflection_asymmetries(layer) for layer in layers]
    return float(np.average(asymmetries, weights=[layer.size for layer in layers]))


def _circuits(
    model: torch.nn.Module, inputs: torch.Tensor, number: int, generator: torch.Generator
) -> float:
    """Twice the distance from 1/2 of the share of positive circuits, of an example that has some."""
    counts = counting.count_circuits(model, inputs[:_ALIVE_AMONG])
    alive = counts.log_active.isfinite().nonzero()
    if not len(alive):
        return float("nan")
    sample = sampling.sample_circuits(
        model, inputs[int(alive[0])], number, with_input=False, generator=generator
    )
    return float((sample.sign.double().mean()).abs())


def _entries(
    model: torch.nn.Module,
    inside: cifar10.BinaryImages,
    number: int,
    generator: np.random.Generator,
) -> float:
    """Median over Hessian entries of A of each one's law over the examples it is not zero for."""
    sizes = [weight.numel() for weight in model.parameters()]
    rows, columns = map(torch.from_numpy, sampling_of_pairs.draw_pairs(sizes, number, generator))
    values = per_example.per_example_entries(model, losses.hinge, *inside, rows, columns)
    laws = [column[column != 0] for column in values.cpu().numpy().T]
    found = [symmetry.reflection_asymmetry(law) for law in laws if len(law) >= _FEWEST]
    return float(np.median(found)) if found else float("nan")


def _spectrum(
    model: torch.nn.Module,
    inside: cifar10.BinaryImages,
    num_steps: int,
    generator: torch.Generator,
) -> float:
    """S_k: the difference of the k outermost eigenvalues of both sides over their sum."""
    hessian = operators.hessian_operator(model, losses.hinge, *inside, "cached")
    pairs = spectra.top_eigenpairs(hessian, _PAIRS, generator, _CONVERGED, num_steps)
    values = pairs.converged(_CONVERGED).values
    return extremes.extremes_asymmetry(values.numpy()) if values.numel() else float("nan")


def _half_share(values: Array) -> float:
    """p_half of values (networks, shares); NaN where broken networks look like intact ones."""
    intact, broken = (values[:, place][np.isfinite(values[:, place])] for place in (0, -1))
    if not (len(intact) and len(broken)):
        return float("nan")
    if np.isnan(controls.breaking_index(0.0, intact, broken)):
        return float("nan")
    return float(doses.half_shares(np.array(SHARES), doses.quantile_curve(values)))


def _of_the_run(
    parameters: Parameters, context: Context, model: torch.nn.Module, images: cifar10.BinaryImages
) -> dict[str, Array]:
    """The statistics of the training run, at its start and late."""
    training = context.inputs["training"]
    epochs = training.arrays["checkpoint_epoch"]
    kept: dict[str, Array] | None = context.progress.restore("run")
    if kept is None:
        weights = training.arrays["checkpoint_weights"]
        last = 0
        for index in range(1, len(epochs)):
            flattening.load_weights(model, weights[index])
            order = seeding.torch_generator(context.seed, "doses", "examples", "run")
            inside = copies.inside_margin(model, images, parameters.num_examples, order)
            last = index if len(inside) == parameters.num_examples else last
        rows = []
        for index in (0, last):
            flattening.load_weights(model, weights[index])
            rows.append(_measure(parameters, context.seed, model, images, "run", STATISTICS))
        kept = {f"{name}_run": np.array([row[name] for row in rows]) for name in STATISTICS}
        kept["run_epoch"] = epochs[[0, last]]
        context.progress.save("run", kept)
    return kept | {"run_width": np.array(training.parameters.width)}


def _numbers(
    parameters: Parameters, seed: int, arrays: dict[str, Array]
) -> tuple[dict[str, float], dict[str, str]]:
    """Half-way shares and slopes, or why there are none."""
    found: dict[str, float] = {}
    missing: dict[str, str] = {}
    for statistic in STATISTICS:
        halves = arrays[f"{statistic}_half_share"]
        values = arrays[statistic]
        measured = np.isfinite(values).any(axis=(1, 2))
        weak = arrays["widths"][measured & ~np.isfinite(halves)]
        names = [name for name in NUMBERS if name.startswith(f"{statistic}_")]
        if weak.size or not measured.any():
            reason = "there is nothing to measure at any width"
            if weak.size:
                reason = (
                    f"{WITHOUT_POWER}: at width {', '.join(f'{width:g}' for width in weak)} networks "
                    "with every symmetry broken cannot be told from intact ones"
                )
            missing |= dict.fromkeys(names, reason)
            continue
        found[f"{statistic}_half_share"] = float(halves[measured][-1])
        if measured.sum() == 1:
            missing |= dict.fromkeys(names[1:], "measured at one width only")
            continue
        fall = doses.decline(
            arrays["fan_in"][measured],
            arrays["shares"],
            [rows[np.isfinite(rows).any(axis=1)] for rows in values[measured]],
            seeding.numpy_generator(seed, "doses", "bootstrap", statistic),
            parameters.num_replicates,
        )
        found[f"{statistic}_slope"] = fall.slope
        if statistic == "gradient":
            found["gradient_slope_distance"] = fall.distance
            found["gradient_slope_noise"] = fall.noise
            found["gradient_slope_control"] = fall.control
    return found, missing


STAGE = Stage(Parameters, NUMBERS, run, needs=("training",), data="cifar10")
