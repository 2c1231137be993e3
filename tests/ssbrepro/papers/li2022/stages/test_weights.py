"""The stage ``weights`` on weights whose laws were chosen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import skew

from ssbrepro.contract import Context, Input
from ssbrepro.networks import vgg12
from ssbrepro.papers import stage
from ssbrepro.papers.li2022.stages.weights import Parameters as WeightsParameters
from ssbrepro.statistics.symmetry import reflection_asymmetry, sign_flip_test
from tests.oracles.trainings import TINY

TRAINING = replace(TINY, num_epochs=9, checkpoint_epochs=(0, 4, 9))
SIZES = [weight.numel() for weight in vgg12(1 / 32).parameters()]
LAWS = ("asymmetry", "skewness", "positive_share")
WEIGHTS = WeightsParameters(symmetric_below=0.25, num_draws=39, num_bins=41, kernel_width=0.05)


def measure(weights, parameters=WEIGHTS):
    arrays = {
        "checkpoint_epoch": np.array([0, 4, 9]),
        "checkpoint_weights": np.asarray(weights, dtype=np.float32),
    }
    inputs = {"training": Input(TRAINING, arrays)}
    context = Context(seed=0, device="cpu", data_root=Path("unused"), inputs=inputs)
    return stage("li2022/weights").run(parameters, context)


def mirrored():
    """Weights of which every layer is exactly its own mirror image, (dim,)."""
    generator = np.random.default_rng(0)
    halves = [generator.normal(size=size // 2) for size in SIZES]
    return np.concatenate([np.concatenate([half, -half]) for half in halves])


def random():
    return np.random.default_rng(1).normal(size=(3, sum(SIZES))) + 0.1


def layer(weights, index):
    end = sum(SIZES[: index + 1])
    return weights[..., end - SIZES[index] : end]


@pytest.fixture(scope="module")
def measured():
    return measure(random())


def test_mirrored_weights_are_symmetric_and_one_signed_ones_are_not():
    weights = mirrored()
    result = measure([weights, np.abs(weights), np.abs(weights)])
    assert result.arrays["layer_sizes"].tolist() == SIZES
    assert result.arrays["epoch"].tolist() == [0, 4, 9]
    assert (result.arrays["asymmetry"][:, 0] == 0).all()
    # Sums of at most 2304 terms.
    np.testing.assert_allclose(result.arrays["asymmetry"][:, 1:], 2, rtol=1e-12)
    assert (result.arrays["positive_share"][:, 0] == 0.5).all()
    assert (result.arrays["positive_share"][:, 1:] == 1).all()
    assert result.numbers["symmetric_share"] == pytest.approx(1 / 3, rel=1e-15)
    assert result.numbers["asymmetry_start"] == 0
    for name in ("asymmetry_max", "asymmetry_end", "asymmetry_growth"):
        assert result.numbers[name] == pytest.approx(2, rel=1e-12)


def test_positive_weights_are_the_control_and_random_signs_the_noise():
    numbers = measure(random()).numbers
    assert numbers["symmetric_share_control"] == 0
    assert numbers["asymmetry_index_control"] == pytest.approx(1, rel=1e-12)
    assert 0 < numbers["asymmetry_index_noise"] < 0.05
    # Shifted by a tenth of the standard deviation, as many weights hold far better than by chance.
    assert numbers["asymmetry_index_noise"] < numbers["asymmetry_index_max"] < 0.25
    broken = measure(np.abs(random())).numbers
    assert broken["asymmetry_index_max"] == pytest.approx(1, rel=1e-12)


def test_the_index_counts_a_layer_as_often_as_it_has_weights():
    for broken in (11, 8):  # 16 weights of some ten thousand; a quarter of all
        weights = np.stack([mirrored()] * 3)
        layer(weights, broken)[:] = np.abs(layer(weights, broken))
        result = measure(weights)
        assert result.numbers["asymmetry_max"] == pytest.approx(2, rel=1e-12)
        mean = 2 * SIZES[broken] / sum(SIZES)  # all other layers have exactly 0
        intact = np.median(result.arrays["mean_flips"], axis=0)[0]
        expected = (mean - intact) / (2 - intact)
        # The sign patterns are the same at all three checkpoints, which are alike.
        assert result.numbers["asymmetry_index_max"] == pytest.approx(expected, rel=1e-6)


def test_growth_is_told_from_what_symmetric_weights_do_by_chance():
    start = mirrored()
    shifted = measure([start, start + 0.2, start + 0.5]).numbers
    assert shifted["growth_excess"] > 0.1
    assert shifted["growth_excess_control"] < 0
    still = measure(random()).numbers
    assert still["asymmetry_growth_control"] > 1e-12  # the claim's bound, met by chance alone


def test_every_layer_and_checkpoint_has_its_own_law(measured):
    weights = random().astype(np.float32)
    for index in range(12):
        for checkpoint, values in enumerate(layer(weights, index)):
            # The same operations on the same values; float32 weights, float64 sums.
            received = {name: measured.arrays[name][index, checkpoint] for name in LAWS}
            assert received["asymmetry"] == pytest.approx(reflection_asymmetry(values), rel=1e-12)
            assert received["skewness"] == pytest.approx(skew(values.astype(float)), rel=1e-9)
            assert received["positive_share"] == np.count_nonzero(values > 0) / SIZES[index]


def test_each_layer_has_one_axis_that_holds_all_its_checkpoints(measured):
    weights = random().astype(np.float32)
    assert measured.arrays["histogram"].shape == (12, 3, 41)
    for index in range(12):
        edges = measured.arrays["edges"][index]
        # Three kernel widths beyond the largest weight: 6 * 0.05 of it, as the axis has two sides.
        assert edges[-1] == pytest.approx(1.3 * np.abs(layer(weights, index)).max(), rel=1e-6)
    # Sums over 41 bins.
    np.testing.assert_allclose(measured.arrays["histogram"].mean(axis=-1), 1, rtol=1e-12)


def test_a_weight_that_turns_is_flipped_as_a_whole():
    # Half of the weights turn between the checkpoints, all magnitudes stay: one random sign for each
    # magnitude instead of one flip for each course would give no growth at all.
    weights = mirrored()
    result = measure([weights, np.abs(weights), np.abs(weights)])
    assert result.numbers["asymmetry_growth_noise"] < 0


def test_weights_that_stay_have_neither_grown_asymmetric_nor_could_by_chance():
    # Holds only because a weight is flipped at all checkpoints or at none.
    result = measure(np.tile(random()[0], (3, 1)))
    assert result.numbers["asymmetry_growth"] == 0
    assert result.numbers["asymmetry_growth_noise"] == 0


def test_chance_alone_gives_the_growth_it_gives():
    # Independent checkpoints: the growth under random flips is symmetric around zero, and its 5 %
    # quantile negative, of the size of the asymmetries of the smallest layers.
    result = measure(random())
    assert -0.3 < result.numbers["asymmetry_growth_noise"] < -0.005


@pytest.mark.parametrize(("bound", "share"), [(2.1, 1.0), (1e-9, 0.0)])
def test_the_bound_decides_what_is_symmetric(bound, share):
    parameters = WeightsParameters(bound, 19, 5, 0.1)
    numbers = measure(random(), parameters).numbers
    assert numbers["symmetric_share"] == numbers["symmetric_share_noise"] == share


def test_symmetric_weights_fall_as_far_as_the_noise_says():
    # Fresh random signs of the same magnitudes: a share below the 5 % quantile is rare. Of twelve, four
    # or more fall below it with a probability of 0.2 %, at 39 patterns a little more often.
    generator = np.random.default_rng(2)
    magnitudes = np.abs(random())
    below = 0
    for _ in range(12):
        signs = generator.choice([-1.0, 1.0], sum(SIZES))
        numbers = measure(signs * magnitudes).numbers
        below += numbers["symmetric_share"] < numbers["symmetric_share_noise"]
    assert below < 4


def test_the_noise_of_a_layer_is_that_of_random_flips(measured):
    weights = random().astype(np.float32)
    for index in (0, 4, 11):
        for checkpoint, values in enumerate(layer(weights, index)):
            _, expected = sign_flip_test(values, np.random.default_rng(0), 999)
            # The second largest or so of 39 patterns: some 20 % of such a law's 95 % quantile.
            noise = measured.arrays["noise_95"][index, checkpoint]
            assert noise == pytest.approx(expected, rel=0.5)


def test_a_layer_of_zeros_leaves_every_number_missing_and_says_where():
    weights = random()
    layer(weights, 3)[1] = 0
    result = measure(weights)
    assert not result.numbers
    assert set(result.missing) == set(stage("li2022/weights").numbers)
    assert set(result.missing.values()) == {"the weights of layer 4 are all zero at epoch 4"}
    for name in (*LAWS, "noise_95"):
        assert np.argwhere(np.isnan(result.arrays[name])).tolist() == [[3, 1]]
    assert np.isfinite(result.arrays["histogram"]).all()


def test_the_weights_are_left_as_they_were():
    weights = random().astype(np.float32)
    before = weights.copy()
    measure(weights)
    assert np.array_equal(weights, before)
