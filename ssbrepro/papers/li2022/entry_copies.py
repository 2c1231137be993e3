"""What stages on Hessian entries measure of the entries of intact and broken copies."""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from ssbrepro.contract import Array, Context
from ssbrepro.papers.li2022.placement import worst_index
from ssbrepro.probes.controls import breaking_indices
from ssbrepro.probes.entries.ensembles import Ensemble, recorded

Kind = Literal["intact", "broken"]


def copies_of(context: Context, kind: Kind) -> Iterator[list[Ensemble | None]]:
    """The entries of each copy, by checkpoint; None where none is live.

    Args:
        context: Of a stage that has ``entry_controls`` for an input.
        kind: Of the copies wanted.

    Yields:
        One list a copy.
    """
    controls = context.inputs["entry_controls"]
    for number in range(getattr(controls.parameters, f"num_{kind}")):
        yield list(recorded(controls.arrays, f"{kind}_{number}_"))


def statistic_of_copies(
    context: Context, kind: Kind, statistic: Callable[[Ensemble], float]
) -> Array:
    """A statistic of every copy at every checkpoint, (copies, checkpoints); NaN where none is live."""
    return np.array(
        [
            [np.nan if one is None else statistic(one) for one in checkpoints]
            for checkpoints in copies_of(context, kind)
        ]
    )


def breaking(
    context: Context, name: str, measured: Array, statistic: Callable[[Ensemble], float]
) -> tuple[dict[str, Array], dict[str, float], dict[str, str]]:
    """A statistic of the network beside its copies', and its worst breaking index.

    Args:
        context: Of a stage that has ``entry_controls`` for an input.
        name: Of the statistic.
        measured: The network's own, (checkpoints,); NaN where there is none.
        statistic: What it is of an ensemble; NaN where it has none.

    Returns:
        Arrays ``<name>`` (checkpoints,), ``<name>_intact`` and ``<name>_broken`` (copies, checkpoints),
        and the numbers of :func:`ssbrepro.papers.li2022.placement.worst_index` with what is missing.
    """
    intact = statistic_of_copies(context, "intact", statistic)
    broken = statistic_of_copies(context, "broken", statistic)
    epochs = context.inputs["entry_controls"].arrays["epoch"]
    numbers, missing = worst_index(name, epochs, breaking_indices(measured, intact, broken))
    arrays = {name: measured, f"{name}_intact": intact, f"{name}_broken": broken}
    return arrays, numbers, missing


def lowest(values: Array) -> float:
    """What 95 % of copies reach, (copies,): the control of a number that a claim holds at most.

    Copies without a value, NaN, do not count; NaN where no copy has one.
    """
    return _quantile(values, 0.05, "lower")


def highest(values: Array) -> float:
    """What 95 % of copies stay within, likewise: the control of a number that a claim holds at least."""
    return _quantile(values, 0.95, "higher")


def _quantile(values: Array, level: float, method: Literal["lower", "higher"]) -> float:
    found = values[np.isfinite(values)]
    return float(np.quantile(found, level, method=method)) if len(found) else np.nan
