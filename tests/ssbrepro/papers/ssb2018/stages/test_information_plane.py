"""Information of layers: closed forms, inequalities, and what changes nothing."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssbrepro.contract import Context, Input
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018.stages.information_plane import (
    Parameters as InformationPlaneParameters,
)
from ssbrepro.papers.ssb2018.stages.information_plane import binned, information, states
from ssbrepro.papers.ssb2018.stages.tishby_training import Parameters as TishbyTrainingParameters
from ssbrepro.papers.ssb2018.tanh_networks import TanhNetworks
from ssbrepro.papers.ssb2018.twelve_bit_task import (
    binary_entropy,
    label_information,
    twelve_bit_task,
)

SIZES = (12, 4, 3, 2)
FEW = settings(max_examples=25)
ROUNDING = 1e-12  # sums of at most 4096 terms of at most a few bits

laws = st.integers(1, 60).flatmap(
    lambda number: st.tuples(
        st.lists(st.integers(0, 9), min_size=number, max_size=number),
        st.lists(st.floats(0, 1), min_size=number, max_size=number),
    )
)


def from_joint_law(state, probability):
    """I(X;T) and I(T;Y) by their definition, from the joint laws."""
    joint = np.zeros((state.max() + 1, 2))
    for t, one in zip(state, probability, strict=True):
        joint[t] += np.array([1 - one, one]) / len(state)
    of_states, of_labels = joint.sum(axis=1), joint.sum(axis=0)
    about_label = sum(
        p * np.log2(p / (of_states[t] * of_labels[y]))
        for (t, y), p in np.ndenumerate(joint)
        if p > 0
    )
    about_input = sum(np.log2(1 / of_states[t]) / len(state) for t in state)
    return about_input, about_label


def test_a_layer_equal_to_the_label_knows_all_of_it_and_no_more():
    label = np.array([0, 1, 1, 0])
    assert information(label, label.astype(float)) == pytest.approx((1, 1), abs=ROUNDING)


def test_a_constant_layer_knows_nothing():
    known = information(np.zeros(4, dtype=int), np.array([0.0, 1.0, 0.3, 0.2]))
    assert known == pytest.approx((0, 0), abs=ROUNDING)


def test_an_injective_layer_knows_all_patterns_and_what_they_know():
    task = twelve_bit_task((0, 1, 3, 4), 0.99)
    about_input, about_label = information(np.arange(4096), task.label_probability)
    assert about_input == pytest.approx(12, abs=ROUNDING)
    assert about_label == pytest.approx(0.99, abs=1e-9)  # as well as the task's gain is solved


def test_exclusive_or_by_hand():
    bits = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    label = (bits[:, 0] ^ bits[:, 1]).astype(float)
    both = bits.sum(axis=1)  # 0, 1, 1, 2: one and a half bits
    for state, expected in (
        (bits[:, 0], (1, 0)),  # either bit alone knows nothing
        (bits[:, 1], (1, 0)),
        (states(bits), (2, 1)),
        (both, (1.5, 1)),
    ):
        assert information(state, label) == pytest.approx(expected, abs=ROUNDING)


def test_unequal_states_by_hand():
    # T = 0 for one pattern of four. Y is 1 for it and for one of the others.
    state, label = np.array([0, 1, 1, 1]), np.array([1.0, 1.0, 0.0, 0.0])
    about_input, about_label = information(state, label)
    assert about_input == pytest.approx(2 - 0.75 * np.log2(3), abs=ROUNDING)
    assert about_label == pytest.approx(1 - 0.75 * binary_entropy(np.array(1 / 3)), abs=ROUNDING)


@FEW
@given(law=laws)
def test_information_is_that_of_the_joint_law(law):
    state, probability = np.array(law[0]), np.array(law[1])
    expected = from_joint_law(state, probability)
    assert information(state, probability) == pytest.approx(expected, abs=ROUNDING)


@FEW
@given(law=laws)
def test_a_layer_knows_no_more_of_the_label_than_it_or_the_pattern_does(law):
    state, probability = np.array(law[0]), np.array(law[1])
    about_input, about_label = information(state, probability)
    assert 0 <= about_label <= about_input + ROUNDING
    assert about_label <= label_information(probability) + ROUNDING
    assert about_input <= np.log2(len(set(law[0]))) + ROUNDING


@FEW
@given(law=laws, merged=st.lists(st.integers(0, 4), min_size=10, max_size=10))
def test_a_function_of_a_layer_knows_no_more_than_the_layer(law, merged):
    state, probability = np.array(law[0]), np.array(law[1])
    before = information(state, probability)
    after = information(np.array(merged)[state], probability)
    assert after[0] <= before[0] + ROUNDING
    assert after[1] <= before[1] + ROUNDING


@FEW
@given(law=laws, seed=st.integers(0, 99))
def test_orders_and_names_do_not_matter(law, seed):
    state, probability = np.array(law[0]), np.array(law[1])
    generator = np.random.default_rng(seed)
    order, names = generator.permutation(len(state)), generator.permutation(10)
    expected = information(state, probability)
    received = information(names[state][order], probability[order])
    assert received == pytest.approx(expected, abs=ROUNDING)


@FEW
@given(
    bins=st.integers(1, 6).flatmap(
        lambda units: st.lists(
            st.tuples(*[st.integers(0, 29)] * units), min_size=1, max_size=40
        )
    )
)  # fmt: skip
def test_states_are_the_different_rows(bins):
    numbers = states(np.array(bins))
    assert len(set(numbers)) == len(set(bins))
    assert len(set(zip(numbers, bins, strict=True))) == len(set(bins))
    assert set(numbers) == set(range(len(set(bins))))


def test_many_units_do_not_overflow():
    bins = np.zeros((3, 40), dtype=np.int64)  # 30^40 states, were they all there
    bins[1, 0] = bins[2, -1] = 29
    assert len(set(states(bins))) == 3


def test_bins_are_equal_and_closed_at_the_top():
    activities = np.array([-1.0, -0.51, -0.5, -1e-9, 0.0, 0.49, 0.5, 1.0])
    assert binned(activities, -1, 1, 4).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert binned(np.array([0.0, 0.24, 0.25, 1.0]), 0, 1, 4).tolist() == [0, 0, 1, 3]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1.001, -1.001])
def test_activities_that_cannot_be_binned_are_refused(bad):
    with pytest.raises(ValueError, match=r"outside \[-1, 1\] or not finite"):
        binned(np.array([0.0, bad]), -1, 1, 30)


def plane(weights, num_bins=30, informed_above=0.9):
    """The stage on networks with given weights, (networks, checkpoints, dim)."""
    task = twelve_bit_task((0, 1, 3, 4), 0.99)
    training = TishbyTrainingParameters(
        num_networks=len(weights), layer_sizes=SIZES, degrees=(0, 1, 3, 4), label_information=0.99,
        train_share=0.85, step_size=0.1, momentum=0.0, batch_size=256, num_epochs=5,
        num_checkpoints=weights.shape[1],
    )  # fmt: skip
    arrays = {
        "checkpoint_epoch": np.arange(weights.shape[1]),
        "checkpoint_weights": weights.astype(np.float32),
        "patterns": task.patterns,
        "label_probability": task.label_probability,
    }
    inputs = {"tishby_training": Input(training, arrays)}
    context = Context(0, "cpu", Path("unused"), inputs)
    parameters = InformationPlaneParameters(num_bins=num_bins, informed_above=informed_above)
    return stage("ssb2018/information_plane").run(parameters, context), task


def dim():
    return sum(TanhNetworks(SIZES, 1, seed=0).layer_dims)


def test_networks_without_weights_know_nothing():
    result, _ = plane(np.zeros((2, 2, dim())))
    assert np.abs(result.arrays["input_information"]).max() < ROUNDING
    assert np.abs(result.arrays["label_information"]).max() < ROUNDING
    assert result.arrays["layer_units"].tolist() == [4, 3, 1]
    assert result.numbers["informed_share"] == 0


def test_the_numbers_are_those_of_networks_made_by_hand():
    weights = np.zeros((2, 2, dim()))
    first, second, third = np.split(
        weights, np.cumsum(TanhNetworks(SIZES, 1, 0).layer_dims)[:-1], 2
    )
    # Of both networks at the start and of the first at the end, the unit 0 of the first layer is the
    # sign of bit 0, handed on with no loss; the second network ends with the sum of all signs.
    first[:, 0, 0 * 4 + 0] = first[0, 1, 0 * 4 + 0] = 5.0
    first[1, 1, np.arange(12) * 4 + 0] = 0.25  # exact, so that no sum lies beside the end of a bin
    second[..., 0 * 3 + 0] = 5.0
    third[..., 0 * 2 + 1] = 5.0
    result, task = plane(weights)
    received = result.arrays["input_information"]
    assert received.shape == (2, 3, 2)
    # One bit of the pattern, half of the patterns each; binning loses nothing of two states.
    np.testing.assert_allclose(received[:, :, 0], 1, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(received[0, :, 1], 1, rtol=0, atol=ROUNDING)
    number = task.patterns.sum(axis=1).astype(int)
    bit = task.patterns[:, 0].astype(int)
    # The sum is (n - 6) / 2 for n points. Its tanh is 0.905 at n = 9 and 0.964 at n = 10, beyond 0.933
    # where the last of 30 bins begins; the others are further apart than a bin.
    expected = information(np.clip(number, 2, 10), task.label_probability)
    assert received[1, 0, 1] == pytest.approx(expected[0], abs=ROUNDING)
    about_label = result.arrays["label_information"][1, 0, 1]
    assert about_label == pytest.approx(expected[1], abs=ROUNDING)
    about_bit = information(bit, task.label_probability)[1]
    numbers = result.numbers
    assert numbers["label_information_first_start"] == pytest.approx(about_bit, abs=ROUNDING)
    assert numbers["label_information_last_start"] == pytest.approx(about_bit, abs=ROUNDING)
    assert numbers["label_information_worst"] == pytest.approx(about_bit, abs=ROUNDING)
    assert numbers["untrained_label_information_min"] == pytest.approx(about_bit, abs=ROUNDING)
    assert numbers["num_layers_without_power"] == 0
    low, _ = plane(weights, informed_above=about_bit / 2)
    assert low.numbers["num_layers_without_power"] == low.arrays["without_power"].sum() == 3
    ends = result.arrays["label_information"][:, :, -1]
    assert numbers["label_information_first"] == pytest.approx(ends[:, 0].mean(), abs=ROUNDING)
    assert numbers["label_information_min"] == pytest.approx(
        np.median(ends, axis=0).min(), abs=ROUNDING
    )
    # The median rises in the first layer and may fall in others.
    medians = result.arrays["input_median"]
    assert numbers["input_information_fall_max"] == (medians.max(axis=1) - medians[:, -1]).max()


def test_the_share_of_informed_layers_counts_networks_and_layers():
    weights = np.zeros((2, 1, dim()))
    first, second, third = np.split(
        weights, np.cumsum(TanhNetworks(SIZES, 1, 0).layer_dims)[:-1], 2
    )
    first[0, 0, np.arange(12) * 4] = 0.2
    second[0, 0, 0] = third[0, 0, 1] = 1.0
    result, _ = plane(weights, informed_above=0.3)
    assert (result.arrays["label_information"][0] > 0.3).all()
    assert result.numbers["informed_share"] == 0.5
    assert result.numbers["label_information_worst"] < ROUNDING


def test_finer_bins_know_more():
    generator = np.random.default_rng(0)
    weights = generator.standard_normal((2, 1, dim()))
    # 60 bins divide each of 30 in two.
    coarse, fine = (plane(weights, num_bins)[0].arrays for num_bins in (30, 60))
    for name in ("input_information", "label_information"):
        assert (fine[name] >= coarse[name] - ROUNDING).all()
    assert (fine["input_information"] > coarse["input_information"]).any()
