"""Running figures for the command line: compute, record, show and track, here or in the container."""

import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.console import Console

from repro import files, kernels
from repro.budget import Budget
from repro.engines.engine import Engine, Needs
from repro.errors import ReproError, StageError, TrackingError
from repro.explain import StoredParts
from repro.forecast import Forecast
from repro.outcome import wording
from repro.outcome.console import say, show_alternative, show_not_computable, show_run
from repro.outcome.entries import Done, FigureEntry, figure_entry, not_computable_entry
from repro.outcome.reading import DamagedRun, all_runs
from repro.outcome.record import Run
from repro.outcome.recording import record_run
from repro.outcome.references import RecordedStep, recorded_steps
from repro.outcome.screen import Screen
from repro.plan import Plan, Step
from repro.scheduler import Failure, Scheduler
from repro.selection import Choice
from repro.settings import NO_TRACKING, Settings
from repro.store import Store
from repro.transfer import Transfer
from ssbrepro.data import DataError, Dataset

if TYPE_CHECKING:
    from repro.outcome.tracking import Sender


class Runner:
    """Runs figures on an engine; results are said on ``out``, progress on ``err``.

    Args:
        settings: Where things are.
        engine: What runs the steps.
        out: For results.
        err: For progress.
        expected: What steps take, by key, as far as it is recorded.
        fresh: Keys of steps to compute even if they are stored.
        budget: When to stop.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        out: Console,
        err: Console,
        expected: Mapping[str, Needs] | None = None,
        fresh: Collection[str] = (),
        budget: Budget | None = None,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.out = out
        self.err = err
        self.expected = expected or {}
        self.fresh = fresh
        self.budget = budget
        self.failures: list[Failure] = []
        self.left: list[Step] = []
        self._tracking_failed = False

    def run(self, choices: Sequence[Choice], profile: str) -> Iterator[tuple[int, FigureEntry]]:
        """Run figures as declared and with their alternatives; each is shown once it is complete.

        Yields:
            The index of each choice with its entry for ``--json``, as they are completed.
        """
        plans: list[Plan] = []
        choice_of: list[int] = []
        for number, choice in enumerate(choices):
            if isinstance(choice.declared, Plan):
                plans += [choice.declared, *choice.alternatives]
                choice_of += [number] * (1 + len(choice.alternatives))
        done: dict[int, Done] = {}
        for index, one in self.record(plans):
            done[index] = one
            number = choice_of[index]
            own = [index for index, owner in enumerate(choice_of) if owner == number]
            if all(index in done for index in own):
                declared, *others = (done[index] for index in own)
                self._show(declared, others)
                yield number, figure_entry(declared, others)
        for number, choice in enumerate(choices):
            if not isinstance(choice.declared, Plan):
                show_not_computable(self.out, choice.id, choice.declared)
                yield number, not_computable_entry(choice.id, profile, choice.seed)

    def record(self, plans: Sequence[Plan]) -> Iterator[tuple[int, Done]]:
        """Run plans, and record each once its steps are done; :meth:`conclude` says how it ended.

        Yields:
            The index of each plan with its run, as they are completed.
        """
        if not plans:
            return
        say(self.err, _title(plans))
        told: set[str] = set()  # what one figure has computed is stored for all others
        forecast = Forecast(
            {key: one.seconds for key, one in self.expected.items()},
            {step.key: tuple(step.inputs.values()) for plan in plans for step in plan.steps},
            self.engine.capacity().tasks,
        )
        screen = Screen(self.err, forecast, plans)
        scheduler = Scheduler(
            plans, self.settings, self.engine, screen, self.expected, self.fresh, self.budget
        )
        with scheduler, screen:  # which leaves the terminal first: an engine may have a question
            for index in scheduler.run():
                outcomes = scheduler.outcomes_of(plans[index])
                recorded = record_run(plans[index], outcomes, self.settings, screen.say)
                statuses = {
                    outcome.step.stage: "stored" if outcome.step.key in told else outcome.status
                    for outcome in outcomes
                }
                told |= {outcome.step.key for outcome in outcomes}
                with screen.hidden():
                    yield index, Done(recorded, statuses)
        self.failures, self.left = scheduler.failures, scheduler.unfinished()
        self._say_how_it_ended(len(scheduler.outcomes), forecast)

    def conclude(self) -> None:
        """End a command as its steps did.

        Raises:
            StageError: If any has failed, with every reason.
        """
        if self.failures:
            raise StageError(*(line for one in self.failures for line in one.reason.splitlines()))

    def left_data(self) -> dict[str, Any]:
        """What ``--json`` says of the steps that are not done: nothing if all are."""
        return {"left": [step.key for step in self.left]} if self.left else {}

    def _say_how_it_ended(self, num_done: int, forecast: Forecast) -> None:
        """What was not done, unless it is one step alone that failed, which says so itself."""
        if len(self.left) <= len(self.failures) and num_done == 0:
            return
        if self.failures:
            never = len(self.left) - len(self.failures)
            say(
                self.err,
                f"{wording.counted(num_done, 'step')} done, {len(self.failures)} failed, "
                f"{never} never started; what is done is kept",
            )
            for failure in self.failures:
                if failure.dependants:
                    names = ", ".join(dict.fromkeys(one.stage for one in failure.dependants))
                    say(self.err, f"  without {failure.step.stage}: {names}")
        elif self.left:
            seconds = forecast.remaining(time.monotonic())
            about = "" if seconds is None else f", {wording.about(seconds)}"
            say(
                self.err,
                f"the budget is used: {wording.counted(num_done, 'step')} done, "
                f"{len(self.left)} left{about}; the same command continues",
            )

    def _show(self, declared: Done, others: Sequence[Done]) -> None:
        show_run(self.out, declared.run.record)
        self._finish(declared.run)
        for other in others:
            show_alternative(self.out, declared.run.record, other.run.record)
            self._finish(other.run)

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
        for recorded in all_runs(self.settings, partial(say, self.err)):
            self.track(recorded)
        return status, content

    def track(self, recorded: Run) -> None:
        """Send a run to MLflow; where that fails, say so.

        What failed once is not tried again by the same command.
        """
        from repro.outcome.tracking import track

        if self.settings.tracking_uri == NO_TRACKING or self._tracking_failed:
            return
        try:
            track(recorded, self.settings, self.sender)
        except DamagedRun as error:
            say(self.err, f"{error}: not sent; {error.way_out}")
        except TrackingError as error:
            self._tracking_failed = True
            self.err.print(
                str(error), style="yellow", highlight=False, markup=False, soft_wrap=True
            )
            self.err.print("  the run is complete and recorded; `repro track` sends it later")

    @cached_property
    def sender(self) -> "Sender":
        """What sends runs to MLflow."""
        from repro.outcome.tracking import Sender

        return Sender(self.settings, partial(say, self.err))

    def _finish(self, recorded: Run) -> None:
        say(self.out, f"  figure and record in {recorded.folder}")
        self.track(recorded)


def announce(
    plans: Iterable[Plan], anew: Collection[str], store: Store, err: Console
) -> dict[str, Needs]:
    """Say on ``err`` how long it takes to compute what is not stored, and why if that is a surprise.

    Args:
        plans: All that a command is to run.
        anew: Keys of steps to compute even if they are stored.
        store: What is stored.
        err: Where to say it.

    Returns:
        What each step that is to be computed is expected to take, by key.
    """
    plans = list(plans)
    past = _recorded_steps(plans)
    steps = {
        step.key: step
        for plan in plans
        for step in plan.steps
        if step.key in anew or not store.has(step.key)
    }
    expected = {key: _usual(past[key]) for key in steps}
    if steps:
        say(
            err,
            _estimate(
                [one.seconds for one in expected.values()],
                {one.threads for key in steps for one in past[key]},
            ),
        )
        stored = StoredParts(store.metas(), (step for plan in plans for step in plan.steps))
        for line in stored.computed_anew(step for step in steps.values() if step.key not in anew):
            say(err, line)
    return expected


def _recorded_steps(plans: Iterable[Plan]) -> dict[str, list[RecordedStep]]:
    """What each step of any of the plans took in recorded runs, by key.

    Figures that share a step have recorded it with other seeds, it may be: all of them count.
    """
    read: dict[tuple[str, str], dict[str, list[RecordedStep]]] = {}
    found: dict[str, list[RecordedStep]] = {}
    for plan in plans:
        subject = plan.name, plan.profile
        if subject not in read:
            read[subject] = recorded_steps(plan.manifest, plan.profile, plan.facts)
        for step in plan.steps:
            found.setdefault(step.key, []).extend(read[subject].get(step.stage, ()))
    return found


def _usual(past: Sequence[RecordedStep]) -> Needs:
    """The seconds that a step usually took, and the most memory that it ever did."""
    if not past:
        return Needs()
    return Needs(median(one.seconds for one in past), max(one.peak_memory_bytes for one in past))


def _title(plans: Sequence[Plan]) -> str:
    """What a command runs: one figure by its title, of more how many."""
    first = plans[0]
    seeds = sorted({plan.seed for plan in plans})
    at = f"at {first.profile}, seed{'s' if len(seeds) > 1 else ''} {wording.ranges(seeds)}"
    names = list(dict.fromkeys(plan.name for plan in plans))
    if len(names) == 1:
        return f"{first.name} {at}: {first.manifest.figure.title}"
    return f"{len(names)} figures {at}"


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
            line = " ".join(str(error).split())  # a server's own words may be in it
            raise ReproError(
                f"{line}; the same command tries again, with SSBREPRO_DATA_URL=URL from a mirror; "
                f"SSBREPRO_DATA=FOLDER names a folder that holds the official files"
            ) from error
