"""Networks too small for their labels: the same labels, and bits against weights."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ssbrepro.contract import Context, Input
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018 import residual_networks
from ssbrepro.papers.ssb2018.stages.random_labels import Parameters as RandomLabelsParameters
from ssbrepro.papers.ssb2018.stages.small_networks import Parameters
from tests.oracles.images import random_images

LARGE = RandomLabelsParameters(
    num_networks=2,
    num_examples=6,
    channels=2,
    num_units=2,
    branch_scale=0.25,
    step_size=0.05,
    momentum=0.9,
    batch_size=3,
    num_epochs=2,
    cut_epoch=1,
    cut_factor=0.1,
)


@pytest.fixture
def context(monkeypatch, tmp_path):
    monkeypatch.setattr(residual_networks, "load_classes", random_images)
    return Context(0, "cpu", tmp_path, {"random_labels": Input(LARGE, {})})


def test_only_the_networks_differ(context):
    small = stage("ssb2018/small_networks").run(Parameters(1, 1, 0.5), context)
    random_labels = stage("ssb2018/random_labels")
    expected = random_labels.run(replace(LARGE, channels=1, num_units=1, branch_scale=0.5), context)
    for name, values in expected.arrays.items():
        np.testing.assert_array_equal(small.arrays[name], values)
    np.testing.assert_array_equal(
        small.arrays["labels"], random_labels.run(LARGE, context).arrays["labels"]
    )
    # 3x3 convolutions from 3 to 1, 1 to 2 and 2 to 4 channels, two a group that keep them; 4 to 10.
    num_weights = 9 * (3 + 2 + 8) + 2 * 9 * (1 + 4 + 16) + 40
    assert small.numbers == {
        **expected.numbers, "bits_per_weight": 6 * math.log2(10) / num_weights,
    }  # fmt: skip


def test_the_smallest_network_cannot_keep_more_labels_than_it_has_room_for(context):
    crowded = replace(LARGE, num_examples=400, batch_size=40)
    context = replace(context, inputs={"random_labels": Input(crowded, {})})
    numbers = stage("ssb2018/small_networks").run(Parameters(1, 1, 0.5), context).numbers
    assert numbers["bits_per_weight"] > 2
    assert numbers["zero_error_share"] == 0
