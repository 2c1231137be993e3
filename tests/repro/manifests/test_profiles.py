"""Profiles are declared once, as data; manifests have them or say why not."""

from pathlib import Path

import pytest

from repro.errors import ManifestError, UsageError
from repro.manifests.library import Library
from repro.manifests.profiles import load_profiles
from tests.fakes import MANIFESTS, PROFILES, copy_two_figures, replace_once

TINY = """\
  - name: tiny
    purpose: less than a test
    budget_minutes: 1
    device: any
"""
FIGURES = ("fig8a", "fig8b")


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    return copy_two_figures(tmp_path / "manifests")


def add_profile(manifests: Path) -> None:
    """One more, the smallest, in its one place."""
    path = manifests / "profiles.yaml"
    path.write_text(
        path.read_text("utf-8").replace("  - name: smoke\n", TINY + "  - name: smoke\n")
    )


def faults_of(manifests: Path) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load_profiles(manifests)
    return [fault.removeprefix(f"{manifests}/profiles.yaml:") for fault in caught.value.faults]


def test_names_are_in_the_order_of_the_file() -> None:
    profiles = load_profiles(MANIFESTS)
    assert profiles.names == PROFILES
    assert profiles.ascending({PROFILES[-1], PROFILES[0], "no such"}) == [PROFILES[0], PROFILES[-1]]
    assert {profiles.default(device) for device in ("cpu", "cuda")} <= set(PROFILES)
    with pytest.raises(
        UsageError, match=r"no profile 'dsk' \(did you mean desk or smoke.*; there are"
    ):
        profiles.require("dsk")


def test_a_folder_without_profiles_goes_by_this_projects(manifests: Path) -> None:
    (manifests / "profiles.yaml").unlink()
    assert load_profiles(manifests) == load_profiles(MANIFESTS)


def test_true_is_no_version_although_it_equals_one(manifests: Path) -> None:
    replace_once(manifests / "profiles.yaml", "schema_version: 1", "schema_version: true")
    assert faults_of(manifests) == ["2:17: schema_version: Input should be 1 (found True)"]


def test_a_folder_without_manifests_is_the_wrong_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"no manifests below {tmp_path}.*set SSBREPRO_MANIFESTS"):
        load_profiles(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("  cpu: desk", "  cpu: dsek", "6:8: auto.cpu: no profile 'dsek' (did you mean desk"),
        ("name: wide", "name: desk", "18:11: profiles.2.name: 'desk' is taken"),
        ("name: wide", "name: auto", "18:11: profiles.2.name: 'auto' is taken"),
        ("name: wide", "name: fig8a@wide", "18:11: profiles.2.name: String should match pattern"),
        (
            "budget_minutes: 480",
            "budget_minutes: 0",
            "20:21: profiles.2.budget_minutes: Input should",
        ),
        (
            "device: cuda",
            "device: gpu",
            "26:13: profiles.3.device: Input should be 'cpu', 'cuda' or",
        ),
        ("  cuda: paper\n", "", "6:3: auto.cuda: missing"),
    ],
)
def test_a_fault_is_reported_at_its_place(manifests: Path, old: str, new: str, fault: str) -> None:
    replace_once(manifests / "profiles.yaml", old, new)
    assert any(one.startswith(fault) for one in faults_of(manifests)), faults_of(manifests)


def test_a_profile_is_added_by_saying_so_in_manifests_alone(manifests: Path) -> None:
    add_profile(manifests)
    for name in FIGURES:
        with pytest.raises(ManifestError, match="profiles: nothing is said of tiny"):
            Library(manifests).load(f"li2022/{name}")
    tiny = "\nprofiles:\n  tiny: {why: less, training: {num_epochs: 3}}\n"
    replace_once(manifests / "li2022" / "experiment.yaml", "\nprofiles:\n", tiny)
    tiny = "\nprofiles:\n  tiny: {why: less}\n"
    replace_once(manifests / "li2022" / "fig8a.yaml", "\nprofiles:\n", tiny)
    figure = Library(manifests).load("li2022/fig8a")
    assert figure.profiles == ("tiny", *PROFILES)
    assert figure.stages[0].parameters("tiny")["num_epochs"] == 3
    label = "positive_classes=[0]"
    assert figure.with_alternative(label).stages[0].parameters("tiny")["positive_classes"] == [0]


def test_a_manifest_may_be_silent_of_an_optional_profile_and_omits_it(manifests: Path) -> None:
    replace_once(manifests / "profiles.yaml", "  - name: smoke\n", TINY + "  - name: smoke\n")
    replace_once(manifests / "profiles.yaml", "minutes: 1\n", "minutes: 1\n    optional: true\n")
    figure = Library(manifests).load("li2022/fig8a")
    assert figure.profiles == PROFILES
    assert figure.omission("tiny").endswith(
        "smoke, desk, wide, paper): its manifest says nothing of it"
    )


def test_no_figure_of_this_project_omits_a_profile_in_silence() -> None:
    library = Library(MANIFESTS)
    for manifest in map(library.load, library.computed()):
        assert "its manifest says nothing of it" not in manifest.omitted.values()


@pytest.mark.parametrize(
    ("own", "omitted", "has"),
    [
        ("{omitted: too long}", {"wide": "too long"}, False),
        ("{why: small enough}", {}, True),
        ("", {"wide": "not of this paper"}, False),
    ],
)
def test_a_figures_own_word_on_a_profile_wins_over_its_papers(
    manifests: Path, own: str, omitted: dict[str, str], has: bool
) -> None:
    paper = "\nprofiles: {wide: {omitted: not of this paper}}\ninconsistencies:\n"
    replace_once(manifests / "li2022" / "paper.yaml", "\ninconsistencies:\n", paper)
    said = f"  wide: {own}\n" if own else ""
    old = "  wide:\n"
    text = (manifests / "li2022" / "fig8a.yaml").read_text("utf-8")
    start, end = text.index(old), text.index("  paper:\n    why: the full size")
    (manifests / "li2022" / "fig8a.yaml").write_text(text[:start] + said + text[end:], "utf-8")
    figure = Library(manifests).load("li2022/fig8a")
    assert figure.omitted == omitted
    assert figure.own_omissions == (omitted if own else {})
    assert ("wide" in figure.profiles) == has
    assert figure.content("smoke")["paper"].keys() == (
        Library(MANIFESTS).load("li2022/fig8a").content("smoke")["paper"].keys()
    )
