"""Verdicts of both sides: which differ, and which nobody can tell."""

import io
import itertools
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from repro.errors import StoreError, UsageError
from repro.manifests.library import FigureManifest, Library
from repro.outcome.comparing.comparison import Comparison, compare
from repro.outcome.comparing.picture import draw, write_picture
from repro.outcome.comparing.subjects import Subject
from repro.outcome.comparing.text import show_comparison
from repro.outcome.references import recorded_runs
from tests.fakes import BOTH_STAGES, FIGURE, MANIFESTS, copy_manifests, hidden, recorded_run_of


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> FigureManifest:
    return Library(copy_manifests(tmp_path_factory.mktemp("manifests") / "m")).load(FIGURE)


def side(
    manifest: FigureManifest,
    losses: Sequence[float],
    processor: str = "A",
    profile: str = "smoke",
    words: Sequence[str] | None = None,
    start: int = 0,
) -> Subject:
    """Runs with a loss, which is claimed to be at most 0.001, and the claim's verdict."""
    said = words or ["supported" if loss <= 1e-3 else "not supported" for loss in losses]
    runs = tuple(
        recorded_run_of(
            start + seed,
            processor,
            {"training.final_loss": loss, "training.max_order_parameter": 0.5},
            claims={"zero-loss": word},
        )
        for seed, (loss, word) in enumerate(zip(losses, said, strict=True))
    )
    return Subject(f"{processor}@{profile}", "recorded", manifest, profile, None, runs)


def verdict(a: Subject, b: Subject) -> tuple[str, str, str]:
    claim = compare(a, b).claims[0]
    assert claim.id == "zero-loss"
    return claim.a.word, claim.b.word, claim.verdict


def test_the_verdicts_of_two_runs_are_those_of_their_records(manifest: FigureManifest) -> None:
    good, bad = side(manifest, [0.0005]), side(manifest, [0.5], "B")
    assert verdict(good, good) == ("supported", "supported", "same")
    assert verdict(good, bad) == ("supported", "not supported", "differs")
    # Another manifest may have judged otherwise, which is what is to be found out.
    other = side(manifest, [0.0005], "B", words=["inconclusive"])
    assert verdict(good, other) == ("supported", "inconclusive", "differs")


def test_several_seeds_have_the_verdict_over_seeds(manifest: FigureManifest) -> None:
    good, crossing = side(manifest, [0.0005] * 5), side(manifest, [0.0005] * 5 + [0.1], "B")
    assert verdict(good, crossing) == ("supported", "inconclusive", "differs")
    assert compare(good, crossing).claims[0].b.cause == "crosses the bound"
    assert verdict(good, side(manifest, [0.0004] * 6, "B")) == ("supported", "supported", "same")
    assert compare(good, crossing).differences == [
        "claim zero-loss: supported against inconclusive"
    ]


def test_few_seeds_have_none(manifest: FigureManifest) -> None:
    comparison = compare(side(manifest, [0.5] * 4), side(manifest, [0.0] * 5, "B"))
    claim = comparison.claims[0]
    assert (claim.verdict, claim.reason) == ("not compared", "a verdict over seeds needs 5")
    assert (claim.a.word, claim.b.word) == ("not supported", "supported")
    # The numbers tell them apart all the same.
    assert comparison.differences == ["training.final_loss: 0.5 against 0"]


@pytest.mark.parametrize("number", [2, 6])
def test_one_run_is_held_to_what_any_of_several_came_to(
    manifest: FigureManifest, number: int
) -> None:
    many = side(manifest, [0.0005] * (number - 1) + [0.1])
    for loss in (0.0005, 0.1):
        assert verdict(side(manifest, [loss], "B"), many)[2] == "same"
    unseen = side(manifest, [0.0005], "B", words=["inconclusive"])
    assert verdict(unseen, many) == (
        "inconclusive", "not supported or supported", "differs"
    )  # fmt: skip
    assert verdict(many, unseen)[2] == "differs"


def test_profiles_differ_in_their_verdicts_alone(manifest: FigureManifest) -> None:
    smoke, desk = side(manifest, [1e-5] * 5), side(manifest, [9e-4] * 5, profile="desk")
    assert compare(smoke, desk).differences == []
    bad = side(manifest, [0.5] * 5, profile="desk")
    assert compare(smoke, bad).differences == ["claim zero-loss: supported against not supported"]


def test_a_claim_that_one_side_does_not_know_is_not_compared(manifest: FigureManifest) -> None:
    one = side(manifest, [0.0005])
    claim = compare(one, one).claims[1]
    assert (claim.id, claim.verdict, claim.a.word) == ("full-accuracy", "not compared", "none")
    assert claim.reason == "one side was run before there was this claim"


def test_machines_are_compared_seed_by_seed(manifest: FigureManifest) -> None:
    losses = [1e-4, 3e-4, 2e-4, 5e-4, 4e-4]
    a = side(manifest, losses)
    shifted = [loss + 1e-5 for loss in losses]
    assert compare(a, side(manifest, shifted, "B")).differences == []
    (number,) = [
        one for one in compare(a, side(manifest, [0.5 + loss for loss in losses], "B")).numbers
        if one.verdict == "beyond"
    ]  # fmt: skip
    assert (number.metric, number.pairs) == ("training.final_loss", 5)


def test_two_figures_are_not_compared(manifest: FigureManifest) -> None:
    other = Library(manifest.folder.parent).load(BOTH_STAGES)
    with pytest.raises(
        UsageError, match=r"A@smoke is of li2022/fig8b and B@smoke of li2022/fig8a: "
    ):
        compare(side(manifest, [0.1]), side(other, [0.1], "B"))


def test_nor_is_what_has_nothing_in_common(manifest: FigureManifest) -> None:
    run = recorded_run_of(0, "B", {"training.something_else": 1.0})
    other = Subject("old", "a file", manifest, "smoke", None, (run,))
    with pytest.raises(UsageError, match=r"A@smoke and old have no number in common.*run li2022"):
        compare(side(manifest, [0.1]), other)


def shown(comparison: Comparison) -> str:
    text = io.StringIO()
    show_comparison(Console(file=text, width=80, color_system=None), comparison)
    return text.getvalue()


def test_a_person_sees_both_sides_and_what_differs(manifest: FigureManifest) -> None:
    a = side(manifest, [0.0005, 0.0004, 0.0003, 0.0002, 0.0001])
    b = side(manifest, [0.5005, 0.5004, 0.5003, 0.5002, 0.5001], "B")
    text = shown(compare(a, b))
    words = " ".join(text.split())
    assert "A li2022/fig8b at smoke, recorded: seeds 0-4 on A " in words
    assert "zero-loss 0.0003 0.5003 ≤ 0.001 differs" in words
    assert "training.final_loss 0.5 0.5 to 0.5 ± 0.001 beyond" in words
    assert "training.final_loss 0.0003 0.5003 0.5 1.67e+05 %" in words
    assert "1 number is equal to the last bit" in words
    assert text.splitlines()[-2:] == [
        "  differs: claim zero-loss: supported against not supported",
        "  differs: training.final_loss: 0.0003 against 0.5003",
    ]


def test_a_person_sees_that_nothing_differs_and_how_much_that_says(
    manifest: FigureManifest,
) -> None:
    one = side(manifest, [0.0005])
    assert shown(compare(one, one)).splitlines()[-2:] == [
        "  2 numbers are equal to the last bit",
        "  no difference beyond what is allowed: 1 claim, 1 reference",
    ]
    scattered = side(manifest, [0.0, 0.5, 0.3, 0.9]), side(manifest, [0.7, 0.1, 0.0], start=9)
    assert shown(compare(*scattered)).splitlines()[-2:] == [
        "  no difference beyond what is allowed: 0 claims, 1 reference",
        "  of the references 1 may differ: so many seeds cannot tell",
    ]


def of_what_is_recorded(manifest: FigureManifest, seeds: Sequence[range]) -> Comparison:
    runs = recorded_runs(manifest, "smoke")
    a, b = (
        Subject("t", "recorded", manifest, "smoke", None,
                tuple(run for run in runs if run.seed in chosen))
        for chosen in seeds
    )  # fmt: skip
    return compare(a, b)


def test_tables_have_eighty_columns_and_json_has_all_of_it() -> None:
    library = Library(MANIFESTS)
    figures = [library.load(figure_id) for figure_id in library.computed()]
    figures = [figure for figure in figures if figure.references_path("smoke").exists()]
    assert figures
    for figure, seeds in itertools.product(
        figures, [(range(5), range(5, 10)), (range(1), range(1, 2))]
    ):
        comparison = of_what_is_recorded(figure, seeds)
        rows = [line for line in shown(comparison).splitlines() if "compared:" not in line]
        assert all(len(line) <= 80 for line in rows if not line.startswith("  differs"))
        data = json.loads(json.dumps(comparison.as_data(), allow_nan=False))
        assert set(data) == {"a", "b", "claims", "numbers", "differences"}
        assert data["a"]["seeds"] == list(seeds[0])
        assert len(data["claims"]) == len(comparison.claims)
        metrics = {one["metric"] for one in data["claims"]}
        assert {one["metric"] for one in data["numbers"]} >= metrics


@pytest.mark.parametrize("name", ["p.png", "P.SVG"])
def test_the_picture_has_a_row_a_claim(tmp_path: Path, name: str) -> None:
    figure = Library(MANIFESTS).load("li2022/fig4b")
    comparison = of_what_is_recorded(figure, (range(5), range(5, 10)))
    write_picture(comparison, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    write_picture(comparison, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first
    assert hidden(tmp_path) == []
    if name.endswith("png"):
        assert first.startswith(b"\x89PNG")
        return
    text = first.decode()
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    for claim in comparison.claims:
        assert claim.id in text
    assert "seeds 5-9" in text


def test_the_picture_holds_what_was_compared(manifest: FigureManifest) -> None:
    a, b = side(manifest, [1e-4, 2e-4, 3e-4, 4e-4, 5e-4]), side(manifest, [2.0], "B")
    axis = draw(compare(a, b)).axes[0]
    lines = {tuple(line.get_xdata()): line.get_marker() for line in axis.lines}
    assert lines[1e-4, 2e-4, 3e-4, 4e-4, 5e-4] == "|"
    assert lines[(2.0,)] == "o"
    assert lines[(1e-3, 1e-3)] == "None"  # the bound, and what is claimed below it
    low, high = axis.get_xlim()
    assert low < 1e-4
    assert high > 2.0
    (claimed,) = axis.patches
    assert claimed.get_extents().transformed(axis.transData.inverted()).x1 == pytest.approx(1e-3)
    words = {text.get_text(): text.get_weight() for text in axis.texts}
    assert words == {"supported": "bold", "not supported": "bold"}


def test_what_was_not_measured_leaves_its_row(manifest: FigureManifest) -> None:
    one = side(manifest, [0.1])
    figure = draw(compare(one, one))
    assert len(figure.axes) == 2  # no accuracy was measured
    assert [text.get_text() for text in figure.axes[1].texts] == ["none", "none"]
    assert [len(axis.get_xticks()) > 0 for axis in figure.axes] == [True, False]


def test_seeds_that_came_to_several_verdicts_are_said_in_few_words(
    manifest: FigureManifest,
) -> None:
    axis = draw(compare(side(manifest, [0.0005]), side(manifest, [0.0005, 0.1]))).axes[0]
    assert [text.get_text() for text in axis.texts] == ["supported", "differs by seed"]


def test_a_picture_that_cannot_be_written_is_one_line(
    manifest: FigureManifest, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    one = side(manifest, [0.1])
    with pytest.raises(StoreError, match="cannot be written"):
        write_picture(compare(one, one), tmp_path / "file" / "p.png")
