"""The directives ``{verdict-matrix} PAPER``, ``{figure-claims} ID`` and ``{inconsistencies} PAPER``.

What they show is the manifests' and what is recorded beside them; pictures are those of runs in
``SSBREPRO_HOME``, and where there is none the page says so.
"""

import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from markup import Cell, code, details, link, paragraph, table
from repository import MANIFESTS
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from repro.manifests.library import FigureManifest, Library
from repro.outcome import wording
from repro.outcome.pooling import PooledVerdict, pool_recorded
from repro.outcome.record import Run, all_runs
from repro.outcome.verdicts import severity
from repro.settings import Settings

_PROFILES = ("smoke", "desk", "paper")  # a picture is of the last of these that was run


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.add_directive("verdict-matrix", _Matrix)
    app.add_directive("figure-claims", _Figure)
    app.add_directive("inconsistencies", _Inconsistencies)
    return {"parallel_read_safe": True}


@cache
def _library() -> Library:
    return Library(Settings.from_environment().manifests)


@cache
def _pooled(figure_id: str) -> dict[str, tuple[PooledVerdict, ...]]:
    """The verdicts over recorded seeds, of the profiles that have any."""
    manifest = _library().load(figure_id)
    pooled = {profile: pool_recorded(manifest, profile) for profile in _PROFILES}
    return {
        profile: claims
        for profile, claims in pooled.items()
        if any(claim.seeds + claim.unsound for claim in claims)
    }


@cache
def _runs() -> dict[str, Run]:
    """Of each figure the latest run as declared, of the largest profile."""
    runs = [run for run in all_runs(Settings.from_environment()) if not run.record.alternative]
    runs.sort(key=lambda run: _PROFILES.index(run.record.profile))
    return {run.record.id: run for run in runs}


def anchor(figure_id: str) -> str:
    """What a figure is found by on the page of its paper."""
    return figure_id.partition("/")[2]


class _Directive(SphinxDirective):
    required_arguments = 1

    def figures(self) -> list[str]:
        """The ids of the paper's figures that are computed."""
        paper = self.arguments[0]
        return [name for name in _library().computed() if name.startswith(f"{paper}/")]


class _Matrix(_Directive):
    """A row a claim, a column a profile, and a link to each figure's section."""

    def run(self) -> list[nodes.Node]:
        ids = self.figures()
        profiles = [one for one in _PROFILES if any(one in _pooled(name) for name in ids)]
        rows: list[Sequence[Cell]] = []
        for name in ids:
            where = link(anchor(name), f"#{anchor(name)}")
            for index, claim in enumerate(_library().load(name).figure.claims):
                verdicts = [
                    _verdict(_pooled(name)[one][index]) if one in _pooled(name) else "not recorded"
                    for one in profiles
                ]
                rows.append((where if index == 0 else "", claim.statement, *verdicts))
        return [table(("figure", "claim", *profiles), rows, "verdicts")]


class _Figure(SphinxDirective):
    """Caption, picture, claims, what the answer hangs on, and where every value comes from."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        figure_id = self.arguments[0]
        manifest = _library().load(figure_id)
        folder = manifest.folder
        for path in [folder / f"{anchor(figure_id)}.yaml", *folder.glob(f"references/*")]:
            self.env.note_dependency(str(path))
        title = paragraph([nodes.strong("", manifest.figure.title), nodes.Text(".")])
        return [
            title,
            _quotation(manifest.figure.caption, manifest.paper.identifier),
            *self._picture(manifest),
            *_claims(manifest),
            *_alternatives(manifest),
            *details("Exact identities that every run obeys", [_identities(manifest)]),
            *details("Every parameter, with its origin", [_parameters(manifest)]),
            paragraph([nodes.Text("Declared in "), _manifest_link(figure_id), nodes.Text(".")]),
        ]

    def _picture(self, manifest: FigureManifest) -> Iterator[nodes.Node]:
        run = _runs().get(manifest.id)
        if run is None:
            text = "No picture: nothing of this figure has been run where this page was built. "
            yield paragraph([nodes.Text(text), code(f"repro run {manifest.id}"), nodes.Text(" makes one.")])
            return
        path = run.folder / f"{anchor(manifest.id).replace('-', '_')}.svg"
        if not path.exists():
            (path,) = run.folder.glob("*.svg")
        made = nodes.figure(classes=["ours"])
        uri = os.path.relpath(path, self.env.srcdir)
        made += nodes.image(uri=uri, alt=f"{manifest.figure.title}, as we draw it")
        words = f"Our picture: {run.record.profile}, seed {run.record.seed}."
        made += nodes.caption("", words)
        yield made


class _Inconsistencies(SphinxDirective):
    """Where a paper contradicts itself."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        paper = _library().papers()[self.arguments[0]]
        rows = [(one.where, one.statement, one.problem) for one in paper.inconsistencies]
        return [table(("where", "the paper", "the problem"), rows)]


def _quotation(caption: str, identifier: str) -> nodes.block_quote:
    quotation = nodes.block_quote()
    quotation += paragraph(caption)
    quotation += nodes.attribution("", f"caption in {identifier}")
    return quotation


def _claims(manifest: FigureManifest) -> Iterator[nodes.Node]:
    """Each claim with a row a profile under it."""
    pooled = _pooled(manifest.id)
    rows: list[Sequence[Cell]] = []
    for index, claim in enumerate(manifest.figure.claims):
        statement: list[nodes.Node] = [
            nodes.strong("", claim.statement),
            nodes.Text(f" ({claim.where}): "),
            code(claim.metric),
        ]
        rows.append((statement,))
        for profile, claims in pooled.items():
            one = claims[index]
            rows.append(
                (
                    profile,
                    wording.mean(one.mean, (one.low, one.high)) or "not measured",
                    wording.bound(one),
                    wording.known(one.noise) or "–",
                    wording.control(one) or "–",
                    _verdict(one),
                )
            )
        if not pooled:
            rows.append(("nothing is recorded yet",))
    header = ("profile", "mean (95 % interval)", "bound", "chance", "control", "verdict over seeds")
    yield table(header, rows, "claims")


def _verdict(claim: PooledVerdict) -> list[nodes.Node]:
    """The word, its cause, and over how many seeds."""
    kind = severity(claim.verdict).name.lower()
    word = nodes.inline("", wording.verdict(claim), classes=["verdict", kind])
    return [word, nodes.Text(f", {wording.counted(claim.measured, 'seed')}")]


def _alternatives(manifest: FigureManifest) -> Iterator[nodes.Node]:
    """Other values of what the paper leaves open, each with its reason."""
    items = nodes.bullet_list()
    for label, stage in manifest.alternatives().items():
        name = label.rpartition("=")[0].rpartition(".")[2]
        why = stage.origins("paper")[name]["why"]
        item = nodes.list_item()
        item += paragraph([code(f"--alternative {label}"), nodes.Text(f": {why}")])
        items += item
    if items.children:
        summary = f"What the answer may hang on ({wording.counted(len(items), 'alternative')})"
        yield from details(summary, [items])


def _identities(manifest: FigureManifest) -> nodes.Node:
    rows = [(one.id, f"≤ {one.at_most:g}", one.why) for one in manifest.figure.identities]
    return table(("identity", "residual", "why so much"), rows)


def _parameters(manifest: FigureManifest) -> nodes.table:
    rows = []
    for stage in manifest.stages:
        values = [stage.parameters(profile) for profile in _PROFILES]
        for name, origin in stage.origins("paper").items():
            shown = [str(of_profile[name]) for of_profile in values]
            where = f"{origin['provenance']}: {origin.get('where') or origin.get('why')}"
            rows.append((code(f"{stage.name}.{name}"), *shown, where))
    return table(("parameter", *_PROFILES, "origin"), rows, "parameters")


def _manifest_link(figure_id: str) -> nodes.reference:
    return link(f"manifests/{figure_id}.yaml", f"{MANIFESTS}/{figure_id}.html")
