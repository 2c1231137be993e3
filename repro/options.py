"""The arguments and options that commands share, with their help and what the shell completes."""

from pathlib import Path
from typing import Annotated

import typer

from repro import completion, output
from repro.names import PROFILES

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
ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile", help=f"auto, {', '.join(PROFILES)}.", autocompletion=completion.profiles
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="auto, cpu or cuda.", autocompletion=completion.devices)
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        help="local: in processes; inline: all in this one, for breakpoints.",
        autocompletion=completion.engines,
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Root seed of all random draws.")]
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
