"""Manifests by name, and the values a profile gives a figure."""

import json
from pathlib import Path

import pytest

from repro.errors import UsageError
from repro.library import Library
from tests.fakes import MANIFESTS


def library(folder: Path, *ids: str) -> Library:
    for figure_id in ids:
        path = folder / f"{figure_id}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return Library(folder)


def test_ids_are_in_the_papers_order_and_leave_out_what_is_no_figure(tmp_path: Path) -> None:
    named = library(
        tmp_path, "b/fig1", "a/fig10", "a/fig2", "a/fig2b", "a/paper", "a/experiment", "a/goldstone"
    )
    assert named.ids() == ["a/fig2", "a/fig2b", "a/fig10", "a/goldstone", "b/fig1"]
    assert Library(tmp_path / "nowhere").ids() == []


def test_short_and_full_names(tmp_path: Path) -> None:
    named = library(tmp_path, "a/fig1", "a/fig2", "b/fig1")
    assert named.resolve("a/fig2") == named.resolve("fig2") == "a/fig2"
    assert named.resolve("b/fig1") == "b/fig1"
    with pytest.raises(UsageError, match="fig1 is in several papers: a/fig1, b/fig1"):
        named.resolve("fig1")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a", "a/", "/fig1", "../a/fig1", "a/fig1.yaml", "paper"]
)
def test_what_is_no_figure_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no figure"):
        library(tmp_path, "a/fig1", "a/paper").resolve(name)


def test_a_misspelt_name_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no figure 'fig8' \(did you mean .*fig8a.*\?\)"):
        library(tmp_path, "li2022/fig8a", "li2022/fig2").resolve("fig8")


def test_an_empty_folder_says_which_variable_to_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"no manifests below {tmp_path}; set SSBREPRO_MANIFESTS"):
        Library(tmp_path).resolve("fig8a")


def test_a_profile_changes_values_and_says_so() -> None:
    training, spectrum = Library(MANIFESTS).load("li2022/fig8a").stages
    assert (training.name, spectrum.name) == ("training", "spectrum")
    paper, smoke = training.parameters("paper"), training.parameters("smoke")
    assert paper["num_examples"] == 50_000
    assert smoke["num_examples"] < 1000
    assert smoke["momentum"] == paper["momentum"]
    origin = training.origins("smoke")["num_examples"]
    assert origin["provenance"] == "profile"
    assert "sized for tests" in origin["why"]
    assert training.origins("smoke")["momentum"]["provenance"] == "assumed"


def test_the_content_of_a_figure_is_plain_data_with_its_papers_words() -> None:
    manifest = Library(MANIFESTS).load("li2022/fig8a")
    content = json.loads(json.dumps(manifest.content("smoke"), allow_nan=False))
    assert content["id"] == "li2022/fig8a"
    assert content["profile"] == "smoke"
    assert content["paper"]["identifier"] == "arXiv:2201.07934"
    assert [claim["id"] for claim in content["figure"]["claims"]] == [
        claim.id for claim in manifest.figure.claims
    ]
    assert list(content["stages"]) == ["training", "spectrum"]
    assert manifest.content("smoke") != manifest.content("desk")


def test_references_are_kept_beside_the_manifest() -> None:
    path = Library(MANIFESTS).load("li2022/fig8a").references_path("smoke")
    assert path == MANIFESTS / "li2022" / "references" / "fig8a.smoke.json"
