"""Parts of the page of verdicts: the axis of a claim, the graph of a plan, the picture of a run."""

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from repro.outcome.pooling import PooledVerdict, Spread
from repro.outcome.record import RanStep, Run
from repro.outcome.report.flow import flow_of
from repro.outcome.report.forests import Forest, forest_of
from repro.outcome.report.page import drawn
from repro.outcome.report.pictures import picture_of
from repro.outcome.report.strips import Strip, strip_of
from tests.fakes import CLAIM, POOLED, record_of


class TestStrip:
    """Values 0.0625 to 0.5, controls 0.05 to 0.9, chance 0.02 to 0.3; at most 0.1 is claimed."""

    SPREAD = Spread(
        values=(0.0625, 0.125, 0.25, 0.3125, 0.5),
        noises=(0.02, 0.03, 0.03, 0.04, 0.2, 0.3),
        controls=(0.05, 0.075, 0.75, 0.8, 0.9),
    )
    WIDE = Spread(values=(1e-9, 1e-6), noises=(), controls=(1.0,))

    def strip(self, spread: Spread, **changes: Any) -> Strip:
        found = strip_of(replace(POOLED, **changes), spread, replace(CLAIM, value=0.2))
        assert found is not None
        return found

    def test_places_are_in_proportion(self) -> None:
        strip = self.strip(self.SPREAD)
        assert (min(strip.noises), max(strip.controls)) == (4, 96)  # all of it within the margins
        per_unit = 92 / (0.9 - 0.02)
        for place, number in zip(
            (*strip.values, strip.mean, strip.run, strip.bound),
            (*self.SPREAD.values, 0.25, 0.2, 0.1),
            strict=True,
        ):
            assert place == pytest.approx(4 + (number - 0.02) * per_unit, abs=0.06)
        assert strip.claimed == (0, strip.bound)
        assert strip.interval == pytest.approx((4 + 0.105 * per_unit, 0.25 * per_unit), abs=0.11)
        assert [label for _, label in strip.ticks] == ["0.5"]

    def test_what_is_claimed_lies_on_its_side(self) -> None:
        strip = self.strip(self.SPREAD, relation="at_least")
        assert strip.claimed == pytest.approx((strip.bound, 100 - strip.bound))

    def test_numbers_of_many_magnitudes_are_on_a_logarithmic_axis(self) -> None:
        strip = self.strip(self.WIDE, bound=1e-3, mean=5e-7)
        assert strip.values == pytest.approx((4, 4 + 92 / 3), abs=0.06)
        assert strip.bound == pytest.approx(4 + 92 * 2 / 3, abs=0.06)
        assert [label for _, label in strip.ticks] == ["1e-09", "1e-06", "0.001", "1"]

    def test_zero_has_a_place_beside_a_logarithmic_axis(self) -> None:
        strip = self.strip(replace(self.WIDE, values=(0.0, 1e-6)), low=0.0)
        assert strip.values == (2, 12)
        assert strip.ticks[0] == (2, "0")

    def test_more_than_zero_begins_at_zero(self) -> None:
        strip = self.strip(self.SPREAD, relation="at_least", bound=1e-12)
        assert strip.bound == 4
        assert [label for _, label in strip.ticks] == ["0", "0.5"]

    def test_one_number_is_in_the_middle(self) -> None:
        strip = strip_of(None, None, replace(CLAIM, value=0.1))
        assert strip is not None
        assert (strip.run, strip.bound, strip.values) == (50, 50, ())

    def test_there_is_none_of_nothing(self) -> None:
        assert strip_of(POOLED, Spread((), (), ()), None) is None
        assert strip_of(None, None, replace(CLAIM, value=None)) is None


class TestForest:
    """At smoke the mean is 0.25 (0.1 to 0.4), at wide 0.05; at most 0.1 is claimed."""

    SMALL = replace(POOLED, mean=0.25, low=0.1, high=0.4, control=0.9, bound=0.1)
    LARGE = replace(SMALL, mean=0.05, low=0.0, high=0.1, control=0.5, verdict="supported")

    def forest(self, **claims: PooledVerdict) -> Forest:
        found = forest_of(claims)
        assert found is not None
        return found

    def test_all_profiles_are_on_one_axis_in_their_order(self) -> None:
        forest = self.forest(smoke=self.SMALL, wide=self.LARGE)
        assert [row.profile for row in forest.rows] == ["smoke", "wide"]
        small, large = forest.rows
        per_unit = 92 / 0.9  # from the lowest end of an interval to the largest control
        for place, number in (
            (forest.bound, 0.1),
            (small.mean, 0.25),
            (small.control, 0.9),
            (large.mean, 0.05),
            (large.control, 0.5),
        ):
            assert place == pytest.approx(4 + number * per_unit, abs=0.06)
        assert small.interval == pytest.approx((4 + 0.1 * per_unit, 0.3 * per_unit), abs=0.11)
        assert forest.claimed == (0, forest.bound)
        assert forest.top < small.middle < large.middle < forest.bottom < forest.height

    def test_an_end_at_zero_is_at_the_left_of_a_logarithmic_axis(self) -> None:
        tiny = replace(self.LARGE, mean=1e-6)
        (small, large) = self.forest(smoke=self.SMALL, wide=tiny).rows
        assert small.mean is not None
        assert large.mean == 4 < small.mean
        assert large.interval is not None
        assert large.interval[0] == 2

    def test_more_than_zero_begins_at_zero(self) -> None:
        """Although the bound that stands for it is many magnitudes below what is measured."""
        grows = replace(self.SMALL, relation="at_least", bound=1e-12)
        forest = self.forest(smoke=grows, wide=replace(grows, low=-0.1))
        (small, large) = forest.rows
        assert small.interval is not None
        assert large.interval is not None
        assert large.interval[0] == 4  # from -0.1 to 0.9
        assert forest.bound == pytest.approx(4 + 92 * 0.1, abs=0.06)
        assert small.interval[0] == pytest.approx(4 + 92 * 0.2, abs=0.06)

    def test_what_was_not_measured_has_its_row(self) -> None:
        nothing = replace(self.SMALL, mean=None, low=None, high=None, control=None, measured=0)
        (_, row) = self.forest(smoke=self.SMALL, wide=nothing).rows
        assert (row.mean, row.interval, row.control) == (None, None, None)
        assert row.words.startswith("not measured, 0 seeds: ")
        assert forest_of({"smoke": nothing}) is None

    def test_it_is_drawn_with_its_numbers_in_words(self) -> None:
        drawing = drawn(
            self.forest(smoke=self.SMALL, wide=replace(self.LARGE, cause="<by chance>"))
        )
        root = ElementTree.fromstring(drawing)
        label = root.attrib["aria-label"]
        assert label.startswith("Claimed ≤ 0.1. smoke: 0.25 (0.1 to 0.4), ")
        assert "wide: 0.05 (0 to 0.1)" in label
        assert "; control 0.5: supported: <by chance>. " in label
        groups = [one.attrib["class"] for one in root.iter("g") if "class" in one.attrib]
        assert [name.partition(" ")[0] for name in groups] == ["verdict"] * 2
        assert groups[1] == "verdict supports"


class TestFlow:
    def steps(self, **inputs: tuple[str, ...]) -> list[RanStep]:
        return [RanStep(name, "k", 1.0, 1, 1, {}, inputs=needed) for name, needed in inputs.items()]

    def test_each_step_is_to_the_right_of_those_that_it_reads(self) -> None:
        flow = flow_of(
            self.steps(training=(), data=(), spectrum=("training",), all=("training", "spectrum"))
        )
        places = {box.step.stage: (box.left, box.top) for box in flow.boxes}
        (first, top), (same, below) = places["training"], places["data"]
        assert first == same
        assert below > top + flow.box_height
        assert first + flow.box_width < places["spectrum"][0]
        assert places["spectrum"][0] + flow.box_width < places["all"][0]
        assert len(flow.arrows) == 3
        assert all(left + flow.box_width <= flow.width for left, _ in places.values())
        assert all(top + flow.box_height <= flow.height for _, top in places.values())

    def test_an_arrow_past_a_box_shows_below_it(self) -> None:
        flow = flow_of(self.steps(a=(), b=("a",), c=("a", "b")))
        straight, past, _ = (re.findall(r"[\d.]+", path) for path in flow.arrows)
        heights = [float(path[3]) - float(path[1]) for path in (straight, past)]
        assert heights[0] == 0
        assert heights[1] * 0.75 > flow.box_height / 2

    def test_steps_whose_inputs_were_not_kept_stand_alone(self) -> None:
        flow = flow_of(self.steps(training=(), spectrum=()))
        assert flow.arrows == ()


class TestPicture:
    def run(self, folder: Path, svg: str) -> Run:
        (folder / "fig.svg").write_text(svg)
        Image.new("RGB", (1000, 500), "white").save(folder / "fig.png")
        return Run(folder, folder, record_of(files=("fig.png", "fig.svg", "record.json")))

    def content(self, source: str, kind: str) -> bytes:
        head, _, encoded = source.partition(",")
        assert head == f"data:image/{kind};base64"
        return base64.b64decode(encoded, validate=True)

    def test_a_small_svg_stays_one_without_needless_digits(self, tmp_path: Path) -> None:
        svg = '<svg><path d="M 1.123456 2.5"/><text x="0.123456">0.123456</text></svg>'
        picture = picture_of(self.run(tmp_path, svg))
        assert (picture.width, picture.height) == (480, 240)
        assert self.content(picture.source, "svg+xml") == (
            b'<svg><path d="M 1.12 2.5"/><text x="0.12">0.123456</text></svg>'
        )

    def test_a_large_one_becomes_pixels(self, tmp_path: Path) -> None:
        svg = f"<svg><!-- {'x' * 60_000} --></svg>"
        picture = picture_of(self.run(tmp_path, svg))
        assert b"ftypavif" in self.content(picture.source, "avif")
        assert len(picture.source) < 10_000
