"""``repro new``: files to begin with, for whoever adds to a paper."""

from typing import Annotated

import typer

from repro import completion
from repro.commands import out
from repro.manifests.library import Library
from repro.outcome.console import say
from repro.settings import Settings

app = typer.Typer(help="Files to begin with.", no_args_is_help=True)


@app.command("figure")
def new_figure(
    figure_id: Annotated[
        str,
        typer.Argument(
            metavar="PAPER/FIGURE",
            help="Such as li2022/fig9.",
            autocompletion=completion.paper_folders,
        ),
    ],
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage", metavar="NAME", help="Make a stage too, if none measures this yet."
        ),
    ] = None,
) -> None:
    """Write the manifest of a figure, the module that draws it and, with --stage, a stage.

    They run as they are and claim nothing. TODO is wherever something has to be written.
    """
    from repro import scaffold

    settings = Settings.from_environment()
    made = scaffold.new_figure(Library(settings.manifests), figure_id, stage)
    scaffold.write(made)
    for path, _ in made:
        say(out, str(path))
    say(
        out,
        "next: CONTRIBUTING.md, A figure; write what is TODO, each claim before it is measured;",
    )
    if stage is not None:
        say(out, "  make schema")
    say(out, f"  repro plan {figure_id} --profile smoke")
    say(out, f"  repro run {figure_id} --profile smoke")
    say(out, f"  repro record {figure_id} --seeds 0-9 --profile smoke")
