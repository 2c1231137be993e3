"""The command ``repro``: from the name of a figure to its verdict."""

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from statistics import median
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from repro import (
    data_commands,
    guard,
    new_commands,
    output,
    recorded_commands,
    review_commands,
    selection,
    signals,
    store_commands,
)
from repro.commands import (
    chosen,
    each_plan,
    err,
    finish,
    out,
    run_selected,
    runner,
    select,
    tell,
    words,
)
from repro.errors import Interrupted, ReproError, StoreError, UsageError
from repro.explain import StoredParts
from repro.manifests.library import FigureManifest
from repro.names import NOT_COMPUTABLE
from repro.options import (
    AllOption,
    AlternativeOption,
    BudgetOption,
    DeviceOption,
    EngineOption,
    Ids,
    JobsOption,
    JsonOption,
    MaybeIds,
    MaybeSeedsOption,
    OneSeedOption,
    ProfileOption,
    SeedOption,
)
from repro.outcome.console import say, show_pooled, show_table
from repro.outcome.entries import (
    FigureEntry,
    PooledEntry,
    as_data,
    omitted_data,
    pooled_data,
    pooled_entry,
)
from repro.outcome.reading import DamagedRun, all_runs
from repro.outcome.references import recorded_runs, recorded_steps
from repro.outcome.verdicts import AS_RECORDED
from repro.plan import changed_parts
from repro.running import announce
from repro.settings import NO_TRACKING, Settings
from repro.shorthand import CommandsAndFigures
from repro.store import Store

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}  # why nothing more can be written

app = typer.Typer(
    cls=CommandsAndFigures,
    help="Reproduce figures of two papers on symmetry breaking in deep networks.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.add_typer(recorded_commands.app)
app.add_typer(review_commands.app)
app.add_typer(new_commands.app, name="new")
app.add_typer(data_commands.app, name="data")
app.add_typer(store_commands.app, name="store")


@app.command()
def run(
    ids: MaybeIds = None,
    all_figures: AllOption = False,
    profile: ProfileOption = "auto",
    device: DeviceOption = "auto",
    engine_name: EngineOption = selection.DEFAULT_ENGINE,
    seed: OneSeedOption = None,
    seeds: MaybeSeedsOption = None,
    jobs: JobsOption = None,
    budget: BudgetOption = None,
    fresh: Annotated[bool, typer.Option(help="Compute again what is stored.")] = False,
    container: Annotated[bool, typer.Option(help="Run inside the Docker image.")] = False,
    image: Annotated[str, typer.Option(help="The image for --container.")] = "ssbrepro:0.1.0",
    alternative: AlternativeOption = None,
    json_file: JsonOption = None,
) -> None:
    """Run figures: compute what is not stored, judge the claims, draw, and track."""
    console, engine = words(json_file), selection.engine(engine_name, jobs)
    if seed is not None and seeds is not None:
        raise UsageError("--seed or --seeds, not both")
    numbers = [seed or 0] if seeds is None else selection.seeds(seeds)
    names = chosen(ids, all_figures)
    if container:
        arguments = ["--all"] if names is None else list(names)
        arguments += ["--profile", profile, "--device", device]
        arguments += ["--seed", str(numbers[0])] if seeds is None else ["--seeds", seeds]
        arguments += ["--engine", engine_name] if engine_name != selection.DEFAULT_ENGINE else []
        arguments += [] if jobs is None else ["--jobs", str(jobs)]
        arguments += [] if budget is None else ["--budget", f"{budget.left():.0f}s"]
        arguments += ["--fresh"] if fresh else []
        for text in alternative or ():
            arguments += ["--alternative", text]
        status, outcome = runner(console).run_in_container(arguments, image)
        if outcome and json_file:
            output.write_json(json_file, outcome)
        raise typer.Exit(status)
    selected = select(names, profile, device, numbers, alternative, engine)
    figure_runner = runner(console, selected.plans(), fresh, engine, budget)
    pooled: dict[str, PooledEntry] = {}

    def pool(manifest: FigureManifest, of_figure: list[FigureEntry]) -> None:
        pooled[manifest.id] = pooled_entry(manifest, of_figure)
        show_pooled(console, pooled[manifest.id])

    entries = run_selected(figure_runner, selected, None if seeds is None else pool)
    in_order = [pooled[name] for name in selected.ids() if name in pooled]
    failed = any(entry.failures for entry in entries)
    content = as_data(entries) | pooled_data(in_order) | omitted_data(selected.omitted)
    finish(content, json_file, figure_runner, failed)


@app.command()
def verify(
    ids: MaybeIds = None,
    all_figures: AllOption = False,
    profile: ProfileOption = "auto",
    device: DeviceOption = "auto",
    engine_name: EngineOption = selection.DEFAULT_ENGINE,
    seed: SeedOption = 0,
    jobs: JobsOption = None,
    budget: BudgetOption = None,
    json_file: JsonOption = None,
) -> None:
    """Check figures against the papers' claims and our recorded runs; run what is missing."""
    console, engine = words(json_file), selection.engine(engine_name, jobs)
    selected = select(chosen(ids, all_figures), profile, device, [seed], engine=engine)
    figure_runner = runner(console, selected.plans(), engine=engine, budget=budget)
    entries = run_selected(figure_runner, selected)
    for figure_plan in selected.plans():
        if not recorded_runs(figure_plan.manifest, figure_plan.profile):
            figure_id = figure_plan.manifest.id
            say(console, f"{figure_id}: nothing is recorded: repro record {figure_id} --seeds 0-9")
    told = (AS_RECORDED, NOT_COMPUTABLE)
    failed = any(entry.status not in told for entry in entries)
    content = as_data(entries) | omitted_data(selected.omitted)
    finish(content, json_file, figure_runner, failed)


@app.command()
def plan(
    ids: Ids,
    profile: ProfileOption = "auto",
    device: DeviceOption = "auto",
    engine_name: EngineOption = selection.DEFAULT_ENGINE,
    seed: SeedOption = 0,
    alternative: AlternativeOption = None,
) -> None:
    """Show the steps, stored or to run, with estimated time and memory; run nothing."""
    settings = Settings.from_environment()
    store = Store(settings.home / "store")
    engine = selection.engine(engine_name)
    selected = select(ids, profile, device, [seed], alternative, engine)
    announce(selected.plans(), (), store, err)
    for figure_plan in each_plan(selected):
        past = recorded_steps(figure_plan.manifest, figure_plan.profile, figure_plan.facts)
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
    engine_name: EngineOption = selection.DEFAULT_ENGINE,
    seed: SeedOption = 0,
    alternative: AlternativeOption = None,
) -> None:
    """Say for every step whether it will run, and which part of its key changed."""
    store = Store(Settings.from_environment().home / "store")
    engine = selection.engine(engine_name)
    selected = select(ids, profile, device, [seed], alternative, engine)
    known = StoredParts(store.metas(), (step for plan in selected.plans() for step in plan.steps))
    for figure_plan in each_plan(selected):
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


@app.command("track")
def track_runs() -> None:
    """Send to MLflow the runs it does not have, such as those made while it was unreachable."""
    settings = Settings.from_environment()
    if settings.tracking_uri == NO_TRACKING:
        raise UsageError(f"MLFLOW_TRACKING_URI={NO_TRACKING} says not to")
    number = _track_all(settings)
    say(out, f"{number} runs are in MLflow at {settings.tracking_address}")


@app.command()
def ui(port: Annotated[int, typer.Option(min=1, max=65535)] = 5000) -> None:
    """Serve MLflow's pages of this machine's runs on the loopback interface."""
    settings = Settings.from_environment()
    if not settings.local_tracking:
        say(out, f"runs go to the MLflow server at {settings.tracking_address}; open it there")
        return
    from repro.outcome.tracking import pages

    _track_all(settings)
    address = f"http://127.0.0.1:{port}"
    out.print(f"MLflow on {address} (Ctrl-C ends it)", highlight=False)
    for paper, page in pages(settings).items():
        out.print(f"  {paper}: {address}/{page}", highlight=False, markup=False, soft_wrap=True)
    arguments = ["server", "--backend-store-uri", settings.tracking_uri, "--workers", "1"]
    arguments += ["--host", "127.0.0.1", "--port", str(port)]
    arguments += ["--serve-artifacts", "--artifacts-destination", settings.artifacts.as_uri()]
    sys.stdout.flush()
    # As in docker-compose.yml: it runs nothing for others, and answers to this machine's names.
    environment = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SERVER_ALLOWED_HOSTS": "localhost:*,127.0.0.1:*",
        # Nor to pages of other sites, whatever another server of this machine's is set to.
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "",
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    status = guard.run([sys.executable, "-m", "mlflow", *arguments], os.environ | environment)
    raise typer.Exit(status)


def _track_all(settings: Settings) -> int:
    """Send every run to MLflow that it does not have; how many there are."""
    from repro.outcome.tracking import PATIENCE, Sender, prepare, track

    prepare(settings, tell)
    number = 0
    with closing(Sender(settings, tell, PATIENCE, PATIENCE)) as send:
        for recorded in all_runs(settings, tell):
            try:
                track(recorded, settings, send, trusting=False)
                number += 1
            except DamagedRun as error:
                tell(f"{error}: not sent; {error.way_out}")
    return number


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
    """Run the command, and end with its status whatever signals come."""
    try:
        try:
            signals.interrupt()
            app(prog_name="repro")
        finally:
            signals.put_in_order()
    except BaseException as error:
        cause = signals.raised() or error
        if isinstance(cause, OSError) and cause.filename is None and cause.errno in _FULL:
            # All other files are named. What is left of the output goes nowhere, in silence.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            cause = StoreError(f"standard output: cannot be written: {cause.strerror}")
        if not isinstance(cause, ReproError | Interrupted):
            raise
        for line in str(cause).splitlines():
            err.print(line, style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(cause.exit_status)
    sys.exit(0)


def _usual(values: Sequence[float], unit: float, name: str) -> str:
    return f"{median(values) / unit:,.0f} {name}" if values else "not recorded"


if __name__ == "__main__":  # as `python -m repro`, which hears signals while it imports
    main()
