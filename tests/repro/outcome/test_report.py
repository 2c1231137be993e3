"""The page of verdicts: one file, all of it inside, and nobody's markup but ours."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from repro.manifests.library import Library
from repro.outcome.record import Run
from repro.outcome.recording import record_run
from repro.outcome.report import write_report
from repro.outcome.verdicts import IdentityVerdict
from repro.settings import Settings
from tests.fakes import (
    BOTH_STAGES,
    FIGURE,
    MANIFESTS,
    POOLED,
    FakeExecutor,
    Listener,
    copy_manifests,
    draw_a_pixel,
    plan_of,
    run_plan,
    settings_below,
)

HOSTILE = "<script>alert('1 & \"2\"')</script>"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("report")
    return settings_below(folder, copy_manifests(folder / "manifests"))


@pytest.fixture(scope="module")
def runs(settings: Settings) -> list[Run]:
    runs = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("repro.outcome.recording.draw", draw_a_pixel)
        for figure_id, seed in ((BOTH_STAGES, 0), (FIGURE, 0), (FIGURE, 1)):
            plan = plan_of(figure_id, seed, manifests=settings.manifests)
            outcomes = run_plan(plan, settings, FakeExecutor(), Listener())
            runs.append(record_run(plan, outcomes, settings))
    return runs


@pytest.fixture(scope="module")
def alternative(settings: Settings) -> Run:
    plan = plan_of(FIGURE, 1, manifests=settings.manifests).with_alternative("cut_factor=1.0")
    outcomes = run_plan(plan, settings, FakeExecutor(), Listener())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("repro.outcome.recording.draw", draw_a_pixel)
        return record_run(plan, outcomes, settings)


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(path.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def changed(run: Run, **changes: Any) -> Run:
    return replace(run, record=replace(run.record, **changes))


def test_the_page_is_self_contained(runs: list[Run], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(runs, {}, {}, {}, path)
    page = Page(path)
    assert page.open == []
    for _, attributes in page.tags:
        for name in ("src", "href", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:image/png;base64,")
    assert not re.search(r"url\(|@import|<script|<link", path.read_text("utf-8"))
    images = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 2
    for image in images:
        assert image is not None
        assert base64.b64decode(image.partition(",")[2], validate=True).startswith(b"\x89PNG")


def test_it_shows_the_latest_run_of_each_figure_with_every_origin(
    runs: list[Run], tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    write_report(runs, {}, {}, {}, path)
    text = Page(path).text
    assert text.count("li2022/fig8a at smoke: 3 supported; not recorded") == 1
    assert text.count("li2022/fig8b at smoke: 2 supported; not recorded") == 1
    assert "Seed 1, cpu" in text
    assert text.index("li2022/fig8a") < text.index("li2022/fig8b")
    for words in (
        "the empirical risk converges to zero",
        "the usual factor",
        "sized for tests of the harness",
        "0 runs recorded, 3 needed",
        "arXiv:2201.07934",
        "euler",
    ):
        assert words in text, words


def test_what_a_paper_states_against_itself_is_listed_once(runs: list[Run], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(runs, {}, {}, {}, path)
    text = Page(path).text
    assert text.count("arXiv:2201.07934): inconsistencies") == 1
    assert text.count("8.68·10^12 cannot be a number of weights") == 1


def test_text_is_text(runs: list[Run], tmp_path: Path) -> None:
    run = runs[1]
    manifest = dict(run.record.manifest)
    manifest["figure"] = manifest["figure"] | {"caption": HOSTILE}
    manifest["paper"] = manifest["paper"] | {
        "identifier": HOSTILE,
        "title": HOSTILE,
        "inconsistencies": [dict.fromkeys(("where", "statement", "problem"), HOSTILE)],
    }
    stages = {HOSTILE: {HOSTILE: {"value": HOSTILE, "provenance": HOSTILE, "why": HOSTILE}}}
    manifest["stages"] = stages
    texts = dict.fromkeys(("statement", "reason", "verdict", "metric"), HOSTILE)
    claims = tuple(replace(claim, **texts) for claim in run.record.claims)
    steps = tuple(replace(step, stage=HOSTILE) for step in run.record.steps)
    hostile = changed(
        run, manifest=manifest, claims=claims, steps=steps, title=HOSTILE, status=HOSTILE,
        device=HOSTILE, versions={HOSTILE: HOSTILE}, profile=HOSTILE,
    )  # fmt: skip
    path = tmp_path / "report.html"
    write_report([hostile], {}, {}, {}, path)
    page = Page(path)
    assert "script" not in [tag for tag, _ in page.tags]
    assert HOSTILE in page.text
    assert page.open == []


def test_verdicts_have_their_colours(runs: list[Run], tmp_path: Path) -> None:
    claims = tuple(
        replace(claim, verdict=verdict, reason="")
        for claim, verdict in zip(
            runs[1].record.claims, ("not supported", "inconclusive"), strict=True
        )
    )
    write_report(
        [changed(runs[1], claims=claims, status="failed")], {}, {}, {}, tmp_path / "report.html"
    )
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "<span class='against'>not supported</span>" in text
    assert "<span class='open'>inconclusive</span>" in text
    assert "<span class='bad'>failed</span>" in text
    assert "<span class='good'>not supported" not in text


def test_a_verdict_has_its_cause_chance_and_control(runs: list[Run], tmp_path: Path) -> None:
    first, second = runs[1].record.claims
    claims = (
        replace(
            first, verdict="inconclusive", cause="without power", reason="without power: alike",
            noise=0.125, control=0.0625,
        ),
        replace(second, no_control="it is algebra"),
    )  # fmt: skip
    write_report([changed(runs[1], claims=claims)], {}, {}, {}, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    assert (
        "<td>0.125</td><td>0.0625</td><td>≤ 0.001</td><td><span class='open'>inconclusive: without "
        "power</span> <span class='small'>(alike)</span></td>"
    ) in text
    assert "<td></td><td>it is algebra</td><td>≥ 0.9999</td>" in text


def test_verdicts_over_seeds_stand_beside_the_latest_run(runs: list[Run], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(runs, {(FIGURE, "smoke"): [POOLED], (FIGURE, "desk"): [POOLED]}, {}, {}, path)
    page = Page(path)
    assert page.open == []
    assert page.text.count("Over the recorded seeds") == 1
    assert page.text.index("Over the recorded seeds") > page.text.index("li2022/fig8b at")
    assert (
        "<td>0.25 (0.125 to 0.375)</td><td>0.03</td><td>0.75</td><td>≤ 0.1</td>"
        "<td><span class='against'>not supported</span></td><td>1 supported, 5 not supported "
        "<span class='small'>(would be supported if false: 2 of 5 seeds; if true: 4 of 6 seeds)"
    ) in path.read_text("utf-8")
    unrecorded = replace(POOLED, seeds=0, measured=0)
    write_report(runs, {(FIGURE, "smoke"): [unrecorded]}, {}, {}, path)
    assert "Over the recorded seeds" not in path.read_text("utf-8")


def test_a_missing_value_says_so(runs: list[Run], tmp_path: Path) -> None:
    references = tuple(
        replace(entry, value=None, verdict="missing") for entry in runs[1].record.references
    )
    write_report([changed(runs[1], references=references)], {}, {}, {}, tmp_path / "report.html")
    assert "<span class='bad'>missing</span>" in (tmp_path / "report.html").read_text("utf-8")


class TestAlternatives:
    """They come below the run as declared they belong to, and are never taken for one."""

    def text(self, runs: list[Run], tmp_path: Path) -> str:
        write_report(runs, {}, {}, {}, tmp_path / "report.html")
        page = Page(tmp_path / "report.html")
        assert page.open == []
        return page.text

    def test_the_latest_of_the_same_seed_is_compared(
        self, runs: list[Run], alternative: Run, tmp_path: Path
    ) -> None:
        first, *others = alternative.record.claims
        first = replace(first, verdict="not supported", value=0.25)
        later = changed(alternative, claims=(first, *others))
        text = self.text([*runs, alternative, later], tmp_path)
        assert text.count("What the answer hangs on") == 1
        assert text.count("li2022/fig8b at smoke: 2 supported; not recorded") == 1
        assert "with cut_factor=1.0" in text
        assert "not supported (0.25)" in text
        assert "the answer depends on cut_factor=1.0: claim zero-loss" in text
        assert "do not depend" not in text
        text = self.text([*runs, later, alternative], tmp_path)
        assert "the verdicts do not depend on cut_factor=1.0" in text

    def test_a_violated_identity_is_named(
        self, runs: list[Run], alternative: Run, tmp_path: Path
    ) -> None:
        identity = IdentityVerdict("euler", "spectrum.euler_residual_max", 1.0, 1e-4, "violated")
        text = self.text([*runs, changed(alternative, identities=(identity,))], tmp_path)
        assert "exact identities do not hold: euler" in text

    @pytest.mark.parametrize("difference", ["seed", "profile", "claims"])
    def test_what_cannot_be_compared_is_left_out(
        self, runs: list[Run], alternative: Run, tmp_path: Path, difference: str
    ) -> None:
        manifest = alternative.record.manifest
        changes: dict[str, dict[str, Any]] = {
            "seed": {"seed": 7},
            "profile": {"profile": "desk"},
            "claims": {"manifest": manifest | {"figure": manifest["figure"] | {"claims": []}}},
        }
        text = self.text([*runs, changed(alternative, **changes[difference])], tmp_path)
        assert "What the answer hangs on" not in text
        assert "cut_factor=1.0" not in text
        assert "at desk" not in text


def test_a_figure_nothing_computes_is_listed_with_the_reason(
    runs: list[Run], tmp_path: Path
) -> None:
    library = Library(MANIFESTS)
    figure = library.not_computable()["li2022/fig1"].model_copy(update={"title": HOSTILE})
    papers = {"li2022": library.papers()["li2022"]}
    write_report(runs, {}, {"li2022/fig1": figure}, papers, tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert page.open == []
    assert "script" not in [tag for tag, _ in page.tags]
    assert page.text.index("li2022/fig1: not computable") < page.text.index("li2022/fig8a at")
    for words in (HOSTILE, "a picture reprinted from Uexküll's book", "Umwelt of a honey bee,"):
        assert words in page.text
