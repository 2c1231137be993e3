"""What a person sees of a figure that has been run."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from repro.manifests.library import FigureManifest, Library
from repro.outcome.console import (
    show_alternative,
    show_not_computable,
    show_pooled,
    show_run,
    show_table,
)
from repro.outcome.entries import PooledEntry
from repro.outcome.record import Record
from repro.outcome.verdicts import ClaimWord, IdentityVerdict, PredictionVerdict, ReferenceVerdict
from repro.outcome.wording import without_ends
from tests.fakes import CLAIM, MANIFESTS, POOLED, record_of

LONG = "/a/path/" + "that/is/much/longer/than/eighty/columns/" * 4 + "file"


def console() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=80, color_system=None), text


EULER = IdentityVerdict("euler", "spectrum.euler_residual_max", 1e-7, 1e-4, "holds")
VIOLATED = replace(EULER, value=1e-2, verdict="violated")
AGAINST = replace(CLAIM, verdict="not supported")


def shown_record(**changes: Any) -> Record:
    """A figure that changed: a claim that is not supported, and a number that is missing."""
    changed: dict[str, Any] = {
        "status": "changed",
        "failures": ("claim zero-loss: not supported, recorded: supported",),
        "claims": (AGAINST,),
        "identities": (EULER,),
        "references": (ReferenceVerdict("training.final_loss", None, 0.1, 0.2, 3, "missing"),),
    }
    return record_of(**changed | changes)


def test_verdicts_are_shown_with_their_reasons() -> None:
    shown, text = console()
    show_run(shown, shown_record())
    words = " ".join(text.getvalue().split())
    assert "li2022/fig8b at smoke: 1 not supported; changed" in words
    assert "check failed: claim zero-loss: not supported, recorded: supported" in words
    assert "zero-loss 0.5 ≤ 0.1 not supported" in words
    assert "exact identities hold to 1.0e-07: euler" in words
    assert "training.final_loss missing 0.1 to 0.2 missing" in words


def test_verdicts_have_their_colours() -> None:
    text = io.StringIO()
    terminal = Console(file=text, force_terminal=True, width=80, color_system="standard")
    show_run(
        terminal, shown_record(claims=(AGAINST, CLAIM, replace(CLAIM, verdict="inconclusive")))
    )
    show_run(terminal, shown_record(status="as recorded"))
    green, magenta, yellow, red = (f"\x1b[{code}m" for code in (32, 35, 33, 31))
    for coloured in (
        f"{green}1 supported", f"{magenta}1 not supported", f"{yellow}1 inconclusive",
        f"{magenta}not supported", f"{green}supported", f"{red}changed", f"{red}missing",
        "; as recorded\n",
    ):  # fmt: skip
        assert coloured in text.getvalue(), coloured


def test_predictions_are_shown_with_what_became_of_them() -> None:
    shown, text = console()
    predictions = (
        PredictionVerdict("training.final_loss", 0.5, 0.1, 0.2, "not as predicted"),
        PredictionVerdict("training.mean_loss", 0.5, None, None, "not predicted"),
    )
    show_run(shown, shown_record(predictions=predictions))
    words = " ".join(text.getvalue().split())
    assert "training.final_loss 0.5 0.1 to 0.2 not as predicted" in words
    assert "training.mean_loss 0.5 not predicted" in words


def test_violated_and_unmeasured_identities_are_shown() -> None:
    shown, text = console()
    identities = (VIOLATED, replace(VIOLATED, id="symmetry", value=None))
    show_run(shown, shown_record(identities=identities, claims=(), references=()))
    words = " ".join(text.getvalue().split())
    assert "euler 0.01 ≤ 0.0001 violated" in words
    assert "symmetry missing ≤ 0.0001 violated" in words
    assert "identities hold" not in words


def test_a_verdict_is_shown_with_its_cause() -> None:
    shown, text = console()
    claim = replace(CLAIM, verdict="inconclusive", cause="without power", reason="alike: 1 and 2")
    show_run(shown, shown_record(claims=(claim,)))
    words = " ".join(text.getvalue().split())
    assert "at smoke: 1 inconclusive; changed" in words
    assert "zero-loss 0.5 ≤ 0.1 inconclusive: without power zero-loss: alike: 1 and 2" in words


CROSSES = replace(
    POOLED, id="a-claim-with-quite-a-long-name", verdict="inconclusive", cause="crosses the bound",
    reason="the interval crosses the bound",
)  # fmt: skip


def test_verdicts_over_seeds_are_shown_with_their_intervals() -> None:
    shown, text = console()
    claims = (POOLED, CROSSES, replace(POOLED, id="none", mean=None, low=None, high=None))
    show_pooled(
        shown,
        PooledEntry(id="li2022/fig8b", profile="desk", seeds=(0, 1, 2, 3, 4, 5), claims=claims),
    )
    words = " ".join(text.getvalue().split())
    assert "li2022/fig8b at desk over 6 seeds: 2 not supported, 1 inconclusive" in words
    assert "zero-loss 0.25 0.125 to 0.375 ≤ 0.1 not supported" in words
    assert "inconclusive: crosses the bound" in words
    assert "none ≤ 0.1 not supported" in words
    assert "a-claim-with-quite-a-long-name: the interval crosses the bound" in words
    assert all(len(line) <= 80 for line in text.getvalue().splitlines())


def alternative(verdict: ClaimWord, **changes: Any) -> Record:
    claim = replace(AGAINST, verdict=verdict, value=0.05)
    return shown_record(alternative="name=[a/b]", claims=(claim,), **changes)


def test_an_alternative_stands_beside_what_is_declared() -> None:
    shown, text = console()
    show_alternative(shown, shown_record(), alternative("supported"))
    words = " ".join(text.getvalue().split())
    assert "claim as declared with name=[a/b]" in words
    assert "zero-loss not supported: 0.5 supported: 0.05" in words
    assert "the answer depends on name=[a/b]: claim zero-loss" in words


def test_an_alternative_that_changes_nothing_says_so_and_shows_what_is_violated() -> None:
    shown, text = console()
    show_alternative(shown, shown_record(), alternative("not supported", identities=(VIOLATED,)))
    words = " ".join(text.getvalue().split())
    assert "the verdicts do not depend on name=[a/b]" in words
    assert "euler 0.01 ≤ 0.0001 violated" in words


def test_a_figure_nothing_computes_is_shown_with_its_reason() -> None:
    shown, text = console()
    figure = Library(MANIFESTS).not_computable()["li2022/fig1"]
    changed = figure.model_copy(update={"title": "[b]T[/c]", "why": f"[d] {LONG}"})
    show_not_computable(shown, "li2022/fig1", changed)
    assert text.getvalue() == f"li2022/fig1: [b]T[/c]: not computable\n  [d] {LONG}\n"


def test_a_reason_in_brackets_is_shown_as_it_is() -> None:
    shown, text = console()
    show_run(shown, shown_record(claims=(replace(CLAIM, reason="[red]x[/nothing]"),)))
    assert "[red]x[/nothing]" in " ".join(text.getvalue().split())


def test_cells_are_text_and_not_markup() -> None:
    shown, text = console()
    show_table(shown, ("id", "title", "x"), [("a", "of [b]rackets[/c]", "d")])
    assert "of [b]rackets[/c]" in text.getvalue()


def test_a_table_without_rows_is_nothing() -> None:
    shown, text = console()
    show_table(shown, ("a", "b"), [])
    assert text.getvalue() == ""


def widest(manifest: FigureManifest) -> Record:
    """The record of a figure whose numbers are as wide as they get."""
    small = -1.234e-05
    claim = replace(AGAINST, value=small, bound=0.000123)
    return shown_record(
        id=manifest.id,
        failures=(),
        claims=tuple(replace(claim, id=one.id) for one in manifest.figure.claims),
        identities=(),
        references=tuple(
            ReferenceVerdict(one.metric, small, -0.0001234, small, 10, "no tolerance")
            for one in manifest.figure.references
        ),
    )


@pytest.mark.parametrize("figure_id", Library(MANIFESTS).computed())
def test_a_row_is_a_line_of_eighty_columns_and_no_two_read_alike(figure_id: str) -> None:
    manifest = Library(MANIFESTS).load(figure_id)
    shown, text = console()
    show_run(shown, widest(manifest))
    lines = text.getvalue().splitlines()
    claims, references = manifest.figure.claims, manifest.figure.references
    headers = bool(claims) + bool(references)
    assert len(lines) == 1 + headers + len(claims) + len(references)
    assert all(len(line) <= 80 for line in lines)
    first = [line.split()[0] for line in lines]
    assert len(set(first[1:])) == len(first[1:])
    assert {claim.id for claim in claims} <= set(first)


def test_only_what_may_be_is_shortened_and_only_where_it_must() -> None:
    rows = [("a-long-id", "a title with many words", "kept")]
    for width, title in ((80, "a title with many words"), (32, "a title wi…")):
        shown = Console(file=io.StringIO(), width=width, color_system=None)
        show_table(shown, ("id", "title", "last"), rows, shorten={"title": without_ends})
        assert title in shown.file.getvalue()
        assert "a-long-id" in shown.file.getvalue()
