"""The arguments and options that commands share, with their help and what the shell completes."""

from pathlib import Path
from typing import Annotated

import typer

from repro import budget, completion, output
from repro.bounded import MAX_DIGITS
from repro.budget import Budget

PROFILE_NAMES = ", ".join(completion.recorded_profiles())  # for the help
_MAX_SEED, _MAX_JOBS = 10**MAX_DIGITS - 1, 10_000

Ids = Annotated[
    list[str],
    typer.Argument(
        metavar="ID…", help="Figures, such as fig8a.", autocompletion=completion.figures
    ),
]
MaybeIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID…]", help="Figures.", autocompletion=completion.figures),
]
Subject = Annotated[
    str,
    typer.Argument(metavar="RUNS", help="Such as fig8a@smoke.", autocompletion=completion.subjects),
]
PaperArgument = Annotated[
    str,
    typer.Argument(metavar="PAPER", help="Such as li2022.", autocompletion=completion.papers),
]
ProfileOption = Annotated[
    str,
    typer.Option("--profile", help=f"auto, {PROFILE_NAMES}.", autocompletion=completion.profiles),
]
RecordedProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help=f"{PROFILE_NAMES}.",
        show_default="what auto is without a GPU",
        autocompletion=completion.recorded_profiles,
    ),
]
MaybeRecordedProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help=f"{PROFILE_NAMES}.",
        show_default="that of each figure's latest run",
        autocompletion=completion.recorded_profiles,
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="auto, cpu or cuda.", autocompletion=completion.devices)
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        help="local: in processes; slurm: as jobs; inline: all in this process, for breakpoints.",
        autocompletion=completion.engines,
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        max=_MAX_JOBS,
        help="Steps at once.",
        show_default="cores, or what a cluster takes",
    ),
]
BudgetOption = Annotated[
    Budget | None,
    typer.Option(
        "--budget",
        metavar="TIME",
        help="Stop by itself after so long, such as 9m, where that loses least.",
        parser=budget.from_text,
        show_default=False,
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=_MAX_SEED, help="Root seed of all random draws.")
]
OneSeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed", min=0, max=_MAX_SEED, help="Root seed of all random draws.", show_default="0"
    ),
]
_SEVERAL = "Such as 0-9 or 0,3,5."
SeedsOption = Annotated[str, typer.Option("--seeds", help=_SEVERAL)]
MaybeSeedsOption = Annotated[
    str | None,
    typer.Option(
        "--seeds", help=f"Several seeds, and the claims' verdicts over all of them. {_SEVERAL}"
    ),
]
JsonOption = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write the outcome as JSON; - writes it, and nothing else, to standard output.",
        parser=output.json_file,
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="Every manifest.")]
AlternativeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--alternative",
        metavar="NAME=VALUE",
        help="Also with this alternative of an assumed value; may be given several times.",
        autocompletion=completion.alternatives,
    ),
]
