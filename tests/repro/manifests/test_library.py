"""Manifests by name, and the values a profile gives a figure."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from repro.errors import ManifestError, UsageError
from repro.manifests.library import FigureManifest, Library
from ssbrepro.papers import stages as stages_of
from tests.fakes import MANIFESTS, copy_manifests, replace_once


def library(folder: Path, *ids: str) -> Library:
    shutil.copy(MANIFESTS / "profiles.yaml", folder)
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


@pytest.mark.parametrize("name", ["..", "²", "fig5 ", "Fig5", "*"])
def test_a_figure_whose_name_is_no_name_is_refused_at_its_file(tmp_path: Path, name: str) -> None:
    named = library(tmp_path, f"li2022/{name}")
    for stem, as_stem in (("fig5", name), ("paper", "paper"), ("experiment", "experiment")):
        shutil.copy(MANIFESTS / "li2022" / f"{stem}.yaml", tmp_path / "li2022" / f"{as_stem}.yaml")
    with pytest.raises(ManifestError, match=r"\.yaml:\d+:\d+: a figure's file is named with small"):
        named.load(named.resolve(f"li2022/{name}"))


def test_a_misspelt_name_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no figure 'fig8' \(did you mean .*fig8a.*\?\)"):
        library(tmp_path, "li2022/fig8a", "li2022/fig2").resolve("fig8")


def test_an_empty_folder_says_which_variable_to_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"no manifests below {tmp_path}; set SSBREPRO_MANIFESTS"):
        Library(tmp_path).resolve("fig8a")


def test_a_profile_changes_values_and_says_so() -> None:
    training, *others = Library(MANIFESTS).load("li2022/fig8a").stages
    assert training.name == "training"
    assert [stage.name for stage in others] == ["spectrum", "spectrum_controls"]
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
    assert list(content["stages"]) == ["training", "spectrum", "spectrum_controls"]
    assert manifest.content("smoke") != manifest.content("desk")


def test_references_are_kept_beside_the_manifest() -> None:
    path = Library(MANIFESTS).load("li2022/fig8a").references_path("smoke")
    assert path == MANIFESTS / "li2022" / "references" / "fig8a.smoke.json"


def test_figures_nothing_computes_are_listed_with_the_paper() -> None:
    library = Library(MANIFESTS)
    (figure,) = library.not_computable().values()
    assert "honey bee" in figure.title
    assert figure.why
    assert "li2022/fig1" in library.ids()
    assert library.resolve("li2022/fig1") == "li2022/fig1"


def test_a_paper_that_cannot_be_read_hides_none_of_its_figures(tmp_path: Path) -> None:
    folder = copy_manifests(tmp_path / "manifests")
    (folder / "li2022" / "paper.yaml").write_text("title: 1\n")
    library = Library(folder)
    assert "li2022/fig8a" in library.ids()
    assert library.not_computable() == {}
    with pytest.raises(ManifestError, match=r"paper\.yaml"):
        library.load("li2022/fig8a")


OPTIONS = """\
      why: resolves p-values to 0.001
      alternatives:
        - {value: 99, why: a coarser test}
        - {value: 9999, with: {num_draws: 199, operator: pyhessian}, why: a finer test}
"""


@pytest.fixture(scope="module")
def open_figure(tmp_path_factory: pytest.TempPathFactory) -> FigureManifest:
    """A figure with alternatives in a stage of its own and in a shared one."""
    folder = copy_manifests(tmp_path_factory.mktemp("open") / "manifests")
    path = folder / "li2022" / "fig8a.yaml"
    replace_once(path, "      why: resolves p-values to 0.001\n", OPTIONS)
    manifest = Library(folder).load("li2022/fig8a")
    assert isinstance(manifest, FigureManifest)
    return manifest


def changes(one: FigureManifest, other: FigureManifest, profile: str) -> dict[str, object]:
    return {
        f"{stage.name}.{name}": value
        for stage, before in zip(other.stages, one.stages, strict=True)
        for name, value in stage.parameters(profile).items()
        if value != before.parameters(profile)[name]
    }


@pytest.mark.parametrize("profile", ["smoke", "paper"])
@pytest.mark.parametrize(
    ("text", "label", "expected"),
    [
        ("num_flips=99", "num_flips=99", {"spectrum.num_flips": 99}),
        ("num_flips=99.0", "num_flips=99", {"spectrum.num_flips": 99}),
        (
            "num_flips=9999",
            "num_flips=9999",
            {"spectrum.num_flips": 9999, "spectrum.num_draws": 199,
             "spectrum.operator": "pyhessian"},
        ),
        ("cut_factor=1", "cut_factor=1.0", {"training.cut_factor": 1.0}),
        (
            "positive_classes=[0,1,8, 9]",
            "positive_classes=[0, 1, 8, 9]",
            {"training.positive_classes": [0, 1, 8, 9],
             "training.negative_classes": [2, 3, 4, 5, 6, 7]},
        ),
    ],
)  # fmt: skip
def test_an_alternative_changes_its_values_and_what_goes_with_them(
    open_figure: FigureManifest, profile: str, text: str, label: str, expected: dict[str, object]
) -> None:
    # The smoke profile has its own num_draws: an alternative wins over that as well.
    changed = open_figure.with_alternative(text)
    assert changed.alternative == label
    assert open_figure.alternative is None
    assert changes(open_figure, changed, profile) == expected
    for stage in changed.stages:
        for name, origin in stage.origins(profile).items():
            is_changed = f"{stage.name}.{name}" in expected
            assert (origin["provenance"] == "alternative") == is_changed
            assert origin.get("where") or origin["why"]


@pytest.mark.parametrize(
    ("profile", "sizes"),
    [
        ("smoke", {}),
        ("desk", {"training.num_examples": 1979}),
        ("paper", {"training.num_examples": 10_000}),
    ],
)
def test_an_alternative_may_change_sizes_at_some_profiles(
    open_figure: FigureManifest, profile: str, sizes: dict[str, object]
) -> None:
    changed = open_figure.with_alternative("positive_classes=[0]")
    classes = {"training.positive_classes": [0], "training.negative_classes": [1]}
    assert changes(open_figure, changed, profile) == classes | sizes
    origins = next(s.origins(profile) for s in changed.stages if s.name == "training")
    if sizes:
        assert origins["num_examples"]["provenance"] == "alternative"
        assert "1,979 of the first 10,000" in origins["num_examples"]["why"]


def test_what_an_alternative_changes_at_a_profile_wins_over_what_it_always_changes(
    tmp_path: Path,
) -> None:
    folder = copy_manifests(tmp_path / "manifests")
    options = """\
      why: resolves p-values to 0.001
      alternatives:
        - value: 99
          with: {num_draws: 49}
          profiles: {smoke: {num_draws: 29}, desk: {num_grid_points: 11}}
          why: a coarser test
"""
    path = folder / "li2022" / "fig8a.yaml"
    replace_once(path, "      why: resolves p-values to 0.001\n", options)
    manifest = Library(folder).load("li2022/fig8a")
    assert isinstance(manifest, FigureManifest)
    changed = manifest.with_alternative("num_flips=99")
    always = {"spectrum.num_flips": 99, "spectrum.num_draws": 49}
    assert changes(manifest, changed, "smoke") == always | {"spectrum.num_draws": 29}
    assert changes(manifest, changed, "desk") == always | {"spectrum.num_grid_points": 11}
    assert changes(manifest, changed, "paper") == always


@pytest.mark.parametrize(
    "text",
    [
        "num_flips=999", "num_flips=98", "num_flips='99'", "num_flips=true", "num_flips=[99]",
        "num_flips", "num_flips=", "num_flips=[", "=99", "", "flips=99", "num_draws=199",
        "negative_classes=[1]", "positive_classes=[1, 0, 8, 9]", "num_flips=99 num_flips=99",
        "\x1b[31m=1",
    ],
)  # fmt: skip
def test_what_is_no_alternative_gets_a_list_to_type_from(
    open_figure: FigureManifest, text: str
) -> None:
    with pytest.raises(UsageError) as caught:
        open_figure.with_alternative(text)
    first, *options = str(caught.value).splitlines()
    assert first == f"li2022/fig8a has no alternative {text!r}; it has:"
    assert options == [
        "  --alternative 'positive_classes=[0]'",
        "  --alternative 'positive_classes=[0, 1, 8, 9]'",
        "  --alternative input_scaling=symmetric",
        "  --alternative num_convolutions=9",
        "  --alternative initialisation=he_uniform",
        "  --alternative cut_factor=1.0",
        "  --alternative differentiated=all",
        "  --alternative max_active=250",
        "  --alternative num_flips=99",
        "  --alternative num_flips=9999",
    ]


def test_a_figure_without_alternatives_says_so(open_figure: FigureManifest) -> None:
    with pytest.raises(UsageError, match=r"^li2022/fig8a has no alternatives$"):
        replace(open_figure, stages=()).with_alternative("width=1")


def test_two_stages_with_the_same_alternative_are_told_apart(open_figure: FigureManifest) -> None:
    training, spectrum = open_figure.stages
    other = next(name for name in stages_of("li2022") if name not in ("training", "spectrum"))
    twins = replace(open_figure, stages=(training, spectrum, replace(spectrum, name=other)))
    with pytest.raises(UsageError) as caught:
        twins.with_alternative("num_flips=99")
    assert "  --alternative spectrum.num_flips=99\n" in str(caught.value)
    changed = twins.with_alternative(f"{other}.num_flips=99")
    assert changed.alternative == f"{other}.num_flips=99"
    assert changes(twins, changed, "paper") == {f"{other}.num_flips": 99}
    # Those of one stage alone need no prefix.
    assert twins.with_alternative("cut_factor=1.0").alternative == "cut_factor=1.0"


def test_the_content_keeps_what_could_be_otherwise(open_figure: FigureManifest) -> None:
    stages = open_figure.content("smoke")["stages"]
    assert stages["spectrum"]["num_flips"]["alternatives"] == [
        {"value": 99, "why": "a coarser test"},
        {"value": 9999, "with": {"num_draws": 199, "operator": "pyhessian"}, "why": "a finer test"},
    ]
    assert "alternatives" not in stages["spectrum"]["num_grid_points"]
