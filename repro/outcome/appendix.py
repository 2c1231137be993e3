"""An artifact appendix: for every claim the command that checks it, its time, and what to expect."""

import math
from typing import TYPE_CHECKING

from repro.outcome import wording
from repro.outcome.catalogue import FigureVerdicts, ProfileVerdicts, paper_verdicts
from repro.outcome.machines import by_machine, labels
from repro.outcome.pooling import PooledVerdict
from repro.outcome.references import recorded_runs
from repro.outcome.tables import table
from ssbrepro import __version__

if TYPE_CHECKING:
    from repro.manifests.library import FigureManifest, Library

_COLUMNS = ("claim", "where", "expected: mean (95 % interval)", "bound", "verdict over seeds")


def appendix(library: "Library", name: str, profile: str) -> str:
    """In Markdown: a section for each figure of a paper, with its command, its time and its claims.

    Args:
        library: The manifests.
        name: The paper's folder.
        profile: At which figures are to be run.

    Raises:
        ManifestError: If a manifest is wrong.
        StoreError: If a file of recorded runs is damaged.
    """
    paper = paper_verdicts(library, name)
    head = (
        f"# Artifact appendix: {name} at {profile}\n\n"
        f"{', '.join(paper.authors)}: *{paper.title}* ({paper.year}), {paper.identifier}. "
        f"ssbrepro {__version__}.\n\n"
        "`make install` installs, and `repro doctor` says what the machine can run. Each command below "
        "computes what is not stored, judges the claims and draws the figure; `repro verify FIGURE` "
        "holds one seed against what is recorded. Times are those recorded, of one step after the "
        "other. Figures share steps, which are computed once: all of them take less than the sum.\n"
    )
    return "\n".join([head, *(_section(library, figure, profile) for figure in paper.figures)])


def _section(library: "Library", figure: FigureVerdicts, profile: str) -> str:
    heading = f"## {figure.name}\n\n{figure.title}. "
    if figure.why_not:
        return f"{heading}Not computable: {figure.why_not}\n"
    if profile in figure.omitted:
        return f"{heading}Omitted at {profile}: {figure.omitted[profile]}.\n"
    verdicts = figure.at(profile)
    if verdicts is None:
        return f"{heading}Nothing is recorded at {profile}.\n"
    rows = map(_row, verdicts.claims)
    claims = table(_COLUMNS, rows) if verdicts.claims else "The paper claims nothing here.\n"
    times = _times(library.load(figure.id), profile)
    command = _command(figure, verdicts)
    return f"{heading}Recorded: {times}.\n\n    {command}\n\n{claims}"


def _command(figure: FigureVerdicts, verdicts: ProfileVerdicts) -> str:
    seeds = wording.ranges(verdicts.seeds)
    return f"repro run {figure.id} --profile {verdicts.profile} --seeds {seeds}"


def _times(manifest: "FigureManifest", profile: str) -> str:
    """How long all steps of the recorded runs took, on each machine that made some."""
    machines = by_machine(recorded_runs(manifest, profile))
    names = labels(machines)
    return "; ".join(
        f"{wording.about(math.fsum(step.seconds for run in runs for step in run.steps))} for "
        f"{wording.counted(len(runs), 'seed')} on {names[machine]}"
        for machine, runs in machines.items()
    )


def _row(claim: PooledVerdict) -> tuple[str, ...]:
    return (
        f"`{claim.id}`: {claim.statement}",
        claim.where,
        f"{wording.mean(claim.mean, (claim.low, claim.high))} `{claim.metric}`",
        wording.bound(claim),
        wording.verdict(claim),
    )
