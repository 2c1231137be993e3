"""Correlation matrices of Hessian entries at the start and the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Result, Share, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro import seeding
    from ssbrepro.probes.entries import ensembles


@dataclass(frozen=True)
class Parameters:
    """Correlations between ``num_entries`` Hessian entries at the start and at the end.

    One whose absolute value is above ``strong_above`` counts as strong.
    """

    num_entries: Annotated[int, Ge(2)]
    strong_above: Share


NUMBERS = {
    "end_epoch": domains.EPOCHS,
    "num_active_end": domains.COUNT,
    **{
        f"{quantity}_{when}": domains.SHARE
        for quantity in ("strong_share", "mean", "null_mean")
        for when in ("start", "end")
    },
    "mean_growth": domains.SIGNED_SHARE,
}

_PERMUTATIONS = 20  # of the null mean, which averages over thousands of pairs in each


def run(parameters: Parameters, context: Context) -> Result:
    """Correlate the first entries drawn that are live at the first and the last such checkpoint.

    A correlation does not depend on how many examples a bootstrap draw averages, so it is that over
    the examples. Examples outside the margin are zero for all entries and correlate them; the null
    permutes the values of each entry among those inside only, and keeps that part.

    Returns:
        Arrays ``start`` and ``end`` (entries, entries), and of both ``epoch`` and ``num_active``, all
        empty where there is none. Numbers over the pairs of different entries: ``strong_share``,
        ``mean`` of the absolute value and its ``null_mean``, at both.
    """
    found = [one for one in ensembles.recorded(context.inputs["entries"].arrays) if one is not None]
    found = [one for one in found if len(one.live) >= 2]
    names = [
        f"{n}_{when}" for n in ("strong_share", "mean", "null_mean") for when in ("start", "end")
    ]
    if not found:
        reason = "no two entries are live at any checkpoint"
        names += ["end_epoch", "num_active_end", "mean_growth"]
        matrix, both = np.zeros((0, 0)), np.zeros(0)
        nothing = {"start": matrix, "end": matrix, "epoch": both, "num_active": both}
        return Result(nothing, {}, missing=dict.fromkeys(names, reason))
    start_and_end = found[0], found[-1]
    arrays: dict[str, Array] = {
        "epoch": np.array([ensemble.epoch for ensemble in start_and_end]),
        "num_active": np.array([len(ensemble.examples) for ensemble in start_and_end]),
    }
    numbers: dict[str, float] = {}
    for when, ensemble in zip(("start", "end"), start_and_end, strict=True):
        chosen = ensemble.first(parameters.num_entries)
        matrix = _correlations(chosen)
        pairs = _of_pairs(matrix)
        arrays[when] = matrix
        numbers |= {
            f"strong_share_{when}": float((pairs > parameters.strong_above).mean()),
            f"mean_{when}": float(pairs.mean()),
            f"null_mean_{when}": _null_mean(chosen, context.seed),
        }
    numbers |= {
        "end_epoch": float(found[-1].epoch),
        "num_active_end": float(len(found[-1].examples)),
        "mean_growth": numbers["mean_end"] - numbers["mean_start"],
    }
    return Result(arrays, numbers)


def _correlations(ensemble: ensembles.Ensemble) -> Array:
    standardised = ensemble.standardised()
    matrix: Array = standardised.T @ standardised / len(standardised)
    return matrix


def _of_pairs(matrix: Array) -> Array:
    """Magnitudes for the pairs of different entries, (pairs,)."""
    return np.abs(matrix[np.triu_indices(len(matrix), 1)])


def _null_mean(ensemble: ensembles.Ensemble, seed: int) -> float:
    """Mean magnitude of correlations when each entry's active examples are permuted on their own."""
    generator = seeding.numpy_generator(seed, "permutations", ensemble.epoch)
    means = []
    for _ in range(_PERMUTATIONS):
        permuted = replace(ensemble, values=generator.permuted(ensemble.values, axis=0))
        means.append(_of_pairs(_correlations(permuted)).mean())
    return float(np.mean(means))


STAGE = Stage(Parameters, NUMBERS, run, needs=("entries",))
