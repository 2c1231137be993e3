"""The command ``repro``: from the name of a figure to its verdict."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from repro import files, wording
from repro.checks import AS_RECORDED, MIN_RUNS, tally
from repro.console import say, show_not_computable, show_table
from repro.errors import Interrupted, ManifestError, ReproError, UsageError
from repro.execution import LocalProcesses
from repro.library import FigureManifest, Library, NotComputableManifest
from repro.names import NOT_COMPUTABLE, PROFILES, nearest_names
from repro.plan import NoPlan, Plan, changed_parts, make_plan
from repro.record import all_runs
from repro.references import recorded_runs, write_references
from repro.running import Runner, fetch
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
AlternativeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--alternative",
        metavar="NAME=VALUE",
        help="Also with this alternative of an assumed value; may be given several times.",
    ),
]

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
    alternative: AlternativeOption = None,
    json_file: JsonOption = None,
) -> None:
    """Run figures: compute what is not stored, judge the claims, draw, and track."""
    runner = _runner()
    if container:
        arguments = [*ids, "--profile", profile, "--device", device, "--seed", str(seed)]
        arguments += ["--fresh"] if fresh else []
        for text in alternative or ():
            arguments += ["--alternative", text]
        status, entries = runner.run_in_container(arguments, image)
        if entries and json_file:
            files.write_json(json_file, {"figures": entries})
        raise typer.Exit(status)
    wanted = _wanted(ids, profile, device, seed, alternative)
    entries = [runner.run(figure, others, fresh) for figure, others in wanted]
    _finish(entries, json_file, failed=any(entry["failures"] for entry in entries))


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
    runner = _runner()
    entries = []
    for figure, _ in _wanted(_chosen(ids, all_figures), profile, device, seed):
        entry = runner.run(figure, (), fresh=False)
        if isinstance(figure, Plan) and not recorded_runs(figure.manifest, figure.profile):
            out.print(f"  nothing is recorded: repro record {figure.manifest.id} --seeds 0-9")
        entries.append(entry)
    told = (AS_RECORDED, NOT_COMPUTABLE)
    _finish(entries, json_file, failed=any(entry["status"] not in told for entry in entries))


@app.command()
def record(
    seeds: Annotated[str, typer.Option(help="Such as 0-9 or 0,3,5.")],
    ids: MaybeIds = None,
    all_figures: AllOption = False,
    profile: ProfileOption = "auto",
    device: DeviceOption = "auto",
) -> None:
    """Run figures with several seeds and write down what they gave, for `repro verify`."""
    runner = _runner()
    chosen = _seeds(seeds)
    for plan in _plans(_chosen(ids, all_figures), profile, device, chosen[0]):
        runs = []
        for seed in chosen:
            seeded = make_plan(plan.manifest, plan.profile, seed, plan.device)
            runs.append(runner.record(seeded)[0].record)
        write_references(plan.manifest, plan.profile, runs)
        say(out, f"{plan.manifest.references_path(plan.profile)}: {len(runs)} runs")
        if len(runs) < MIN_RUNS:
            out.print(f"  fewer than {MIN_RUNS} runs give no tolerance")


@app.command("list")
def list_figures(json_file: JsonOption = None) -> None:
    """Show every manifest and what its last run on this machine came to."""
    settings = Settings.from_environment()
    library = Library(settings.manifests)
    latest = {run.record["id"]: run.record for run in all_runs(settings) if not run.alternative}
    rows: list[dict[str, Any]] = []
    for figure_id in library.ids():
        manifest = library.load(figure_id)
        last = latest.get(figure_id, {"status": None, "profile": None, "claims": None})
        if isinstance(manifest, NotComputableManifest):
            last = {"status": manifest.figure.kind, "profile": None, "claims": None}
        counts = None if last["claims"] is None else tally(last["claims"])
        rows.append(
            {
                "id": figure_id,
                "title": manifest.figure.title,
                "kind": manifest.figure.kind,
                "status": last["status"],
                "profile": last["profile"],
                "verdict": None if counts is None else wording.claims(counts),
                "verdicts": counts,
            }
        )
    show_table(
        out,
        ("id", "title", "claims, last run", "artifact"),
        [(r["id"], r["title"], *_last_run(r)) for r in rows],
    )
    if json_file:
        files.write_json(json_file, {"figures": rows})


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
    for figure_plan in _plans(ids, profile, device, seed, alternative):
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
    settings = Settings.from_environment()
    store = Store(settings.home / "store")
    for figure_plan in _plans(ids, profile, device, seed, alternative):
        out.print(f"[bold]{escape(figure_plan.name)}[/] at {figure_plan.profile}")
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
    manifests = [library.load(figure_id) for figure_id in wanted]
    others = [one for one in manifests if isinstance(one, NotComputableManifest)]
    if not runs and len(others) < len(wanted):
        raise UsageError("no run is recorded on this machine yet: repro run fig8a")
    write_report(runs, others, out_file)
    say(out, str(out_file))


@app.command("track")
def track_runs() -> None:
    """Send to MLflow the runs it does not have, such as those made while it was unreachable."""
    settings = Settings.from_environment()
    if settings.tracking_uri == NO_TRACKING:
        raise UsageError(f"MLFLOW_TRACKING_URI={NO_TRACKING} says not to")
    runs = all_runs(settings)
    for recorded in runs:
        _runner().track(recorded, strict=True)
    out.print(f"{len(runs)} runs are in MLflow at {settings.tracking_uri}")


@app.command()
def ui(port: Annotated[int, typer.Option(min=1, max=65535)] = 5000) -> None:
    """Serve MLflow's pages of this machine's runs on the loopback interface."""
    settings = Settings.from_environment()
    if not settings.local_tracking:
        out.print(f"runs go to the MLflow server at {settings.tracking_uri}; open it there")
        return
    for recorded in all_runs(settings):
        _runner().track(recorded, strict=True)
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
        [(f.subject, f.found, "passed" if f.good else f"missing: {f.remedy}") for f in findings],
    )
    if not all(finding.good or finding.optional for finding in findings):
        raise typer.Exit(1)


@data_app.command("fetch")
def data_fetch() -> None:
    """Download what is missing or damaged."""
    settings = Settings.from_environment()
    fetch(settings)
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


def _runner() -> Runner:
    return Runner(Settings.from_environment(), LocalProcesses(), out, err)


def _plans(
    ids: Sequence[str],
    profile: str,
    device: str,
    seed: int,
    alternatives: Sequence[str] | None = None,
) -> Iterator[Plan]:
    """All plans of the figures asked for; of a figure without one, why is said when its turn comes."""
    for figure, others in _wanted(ids, profile, device, seed, alternatives):
        if isinstance(figure, NoPlan):
            show_not_computable(out, figure.manifest)
        else:
            yield from (figure, *others)


def _wanted(
    ids: Sequence[str],
    profile: str,
    device: str,
    seed: int,
    alternatives: Sequence[str] | None = None,
) -> list[tuple[Plan | NoPlan, list[Plan]]]:
    """Each figure asked for as declared, and with each alternative.

    Every fault of every manifest comes at once, before anything runs.
    """
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
    wanted: list[tuple[Plan | NoPlan, list[Plan]]] = []
    for manifest in manifests:
        if isinstance(manifest, FigureManifest):
            declared = make_plan(manifest, profile, seed, "cuda" if cuda else "cpu")
            others = [declared.with_alternative(text) for text in dict.fromkeys(alternatives or ())]
            wanted.append((declared, others))
        elif alternatives:
            raise UsageError(f"{manifest.id} is not computable and has no alternatives")
        else:
            wanted.append((NoPlan(manifest, profile, seed), []))
    return wanted


def _finish(entries: list[dict[str, Any]], json_file: Path | None, failed: bool) -> None:
    if json_file:
        files.write_json(json_file, {"figures": entries})
    if failed:
        raise typer.Exit(1)


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


def _last_run(row: Mapping[str, Any]) -> tuple[str, str]:
    """What the paper's claims came to in the last run on this machine, and what the artifact did."""
    if row["verdict"] is None:
        return "", row["status"] or "not run here"
    return f"{row['verdict']} ({row['profile']})", row["status"]


if __name__ == "__main__":
    main()
