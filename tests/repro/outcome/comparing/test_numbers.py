"""Differences that are prescribed: found where they are beyond what is allowed, and only there."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from repro.manifests.library import FigureManifest, Library
from repro.outcome.comparing.numbers import NumberComparison, compare_numbers
from repro.outcome.comparing.subjects import Subject
from repro.outcome.references import RecordedRun, RecordedStep, write_runs
from tests.fakes import FIGURE, copy_manifests, recorded_run_of

LOSS, OTHER = "training.mean_loss", "training.max_order_parameter"
RESOLUTION = 0.001  # of the loss, as the manifest has it
TOGETHER = 3  # references of the figure


@pytest.fixture
def manifest(tmp_path: Path) -> FigureManifest:
    manifest = Library(copy_manifests(tmp_path / "manifests")).load(FIGURE)
    resolutions = {one.metric: one.resolution for one in manifest.figure.references}
    assert (resolutions[LOSS], len(resolutions)) == (RESOLUTION, TOGETHER)
    assert OTHER not in resolutions
    return manifest


def side(
    manifest: FigureManifest, values: Sequence[float], seeds: Sequence[int] | None = None,
    metric: str = LOSS, processor: str = "A", **changes: Any,
) -> Subject:  # fmt: skip
    runs = tuple(
        recorded_run_of(seed, processor, {metric: value})
        for seed, value in zip(seeds or range(len(values)), values, strict=True)
    )
    subject = Subject("t", "recorded", manifest, "smoke", None, runs)
    return replace(subject, **changes)


def compared(a: Subject, b: Subject, metric: str = LOSS) -> NumberComparison:
    (found,) = [one for one in compare_numbers(a, b) if one.metric == metric]
    return found


class TestSeveralAgainstSeveral:
    def test_equal_seeds_are_paired(self, manifest: FigureManifest) -> None:
        draws = np.random.default_rng(1)
        before = draws.normal(5, 3, 8)
        after = before + draws.normal(0.2, 0.05, 8)
        found = compared(side(manifest, before), side(manifest, after))
        interval = stats.ttest_rel(after, before).confidence_interval(1 - 0.05 / TOGETHER)
        assert (found.low, found.high) == pytest.approx(tuple(interval), rel=1e-9)
        assert found.difference == pytest.approx(np.mean(after - before), rel=1e-9)
        assert found.relative == pytest.approx(np.mean(after - before) / before.mean(), rel=1e-9)
        assert (found.pairs, found.allowed, found.verdict) == (8, RESOLUTION, "beyond")
        # The same numbers of other seeds: their own spread hides it.
        other = compared(side(manifest, before), side(manifest, after, range(10, 18)))
        welch = stats.ttest_ind(after, before, equal_var=False)
        # SciPy's degrees of freedom are no whole number; rounded down, the interval is a little wider.
        low, high = welch.confidence_interval(1 - 0.05 / TOGETHER)
        assert (other.low, other.high) == pytest.approx((low, high), rel=0.02)
        assert other.low <= low
        assert (other.pairs, other.verdict) == (0, "inconclusive")

    def test_seeds_that_only_one_side_has_are_left_out_of_pairs(
        self, manifest: FigureManifest
    ) -> None:
        a = side(manifest, [1.0, 2.0, 4.0, 100.0], [0, 1, 2, 7])
        b = side(manifest, [1.5, 2.5, 4.5, -50.0], [0, 1, 2, 9])
        found = compared(a, b)
        assert (found.difference, found.low, found.high) == (0.5, 0.5, 0.5)
        assert (found.a, found.b) == pytest.approx((7 / 3, 8.5 / 3))
        assert (found.pairs, found.verdict) == (3, "beyond")

    @pytest.mark.parametrize(
        ("shift", "verdict"),
        [(0.0005, "within"), (0.0015, "beyond"), (-0.0015, "beyond"), (-0.0005, "within")],
    )
    def test_the_resolution_decides_where_chance_does_nothing(
        self, manifest: FigureManifest, shift: float, verdict: str
    ) -> None:
        values = [0.5, 0.25, 0.75]
        a, b = side(manifest, values), side(manifest, [value + shift for value in values])
        assert compared(a, b).verdict == verdict

    def test_a_side_held_against_itself_is_equal(self, manifest: FigureManifest) -> None:
        found = compared(side(manifest, [1.0, 2.0, 3.0]), side(manifest, [1.0, 2.0, 3.0]))
        assert (found.verdict, found.difference, found.low) == ("equal", 0.0, 0.0)

    def test_other_numbers_are_told_and_decide_nothing(self, manifest: FigureManifest) -> None:
        a, b = (side(manifest, [x, x + 0.1, x], metric=OTHER) for x in (1.0, 9.0))
        found = compared(a, b, OTHER)
        assert (found.verdict, found.allowed, found.reference) == ("not compared", None, False)
        assert found.difference == pytest.approx(8)

    def test_profiles_are_expected_to_differ(self, manifest: FigureManifest) -> None:
        a, b = side(manifest, [1.0] * 3), side(manifest, [2.0] * 3, profile="desk")
        found = compared(a, b)
        assert (found.verdict, found.difference, found.relative) == ("not compared", 1.0, 1.0)

    def test_a_seed_on_two_machines_is_one(self, manifest: FigureManifest) -> None:
        one, two = side(manifest, [1.0, 2.0, 3.0]), side(manifest, [1.2, 2.2, 3.2], processor="B")
        both = replace(one, runs=(*one.runs, *two.runs))
        found = compared(one, both)
        assert found.pairs == 3
        assert found.difference == pytest.approx(0.1)

    def test_no_more_than_one_comparison_in_twenty_is_wrong(self, manifest: FigureManifest) -> None:
        draws = np.random.default_rng(5).normal(0, 1, (400, 2, 5))
        seeds = (range(5), range(5, 10))
        wrong = sum(
            compared(*(side(manifest, row, s) for row, s in zip(pair, seeds, strict=True))).verdict
            == "beyond"
            for pair in draws.tolist()
        )
        # 0.05/3 of 400 are 7 ± 2.6 at the most: the resolution and whole degrees make it fewer.
        assert wrong <= 17


class TestTwoRuns:
    def record(self, manifest: FigureManifest, *machines: Sequence[float]) -> None:
        runs: list[RecordedRun] = []
        for number, values in enumerate(machines):
            runs += side(manifest, values, processor=f"machine {number}").runs
        write_runs(manifest, "smoke", runs)

    def test_they_may_differ_as_two_new_runs_do(self, manifest: FigureManifest) -> None:
        values = [1.0, 2.0, 3.0, 4.0, 5.0]
        self.record(manifest, values)
        quantile = stats.t.ppf(1 - 0.025 / TOGETHER, 4)
        allowed = quantile * np.std(values, ddof=1) * math.sqrt(2)
        a = side(manifest, [0.0], [20])
        found = compared(a, side(manifest, [allowed * 0.999], [21]))
        assert (found.allowed, found.verdict) == (pytest.approx(allowed, rel=1e-9), "within")
        assert compared(a, side(manifest, [-allowed * 1.001], [21])).verdict == "beyond"
        # Of several machines that of the widest.
        self.record(manifest, values, [10 * value for value in values], [0.0, 100.0])
        assert compared(a, side(manifest, [1.0], [21])).allowed == pytest.approx(10 * allowed)

    @pytest.mark.parametrize(
        ("shift", "seed", "verdict"),
        [
            (0.0005, 0, "within"),
            (0.0015, 0, "beyond"),
            (0.0015, 1, "no tolerance"),
            (0.0, 1, "equal"),
        ],
    )
    def test_with_nothing_recorded_the_resolution_is_for_one_seed_only(
        self, manifest: FigureManifest, shift: float, seed: int, verdict: str
    ) -> None:
        a, b = side(manifest, [0.5]), side(manifest, [0.5 + shift], [seed], processor="B")
        assert compared(a, b).verdict == verdict

    def test_one_machine_gives_one_seed_the_same_bits(self, manifest: FigureManifest) -> None:
        self.record(manifest, [1.0, 2.0, 3.0])
        for metric in (LOSS, OTHER):
            a = side(manifest, [0.5], metric=metric)
            b = side(manifest, [np.nextafter(0.5, 1)], metric=metric)
            found = compared(a, b, metric)
            assert (found.verdict, found.allowed) == ("beyond", 0.0)

    @pytest.mark.parametrize(
        "changes",
        [
            {"versions": {"torch": "3"}},
            {"device": "cuda"},
            {"steps": (RecordedStep("training", 1.0, 2, threads=2),)},
            "limits",
            "nameless",
        ],
    )
    def test_whatever_rounds_otherwise_need_not(
        self, manifest: FigureManifest, changes: Any
    ) -> None:
        a, b = side(manifest, [0.5], metric=OTHER), side(manifest, [0.6], metric=OTHER)
        if isinstance(changes, str):
            machine = a.runs[0].machine
            held = replace(machine, limits={"MKL_CBWR": "AVX"})
            changes = {"machine": held if changes == "limits" else replace(machine, processor="")}
            a = replace(a, runs=(replace(a.runs[0], machine=replace(machine, processor="")),)) if (
                changes["machine"].processor == ""
            ) else a  # fmt: skip
        b = replace(b, runs=(replace(b.runs[0], **changes),))
        assert compared(a, b, OTHER).verdict == "not compared"


class TestOneAgainstSeveral:
    def test_it_is_held_to_what_is_expected_of_a_new_run(self, manifest: FigureManifest) -> None:
        values = [1.0, 2.0, 3.0, 4.0, 5.0]
        half = stats.t.ppf(1 - 0.025 / TOGETHER, 4) * math.sqrt(2.5 * 1.2)
        many = side(manifest, values)
        for shift, verdict in ((0.999, "within"), (1.001, "beyond")):
            one = side(manifest, [3 + shift * half], [9])
            for found in (compared(many, one), compared(one, many)):
                assert found.allowed == pytest.approx(half, rel=1e-9)
                assert (found.verdict, found.low) == (verdict, None)
            assert compared(many, one).difference == pytest.approx(shift * half)
            assert compared(one, many).difference == pytest.approx(-shift * half)

    def test_of_two_nothing_is_expected(self, manifest: FigureManifest) -> None:
        found = compared(side(manifest, [1.0, 2.0]), side(manifest, [9.0], [5]))
        assert found.verdict == "no tolerance"


class TestMissing:
    def runs(self, manifest: FigureManifest, metric: str, reason: str | None) -> Subject:
        run = recorded_run_of(0, "B", {}, {metric: reason} if reason else {})
        return Subject("t", "recorded", manifest, "smoke", None, (run,))

    def test_a_reference_that_was_not_measured_is_a_difference(
        self, manifest: FigureManifest
    ) -> None:
        a = side(manifest, [0.5])
        found = compared(a, self.runs(manifest, LOSS, "why"))
        assert (found.verdict, found.b, found.difference) == ("missing", None, None)
        assert compared(self.runs(manifest, LOSS, "why"), a).verdict == "missing"

    def test_one_that_a_release_does_not_know_is_none(self, manifest: FigureManifest) -> None:
        assert compared(side(manifest, [0.5]), self.runs(manifest, LOSS, None)).verdict == (
            "not compared"
        )

    def test_nor_is_any_other_number(self, manifest: FigureManifest) -> None:
        found = compared(
            side(manifest, [0.5], metric=OTHER), self.runs(manifest, OTHER, "why"), OTHER
        )
        assert found.verdict == "not compared"
