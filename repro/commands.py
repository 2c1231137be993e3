"""What the commands share: where they speak, what they were asked for, and a runner for it."""

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from repro import output, selection
from repro.budget import Budget
from repro.engines.engine import Engine
from repro.engines.inline import InlineEngine
from repro.errors import UsageError
from repro.manifests.library import FigureManifest, Library
from repro.outcome.console import Terminal, say, show_not_computable
from repro.outcome.entries import FigureEntry
from repro.plan import Plan
from repro.running import Runner, announce
from repro.selection import Selected
from repro.settings import Settings
from repro.store import Store


def settle_for_what_there_is() -> None:
    """Print whatever the variables of a terminal say.

    A size that none has is dropped: Rich would print nothing, or fill all memory. Letters that its
    character set does not have are escaped.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for name in ("COLUMNS", "LINES"):
        text = os.environ.get(name, "")
        if not (text.isascii() and text.isdecimal() and 1 < len(text.lstrip("0")) < 5):
            os.environ.pop(name, None)


settle_for_what_there_is()
out = Terminal()
err = Terminal(stderr=True)


def tell(text: str) -> None:
    """Say on ``err`` what is worth a line."""
    say(err, text)


def words(*written: Path | None) -> Console:
    """Where words go, of a command that writes files: not among what goes to standard output."""
    return err if output.STANDARD in written else out


def chosen(ids: Sequence[str] | None, all_figures: bool) -> list[str] | None:
    """The figures named, or None for all.

    Raises:
        UsageError: If none is named, or some and all.
    """
    if all_figures and ids:
        raise UsageError(f"name figures, or --all, not both: {' '.join(ids)} --all")
    if all_figures:
        return None
    if not ids:
        raise UsageError("name figures, or --all")
    return list(ids)


def select(
    ids: Sequence[str] | None,
    profile: str,
    device: str,
    seeds: Sequence[int],
    alternatives: Sequence[str] | None = None,
    engine: Engine | None = None,
) -> Selected:
    """What options stand for: see :func:`repro.selection.select`."""
    library = Library(Settings.from_environment().manifests)
    engine = engine or selection.engine()
    tell = partial(say, err)
    return selection.select(library, ids, profile, device, seeds, alternatives or (), engine, tell)


def each_plan(selected: Selected) -> Iterator[Plan]:
    """All there is to run; of a figure nothing computes, why is said when its turn comes.

    Yields:
        Each figure's plan, and after it those of its alternatives.
    """
    for choice in selected.figures:
        if isinstance(choice.declared, Plan):
            yield from (choice.declared, *choice.alternatives)
        else:
            show_not_computable(out, choice.id, choice.declared)


def runner(
    console: Console,
    plans: Iterable[Plan] = (),
    fresh: bool = False,
    engine: Engine | None = None,
    budget: Budget | None = None,
) -> Runner:
    """A runner for plans, having said how long they take; ``fresh`` computes stored steps anew."""
    settings = Settings.from_environment()
    plans = list(plans)
    anew = {step.key for plan in plans for step in plan.steps} if fresh else set()
    expected = announce(plans, anew, Store(settings.home / "store"), err)
    engine = engine or selection.engine()
    # A bar that is drawn anew all the time would leave a debugger no terminal.
    inline = isinstance(engine, InlineEngine)
    progress = Terminal(stderr=True, force_terminal=False) if inline else err
    return Runner(settings, engine, console, progress, expected, anew, budget)


def run_selected(
    figure_runner: Runner,
    selected: Selected,
    completed: Callable[[FigureManifest, list[FigureEntry]], None] | None = None,
) -> list[FigureEntry]:
    """Run all that was asked for; entries for ``--json``, in the order in which it was asked for.

    Args:
        figure_runner: What runs it.
        selected: What was asked for.
        completed: Told of each figure that is computed once it has been run with every seed.
    """
    entries: dict[int, FigureEntry] = {}
    for index, entry in figure_runner.run(selected.figures, selected.profile):
        entries[index] = entry
        own = [i for i, choice in enumerate(selected.figures) if choice.id == entry.id]
        declared = selected.figures[index].declared
        if completed and isinstance(declared, Plan) and all(i in entries for i in own):
            completed(declared.manifest, [entries[i] for i in own])
    return [entries[index] for index in sorted(entries)]


def finish(
    content: dict[str, Any], json_file: Path | None, figure_runner: Runner, failed: bool
) -> None:
    """End a command that ran figures: write ``--json``, and exit as steps and checks came out.

    Raises:
        StageError: If a step failed.
        Exit: If a check did.
    """
    if json_file:
        output.write_json(json_file, content | figure_runner.left_data())
    figure_runner.conclude()
    if failed:
        raise typer.Exit(1)
