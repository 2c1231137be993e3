"""Stand-ins that tests of the harness share: tiny manifests, an executor without processes."""

import atexit
import base64
import functools
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repro import files
from repro.arrays import write_arrays, write_state
from repro.engines.engine import Capacity, Engine, Needs, Report, Reports, Task
from repro.errors import StageError
from repro.machine import Facts, facts
from repro.manifests.library import FigureManifest, Library
from repro.outcome import sums
from repro.outcome.pooling import ClaimStatistics, PooledVerdict
from repro.outcome.record import SCHEMA_VERSION, Machine, RanStep, Record, Run
from repro.outcome.recording import record_run
from repro.outcome.references import RecordedRun, RecordedStep
from repro.outcome.sealing import sealed
from repro.outcome.verdicts import ClaimVerdict
from repro.plan import Plan, Step, make_plan
from repro.scheduler import Scheduler, StepOutcome
from repro.settings import NO_TRACKING, Settings
from repro.store import Store
from ssbrepro.papers import stage as stage_of

CHECKOUT = Path(__file__).resolve().parent.parent
MANIFESTS = CHECKOUT / "manifests"
PROFILES = Library(MANIFESTS).profiles.names
# Without the stages of their controls, as copied for tests:
FIGURE = "li2022/fig8b"  # one stage, claims and references; the least there is to run
BOTH_STAGES = "li2022/fig8a"
CONTROLS = {"fig8a.yaml": "spectrum_controls", "fig8b.yaml": "small_network"}

_TINY_TRAINING = """\
  smoke:
    why: sized for tests of the harness
    training:
      num_examples: 112  # more than twice the weights of the small network
      width: 0.0625
      step_size: 0.005
      batch_size: 16
      num_epochs: 4
      cut_epochs: [3]
      checkpoint_epochs: [0, 2, 4]
"""

_TINY_SPECTRUM = """\
    spectrum:
      num_steps: 4
      num_probes: 1
      num_extremes: 2
"""
_TINY_CONTROLS = """\
    spectrum_controls:
      num_intact: 1
"""

# What tests of the harness judge, whatever else the papers' own manifests claim.
_CLAIMS = {
    "fig8a": """\
claims:
  - id: symmetric-spectrum
    statement: the eigenspectrum of the Hessian is symmetrically distributed throughout training
    where: II.F.5 and fig. 8a
    metric: spectrum.asymmetry_max
    at_most: 0.25
    noise: spectrum.asymmetry_noise
    control: spectrum.standard_deviation_max
  - id: balanced-extremes
    statement: the largest eigenvalues on both sides are of one size throughout training
    where: fig. 8a
    metric: spectrum.extreme_ratio_max
    at_most: 2.0
    no_control: a stand-in
  - id: spectrum-converges-to-zero
    statement: the eigenspectrum converges to zero as training progresses
    where: II.F.5 and fig. 8a
    metric: spectrum.standard_deviation_final_share
    at_most: 0.1
    no_control: a stand-in
""",
    "fig8b": """\
claims:
  - id: zero-loss
    statement: the empirical risk converges to zero
    where: II.F.5 and fig. 8b
    metric: training.final_loss
    at_most: 1.0e-3
    control: training.max_order_parameter
  - id: full-accuracy
    statement: the training accuracy converges to 1
    where: II.F.5 and fig. 8b
    metric: training.final_accuracy
    at_least: 0.9999
    no_control: a stand-in
""",
}


def replace_once(path: Path, old: str, new: str) -> None:
    """Replace a text that must be in a file exactly once."""
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{path.name} holds {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new), "utf-8")


def copy_manifests(folder: Path, controls: bool = False) -> Path:
    """The committed manifests, without recorded runs and predictions, with a smoke profile of seconds.

    Figs. 8a and 8b keep the stages they are about, and unless asked for not those of their
    controls; they make no claims but ours.
    """
    return Path(shutil.copytree(_tiny(controls), folder))


def copy_two_figures(folder: Path) -> Path:
    """The same of figs. 8a and 8b alone, whatever others there are."""
    return Path(shutil.copytree(_two_figures(), folder))


def tiny_manifests() -> Path:
    """One copy that all tests of this process share, and none changes."""
    return _tiny(controls=False)


@functools.cache
def _tiny(controls: bool) -> Path:
    folder = _folder() / "manifests"
    shutil.copytree(MANIFESTS, folder, ignore=shutil.ignore_patterns("references", "predictions"))
    experiment = folder / "li2022" / "experiment.yaml"
    text = experiment.read_text("utf-8")
    start, end = text.index("  smoke:\n"), text.index("  desk:\n")
    experiment.write_text(text[:start] + _TINY_TRAINING + text[end:], "utf-8")
    tiny = (_TINY_CONTROLS if controls else "") + _TINY_SPECTRUM
    replace_once(folder / "li2022" / "fig8a.yaml", "    spectrum:\n      num_steps: 24\n", tiny)
    for name, stage in () if controls else CONTROLS.items():
        _drop_stage(folder / "li2022" / name, stage)
    for name, claims in _CLAIMS.items():
        path = folder / "li2022" / f"{name}.yaml"
        text = path.read_text("utf-8")
        start, end = text.index("claims:\n"), text.index("references:\n")
        path.write_text(text[:start] + claims + text[end:], "utf-8")
    return folder


@functools.cache
def _two_figures() -> Path:
    folder = copy_manifests(_folder() / "manifests")
    kept = (BOTH_STAGES, FIGURE, "li2022/paper", "li2022/experiment")
    for path in folder.glob("*/*.yaml"):
        if f"{path.parent.name}/{path.stem}" not in kept:
            path.unlink()
    shutil.rmtree(folder / "ssb2018")
    return folder


def _folder() -> Path:
    """An empty folder that is there until this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="ssbrepro-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _drop_stage(path: Path, stage: str) -> None:
    """Take a stage out of a figure, with its parameters and what is recorded of it."""
    text = path.read_text("utf-8")
    text = re.sub(rf"^  {stage}:\n(?:    .*\n)+", "", text, flags=re.MULTILINE)
    text = re.sub(
        r"^  - .*\n(?:    .*\n)*",
        lambda entry: "" if f"metric: {stage}." in entry.group() else entry.group(),
        text,
        flags=re.MULTILINE,
    )
    # Profiles are of a figure's own stages.
    text = re.sub(r"^stages:\nprofiles:\n(?:  .*\n)+", "", text, flags=re.MULTILINE)
    path.write_text(text, "utf-8")


def settings_below(folder: Path, manifests: Path | None = None) -> Settings:
    """Settings with all state below a folder and no tracking."""
    return Settings(
        home=folder / "home",
        data=folder / "data",
        data_url="http://127.0.0.1:9",  # nothing listens there
        manifests=manifests or tiny_manifests(),
        tracking_uri=NO_TRACKING,
    )


def plan_of(
    figure_id: str = FIGURE,
    seed: int = 0,
    profile: str = "smoke",
    manifests: Path | None = None,
) -> Plan:
    """The plan of a figure on the CPU."""
    shared = manifests is None or manifests == tiny_manifests()
    manifest = _tiny_figure(figure_id) if shared else Library(manifests).load(figure_id)
    return make_plan(manifest, profile, seed, facts("cpu"))


@functools.cache
def _tiny_figure(figure_id: str) -> FigureManifest:
    return Library(tiny_manifests()).load(figure_id)


NUMBERS = {
    "training.final_loss": 5e-4,
    "training.final_accuracy": 1.0,
    "spectrum.asymmetry_max": 0.05,
    "spectrum.asymmetry_noise": 0.1,
    "spectrum.extreme_ratio_max": 1.2,
    "spectrum.standard_deviation_final_share": 0.01,
    "spectrum.risk_correlation": 0.9,
    **{
        f"spectrum.{name}": 1e-7
        for name in stage_of("li2022/spectrum").numbers
        if name.endswith("residual_max")
    },
}  # fmt: skip


def numbers_of(step: Step) -> dict[str, float]:
    """Numbers that support every claim, a little different for each seed."""
    numbers = {
        name: NUMBERS.get(f"{step.stage}.{name}", 0.5) * (1 - 1e-3 * step.seed)
        for name in stage_of(step.parts["stage"]).numbers
    }
    return numbers | ({"final_accuracy": 1.0} if "final_accuracy" in numbers else {})


def arrays_of(step: Step) -> dict[str, np.ndarray]:
    """The arrays the plot modules read, plus noise so that seeds differ in their bytes."""
    noise = np.random.default_rng(step.seed).normal(size=64)
    epochs = np.arange(5)
    if step.stage == "training":
        return {
            "epoch": epochs,
            "loss": np.array([1.0, 0.5, 0.1, 0.01, 0.0]),
            "accuracy": np.array([0.5, 0.8, 0.9, 1.0, 1.0]),
            "noise": noise,
        }
    if step.stage == "spectrum_controls":
        index = np.array([0.1, 0.2, np.nan])
        return {
            f"{statistic}_{kind}": values
            for statistic in ("extremes", "odd_moment")
            for kind, values in (("index", index), ("index_intact", np.stack([index, -index], 1)))
        } | {"noise": noise}
    return {
        "epoch": np.array([0, 2, 4]),
        "num_active": np.array([48.0, 20.0, 0.0]),
        "standard_deviation": np.array([1.0, 0.5, 0.0]),
        "grid": np.linspace(-2, 2, 9),
        "linear": np.array(0.01),
        "density": np.full((3, 9), 0.5),
        "asymmetry": np.array([0.05, 0.02, np.nan]),
        "noise": noise,
    }


SERIES = {
    "training": {"loss": {"epochs": "epoch", "values": "loss"}},
    "spectrum": {"asymmetry": {"epochs": "epoch", "values": "asymmetry"}},
}


def write_result(
    step: Step,
    output: Path,
    numbers: Mapping[str, float] | None = None,
    missing: Mapping[str, str] | None = None,
) -> None:
    """What a worker would leave."""
    write_arrays(output / "arrays.npz", arrays_of(step))
    measured = numbers_of(step) | dict(numbers or {})
    content = {
        "numbers": {name: measured[name] for name in measured if name not in (missing or {})},
        "missing": dict(missing or {}),
        "series": SERIES.get(step.stage, {}),
    }
    (output / "result.json").write_text(json.dumps(content))


def store_steps(settings: Settings, steps: Iterable[Step]) -> None:
    """Their results, as if they had been computed."""
    store = Store(settings.home / "store")
    for step in steps:
        with files.partial_folder(store.folder(step.key)) as partial:
            write_result(step, partial)
            store.publish(step.key, step.parts, partial, {"seconds": 1.0, "peak_memory_bytes": 1})


def relist(path: Path) -> None:
    """Have a file of recorded runs or predictions that was changed or removed listed as it is now."""
    there = sorted(path.parent.glob("*.json"))
    listed = sums.text({one.name: files.sha256(one) for one in there})
    path.with_name(sums.SUMS).write_text(listed, "utf-8")


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """A record with a seal that is right, whatever it says."""
    path.write_bytes(sealed({name: content[name] for name in content if name != "seal"}))


STARTED = "2026-01-02T03:04:05.250+00:00"  # all that is made up

# One transparent pixel.
_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def draw_a_pixel(
    figure_id: str, arrays: Mapping[str, Any], small_print: Sequence[str], folder: Path
) -> list[Path]:
    """Instead of drawing: what matplotlib does takes a second."""
    name = figure_id.partition("/")[2]
    (folder / f"{name}.png").write_bytes(base64.b64decode(_PNG))
    (folder / f"{name}.svg").write_text(f"<svg><!-- {'; '.join(small_print)} --></svg>")
    return [folder / f"{name}.png", folder / f"{name}.svg"]


def succeed(task: Task, report: Report, **result: Any) -> int:
    """What a worker does, without computing: messages, and a published result."""
    report({"done": 1, "total": 2, "activity": "half way"})
    publish(Store(Path(task.content["store"])), task.step, **result)
    shutil.rmtree(task.scratch)
    return 0


def publish(store: Store, step: Step, **result: Any) -> None:
    """Make up a result of a step, and publish it as a worker would."""
    with files.partial_folder(store.folder(step.key)) as partial_folder:
        write_result(step, partial_folder, **result)
        taken = {"started_at": STARTED, "seconds": 0.25, "peak_memory_bytes": 2**20}
        store.publish(step.key, step.parts, partial_folder, taken)


def run_plan(
    plan: Plan,
    settings: Settings,
    engine: Engine,
    listener: "Listener",
    fresh: Collection[str] = (),
) -> list[StepOutcome]:
    """The outcomes of one plan, in its order; the first failure raises."""
    with Scheduler([plan], settings, engine, listener, fresh=fresh) as scheduler:
        list(scheduler.run())
    if scheduler.failures:
        raise StageError(*scheduler.failures[0].reason.splitlines())
    return scheduler.outcomes_of(plan)


class FakeExecutor:
    """Runs tasks in this process; ``behaviour`` replaces what a stage does."""

    def __init__(self, **behaviour: Callable[[Task, Report], int]) -> None:
        self.behaviour = behaviour
        self.tasks = 1  # at once
        self.waiting: dict[str, Task] = {}
        self.events: list[tuple[str, str]] = []

    def facts(self, device: str) -> Facts:
        return facts(device)

    def capacity(self) -> Capacity:
        return Capacity(self.tasks)

    def submit(self, task: Task) -> None:
        self.events.append(("submit", task.step.stage))
        self.waiting[task.step.key] = task

    def poll(self, report: Reports, seconds: float) -> Mapping[str, int]:
        key, task = next(iter(self.waiting.items()))
        self.events.append(("poll", task.step.stage))
        status = self.behaviour.get(task.step.stage, succeed)(task, partial(report, key))
        del self.waiting[key]
        return {key: status}

    def cancel(self, key: str) -> None:
        if (task := self.waiting.pop(key, None)) is not None:
            self.events.append(("cancel", task.step.stage))

    def abandon(self, keys: Collection[str]) -> None:
        for key in keys:
            self.cancel(key)

    @property
    def ran(self) -> list[str]:
        return [stage for event, stage in self.events if event == "submit"]


class Listener:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []
        self.messages: list[Mapping[str, Any]] = []
        self.lines: list[str] = []

    def step(self, step: Step, status: str) -> None:
        self.steps.append((step.stage, status))

    def progress(self, step: Step, message: Mapping[str, Any]) -> None:
        self.messages.append(message)

    def say(self, text: str) -> None:
        self.lines.append(text)


def recorded(
    settings: Settings, figure_id: str, seed: int = 0, alternative: str | None = None
) -> Run:
    """A figure run and recorded without computing or drawing."""
    plan = plan_of(figure_id, seed, manifests=settings.manifests)
    plan = plan if alternative is None else plan.with_alternative(alternative)
    outcomes = run_plan(plan, settings, FakeExecutor(), Listener())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("repro.outcome.recording.draw", draw_a_pixel)
        return record_run(plan, outcomes, settings)


def save_state(settings: Settings, step: Step, name: str, value: float = 0.0) -> Path:
    """A state that an unfinished step has saved, and what it was started with."""
    scratch = settings.home / "scratch" / step.key
    content = {"seed": step.seed, "facts": step.facts.parts(), "inputs": {}}
    Task(step, Needs(), scratch, content).write()
    path = scratch / f"{name}.npz"
    write_state(path, {"value": np.array(value)}, path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


CLAIM = ClaimVerdict(
    id="zero-loss",
    statement="the loss becomes 0",
    metric="training.final_loss",
    value=0.5,
    relation="at_most",
    bound=0.1,
    verdict="supported",
    reason="",
    recorded=("supported",),
)


POOLED = PooledVerdict(
    id="zero-loss",
    statement="the loss becomes 0",
    where="II.B",
    metric="training.final_loss",
    relation="at_most",
    bound=0.1,
    seeds=6,
    unsound=0,
    measured=5,
    mean=0.25,
    low=0.125,
    high=0.375,
    smallest=0.0625,
    largest=0.5,
    noise=0.03,
    control=0.75,
    no_control="",
    own={"supported": 1, "not supported": 5, "inconclusive": 0},
    verdict="not supported",
    cause="",
    reason="",
    statistics=ClaimStatistics(2, 5, 4, 6),
)


def record_of(**changes: Any) -> Record:
    """A small record of a run that never was."""
    record = Record(
        schema_version=SCHEMA_VERSION,
        id=FIGURE,
        title="Training loss and accuracy",
        alternative=None,
        profile="smoke",
        seed=0,
        device="cpu",
        recorded_at="2026-01-02T03:04:05+00:00",
        versions={"torch": "2"},
        machine=Machine("x86_64", "Linux", 2, None),
        digest="0123abcd",
        manifest={},
        steps=(RanStep("training", "k", 1.0, 2, 1, {}),),
        metrics={},
        missing={},
        series={},
        status="as recorded",
        failures=(),
        identities=(),
        claims=(CLAIM,),
        references=(),
        files=(),
    )
    return replace(record, **changes)


def recorded_run_of(
    seed: int = 0,
    processor: str = "",
    metrics: Mapping[str, float] | None = None,
    missing: Mapping[str, str] | None = None,
    **changes: Any,
) -> RecordedRun:
    """A recorded run of a machine that never was."""
    run = RecordedRun(
        seed=seed,
        recorded_at="2026-01-02T03:04:05+00:00",
        device="cpu",
        versions={"torch": "2"},
        machine=Machine("x86_64", "Linux", 2, None, processor),
        metrics=metrics or {},
        missing=missing or {},
        claims={},
        steps=(RecordedStep("training", 1.0, 2, 1),),
    )
    return replace(run, **changes)


def hidden(folder: Path) -> list[Path]:
    """Files and folders written aside that nobody finished or removed."""
    return [path for path in folder.rglob(".*") if path.exists()]
