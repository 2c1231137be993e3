"""The command ``repro``: from the name of a figure to its verdict."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from repro import files
from repro.checks import MIN_RUNS
from repro.console import Screen, show_run, show_table
from repro.errors import Interrupted, ManifestError, ReproError, TrackingError, UsageError
from repro.execution import LocalProcesses, run_plan
from repro.library import Library
from repro.loading import nearest_names
from repro.manifest import PROFILES
from repro.plan import Plan, changed_parts, make_plan
from repro.record import Run, all_runs, record_run
from repro.references import recorded_runs, write_references
from repro.settings import NO_TRACKING, Settings, has_cuda
from repro.store import Store

app = typer.Typer(
    help="Reproduce figures of two papers on symmetry breaking in deep networks.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="CIFAR-10 in the data folder, MD5-checked.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="Figures, such as fig8a.")]
MaybeIds = Annotated[list[str] | None, typer.Argument(metavar="[ID…]", help="Figures.")]
ProfileOption = Annotated[str, typer.Option("--profile", help="auto, smoke, desk or paper.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Root seed of all random draws.")]
JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the outcome as JSON.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Every manifest.")]

out = Console()
err = Console(stderr=True)


@app.command()
def run(
    ids: Ids,
    profile: ProfileOption = "auto",
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    fresh: Annotated[bool, typer.Option(help="Compute again what is stored.")] = False,
    container: Annotated[bool, typer.Option(help="Run inside the Docker image.")] = False,
    image: Annotated[str, typer.Option(help="The image for --container.")] = "ssbrepro:0.1.0",
    json_file: JsonOption = None,
) -> None:
    """Run figures: compute what is not stored, judge the claims, draw, and track."""
    settings = Settings.from_environment()
    if container:
        arguments = [*ids, "--profile", profile, "--device", device, "--seed", str(seed)]
        arguments += ["--fresh"] if fresh else []
        raise typer.Exit(_run_in_container(arguments, image, settings, json_file))
    plans = _plans(ids, profile, device, seed)
    entries = [_run(plan, settings, fresh) for plan in plans]
    _finish(entries, json_file, failing=("failed",))


@app.command()
def verify(
    ids: MaybeIds = None,
    all_figures: AllOption = False,
    profile: ProfileOption = "auto",
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    json_file: JsonOption = None,
) -> None:
    """Check figures against the papers' claims and our recorded runs; run what is missing."""
    settings = Settings.from_environment()
    entries = []
    for plan in _plans(_chosen(ids, all_figures), profile, device, seed):
        entry = _run(plan, settings, fresh=False)
        if not recorded_runs(plan.manifest, plan.profile):
            out.print(f"  nothing is recorded: repro record {plan.manifest.id} --seeds 0-9")
            entry["status"] = "failed"
        entries.append(entry)
    _finish(entries, json_file, failing=("failed", "unchecked"))


@app.command()
def record(
    ids: Ids,
    seeds: Annotated[str, typer.Option(help="Such as 0-9 or 0,3,5.")],
    profile: ProfileOption = "auto",
    device: DeviceOption = "auto",
) -> None:
    """Run figures with several seeds and write down what they gave, for `repro verify`."""
    settings = Settings.from_environment()
    chosen = _seeds(seeds)
    for plan in _plans(ids, profile, device, chosen[0]):
        runs = []
        for seed in chosen:
            seeded = make_plan(plan.manifest, plan.profile, seed, plan.device)
            err.print(f"[bold]{plan.manifest.id}[/] at {plan.profile}, seed {seed}")
            with Screen(err) as screen:
                outcomes = run_plan(seeded, settings, LocalProcesses(), screen)
            runs.append(record_run(seeded, outcomes, settings).record)
        write_references(plan.manifest, plan.profile, runs)
        path = plan.manifest.references_path(plan.profile)
        out.print(f"{path}: {len(runs)} runs", highlight=False, markup=False, soft_wrap=True)
        if len(runs) < MIN_RUNS:
            out.print(f"  fewer than {MIN_RUNS} runs give no tolerance")


@app.command("list")
def list_figures(json_file: JsonOption = None) -> None:
    """Show every manifest and the verdict last recorded on this machine."""
    settings = Settings.from_environment()
    library = Library(settings.manifests)
    latest = {run.record["id"]: run.record for run in all_runs(settings)}
    rows: list[dict[str, str | None]] = []
    for figure_id in library.ids():
        figure = library.load(figure_id).figure
        last = latest.get(figure_id)
        rows.append(
            {
                "id": figure_id,
                "title": figure.title,
                "kind": figure.kind,
                "verdict": None if last is None else last["status"],
                "profile": None if last is None else last["profile"],
            }
        )
    show_table(
        out,
        ("id", "title", "kind", "last verdict"),
        [(str(r["id"]), str(r["title"]), str(r["kind"]), _last_verdict(r)) for r in rows],
    )
    if json_file:
        files.write_json(json_file, {"figures": rows})


@app.command()
def plan(
    ids: Ids, profile: ProfileOption = "auto", device: DeviceOption = "auto", seed: SeedOption = 0
) -> None:
    """Show the steps, stored or to run, with estimated time and memory; run nothing."""
    settings = Settings.from_environment()
    store = Store(settings.home / "store")
    for figure_plan in _plans(ids, profile, device, seed):
        rows = []
        recorded = recorded_runs(figure_plan.manifest, figure_plan.profile)
        for step in figure_plan.steps:
            stored = store.folder(step.key).exists()
            past = [s for run in recorded for s in run["steps"] if s["stage"] == step.stage]
            rows.append(
                (
                    step.stage,
                    step.key[:12],
                    _estimate([s["seconds"] for s in past], 1, "s"),
                    _estimate([s["peak_memory_bytes"] for s in past], 2**20, "MiB"),
                    "stored" if stored else "to run",
                )
            )
        out.print(f"[bold]{figure_plan.manifest.id}[/] at {figure_plan.profile}")
        show_table(out, ("stage", "key", "time, as recorded", "memory", "status"), rows)


@app.command()
def explain(
    ids: Ids, profile: ProfileOption = "auto", device: DeviceOption = "auto", seed: SeedOption = 0
) -> None:
    """Say for every step whether it will run, and which part of its key changed."""
    settings = Settings.from_environment()
    store = Store(settings.home / "store")
    for figure_plan in _plans(ids, profile, device, seed):
        out.print(f"[bold]{figure_plan.manifest.id}[/] at {figure_plan.profile}")
        for step in figure_plan.steps:
            if store.folder(step.key).exists():
                out.print(f"  {step.stage}: stored ({step.key[:12]})", highlight=False)
                continue
            changes = [
                changed_parts(step.parts, meta["parts"])
                for meta in store.metas()
                if meta["parts"]["stage"] == step.stage
            ]
            if not changes:
                out.print(f"  {step.stage}: will run; no result of this stage is stored")
                continue
            out.print(f"  {step.stage}: will run; against the nearest stored result:")
            for line in min(changes, key=len):
                out.print(f"    {line}", highlight=False, markup=False)


@app.command()
def report(
    ids: MaybeIds = None,
    all_figures: AllOption = False,
    out_file: Annotated[Path, typer.Option("--out", metavar="FILE.html")] = Path("report.html"),
) -> None:
    """Write one self-contained page with the latest run of each figure and profile."""
    from repro.report import write_report

    settings = Settings.from_environment()
    library = Library(settings.manifests)
    wanted = [library.resolve(name) for name in _chosen(ids, all_figures or not ids)]
    runs = [run for run in all_runs(settings) if run.record["id"] in wanted]
    if not runs:
        raise UsageError("no run is recorded on this machine yet: repro run fig8a")
    write_report(runs, out_file)
    out.print(str(out_file), highlight=False, markup=False, soft_wrap=True)


@app.command("track")
def track_runs() -> None:
    """Send to MLflow the runs it does not have, such as those made while it was unreachable."""
    settings = Settings.from_environment()
    if settings.tracking_uri == NO_TRACKING:
        raise UsageError(f"MLFLOW_TRACKING_URI={NO_TRACKING} says not to")
    runs = all_runs(settings)
    for recorded in runs:
        _track(recorded, settings, strict=True)
    out.print(f"{len(runs)} runs are in MLflow at {settings.tracking_uri}")


@app.command()
def ui(port: Annotated[int, typer.Option(min=1, max=65535)] = 5000) -> None:
    """Serve MLflow's pages of this machine's runs on the loopback interface."""
    settings = Settings.from_environment()
    if not settings.local_tracking:
        out.print(f"runs go to the MLflow server at {settings.tracking_uri}; open it there")
        return
    for recorded in all_runs(settings):
        _track(recorded, settings, strict=True)
    out.print(f"MLflow on http://127.0.0.1:{port} (Ctrl-C ends it)", highlight=False)
    arguments = ["server", "--backend-store-uri", settings.tracking_uri, "--workers", "1"]
    arguments += ["--host", "127.0.0.1", "--port", str(port), "--no-serve-artifacts"]
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
        [(f.subject, f.found, "passed" if f.good else f"missing: {f.remedy}") for f in findings],
    )
    if not all(finding.good or finding.optional for finding in findings):
        raise typer.Exit(1)


@data_app.command("fetch")
def data_fetch() -> None:
    """Download what is missing or damaged."""
    settings = Settings.from_environment()
    _fetch(settings)
    out.print(f"CIFAR-10 is complete in {settings.data}", highlight=False)


@data_app.command("check")
def data_check() -> None:
    """Compare every file with its official MD5."""
    from ssbrepro.data import cifar10

    settings = Settings.from_environment()
    bad = cifar10.check(settings.data)
    for file in bad:
        out.print(str(file), highlight=False, soft_wrap=True)
    if bad:
        raise ReproError("`repro data fetch` downloads the official files")
    out.print(f"CIFAR-10 is complete in {settings.data}", highlight=False)


def main() -> NoReturn:
    """Entry point: ``repro FIGURE …`` is short for ``repro run FIGURE …``."""
    arguments = sys.argv[1:]
    commands = {"run", *typer.main.get_command(app).commands}  # type: ignore[attr-defined]
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands:
        arguments.insert(0, "run")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app(arguments, prog_name="repro")
    except (ReproError, Interrupted) as error:
        for line in str(error).splitlines():
            err.print(line, style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(error.exit_status)
    sys.exit(0)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)


def _plans(ids: Sequence[str], profile: str, device: str, seed: int) -> list[Plan]:
    """Plans of all figures asked for; every fault of every manifest at once, before anything runs."""
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"no device {device!r}{nearest_names(device, ('auto', 'cpu', 'cuda'))}")
    if profile not in ("auto", *PROFILES):
        hint = nearest_names(profile, ("auto", *PROFILES))
        raise UsageError(f"no profile {profile!r}{hint}; there are auto, {', '.join(PROFILES)}")
    cuda = device != "cpu" and has_cuda()
    if device == "cuda" and not cuda:
        raise UsageError("--device cuda: no CUDA device can be used here; try --device cpu")
    if profile == "auto":
        profile = "paper" if cuda else "desk"
        found = "a CUDA device was found" if cuda else "no CUDA device was found"
        err.print(f"profile {profile}: {found}; choose with --profile smoke, desk or paper")
    library = Library(Settings.from_environment().manifests)
    manifests, faults = [], []
    for figure_id in dict.fromkeys(library.resolve(name) for name in ids):
        try:
            manifests.append(library.load(figure_id))
        except ManifestError as error:
            faults += [fault for fault in error.faults if fault not in faults]
    if faults:
        raise ManifestError(faults)
    return [make_plan(one, profile, seed, "cuda" if cuda else "cpu") for one in manifests]


def _run(figure_plan: Plan, settings: Settings, fresh: bool) -> dict[str, Any]:
    """Run, record, show and track one figure; returns its entry for ``--json``."""
    err.print(f"[bold]{figure_plan.manifest.id}[/]: {escape(figure_plan.manifest.figure.title)}")
    with Screen(err) as screen:
        outcomes = run_plan(figure_plan, settings, LocalProcesses(), screen, fresh)
    recorded = record_run(figure_plan, outcomes, settings)
    entry = recorded.summary({outcome.step.stage: outcome.status for outcome in outcomes})
    show_run(out, entry)
    out.print(f"  figure and record in {recorded.folder}", highlight=False, soft_wrap=True)
    _track(recorded, settings, strict=False)
    return entry


def _fetch(settings: Settings) -> None:
    from ssbrepro.data import cifar10

    try:
        cifar10.fetch(settings.data)
    except cifar10.DataError as error:
        raise ReproError(
            f"{error}\nwith the official cifar-10-batches-py at hand, "
            f"name the folder that holds it: SSBREPRO_DATA=FOLDER"
        ) from error


def _track(recorded: Run, settings: Settings, strict: bool) -> None:
    from repro.tracking import track

    if settings.tracking_uri == NO_TRACKING:
        return
    try:
        track(recorded, settings)
    except TrackingError as error:
        if strict:
            raise
        err.print(str(error), style="yellow", highlight=False, markup=False, soft_wrap=True)
        err.print("  the run is complete and recorded; `repro track` sends it later")


def _finish(entries: list[dict[str, Any]], json_file: Path | None, failing: Sequence[str]) -> None:
    if json_file:
        files.write_json(json_file, {"figures": entries})
    if any(entry["status"] in failing for entry in entries):
        raise typer.Exit(1)


def _run_in_container(
    arguments: Sequence[str], image: str, settings: Settings, json_file: Path | None
) -> int:
    """Run in the image; what it recorded is tracked from here, where the paths are those of MLflow."""
    from repro.container import run_in_container

    name = ".container-outcome.json"
    outcome = settings.home / name
    outcome.unlink(missing_ok=True)
    if settings.data_is_ours:  # the container itself has no network
        _fetch(settings)
    status = run_in_container(
        ["run", *arguments, "--json", f"/state/{name}"],
        image=image,
        home=settings.home,
        manifests=settings.manifests,
        data=settings.data,
        environment={"MLFLOW_TRACKING_URI": NO_TRACKING},
    )
    if outcome.exists():
        entries = files.read_json(outcome)["figures"]
        outcome.unlink()
        for entry in entries:
            paths = [Path(path).relative_to("/state") for path in entry["artifacts"]]
            entry["artifacts"] = [str(settings.home / path) for path in paths]
        for recorded in all_runs(settings):
            _track(recorded, settings, strict=False)
        if json_file:
            files.write_json(json_file, {"figures": entries})
    return status


def _chosen(ids: Sequence[str] | None, all_figures: bool) -> list[str]:
    if all_figures:
        return Library(Settings.from_environment().manifests).ids()
    if not ids:
        raise UsageError("name figures, or --all")
    return list(ids)


def _seeds(text: str) -> list[int]:
    """Seeds from "0-9" or "0,3,5" or a mixture."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"--seeds {text!r}: write 0-9 or 0,3,5")
        seeds += range(int(first), int(last if dash else first) + 1)
    if not seeds:
        raise UsageError(f"--seeds {text!r} names no seed")
    return sorted(set(seeds))


def _estimate(values: Sequence[float], unit: float, name: str) -> str:
    return f"{sorted(values)[len(values) // 2] / unit:,.0f} {name}" if values else "not recorded"


def _last_verdict(row: dict[str, str | None]) -> str:
    return "not run here" if row["verdict"] is None else f"{row['verdict']} ({row['profile']})"


if __name__ == "__main__":
    main()
