"""Training on random labels: the labels, and the numbers of histories made by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from ssbrepro.contract import Context
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018 import residual_networks
from ssbrepro.papers.ssb2018 import residual_networks as networks
from ssbrepro.papers.ssb2018.residual_networks import learn
from ssbrepro.papers.ssb2018.stages.random_labels import Parameters as RandomLabelsParameters
from ssbrepro.training.descent import Schedule
from tests.oracles.images import random_images

PARAMETERS = RandomLabelsParameters(
    num_networks=2,
    num_examples=6,
    channels=2,
    num_units=1,
    branch_scale=0.5,
    step_size=0.05,
    momentum=0.9,
    batch_size=3,
    num_epochs=4,
    cut_epoch=3,
    cut_factor=0.1,
)


@pytest.fixture
def context(monkeypatch, tmp_path):
    monkeypatch.setattr(networks, "load_classes", random_images)
    return Context(seed=0, device="cpu", data_root=tmp_path)


@pytest.fixture
def histories(monkeypatch):
    """Trainings made by hand in the place of real ones; the labels each was given."""
    given = []
    accuracies = {}

    def learn(parameters, inputs, labels, network, seed, step_size, progress):
        given.append(labels.numpy())
        assert [step_size(time) for time in (0, 2.9, 3)] == [0.05, 0.05, 0.05 * 0.1]
        accuracy = np.array(accuracies[network])
        return {"accuracy": accuracy, "loss": 2 * (1 - accuracy)}

    monkeypatch.setattr(residual_networks, "learn", learn)
    return given, accuracies


def test_the_first_epoch_without_an_error_is_counted(context, histories):
    _, accuracies = histories
    accuracies.update({0: [0.0, 0.5, 1.0, 0.75, 1.0], 1: [0.0, 0.5, 0.5, 0.5, 0.5]})
    result = stage("ssb2018/random_labels").run(PARAMETERS, context)
    assert result.arrays["error"].tolist() == [[1, 0.5, 0, 0.25, 0], [1, 0.5, 0.5, 0.5, 0.5]]
    assert result.numbers == {
        "error_max": 0.5,
        "error_median": 0.25,
        "final_loss_max": 1.0,
        "zero_error_share": 0.5,
        "epochs_to_zero_median": 2,  # of the one network that reached it
    }
    assert not result.missing
    assert result.arrays["error_median"].tolist() == [1, 0.5, 0.25, 0.375, 0.25]


def test_no_network_without_an_error_leaves_no_epoch(context, histories):
    _, accuracies = histories
    accuracies.update({network: [0.0, 0.25, 0.5, 0.5, 0.75] for network in range(2)})
    result = stage("ssb2018/random_labels").run(PARAMETERS, context)
    assert set(result.missing) == {"epochs_to_zero_median"}
    assert result.numbers["zero_error_share"] == 0
    # An error at the end counts, whatever was reached before.
    accuracies.update({network: [0.0, 1.0, 1.0, 1.0, 0.75] for network in range(2)})
    result = stage("ssb2018/random_labels").run(PARAMETERS, context)
    assert result.numbers["error_max"] == 0.25
    assert result.numbers["zero_error_share"] == 0
    assert result.numbers["epochs_to_zero_median"] == 1


def test_labels_are_uniform_and_each_networks_own(context, histories):
    given, accuracies = histories
    accuracies.update({network: [1.0] * 5 for network in range(2)})
    many = replace(PARAMETERS, num_examples=2000)
    result = stage("ssb2018/random_labels").run(many, context)
    for network, labels in enumerate(given):
        assert labels.dtype == np.int64
        assert np.array_equal(result.arrays["labels"][network], labels)
        counts = np.bincount(labels, minlength=10)
        assert len(counts) == 10
        # Derandomised: fixed draws of a fair law, far from the one in a thousand tail.
        assert chisquare(counts).pvalue > 1e-3
    # Two independent sets of labels agree in a tenth of the examples, give or take 5 deviations.
    assert np.mean(given[0] == given[1]) == pytest.approx(0.1, abs=5 * 0.3 / 2000**0.5)
    stage("ssb2018/random_labels").run(many, context)
    assert np.array_equal(given[2], given[0])
    stage("ssb2018/random_labels").run(many, replace(context, seed=1))
    assert not np.array_equal(given[4], given[0])


def test_a_network_is_trained_on_the_labels_it_was_dealt(context):
    result = stage("ssb2018/random_labels").run(PARAMETERS, context)
    inputs, true_labels = networks.images(PARAMETERS, context)
    schedule = Schedule(0.05, (3,), 0.1)
    for network in range(2):
        labels = torch.from_numpy(result.arrays["labels"][network])
        assert not torch.equal(labels, true_labels)
        expected = learn(PARAMETERS, inputs, labels, network, 0, schedule.at)
        assert np.array_equal(result.arrays["loss"][network], expected["loss"])
        assert np.array_equal(result.arrays["error"][network], 1 - expected["accuracy"])


def test_a_cut_after_the_end_is_an_error(context):
    with pytest.raises(ValueError, match="cut_epoch 4 must be below num_epochs 4"):
        stage("ssb2018/random_labels").run(replace(PARAMETERS, cut_epoch=4), context)
