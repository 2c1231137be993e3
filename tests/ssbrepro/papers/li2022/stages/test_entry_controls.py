"""Entries of copies: that they are of the copies, and what they say of laws that were chosen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ssbrepro.contract import WITHOUT_POWER, Context, Input
from ssbrepro.data import cifar10
from ssbrepro.data.cifar10 import BinaryImages
from ssbrepro.networks import vgg12
from ssbrepro.papers import stage
from ssbrepro.papers.li2022.copies import copies
from ssbrepro.probes.entries import ensembles
from tests.oracles.planted_entries import (
    CONTROLS,
    ENTRIES,
    Planted,
    as_copies,
    empty,
    normal,
    one_signed,
    run,
)
from tests.oracles.progress import Memory, assert_continues
from tests.oracles.trainings import TINY

pytestmark = pytest.mark.usefixtures("coarse")

TRAINING = replace(TINY, num_examples=60)


@pytest.fixture(scope="module")
def made():
    """The stage's inputs: an untrained network at two checkpoints, of which the second is empty."""
    inputs = torch.randn(60, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = BinaryImages(inputs, torch.tensor([1.0, -1.0] * 30))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar10, "load", lambda *arguments: images)
        weights = torch.nn.utils.parameters_to_vector(
            vgg12(TRAINING.width, torch.Generator().manual_seed(1)).parameters()
        )
        weights = weights.detach().numpy()
        training = {
            "checkpoint_epoch": np.array([0, 5]),
            "checkpoint_weights": np.stack([weights, weights]),
        }
        entries = {
            "epoch": np.array([0, 5]),
            "num_examples": np.array(50),
            "examples_0": np.arange(13),
            "examples_1": np.arange(0),
        }
        yield images, {"training": Input(TRAINING, training), "entries": Input(ENTRIES, entries)}


def measure(inputs, progress):
    context = Context(0, "cpu", Path("unused"), inputs, progress)
    return stage("li2022/entry_controls").run(CONTROLS, context)


@pytest.fixture(scope="module")
def measured(made):
    progress = Memory()
    return measure(made[1], progress), progress


def test_entries_are_those_of_the_copies_on_as_many_examples(made, measured):
    images, _ = made
    result, _ = measured
    assert result.numbers == {"num_intact": 3, "num_broken": 2, "num_checkpoints": 1}
    model = vgg12(TRAINING.width, torch.Generator().manual_seed(1))
    shown = BinaryImages(images.inputs[:50], images.targets[:50])
    for one in copies(model, shown, 13, 3, 2, seed=0):
        name = f"{one.kind}_{one.number}"
        values = result.arrays[f"{name}_values_0"]
        assert len(values) == len(one.inputs) == len(result.arrays[f"{name}_examples_0"])
        assert values.shape[1] == 12
        assert values.any(axis=0).all()
        assert result.arrays[f"{name}_values_1"].shape == (0, 0)
        if one.kind == "broken":
            # All paths are positive: an entry has the sign of an example's slope.
            signs = -one.targets.numpy()[:, None]
            assert (values * signs >= 0).all()
        else:
            assert (values > 0).any()
            assert (values < 0).any()


def test_interrupted_copies_continue_with_the_same_bytes(made, measured):
    expected, whole = measured
    assert whole.num_saves == 5  # each copy of the checkpoint that is not empty, once
    assert_continues(lambda progress: measure(made[1], progress), expected, whole)


def test_a_record_of_copies_is_read_as_that_of_entries(measured):
    arrays = measured[0].arrays
    some, none = ensembles.recorded(arrays, "intact_1_")
    assert none is None
    assert some.num_examples == 50
    assert np.array_equal(some.values, arrays["intact_1_values_0"])


# What the numbers make of entries whose laws were chosen.


@pytest.mark.parametrize(("name", "index"), [
    ("laws", "nonzero_asymmetry_index_max"), ("means", "first_asymmetry_index_max"),
])  # fmt: skip
def test_intact_entries_have_an_index_near_zero_and_broken_ones_near_one(name, index):
    whole = normal(12, rows=200, num_examples=200, seed=50), empty(12, 200)
    broken = one_signed(12, rows=200, num_examples=200, seed=51), empty(12, 200)
    symmetric = run(name, *whole).numbers
    # Of twelve means A is anywhere up to one or so; of broken ones it is 2.
    assert abs(symmetric[index]) < 0.6
    assert run(name, *broken).numbers[index] == pytest.approx(1, abs=0.01)
    assert symmetric[index.replace("max", "control")] == pytest.approx(1, abs=0.01)
    # What one more network would stay below, judged from three copies, is short of a broken one's.
    assert symmetric[index.replace("max", "noise")] < 1


def test_copies_that_cannot_be_told_apart_have_no_index():
    planted = normal(12)
    same = {"intact": as_copies([planted])["intact"], "broken": [[normal(12, seed=9)]] * 2}
    result = run("laws", planted, copies=same)
    assert result.missing["nonzero_asymmetry_index_max"].startswith(WITHOUT_POWER)


def test_a_law_counts_over_the_examples_an_entry_is_not_zero_for():
    values = np.zeros((30, 3))
    values[:10, 0] = np.array([1.0, -1] * 5)
    values[:10, 1] = 1
    values[0, 2] = 1  # too few for a law
    result = run("laws", Planted(values, 40), min_nonzero=10)
    assert result.arrays["nonzero_asymmetry"].tolist() == [1]  # the median of 0 and 2


def test_broken_copies_are_the_control_of_the_shares_of_laws():
    mirrored = Planted(np.repeat([[1.0], [-1], [2], [-2]] * 5, 6, axis=1), 20)
    result = run("laws", mirrored, num_draws=5000).numbers
    assert result["shown_symmetric_share"] == result["shown_centred_share"] == 1
    assert result["shown_symmetric_share_control"] == result["shown_centred_share_control"] == 0
    whole = {kind: [[mirrored]] * count for kind, count in (("intact", 3), ("broken", 2))}
    passing = run("laws", mirrored, copies=whole, num_draws=5000).numbers
    assert passing["shown_symmetric_share_control"] == passing["shown_centred_share_control"] == 1


# Forced checkpoints.


@pytest.mark.parametrize("active", [1, 21, 22, 23, 60])
def test_a_checkpoint_is_forced_where_no_values_could_be_further_from_zero(active):
    # Equal values are the furthest: their ratio is the bound itself, root a / (1 - a).
    values = np.ones((active, 3))
    result = run("means", normal(3, 500, 1000), Planted(values, 1000))
    furthest = values.sum(axis=0) / 1000 / np.where(np.arange(1000) < active, 1.0, 0).std()
    assert result.arrays["forced"].tolist() == [0, furthest[0] < 0.15]
    assert result.numbers["num_forced"] == (furthest[0] < 0.15)
    assert (result.arrays["centred_share"][1] == 1) == (furthest[0] < 0.15)


def test_forced_checkpoints_are_left_out():
    forced = normal(50, 10, 1000)
    lopsided = one_signed(50, 500, 1000)
    result = run("means", lopsided, normal(50, 500, 1000), forced).numbers
    assert result["centred_share_min"] == result["unforced_share_min"] == 0
    assert result["centred_share_end"] == 1
    assert result["unforced_share_end"] == result["unforced_share_growth"] > 0.9
    only = run("means", forced, forced)
    assert only.numbers["centred_share_min"] == 1
    assert all(
        "every checkpoint is forced" in reason
        for name, reason in only.missing.items()
        if name.startswith("unforced")
    )
    assert "unforced_share_growth_low" in only.missing


def test_growth_that_fewer_examples_explain_is_also_the_controls():
    # One law throughout, a third of the examples are inside the margin at first and then a tenth.
    values = np.random.default_rng(0).normal(0.3, 1, size=(400, 300))
    start, end = Planted(values[:333], 1000), Planted(values[-100:], 1000)
    numbers = run("means", start, end).numbers
    assert numbers["centred_share_growth"] > 0.2
    assert numbers["centred_share_growth_control"] == pytest.approx(
        numbers["centred_share_growth"], abs=0.1
    )
    assert numbers["unforced_share_growth_low"] > 0
    assert numbers["unforced_share_growth_low_control"] > 0
    # More symmetric at the end with as many examples: the control does not grow.
    numbers = run("means", start, normal(300, 333, 1000)).numbers
    assert numbers["unforced_share_growth_low"] > 0 >= numbers["unforced_share_growth_low_control"]


def test_means_can_be_divided_by_their_deviation_across_entries():
    planted = normal(300, 100, 400)
    result = run("means", planted, normalised_by="across")
    means = planted.everything.mean(axis=0)
    expected = (np.abs(means / means.std()) < 0.15).mean()
    assert result.numbers["centred_share_min"] == pytest.approx(expected, abs=1e-12)
    assert result.numbers["num_forced"] == 0


# Correlations.


def test_the_growth_in_excess_of_chance_is_at_equal_numbers_of_examples():
    generator = np.random.default_rng(0)
    few, many = generator.normal(size=(20, 12)), generator.normal(size=(200, 12))
    apart = run("correlations", Planted(many, 200), Planted(few, 200), num_replicates=99).numbers
    # Independent throughout: magnitudes grow by chance alone, and the excess does not.
    assert apart["num_active_equal"] == 20
    assert apart["mean_growth"] > 0.05
    assert apart["mean_growth_control"] == pytest.approx(apart["mean_growth"], abs=0.05)
    assert apart["excess_growth_low"] < 0
    assert apart["excess_growth_low"] > apart["excess_growth_noise"]
    together = few + 3 * generator.normal(size=(20, 1))
    found = run(
        "correlations", Planted(many, 200), Planted(together, 200), num_replicates=99
    ).numbers
    assert found["excess_growth"] > 0.4
    assert found["excess_growth_low"] > 0 > found["excess_growth_control"]


def test_strong_shares_have_chance_and_broken_copies_beside_them():
    numbers = run("correlations", normal(12, 200, 200), normal(12, 200, 200, seed=3)).numbers
    for when in ("start", "end"):
        assert numbers[f"strong_share_{when}"] <= 0.01
        assert numbers[f"strong_share_{when}_noise"] < 0.05
        assert numbers[f"strong_share_{when}_control"] == 1


# Coupling.


def coupled(rows, num_examples, seed=0):
    """Ten entries of which the first five share most of what they fluctuate with."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(rows, 10))
    values[:, :5] += 3 * generator.normal(size=(rows, 1))
    return Planted(values, num_examples)


MANY = {"false_discovery_rate": 0.2, "num_permutations": 300, "num_active": 40}


def test_coupling_at_equal_numbers_sees_dependence_and_not_numbers():
    whole = run("equal_coupling", coupled(400, 400), coupled(40, 400, 1), empty(10, 400), **MANY)
    numbers = whole.numbers
    assert numbers["num_checkpoints"] == 2
    assert numbers["end_epoch"] == 10
    # Five of ten entries with four of nine others each; a fifth of all found may be so by chance.
    assert 20 / 90 <= numbers["covariance_relative_size_start"] <= 26 / 90
    assert 20 / 90 <= numbers["covariance_relative_size_end"] <= 26 / 90
    assert numbers["covariance_exponent_growth_low"] < 0
    assert numbers["covariance_relative_size_end_control"] > 0.9
    grown = run("equal_coupling", normal(10, 400, 400), coupled(40, 400), **MANY).numbers
    assert grown["covariance_exponent_growth_low"] > 0 > grown["covariance_exponent_growth_control"]
    assert "coskewness_exponent_growth" not in grown


def test_an_exponent_counts_the_live_entries_of_different_layers():
    result = run("equal_coupling", coupled(40, 400), **MANY)
    share = result.arrays["covariance_relative_size"][0]
    # 40 and 60 weights; the ten entries are a fifth of the pairs tried, all live.
    size = 1 + share * (40 * 60 / 5 - 1)
    expected = np.log(size) / np.log(100)
    assert result.arrays["covariance_exponent"][0] == pytest.approx(expected, rel=1e-12)
    other = run("equal_coupling", coupled(40, 400), dimension="entries", **MANY)
    expected = np.log(size) / np.log(100 * 101 / 2)
    assert other.arrays["covariance_exponent"][0] == pytest.approx(expected, rel=1e-12)


def test_too_few_examples_inside_the_margin_are_left_out():
    result = run("equal_coupling", coupled(40, 400), coupled(39, 400), **MANY)
    assert np.isnan(result.arrays["num_live"]).tolist() == [False, True]
    nothing = run("equal_coupling", coupled(39, 400), **MANY)
    assert nothing.numbers.keys() == {"num_checkpoints", "log10_dimension"}
    assert "no two entries are live" in nothing.missing["covariance_relative_size_end"]


def test_more_or_fewer_examples_are_the_control_of_version_ones_growth():
    many = {"false_discovery_rate": 0.2, "num_permutations": 300}
    numbers = run("coupling", coupled(400, 400), coupled(40, 400, 1), **many).numbers
    assert numbers["covariance_relative_size_end_control"] > 0.9
    # A fifth of the pairs found may be so by chance, and of 90 all may be found.
    assert numbers["covariance_relative_size_end_noise"] <= 0.2
    thinned = numbers["covariance_exponent_start"] + numbers["covariance_exponent_growth_control"]
    assert 0 <= thinned <= 1
