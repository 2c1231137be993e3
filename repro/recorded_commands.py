"""Commands about what is recorded: it is made, merged, compared, listed and shown."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from repro import output, selection
from repro.commands import chosen, out, runner, select, tell, words
from repro.errors import UsageError
from repro.manifests.library import FigureManifest, Library
from repro.names import NOT_COMPUTABLE, require
from repro.options import (
    AllOption,
    BudgetOption,
    DeviceOption,
    EngineOption,
    Ids,
    JobsOption,
    JsonOption,
    MaybeIds,
    PaperArgument,
    ProfileOption,
    RecordedProfileOption,
    SeedsOption,
    Subject,
)
from repro.outcome import wording
from repro.outcome.console import say, show_not_computable, show_table
from repro.outcome.entries import as_data, list_entry, without_entry
from repro.outcome.intervals import MIN_RUNS
from repro.outcome.machines import by_machine, labels
from repro.outcome.merging import merge_files
from repro.outcome.predictions import freeze
from repro.outcome.reading import all_runs
from repro.outcome.record import Record
from repro.outcome.references import write_references
from repro.outcome.verdicts import FAILED
from repro.plan import Plan
from repro.printable import printable
from repro.settings import Settings

app = typer.Typer()
references = typer.Typer(help="Recorded runs, of this machine and of others.", no_args_is_help=True)
app.add_typer(references, name="references")


@app.command()
def record(
    seeds: SeedsOption,
    ids: MaybeIds = None,
    all_figures: AllOption = False,
    profile: ProfileOption = "auto",
    device: DeviceOption = "auto",
    engine_name: EngineOption = selection.DEFAULT_ENGINE,
    jobs: JobsOption = None,
    budget: BudgetOption = None,
) -> None:
    """Run figures with several seeds and write down what they gave, for `repro verify`.

    A figure with a run whose exact identities do not hold is not recorded: such a run is no
    measurement, and to leave its seed out would be a choice of seeds.
    """
    numbers, engine = selection.seeds(seeds), selection.engine(engine_name, jobs)
    selected = select(chosen(ids, all_figures), profile, device, numbers, engine=engine)
    plans = selected.plans()
    recorder = runner(out, plans, engine=engine, budget=budget)
    runs: dict[str, list[Record]] = {}
    refused = False
    for index, done in recorder.record(plans):
        manifest = plans[index].manifest
        own = runs.setdefault(manifest.id, [])
        own.append(done.run.record)
        if len(own) == len(numbers):
            refused = not _write_down(manifest, selected.profile, own) or refused
    for choice in selected.figures:
        if not isinstance(choice.declared, Plan):
            show_not_computable(out, choice.id, choice.declared)
    for plan in plans[:: len(numbers)]:
        if len(runs.get(plan.manifest.id, ())) < len(numbers):
            say(out, f"{plan.manifest.id}: not recorded: not every seed is done")
    recorder.conclude()
    if refused:
        raise typer.Exit(1)


def _write_down(manifest: FigureManifest, profile: str, runs: Sequence[Record]) -> bool:
    """Replace a figure's recorded runs of this machine, unless some are unsound; whether it has."""
    unsound = [run for run in runs if run.status == FAILED]
    for run in unsound:
        identities = ", ".join(one.id for one in run.identities if one.verdict != "holds")
        say(out, f"{manifest.id}, seed {run.seed}: exact identities do not hold: {identities}")
    if unsound:
        say(out, f"{manifest.id}: not recorded")
        return False
    kept = len(write_references(manifest, profile, runs)) - len(runs)
    beside = f", beside {kept} of other machines" if kept else ""
    say(out, f"{manifest.references_path(profile)}: {len(runs)} runs{beside}")
    if len(runs) < MIN_RUNS:
        out.print(f"  fewer than {MIN_RUNS} runs give no tolerance")
    return True


@app.command()
def predict(ids: Ids) -> None:
    """Write down what recorded runs predict of larger profiles, before anything is run there.

    Once and for all: a figure that has been predicted, or has been run at such a profile, is refused.
    Later runs say of each number whether it is as predicted.
    """
    settings = Settings.from_environment()
    library, known = Library(settings.manifests), all_runs(settings, tell)
    without = library.not_computable()
    for figure_id in library.chosen(ids):
        if figure_id in without:
            show_not_computable(out, figure_id, without[figure_id])
            continue
        manifest = library.load(figure_id)
        made = freeze(manifest, known)
        say(out, f"{manifest.predictions_path}: {wording.counted(len(made.numbers), 'number')}")
        for one in made.numbers:
            say(out, f"  {one.metric}: {wording.between((one.low, one.high))}")


@app.command()
def compare(
    a: Subject,
    b: Subject,
    json_file: JsonOption = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", parser=output.picture, help="Draw both sides' claims; or FILE.svg."
        ),
    ] = None,
) -> None:
    """Compare two runs, profiles, machines, alternatives or sets of recorded runs of one figure.

    Each side is a run's folder, a file of recorded runs of any checkout, or short for what is here:

    fig8a@smoke: what is recorded of the figure at the profile

    fig8a@smoke:0-4: some seeds of it; a single one is a run

    fig8a@smoke@h200: of the one machine with "h200" in its name

    here:fig8a@smoke: the latest run of each seed on this machine

    fig8a@smoke+cut_factor=1: the same, with an alternative

    Exit status 1 says that both differ: in the verdict of a claim or, at one profile, in a reference by
    more than chance and its resolution allow.
    """
    from repro.outcome.comparing.comparison import compare as held_against
    from repro.outcome.comparing.subjects import find
    from repro.outcome.comparing.text import show_comparison

    settings = Settings.from_environment()
    once = cache(tell)  # both sides may look at the same runs
    comparison = held_against(find(a, settings, once), find(b, settings, once))
    show_comparison(words(json_file, picture), comparison)
    if json_file:
        output.write_json(json_file, comparison.as_data())
    if picture:
        from repro.outcome.comparing.picture import write_picture

        write_picture(comparison, picture)
    if comparison.differences:
        raise typer.Exit(1)


@references.command("import")
def import_references(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="As `repro record` writes.")],
) -> None:
    """Merge runs that other machines recorded, from files of another checkout's manifests/*/references/.

    Each run is checked against the manifest that is here: its numbers, where they can lie, its exact
    identities, and its verdicts. Of a seed on one machine the newer run stays; runs of several machines
    stand beside each other, and what is expected of a new run is what any of them makes expect.
    """
    merges = merge_files(Library(Settings.from_environment().manifests), files)
    for merge in merges:
        merge.write()
        names = labels(merge.machines)
        total = wording.counted(len(merge.after), "run")
        say(out, f"{merge.manifest.references_path(merge.profile)}: {total}")
        for machine, group in by_machine(merge.after).items():
            new = sum(run in merge.new for run in group)
            say(out, f"  {names[machine]}: {wording.counted(len(group), 'run')}, {new} of them new")


@app.command("list")
def list_figures(json_file: JsonOption = None) -> None:
    """Show every manifest, what is recorded of it, and what its last run here came to."""
    settings = Settings.from_environment()
    library = Library(settings.manifests)
    records = [run.record for run in all_runs(settings, tell)]
    latest = {record.id: record for record in records if record.alternative is None}
    without = library.not_computable()
    entries = [
        without_entry(figure_id, without[figure_id])
        if figure_id in without
        else list_entry(library.load(figure_id), latest.get(figure_id))
        for figure_id in library.ids()
    ]
    console = words(json_file)
    show_table(
        console,
        ("id", "title", "recorded", "here", "last run"),
        [(entry.id, entry.title, entry.recorded(), *entry.last_run()) for entry in entries],
        shorten={"title": wording.without_ends},
    )
    say(console, "  claims supported of all: over all recorded seeds; by the last run here")
    computed = [entry for entry in entries if entry.kind != NOT_COMPUTABLE]
    show_table(
        console,
        ("profile", "for", "figures"),
        [
            (one.name, one.purpose, str(sum(one.name not in entry.omitted for entry in computed)))
            for one in library.profiles.profiles
        ],
        shorten={"for": wording.without_ends},
    )
    if json_file:
        output.write_json(json_file, as_data(entries))


@app.command()
def report(
    ids: MaybeIds = None,
    all_figures: AllOption = False,
    out_file: Annotated[
        Path, typer.Option("--out", metavar="FILE.html", parser=output.page)
    ] = Path("report.html"),
) -> None:
    """Write one self-contained page: all verdicts, and the latest run of each figure and profile."""
    from repro.outcome.report.contents import contents
    from repro.outcome.report.page import write_page

    settings = Settings.from_environment()
    library = Library(settings.manifests)
    wanted = library.chosen(chosen(ids, all_figures) if ids else None)
    papers = contents(library, wanted, all_runs(settings, tell))
    computed = [one for paper in papers for one in paper.figures if not one.not_computable]
    if computed and not any(one.known for one in computed):
        raise UsageError("no run is recorded on this machine yet: repro run fig8a")
    write_page(papers, out_file)
    say(words(out_file), str(out_file))


@app.command()
def table(
    paper: PaperArgument,
    profile: RecordedProfileOption = None,
    appendix: Annotated[
        bool,
        typer.Option(
            "--appendix", help="As an artifact appendix: with commands, times, and what to expect."
        ),
    ] = False,
) -> None:
    """Print the verdicts over all recorded seeds of a paper's figures, as tables in Markdown."""
    from repro.outcome.appendix import appendix as artifact_appendix
    from repro.outcome.catalogue import paper_verdicts
    from repro.outcome.tables import verdict_tables

    library = Library(Settings.from_environment().manifests)
    require("paper", paper, library.papers())
    profile = profile or library.profiles.default("cpu")
    library.profiles.require(profile)
    if appendix:
        text = artifact_appendix(library, paper, profile)
    else:
        text = verdict_tables(paper_verdicts(library, paper), profile)
    for line in text.splitlines():
        typer.echo(printable(line))


@app.command()
def verdicts(
    folder: Annotated[Path, typer.Argument(help="For verdicts.json, its schema, tables, badge.")],
    pages: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PAGE…]", help="Markdown whose tables of verdicts to renew."),
    ] = None,
) -> None:
    """Write all recorded verdicts as data that others can read, and as tables."""
    from repro.outcome.catalogue import catalogue
    from repro.outcome.pages import renew, write_verdicts

    recorded = catalogue(Library(Settings.from_environment().manifests))
    for path in write_verdicts(recorded, folder):
        say(out, str(path))
    for page in pages or ():
        renew(page, recorded)
        say(out, str(page))
