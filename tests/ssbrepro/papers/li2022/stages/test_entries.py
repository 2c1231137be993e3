"""The stages on Hessian entries: of a small trained network, and of entries whose law was chosen."""

import dataclasses
import importlib
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ssbrepro.contract import WITHOUT_POWER, Context, Input, NoProgress
from ssbrepro.data import cifar10
from ssbrepro.data.cifar10 import BinaryImages
from ssbrepro.networks import vgg12
from ssbrepro.networks.flattening import load_weights
from ssbrepro.papers import stage
from ssbrepro.probes.entries import per_example, per_example_entries
from ssbrepro.probes.entries.sampling import draw_pairs, same_layer_share
from ssbrepro.probes.operators import hessian_operator
from ssbrepro.statistics.symmetry import reflection_asymmetry
from ssbrepro.training.losses import hinge
from tests.oracles.planted_entries import (
    CONTROLS,
    ENTRIES,
    ON_ENTRIES,
    Planted,
    empty,
    normal,
    run,
)
from tests.oracles.progress import Memory, assert_continues
from tests.oracles.trainings import TINY

pytestmark = pytest.mark.usefixtures("coarse")

TRAINING = replace(TINY, num_examples=8, batch_size=4)
SIZES = [weight.numel() for weight in vgg12(1 / 32).parameters()]


def context(progress=None, **inputs):
    return Context(
        seed=0,
        device="cpu",
        data_root=Path("unused"),
        inputs=inputs,
        progress=progress or NoProgress(),
    )


# A small trained network.


@pytest.fixture(scope="module")
def images():
    """Eight random images in the place of CIFAR-10."""
    inputs = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return BinaryImages(inputs, torch.tensor([1.0, -1.0] * 4))


@pytest.fixture(scope="module")
def trained(images):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar10, "load", lambda *arguments: images)
        arrays = stage("li2022/training").run(TRAINING, context()).arrays
        weights = arrays["checkpoint_weights"].copy()
        # So short a training leaves all inside the margin; larger outputs have some beyond it.
        weights[:, -SIZES[-1] :] *= 30
        yield Input(TRAINING, {**arrays, "checkpoint_weights": weights})


def at_weights(trained, weights):
    """The same training, had it come to other weights."""
    return Input(TRAINING, {**trained.arrays, "checkpoint_weights": weights})


def entries_of(training, progress=None, **changes):
    parameters = dataclasses.replace(ENTRIES, **changes)
    return stage("li2022/entries").run(parameters, context(progress, training=training))


@pytest.fixture(scope="module")
def measured(trained):
    """A whole measurement: its result and what it reported and saved."""
    progress = Memory()
    return entries_of(trained, progress), progress


def test_the_stage_follows_the_same_live_entries_and_accounts_for_every_number(measured):
    result, progress = measured
    arrays, numbers = result.arrays, result.numbers
    assert not result.missing
    assert set(numbers) == set(stage("li2022/entries").numbers)
    assert arrays["epoch"].tolist() == [0, 1, 2]
    assert int(arrays["num_examples"]) == 7
    assert arrays["layer_sizes"].tolist() == SIZES
    assert len(arrays["rows"]) == len(arrays["columns"]) == numbers["num_live"] == 20
    layers = np.repeat(np.arange(12), SIZES)
    assert (layers[arrays["rows"]] != layers[arrays["columns"]]).all()
    assert numbers["same_layer_share"] == same_layer_share(SIZES)
    assert 0 < numbers["dead_share"] < 1
    assert numbers["num_empty"] == numbers["num_sparse"] == 0
    live = [arrays[f"values_{index}"].any(axis=0) for index in range(3)]
    assert np.any(live, axis=0).all()
    assert int(arrays["num_tried"]) == round(20 / (1 - numbers["dead_share"]))
    shares = [done / total for done, total, _ in progress.reports]
    # Nothing begins anew where more pairs are needed than forecast; the whole then grows a little.
    assert all(after > 0.5 * before for before, after in itertools.pairwise(shares))
    assert 0 < shares[0] < 0.5 < shares[-1] <= 1


def test_a_training_set_of_fewer_examples_is_measured_whole(trained):
    arrays = entries_of(trained, num_examples=2000).arrays
    assert int(arrays["num_examples"]) == 8
    whole = entries_of(trained, num_examples=8).arrays
    assert arrays.keys() == whole.keys()
    for name in arrays:
        np.testing.assert_array_equal(arrays[name], whole[name])


def test_the_values_are_those_of_the_examples_inside_the_margin(images, trained, measured):
    arrays = measured[0].arrays
    model = vgg12(TRAINING.width)
    inputs, targets = images.inputs[:7].double(), images.targets[:7].double()
    for index in range(3):
        load_weights(model.float(), trained.arrays["checkpoint_weights"][index])
        model.double()
        inside = (targets * model(inputs) < 1).numpy()
        examples, values = arrays[f"examples_{index}"], arrays[f"values_{index}"]
        assert examples.tolist() == np.flatnonzero(inside).tolist()
        assert 0 < arrays["num_active"][index] == len(examples) < 7
        operator = hessian_operator(model, hinge, inputs, targets, dtype=torch.float64)
        for entry in range(3):
            unit = torch.zeros(sum(SIZES), dtype=torch.float64)
            unit[arrays["rows"][entry]] = 1
            product = operator.matvec(unit)[arrays["columns"][entry]].item()
            # Twelve layers in float32, against float64.
            scale = float(np.abs(values[:, entry]).sum()) / 7
            assert values[:, entry].sum() / 7 == pytest.approx(product, abs=1e-5 * scale)


def test_the_stage_finds_its_own_residual(measured, trained, monkeypatch):
    # Float32 products of twelve layers: some hundred roundings of 6e-8.
    assert measured[0].numbers["hessian_residual_max"] < 5e-5
    right = per_example.per_example_entries
    monkeypatch.setattr(per_example, "per_example_entries", lambda *given: 1.01 * right(*given))
    wrong = entries_of(trained).numbers["hessian_residual_max"]
    # A hundredth of the sum, which is at most the magnitude.
    assert 1e-4 < wrong < 0.0101


def test_an_interrupted_measurement_continues_with_the_same_bytes(trained, measured):
    expected, whole = measured
    assert whole.num_saves > 2 * 3
    assert_continues(lambda progress: entries_of(trained, progress), expected, whole)


def test_entries_live_at_a_later_checkpoint_only_are_followed_too(trained):
    weights = trained.arrays["checkpoint_weights"].copy()
    weights[0] = 0  # everything is dead at the start
    arrays = entries_of(at_weights(trained, weights)).arrays
    assert not arrays["values_0"].any()
    later = np.any([arrays[f"values_{index}"].any(axis=0) for index in (1, 2)], axis=0)
    assert later.all()
    assert len(later) == 20


def test_fewer_entries_than_asked_for_are_all_that_the_pairs_tried_give(trained):
    result = entries_of(trained, num_entries=50, max_pairs=60)
    live = result.numbers["num_live"]
    assert 0 < live < 50
    assert len(result.arrays["rows"]) == result.arrays["values_2"].shape[1] == live
    assert result.numbers["dead_share"] == 1 - live / 60
    assert not result.missing


def test_the_dead_share_is_that_of_uniform_pairs(images, trained):
    model = vgg12(TRAINING.width)
    pairs = draw_pairs(SIZES, 600, np.random.default_rng(3))
    alive = np.zeros(600, dtype=bool)
    for weights in trained.arrays["checkpoint_weights"]:
        load_weights(model, weights)
        entries = per_example_entries(
            model, hinge, images.inputs[:7], images.targets[:7], *map(torch.from_numpy, pairs)
        )
        alive |= entries.any(0).numpy()
    expected = 1 - alive.mean()
    assert 0.2 < expected < 0.98
    live = entries_of(trained, num_entries=60).numbers
    # Found among pairs drawn until there are 60: one minus 60 live in tried ones.
    tried = 60 / (1 - live["dead_share"])
    assert tried == pytest.approx(round(tried), rel=1e-9)
    error = (expected * (1 - expected) * (1 / 600 + 1 / tried)) ** 0.5
    assert abs(live["dead_share"] - expected) < 4 * error


def downstream(training, entries, max_pairs=CONTROLS.max_pairs):
    """Every stage on entries."""
    inputs = {"training": training, "entries": Input(ENTRIES, entries)}
    controls = replace(CONTROLS, max_pairs=max_pairs)
    copied = stage("li2022/entry_controls").run(controls, context(**inputs))
    inputs = {"entries": inputs["entries"], "entry_controls": Input(controls, copied.arrays)}
    parameters = ON_ENTRIES | {
        "equal_coupling": replace(ON_ENTRIES["equal_coupling"], num_active=4)
    }
    return {
        name: stage(f"li2022/{name}").run(parameters[name], context(**inputs))
        for name in ON_ENTRIES
    }


def test_every_stage_runs_on_them_and_every_figure_draws_it(trained, measured):
    results = downstream(trained, measured[0].arrays)
    for name, result in results.items():
        # Four examples: copies need not differ, hardly a pair is found, and copies may have fewer.
        understood = (WITHOUT_POWER, "can be told from chance", "the control has too few")
        for reason in result.missing.values():
            assert any(words in reason for words in understood), reason
        assert {*result.numbers, *result.missing} == {*stage(f"li2022/{name}").numbers}
        for series in result.series.values():
            assert result.arrays[series.epochs].shape == result.arrays[series.values].shape
    drawn(measured[0].arrays, results)


def drawn(entries, results):
    """Draw every figure of them."""
    arrays = {"entries": entries} | {name: result.arrays for name, result in results.items()}
    for figure in ("6a", "6b", "6c", "7a", "7b", "7c"):
        importlib.import_module(f"ssbrepro.papers.li2022.figures.fig{figure}").draw(arrays)


KNOWN = {"num_shown", "num_checkpoints", "log10_num_entries", "log10_dimension"}


def without_numbers(results):
    """That nothing is claimed about entries that nobody measured, and that the reason is given."""
    for name, result in results.items():
        assert {*result.numbers} <= KNOWN, name
        for reason in result.missing.values():
            assert "live" in reason or "nothing to measure" in reason


def test_a_dead_network_has_no_live_entries_and_says_so(trained):
    dead = at_weights(trained, np.zeros_like(trained.arrays["checkpoint_weights"]))
    result = entries_of(dead, max_pairs=60)
    assert result.numbers["num_live"] == 0
    assert set(result.missing) == {"dead_share", "hessian_residual_max"}
    assert "none of 60 entries" in result.missing["dead_share"]
    stages = downstream(dead, result.arrays, max_pairs=24)
    without_numbers(stages)
    drawn(result.arrays, stages)


def test_where_nothing_is_inside_the_margin_the_hessian_is_zero(images, trained, monkeypatch):
    weights = trained.arrays["checkpoint_weights"].copy()
    model = vgg12(TRAINING.width)
    load_weights(model, weights[2])
    outputs = model(images.inputs).detach()
    assert outputs.abs().min() > 0
    # Labelled as the network has it, and as certain as can be.
    monkeypatch.setattr(
        cifar10, "load", lambda *arguments: BinaryImages(images.inputs, outputs.sign())
    )
    weights[:] = weights[2]
    weights[0, -SIZES[-1] :] *= float(0.1 / outputs.abs().max())
    weights[1:, -SIZES[-1] :] *= float(10 / outputs.abs().min())
    result = entries_of(at_weights(trained, weights))
    assert result.numbers["num_empty"] == 2
    assert result.arrays["num_active"].tolist()[1:] == [0, 0]
    assert result.arrays["values_1"].shape == (0, 20)
    assert result.numbers["hessian_residual_max"] < 1e-5
    stages = downstream(at_weights(trained, weights), result.arrays)
    assert stages["means"].numbers["end_epoch"] == 0
    assert np.isnan(stages["means"].arrays["asymmetry"]).tolist() == [False, True, True]
    assert np.isnan(stages["laws"].arrays["ratio"][:, 1:]).all()
    weights[0] = weights[2]
    nothing = entries_of(at_weights(trained, weights))
    assert nothing.numbers["num_empty"] == 3
    assert "at most 0 examples are inside" in nothing.missing["dead_share"]
    without_numbers(downstream(at_weights(trained, weights), nothing.arrays))


def test_too_few_active_examples_are_left_out_and_counted(trained):
    result = entries_of(trained, min_active=8)
    assert result.numbers["num_sparse"] == 3
    assert result.numbers["num_empty"] == result.numbers["num_live"] == 0
    assert result.arrays["examples_0"].shape == (0,)
    assert "fewer than 8" in result.missing["hessian_residual_max"]
    without_numbers(downstream(trained, result.arrays))


MIRRORED = np.array([1.0, -1, 2, -2, 0.3, -0.3] * 5)
ONE_SIGNED = np.abs(MIRRORED)
LOPSIDED = np.array([-1.0] * 29 + [29.0])  # mean zero


def laws(columns):
    return Planted(np.stack(columns, axis=1), 30)


def test_laws_tell_symmetric_from_centred():
    result = run("laws", laws([MIRRORED, ONE_SIGNED, LOPSIDED]), num_draws=20_000)
    asymmetry, ratio = result.arrays["asymmetry"][:, 0], result.arrays["ratio"][:, 0]
    # Draws of a symmetric law: A is some 1 / sqrt(20,000).
    assert asymmetry[0] < 0.03
    assert asymmetry[1] == pytest.approx(2, abs=1e-12)
    assert asymmetry[2] > 1
    np.testing.assert_allclose(ratio[[0, 2]], 0, atol=1e-14)
    assert ratio[1] == pytest.approx(ONE_SIGNED.mean() / ONE_SIGNED.std(), rel=1e-6)  # float32
    assert result.numbers["num_shown"] == 3
    assert result.numbers["symmetric_share"] == pytest.approx(1 / 3)
    assert result.numbers["centred_share"] == pytest.approx(2 / 3)
    assert result.numbers["shown_symmetric_share"] == result.numbers["symmetric_share"]


def test_the_laws_shown_are_the_first_of_those_live_longest():
    result = run("laws", laws([ONE_SIGNED, MIRRORED, MIRRORED]), num_shown=1, num_draws=20_000)
    assert result.arrays["shown"].tolist() == [0]
    assert result.numbers["shown_symmetric_share"] == result.numbers["shown_centred_share"] == 0
    assert result.numbers["symmetric_share"] == pytest.approx(2 / 3)
    assert result.arrays["histogram"].shape == (1, 1, 41)
    later = normal(4, seed=1)
    later.values[:, [0, 2]] = 0
    result = run("laws", normal(4), later)
    assert result.arrays["shown"].tolist() == [1, 3, 0]
    assert result.arrays["histogram"].any(axis=2).tolist() == [[True, True]] * 2 + [[True, False]]


def test_more_examples_in_a_draw_make_laws_less_centred_by_the_root():
    planted = laws([ONE_SIGNED, LOPSIDED + 0.1])
    one, many = (run("laws", planted, resample_size=size) for size in (1, 16))
    np.testing.assert_allclose(many.arrays["ratio"], 4 * one.arrays["ratio"], rtol=1e-12)
    assert one.numbers["centred_share"] == 0.5
    assert many.numbers["centred_share"] in (0, 0.5)
    one, many = (run("means", planted, resample_size=size) for size in (1, 16))
    bound = {"centred_below": 0.6, "resample_size": 16}
    wider = run("means", normal(50), **bound).numbers["centred_share_end"]
    assert wider == run("means", normal(50)).numbers["centred_share_end"] < 1
    # Not the asymmetry: a common factor.
    assert one.numbers["asymmetry_max"] == pytest.approx(many.numbers["asymmetry_max"], rel=1e-12)


def test_the_noise_of_the_shares_is_what_random_signs_give():
    # One example carries each entry: whatever its sign, all draws have one sign.
    carried = np.zeros((30, 2))
    carried[[3, 7], [0, 1]] = 1
    result = run("laws", Planted(carried, 30))
    assert result.numbers["shown_symmetric_share_noise"] == 0
    # Mean 1/30, standard deviation sqrt(29)/30.
    assert result.numbers["shown_centred_share"] == 0
    assert result.numbers["shown_centred_share_noise"] == 0
    # Many examples: random signs make it symmetric and centred in all imitations.
    many = Planted(np.random.default_rng(0).uniform(1, 2, size=(2000, 2)), 2000)
    result = run("laws", many, num_draws=2000)
    assert result.numbers["shown_symmetric_share"] == result.numbers["shown_centred_share"] == 0
    assert result.numbers["shown_symmetric_share_noise"] == 1
    assert result.numbers["shown_centred_share_noise"] == 1
    # Thirty examples: |mean / std| is within 0.15 = 0.82 / sqrt(30) for 59 % of the signs, so all
    # three entries are beyond it for 7 %, and at most one within for 37 %.
    few = run("laws", normal(3, rows=30, num_examples=30), num_flips=199)
    assert few.numbers["shown_centred_share_noise"] <= 1 / 3


def test_the_drawn_laws_are_those_of_the_draws():
    result = run("laws", normal(4), empty(4), num_bins=201)
    histogram, edges = result.arrays["histogram"], result.arrays["edges"]
    assert np.array_equal(edges, -edges[::-1])
    # The mean over the bins of an axis of length 1.
    np.testing.assert_allclose(histogram[:, 0].mean(axis=-1), 1, rtol=1e-9)
    assert not histogram[:, 1].any()
    assert np.isnan(result.arrays["asymmetry"]).tolist() == [[False, True]] * 4


def test_means_are_in_units_of_standard_deviations_over_all_examples():
    checkpoints = normal(50), normal(50, rows=40, seed=1), empty(50)
    result = run("means", *checkpoints)
    arrays, numbers = result.arrays, result.numbers
    for index, planted in enumerate(checkpoints[:2]):
        every = planted.everything
        ratios = every.mean(axis=0) / every.std(axis=0)
        # Sums of 40 terms.
        expected = reflection_asymmetry(ratios)
        assert arrays["asymmetry"][index] == pytest.approx(expected, rel=1e-10)
        assert arrays["centred_share"][index] == (np.abs(ratios) < 0.15).mean()
    assert arrays["num_live"].tolist() == [50, 50, 0]
    for name in ("asymmetry", "asymmetry_noise", "centred_share", "centred_share_band"):
        assert np.isnan(arrays[name]).tolist() == [False, False, True]
    assert not arrays["histogram"][2].any()
    assert numbers["end_epoch"] == 10
    assert numbers["num_live_min"] == 50
    assert numbers["asymmetry_max"] == np.nanmax(arrays["asymmetry"])
    assert numbers["centred_share_min"] == np.nanmin(arrays["centred_share"])
    start, end = arrays["centred_share"][:2]
    assert numbers["centred_share_growth"] == end - start


def test_the_noise_of_an_asymmetry_is_that_of_the_signs_of_the_examples():
    # All entries alike: any sample of them is one-signed, however many there are.
    column = np.random.default_rng(0).normal(size=(30, 1)) + 3
    same = run("means", Planted(np.repeat(column, 100, axis=1), 40))
    assert same.numbers["asymmetry_max"] == pytest.approx(2)
    assert same.numbers["asymmetry_noise"] == pytest.approx(2)
    # Independent ones with no common sign: A is some 1 / sqrt(entries).
    apart = run("means", normal(2000))
    assert apart.numbers["asymmetry_max"] < 2 * apart.numbers["asymmetry_noise"] < 0.3


def test_the_band_of_the_centred_share_is_its_spread_over_new_examples():
    # Bands of the share in the examples at hand, against shares in really new examples.
    shares = [
        run("means", normal(60, rows=40, seed=seed), num_replicates=19).numbers["centred_share_end"]
        for seed in range(40)
    ]
    band = run("means", normal(60, rows=40), num_replicates=400).numbers["centred_share_band_max"]
    # The standard deviation of 40 values is known to a ninth; a resample has twice the variance of
    # the mean, so its ratios are wider and its shares lie elsewhere: a factor of two either way.
    assert np.std(shares) / 2 < band < 2 * np.std(shares)


def test_correlations_are_those_over_all_examples():
    checkpoints = empty(12), normal(12), normal(12, seed=1), empty(12)
    result = run("correlations", *checkpoints)
    for when, planted in (("start", checkpoints[1]), ("end", checkpoints[2])):
        expected = np.corrcoef(planted.everything[:, :10].T)
        # Sums of 40 terms.
        np.testing.assert_allclose(result.arrays[when], expected, atol=1e-13)
        pairs = np.abs(expected[~np.eye(10, dtype=bool)])
        assert result.numbers[f"mean_{when}"] == pytest.approx(pairs.mean(), rel=1e-12)
        assert result.numbers[f"strong_share_{when}"] == pytest.approx((pairs > 0.3).mean())
    assert result.numbers["end_epoch"] == 20
    assert result.numbers["num_active_end"] == 30
    growth = result.numbers["mean_end"] - result.numbers["mean_start"]
    assert result.numbers["mean_growth"] == growth


def test_the_null_of_correlations_keeps_what_being_outside_the_margin_does():
    # Positive values inside, zero outside: correlated by that alone.
    values = np.random.default_rng(0).uniform(0.9, 1.1, size=(20, 10))
    result = run("correlations", Planted(values, 40))
    assert result.numbers["mean_start"] > 0.95
    assert result.numbers["null_mean_start"] == pytest.approx(
        result.numbers["mean_start"], abs=0.01
    )
    # One common factor among those inside: it is not in the null.
    common = np.random.default_rng(1).normal(size=(40, 1)) + 0.1 * values.repeat(2, axis=0)
    result = run("correlations", Planted(common, 40))
    assert result.numbers["mean_start"] > 0.9
    assert result.numbers["null_mean_start"] < 0.3


def coupled(rows=60):
    """Ten entries of which the first three share what they fluctuate with."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(rows, 10))
    values[:, :3] += 5 * generator.normal(size=(rows, 1))
    return Planted(values, rows)


def test_coupling_grows_where_entries_become_dependent():
    many = {"false_discovery_rate": 0.2, "num_permutations": 300}
    alone = normal(10, rows=60, num_examples=60)
    result = run("coupling", alone, coupled(), empty(10, 60), **many)
    arrays, numbers = result.arrays, result.numbers
    assert arrays["num_live"].tolist() == [10, 10, 0]
    assert numbers["end_epoch"] == 10
    # Three of ten entries with two of nine others each, and at most a fifth of all found by chance.
    assert 6 / 90 <= numbers["covariance_relative_size_end"] <= 8 / 90
    assert numbers["covariance_relative_size_start"] <= 2 / 90
    assert numbers["covariance_exponent_growth"] > 0
    number = 100 * 101 / 2
    assert numbers["log10_num_entries"] == pytest.approx(np.log10(number))
    size = 1 + arrays["covariance_relative_size"][1] * (number - 1)
    # The mean of the entries' sizes as an exponent of all.
    assert arrays["covariance_exponent"][1] == pytest.approx(np.log(size) / np.log(number))
    for name, values in arrays.items():
        if name.endswith(("size", "exponent", "band")):
            assert np.isnan(values).tolist() == [False, False, True], name


@pytest.mark.parametrize(("name", "saved"), [("coupling", 4), ("equal_coupling", 5)])
def test_interrupted_couplings_continue_with_the_same_bytes(name, saved):
    checkpoints = normal(10), empty(10), normal(10, seed=1), normal(10, rows=5)
    whole = Memory()
    expected = run(name, *checkpoints, progress=whole)
    assert whole.num_saves == saved
    assert_continues(lambda progress: run(name, *checkpoints, progress=progress), expected, whole)


def test_being_zero_for_the_same_examples_is_coupling_unless_only_the_others_are_permuted():
    # Independent values of 40 examples, zero for the other 360: no covariance, but squares that are
    # large together, an excess cokurtosis of 1 / 0.1 - 1.
    masked = normal(10, rows=40, num_examples=400)
    many = {"false_discovery_rate": 0.2, "num_permutations": 300}
    found = run("coupling", masked, permuted="all", **many).numbers
    assert found["cokurtosis_relative_size_start"] > 0.9
    found = run("coupling", masked, permuted="active", **many).numbers
    # At most a fifth of what is found is found by chance; here all of it would be.
    assert found["cokurtosis_relative_size_start"] <= 2 / 90


@pytest.mark.parametrize("name", ON_ENTRIES)
def test_a_single_active_example_is_a_law_too(name):
    lonely = Planted(np.array([[1.0, -2, 0.5, 3]]), 40)
    result = run(name, normal(4), lonely)
    assert not result.missing or name == "equal_coupling"  # which takes no such checkpoint
    if name == "means":
        # One of 40: mean v/40, standard deviation v sqrt(39)/40.
        assert result.arrays["centred_share"][1] == 0
    if name == "correlations":
        np.testing.assert_allclose(np.abs(result.arrays["end"]), 1, atol=1e-12)


@pytest.mark.parametrize("name", ON_ENTRIES)
def test_one_live_entry_has_no_pairs_and_nobody_claims_so(name):
    result = run(name, normal(1), normal(1, seed=1))
    if name in ("laws", "means"):
        assert not result.missing
    else:
        assert all("no two entries" in reason for reason in result.missing.values())
        assert {*result.numbers} <= KNOWN


@pytest.mark.parametrize("name", ON_ENTRIES)
def test_results_depend_on_the_seed_alone(name):
    one, again, other = (run(name, coupled(), seed=seed) for seed in (1, 1, 2))
    assert one.numbers == again.numbers
    for key, values in one.arrays.items():
        assert values.tobytes() == again.arrays[key].tobytes()
    assert one.numbers != other.numbers or name == "coupling"
