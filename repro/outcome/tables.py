"""The verdicts of a paper over its recorded seeds, as a table in Markdown."""

from collections.abc import Sequence

from repro.manifests.library import Library
from repro.outcome import wording
from repro.outcome.pooling import PooledVerdict, pool_recorded

_HEADER = (
    "figure",
    "claim",
    "metric",
    "mean (95 % interval)",
    "range",
    "chance",
    "control",
    "bound",
    "verdict over seeds",
)


def verdict_table(library: Library, paper: str, profile: str) -> str:
    """All claims of the figures that are computed, one a row; chance and control are medians.

    Args:
        library: The manifests.
        paper: Its folder.
        profile: Of the recorded runs. Without any, a claim is not measured.

    Raises:
        ManifestError: If a manifest is wrong.
        StoreError: If a file of recorded runs is damaged.
    """
    rows = [
        _row(figure_id.partition("/")[2], claim)
        for figure_id in library.computed()
        if figure_id.partition("/")[0] == paper
        for claim in pool_recorded(library.load(figure_id), profile)
    ]
    return "".join(_line(cells) for cells in (_HEADER, ["---"] * len(_HEADER), *rows))


def _row(figure: str, claim: PooledVerdict) -> tuple[str, ...]:
    seeds = f" ({claim.measured} of {wording.counted(claim.seeds, 'seed')})"
    return (
        figure,
        f"`{claim.id}`: {claim.statement}",
        f"`{claim.metric}`",
        wording.mean(claim.mean, (claim.low, claim.high)),
        wording.between((claim.smallest, claim.largest)),
        wording.known(claim.noise),
        wording.control(claim),
        wording.bound(claim),
        wording.verdict(claim) + seeds,
    )


def _line(cells: Sequence[str]) -> str:
    """One line of the table; a bar would end its cell, a line break the table."""
    texts = [" ".join(cell.split()).replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(texts)} |\n"
