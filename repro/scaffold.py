"""The files of a new figure: a manifest, the module that draws it and, if asked for, a stage.

They can be planned, checked and run as they are, and claim nothing: a bound is the author's, before
anything is measured. ``TODO`` is wherever something has to be written, and nowhere in a commit.
"""

import re
from pathlib import Path
from typing import NamedTuple

from repro import files
from repro.code import source
from repro.errors import UsageError
from repro.manifests.library import Library
from repro.manifests.loading import flow_text, load
from repro.manifests.models import declared_stages, models_of
from repro.names import nearest_names, plot_module
from ssbrepro.papers import stages as stages_of

_FIGURE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_STAGE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class NewFile(NamedTuple):
    """A file to be."""

    path: Path
    content: str


def new_figure(library: Library, figure_id: str, stage: str | None) -> list[NewFile]:
    """The files of a figure that is not there yet.

    Args:
        library: The manifests that it joins.
        figure_id: "paper/figure"; the paper is there.
        stage: A stage to make for it; without one, it takes those that its paper's figures share.

    Raises:
        UsageError: If a name cannot be, the figure or one of its files is there, or the paper is not.
        ManifestError: If the paper's experiment cannot be read.
    """
    paper, slash, figure = figure_id.partition("/")
    if not slash or not _FIGURE.fullmatch(figure):
        raise UsageError(
            f"{figure_id!r}: write PAPER/FIGURE, such as li2022/fig9 or ssb2018/lr-drop"
        )
    package = source(f"ssbrepro.papers.{paper}")
    if paper not in library.papers() or package is None:
        hint = nearest_names(paper, library.papers())
        raise UsageError(f"no paper {paper!r}{hint}; CONTRIBUTING.md says how to add one")
    if figure_id in library.ids():
        raise UsageError(f"{figure_id} is there already")
    drawn = plot_module(figure_id).rpartition(".")[2]
    shared = [] if stage else _shared(library, paper)
    made = [
        NewFile(library.root / f"{figure_id}.yaml", _manifest(library, paper, stage, shared)),
        NewFile(
            package.parent / "figures" / f"{drawn}.py",
            _drawing(paper, figure, shared[-1] if stage is None else stage),
        ),
    ]
    if stage is not None:
        if not _STAGE.fullmatch(stage):
            raise UsageError(
                f"--stage {stage!r}: it is the name of a module, such as weight_spread"
            )
        made.append(NewFile(package.parent / "stages" / f"{stage}.py", _stage(paper, figure)))
    for path, _ in made:
        if path.exists():
            raise UsageError(f"{path} is there already; nothing was written")
    return made


def write(made: list[NewFile]) -> None:
    """Write files that are not there.

    Raises:
        StoreError: If one cannot be written.
    """
    for path, content in made:
        files.write_text(path, content)


def _shared(library: Library, paper: str) -> list[str]:
    """The stages that a paper's figures share, each after those that it needs.

    Raises:
        UsageError: If there are none.
    """
    path = library.root / paper / "experiment.yaml"
    if not path.exists():
        raise UsageError(f"the figures of {paper} share no stage; --stage NAME makes one")
    model = models_of(paper, library.profiles.names).experiment
    declared = declared_stages(load(path, model).model.stages)
    return [name for name in stages_of(paper) if name in declared]


def _manifest(library: Library, paper: str, stage: str | None, shared: list[str]) -> str:
    if stage is None:
        stages = _SHARED.format(shared=", ".join(shared))
    else:
        omitted = library.papers()[paper].profiles.omitted
        profiles = [one for one in library.profiles.profiles if one.name not in omitted]
        said = [
            _PROFILE.format(name=one.name, why=flow_text(f"TODO: {one.purpose}"))
            for one in profiles
        ]
        said[:-1] = [text + _FEWER.format(stage=stage) for text in said[:-1]]
        stages = _OWN_STAGE.format(stage=stage) + "".join(said)
    return _MANIFEST.format(stages=stages, stage=stage or shared[-1])


def _drawing(paper: str, figure: str, stage: str) -> str:
    return _DRAWING.format(paper=paper, figure=figure, stage=stage)


def _stage(paper: str, figure: str) -> str:
    return _STAGE_MODULE.format(paper=paper, figure=figure)


_MANIFEST = """\
# yaml-language-server: $schema=schema.json
schema_version: 1
kind: figure
title: "TODO: what it shows, in our words"
caption: "TODO: the paper's caption, quoted"
{stages}# A figure without claims says nothing of the paper. Each bound is written before anything is
# measured, with what chance alone does, and a control or the reason why there can be none:
#
#   - id: TODO
#     statement: TODO what the paper says
#     where: TODO in which section or caption
#     metric: {stage}.TODO
#     at_most: TODO or at_least
#     noise: {stage}.TODO
#     control: {stage}.TODO
claims: []
# Numbers whose spread over seeds is recorded, each with the smallest difference that matters and why.
references: []
"""

_SHARED = """\
# All that the paper's figures share; keep those that this one needs, with those that they need.
shared_stages: [{shared}]
"""

_OWN_STAGE = """\
stages:
  {stage}:
    num_draws:
      value: 1000
      provenance: assumed
      why: "TODO: where the paper says so, with provenance paper, or why so many"
# What each profile changes, and why; one that cannot be had says "omitted: reason" in place of it.
profiles:
"""

_PROFILE = """\
  {name}:
    why: {why}
"""

_FEWER = """\
    {stage}: {{num_draws: 100}}
"""

_DRAWING = '''\
"""TODO: what {figure} of {paper} shows."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from ssbrepro.contract import Array
from ssbrepro.papers.style import new_figure


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw what was measured.

    Args:
        arrays: Of the stage ``{stage}``: TODO which, with their shapes.
    """
    figure, axis = new_figure()
    names = ", ".join(sorted(arrays["{stage}"]))
    axis.set_title(f"TODO: draw {{names}}")
    return figure
'''

_STAGE_MODULE = '''\
"""TODO: what is measured for {figure} of {paper}."""

from __future__ import annotations

from dataclasses import dataclass

from ssbrepro import domains
from ssbrepro.contract import Context, Count, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    from ssbrepro import seeding


@dataclass(frozen=True)
class Parameters:
    """TODO: what each is, with its unit."""

    num_draws: Count


NUMBERS = {{"mean": domains.REAL}}


def run(parameters: Parameters, context: Context) -> Result:
    """TODO: measure what the paper claims, and a control: the same where the claim is false.

    Returns:
        Array ``draws`` (draws,). Number: ``mean`` of them.
    """
    generator = seeding.numpy_generator(context.seed, "draws")
    draws = generator.normal(size=parameters.num_draws)
    context.progress.report(1, 1, "draws")
    return Result(arrays={{"draws": draws}}, numbers={{"mean": float(draws.mean())}})


STAGE = Stage(Parameters, NUMBERS, run)
'''
