"""Correlation matrices of Hessian entries at the start and the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Imitations, Result, Share, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro import seeding
    from ssbrepro.papers.li2022 import entry_copies
    from ssbrepro.probes.entries import ensembles
    from ssbrepro.statistics import intervals


@dataclass(frozen=True)
class Parameters:
    """Correlations between ``num_entries`` Hessian entries at the start and at the end.

    One whose absolute value is above ``strong_above`` counts as strong. ``num_permutations`` of the
    examples say what chance gives, ``num_replicates`` bootstrap samples of them how sure a growth is.
    """

    num_entries: Annotated[int, Ge(2)]
    strong_above: Share
    num_permutations: Imitations
    num_replicates: Imitations


NUMBERS = {
    "end_epoch": domains.EPOCHS,
    "num_active_end": domains.COUNT,
    "num_active_equal": domains.COUNT,
    **{
        name: domains.SHARE
        for when in ("start", "end")
        for name in (
            f"strong_share_{when}",
            f"strong_share_{when}_noise",
            f"strong_share_{when}_control",
            f"mean_{when}",
            f"null_mean_{when}",
        )
    },
    "mean_growth": domains.SIGNED_SHARE,
    "mean_growth_noise": domains.NON_POSITIVE,
    "mean_growth_control": domains.SIGNED_SHARE,
    "excess_growth": domains.SIGNED_SHARE,
    "excess_growth_low": domains.REAL,
    "excess_growth_noise": domains.NON_POSITIVE,
    "excess_growth_control": domains.REAL,
}

_BINS = 50  # of magnitudes, for drawing


def run(parameters: Parameters, context: Context) -> Result:
    """Correlate the first entries drawn that are live at the first and the last such checkpoint.

    A correlation does not depend on how many examples a bootstrap draw averages, so it is that over
    the examples. Examples outside the margin are zero for all entries and correlate them; the null
    permutes the values of each entry among those inside only, and keeps that part.

    Mean magnitudes grow where fewer examples are inside the margin, correlated or not. So their growth
    is also measured in excess of the null's, with as many random examples at the start and at the end
    as there are where there are fewer. A second such sample of the start in the place of the end is the
    control: nothing grows.

    Returns:
        Arrays ``start`` and ``end`` (entries, entries), and of both ``epoch`` and ``num_active``, all
        empty where there is none; for drawing ``edges`` of magnitudes, and the shares between them of
        all pairs, ``magnitudes``, of ``permuted`` ones and of those of ``broken`` copies, (2, bins), at
        the start and the end. Numbers over the pairs of different entries: ``strong_share``, ``mean`` of
        the absolute value and its ``null_mean``, at both.
    """
    found = {
        index: one
        for index, one in enumerate(ensembles.recorded(context.inputs["entries"].arrays))
        if one is not None and len(one.live) >= 2
    }
    if not found:
        return _nothing()
    arrays: dict[str, list[Array]] = {"magnitudes": [], "permuted": [], "broken": []}
    numbers: dict[str, float] = {}
    edges = np.linspace(0, 1, _BINS + 1)
    ends = min(found), max(found)
    for when, index in zip(("start", "end"), ends, strict=True):
        context.progress.report(len(arrays["broken"]), 3, "correlations of Hessian entries")
        magnitudes = _Magnitudes.of(found[index], index, parameters, context)
        numbers |= magnitudes.numbers(when, parameters)
        for name, values in arrays.items():
            values.append(_histogram(getattr(magnitudes, name), edges))
    context.progress.report(2, 3, "correlations of Hessian entries")
    start, end = (found[index] for index in ends)
    numbers |= {
        "end_epoch": float(end.epoch),
        "num_active_end": float(len(end.examples)),
        "mean_growth_control": numbers["null_mean_end"] - numbers["null_mean_start"],
    } | _growths(start, end, parameters, context.seed)
    missing = {
        name: "no two entries are live in what it is compared with"
        for name, value in numbers.items()
        if np.isnan(value)
    }
    return Result(
        arrays={
            "epoch": np.array([start.epoch, end.epoch]),
            "num_active": np.array([len(start.examples), len(end.examples)]),
            "start": start.first(parameters.num_entries).correlations(),
            "end": end.first(parameters.num_entries).correlations(),
            "edges": edges,
            **{name: np.stack(values) for name, values in arrays.items()},
        },
        numbers={name: value for name, value in numbers.items() if name not in missing},
        missing=missing,
    )


def _nothing() -> Result:
    matrix, both = np.zeros((0, 0)), np.zeros(0)
    return Result(
        arrays={"start": matrix, "end": matrix, "epoch": both, "num_active": both},
        numbers={},
        missing=dict.fromkeys(NUMBERS, "no two entries are live at any checkpoint"),
    )


class _Magnitudes(NamedTuple):
    """Magnitudes of the correlations of all pairs at one checkpoint.

    Attributes:
        magnitudes: (pairs,).
        permuted: When each entry's active examples are permuted on their own, (permutations, pairs).
        broken: Of each broken copy with two live entries, (pairs,) each.
    """

    magnitudes: Array
    permuted: Array
    broken: list[Array]

    @classmethod
    def of(
        cls, ensemble: ensembles.Ensemble, index: int, parameters: Parameters, context: Context
    ) -> _Magnitudes:
        chosen = ensemble.first(parameters.num_entries)
        generator = seeding.numpy_generator(context.seed, "permutations", ensemble.epoch)
        copies = [checkpoints[index] for checkpoints in entry_copies.copies_of(context, "broken")]
        return cls(
            _of_pairs(chosen),
            np.stack(
                [
                    _of_pairs(_permuted(chosen, generator))
                    for _ in range(parameters.num_permutations)
                ]
            ),
            [
                _of_pairs(one.first(parameters.num_entries))
                for one in copies
                if one is not None and len(one.live) >= 2
            ],
        )

    def numbers(self, when: str, parameters: Parameters) -> dict[str, float]:
        def strong(magnitudes: Array) -> Array:
            return np.asarray((magnitudes > parameters.strong_above).mean(axis=-1))

        return {
            f"strong_share_{when}": float(strong(self.magnitudes)),
            f"strong_share_{when}_noise": float(np.quantile(strong(self.permuted), 0.95)),
            f"strong_share_{when}_control": entry_copies.lowest(
                np.array([float(strong(one)) for one in self.broken])
            ),
            f"mean_{when}": float(self.magnitudes.mean()),
            f"null_mean_{when}": float(self.permuted.mean()),
        }


def _of_pairs(ensemble: ensembles.Ensemble) -> Array:
    """Magnitudes for the pairs of different entries, (pairs,)."""
    return np.abs(ensemble.correlations()[np.triu_indices(len(ensemble.live), 1)])


def _permuted(ensemble: ensembles.Ensemble, generator: np.random.Generator) -> ensembles.Ensemble:
    return replace(ensemble, values=generator.permuted(ensemble.values, axis=0))


def _histogram(magnitudes: Array | list[Array], edges: Array) -> Array:
    """Shares of the magnitudes between the edges, (bins,); zero where there are none."""
    values = np.concatenate([np.zeros(0), *(np.ravel(one) for one in magnitudes)])
    counts = np.histogram(np.minimum(values, 1), edges)[0]  # a correlation of 1 is rounded
    return np.asarray(counts / max(len(values), 1))


def _growths(
    start: ensembles.Ensemble, end: ensembles.Ensemble, parameters: Parameters, seed: int
) -> dict[str, float]:
    """Growth of the mean magnitude, and at equal numbers of examples that in excess of the null's."""
    num_active = min(len(start.examples), len(end.examples))
    samples = [
        whole.thinned(num_active, seeding.numpy_generator(seed, "equal", name)).first(
            parameters.num_entries
        )
        for name, whole in (("start", start), ("end", end), ("start again", start))
    ]
    values = [
        _excess(sample, parameters.num_permutations, seeding.numpy_generator(seed, "excess", place))
        for place, sample in enumerate(samples)
    ]
    replicates = [
        _replicates(sample, lambda one, by: _excess(one, 1, by), parameters, seed)
        for sample in samples
    ]
    excess, nothing = (
        intervals.growth(values[0], values[other], replicates[0], replicates[other])
        for other in (1, 2)
    )
    means = [one.first(parameters.num_entries) for one in (start, end)]
    mean = intervals.growth(
        *(float(_of_pairs(one).mean()) for one in means),
        *(
            _replicates(one, lambda again, _: float(_of_pairs(again).mean()), parameters, seed)
            for one in means
        ),
    )
    return {
        "num_active_equal": float(num_active),
        "mean_growth": mean.value,
        "mean_growth_noise": mean.value_noise,
        "excess_growth": excess.value,
        "excess_growth_low": excess.low,
        "excess_growth_noise": excess.low_noise,
        "excess_growth_control": nothing.low,
    }


def _excess(
    ensemble: ensembles.Ensemble, num_permutations: int, generator: np.random.Generator
) -> float:
    """Mean magnitude in excess of that after permutations; NaN with fewer than two entries."""
    if len(ensemble.live) < 2:
        return np.nan
    null = [_of_pairs(_permuted(ensemble, generator)).mean() for _ in range(num_permutations)]
    return float(_of_pairs(ensemble).mean() - np.mean(null))


def _replicates(
    ensemble: ensembles.Ensemble,
    statistic: Callable[[ensembles.Ensemble, np.random.Generator], float],
    parameters: Parameters,
    seed: int,
) -> Array:
    """A statistic in bootstrap samples of the examples in which two entries are live."""
    generator = seeding.numpy_generator(seed, "bootstrap", ensemble.epoch)
    samples = (ensemble.resampled(generator) for _ in range(parameters.num_replicates))
    found = [statistic(one, generator) for one in samples if len(one.live) >= 2]
    return np.array(found) if len(found) > 1 else np.full(2, np.nan)


STAGE = Stage(Parameters, NUMBERS, run, needs=("entries", "entry_controls"))
