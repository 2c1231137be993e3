"""The page of verdicts: one file, all of it inside, whole for every reader, and no markup but ours."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from repro.manifests.library import Library
from repro.outcome.record import Run
from repro.outcome.references import write_references
from repro.outcome.report.contents import FigurePart, contents
from repro.outcome.report.page import write_page
from repro.outcome.verdicts import IdentityVerdict, PredictionVerdict
from repro.settings import Settings
from tests.fakes import (
    BOTH_STAGES,
    CHECKOUT,
    FIGURE,
    copy_two_figures,
    recorded,
    settings_below,
)

HOSTILE = "<script>alert('1 & \"2\"')</script>"
VOID = {"meta", "img", "br"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two figures; of fig. 8b six seeds are recorded at smoke, and none of fig. 8a."""
    folder = tmp_path_factory.mktemp("report")
    return settings_below(folder, copy_two_figures(folder / "manifests"))


@pytest.fixture(scope="module")
def library(settings: Settings) -> Library:
    return Library(settings.manifests)


@pytest.fixture(scope="module")
def runs(settings: Settings, library: Library) -> list[Run]:
    """One of fig. 8a, against its first claim; two of fig. 8b, the later one against both of its."""
    seeds = [recorded(settings, FIGURE, seed).record for seed in range(6)]
    write_references(library.load(FIGURE), "smoke", seeds)
    against = {"verdict": "not supported", "value": 0.25}
    spectra, first, second = (
        recorded(settings, name, seed)
        for name, seed in ((BOTH_STAGES, 0), (FIGURE, 0), (FIGURE, 1))
    )
    one, *others = spectra.record.claims
    spectra = changed(spectra, claims=(replace(one, **against), *others))
    claims = tuple(replace(one, **against) for one in second.record.claims)
    return [spectra, first, changed(second, claims=claims, commit="c0ffee" * 6)]


@pytest.fixture(scope="module")
def alternative(settings: Settings) -> Run:
    return recorded(settings, FIGURE, 1, "cut_factor=1.0")


@pytest.fixture
def page(library: Library, runs: list[Run], tmp_path: Path) -> "Page":
    return written(library, runs, tmp_path)


class Page(HTMLParser):
    """Tags with their attributes, texts, and the file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.markup = path.read_text("utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(self.markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    @property
    def text(self) -> str:
        """All of it, without style and script."""
        parts = [text for tag, text in self.texts if tag not in ("style", "script")]
        return " ".join("".join(parts).split())

    def values(self, name: str, tag: str = "") -> list[str]:
        """What an attribute is, wherever it is."""
        found = (attributes.get(name) for one, attributes in self.tags if not tag or one == tag)
        return [value for value in found if value is not None]


def written(library: Library, runs: list[Run], folder: Path) -> Page:
    write_page(contents(library, library.ids(), runs), folder / "report.html")
    return Page(folder / "report.html")


def figure(library: Library, runs: list[Run], figure_id: str = FIGURE) -> FigurePart:
    ((part,),) = (paper.figures for paper in contents(library, [figure_id], runs))
    return part


def changed(run: Run, **changes: Any) -> Run:
    return replace(run, record=replace(run.record, **changes))


class TestPage:
    def test_it_is_whole(self, page: Page) -> None:
        assert page.markup.startswith('<!doctype html>\n<html lang="en">')
        assert page.open == []
        assert [tag for tag, count in Counter(tag for tag, _ in page.tags).items()
                if tag in ("h1", "main", "title") and count != 1] == []  # fmt: skip
        ids = page.values("id")
        assert len(ids) == len({*ids})

    def test_every_link_has_its_target(self, page: Page) -> None:
        targets = [link[1:] for link in page.values("href") if link.startswith("#")]
        targets += page.values("aria-labelledby")
        targets += re.findall(r"url\(#(.*?)\)", page.markup)
        assert {*targets} <= {*page.values("id")}
        for anchor in ("li2022", FIGURE, f"{FIGURE}/zero-loss", f"{FIGURE}@smoke", "li2022/fig1"):
            assert anchor in targets, anchor

    def test_nothing_is_loaded(self, page: Page) -> None:
        assert all(source.startswith("data:image/") for source in page.values("src"))
        links = page.values("href", "a")
        assert {link for link in links if not link.startswith("#")} == {
            "https://arxiv.org/abs/2201.07934"
        }
        assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "base", "embed"}
        assert not re.search(r"url\((?!#)|@import", page.markup)

    def test_a_policy_names_what_may_run(self, page: Page) -> None:
        (policy,) = (text for text in page.values("content") if "default-src" in text)
        assert "default-src 'none'" in policy
        for tag in ("style", "script"):
            (text,) = (text for inside, text in page.texts if inside == tag)
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
        names = {name for _, attributes in page.tags for name in attributes}
        assert not [name for name in names if name.startswith("on") or name == "style"]

    def test_it_reads_well_aloud(self, page: Page) -> None:
        levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert all(attributes.get("scope") for tag, attributes in page.tags if tag == "th")
        assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
        pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
        assert all("aria-label" in one or "aria-hidden" in one for one in pictures)
        assert all("tabindex" in one and "aria-label" in one for tag, one in page.tags
                   if one.get("class") == "scroll")  # fmt: skip

    def test_without_scripts_all_is_there_but_the_filters(self, page: Page) -> None:
        hidden = [
            (tag, attributes["id"]) for tag, attributes in page.tags if "hidden" in attributes
        ]
        assert hidden == [("form", "filters")]

    def test_text_is_text(self, library: Library, runs: list[Run], tmp_path: Path) -> None:
        record = runs[-1].record
        texts = dict.fromkeys(("statement", "reason", "verdict", "metric"), HOSTILE)
        origin = {"value": HOSTILE, "provenance": HOSTILE, "why": HOSTILE}
        hostile = changed(
            runs[-1],
            manifest=dict(record.manifest) | {"stages": {HOSTILE: {HOSTILE: origin}}},
            claims=tuple(replace(claim, **texts) for claim in record.claims),
            steps=tuple(replace(step, stage=HOSTILE) for step in record.steps),
            **dict.fromkeys(("title", "status", "device", "commit", "recorded_at"), HOSTILE),
            versions={HOSTILE: HOSTILE},
        )
        (paper,) = contents(library, [FIGURE], [hostile])
        (part,) = paper.figures
        named = dict.fromkeys(("statement", "where", "metric", "no_control"), HOSTILE)
        claims = tuple(
            replace(one, claim=one.claim.model_copy(update=named)) for one in part.claims
        )
        part = replace(part, title=HOSTILE, caption=HOSTILE, claims=claims)
        without = replace(part, anchor="li2022/fig1", claims=(), runs=(), not_computable=HOSTILE)
        cited = paper.paper.model_copy(
            update=dict.fromkeys(("title", "identifier", "summary", "url"), HOSTILE)
        )
        write_page([replace(paper, paper=cited, figures=[part, without])], tmp_path / "page.html")
        page = Page(tmp_path / "page.html")
        assert page.open == []
        assert [tag for tag, _ in page.tags].count("script") == 1
        assert page.text.count(HOSTILE) > 20


class TestContents:
    def test_each_claim_has_the_verdict_over_seeds_and_that_of_the_latest_run(
        self, library: Library, runs: list[Run]
    ) -> None:
        part = figure(library, runs)
        assert [one.anchor for one in part.claims] == [
            f"{FIGURE}/zero-loss",
            f"{FIGURE}/full-accuracy",
        ]
        ((profile, outcome),) = ((one.profile, one) for one in part.claims[0].outcomes)
        assert outcome.pooled is not None
        assert outcome.run is not None
        assert (profile, outcome.seed, outcome.run.value) == ("smoke", 1, 0.25)
        assert (outcome.pooled.seeds, outcome.pooled.verdict) == (6, "supported")
        assert outcome.verdict is outcome.pooled
        assert [run.record.seed for run in part.runs] == [1]

    def test_what_was_not_recorded_has_the_verdict_of_the_run_alone(
        self, library: Library, runs: list[Run]
    ) -> None:
        part = figure(library, runs, BOTH_STAGES)
        outcomes = [one for claim in part.claims for one in claim.outcomes]
        assert [(one.pooled, one.seed, one.verdict.verdict) for one in outcomes] == [
            (None, 0, "not supported"),
            (None, 0, "supported"),
            (None, 0, "supported"),
        ]

    def test_what_was_not_run_has_what_is_recorded(
        self, library: Library, runs: list[Run], tmp_path: Path
    ) -> None:
        part = figure(library, [])
        assert part.known
        assert (part.runs, [one.run for claim in part.claims for one in claim.outcomes]) == (
            (),
            [None, None],
        )
        assert not figure(library, [], BOTH_STAGES).known
        assert "Not run on this machine" in written(library, [], tmp_path).text

    def test_a_run_that_was_asked_something_else_answers_nothing(
        self, library: Library, runs: list[Run], tmp_path: Path
    ) -> None:
        first, *others = runs[-1].record.claims
        older = changed(runs[-1], claims=(replace(first, bound=0.5), *others))
        outcomes = [one for claim in figure(library, [older]).claims for one in claim.outcomes]
        assert [one.run is None for one in outcomes] == [True, False]
        assert "≤ 0.5" in written(library, [older], tmp_path).text  # among what the run says itself


class TestAlternatives:
    """They come with the run as declared they belong to, and are never taken for one."""

    def test_the_latest_of_the_same_seed_is_compared(
        self, library: Library, runs: list[Run], alternative: Run, tmp_path: Path
    ) -> None:
        first, *others = alternative.record.claims
        later = changed(alternative, claims=(replace(first, value=0.125), *others))
        (shown,) = figure(library, [*runs, alternative, later]).runs
        (other,) = shown.alternatives
        assert shown.record.alternative is None
        assert other.record is later.record
        assert other.sentence == (
            "the answer depends on cut_factor=1.0: claims zero-loss, full-accuracy"
        )
        text = written(library, [*runs, later], tmp_path).text
        assert f"What the answer hangs on: {other.sentence}" in text
        assert "supported (0.125)" in text

    def test_a_violated_identity_is_named(
        self, library: Library, runs: list[Run], alternative: Run
    ) -> None:
        identity = IdentityVerdict("euler", "spectrum.euler_residual_max", 1.0, 1e-4, "violated")
        unsound = changed(alternative, identities=(identity,))
        (shown,) = figure(library, [*runs, unsound]).runs
        (other,) = shown.alternatives
        assert other.sentence.endswith("; exact identities do not hold: euler")

    @pytest.mark.parametrize("difference", ["seed", "profile", "claims"])
    def test_what_cannot_be_compared_is_left_out(
        self, library: Library, runs: list[Run], alternative: Run, difference: str
    ) -> None:
        manifest = alternative.record.manifest
        changes: dict[str, dict[str, Any]] = {
            "seed": {"seed": 7},
            "profile": {"profile": "desk"},
            "claims": {"manifest": manifest | {"figure": manifest["figure"] | {"claims": []}}},
        }
        other = changed(alternative, **changes[difference])
        (shown,) = figure(library, [*runs, other]).runs
        assert shown.alternatives == ()


def test_all_that_is_known_is_said(page: Page) -> None:
    for words in (
        "Each claim of the paper is a bound",
        "4 supported, 1 not supported",  # of both figures
        "would be supported if false: 0 of 6 seeds".capitalize(),
        "The loss (empirical risk) and performance (accuracy) curves",
        "smoke, over 6 seeds",
        "smoke, seed 0 alone",
        "here, seed 1",
        "≤ 0.001",
        "none: a stand-in",
        "commit c0ffeec0ffee",
        f"repro run {FIGURE} --profile smoke --seed 1",
        "sized for tests of the harness",
        "the usual factor",
        "8.68·10^12 cannot be a number of weights",
        "a picture reprinted from Uexküll's book",
    ):
        assert words in page.text, words
    assert page.text.count("8.68·10^12 cannot be a number of weights") == 1


def test_a_missing_number_stands_out(library: Library, runs: list[Run], tmp_path: Path) -> None:
    record = runs[0].record
    references = tuple(replace(one, value=None, verdict="missing") for one in record.references)
    page = written(library, [changed(runs[0], references=references)], tmp_path)
    assert page.values("class").count("verdict fault") == len(references)


def test_what_became_of_a_prediction_is_on_the_page(
    library: Library, runs: list[Run], tmp_path: Path
) -> None:
    verdict = PredictionVerdict("training.final_loss", 0.5, 0.1, 0.2, "not as predicted")
    page = written(library, [changed(runs[0], predictions=(verdict,))], tmp_path)
    assert "0.1 to 0.2" in page.text
    assert "not as predicted" in page.text


@pytest.mark.browser
def test_a_browser_finds_nothing_wrong(library: Library, runs: list[Run], tmp_path: Path) -> None:
    """In both schemes, on a wide screen and on a phone; and the filters filter."""
    chromium = shutil.which("chromium")
    python, axe = (os.environ.get(f"SSBREPRO_{name}") for name in ("PLAYWRIGHT", "AXE"))
    if not (chromium and python and axe):
        pytest.skip("needs chromium on the PATH, SSBREPRO_PLAYWRIGHT and SSBREPRO_AXE")
    page = written(library, runs, tmp_path)
    command = [python, CHECKOUT / "tests" / "browsing.py", page.path.as_uri(), chromium, axe]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["violations"] == []
    assert found["overflowing"] == []
    assert found["requests"] == []
    assert found["errors"] == []
    assert not found["filters_without_scripts"]
    assert found["figures_without_scripts"] == 3
    filtered = found["filtered"]
    assert filtered["first"] == ["li2022/fig1", BOTH_STAGES, FIGURE]
    assert filtered["figures"] == [BOTH_STAGES]
    assert filtered["claims"] == [f"{BOTH_STAGES}/symmetric-spectrum"]
    assert filtered["marks"] == ["not supported"]
    assert filtered["said"] == "1 of 3 figures"
    assert filtered["linked"] == filtered["first"]
    assert 0 <= filtered["where"] < 800


def test_a_claim_is_drawn_across_the_profiles_at_which_it_is_recorded(
    settings: Settings, runs: list[Run], tmp_path: Path
) -> None:
    library = Library(shutil.copytree(settings.manifests, tmp_path / "manifests"))
    assert written(library, runs, tmp_path).values("class", "svg").count("forest") == 0
    write_references(library.load(FIGURE), "wide", [run.record for run in runs[1:]])
    page = written(library, runs, tmp_path)
    claims = len(library.load(FIGURE).figure.claims)
    assert page.values("class", "svg").count("forest") == claims > 0
    labels = [label for label in page.values("aria-label", "svg") if label.startswith("Claimed ")]
    assert all(0 < label.index(" smoke: ") < label.index(" wide: ") for label in labels)
