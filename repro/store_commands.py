"""``repro store``: results, saved states and runs carried elsewhere, checked, and cleared away."""

import sys
from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro import completion, output, selection
from repro.commands import err, out, words
from repro.errors import UsageError
from repro.inventory import Home
from repro.manifests.library import Library
from repro.needed import Needed, all_figures
from repro.options import PROFILE_NAMES, JsonOption, MaybeIds
from repro.outcome import wording
from repro.outcome.console import say, show_table
from repro.settings import Settings
from repro.transfer import Transfer

if TYPE_CHECKING:
    from repro.exporting import Selection

app = typer.Typer(help="What is stored: carried, checked, cleared away.", no_args_is_help=True)


@app.command("export")
def export_file(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.zip", help="The file to write.", parser=output.archive)
    ],
    ids: MaybeIds = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            help=f"Of the figures named: {PROFILE_NAMES}; otherwise all.",
            autocompletion=completion.recorded_profiles,
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", help="Of the figures named: such as 0-9; otherwise all."),
    ] = None,
) -> None:
    """Write all that is here to one file: results, saved states, runs; or what figures need of it.

    Where it is imported, the same `repro run` continues with the same bits. What is damaged is left out
    and said, with exit status 1.
    """
    from repro.exporting import export

    settings = Settings.from_environment()
    chosen = _selection(settings, ids, profile, seeds)
    with Transfer(err, "are written") as transfer:
        done = export(file, Home(settings.home), chosen, transfer.progress)
    for line in done.damaged:
        say(err, f"left out: {line}")
    content = _content(done.results, done.steps, done.runs)
    say(words(file), f"{file}: {content} ({wording.megabytes(done.size)})")
    if done.damaged:
        say(err, "what was left out is computed again when it is next needed")
        raise typer.Exit(1)


@app.command("import")
def import_from(
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="A file that was exported.")],
) -> None:
    """Take in what is not here of an exported file, once every digest in it has been checked.

    What is here and whole stays, and so does every state that a step here has saved.
    """
    from repro.importing import import_file

    home = Home(Settings.from_environment().home)
    with Transfer(err, "are checked") as transfer:
        done = import_file(file, home, lambda text: say(err, text), transfer.progress)
    say(out, f"came in: {_content(done.results, done.steps, done.runs)}")
    if done.here:
        say(out, f"here already: {done.here}")
    if done.busy:
        say(
            out, f"being computed here: {done.busy}; the same command takes in what is left of them"
        )


@app.command()
def check(json_file: JsonOption = None) -> None:
    """Compare all that is stored with its digests; change nothing. Exit status 1 if any is damaged."""
    from repro.housekeeping import check as look

    home = Home(Settings.from_environment().home)
    with Transfer(err, "are checked") as transfer:
        found = look(home, transfer.progress)
    console = words(json_file)
    parts = (
        wording.counted(found.results, "result"),
        wording.counted(found.states, "saved state"),
        wording.counted(found.runs, "run"),
    )
    say(console, f"{home.root}: {', '.join(parts)} whole")
    if found.runs_of_another_release:
        runs = wording.counted(found.runs_of_another_release, "run")
        say(console, f"{runs} of another release: not looked into")
    if found.set_aside or found.partial:
        aside, left = found.set_aside, wording.counted(found.partial, "folder")
        say(console, f"damaged and set aside: {aside}; written aside: {left}; `repro store clean`")
    for one in found.damaged:
        say(console, f"damaged: {one.path}: {one.problem}")
    if found.damaged:
        say(console, "what is damaged is computed again when `repro run` next needs it")
    if json_file:
        output.write_json(json_file, asdict(found))
    if found.damaged:
        raise typer.Exit(1)


@app.command()
def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Remove it without asking.")] = False,
    runs: Annotated[
        bool,
        typer.Option(
            "--runs", help="Also runs that later ones have replaced, and what only they need."
        ),
    ] = False,
) -> None:
    """Remove what no manifest and no recorded run needs, after saying how much.

    Asks on a terminal; elsewhere nothing is removed without --yes. What a process is using stays.
    """
    from repro.housekeeping import remove, wasted

    settings = Settings.from_environment()
    home = Home(settings.home)
    library = Library(settings.manifests)
    needed = Needed(all_figures(library), library.profiles.names)
    found = wasted(home, needed, runs)
    if not found:
        say(out, f"{home.root}: nothing to remove")
        return
    number, sizes = Counter[str](), Counter[str]()
    for waste in found:
        number[waste.kind] += 1
        sizes[waste.kind] += waste.size
    rows = [(kind, str(number[kind]), wording.megabytes(sizes[kind])) for kind in number]
    show_table(out, ("not needed", "number", "size"), rows)
    total = wording.megabytes(sizes.total())
    if not yes and not sys.stdin.isatty():
        say(out, f"{total}; nothing was removed: `repro store clean --yes` removes it")
        return
    if not yes and not typer.confirm(f"remove {total}?"):
        return
    gone = remove(home, found)
    say(out, f"removed: {wording.megabytes(sum(waste.size for waste in gone))}")
    if len(gone) < len(found):
        say(out, f"in use, and still there: {len(found) - len(gone)}")


def _selection(
    settings: Settings, ids: list[str] | None, profile: str | None, seeds: str | None
) -> "Selection | None":
    """What the figures named need; None for all that is here.

    Raises:
        UsageError: If options are given without figures, or name what is not there.
    """
    from repro.exporting import Selection

    if not ids:
        if profile is not None or seeds is not None:
            raise UsageError("--profile and --seeds are of figures: name some")
        return None
    library = Library(settings.manifests)
    profiles = library.profiles.names if profile is None else [profile]
    if profile is not None:
        library.profiles.require(profile)
    figures = set(library.chosen(ids)) - library.not_computable().keys()
    manifests = [library.load(figure_id) for figure_id in sorted(figures)]
    if profile is not None:
        selection.left_out(manifests, profile, named=True, say=partial(say, err))
    needed = Needed(manifests, profiles)
    return Selection(needed, None if seeds is None else selection.seeds(seeds))


def _content(results: int, steps: int, runs: int) -> str:
    """Such as "3 results, saved states of 1 step, 2 runs"."""
    return (
        f"{wording.counted(results, 'result')}, saved states of {wording.counted(steps, 'step')}, "
        f"{wording.counted(runs, 'run')}"
    )
