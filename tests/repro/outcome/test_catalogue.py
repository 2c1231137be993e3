"""The recorded verdicts as data: all of them, in the form that the schema promises."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from repro.errors import ManifestError, UsageError
from repro.manifests.library import Library
from repro.outcome.catalogue import Catalogue, catalogue, schema
from repro.outcome.pages import badge, renew, renewed, write_verdicts
from repro.outcome.pooling import pool_runs
from repro.outcome.references import RecordedRun, recorded_run, recorded_runs, write_runs
from tests.fakes import FIGURE, MANIFESTS, copy_manifests, copy_two_figures, record_of, replace_once


def run_on(processor: str, seed: int, accuracy: float) -> RecordedRun:
    run = recorded_run(record_of(seed=seed, metrics={"training.final_accuracy": accuracy}))
    return replace(run, machine=replace(run.machine, processor=processor))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A figure recorded on two machines, one of which is less accurate."""
    library = Library(copy_manifests(tmp_path_factory.mktemp("recorded") / "manifests"))
    for path in library.root.glob("*/references/*.json"):
        path.unlink()
    runs = [run_on("A", seed, 1.0) for seed in range(5)]
    write_runs(library.load(FIGURE), "smoke", [*runs, *(run_on("B", s, 0.0) for s in (4, 5))])
    return library


@pytest.fixture(scope="module")
def recorded(library: Library) -> Catalogue:
    return catalogue(library)


def data(found: Catalogue) -> Any:
    return json.loads(found.as_json())


def test_all_figures_are_there_and_those_recorded_have_profiles(
    library: Library, recorded: Catalogue
) -> None:
    figures = {one.id: one for paper in recorded.papers for one in paper.figures}
    assert list(figures) == library.ids()
    assert [name for name, one in figures.items() if one.profiles] == [FIGURE]
    assert [name for name, one in figures.items() if one.why_not] == list(library.not_computable())
    with pytest.raises(KeyError):
        recorded.figure("li2022/fig9")


def test_what_machines_say_stands_beside_what_they_say_together(
    library: Library, recorded: Catalogue
) -> None:
    (profile,) = recorded.figure(FIGURE).profiles
    assert (profile.profile, profile.seeds) == ("smoke", (0, 1, 2, 3, 4, 5))
    assert [(one.machine, one.seeds) for one in profile.machines] == [
        ("A", (0, 1, 2, 3, 4)),
        ("B", (4, 5)),
    ]
    together, first, second = (
        {claim.id: claim for claim in claims}["full-accuracy"]
        for claims in (profile.claims, *(one.claims for one in profile.machines))
    )
    manifest = library.load(FIGURE)
    assert profile.claims == pool_runs(manifest, recorded_runs(manifest, "smoke"))
    assert together.mean == pytest.approx((4 + 0.5 + 0) / 6)  # seed 4 counts once
    assert (first.mean, first.verdict) == (1.0, "supported")
    assert (second.mean, second.cause) == (0.0, "not measured")  # two seeds are too few


def test_the_data_obey_their_schema(recorded: Catalogue) -> None:
    rules = json.loads(schema())
    jsonschema.Draft202012Validator.check_schema(rules)
    jsonschema.validate(data(recorded), rules)
    assert rules["$defs"]["PooledVerdict"]["properties"]["mean"]["description"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("schema_version",), 2),
        (("papers", 0, "figures"), {}),
        (("papers", 0, "year"), "2022"),
    ],
)
def test_the_schema_refuses_other_data(
    recorded: Catalogue, place: tuple[Any, ...], value: Any
) -> None:
    content = data(recorded)
    *outer, last = place
    inner = content
    for name in outer:
        inner = inner[name]
    inner[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, json.loads(schema()))
    del inner[last]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, json.loads(schema()))


def test_every_field_is_described() -> None:
    rules = json.loads(schema())
    models = [rules, *rules["$defs"].values()]
    bare = [
        f"{model['title']}.{name}"
        for model in models
        for name, one in model["properties"].items()
        if "description" not in one
    ]
    assert bare == []


def test_a_broken_manifest_is_told(tmp_path: Path) -> None:
    library = Library(copy_two_figures(tmp_path / "manifests"))
    (library.root / f"{FIGURE}.yaml").write_text("nothing")
    with pytest.raises(ManifestError, match="fig8b"):
        catalogue(library)


@pytest.mark.parametrize(("seeds", "supported"), [(0, 1), (4, 1), (5, 0)])
def test_the_badge_counts_the_claims_at_the_largest_profile_with_verdicts(
    tmp_path: Path, seeds: int, supported: int
) -> None:
    library = Library(copy_manifests(tmp_path / "manifests"))
    for path in library.root.glob("*/references/*.json"):
        path.unlink()
    control = "training.mean_loss"
    replace_once(library.root / f"{FIGURE}.yaml", "no_control: a stand-in", f"control: {control}")
    figure = library.load(FIGURE)

    def runs(count: int, accuracy: float) -> list[RecordedRun]:
        made = (run_on("A", seed, accuracy) for seed in range(count))
        return [replace(one, metrics={**one.metrics, control: 0.5}) for one in made]

    write_runs(figure, "smoke", runs(5, 1.0))
    if seeds:
        write_runs(figure, "desk", runs(seeds, 0.0))
    found = badge(catalogue(library))
    assert f'aria-label="claims supported: {supported} of 2"' in found


def test_the_badge_does_not_count_algebra(recorded: Catalogue) -> None:
    assert 'aria-label="claims supported: 0 of 1"' in badge(recorded)


class TestPages:
    def test_tables_are_written_anew_and_the_rest_stays(
        self, recorded: Catalogue, tmp_path: Path
    ) -> None:
        page = tmp_path / "page.md"
        page.write_text(
            "before\n<!-- verdicts: counts -->\nold\n<!-- end of verdicts -->\nbetween\n"
            f"<!-- verdicts: smoke {FIGURE}/full-accuracy -->\n<!-- end of verdicts -->\nafter\n"
        )
        renew(page, recorded)
        text = page.read_text()
        lines = text.splitlines()
        assert (lines[0], lines[-1]) == ("before", "after")
        assert "old" not in lines
        assert "| li2022 | smoke, 6 seeds | 1 | 0 | 0 | 1 | 0 of 1 |" in lines
        assert lines[-3].startswith("| fig8b | the training accuracy converges to 1 | 0.75 (")
        assert renewed(text, recorded, page) == text

    @pytest.mark.parametrize(
        ("block", "told"),
        [
            (
                "<!-- verdicts: smoke li2022/fig9/x -->",
                "2: nothing is recorded of 'li2022/fig9' at",
            ),
            (f"<!-- verdicts: smoke {FIGURE}/x -->", "2: nothing is recorded of 'x' at smoke"),
            (f"<!-- verdicts: desk {FIGURE}/zero-loss -->", "'zero-loss' at desk"),
            ("<!-- verdict: counts -->", "no line <!-- verdicts: … --> before"),
        ],
    )
    def test_what_cannot_be_written_is_told(
        self, recorded: Catalogue, block: str, told: str
    ) -> None:
        text = f"\n{block}\n<!-- end of verdicts -->\n"
        with pytest.raises(UsageError, match=f"page.md:?.*{told}"):
            renewed(text, recorded, Path("page.md"))

    def test_a_page_that_is_not_there(self, recorded: Catalogue, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"nowhere\.md: cannot be read"):
            renew(tmp_path / "nowhere.md", recorded)

    def test_files_of_all_that_is_recorded(self, recorded: Catalogue, tmp_path: Path) -> None:
        written = write_verdicts(recorded, tmp_path / "new")
        assert [path.name for path in written] == [
            "verdicts.json",
            "verdicts.schema.json",
            "badge.svg",
            "li2022.smoke.md",
        ]
        assert json.loads(written[0].read_text()) == data(recorded)


def test_the_recorded_verdicts_of_this_checkout_obey_the_schema() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schema()))
    assert list(validator.iter_errors(data(catalogue(Library(MANIFESTS))))) == []
