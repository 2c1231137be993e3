"""What is recorded, as tables in Markdown."""

from collections.abc import Iterable, Sequence

from repro.outcome import wording
from repro.outcome.catalogue import Catalogue, FigureVerdicts, PaperVerdicts
from repro.outcome.pooling import PooledVerdict
from repro.outcome.verdicts import CLAIM_VERDICTS, tally

_CLAIMS = (
    "claim",
    "metric",
    "mean (95 % interval)",
    "range",
    "chance",
    "control",
    "bound",
    "verdict over seeds",
)
_HIGHLIGHTS = ("figure", "the paper says", "measured", "control", "bound", "verdict")
_PREDICTIONS = ("number", "predicted", "measured since", "verdict")
_COUNTS = ("paper", "profile", "figures", *CLAIM_VERDICTS, "algebra that holds")


def verdict_tables(paper: PaperVerdicts, profile: str) -> str:
    """All claims of a paper's figures that can be computed, a table a figure below its heading.

    Chance and control are medians over seeds.

    Args:
        paper: And what is recorded of it.
        profile: Of the recorded runs.
    """
    return "\n".join(
        f"## {figure.name}\n\n{figure.title}.\n\n{_claims(figure, profile)}{_predictions(figure)}"
        for figure in paper.figures
        if not figure.why_not
    )


def highlights(catalogue: Catalogue, profile: str, claims: Iterable[str]) -> str:
    """Some claims, each in words that say no more than what the paper does.

    Args:
        catalogue: All that is recorded.
        profile: Of the recorded runs.
        claims: "paper/figure/claim".

    Raises:
        KeyError: If a figure or a claim is not recorded at the profile.
    """
    return table(_HIGHLIGHTS, (_highlight(catalogue, profile, name) for name in claims))


def counts(catalogue: Catalogue) -> str:
    """How many claims of each paper came to which verdict, at each profile that is recorded.

    Algebra, which no measurement decides, is counted apart.
    """
    rows = []
    for paper in catalogue.papers:
        for profile in paper.profiles:
            found = [one for fig in paper.figures if (one := fig.at(profile))]
            claims = [claim for one in found for claim in one.claims]
            measured = tally(claim for claim in claims if not claim.is_algebra)
            algebra = [claim for claim in claims if claim.is_algebra]
            holds = f"{tally(algebra)['supported']} of {len(algebra)}" if algebra else ""
            seeds = max(len(one.seeds) for one in found)
            of = f"{profile}, {wording.counted(seeds, 'seed')}"
            rows.append((paper.id, of, str(len(found)), *map(str, measured.values()), holds))
    return table(_COUNTS, rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; cells are one line each."""
    return "".join(_line(cells) for cells in (head, ["---"] * len(head), *rows))


def _claims(figure: FigureVerdicts, profile: str) -> str:
    if profile in figure.omitted:
        return f"Omitted at {profile}: {figure.omitted[profile]}.\n"
    verdicts = figure.at(profile)
    if verdicts is None:
        return "Nothing is recorded.\n"
    rows = map(_row, verdicts.claims)
    return table(_CLAIMS, rows) if verdicts.claims else "The paper claims nothing here.\n"


def _predictions(figure: FigureVerdicts) -> str:
    """What was predicted of a figure, with what became of it since; the same at each profile."""
    if figure.predictions is None:
        return ""
    rows = (
        (
            f"`{one.metric}`",
            wording.between((one.low, one.high)),
            wording.later(one),
            wording.fate(one),
        )
        for one in figure.predictions.numbers
    )
    return f"\n{wording.predictions(figure.predictions)}.\n\n{table(_PREDICTIONS, rows)}"


def _row(claim: PooledVerdict) -> tuple[str, ...]:
    seeds = f" ({claim.measured} of {wording.counted(claim.seeds, 'seed')})"
    if claim.has_few_seeds:
        seeds = ""  # the verdict says it
    return (
        f"`{claim.id}`: {claim.statement}",
        f"`{claim.metric}`",
        wording.mean(claim.mean, (claim.low, claim.high)),
        wording.between((claim.smallest, claim.largest)),
        wording.known(claim.noise),
        wording.control(claim),
        wording.bound(claim),
        wording.verdict(claim) + seeds,
    )


def _highlight(catalogue: Catalogue, profile: str, name: str) -> tuple[str, ...]:
    figure_id, _, claim_id = name.rpartition("/")
    verdicts = catalogue.figure(figure_id).at(profile)
    claims = {claim.id: claim for claim in verdicts.claims} if verdicts else {}
    claim = claims[claim_id]
    return (
        figure_id.partition("/")[2],
        wording.said(claim.statement),
        f"{wording.mean(claim.mean, (claim.low, claim.high))} `{claim.metric}`",
        wording.known(claim.control),
        wording.bound(claim),
        wording.verdict(claim).replace(claim.verdict, f"**{claim.verdict}**", 1),
    )


def _line(cells: Sequence[str]) -> str:
    """One line of the table; a bar would end its cell, a line break the table."""
    texts = [" ".join(cell.split()).replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(texts)} |\n"
