"""What commands do where a figure omits a profile: said by name, left out of all."""

import json
from pathlib import Path

import pytest

from tests.fakes import BOTH_STAGES, FIGURE, MANIFESTS
from tests.repro.conftest import Cli

WHY = "its training would take a week"
OTHERS = "smoke, desk, paper"
SAID = f"{FIGURE} omits profile wide (it has {OTHERS}): {WHY}\n"
LEFT_OUT = f"profile wide leaves out 1 figure: {FIGURE}: {WHY}\n"


@pytest.fixture
def omitting(repro: Cli) -> Cli:
    """Fig. 8b omits the profile wide, fig. 8a has it."""
    path = repro.manifests / f"{FIGURE}.yaml"
    text = path.read_text("utf-8")
    assert "profiles:" not in text  # it shares its only stage
    path.write_text(f"{text}profiles: {{wide: {{omitted: {WHY}}}}}\n", "utf-8")
    return repro


@pytest.mark.parametrize(
    "command",
    [
        ("fig8b",),
        ("run", "fig8a", "fig8b"),
        ("verify", "fig8b"),
        ("plan", "fig8b"),
        ("explain", "fig8b"),
        ("record", "fig8b", "--seeds", "0"),
        ("export", "fig8b", "--crate", "crate"),
        ("store", "export", "wide.zip", "fig8b"),
    ],
)
def test_a_figure_that_is_named_is_refused_with_the_reason(
    omitting: Cli, command: tuple[str, ...]
) -> None:
    outcome = omitting.call(*command, "--profile", "wide")
    assert (outcome.status, outcome.err) == (2, SAID)
    assert omitting.executor.ran == []


def test_nothing_is_compared_or_imported_where_it_cannot_be(omitting: Cli, tmp_path: Path) -> None:
    outcome = omitting.call("compare", "fig8b@wide", "fig8b@smoke")
    assert (outcome.status, outcome.err) == (2, f"fig8b@wide: {SAID}")
    runs = json.loads((MANIFESTS / "li2022" / "references" / "fig8b.smoke.json").read_text())
    path = tmp_path / "runs.json"
    path.write_text(json.dumps(runs | {"profile": "wide"}))
    outcome = omitting.call("references", "import", str(path))
    assert (outcome.status, outcome.err) == (2, f"{path}: {SAID}")


@pytest.mark.parametrize("command", ["run", "verify"])
def test_all_leaves_it_out_and_says_so(omitting: Cli, command: str) -> None:
    path = omitting.home.parent / "outcome.json"
    outcome = omitting.call(command, "--all", "--profile", "wide", "--json", str(path))
    assert LEFT_OUT in outcome.err
    content = json.loads(path.read_text())
    assert [one["id"] for one in content["figures"] if one["steps"]] == [BOTH_STAGES]
    assert content["omitted"] == [{"id": FIGURE, "why": WHY}]
    omitting.call(command, "--all", "--profile", "smoke", "--json", str(path))
    assert json.loads(path.read_text())["omitted"] == []


def test_what_several_figures_of_a_paper_have_for_a_reason_is_said_once(omitting: Cli) -> None:
    path = omitting.manifests / f"{BOTH_STAGES}.yaml"
    text = path.read_text("utf-8")
    start, end = text.index("\n  wide:\n"), text.index("\n  paper:\n")
    path.write_text(f"{text[:start]}\n  wide: {{omitted: {WHY}}}{text[end:]}", "utf-8")
    outcome = omitting.call("run", "--all", "--profile", "wide")
    assert f"profile wide leaves out 2 figures: 2 of li2022: {WHY}\n" in outcome.err
    assert outcome.status == 0
    assert omitting.executor.ran == []


def test_what_is_shown_says_it(omitting: Cli) -> None:
    for option in ((), ("--appendix",)):
        outcome = omitting.call("table", "li2022", "--profile", "wide", *option)
        assert f"Omitted at wide: {WHY}.\n" in outcome.out
    words = omitting.call("list").words
    assert "laptop overnight" in words
    _, entries = omitting.json("list")
    assert [one["id"] for one in entries if one["omitted"]] == [FIGURE]
    omitting.call("fig8b", "--profile", "smoke")
    page = omitting.home.parent / "report.html"
    omitting.call("report", "--out", str(page))
    assert f"Omitted at wide: {WHY}." in page.read_text("utf-8")
    assert (
        f"at {OTHERS.replace('desk,', 'desk, wide,')}; auto: desk" in omitting.call("doctor").words
    )


def test_a_profile_of_another_device_is_said_to_be(repro: Cli) -> None:
    outcome = repro.call("plan", "fig8b", "--profile", "paper")
    assert "profile paper is meant for cuda; here it runs on cpu\n" in outcome.err
    assert "is meant for" not in repro.call("plan", "fig8b", "--profile", "desk").err
