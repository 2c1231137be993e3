"""Sizes of the coupling sets of Hessian entries at equal numbers of examples inside the margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import (
    WITHOUT_POWER,
    Array,
    Context,
    Count,
    Imitations,
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
    from ssbrepro.probes.entries import coupling, ensembles, sampling
    from ssbrepro.statistics import intervals


@dataclass(frozen=True)
class Parameters:
    """With how many others an entry has a joint cumulant that is large enough to matter.

    As in ``coupling``, but the same of every checkpoint: ``num_active`` random examples inside the
    margin, and of these alone. A checkpoint with fewer is left out. Two entries count as coupled where
    the square of their joint cumulant, estimated from two halves of the examples, is discovered and
    above ``least_square``. ``num_replicates`` bootstrap samples of the examples give the bands. The N
    that sizes are exponents of is the number of ``weights``, or of all ``entries``.
    """

    num_active: Annotated[int, Ge(4)]
    num_entries: Annotated[int, Ge(2)]
    least_square: Share
    false_discovery_rate: Share
    num_permutations: Count
    num_replicates: Imitations
    dimension: Literal["weights", "entries"]


_EXPONENT = domains.Domain(0, 2)  # there are fewer entries than N squared
_QUANTITIES = {
    "relative_size_start": domains.SHARE,
    "relative_size_end": domains.SHARE,
    "relative_size_end_noise": domains.SHARE,
    "relative_size_end_control": domains.SHARE,
    "exponent_start": _EXPONENT,
    "exponent_end": _EXPONENT,
    "exponent_growth": domains.Domain(-2, 2),
    "exponent_growth_low": domains.REAL,
    "exponent_growth_noise": domains.NON_POSITIVE,
    "exponent_growth_control": domains.REAL,
}

NUMBERS = {
    "num_checkpoints": domains.COUNT,
    "log10_dimension": domains.NON_NEGATIVE,
    "end_epoch": domains.EPOCHS,
    **{
        f"{cumulant}_{quantity}": domain
        for cumulant in ("covariance", "coskewness", "cokurtosis")
        for quantity, domain in _QUANTITIES.items()
    },
}


def run(parameters: Parameters, context: Context) -> Result:
    """Estimate with what share of all live entries an entry has a joint cumulant of some size.

    A size is the share among the entries looked at, times how many there are of that kind: of
    different layers, and live among these examples. Fewer pairs than can be told from chance count as
    just so many.

    A growth is that from the first checkpoint with enough examples to the last. Its control is the
    growth from the first to another random sample of its own examples, which is none.

    Returns:
        Arrays over the checkpoints, NaN where too few examples are inside the margin or too few
        entries live: ``epoch``, ``num_live`` of the entries followed, ``exponent_min``, that of the
        fewest pairs that are sure to be found, and for each of ``CUMULANTS`` ``<name>_relative_size``
        and ``<name>_exponent``, both with their ``_band``, the standard deviation over bootstrap
        samples of the examples; ``num_active`` and ``log10_dimension``. Numbers: a growth is
        missing where neither end has so many.
    """
    arrays = context.inputs["entries"].arrays
    weights = float(arrays["layer_sizes"].sum())
    dimension = weights if parameters.dimension == "weights" else weights * (weights + 1) / 2
    # Of each entry that is looked at there are so many, of different layers.
    scale = weights**2 / 2 * (1 - sampling.same_layer_share(arrays["layer_sizes"].tolist()))
    scale /= max(int(arrays["num_tried"]), 1)
    found: dict[int, _Sizes] = {}
    start = None
    for index, ensemble in enumerate(ensembles.recorded(arrays)):
        context.progress.report(index, len(arrays["epoch"]) + 3, "coupling at equal numbers")
        sizes = _sizes(ensemble, f"checkpoint-{index}", parameters, context)
        if sizes is not None:
            found[index] = sizes
            start = start or ensemble
    controls: list[_Sizes | None] = []
    if found:
        copied = [one[max(found)] for one in entry_copies.copies_of(context, "broken")]
        controls = [
            _sizes(one, f"control-{number}", parameters, context)
            for number, one in enumerate([start, *copied])
        ]
    measured = _over_checkpoints(found, len(arrays["epoch"]), scale, dimension)
    numbers, missing = _numbers(arrays["epoch"], found, controls, scale, dimension)
    return Result(
        arrays={
            "epoch": arrays["epoch"],
            "num_active": np.array(parameters.num_active),
            "log10_dimension": np.log10(dimension),
            **measured,
        },
        numbers=numbers,
        series={name: Series("epoch", name) for name in measured},
        missing=missing,
    )


class _Sizes(NamedTuple):
    """Shares of other entries in coupling sets at one checkpoint.

    Attributes:
        num_live: Entries that are live among the examples, of all that were tried, ().
        least: The share from which on pairs are sure to be told from chance, ().
        shares: (kinds,).
        replicates: In bootstrap samples of the examples, (samples, kinds).
        noise: What chance alone reaches, (kinds,).
    """

    num_live: Array
    least: Array
    shares: Array
    replicates: Array
    noise: Array

    def exponents(self, shares: Array, scale: float, dimension: float) -> Array:
        """Of sizes of that share; where fewer pairs are found than can be, as if that many were."""
        floored = np.maximum(shares, self.least)
        return coupling.exponents(floored, scale * float(self.num_live), dimension)


def _sizes(
    ensemble: ensembles.Ensemble | None, name: str, parameters: Parameters, context: Context
) -> _Sizes | None:
    """Of random examples inside the margin; None without enough of them, or with fewer than two live."""
    if ensemble is None or len(ensemble.examples) < parameters.num_active:
        return None
    generator = seeding.numpy_generator(context.seed, "equal", name)
    alone = replace(ensemble, num_examples=parameters.num_active)
    sample = alone.thinned(parameters.num_active, generator)
    if len(sample.live) < 2:
        return None
    saved = context.progress.restore(name)
    if saved is None:
        saved = _measure(sample, parameters, generator)._asdict()
        context.progress.save(name, saved)
    return _Sizes(**saved)


def _measure(
    sample: ensembles.Ensemble, parameters: Parameters, generator: np.random.Generator
) -> _Sizes:
    values = generator.permutation(sample.first(parameters.num_entries).values)
    values = coupling.standardised(values).astype(np.float32)
    num_examples = len(values)
    halves = values[: num_examples // 2], values[num_examples // 2 :]

    def permuted() -> Array:
        return _squares(np.split(generator.permuted(values, axis=0), [num_examples // 2]))

    null = coupling.PermutationNull(
        permuted, coupling.tail_classes(values), parameters.num_permutations
    )

    def thresholds(squares: Array) -> Array:
        found = null.thresholds(squares, parameters.false_discovery_rate)
        return np.maximum(found, parameters.least_square)

    def shares(squares: Array) -> Array:
        found = coupling.coupling_shares(squares, thresholds(squares))
        return np.asarray(found.mean(axis=-1))

    squares = _squares(halves)
    return _Sizes(
        num_live=np.array(len(sample.live)),
        least=np.array(null.least_share(parameters.false_discovery_rate)),
        shares=shares(squares),
        replicates=np.stack(
            [
                shares(_squares([generator.choice(half, len(half)) for half in halves]))
                for _ in range(parameters.num_replicates)
            ]
        ),
        noise=coupling.chance_shares(permuted, thresholds(squares)),
    )


def _squares(halves: Sequence[Array]) -> Array:
    """Unbiased squares of joint cumulants; a negative one is as little as none."""
    return np.maximum(coupling.unbiased_squares(*halves), 0)


def _over_checkpoints(
    found: Mapping[int, _Sizes], num_epochs: int, scale: float, dimension: float
) -> dict[str, Array]:
    """What is drawn, (checkpoints,) each, NaN where nothing was measured."""
    names = ["num_live", "exponent_min"]
    for cumulant in coupling.CUMULANTS:
        for quantity in ("relative_size", "exponent"):
            names += [f"{cumulant}_{quantity}", f"{cumulant}_{quantity}_band"]
    rows = {name: np.full(num_epochs, np.nan) for name in names}
    for index, one in found.items():
        rows["num_live"][index] = one.num_live
        rows["exponent_min"][index] = one.exponents(np.zeros(1), scale, dimension)[0]
        exponents = one.exponents(one.shares, scale, dimension)
        bands = one.exponents(one.replicates, scale, dimension).std(axis=0, ddof=1)
        for kind, name in enumerate(coupling.CUMULANTS):
            rows[f"{name}_relative_size"][index] = one.shares[kind]
            rows[f"{name}_relative_size_band"][index] = one.replicates[:, kind].std(ddof=1)
            rows[f"{name}_exponent"][index] = exponents[kind]
            rows[f"{name}_exponent_band"][index] = bands[kind]
    return rows


def _numbers(
    epochs: Array,
    found: Mapping[int, _Sizes],
    controls: Sequence[_Sizes | None],
    scale: float,
    dimension: float,
) -> tuple[dict[str, float], dict[str, str]]:
    numbers = {"num_checkpoints": float(len(found)), "log10_dimension": float(np.log10(dimension))}
    if not found:
        reason = "no two entries are live at any checkpoint with enough examples inside the margin"
        return numbers, dict.fromkeys({*NUMBERS} - {*numbers}, reason)
    numbers["end_epoch"] = float(epochs[max(found)])
    start, end = found[min(found)], found[max(found)]
    again, *broken = controls
    growths = [_growths(start, other, scale, dimension) for other in (end, again)]
    for kind, name in enumerate(coupling.CUMULANTS):
        growth, nothing = (one[kind] for one in growths)
        copied = [np.nan if one is None else float(one.shares[kind]) for one in broken]
        values = {
            "relative_size_start": float(start.shares[kind]),
            "relative_size_end": float(end.shares[kind]),
            "relative_size_end_noise": float(end.noise[kind]),
            "relative_size_end_control": entry_copies.lowest(np.array(copied)),
            "exponent_start": float(start.exponents(start.shares, scale, dimension)[kind]),
            "exponent_end": float(end.exponents(end.shares, scale, dimension)[kind]),
            "exponent_growth": growth.value,
            "exponent_growth_low": growth.low,
            "exponent_growth_noise": growth.low_noise,
            "exponent_growth_control": nothing.low,
        }
        numbers |= {f"{name}_{quantity}": value for quantity, value in values.items()}
    missing = {
        name: "the control has too few examples inside the margin, or fewer than two live entries"
        for name, value in numbers.items()
        if np.isnan(value)
    }
    for kind, name in enumerate(coupling.CUMULANTS):
        if all(one.shares[kind] < one.least for one in (start, end)):
            reason = (
                f"{WITHOUT_POWER}: at the start and at the end fewer are coupled than can be told from "
                "chance"
            )
            growths_of = [f"{name}_{quantity}" for quantity in _QUANTITIES if "growth" in quantity]
            missing |= dict.fromkeys(growths_of, reason)
    return {name: value for name, value in numbers.items() if name not in missing}, missing


def _growths(
    start: _Sizes, end: _Sizes | None, scale: float, dimension: float
) -> list[intervals.Growth]:
    """Growth of the exponents, (kinds,); NaN without an end."""
    kinds = range(len(coupling.CUMULANTS))
    if end is None:
        return [intervals.Growth(np.nan, np.nan, np.nan, np.nan) for _ in kinds]
    values = [one.exponents(one.shares, scale, dimension) for one in (start, end)]
    samples = [one.exponents(one.replicates, scale, dimension) for one in (start, end)]
    return [
        intervals.growth(*(one[kind] for one in values), *(one[:, kind] for one in samples))
        for kind in kinds
    ]


STAGE = Stage(Parameters, NUMBERS, run, needs=("entries", "entry_controls"))
