"""Commands that hand results to others, who check them: ``repro export``."""

from pathlib import Path
from typing import Annotated

import typer

from repro import output, selection
from repro.commands import chosen, err, out, tell
from repro.errors import UsageError
from repro.manifests.library import Library
from repro.options import AllOption, MaybeIds, MaybeRecordedProfileOption
from repro.outcome import wording
from repro.outcome.console import say, show_not_computable
from repro.settings import Settings
from repro.transfer import Transfer

app = typer.Typer()


@app.command()
def export(
    crate: Annotated[
        Path,
        typer.Option(
            "--crate", metavar="DIR", help="A new or empty folder.", parser=output.new_folder
        ),
    ],
    ids: MaybeIds = None,
    all_figures: AllOption = False,
    profile: MaybeRecordedProfileOption = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds", help="Such as 0-9 or 0,3,5.", show_default="that of each figure's latest run"
        ),
    ] = None,
) -> None:
    """Write runs, and all that made them, to a folder for reviewers: a Process Run Crate.

    Of each figure the latest run, as declared. What code or manifests of here would not make again is
    refused.

    A copy of the folder is a home with manifests in it: `repro store check` and `repro verify` check it.
    """
    from repro.crating import Crate, chosen_runs

    settings = Settings.from_environment()
    library = Library(settings.manifests)
    if profile is not None:
        library.profiles.require(profile)
    without = library.not_computable()
    wanted = library.chosen(names := chosen(ids, all_figures))
    for figure_id in without.keys() & set(wanted):
        show_not_computable(out, figure_id, without[figure_id])
    computed = [figure_id for figure_id in wanted if figure_id not in without]
    if profile is not None:
        manifests = map(library.load, computed)
        omitted = selection.left_out(manifests, profile, named=names is not None, say=tell)
        computed = [figure_id for figure_id in computed if figure_id not in omitted]
    if not computed:
        raise UsageError("there is no run of what nothing computes")
    numbers = None if seeds is None else selection.seeds(seeds)
    found = Crate(settings, runs := chosen_runs(settings, computed, profile, numbers, tell))
    content = f"{wording.counted(len(runs), 'run')}, {wording.counted(found.results, 'result')}"
    say(err, f"{content}: {wording.megabytes(found.size)}")
    with Transfer(err, "are copied") as transfer:
        found.write(crate, transfer.progress)
    say(out, f"{crate}: {content}")
