"""The command ``repro``: from the name of a figure to its verdict."""

import itertools
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from repro import data_commands, output, selection
from repro.engines.engine import Engine
from repro.engines.inline import InlineEngine
from repro.errors import Interrupted, ReproError, UsageError
from repro.explain import StoredParts
from repro.manifests.library import Library
from repro.names import NOT_COMPUTABLE
from repro.options import (
    AllOption,
    AlternativeOption,
    DeviceOption,
    EngineOption,
    Ids,
    JsonOption,
    MaybeIds,
    ProfileOption,
    SeedOption,
)
from repro.outcome import wording
from repro.outcome.checks import MIN_RUNS
from repro.outcome.console import say, show_not_computable, show_table
from repro.outcome.entries import (
    FigureEntry,
    as_data,
    list_entry,
    not_computable_entry,
    without_entry,
)
from repro.outcome.record import all_runs
from repro.outcome.references import recorded_runs, recorded_steps, write_references
from repro.outcome.verdicts import AS_RECORDED
from repro.plan import Plan, changed_parts, make_plan
from repro.running import Runner, announce
from repro.selection import Choice, Selected
from repro.settings import NO_TRACKING, Settings
from repro.shorthand import CommandsAndFigures
from repro.store import Store

app = typer.Typer(
    cls=CommandsAndFigures,
    help="Reproduce figures of two papers on symmetry breaking in deep networks.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.add_typer(data_commands.app, name="data")

out = Console()
err = Console(stderr=True)


@app.command()
def run(
    ids: Ids,
    profile: ProfileOption = "auto",
    device: DeviceOption = "auto",
    engine_name: EngineOption = selection.DEFAULT_ENGINE,
    seed: SeedOption = 0,
    fresh: Annotated[bool, typer.Option(help="Compute again what is stored.")] = False,
    container: Annotated[bool, typer.Option(help="Run inside the Docker image.")] = False,
    image: Annotated[str, typer.Option(help="The image for --container.")] = "ssbrepro:0.1.0",
    alternative: AlternativeOption = None,
    json_file: JsonOption = None,
) -> None:
    """Run figures: compute what is not stored, judge the claims, draw, and track."""
    words, engine = _words(json_file), selection.engine(engine_name)
    if container:
        arguments = [*ids, "--profile", profile, "--device", device, "--seed", str(seed)]
        arguments += ["--engine", engine_name] if engine_name != selection.DEFAULT_ENGINE else []
        arguments += ["--fresh"] if fresh else []
        for text in alternative or ():
            arguments += ["--alternative", text]
        status, entries = _runner(words).run_in_container(arguments, image)
        if entries and json_file:
            output.write_json(json_file, {"figures": entries})
        raise typer.Exit(status)
    selected = _select(ids, profile, device, seed, alternative, engine)
    runner = _runner(words, selected.plans(), fresh, engine)
    figures = [_entry(runner, selected, choice) for choice in selected.figures]
    _finish(figures, json_file, failed=any(entry.failures for entry in figures))


@app.command()
def verify(
    ids: MaybeIds = None,
    all_figures: AllOption = False,
    profile: ProfileOption = "auto",
    device: DeviceOption = "auto",
    engine_name: EngineOption = selection.DEFAULT_ENGINE,
    seed: SeedOption = 0,
    json_file: JsonOption = None,
) -> None:
    """Check figures against the papers' claims and our recorded runs; run what is missing."""
    words, engine = _words(json_file), selection.engine(engine_name)
    selected = _select(_chosen(ids, all_figures), profile, device, seed, engine=engine)
    runner = _runner(words, selected.plans(), engine=engine)
    entries = []
    for choice in selected.figures:
        entries.append(_entry(runner, selected, choice))
        plan = choice.declared
        if isinstance(plan, Plan) and not recorded_runs(plan.manifest, plan.profile):
            words.print(f"  nothing is recorded: repro record {choice.id} --seeds 0-9")
    told = (AS_RECORDED, NOT_COMPUTABLE)
    _finish(entries, json_file, failed=any(entry.status not in told for entry in entries))


@app.command()
def record(
    seeds: Annotated[str, typer.Option(help="Such as 0-9 or 0,3,5.")],
    ids: MaybeIds = None,
    all_figures: AllOption = False,
    profile: ProfileOption = "auto",
    device: DeviceOption = "auto",
    engine_name: EngineOption = selection.DEFAULT_ENGINE,
) -> None:
    """Run figures with several seeds and write down what they gave, for `repro verify`."""
    numbers, engine = selection.seeds(seeds), selection.engine(engine_name)
    selected = _select(_chosen(ids, all_figures), profile, device, numbers[0], engine=engine)
    seeded = {
        plan.manifest.id: [
            make_plan(plan.manifest, plan.profile, number, plan.facts) for number in numbers
        ]
        for plan in selected.plans()
    }
    runner = _runner(out, itertools.chain(*seeded.values()), engine=engine)
    for plan in _each_plan(selected):
        runs = [runner.record(one).run.record for one in seeded[plan.manifest.id]]
        write_references(plan.manifest, plan.profile, runs)
        say(out, f"{plan.manifest.references_path(plan.profile)}: {len(runs)} runs")
        if len(runs) < MIN_RUNS:
            out.print(f"  fewer than {MIN_RUNS} runs give no tolerance")


@app.command("list")
def list_figures(json_file: JsonOption = None) -> None:
    """Show every manifest and what its last run on this machine came to."""
    settings = Settings.from_environment()
    library = Library(settings.manifests)
    records = [run.record for run in all_runs(settings)]
    latest = {record.id: record for record in records if record.alternative is None}
    without = library.not_computable()
    entries = [
        without_entry(figure_id, without[figure_id])
        if figure_id in without
        else list_entry(library.load(figure_id), latest.get(figure_id))
        for figure_id in library.ids()
    ]
    show_table(
        _words(json_file),
        ("id", "title", "supported", "last run"),
        [(entry.id, entry.title, *entry.last_run()) for entry in entries],
        shorten={"title": wording.without_end},
    )
    if json_file:
        output.write_json(json_file, as_data(entries))


@app.command()
def plan(
    ids: Ids,
    profile: ProfileOption = "auto",
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    alternative: AlternativeOption = None,
) -> None:
    """Show the steps, stored or to run, with estimated time and memory; run nothing."""
    settings = Settings.from_environment()
    store = Store(settings.home / "store")
    selected = _select(ids, profile, device, seed, alternative)
    announce(selected.plans(), (), store, err)
    for figure_plan in _each_plan(selected):
        past = recorded_steps(figure_plan.manifest, figure_plan.profile)
        rows = [
            (
                step.stage,
                step.key[:12],
                _usual([s.seconds for s in past.get(step.stage, ())], 1, "s"),
                _usual([s.peak_memory_bytes for s in past.get(step.stage, ())], 2**20, "MiB"),
                "stored" if store.has(step.key) else "to run",
            )
            for step in figure_plan.steps
        ]
        out.print(f"[bold]{escape(figure_plan.name)}[/] at {figure_plan.profile}")
        show_table(out, ("stage", "key", "time, as recorded", "memory", "status"), rows)


@app.command()
def explain(
    ids: Ids,
    profile: ProfileOption = "auto",
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    alternative: AlternativeOption = None,
) -> None:
    """Say for every step whether it will run, and which part of its key changed."""
    store = Store(Settings.from_environment().home / "store")
    selected = _select(ids, profile, device, seed, alternative)
    known = StoredParts(store.metas(), (step for plan in selected.plans() for step in plan.steps))
    for figure_plan in _each_plan(selected):
        out.print(f"[bold]{escape(figure_plan.name)}[/] at {figure_plan.profile}")
        for step in figure_plan.steps:
            nearest_stored = known.nearest(step)
            if store.has(step.key):
                out.print(f"  {step.stage}: stored ({step.key[:12]})", highlight=False)
            elif nearest_stored is None:
                out.print(f"  {step.stage}: will run; no result of this stage is stored")
            else:
                out.print(f"  {step.stage}: will run; against the nearest stored result:")
                for line in changed_parts(step.parts, nearest_stored):
                    out.print(f"    {line}", highlight=False, markup=False)


@app.command()
def report(
    ids: MaybeIds = None,
    all_figures: AllOption = False,
    out_file: Annotated[
        Path, typer.Option("--out", metavar="FILE.html", parser=output.page)
    ] = Path("report.html"),
) -> None:
    """Write one self-contained page with the latest run of each figure and profile."""
    from repro.outcome.report import write_report

    settings = Settings.from_environment()
    library = Library(settings.manifests)
    wanted = [library.resolve(name) for name in _chosen(ids, all_figures or not ids)]
    runs = [run for run in all_runs(settings) if run.record.id in wanted]
    without = library.not_computable()
    others = {figure_id: without[figure_id] for figure_id in wanted if figure_id in without}
    if not runs and len(others) < len(wanted):
        raise UsageError("no run is recorded on this machine yet: repro run fig8a")
    papers = {figure_id.partition("/")[0] for figure_id in wanted}
    write_report(
        runs,
        others,
        {name: one for name, one in library.papers().items() if name in papers},
        out_file,
    )
    say(out, str(out_file))


@app.command("track")
def track_runs() -> None:
    """Send to MLflow the runs it does not have, such as those made while it was unreachable."""
    settings = Settings.from_environment()
    if settings.tracking_uri == NO_TRACKING:
        raise UsageError(f"MLFLOW_TRACKING_URI={NO_TRACKING} says not to")
    runs = all_runs(settings)
    for recorded in runs:
        _runner(out).track(recorded, strict=True)
    out.print(f"{len(runs)} runs are in MLflow at {settings.tracking_uri}")


@app.command()
def ui(port: Annotated[int, typer.Option(min=1, max=65535)] = 5000) -> None:
    """Serve MLflow's pages of this machine's runs on the loopback interface."""
    settings = Settings.from_environment()
    if not settings.local_tracking:
        out.print(f"runs go to the MLflow server at {settings.tracking_uri}; open it there")
        return
    for recorded in all_runs(settings):
        _runner(out).track(recorded, strict=True)
    out.print(f"MLflow on http://127.0.0.1:{port} (Ctrl-C ends it)", highlight=False)
    arguments = ["server", "--backend-store-uri", settings.tracking_uri, "--workers", "1"]
    arguments += ["--host", "127.0.0.1", "--port", str(port)]
    arguments += ["--serve-artifacts", "--artifacts-destination", settings.artifacts.as_uri()]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", *arguments])


@app.command()
def doctor() -> None:
    """Say what this machine can run, what is missing, and the command that mends it."""
    from repro.doctor import examine

    findings = examine(Settings.from_environment())
    show_table(
        out,
        ("", "found", "verdict"),
        [(f.subject, f.found, f.verdict) for f in findings],
    )
    if not all(finding.good or finding.optional for finding in findings):
        raise typer.Exit(1)


def main() -> NoReturn:
    """Entry point."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app(prog_name="repro")
    except (ReproError, Interrupted) as error:
        for line in str(error).splitlines():
            err.print(line, style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(error.exit_status)
    sys.exit(0)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)


def _words(json_file: Path | None) -> Console:
    """Where words go: not among JSON."""
    return err if json_file == output.STANDARD else out


def _runner(
    words: Console,
    plans: Iterable[Plan] = (),
    fresh: bool = False,
    engine: Engine | None = None,
) -> Runner:
    """A runner for plans, having said how long they take; ``fresh`` computes stored steps anew."""
    settings = Settings.from_environment()
    plans = list(plans)
    anew = {step.key for plan in plans for step in plan.steps} if fresh else set()
    forecast = announce(plans, anew, Store(settings.home / "store"), err)
    engine = engine or selection.engine()
    # A bar that is drawn anew all the time would leave a debugger no terminal.
    inline = isinstance(engine, InlineEngine)
    progress = Console(stderr=True, force_terminal=False) if inline else err
    return Runner(settings, engine, words, progress, forecast, anew)


def _select(
    ids: Sequence[str],
    profile: str,
    device: str,
    seed: int,
    alternatives: Sequence[str] | None = None,
    engine: Engine | None = None,
) -> Selected:
    library = Library(Settings.from_environment().manifests)
    chosen = alternatives or ()
    engine = engine or selection.engine()
    tell = partial(say, err)
    return selection.select(library, ids, profile, device, seed, chosen, engine, tell)


def _each_plan(selected: Selected) -> Iterator[Plan]:
    """All there is to run; of a figure nothing computes, why is said when its turn comes.

    Yields:
        Each figure's plan, and after it those of its alternatives.
    """
    for choice in selected.figures:
        if isinstance(choice.declared, Plan):
            yield from (choice.declared, *choice.alternatives)
        else:
            show_not_computable(out, choice.id, choice.declared)


def _entry(runner: Runner, selected: Selected, choice: Choice) -> FigureEntry:
    """Run a figure that was asked for, or say why nothing computes it."""
    if isinstance(choice.declared, Plan):
        return runner.run(choice.declared, choice.alternatives)
    show_not_computable(runner.out, choice.id, choice.declared)
    return not_computable_entry(choice.id, selected.profile, selected.seed)


def _finish(entries: list[FigureEntry], json_file: Path | None, failed: bool) -> None:
    if json_file:
        output.write_json(json_file, as_data(entries))
    if failed:
        raise typer.Exit(1)


def _chosen(ids: Sequence[str] | None, all_figures: bool) -> list[str]:
    if all_figures:
        return Library(Settings.from_environment().manifests).ids()
    if not ids:
        raise UsageError("name figures, or --all")
    return list(ids)


def _usual(values: Sequence[float], unit: float, name: str) -> str:
    return f"{median(values) / unit:,.0f} {name}" if values else "not recorded"


if __name__ == "__main__":
    main()
