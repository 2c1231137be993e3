"""Cyclical against monotone: the triangle, who was first, and equal conditions."""

from dataclasses import replace

import numpy as np
import pytest

from ssbrepro.contract import Context
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018 import residual_networks
from ssbrepro.papers.ssb2018 import residual_networks as networks
from ssbrepro.papers.ssb2018.residual_networks import learn
from ssbrepro.papers.ssb2018.stages.cyclical import Parameters as CyclicalParameters
from ssbrepro.papers.ssb2018.stages.cyclical import Triangle, epochs_until
from tests.oracles.images import random_images

PARAMETERS = CyclicalParameters(
    num_networks=2,
    num_examples=6,
    channels=1,
    num_units=1,
    branch_scale=0.5,
    step_size=0.5,
    momentum=0.9,
    batch_size=3,
    num_epochs=4,
    cut_epochs=(2, 3),
    cut_factor=0.5,
    low_step_size=0.25,
    high_step_size=1.0,
    cycle_length=4,
    loss_threshold=0.5,
)


@pytest.fixture
def context(monkeypatch, tmp_path):
    monkeypatch.setattr(networks, "load_classes", random_images)
    return Context(seed=0, device="cpu", data_root=tmp_path)


def test_the_triangle_goes_up_and_down():
    triangle = Triangle(0.25, 1.25, 4)
    # Quarters: exact in binary.
    assert [triangle.at(time) for time in (0, 1, 1.5, 2, 3, 4, 6, 7.5)] == [
        0.25, 0.75, 1.0, 1.25, 0.75, 0.25, 1.25, 0.5,
    ]  # fmt: skip


def test_the_first_epoch_at_the_threshold_counts():
    loss = np.array([[2, 0.5, 3, 0.1], [2, 0.6, 0.51, 0.4], [2, 2, 2, 0.6], [0.1, 1, 1, 1]])
    received = epochs_until(loss, 0.5)
    assert received[:2].tolist() == [1, 3]
    assert np.isnan(received[2])
    assert received[3] == 0


def run(monkeypatch, context, cyclical_losses, monotone_losses):
    """Trainings made by hand in the place of real ones, told apart by the step size at the start."""

    def learn(parameters, inputs, labels, network, seed, step_size, progress):
        if step_size(0) == 0.25:
            assert [step_size(time) for time in (1, 2, 3)] == [0.625, 1, 0.625]
            return {"loss": np.array(cyclical_losses[network])}
        assert [step_size(time) for time in (0, 1.9, 2, 3)] == [0.5, 0.5, 0.25, 0.125]
        return {"loss": np.array(monotone_losses[network])}

    monkeypatch.setattr(residual_networks, "learn", learn)
    number = len(cyclical_losses)
    return stage("ssb2018/cyclical").run(replace(PARAMETERS, num_networks=number), context)


FAST, SLOW, NEVER = [2.0, 0.4, 1.0, 1.0, 0.3], [2.0, 1.0, 1.0, 0.5, 0.2], [2.0, 1.0, 1.0, 1.0, 1.0]


def test_a_tie_and_a_pair_that_never_arrives_are_not_first(monkeypatch, context):
    result = run(
        monkeypatch,
        context,
        [FAST, SLOW, NEVER, FAST, NEVER, FAST],
        [SLOW, FAST, FAST, NEVER, NEVER, FAST],
    )
    assert result.numbers == {
        "first_share": 2 / 6,
        "cyclical_epochs_median": 1,
        "monotone_epochs_median": 1,
        "num_cyclical_unreached": 2,
        "num_monotone_unreached": 2,
        "cyclical_loss_median": 0.3,
        "monotone_loss_median": 0.3,
    }
    assert not result.missing
    np.testing.assert_array_equal(result.arrays["cyclical_epochs"], [1, 3, np.nan, 1, np.nan, 1])
    np.testing.assert_array_equal(result.arrays["monotone_epochs"], [3, 1, 1, np.nan, np.nan, 1])


def test_a_schedule_that_never_arrives_has_no_median(monkeypatch, context):
    result = run(monkeypatch, context, [FAST, SLOW], [NEVER, NEVER])
    assert set(result.missing) == {"monotone_epochs_median"}
    assert result.numbers["first_share"] == 1
    assert result.numbers["cyclical_epochs_median"] == 2
    assert result.numbers["num_monotone_unreached"] == 2
    result = run(monkeypatch, context, [NEVER, NEVER], [NEVER, NEVER])
    assert set(result.missing) == {"cyclical_epochs_median", "monotone_epochs_median"}
    assert result.numbers["first_share"] == 0


def test_both_networks_of_a_pair_are_trained_alike_but_for_the_step_size(context):
    same = replace(
        PARAMETERS, step_size=0.05, cut_factor=0.5, low_step_size=0.01, high_step_size=0.09
    )
    result = stage("ssb2018/cyclical").run(same, context)
    inputs, labels = networks.images(same, context)
    arrays = result.arrays
    for network in range(2):
        for name, step_size in (
            ("cyclical", Triangle(0.01, 0.09, 4).at),
            ("monotone", lambda time: 0.05 * 0.5 ** ((time >= 2) + (time >= 3))),
        ):
            expected = learn(same, inputs, labels, network, 0, step_size)["loss"]
            assert np.array_equal(arrays[f"{name}_loss"][network], expected)
    assert arrays["cyclical_loss"].shape == arrays["monotone_loss"].shape == (2, 5)
    assert not np.array_equal(arrays["cyclical_loss"], arrays["monotone_loss"])
    # The drawn step sizes are those used, ten an epoch.
    assert arrays["time"][::10].tolist() == [0, 1, 2, 3]
    assert arrays["cyclical_step_size"][::10] == pytest.approx([0.01, 0.05, 0.09, 0.05], rel=1e-12)
    assert arrays["monotone_step_size"][::10].tolist() == [0.05, 0.05, 0.025, 0.0125]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low_step_size": 1.0}, "low_step_size 1.0 must be below high_step_size 1.0"),
        ({"cut_epochs": (3, 2)}, "must be ascending"),
        ({"cut_epochs": (2, 2)}, "must be ascending"),
        ({"cut_epochs": (2, 4)}, "below num_epochs 4"),
    ],
)
def test_an_impossible_schedule_is_an_error(context, changes, message):
    with pytest.raises(ValueError, match=message):
        stage("ssb2018/cyclical").run(replace(PARAMETERS, **changes), context)
