"""Running figures for the command line: compute, record, show and track, here or in the container."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from repro import files, kernels
from repro.checks import FAILED, changed_claims, tally
from repro.console import Screen, say, show_alternative, show_not_computable, show_run
from repro.errors import ReproError, TrackingError
from repro.execution import Executor, run_plan
from repro.plan import NoPlan, Plan
from repro.record import Run, all_runs, record_run
from repro.settings import NO_TRACKING, Settings


@dataclass(frozen=True)
class Runner:
    """Runs figures with an executor; results are said on ``out``, progress on ``err``."""

    settings: Settings
    executor: Executor
    out: Console
    err: Console

    def run(
        self, wanted: Plan | NoPlan, alternatives: Sequence[Plan], fresh: bool
    ) -> dict[str, Any]:
        """A figure as declared and with each alternative; returns its entry for ``--json``.

        It fails by its own verdicts. With an alternative, only exact identities can fail it: which
        claims then hold is what was to be found out.
        """
        if isinstance(wanted, NoPlan):
            show_not_computable(self.out, wanted.manifest)
            return _entry_of_nothing(wanted)
        shared = {step.key for step in wanted.steps}
        recorded, entry = self.record(wanted, shared if fresh else ())
        show_run(self.out, entry)
        self._finish(recorded)
        entry["alternatives"] = []
        for plan in alternatives:
            own = {step.key for step in plan.steps} - shared
            recorded, other = self.record(plan, own if fresh else ())
            changed = changed_claims(entry["claims"], other["claims"])
            names = ("metrics", "verdicts", "identities", "claims", "steps", "artifacts")
            name = recorded.alternative
            part = {"alternative": name, "changed": changed, "status": other["status"]}
            part |= {name: other[name] for name in names}
            show_alternative(self.out, entry, part)
            self._finish(recorded)
            entry["alternatives"].append(part)
            if other["status"] == FAILED:
                entry["status"] = FAILED
                entry["failures"] += [f"with {name}: {failure}" for failure in other["failures"]]
        return entry

    def record(self, plan: Plan, fresh: Collection[str] = ()) -> tuple[Run, dict[str, Any]]:
        """Run and record a plan; ``fresh`` holds keys of steps to compute even if they are stored.

        Returns:
            The run, and what ``--json`` shows of it.
        """
        self.err.print(
            f"[bold]{escape(plan.name)}[/] at {plan.profile}, seed {plan.seed}: "
            f"{escape(plan.manifest.figure.title)}"
        )
        with Screen(self.err) as screen:
            outcomes = run_plan(plan, self.settings, self.executor, screen, fresh)
        recorded = record_run(plan, outcomes, self.settings)
        return recorded, recorded.summary({o.step.stage: o.status for o in outcomes})

    def run_in_container(
        self, arguments: Sequence[str], image: str
    ) -> tuple[int, list[dict[str, Any]]]:
        """Run in the image; what it recorded is tracked from here, where MLflow's paths are right.

        Returns:
            The exit status, and the entries for ``--json`` as far as there are any.
        """
        from repro.container import run_in_container

        home = self.settings.home
        name = ".container-outcome.json"
        outcome = home / name
        outcome.unlink(missing_ok=True)
        if self.settings.data_is_ours:  # the container itself has no network
            fetch(self.settings)
        status = run_in_container(
            ["run", *arguments, "--json", f"/state/{name}"],
            image=image,
            home=home,
            manifests=self.settings.manifests,
            data=self.settings.data,
            environment={
                "MLFLOW_TRACKING_URI": NO_TRACKING,
                kernels.VARIABLE: os.environ.get(kernels.VARIABLE, ""),
            },
        )
        if not outcome.exists():
            return status, []
        entries: list[dict[str, Any]] = files.read_json(outcome)["figures"]
        outcome.unlink()
        for entry in entries:
            for part in (entry, *entry["alternatives"]):
                paths = [Path(path).relative_to("/state") for path in part["artifacts"]]
                part["artifacts"] = [str(home / path) for path in paths]
        for recorded in all_runs(self.settings):
            self.track(recorded, strict=False)
        return status, entries

    def track(self, recorded: Run, strict: bool) -> None:
        """Send a run to MLflow; where that fails, say so, or raise if ``strict``.

        Raises:
            TrackingError: If MLflow cannot be reached or refuses.
        """
        from repro.tracking import track

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


def fetch(settings: Settings) -> None:
    """Download what is missing or damaged of CIFAR-10.

    Raises:
        ReproError: If that fails; it names the way out.
    """
    from ssbrepro.data import cifar10

    try:
        cifar10.fetch(settings.data)
    except cifar10.DataError as error:
        raise ReproError(
            f"{error}\nwith the official cifar-10-batches-py at hand, "
            f"name the folder that holds it: SSBREPRO_DATA=FOLDER"
        ) from error


def _entry_of_nothing(wanted: NoPlan) -> dict[str, Any]:
    """The entry for ``--json`` of a figure that nothing computes."""
    kinds = ("identities", "claims", "references", "steps", "artifacts", "alternatives")
    return {
        "id": wanted.manifest.id,
        "profile": wanted.profile,
        "seed": wanted.seed,
        "status": wanted.manifest.figure.kind,
        "failures": [],
        "metrics": {},
        "verdicts": tally([]),
        **{kind: [] for kind in kinds},
    }
