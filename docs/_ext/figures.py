"""The directives ``{verdict-matrix} PAPER``, ``{figure-claims} ID`` and ``{inconsistencies} PAPER``.

What they show is the manifests' and what is recorded beside them; pictures are those of runs in
``SSBREPRO_HOME``, and where there is none the page says so.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from docutils import nodes
from markup import Cell, code, details, link, paragraph, table
from repository import manifest_link
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from repro.manifests.library import FigureManifest, Library
from repro.outcome import wording
from repro.outcome.catalogue import Catalogue, FigureVerdicts, ProfileVerdicts, catalogue
from repro.outcome.pooling import PooledVerdict
from repro.outcome.reading import all_runs
from repro.outcome.record import Run
from repro.outcome.report.forests import forest_of
from repro.outcome.report.page import drawn
from repro.outcome.verdicts import severity, tally
from repro.settings import Settings


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.add_directive("verdict-matrix", _Matrix)
    app.add_directive("figure-claims", _Figure)
    app.add_directive("inconsistencies", _Inconsistencies)
    app.connect("doctree-read", _short_anchors)
    return {"parallel_read_safe": True}


@cache
def _library() -> Library:
    return Library(Settings.from_environment().manifests)


@cache
def _catalogue() -> Catalogue:
    return catalogue(_library())


@cache
def _runs() -> dict[str, Run]:
    """Of each figure the latest run as declared, of the largest profile and the first seed."""
    sizes = {name: size for size, name in enumerate(_library().profiles.names)}
    every = all_runs(Settings.from_environment())
    runs = [run for run in every if not run.record.alternative and run.record.profile in sizes]
    runs.sort(key=lambda run: (sizes[run.record.profile], -run.record.seed))
    return {run.record.id: run for run in runs}


def _short_anchors(app: Sphinx, doctree: nodes.document) -> None:
    """``li2022.html#fig4a`` is the section of li2022's labelled ``li2022-fig4a``.

    Labels have to differ over all pages, as both papers have a fig. 1; anchors of a page do not.
    """
    prefix = f"{app.env.current_document.docname}-"
    for section in doctree.findall(nodes.section):
        short = [name.removeprefix(prefix) for name in section["ids"] if name.startswith(prefix)]
        section["ids"] += [name for name in short if name not in doctree.ids]


_READING = (
    "Below, each claim is drawn across the profiles at which it is recorded, on one axis. The bar is "
    "the mean over seeds and the box its 95 % interval, in the colour of the verdict; the triangle is "
    "the control. What is claimed is shaded, up to its bound."
)


class _Matrix(SphinxDirective):
    """A row a claim, a column a profile, and a link to each figure's section."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        (paper,) = (one for one in _catalogue().papers if one.id == self.arguments[0])
        rows = [row for figure in paper.figures for row in _matrix_rows(figure, paper.profiles)]
        counts = [_count(profile, paper.figures) for profile in paper.profiles]
        matrix = table(("figure", "claim", *paper.profiles), rows, "verdicts")
        omissions = _omissions(_library().papers()[paper.id].profiles.omitted)
        return [*counts, *omissions, matrix, paragraph(_READING)]


def _omissions(reasons: Mapping[str, str]) -> list[nodes.paragraph]:
    return [
        paragraph([nodes.Text("Omitted at "), code(profile), nodes.Text(f": {why}.")])
        for profile, why in reasons.items()
    ]


def _matrix_rows(figure: FigureVerdicts, profiles: Sequence[str]) -> Iterator[Sequence[Cell]]:
    where = link(figure.name, f"#{figure.name}")
    if figure.why_not:
        yield where, "cannot be computed", *("" for _ in profiles)
        return
    claims = _library().load(figure.id).figure.claims
    if not claims:
        yield where, "the paper claims nothing of it", *("" for _ in profiles)
    for index, claim in enumerate(claims):
        found = [figure.at(profile) for profile in profiles]
        verdicts = [_verdict(one.claims[index]) if one else "not recorded" for one in found]
        yield (where.deepcopy(), claim.statement, *verdicts)


def _count(profile: str, figures: Sequence[FigureVerdicts]) -> nodes.paragraph:
    """How many claims came to which verdict, and over which machines' runs."""
    found = [one for figure in figures if (one := figure.at(profile))]
    claims = wording.claims(tally(claim for one in found for claim in one.claims))
    machines = sorted({machine.machine for one in found for machine in one.machines})
    text = f": {claims}, of {len(found)} figures; recorded on {', '.join(machines)}."
    return paragraph([code(profile), nodes.Text(text)])


class _Figure(SphinxDirective):
    """Caption, picture, claims, what the answer hangs on, and where every value comes from."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        figure = _catalogue().figure(self.arguments[0])
        papers = _library().papers()
        identifier = papers[figure.id.partition("/")[0]].identifier
        title = paragraph([nodes.strong("", figure.title), nodes.Text(".")])
        caption = _quotation(figure.caption, identifier if wording.is_in_paper(figure.name) else "")
        if figure.why_not:
            return [title, paragraph(f"Not computed: {figure.why_not}."), caption]
        manifest = _library().load(figure.id)
        self.env.note_dependency(str(manifest.folder / f"{figure.name}.yaml"))
        for recorded in figure.profiles:
            self.env.note_dependency(str(manifest.references_path(recorded.profile)))
        return [
            title,
            *_claims(manifest, figure.profiles),
            *_omissions(manifest.own_omissions),
            *_predictions(figure),
            *self._picture(manifest),
            caption,
            *_alternatives(manifest),
            *details("Exact identities that every run obeys", [_identities(manifest)]),
            *details("Every parameter, with its origin", [_parameters(manifest)]),
            paragraph(
                [
                    nodes.Text("Declared in "),
                    manifest_link(self.env.docname, figure.id),
                    nodes.Text("."),
                ]
            ),
        ]

    def _picture(self, manifest: FigureManifest) -> Iterator[nodes.Node]:
        run = _runs().get(manifest.id)
        if run is None:
            text = "No picture: the figure has not been run where this page was built. "
            command = code(f"repro run {manifest.id}")
            yield paragraph([nodes.Text(text), command, nodes.Text(" makes one.")])
            return
        (path,) = run.folder.glob("*.svg")
        made = nodes.figure(classes=["ours"])
        uri = os.path.relpath(path, self.env.srcdir)
        made += nodes.image(uri=uri, alt=f"{manifest.figure.title}, as we draw it")
        words = f"Our picture, at {run.record.profile} with seed {run.record.seed}."
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
    """A caption; its paper is named if the words are the paper's."""
    quotation = nodes.block_quote()
    quotation += paragraph(caption)
    if identifier:
        quotation += nodes.attribution("", f"Caption in {identifier}")
    return quotation


def _claims(manifest: FigureManifest, profiles: Sequence[ProfileVerdicts]) -> Iterator[nodes.Node]:
    """Each claim with a row a profile under it, and a row a machine where there are several."""
    rows: list[Sequence[Cell]] = []
    for index, claim in enumerate(manifest.figure.claims):
        statement = [
            nodes.strong("", claim.statement),
            nodes.Text(f" ({claim.where}): "),
            code(claim.metric),
        ]
        across = {profile.profile: profile.claims[index] for profile in profiles}
        if forest := forest_of(across):
            statement.append(nodes.raw("", drawn(forest), format="html"))
        rows.append((statement,))
        for profile in profiles:
            rows.append(_claim_row(profile.profile, profile.claims[index]))
            if len(profile.machines) > 1:
                rows += [_claim_row(one.machine, one.claims[index]) for one in profile.machines]
        if not profiles:
            rows.append(("Nothing is recorded.",))
    if rows:
        header = (
            "profile",
            "verdict over seeds",
            "mean (95 % interval)",
            "bound",
            "chance",
            "control",
        )
        yield table(header, rows, "claims")


def _predictions(figure: FigureVerdicts) -> Iterator[nodes.Node]:
    """What was predicted of larger profiles, and what became of it."""
    if figure.predictions is None:
        return
    rows = [
        (
            code(one.metric),
            wording.between((one.low, one.high)),
            wording.later(one),
            nodes.inline("", word, classes=["verdict", severity(word).name.lower()])
            if (word := wording.fate(one))
            else "",
        )
        for one in figure.predictions.numbers
    ]
    yield paragraph(f"{wording.predictions(figure.predictions)}.")
    yield table(("number", "predicted", "measured since", "verdict"), rows, "claims")


def _claim_row(label: str, claim: PooledVerdict) -> Sequence[Cell]:
    return (
        label,
        _verdict(claim),
        wording.mean(claim.mean, (claim.low, claim.high)) or "not measured",
        wording.bound(claim),
        wording.known(claim.noise) or "none",
        wording.control(claim) or "not measured",
    )


def _verdict(claim: PooledVerdict) -> list[nodes.Node]:
    """The word, its cause, and over how many seeds."""
    kind = severity(claim.verdict).name.lower()
    word = nodes.inline("", wording.verdict(claim), classes=["verdict", kind])
    return [word, nodes.Text(f", {wording.counted(claim.measured, 'seed')}")]


def _alternatives(manifest: FigureManifest) -> Iterator[nodes.Node]:
    """Other values of what the paper leaves open, each with its reason."""
    items = nodes.bullet_list()
    for label, stage in manifest.alternatives().items():
        name = label.partition("=")[0].rpartition(".")[2]
        why = stage.origins(manifest.profiles[-1])[name]["why"]
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
        values = [stage.parameters(profile) for profile in manifest.profiles]
        for name, origin in stage.declared().items():
            shown = [str(of_profile[name]) for of_profile in values]
            where = f"{origin['provenance']}: {origin.get('where') or origin.get('why')}"
            rows.append((code(f"{stage.name}.{name}"), *shown, where))
    return table(("parameter", *manifest.profiles, "origin"), rows, "parameters")
