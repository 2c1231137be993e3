"""Making the record of a run: judge what was measured, draw the figure, and write it all down.

A run that is recorded is judged again nevertheless, from results that the store has just compared with
their digests: a record that says anything else is set aside, whatever its seal.
"""

import datetime
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from repro import files
from repro.code import commit, module_digests
from repro.machine import processor
from repro.names import plot_module
from repro.outcome import wording
from repro.outcome.checks import judge
from repro.outcome.drawing import draw
from repro.outcome.pooling import pool_runs, seeds_of
from repro.outcome.predictions import frozen_predictions, judge_predictions
from repro.outcome.reading import (
    DamagedRun,
    RunOfAnotherRelease,
    read_run,
)
from repro.outcome.record import (
    RECORD,
    SCHEMA_VERSION,
    VERDICTS,
    Circumstances,
    Curve,
    Machine,
    RanStep,
    Record,
    Run,
)
from repro.outcome.references import RecordedRun, recorded_runs
from repro.outcome.sealing import sealed
from repro.outcome.verdicts import FAILED, NOT_RECORDED, Verdicts
from repro.plan import Plan
from repro.scheduler import StepOutcome
from repro.settings import Settings
from repro.store import Store
from ssbrepro import __version__

_JUDGED = ("status", "failures", "identities", "claims", "references", "predictions")


def digest_of(plan: Plan) -> str:
    """Of all that the record of a plan's run follows from; it is told before anything is run.

    Raises:
        StoreError: If the file of recorded runs, or that of predictions, is damaged.
    """
    predictions = frozen_predictions(plan.manifest)
    return files.canonical_digest(
        {
            "content": plan.manifest.content(plan.profile),
            "steps": [step.key for step in plan.steps],
            "references": [asdict(run) for run in recorded_runs(plan.manifest, plan.profile)],
            "predictions": predictions and predictions.digest,
            "plot": module_digests(plot_module(plan.manifest.id)),
            "harness": module_digests(__name__),
        }
    )


def record_run(
    plan: Plan,
    outcomes: Sequence[StepOutcome],
    settings: Settings,
    say: Callable[[str], None] = lambda text: None,
) -> Run:
    """Judge, draw and record a finished plan, or find that this has been done.

    Args:
        plan: What was run.
        outcomes: Of its steps, with results that are whole.
        settings: Where to record it.
        say: Told of each record of this figure, profile and seed that is damaged, and where it is now.

    Raises:
        StoreError: If it cannot be written.
    """
    references = recorded_runs(plan.manifest, plan.profile)
    digest = digest_of(plan)
    name = f"{plan.profile}-seed{plan.seed}-{digest[:12]}"
    folder = settings.home / "runs" / plan.manifest.id / name
    store = Store(settings.home / "store")
    _set_aside_others(folder, store, say)
    verdicts = judge(
        plan.manifest.figure,
        _metrics(outcomes),
        _missing(outcomes),
        references,
        plan.manifest.domains,
    )
    follows = _follows(plan, outcomes, verdicts)
    with store.lock(digest):
        found = _found(settings.home, folder, follows, partial(_set_aside, store, digest, say))
        if found and all(outcome.status == "stored" for outcome in outcomes):
            return found
        with files.partial_folder(folder) as unfinished:
            with files.writing(folder):
                pictures = draw(
                    plan.manifest.id,
                    {outcome.step.stage: outcome.result.arrays for outcome in outcomes},
                    _small_print(plan, verdicts, references),
                    unfinished,
                )
            record = Record(
                **vars(_circumstances(plan, outcomes)),
                **follows,
                digest=digest,
                series=_series(outcomes),
                files=(*(path.name for path in pictures), VERDICTS, RECORD),
            )
            _write(record, unfinished)
            files.publish(unfinished, folder)
    return Run(settings.home, folder, read_run(folder))


def _follows(plan: Plan, outcomes: Sequence[StepOutcome], verdicts: Verdicts) -> dict[str, Any]:
    """The fields of a record that hang on nothing but the plan and its results."""
    metrics = _metrics(outcomes)
    status, failures = verdicts.status, verdicts.failures
    if plan.manifest.alternative is not None:
        # Nobody claims or has recorded anything of it: all it can fail is its own identities.
        failures = verdicts.violations
        status = FAILED if failures else NOT_RECORDED
    return {
        # As it is read back, where tuples are lists.
        "manifest": json.loads(json.dumps(plan.manifest.content(plan.profile))),
        "steps": tuple(_step(outcome) for outcome in outcomes),
        "metrics": metrics,
        "missing": _missing(outcomes),
        "status": status,
        "failures": tuple(failures),
        "identities": verdicts.identities,
        "claims": verdicts.claims,
        "references": verdicts.references,
        "predictions": judge_predictions(plan.manifest, plan.profile, metrics),
    }


def _write(record: Record, folder: Path) -> None:
    """The verdicts, and the record with the digests of all files in a folder."""
    data = record.as_data()
    files.write_json(folder / VERDICTS, {name: data[name] for name in _JUDGED})
    with files.writing(folder):
        digests = {name: files.sha256(folder / name) for name in record.files if name != RECORD}
    del data["seal"]
    files.write_bytes(folder / RECORD, sealed({**data, "digests": digests}))


def _found(
    home: Path, folder: Path, follows: Mapping[str, Any], set_aside: Callable[[Path, str], None]
) -> Run | None:
    """The run that is recorded, if it says what follows from the results; another one is set aside."""
    try:
        run = Run(home, folder, read_run(folder))
    except RunOfAnotherRelease:
        return None
    except DamagedRun as error:
        if folder.is_dir():
            set_aside(folder, str(error))
        return None
    if run.record.steps != follows["steps"]:  # whose results were computed again since
        return None
    for name, value in follows.items():
        if getattr(run.record, name) != value:
            set_aside(folder, f"{folder / RECORD}: {name}: is not what the stored results give")
            return None
    return run


def _set_aside_others(folder: Path, store: Store, say: Callable[[str], None]) -> None:
    """Damaged records of the same figure, profile and seed, which this run is to take the place of."""
    subject, _, own = folder.name.rpartition("-")
    for other in folder.parent.glob(f"{subject}-{'[0-9a-f]' * len(own)}"):
        start = other.name.rpartition("-")[2]
        if start == own:
            continue
        with store.lock_if_free(lock := store.lock_beginning(start) or other.name) as free:
            try:
                if free:
                    read_run(other)
            except DamagedRun as error:
                _set_aside(store, lock, say, other, str(error))
            except RunOfAnotherRelease:
                continue


def _set_aside(
    store: Store, key: str, say: Callable[[str], None], folder: Path, problem: str
) -> None:
    say(f"{problem}; set aside as {store.set_aside(folder, key)}")


def _circumstances(plan: Plan, outcomes: Sequence[StepOutcome]) -> Circumstances:
    return Circumstances(
        schema_version=SCHEMA_VERSION,
        id=plan.manifest.id,
        title=plan.manifest.figure.title,
        alternative=plan.manifest.alternative,
        profile=plan.profile,
        seed=plan.seed,
        device=plan.facts.device,
        recorded_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions={
            "ssbrepro": __version__,
            "python": platform.python_version(),
            **plan.facts.libraries,
        },
        machine=Machine(
            architecture=plan.facts.architecture,
            system=platform.system(),
            cores=os.cpu_count(),
            image=os.environ.get("SSBREPRO_IMAGE"),
            processor=_processor(outcomes),
            instructions=plan.facts.instructions,
            gpu=plan.facts.gpu.get("model", ""),
            limits=plan.facts.limits,
        ),
        commit=commit(),
    )


def _processor(outcomes: Sequence[StepOutcome]) -> str:
    """The processor that computed the steps, wherever that was, or all of them if there were several.

    Results from before this was kept are taken to be of this machine.
    """
    named = {outcome.result.meta.get("processor") or processor() for outcome in outcomes}
    return " and ".join(sorted(named))


def _metrics(outcomes: Sequence[StepOutcome]) -> dict[str, float]:
    return {
        f"{outcome.step.stage}.{name}": number
        for outcome in outcomes
        for name, number in outcome.result.numbers.items()
    }


def _missing(outcomes: Sequence[StepOutcome]) -> dict[str, str]:
    return {
        f"{outcome.step.stage}.{name}": reason
        for outcome in outcomes
        for name, reason in outcome.result.missing.items()
    }


def _step(outcome: StepOutcome) -> RanStep:
    meta = outcome.result.meta
    return RanStep(
        stage=outcome.step.stage,
        key=outcome.step.key,
        seconds=meta["seconds"],
        peak_memory_bytes=meta["peak_memory_bytes"],
        threads=outcome.step.facts.threads,
        digests=meta["digests"],
        started_at=meta.get("started_at", ""),
        data=outcome.step.parts["data"] or "",
        inputs=tuple(outcome.step.inputs),
    )


def _series(outcomes: Sequence[StepOutcome]) -> dict[str, Curve]:
    """Curves over epochs of all steps; where a value is undefined there is no point."""
    import numpy as np

    curves = {}
    for outcome in outcomes:
        for name, series in outcome.result.content["series"].items():
            epochs, values = (outcome.result.arrays[series[part]] for part in ("epochs", "values"))
            kept = np.isfinite(values)
            curves[f"{outcome.step.stage}.{name}"] = Curve(
                epochs=tuple(epochs[kept].tolist()), values=tuple(values[kept].tolist())
            )
    return curves


def _small_print(plan: Plan, verdicts: Verdicts, references: Sequence[RecordedRun]) -> list[str]:
    """Figure, alternative, profile, seed, number of examples, and each claim's verdict.

    Returns:
        A column of lines, and one of what all recorded seeds gave for the claims beside.
    """
    sizes = {
        step.parameters["num_examples"] for step in plan.steps if "num_examples" in step.parameters
    }
    size = "".join(f" · n = {number:,} examples" for number in sorted(sizes))
    lines = [f"{plan.name} · profile {plan.profile} · seed {plan.seed}{size}"]
    for claim in verdicts.claims:
        lines.append(
            f"{claim.id.replace('-', ' ')}: {wording.number(claim.value)} "
            f"({wording.bound(claim)} claimed): {wording.verdict(claim)}"
        )
    if plan.manifest.alternative is not None or not references or not verdicts.claims:
        return ["\n".join(lines)]
    seeds = seeds_of(plan.manifest, references)
    beside = [f"mean of {wording.counted(len(seeds), 'seed')} (95 %)"]
    for pooled in pool_runs(plan.manifest, references):
        beside.append(wording.mean(pooled.mean, (pooled.low, pooled.high)) or "not measured")
    return ["\n".join(column) for column in (lines, beside)]
