"""The page itself: templates filled, with nothing outside of it and no markup but ours."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from repro import output
from repro.outcome import verdicts, wording
from repro.outcome.record import Record
from repro.outcome.report.contents import PaperPart
from repro.outcome.report.forests import Forest

_TEMPLATES = Path(__file__).parent / "templates"


def write_page(papers: Sequence[PaperPart], path: Path) -> None:
    """Write the page of papers and their figures.

    It works without its script, which adds filters, and may load nothing: a policy says so to browsers.

    Raises:
        StoreError: If it cannot be written.
    """
    style, script = ((_TEMPLATES / name).read_text("utf-8") for name in ("page.css", "filters.js"))
    page = (
        _environment()
        .get_template("page.html")
        .render(
            papers=papers,
            profiles=[
                one
                for one in dict.fromkeys(one for paper in papers for one in paper.declared)
                if any(one in paper.profiles for paper in papers)
            ],
            claim_verdicts=verdicts.CLAIM_VERDICTS,
            style=Markup(style),
            script=Markup(script),
            policy=f"default-src 'none'; img-src data:; style-src {_digest(style)}; "
            f"script-src {_digest(script)}; base-uri 'none'; form-action 'none'",
        )
    )
    output.write_text(path, page)


def drawn(forest: Forest) -> str:
    """A claim across profiles as an SVG, which a page holds as it is."""
    module: Any = _environment().get_template("forest.html").module
    return str(module.drawn(forest))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"wording": wording, "facts": _facts}
    environment.filters["severity"] = lambda verdict: verdicts.severity(verdict).name.lower()
    environment.filters["seconds"] = _seconds
    environment.filters["number"] = wording.number
    return environment


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _seconds(number: float) -> str:
    """What a step took, as a person would say it."""
    if number < 90:
        return (
            f"{number:.2g}\N{NO-BREAK SPACE}s"
            if number < 10
            else f"{number:.0f}\N{NO-BREAK SPACE}s"
        )
    if number < 90 * 60:
        return f"{number / 60:.0f}\N{NO-BREAK SPACE}min"
    return f"{number / 3600:.1f}\N{NO-BREAK SPACE}h"


def _facts(record: Record) -> list[tuple[str, str]]:
    """What the record says of the machine and of what ran there, where it says something."""
    machine = record.machine
    facts = {
        "command": record.command,
        "recorded": record.recorded_at,
        "commit": record.commit,
        "device": record.device,
        "processor": machine.processor,
        "instructions": machine.instructions,
        "GPU": machine.gpu,
        "system": f"{machine.system}, {machine.architecture}",
        "cores": str(machine.cores or ""),
        "limits": _pairs(machine.limits),
        "image": machine.image or "",
        "releases": _pairs(record.versions),
        "record": record.digest,
    }
    return [(name, text) for name, text in facts.items() if text]


def _pairs(texts: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in texts.items())
