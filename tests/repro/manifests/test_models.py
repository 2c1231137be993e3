"""What a manifest may say, and that the committed ones say it."""

import importlib.util
import itertools
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from repro.errors import ManifestError, UsageError
from repro.manifests.library import FigureManifest, Library
from repro.manifests.loading import load
from repro.manifests.models import Figure, declared_stages, models_of, paper_model
from repro.manifests.schemas import schemas
from repro.outcome.drawing import plot_module
from ssbrepro.papers import stages as stages_of
from tests.fakes import MANIFESTS, PROFILES, copy_manifests

PAPERS = ("li2022", "ssb2018")
LIBRARY = Library(MANIFESTS)
IDS = LIBRARY.ids()
WITHOUT = LIBRARY.not_computable()
COMPUTED = LIBRARY.computed()


@pytest.fixture(scope="module")
def figures() -> list[FigureManifest]:
    """All that are committed: one test looks at all of them."""
    return [LIBRARY.load(figure_id) for figure_id in COMPUTED]


def test_there_are_manifests() -> None:
    assert {"li2022/fig8a", "li2022/fig8b"} <= set(COMPUTED)
    assert [*WITHOUT] == ["li2022/fig1"]


@pytest.mark.parametrize("figure_id", WITHOUT)
def test_what_is_not_computable_is_drawn_by_nothing(figure_id: str) -> None:
    assert importlib.util.find_spec(plot_module(figure_id)) is None
    assert not (MANIFESTS / f"{figure_id}.yaml").exists()


def test_the_committed_schemas_are_those_of_the_models() -> None:
    made = schemas(MANIFESTS)
    assert [*made] == [MANIFESTS / folder / "schema.json" for folder in (".", *PAPERS)]
    for path, text in made.items():
        assert path.read_text("utf-8") == text, f"{path} is old: make schema"


@pytest.mark.parametrize(
    ("folder", "kinds"),
    [
        (".", ["DeclaredProfiles"]),
        *((paper, ["Paper", "Experiment", "Figure"]) for paper in PAPERS),
    ],
)
def test_the_schema_is_json_schema_of_every_kind_of_manifest(folder: str, kinds: list[str]) -> None:
    schema = json.loads((MANIFESTS / folder / "schema.json").read_text("utf-8"))
    names = [entry["$ref"].rpartition("/")[2] for entry in schema["oneOf"]]
    assert names == kinds
    for name in names:
        assert schema["$defs"][name]["additionalProperties"] is False


def test_every_manifest_names_the_schema_for_editors() -> None:
    for path in MANIFESTS.rglob("*.yaml"):
        first = path.read_text("utf-8").partition("\n")[0]
        assert first == "# yaml-language-server: $schema=schema.json", path


# Images of each class in CIFAR-10's first training batch.
IN_FIRST_BATCH = [1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981]


class TestConformance:
    """What every committed figure must have, whoever adds it."""

    def test_it_claims_something_with_its_source(self, figures: list[FigureManifest]) -> None:
        for committed in figures:
            assert committed.figure.claims
            for claim in committed.figure.claims:
                assert claim.statement.strip()
                assert claim.where.strip()

    def test_names_are_used_once(self, figures: list[FigureManifest]) -> None:
        for committed in figures:
            for group in (committed.figure.claims, committed.figure.identities):
                names = [entry.id for entry in group]
                assert len(set(names)) == len(names)
            metrics = [reference.metric for reference in committed.figure.references]
            assert len(set(metrics)) == len(metrics)

    def test_every_number_of_a_claim_is_recorded_or_follows_from_one(
        self, figures: list[FigureManifest]
    ) -> None:
        for committed in figures:
            assert committed.figure.references
            assert {r.metric for r in committed.figure.references} & {
                c.metric for c in committed.figure.claims
            }

    def test_every_metric_is_measured_by_a_stage_it_runs(
        self, figures: list[FigureManifest]
    ) -> None:
        for committed in figures:
            measured = {
                f"{stage.name}.{number}"
                for stage in committed.stages
                for number in stages_of(committed.paper_id)[stage.name].numbers
            }
            figure = committed.figure
            for entry in (*figure.claims, *figure.identities, *figure.references):
                assert entry.metric in measured
            assert {claim.noise for claim in figure.claims} <= {None, *measured}
            assert {claim.control for claim in figure.claims} <= {None, *measured}

    def test_every_value_has_an_origin(self, figures: list[FigureManifest]) -> None:
        for committed in figures:
            for stage, profile in itertools.product(committed.stages, committed.profiles):
                for name, origin in stage.origins(profile).items():
                    assert origin["provenance"] in ("paper", "derived", "assumed", "profile"), name
                    reason = origin["where"] if origin["provenance"] == "paper" else origin["why"]
                    assert reason.strip(), name

    def test_every_profile_is_there_or_omitted(self, figures: list[FigureManifest]) -> None:
        for committed in figures:
            assert sorted([*committed.profiles, *committed.omitted]) == sorted(PROFILES)
            assert [one for one in PROFILES if one in committed.profiles] == [*committed.profiles]

    def test_the_largest_profile_is_what_is_declared(self, figures: list[FigureManifest]) -> None:
        for committed in figures:
            for stage in committed.stages:
                for name, origin in stage.origins(PROFILES[-1]).items():
                    assert origin["provenance"] != "profile", f"{name} is not the paper's"

    def test_every_alternative_can_be_chosen_as_it_is_listed(
        self, figures: list[FigureManifest]
    ) -> None:
        for committed in figures:
            with pytest.raises(UsageError) as caught:
                committed.with_alternative("")
            for line in str(caught.value).splitlines()[1:]:
                option, text = shlex.split(line)
                assert option == "--alternative"
                assert committed.with_alternative(text).alternative == text

    def test_there_are_images_enough_and_in_the_bundle_unless_a_gpu_is_wanted(
        self, figures: list[FigureManifest]
    ) -> None:
        for committed in figures:
            with pytest.raises(UsageError) as caught:
                committed.with_alternative("")
            options = [shlex.split(line)[1] for line in str(caught.value).splitlines()[1:]]
            choices = [committed.with_alternative(text) for text in options]
            for manifest, profile in itertools.product((committed, *choices), committed.profiles):
                wants_gpu = LIBRARY.profiles.require(profile).device == "cuda"
                there_are = [5000] * 10 if wants_gpu else IN_FIRST_BATCH
                for stage in manifest.stages:
                    taken = stage.parameters(profile)
                    if (
                        stages_of(manifest.paper_id)[stage.name].data is None
                        or "num_examples" not in taken
                    ):
                        continue
                    classes = [*taken.get("positive_classes", range(10))]
                    classes += taken.get("negative_classes", ())
                    limit = sum(there_are[label] for label in classes)
                    assert taken["num_examples"] <= limit, (manifest.alternative, stage.name)

    def test_a_module_draws_it(self, figures: list[FigureManifest]) -> None:
        for committed in figures:
            name = plot_module(committed.id)
            assert importlib.util.find_spec(name), f"{committed.id} needs the module {name}"
            assert callable(importlib.import_module(name).draw)

    def test_stages_come_after_what_they_need(self, figures: list[FigureManifest]) -> None:
        for committed in figures:
            names = [stage.name for stage in committed.stages]
            for name in names:
                assert set(stages_of(committed.paper_id)[name].needs) <= set(
                    names[: names.index(name)]
                )


@pytest.mark.parametrize(
    "path", sorted(MANIFESTS.glob("*/paper.yaml")), ids=lambda p: p.parent.name
)
def test_papers_are_cited(path: Path) -> None:
    paper = load(path, paper_model(PROFILES)).model
    assert paper.authors
    assert re.match(r"(arXiv:\d{4}\.\d{4,5}|ICLR \d{4} submission)$", paper.identifier)


@pytest.mark.parametrize("paper", PAPERS)
def test_declared_stages_come_after_what_they_need(paper: str) -> None:
    model = models_of(paper, PROFILES).experiment
    experiment = load(MANIFESTS / paper / "experiment.yaml", model).model
    names = list(declared_stages(experiment.stages))
    assert names == [name for name in stages_of(paper) if name in names] != []


# One fault a row: the file, what is replaced, and what is then reported, and where.
Edit = tuple[str, str, str, str]

# One more claim, before all of fig8b's own.
CLAIM = """\
claims:
  - id: another
    statement: s
    where: w
    metric: training.final_loss
    at_most: 1.0
"""

FAULTS: dict[str, Edit] = {
    "paper's value without where": (
        "experiment.yaml",
        "      where: Caption of fig. 3a, the last epoch looked at\n",
        "",
        "stages.training.num_epochs: provenance paper needs 'where'",
    ),
    "assumed value without why": (
        "experiment.yaml",
        "      why: the usual factor\n",
        "",
        "stages.training.cut_factor: provenance assumed needs 'why'",
    ),
    "misspelt provenance": (
        "experiment.yaml",
        "provenance: assumed\n      why: the usual factor",
        "provenance: asumed\n      why: the usual factor",
        "stages.training.cut_factor.provenance: Input should be 'paper', 'derived' or 'assumed', "
        "not 'asumed' (did you mean assumed?)",
    ),
    "two bounds": (
        "fig8a.yaml",
        "    at_most: 2.0\n",
        "    at_most: 2.0\n    at_least: 1.0\n",
        "claims.1: a claim has either 'at_most' or 'at_least'",
    ),
    "no bound": (
        "fig8a.yaml",
        "    at_most: 2.0\n",
        "",
        "claims.1: a claim has either 'at_most' or 'at_least'",
    ),
    "alternative of what the paper states": (
        "experiment.yaml",
        "      where: Caption of fig. 3a, the last epoch looked at\n",
        "      where: Caption of fig. 3a\n      alternatives: [{value: 200, why: less}]\n",
        "stages.training.num_epochs: what the paper states has no 'alternatives'",
    ),
    "alternative in words": (
        "experiment.yaml",
        "        - value: 1.0\n          why: a constant step size\n",
        "        - a constant step size\n",
        "stages.training.cut_factor.alternatives.0: Input should be an object",
    ),
    "alternative without a reason": (
        "experiment.yaml",
        "          why: a constant step size\n",
        "",
        "stages.training.cut_factor.alternatives.0.why: missing",
    ),
    "alternative out of range": (
        "experiment.yaml",
        "        - value: 1.0\n",
        "        - value: 1.5\n",
        "stages.training.cut_factor.alternatives.0.value: Input should be less than or equal to 1 "
        "(found 1.5)",
    ),
    "alternative that is the value itself": (
        "experiment.yaml",
        "        - value: 1.0\n",
        "        - value: 0.1\n",
        "stages.training.cut_factor: 'alternatives' differ from the value and from each other",
    ),
    "alternative listed twice": (
        "experiment.yaml",
        "        - value: [0]\n",
        "        - value: [0, 1, 8, 9]\n",
        "stages.training.positive_classes: 'alternatives' differ from the value and from each other",
    ),
    "alternative with an unknown parameter": (
        "experiment.yaml",
        "with: {negative_classes: [1]}",
        "with: {negative_clases: [1]}",
        "stages.training.positive_classes.alternatives.0.with.negative_clases: unknown field "
        "(did you mean negative_classes or ",
    ),
    "alternative with another parameter out of range": (
        "experiment.yaml",
        "with: {negative_classes: [1]}",
        "with: {negative_classes: [1], momentum: 1.0}",
        "stages.training.positive_classes.alternatives.0.with.momentum: Input should be less than 1 "
        "(found 1.0)",
    ),
    "alternative with a parameter of another type": (
        "experiment.yaml",
        "with: {negative_classes: [1]}",
        "with: {negative_classes: 1}",
        "stages.training.positive_classes.alternatives.0.with.negative_classes: "
        "Input should be a valid ",
    ),
    "alternative with itself": (
        "experiment.yaml",
        "with: {negative_classes: [1]}",
        "with: {positive_classes: [1]}",
        "stages.training.positive_classes.alternatives.0.with.positive_classes: "
        "the alternative gives its value already; 'with' is for other parameters",
    ),
    "alternative that changes itself at a profile": (
        "experiment.yaml",
        "desk: {num_examples: 1979}",
        "desk: {num_examples: 1979, positive_classes: [1]}",
        "stages.training.positive_classes.alternatives.0.profiles.desk.positive_classes: "
        "the alternative gives its value already; 'profiles' is for other parameters",
    ),
    "alternative at a misspelt profile": (
        "experiment.yaml",
        "desk: {num_examples: 1979}",
        "dsk: {num_examples: 1979}",
        "stages.training.positive_classes.alternatives.0.profiles.dsk: unknown field "
        "(did you mean desk or smoke?)",
    ),
    "alternative that changes an unknown parameter at a profile": (
        "experiment.yaml",
        "desk: {num_examples: 1979}",
        "desk: {num_exmples: 1979}",
        "stages.training.positive_classes.alternatives.0.profiles.desk.num_exmples: unknown field "
        "(did you mean num_examples",
    ),
    "alternative that is too small at a profile": (
        "experiment.yaml",
        "desk: {num_examples: 1979}",
        "desk: {num_examples: 0}",
        "stages.training.positive_classes.alternatives.0.profiles.desk.num_examples: "
        "Input should be greater than or equal to 1 (found 0)",
    ),
    "alternative of a figure's own stage with itself": (
        "fig8a.yaml",
        "      why: resolves p-values to 0.001\n",
        "      why: resolves p-values to 0.001\n"
        "      alternatives: [{value: 99, with: {num_flips: 98}, why: less}]\n",
        "stages.spectrum.num_flips.alternatives.0.with.num_flips: the alternative gives",
    ),
    "alternative's misspelt with": (
        "experiment.yaml",
        "with: {negative_classes: [1]}",
        "wiht: {negative_classes: [1]}",
        "stages.training.positive_classes.alternatives.0.wiht: unknown field (did you mean with",
    ),
    "untested alternative that is no text": (
        "experiment.yaml",
        '      untested: ["11 convolutions and 1 linear layer"]',
        "      untested: [9]",
        "stages.training.num_convolutions.untested.0: Input should be a valid string (found 9)",
    ),
    "kind of another file": (
        "fig8a.yaml",
        "kind: figure",
        "kind: experiment",
        "kind: Input should be 'figure', not 'experiment'",
    ),
    "not computable without a reason": (
        "paper.yaml",
        "    why: >-",
        "    where: >-",
        "not_computable.0.why: missing",
    ),
    "claim about what is not computable": (
        "paper.yaml",
        "    why: >-",
        "    claims: []\n    why: >-",
        "not_computable.0.claims: unknown field",
    ),
    "unknown metric": (
        "fig8a.yaml",
        "metric: spectrum.extreme_ratio_max\n    at_most",
        "metric: spectrum.extreme_ration_max\n    at_most",
        "claims.1.metric: stage spectrum measures no 'extreme_ration_max' "
        "(did you mean extreme_ratio_max or ",
    ),
    "metric of an unknown stage": (
        "fig8a.yaml",
        "noise: spectrum.asymmetry_noise",
        "noise: spectra.asymmetry_noise",
        "claims.0.noise: no stage 'spectra' (did you mean spectrum",
    ),
    "unknown parameter": (
        "experiment.yaml",
        "    momentum:\n",
        "    momentun:\n",
        "stages.training.momentun: unknown field (did you mean momentum?)",
    ),
    "missing parameter": (
        "fig8a.yaml",
        "    num_grid_points:\n      value: 801\n      provenance: assumed\n"
        "      why: for the drawing only; ten points a kernel width\n",
        "",
        "stages.spectrum.num_grid_points: missing",
    ),
    "unknown parameter in a profile": (
        "experiment.yaml",
        "      num_examples: 2000\n",
        "      num_example: 2000\n",
        "profiles.desk.training.num_example: unknown field (did you mean num_examples or ",
    ),
    "unknown profile": (
        "fig8a.yaml",
        "  paper:\n",
        "  papers:\n",
        "profiles.papers: unknown field (did you mean paper?)",
    ),
    "momentum out of range": (
        "experiment.yaml",
        "value: 0.9\n",
        "value: 1.0\n",
        "stages.training.momentum.value: Input should be less than 1 (found 1.0)",
    ),
    "class out of range": (
        "experiment.yaml",
        "[0, 1, 2, 3, 4]",
        "[0, 1, 2, 3, 10]",
        "stages.training.positive_classes.value.4: Input should be less than or equal to 9 "
        "(found 10)",
    ),
    "profile's value out of range": (
        "fig8a.yaml",
        "      num_steps: 40\n",
        "      num_steps: 1\n",
        "profiles.desk.spectrum.num_steps: Input should be greater than or equal to 2 (found 1)",
    ),
    "profile without a reason": (
        "fig8a.yaml",
        "    why: sized for half an hour on two cores\n",
        "",
        "profiles.desk: a profile has either a reason for its sizes in 'why' or is 'omitted'",
    ),
    "whole number as text": (
        "experiment.yaml",
        "value: 50000",
        "value: '50000'",
        "stages.training.num_examples.value: Input should be a valid integer (found '50000')",
    ),
    "fraction of an example": (
        "experiment.yaml",
        "value: 50000",
        "value: 50000.5",
        "stages.training.num_examples.value: Input should be a valid integer (found 50000.5)",
    ),
    "reference without a resolution": (
        "fig8a.yaml",
        "    resolution: 1.0e-3\n    why: a hundredth of the claim's bound\n",
        "    resolution: 0\n    why: a hundredth of the claim's bound\n",
        "references.3.resolution: Input should be greater than 0",
    ),
    "id that is no identifier": (
        "fig8a.yaml",
        "id: balanced-extremes",
        "id: Balanced extremes",
        "claims.1.id: String should match pattern",
    ),
    # Faults between files.
    "unknown shared stage": (
        "fig8a.yaml",
        "shared_stages: [training]",
        "shared_stages: [trainig]",
        "shared_stages.0: experiment.yaml declares no stage 'trainig' (did you mean training?)",
    ),
    "stage without what it needs": (
        "fig8a.yaml",
        "shared_stages: [training]\n",
        "",
        "stages.spectrum: stage 'spectrum' needs stage 'training'; add it to 'shared_stages'",
    ),
    "stages without profiles": (
        "fig8a.yaml",
        re.search(
            r"profiles:\n(?:  .*\n)+", (MANIFESTS / "li2022" / "fig8a.yaml").read_text("utf-8")
        )[0],  # type: ignore[index]
        "",
        "stages: nothing is said of smoke and desk and paper: write 'why' with what it changes, or "
        "'omitted' with the reason",
    ),
    "profile that a figure says nothing of": (
        "fig8b.yaml",
        "  desk:\n    why: the training of the experiment\n",
        "",
        "profiles: nothing is said of desk: write ",
    ),
    "profile that what is shared says nothing of": (
        "experiment.yaml",
        "  paper:\n    why: the paper's own size, for one GPU",
        "",
        "profiles: nothing is said of paper: write ",
    ),
    "profile omitted with sizes": (
        "fig8a.yaml",
        "    why: sized for half an hour on two cores\n",
        "    omitted: too long\n",
        "profiles.desk: a profile that is 'omitted' changes nothing",
    ),
    "profile omitted and there": (
        "fig8b.yaml",
        "  wide:\n    why: the training of the experiment\n",
        "  wide: {why: small, omitted: too long}\n",
        "profiles.wide: a profile has either a reason for its sizes in 'why' or is 'omitted'",
    ),
    "misspelt profile omitted by a paper": (
        "paper.yaml",
        "inconsistencies:\n",
        "profiles: {wdie: {omitted: too long}}\ninconsistencies:\n",
        "profiles.wdie: unknown field (did you mean wide or ",
    ),
    "profile of a paper with sizes": (
        "paper.yaml",
        "inconsistencies:\n",
        "profiles: {wide: {why: small}}\ninconsistencies:\n",
        "profiles.wide.omitted: missing",
    ),
    "override of a stage declared elsewhere": (
        "fig8a.yaml",
        "  paper:\n    why: the full size\n",
        "  paper:\n    why: the full size\n    training:\n      num_examples: 10\n",
        "profiles.paper.training: stage 'training' is not declared in this file",
    ),
    "override in the experiment of a figure's stage": (
        "experiment.yaml",
        "    why: the paper's own size, for one GPU\n",
        "    why: the paper's own size, for one GPU\n    spectrum:\n      num_steps: 4\n",
        "profiles.paper.spectrum: stage 'spectrum' is not declared in this file",
    ),
    "metric of a stage not run": (
        "fig8b.yaml",
        "metric: training.final_accuracy\n    at_least",
        "metric: spectrum.num_empty\n    at_least",
        "claims.1.metric: 'spectrum.num_empty' is of a stage this figure does not run",
    ),
    "noise of a stage not run": (
        "fig8b.yaml",
        "    at_most: 1.0e-3\n",
        "    at_most: 1.0e-3\n    noise: spectrum.asymmetry_noise\n",
        "claims.0.noise: 'spectrum.asymmetry_noise' is of a stage this figure does not run",
    ),
    "control of a stage not run": (
        "fig8b.yaml",
        "claims:\n",
        CLAIM + "    control: spectrum.asymmetry_noise\n",
        "claims.0.control: 'spectrum.asymmetry_noise' is of a stage this figure does not run",
    ),
    "unknown control": (
        "fig8b.yaml",
        "claims:\n",
        CLAIM + "    control: training.finale_loss\n",
        "claims.0.control: stage training measures no 'finale_loss' (did you mean final_loss",
    ),
    "control, and why there is none": (
        "fig8b.yaml",
        "claims:\n",
        CLAIM + "    control: training.final_loss\n    no_control: algebra\n",
        "claims.0: a claim has either a 'control' or a reason in 'no_control'",
    ),
    "neither a control nor why there is none": (
        "fig8b.yaml",
        "claims:\n",
        CLAIM,
        "claims.0: a claim has either a 'control' or a reason in 'no_control'",
    ),
    "no reason why there is no control": (
        "fig8b.yaml",
        "claims:\n",
        CLAIM + "    no_control: ''\n",
        "claims.0.no_control: String should have at least 1 character",
    ),
    "claim made twice": (
        "fig8b.yaml",
        "id: full-accuracy",
        "id: zero-loss",
        "claims.1.id: ",
    ),
}


# Which figure reports a fault in a file that not all figures read.
FIGURE_OF = {"fig8b.yaml": "li2022/fig8b"}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the committed manifests as they are, to be broken."""
    folder = copy_manifests(tmp_path / "manifests")
    for path in MANIFESTS.glob("li2022/*.yaml"):
        (folder / "li2022" / path.name).write_text(path.read_text("utf-8"), "utf-8")
    return folder


def edit(folder: Path, name: str, old: str, new: str) -> Path:
    path = folder / "li2022" / name
    text = path.read_text("utf-8")
    assert text.count(old) >= 1, f"{name} does not hold {old!r}"
    path.write_text(text.replace(old, new, 1), "utf-8")
    return path


def faults_of(folder: Path, figure_id: str) -> tuple[str, ...]:
    with pytest.raises(ManifestError) as caught:
        Library(folder).load(figure_id)
    return caught.value.faults


def line_of(path: Path, line: int, column: int) -> str:
    return path.read_text("utf-8").splitlines()[line - 1][column - 1 :]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_reported_at_its_place(copied: Path, name: str) -> None:
    file, old, new, expected = FAULTS[name]
    path = edit(copied, file, old, new)
    figure_id = FIGURE_OF.get(file, "li2022/fig8a")
    found = [fault for fault in faults_of(copied, figure_id) if expected in fault]
    assert len(found) == 1, faults_of(copied, figure_id)
    place = re.match(rf"{re.escape(str(path))}:(\d+):(\d+): ", found[0])
    assert place, found[0]
    assert line_of(path, int(place[1]), int(place[2])).strip()


@pytest.mark.parametrize(
    ("name", "starts"),
    [
        ("momentum out of range", "1.0"),
        ("unknown parameter", "momentun:"),
        ("unknown metric", "spectrum.extreme_ration_max"),
        ("two bounds", "id: balanced-extremes"),
        ("unknown shared stage", "trainig]"),
        ("metric of a stage not run", "spectrum.num_empty"),
        ("paper's value without where", "value: 300"),
        ("class out of range", "10]"),
        ("alternative with an unknown parameter", "negative_clases"),
        ("alternative with another parameter out of range", "1.0}"),
        ("alternative with itself", "[1]"),
        ("alternative out of range", "1.5"),
    ],
)
def test_line_and_column_are_those_of_the_field(copied: Path, name: str, starts: str) -> None:
    file, old, new, expected = FAULTS[name]
    path = edit(copied, file, old, new)
    figure_id = FIGURE_OF.get(file, "li2022/fig8a")
    (fault,) = (fault for fault in faults_of(copied, figure_id) if expected in fault)
    _, line, column, _ = fault.split(":", 3)
    assert line_of(path, int(line), int(column)).startswith(starts)


def test_faults_of_all_files_come_at_once(copied: Path) -> None:
    for name in ("momentum out of range", "unknown parameter in a profile"):
        edit(copied, *FAULTS[name][:3])
    edit(copied, "fig8a.yaml", "    at_most: 0.1\n", "")
    edit(copied, "fig8a.yaml", "metric: spectrum.euler_residual_max", "metric: spectrum.euler")
    edit(copied, "paper.yaml", "year: 2022", "year: twenty")
    faults = faults_of(copied, "li2022/fig8a")
    assert [fault.partition(":")[0].rpartition("/")[2] for fault in faults] == [
        "paper.yaml",
        "fig8a.yaml",
        "fig8a.yaml",
        "experiment.yaml",
        "experiment.yaml",
    ]


def test_faults_between_files_come_at_once(copied: Path) -> None:
    for name in ("unknown shared stage", "override of a stage declared elsewhere"):
        edit(copied, *FAULTS[name][:3])
    edit(copied, "fig8a.yaml", "metric: spectrum.extreme_ratio_max\n    at_most",
         "metric: training.mean_loss\n    at_most")  # fmt: skip
    faults = faults_of(copied, "li2022/fig8a")
    assert len(faults) == 5, faults  # and the spectrum and its controls miss their training
    assert all(re.search(r"fig8a\.yaml:\d+:\d+: ", fault) for fault in faults)


def test_a_figure_without_a_paper_is_refused(copied: Path) -> None:
    (copied / "li2022" / "paper.yaml").unlink()
    (fault,) = faults_of(copied, "li2022/fig8a")
    assert fault.startswith(f"{copied}/li2022/paper.yaml: cannot be read: ")


def test_a_shared_stage_needs_an_experiment(copied: Path) -> None:
    (copied / "li2022" / "experiment.yaml").unlink()
    assert "experiment.yaml declares no stage 'training'" in faults_of(copied, "li2022/fig8b")[0]


def test_a_stage_is_declared_once(copied: Path) -> None:
    experiment = (MANIFESTS / "li2022" / "experiment.yaml").read_text("utf-8")
    stages = experiment.split("\nstages:\n")[1].split("\nprofiles:\n")[0] + "\n"
    edit(copied, "fig8b.yaml", "\nstages:\n", f"\nstages:\n{stages}")
    (fault,) = faults_of(copied, "li2022/fig8b")
    assert "shared_stages.0: stage 'training' is declared here as well" in fault


@pytest.mark.parametrize("change", [{"at_most": float("nan")}, {"at_most": float("inf")}])
def test_a_bound_is_a_finite_number(change: dict[str, Any]) -> None:
    claim = {"id": "c", "statement": "s", "where": "w", "metric": "training.final_loss", **change}
    with pytest.raises(ValueError, match="finite number"):
        Figure(schema_version=1, kind="figure", title="t", caption="c", claims=(claim,))


def test_manifests_are_frozen(figures: list[FigureManifest]) -> None:
    for committed in figures:
        with pytest.raises(ValueError, match="frozen"):
            committed.figure.title = "another"
        with pytest.raises(ValueError, match="frozen"):
            committed.figure.claims[0].at_most = 1e9
