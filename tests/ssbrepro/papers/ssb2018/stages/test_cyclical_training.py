"""Cyclical against monotone trainings: the triangle, and equal conditions."""

from dataclasses import replace

import numpy as np
import pytest

from ssbrepro.contract import Context
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018 import residual_networks as networks
from ssbrepro.papers.ssb2018.residual_networks import learn
from ssbrepro.papers.ssb2018.stages.cyclical_training import Parameters, Triangle
from tests.oracles.images import random_images

PARAMETERS = Parameters(
    num_networks=2,
    num_examples=6,
    channels=1,
    num_units=1,
    branch_scale=0.5,
    step_size=0.05,
    momentum=0.9,
    batch_size=3,
    num_epochs=4,
    cut_epochs=(2, 3),
    cut_factor=0.5,
    low_step_size=0.01,
    high_step_size=0.09,
    cycle_length=4,
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


def test_both_networks_of_a_pair_are_trained_alike_but_for_the_step_size(context):
    result = stage("ssb2018/cyclical_training").run(PARAMETERS, context)
    inputs, labels = networks.images(PARAMETERS, context)
    arrays = result.arrays
    for name, step_size in (
        ("cyclical", Triangle(0.01, 0.09, 4).at),
        ("monotone", lambda time: 0.05 * 0.5 ** ((time >= 2) + (time >= 3))),
    ):
        for network in range(2):
            expected = learn(PARAMETERS, inputs, labels, network, 0, step_size)["loss"]
            assert np.array_equal(arrays[f"{name}_loss"][network], expected)
        assert result.numbers[f"{name}_final_loss_max"] == arrays[f"{name}_loss"][:, 4].max()
    assert arrays["cyclical_loss"].shape == arrays["monotone_loss"].shape == (2, 5)
    assert not np.array_equal(arrays["cyclical_loss"], arrays["monotone_loss"])
    assert arrays["epoch"].tolist() == [0, 1, 2, 3, 4]
    # The drawn step sizes are those used, ten an epoch.
    assert arrays["time"][::10].tolist() == [0, 1, 2, 3]
    assert arrays["cyclical_step_size"][::10] == pytest.approx([0.01, 0.05, 0.09, 0.05], rel=1e-12)
    assert arrays["monotone_step_size"][::10].tolist() == [0.05, 0.05, 0.025, 0.0125]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low_step_size": 0.09}, "low_step_size 0.09 must be below high_step_size 0.09"),
        ({"cut_epochs": (3, 2)}, "must be ascending"),
        ({"cut_epochs": (2, 2)}, "must be ascending"),
        ({"cut_epochs": (2, 4)}, "below num_epochs 4"),
    ],
)
def test_an_impossible_schedule_is_an_error(context, changes, message):
    with pytest.raises(ValueError, match=message):
        stage("ssb2018/cyclical_training").run(replace(PARAMETERS, **changes), context)
