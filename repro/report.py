"""One self-contained page: every figure's picture, verdicts, and the origin of every parameter."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from repro import files, wording
from repro.record import Run

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; background: #fff; }
h2 { margin-top: 3rem; border-top: 1px solid #ccc; padding-top: 1rem; }
table { border-collapse: collapse; margin: .8rem 0; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top; }
th { font-weight: 600; }
figure { margin: 1rem 0; } figcaption, .small { color: #555; font-size: .85rem; }
img { max-width: 100%; } summary { cursor: pointer; color: #0072b2; }
.good { color: #00664a; } .open { color: #8a5a00; } .bad { color: #b03000; font-weight: 600; }
"""

_CLASSES = {
    **dict.fromkeys(("supported", "holds", "within", "passed"), "good"),
    **dict.fromkeys(("inconclusive", "no tolerance", "unchecked"), "open"),
}


def write_report(runs: Sequence[Run], path: Path) -> None:
    """Write the page with the latest run of each figure and profile.

    Raises:
        StoreError: If it cannot be written.
    """
    latest = {(run.record["id"], run.record["profile"]): run for run in runs}
    sections = "\n".join(_section(latest[name]) for name in sorted(latest))
    page = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>ssbrepro: verdicts</title><style>{_STYLE}</style></head><body>"
        f"<h1>Verdicts, figure by figure</h1>{sections}</body></html>\n"
    )
    files.write_text(path, page)


def _section(run: Run) -> str:
    record = run.record
    manifest = record["manifest"]
    figure, paper = manifest["figure"], manifest["paper"]
    image = next(run.folder / name for name in record["files"] if name.endswith(".png"))
    encoded = base64.b64encode(image.read_bytes()).decode()
    claims = (
        (
            c["statement"],
            c["metric"],
            wording.number(c["value"]),
            wording.bound(c),
            _verdict(c["verdict"], c["reason"]),
        )
        for c in record["claims"]
    )
    identities = (
        (i["id"], wording.number(i["value"]), f"≤ {i['bound']:g}", _verdict(i["verdict"]))
        for i in record["identities"]
    )
    references = (
        (
            r["metric"],
            wording.number(r["value"]),
            wording.interval(r),
            r["runs"],
            _verdict(r["verdict"]),
        )
        for r in record["references"]
    )
    return (
        f"<h2>{escape(record['id'])} at {escape(record['profile'])}: {_verdict(record['status'])}</h2>"
        f"<figure><img alt='{escape(record['title'])}' src='data:image/png;base64,{encoded}'>"
        f"<figcaption>The paper's caption: {escape(figure['caption'])} "
        f"({escape(paper['identifier'])})</figcaption></figure>"
        + _table(("claim", "metric", "measured", "claimed", "verdict"), claims)
        + _table(("exact identity", "residual", "bound", "verdict"), identities)
        + _table(("recorded metric", "measured", "expected of a new run", "runs", "verdict"), references)
        + f"<details><summary>Parameters and where they come from</summary>{_parameters(manifest)}"
        "</details>"
        f"<p class='small'>Seed {record['seed']}, {escape(record['device'])}, "
        f"{escape(record['recorded_at'])}; "
        + ", ".join(f"{escape(name)} {escape(text)}" for name, text in record["versions"].items())
        + "; "
        + ", ".join(f"{escape(s['stage'])} {s['seconds']:.0f} s, "
                    f"{s['peak_memory_bytes'] / 2**20:.0f} MiB" for s in record["steps"])
        + f"; record {record['digest'][:12]}</p>"
    )  # fmt: skip


def _parameters(manifest: Mapping[str, Any]) -> str:
    rows = (
        (
            stage,
            name,
            str(origin["value"]),
            origin["provenance"],
            origin.get("where") or origin["why"],
        )
        for stage, origins in manifest["stages"].items()
        for name, origin in origins.items()
    )
    return _table(("stage", "parameter", "value", "provenance", "where or why"), rows)


class _Html(str):
    """Text that is markup already."""


def _verdict(verdict: str, reason: str = "") -> _Html:
    note = f" <span class='small'>({escape(reason)})</span>" if reason else ""
    return _Html(f"<span class='{_CLASSES.get(verdict, 'bad')}'>{escape(verdict)}</span>{note}")


def _table(header: Iterable[str], rows: Iterable[Sequence[object]]) -> str:
    body = "".join(
        "<tr>" + "".join(f"<td>{c if isinstance(c, _Html) else escape(str(c))}</td>" for c in row)
        + "</tr>"
        for row in rows
    )  # fmt: skip
    if not body:
        return ""
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in header)}</tr>{body}</table>"
