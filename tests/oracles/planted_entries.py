"""Hessian entries whose law was chosen, as the stages ``entries`` and ``entry_controls`` record them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssbrepro.contract import Array, Context, Input, NoProgress, Progress, Result
from ssbrepro.papers import stage
from ssbrepro.papers.li2022.stages.correlations import Parameters as CorrelationsParameters
from ssbrepro.papers.li2022.stages.coupling import Parameters as CouplingParameters
from ssbrepro.papers.li2022.stages.entries import Parameters as EntriesParameters
from ssbrepro.papers.li2022.stages.entry_controls import Parameters as ControlsParameters
from ssbrepro.papers.li2022.stages.equal_coupling import Parameters as EqualCouplingParameters
from ssbrepro.papers.li2022.stages.laws import Parameters as LawsParameters
from ssbrepro.papers.li2022.stages.means import Parameters as MeansParameters

ENTRIES = EntriesParameters(num_examples=7, min_active=2, num_entries=20, max_pairs=2000)
CONTROLS = ControlsParameters(num_intact=3, num_broken=2, num_entries=12, max_pairs=400)
LAWS = LawsParameters(
    resample_size=1,
    num_draws=300,
    num_flips=19,
    centred_below=0.15,
    symmetric_below=0.3,
    num_shown=3,
    min_nonzero=2,
    num_bins=41,
    kernel_width=0.02,
    linear_share=0.01,
)
MEANS = MeansParameters(
    normalised_by="each",
    resample_size=1,
    centred_below=0.15,
    num_replicates=39,
    num_bins=41,
    kernel_width=0.02,
)
CORRELATIONS = CorrelationsParameters(
    num_entries=10, strong_above=0.3, num_permutations=20, num_replicates=19
)
COUPLING = CouplingParameters(
    num_entries=10,
    false_discovery_rate=0.05,
    permuted="all",
    num_permutations=40,
    num_replicates=19,
    paper_num_entries=8.68e12,
)
EQUAL_COUPLING = EqualCouplingParameters(
    num_active=8,
    num_entries=10,
    least_square=0.01,
    false_discovery_rate=0.05,
    num_permutations=40,
    num_replicates=19,
    dimension="weights",
)
ON_ENTRIES = {
    "laws": LAWS,
    "means": MEANS,
    "correlations": CORRELATIONS,
    "coupling": COUPLING,
    "equal_coupling": EQUAL_COUPLING,
}


class Planted(NamedTuple):
    """Values of entries at one checkpoint, of the first examples; all others are zero."""

    values: Array
    num_examples: int

    @property
    def everything(self) -> Array:
        padding = self.num_examples - len(self.values)
        values = self.values.astype(np.float32).astype(np.float64)
        return np.concatenate([values, np.zeros((padding, values.shape[1]))])


def normal(columns: int, rows: int = 30, num_examples: int = 40, seed: int = 0) -> Planted:
    return Planted(np.random.default_rng(seed).normal(size=(rows, columns)), num_examples)


def one_signed(columns: int, rows: int = 30, num_examples: int = 40, seed: int = 0) -> Planted:
    """Positive, and strongly correlated."""
    generator = np.random.default_rng(seed)
    common = generator.uniform(0.5, 2, size=(rows, 1))
    return Planted(common * generator.uniform(0.9, 1.1, size=(rows, columns)), num_examples)


def empty(columns: int, num_examples: int = 40) -> Planted:
    return Planted(np.zeros((0, columns)), num_examples)


def recorded(checkpoints: Sequence[Planted], of: str = "") -> dict[str, Array]:
    arrays = {}
    for index, planted in enumerate(checkpoints):
        arrays[f"{of}examples_{index}"] = np.arange(len(planted.values))
        arrays[f"{of}values_{index}"] = planted.values.astype(np.float32)
    return arrays


def as_copies(checkpoints: Sequence[Planted]) -> dict[str, list[list[Planted]]]:
    """Intact and broken copies with as many examples inside the margin as at these checkpoints."""
    return {
        kind: [
            [
                law(CONTROLS.num_entries, len(one.values), one.num_examples, 100 * number + place)
                for place, one in enumerate(checkpoints)
            ]
            for number in range(count)
        ]
        for kind, law, count in (
            ("intact", normal, CONTROLS.num_intact),
            ("broken", one_signed, CONTROLS.num_broken),
        )
    }


def run(
    name: str,
    *checkpoints: Planted,
    progress: Progress | None = None,
    seed: int = 0,
    copies: dict[str, list[list[Planted]]] | None = None,
    **changes: object,
) -> Result:
    """A stage on planted entries, at epochs 0, 10, 20 and so on, of a network of 40 and 60 weights.

    A fifth of all pairs of different layers are among them, if all are live.
    """
    common = {
        "epoch": 10 * np.arange(len(checkpoints)),
        "num_examples": np.array(checkpoints[0].num_examples),
    }
    num_entries = checkpoints[0].values.shape[1]
    entries = common | {
        "layer_sizes": np.array([40, 60]),
        "rows": np.arange(num_entries),
        "num_tried": np.array(5 * num_entries),
        **recorded(checkpoints),
    }
    controls = dict(common)
    for kind, made in (copies or as_copies(checkpoints)).items():
        for number, one in enumerate(made):
            controls |= recorded(one, f"{kind}_{number}_")
    inputs = {"entries": Input(ENTRIES, entries), "entry_controls": Input(CONTROLS, controls)}
    context = Context(seed, "cpu", Path("unused"), inputs, progress or NoProgress())
    result = stage(f"li2022/{name}").run(replace(ON_ENTRIES[name], **changes), context)
    assert not {*result.numbers} & {*result.missing}
    return result
