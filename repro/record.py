"""The record of a run: the one truth that verdict tables, reports and MLflow are filled from.

``runs/<figure>/<profile>-seed<n>-<digest>/`` holds ``record.json``, ``verdicts.json`` and the figure
as PNG and SVG. The digest covers everything the folder's content follows from.
"""

import datetime
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from repro import __version__, files, wording
from repro.checks import FAILED, NOT_RECORDED, Verdicts, judge, tally
from repro.code import module_digests
from repro.drawing import draw, plot_module
from repro.errors import StoreError
from repro.plan import Plan
from repro.references import recorded_runs
from repro.scheduler import StepOutcome
from repro.settings import Settings
from repro.store import ARRAYS, Store

RECORD, VERDICTS, TRACKED = "record.json", "verdicts.json", "tracked.json"
_SCHEMA_VERSION = 2  # 1 had one word for what the paper says and what the artifact does


@dataclass(frozen=True)
class Run:
    """A recorded run: the home it is in, its folder there, and the content of its record."""

    home: Path
    folder: Path
    record: Mapping[str, Any]

    @property
    def alternative(self) -> str | None:
        """Which alternative was applied; none in a run as declared."""
        alternative: str | None = self.record["alternative"]
        return alternative

    def artifacts(self) -> list[Path]:
        """Every file of the run: figure, verdicts, record, and the arrays behind them."""
        own = [self.folder / name for name in self.record["files"]]
        return own + [self.step_folder(step) / ARRAYS for step in self.record["steps"]]

    def step_folder(self, step: Mapping[str, Any]) -> Path:
        """Where the result of one of its steps is stored."""
        return Store(self.home / "store").folder(step["key"])

    def summary(self, statuses: Mapping[str, str]) -> dict[str, Any]:
        """The entry of this figure in ``--json``; ``statuses`` says which steps ran just now."""
        steps = [
            {
                "stage": step["stage"],
                "key": step["key"],
                "status": statuses[step["stage"]],
                "seconds": step["seconds"],
            }
            for step in self.record["steps"]
        ]
        names = ("id", "profile", "seed", "status", "failures", "metrics")
        verdicts = ("identities", "claims", "references")
        return {
            **{name: self.record[name] for name in names},
            "verdicts": tally(self.record["claims"]),
            **{name: self.record[name] for name in verdicts},
            "steps": steps,
            "artifacts": [str(path) for path in self.artifacts()],
        }


def record_run(plan: Plan, outcomes: Sequence[StepOutcome], settings: Settings) -> Run:
    """Judge, draw and record a finished plan, or find that this has been done.

    Raises:
        StoreError: If it cannot be written.
    """
    references = recorded_runs(plan.manifest, plan.profile)
    content = plan.manifest.content(plan.profile)
    identity = {
        "content": content,
        "steps": [outcome.step.key for outcome in outcomes],
        "references": references,
        "plot": module_digests(plot_module(plan.manifest.id)),
        "harness": module_digests("repro.record"),
    }
    digest = files.canonical_digest(identity)
    name = f"{plan.profile}-seed{plan.seed}-{digest[:12]}"
    folder = settings.home / "runs" / plan.manifest.id / name
    with Store(settings.home / "store").lock(digest):
        known = all(outcome.status == "stored" for outcome in outcomes)
        if known and (run := _existing(settings.home, folder)):
            return run
        metrics, missing = _merged(outcomes, "numbers"), _merged(outcomes, "missing")
        verdicts = judge(plan.manifest.figure, metrics, missing, references)
        status, failures = verdicts.status, verdicts.failures
        if plan.manifest.alternative is not None:
            # Nobody claims or has recorded anything of it: all it can fail is its own identities.
            failures = verdicts.violations
            status = FAILED if failures else NOT_RECORDED
        with files.partial_folder(folder) as unfinished:
            with files.writing(folder):
                pictures = draw(
                    plan.manifest.id,
                    {outcome.step.stage: outcome.result.arrays for outcome in outcomes},
                    _small_print(plan, verdicts),
                    unfinished,
                )
            record = {
                **_circumstances(plan),
                "digest": digest,
                "manifest": content,
                "steps": [_step(outcome) for outcome in outcomes],
                "metrics": metrics,
                "missing": missing,
                "series": _series(outcomes),
                "status": status,
                "failures": failures,
                **verdicts.as_data(),
                "files": [*(path.name for path in pictures), VERDICTS, RECORD],
            }
            judged = {"status": status, "failures": failures, **verdicts.as_data()}
            files.write_json(unfinished / VERDICTS, judged)
            files.write_json(unfinished / RECORD, record)
            files.publish(unfinished, folder)
    return Run(settings.home, folder, record)


def all_runs(settings: Settings) -> list[Run]:
    """Every readable run of this schema, oldest first."""
    paths = settings.home.glob(f"runs/*/*/[!.]*/{RECORD}")  # not what a killed process left
    runs = [run for path in paths if (run := _existing(settings.home, path.parent))]
    return sorted(runs, key=lambda run: str(run.record["recorded_at"]))


def _circumstances(plan: Plan) -> dict[str, Any]:
    """What was run, when, with which releases, and on what machine."""
    return {
        "schema_version": _SCHEMA_VERSION,
        "id": plan.manifest.id,
        "title": plan.manifest.figure.title,
        "alternative": plan.manifest.alternative,
        "profile": plan.profile,
        "seed": plan.seed,
        "device": plan.facts.device,
        "recorded_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {
            "ssbrepro": __version__,
            "python": platform.python_version(),
            **plan.facts.libraries,
        },
        "machine": {
            "architecture": plan.facts.architecture,
            "system": platform.system(),
            "cores": os.cpu_count(),
            "image": os.environ.get("SSBREPRO_IMAGE"),
        },
    }


def _existing(home: Path, folder: Path) -> Run | None:
    try:
        run = Run(home, folder, files.read_json(folder / RECORD))
        whole = run.record["schema_version"] == _SCHEMA_VERSION and all(
            path.exists() for path in run.artifacts()
        )
    except (StoreError, KeyError, TypeError):  # damaged: it is made again
        return None
    return run if whole else None


def _merged(outcomes: Sequence[StepOutcome], kind: str) -> dict[str, Any]:
    """Numbers or reasons of all steps, named "stage.number"."""
    return {
        f"{outcome.step.stage}.{name}": value
        for outcome in outcomes
        for name, value in getattr(outcome.result, kind).items()
    }


def _step(outcome: StepOutcome) -> dict[str, Any]:
    meta = outcome.result.meta
    return {
        "stage": outcome.step.stage,
        "key": outcome.step.key,
        "seconds": meta["seconds"],
        "peak_memory_bytes": meta["peak_memory_bytes"],
        "threads": outcome.step.facts.threads,
        "digests": meta["digests"],
    }


def _series(outcomes: Sequence[StepOutcome]) -> dict[str, dict[str, list[float]]]:
    """Curves over epochs of all steps; where a value is undefined there is no point."""
    import numpy as np

    curves = {}
    for outcome in outcomes:
        for name, series in outcome.result.content["series"].items():
            epochs, values = (outcome.result.arrays[series[part]] for part in ("epochs", "values"))
            kept = np.isfinite(values)
            curves[f"{outcome.step.stage}.{name}"] = {
                "epochs": epochs[kept].tolist(),
                "values": values[kept].tolist(),
            }
    return curves


def _small_print(plan: Plan, verdicts: Verdicts) -> str:
    """Figure, alternative, profile, seed, number of examples, and each claim's verdict."""
    sizes = {
        step.parameters["num_examples"] for step in plan.steps if "num_examples" in step.parameters
    }
    size = "".join(f" · n = {number:,} examples" for number in sorted(sizes))
    lines = [f"{plan.name} · profile {plan.profile} · seed {plan.seed}{size}"]
    for claim in verdicts.claims:
        lines.append(
            f"{claim.id}: {wording.number(claim.value)} "
            f"({wording.bound(asdict(claim))} claimed): {claim.verdict}"
        )
    return "\n".join(lines)
