"""Running figures for the command line: compute, record, show and track, here or in the container."""

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape

from repro import files, kernels
from repro.engines.engine import Engine
from repro.errors import ReproError, TrackingError
from repro.explain import StoredParts
from repro.forecast import Forecast
from repro.outcome import wording
from repro.outcome.console import say, show_alternative, show_run
from repro.outcome.entries import Done, FigureEntry, figure_entry
from repro.outcome.record import Run, all_runs
from repro.outcome.recording import record_run
from repro.outcome.references import RecordedStep, recorded_steps
from repro.outcome.screen import Screen
from repro.plan import Plan
from repro.scheduler import run_plan
from repro.settings import NO_TRACKING, Settings
from repro.store import Store
from repro.transfer import Transfer
from ssbrepro.data import DataError, Dataset


@dataclass(frozen=True)
class Runner:
    """Runs figures on an engine; results are said on ``out``, progress on ``err``.

    ``fresh`` holds keys of steps to compute even if they are stored, until that is done.
    """

    settings: Settings
    engine: Engine
    out: Console
    err: Console
    forecast: Forecast
    fresh: set[str]

    def run(self, wanted: Plan, alternatives: Sequence[Plan]) -> FigureEntry:
        """A figure as declared and with each alternative; returns its entry for ``--json``."""
        declared = self.record(wanted)
        show_run(self.out, declared.run.record)
        self._finish(declared.run)
        others = []
        for plan in alternatives:
            other = self.record(plan)
            show_alternative(self.out, declared.run.record, other.run.record)
            self._finish(other.run)
            others.append(other)
        return figure_entry(declared, others)

    def record(self, plan: Plan) -> Done:
        """Run and record a plan."""
        self.err.print(
            f"[bold]{escape(plan.name)}[/] at {plan.profile}, seed {plan.seed}: "
            f"{escape(plan.manifest.figure.title)}",
            soft_wrap=True,
        )
        with Screen(self.err, self.forecast) as screen:
            outcomes = run_plan(plan, self.settings, self.engine, screen, self.fresh)
        self.fresh.difference_update(step.key for step in plan.steps)
        recorded = record_run(plan, outcomes, self.settings)
        return Done(recorded, {outcome.step.stage: outcome.status for outcome in outcomes})

    def run_in_container(self, arguments: Sequence[str], image: str) -> tuple[int, dict[str, Any]]:
        """Run in the image; what it recorded is tracked from here, since it reaches no server.

        Returns:
            The exit status, and what ``--json`` is to hold as far as there is any.
        """
        from repro.container import run_in_container

        home = self.settings.home
        name = ".container-outcome.json"
        outcome = home / name
        outcome.unlink(missing_ok=True)
        status = run_in_container(
            ["run", *arguments, "--json", f"/state/{name}"],
            image=image,
            home=home,
            manifests=self.settings.manifests,
            data=self.settings.data,
            output=self.out.file,
            environment={
                "MLFLOW_TRACKING_URI": NO_TRACKING,
                kernels.VARIABLE: os.environ.get(kernels.VARIABLE, ""),
            },
        )
        if not outcome.exists():
            return status, {}
        content: dict[str, Any] = files.read_json(outcome)
        outcome.unlink()
        for entry in content["figures"]:
            for part in (entry, *entry["alternatives"]):
                paths = [Path(path).relative_to("/state") for path in part["artifacts"]]
                part["artifacts"] = [str(home / path) for path in paths]
        for recorded in all_runs(self.settings):
            self.track(recorded, strict=False)
        return status, content

    def track(self, recorded: Run, strict: bool) -> None:
        """Send a run to MLflow; where that fails, say so, or raise if ``strict``.

        Raises:
            TrackingError: If MLflow cannot be reached or refuses.
        """
        from repro.outcome.tracking import track

        if self.settings.tracking_uri == NO_TRACKING:
            return
        try:
            track(recorded, self.settings)
        except TrackingError as error:
            if strict:
                raise
            self.err.print(
                str(error), style="yellow", highlight=False, markup=False, soft_wrap=True
            )
            self.err.print("  the run is complete and recorded; `repro track` sends it later")

    def _finish(self, recorded: Run) -> None:
        say(self.out, f"  figure and record in {recorded.folder}")
        self.track(recorded, strict=False)


def announce(plans: Iterable[Plan], anew: Collection[str], store: Store, err: Console) -> Forecast:
    """Say on ``err`` how long it takes to compute what is not stored, and why if that is a surprise.

    Args:
        plans: All that a command is to run.
        anew: Keys of steps to compute even if they are stored.
        store: What is stored.
        err: Where to say it.
    """
    plans = list(plans)
    past = _recorded_steps(plans)
    steps = {
        step.key: step
        for plan in plans
        for step in plan.steps
        if step.key in anew or not store.has(step.key)
    }
    expected = {key: _usual_seconds(past[key]) for key in steps}
    if steps:
        say(
            err,
            _estimate(expected.values(), {one.threads for key in steps for one in past[key]}),
        )
        stored = StoredParts(store.metas(), (step for plan in plans for step in plan.steps))
        for line in stored.computed_anew(step for step in steps.values() if step.key not in anew):
            say(err, line)
    return Forecast(expected)


def _recorded_steps(plans: Iterable[Plan]) -> dict[str, list[RecordedStep]]:
    """What each step of any of the plans took in recorded runs, by key.

    Figures that share a step have recorded it with other seeds, it may be: all of them count.
    """
    read: dict[tuple[str, str], dict[str, list[RecordedStep]]] = {}
    found: dict[str, list[RecordedStep]] = {}
    for plan in plans:
        subject = plan.name, plan.profile
        if subject not in read:
            read[subject] = recorded_steps(plan.manifest, plan.profile)
        for step in plan.steps:
            found.setdefault(step.key, []).extend(read[subject].get(step.stage, ()))
    return found


def _usual_seconds(past: Sequence[RecordedStep]) -> float | None:
    return median(one.seconds for one in past) if past else None


def _estimate(expected: Collection[float | None], threads: Collection[int]) -> str:
    """How long the steps of a command take, and of how many nothing is known."""
    known = [seconds for seconds in expected if seconds is not None]
    if not known:
        steps = wording.counted(len(expected), "step")
        return f"{steps} to compute; how long that takes is not recorded"
    text = f"{wording.about(sum(known))} for {wording.counted(len(known), 'step')}"
    numbers = " or ".join(map(str, sorted(threads)))
    text += f", as recorded with {numbers} {'thread' if numbers == '1' else 'threads'}"
    unknown = len(expected) - len(known)
    return text + (
        f"; of {wording.counted(unknown, 'step')} nothing is recorded" if unknown else ""
    )


def fetch(dataset: Dataset, settings: Settings, err: Console) -> None:
    """Download what is missing or damaged of a dataset; progress is shown on ``err``.

    Raises:
        ReproError: If that fails; it names the way out.
    """
    with Transfer(err) as transfer:
        try:
            dataset.fetch(settings.data, settings.data_url, transfer.progress)
        except DataError as error:
            raise ReproError(
                f"{error}; the same command tries again, with SSBREPRO_DATA_URL=URL from a mirror; "
                f"SSBREPRO_DATA=FOLDER names a folder that holds the official files"
            ) from error
