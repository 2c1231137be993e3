"""One self-contained page: every figure's picture, verdicts, and the origin of every parameter."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from repro import files
from repro.outcome import wording
from repro.outcome.pooling import PooledVerdict
from repro.outcome.record import DeclaredPaper, Origin, Run
from repro.outcome.verdicts import ClaimVerdict, Severity, changed_claims, severity, tally

if TYPE_CHECKING:
    from repro.manifests.models import NotComputable, Paper

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; background: #fff; }
h2 { margin-top: 3rem; border-top: 1px solid #ccc; padding-top: 1rem; }
table { border-collapse: collapse; margin: .8rem 0; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top; }
th { font-weight: 600; }
figure { margin: 1rem 0; } figcaption, .small { color: #555; font-size: .85rem; }
img { max-width: 100%; } summary { cursor: pointer; color: #0072b2; }
.good { color: #00664a; } .open { color: #8a5a00; } .against { color: #7b2d8b; }
.bad { color: #b03000; font-weight: 600; }
"""

_CLASSES = {
    Severity.SUPPORTS: "good",
    Severity.AGAINST: "against",
    Severity.OPEN: "open",
    Severity.PLAIN: "plain",
    Severity.FAULT: "bad",
}


def write_report(
    runs: Sequence[Run],
    pooled: Mapping[tuple[str, str], Sequence[PooledVerdict]],
    not_computable: Mapping[str, "NotComputable"],
    cited: Mapping[str, "Paper"],
    path: Path,
) -> None:
    """Write the page: of each figure and profile the latest run as declared.

    Args:
        runs: Recorded runs, oldest first.
        pooled: Verdicts over the seeds of the references, by figure and profile.
        not_computable: Figures to list with the reason why nothing computes them, by id.
        cited: The papers they are of, by folder.
        path: The page.

    Raises:
        StoreError: If it cannot be written.
    """
    latest = {_subject(run): run for run in runs if run.record.alternative is None}
    sections = {
        subject: _section(run, _latest_alternatives(run, runs), pooled.get(subject, ()))
        for subject, run in latest.items()
    } | {
        (name, ""): _reason(name, one, cited[name.partition("/")[0]].identifier)
        for name, one in not_computable.items()
    }
    papers: list[DeclaredPaper | Paper] = [
        *(run.record.declared().paper for run in latest.values()),
        *cited.values(),
    ]
    body = "\n".join(sections[subject] for subject in sorted(sections)) + _inconsistencies(papers)
    page = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>ssbrepro: verdicts</title><style>{_STYLE}</style></head><body>"
        f"<h1>Verdicts, figure by figure</h1>{body}</body></html>\n"
    )
    files.write_text(path, page)


def _subject(run: Run) -> tuple[str, str]:
    return run.record.id, run.record.profile


def _latest_alternatives(declared: Run, runs: Sequence[Run]) -> list[Run]:
    """The latest run with each alternative, of the same profile and seed, judged by the same claims."""

    def comparable(run: Run) -> bool:
        claims = [one.record.declared().figure.claims for one in (run, declared)]
        same = _subject(run) == _subject(declared) and run.record.seed == declared.record.seed
        return same and claims[0] == claims[1]

    latest = {
        run.record.alternative: run for run in runs if run.record.alternative and comparable(run)
    }
    return list(latest.values())


def _reason(figure_id: str, figure: "NotComputable", identifier: str) -> str:
    return (
        f"<h2>{escape(figure_id)}: not computable</h2>"
        f"<p>{escape(figure.title)}: {escape(figure.why)}</p>"
        f"<figure>{_caption(figure.caption, identifier)}</figure>"
    )


def _inconsistencies(papers: Iterable["DeclaredPaper | Paper"]) -> str:
    """Of each paper once: what it states that contradicts itself or what follows from it."""
    known = {paper.identifier: paper for paper in papers}
    return "".join(
        f"<h2>{escape(paper.title)} ({escape(paper.identifier)}): inconsistencies</h2>"
        + _table(
            ("where", "the paper", "the problem"),
            ((one.where, one.statement, one.problem) for one in paper.inconsistencies),
        )
        for _, paper in sorted(known.items())
        if paper.inconsistencies
    )


def _caption(caption: str, identifier: str) -> str:
    words = f"The paper's caption: {escape(caption)} ({escape(identifier)})"
    return f"<figcaption>{words}</figcaption>"


def _section(run: Run, alternatives: Sequence[Run], pooled: Sequence[PooledVerdict]) -> str:
    record, declared = run.record, run.record.declared()
    image = next(run.folder / name for name in record.files if name.endswith(".png"))
    encoded = base64.b64encode(image.read_bytes()).decode()
    claims = (
        (
            c.statement,
            c.metric,
            wording.number(c.value),
            wording.known(c.noise),
            wording.control(c),
            wording.bound(c),
            _verdict(wording.verdict(c), wording.reason(c)),
        )
        for c in record.claims
    )
    identities = (
        (i.id, wording.number(i.value), f"≤ {i.bound:g}", _verdict(i.verdict))
        for i in record.identities
    )
    references = (
        (r.metric, wording.number(r.value), wording.interval(r), r.runs, _verdict(r.verdict))
        for r in record.references
    )
    return (
        f"<h2>{escape(record.id)} at {escape(record.profile)}: "
        f"{escape(wording.claims(tally(record.claims)))}; {_verdict(record.status)}</h2>"
        f"<figure><img alt='{escape(record.title)}' src='data:image/png;base64,{encoded}'>"
        f"{_caption(declared.figure.caption, declared.paper.identifier)}</figure>"
        + _table(
            ("claim", "metric", "measured", "chance", "control", "claimed", "verdict"), claims
        )
        + _pooled(pooled)
        + _table(("exact identity", "residual", "bound", "verdict"), identities)
        + _table(("recorded metric", "measured", "expected of a new run", "runs", "verdict"), references)
        + _alternatives(run, alternatives)
        + "<details><summary>Parameters and where they come from</summary>"
        f"{_parameters(declared.stages)}</details>"
        f"<p class='small'>Seed {record.seed}, {escape(record.device)}, "
        f"{escape(record.recorded_at)}; "
        + ", ".join(f"{escape(name)} {escape(text)}" for name, text in record.versions.items())
        + "; "
        + ", ".join(f"{escape(s.stage)} {s.seconds:.0f} s, "
                    f"{s.peak_memory_bytes / 2**20:.0f} MiB" for s in record.steps)
        + f"; record {record.digest[:12]}</p>"
    )  # fmt: skip


def _pooled(claims: Sequence[PooledVerdict]) -> str:
    """Verdicts over the recorded seeds; nothing if none is recorded."""
    if not any(claim.seeds + claim.unsound for claim in claims):
        return ""
    rows = (
        (
            c.statement,
            wording.mean(c.mean, (c.low, c.high)),
            wording.known(c.noise),
            wording.control(c),
            wording.bound(c),
            _verdict(wording.verdict(c), wording.reason(c)),
            _noted(wording.claims(c.own), wording.statistics(c)),
        )
        for c in claims
    )
    header = ("claim", "measured mean (95 % interval)", "chance", "control", "claimed", "pooled verdict",
              "seeds' own verdicts")  # fmt: skip
    return "<h3>Over the recorded seeds</h3>" + _table(header, rows)


def _alternatives(declared: Run, alternatives: Sequence[Run]) -> str:
    """What the verdicts become with each alternative of an assumed value; nothing if none was run."""
    if not alternatives:
        return ""
    parts = ["<h3>What the answer hangs on</h3>"]
    for run in alternatives:
        name = str(run.record.alternative)
        claims, others = declared.record.claims, run.record.claims
        rows = [
            (claim.id, _outcome(claim), _outcome(other))
            for claim, other in zip(claims, others, strict=True)
        ]
        parts.append(_table(("claim", "as declared", f"with {name}"), rows))
        sentence = wording.dependence(name, changed_claims(claims, others))
        violated = [i.id for i in run.record.identities if i.verdict != "holds"]
        if violated:
            sentence += f"; exact identities do not hold: {', '.join(violated)}"
        parts.append(f"<p>{escape(sentence)}</p>")
    return "".join(parts)


def _outcome(claim: ClaimVerdict) -> "_Html":
    return _verdict(wording.verdict(claim), wording.known(claim.value))


def _parameters(stages: Mapping[str, Mapping[str, Origin]]) -> str:
    rows = (
        (stage, name, str(origin.value), origin.provenance, origin.reason)
        for stage, origins in stages.items()
        for name, origin in origins.items()
    )
    return _table(("stage", "parameter", "value", "provenance", "where or why"), rows)


class _Html(str):
    """Text that is markup already."""


def _verdict(verdict: str, reason: str = "") -> _Html:
    return _Html(
        f"<span class='{_CLASSES[severity(verdict)]}'>{escape(verdict)}</span>{_note(reason)}"
    )


def _noted(text: str, note: str) -> _Html:
    return _Html(escape(text) + _note(note))


def _note(text: str) -> str:
    return f" <span class='small'>({escape(text)})</span>" if text else ""


def _table(header: Iterable[str], rows: Iterable[Sequence[object]]) -> str:
    body = "".join(
        "<tr>" + "".join(f"<td>{c if isinstance(c, _Html) else escape(str(c))}</td>" for c in row)
        + "</tr>"
        for row in rows
    )  # fmt: skip
    if not body:
        return ""
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in header)}</tr>{body}</table>"
