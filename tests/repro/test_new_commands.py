"""``repro new figure``: what it refuses. `tests/e2e/test_recipes.py` runs what it writes."""

from pathlib import Path

import pytest
import yaml

from repro.manifests.library import Library
from repro.manifests.loading import load
from repro.manifests.models import models_of
from repro.scaffold import new_figure
from ssbrepro.papers import stages
from tests.fakes import CHECKOUT, MANIFESTS, PROFILES
from tests.repro.conftest import Cli


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fig99",), "'fig99': write PAPER/FIGURE, such as li2022/fig9"),
        (("li2022/Fig_99",), "'li2022/Fig_99': write PAPER/FIGURE"),
        (("li2022/../fig99",), "'li2022/../fig99': write PAPER/FIGURE"),
        (("li2023/fig99",), "no paper 'li2023' (did you mean li2022?); CONTRIBUTING.md says how"),
        (("li2022/fig8a",), "li2022/fig8a is there already"),
        (("li2022/fig1",), "li2022/fig1 is there already"),  # which nothing computes
        (
            ("li2022/fig99", "--stage", "no-module"),
            "--stage 'no-module': it is the name of a module",
        ),
        (
            ("li2022/fig99", "--stage", "training"),
            "training.py is there already; nothing was written",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    repro: Cli, arguments: tuple[str, ...], message: str
) -> None:
    done = repro.call("new", "figure", *arguments)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert not list(repro.manifests.rglob("fig99*"))
    assert not list((CHECKOUT / "ssbrepro").rglob("fig99*"))


def test_without_a_stage_it_has_those_that_others_share(tmp_path: Path) -> None:
    manifest, drawing = new_figure(Library(MANIFESTS), "ssb2018/new-figure", None)
    assert (manifest.path, drawing.path.name) == (
        MANIFESTS / "ssb2018" / "new-figure.yaml",
        "new_figure.py",
    )
    path = tmp_path / "new-figure.yaml"
    path.write_text(manifest.content, "utf-8")
    shared = load(path, models_of("ssb2018", PROFILES).figure).model.shared_stages
    assert shared
    assert [*shared] == [name for name in stages("ssb2018") if name in shared]


@pytest.mark.parametrize("path", [MANIFESTS, CHECKOUT / "ssbrepro"], ids=lambda path: path.name)
def test_nothing_that_is_here_is_still_to_be_written(path: Path) -> None:
    left = [one for kind in ("yaml", "py") for one in path.rglob(f"*.{kind}")]
    assert [one for one in left if "TODO" in one.read_text("utf-8")] == []


def test_with_a_stage_it_says_something_of_every_profile_that_its_paper_has(tmp_path: Path) -> None:
    for paper, missing in (("li2022", set()), ("ssb2018", {"wide"})):
        (manifest, *_) = new_figure(Library(MANIFESTS), f"{paper}/new-figure", "new_stage")
        said = yaml.safe_load(manifest.content)["profiles"]
        assert [*said] == [name for name in PROFILES if name not in missing]
        assert [name for name in said if "new_stage" not in said[name]] == [PROFILES[-1]]
