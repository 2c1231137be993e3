"""Residual networks: the family, one training, all trainings, and the cut of the step size."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ssbrepro.contract import Context
from ssbrepro.networks.flattening import load_weights
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018 import residual_networks as networks
from ssbrepro.papers.ssb2018.parameters import ResidualNetworks as ResidualNetworksParameters
from ssbrepro.papers.ssb2018.residual_networks import (
    images,
    learn,
    learn_all,
    loss_and_accuracy,
    untrained,
)
from ssbrepro.papers.ssb2018.stages.residual_training import (
    Parameters as ResidualTrainingParameters,
)
from ssbrepro.seeding import torch_generator
from ssbrepro.training.descent import Schedule
from tests.oracles.images import random_images
from tests.oracles.progress import Interruption, Memory

FAMILY = ResidualNetworksParameters(
    num_networks=2,
    num_examples=6,
    channels=1,
    num_units=1,
    branch_scale=0.5,
    step_size=0.05,
    momentum=0.9,
    batch_size=4,
    num_epochs=4,
)
TRAINING = ResidualTrainingParameters(
    **asdict(FAMILY), cut_epoch=2, cut_factor=0.1, checkpoint_interval=2
)
NUM_LAYERS = 3 * (1 + 2) + 1


IMAGES = random_images(Path("unused"), FAMILY.num_examples)


@pytest.fixture
def context(monkeypatch, tmp_path):
    monkeypatch.setattr(networks, "load_classes", random_images)
    return Context(seed=0, device="cpu", data_root=tmp_path)


def constant(time):
    return 0.05


def flat(model):
    return torch.cat([weight.detach().reshape(-1) for weight in model.parameters()]).numpy()


def test_the_seed_and_the_number_determine_a_network():
    first = flat(untrained(FAMILY, 1, 0))
    assert np.array_equal(flat(untrained(FAMILY, 1, 0)), first)
    assert not np.array_equal(flat(untrained(FAMILY, 1, 1)), first)
    assert not np.array_equal(flat(untrained(FAMILY, 2, 0)), first)
    # Channels, units and the factor are those of the family.
    wider = untrained(replace(FAMILY, channels=2, num_units=2, branch_scale=0.25), 1, 0)
    assert wider[0].weight.shape == (2, 3, 3, 3)
    assert len(list(wider.parameters())) == 3 * 5 + 1
    assert wider[3].branch_scale == 0.25


def test_the_first_images_are_those_that_the_networks_are_trained_on(context):
    inputs, labels = images(FAMILY, context)
    assert inputs.shape == (6, 3, 32, 32)
    assert torch.equal(inputs, IMAGES.inputs)
    few = images(FAMILY, context, 2)
    assert torch.equal(few.inputs, inputs[:2])
    assert torch.equal(few.labels, labels[:2])
    with pytest.raises(ValueError, match="7 examples asked for; the networks were trained on 6"):
        images(FAMILY, context, 7)


def test_an_untrained_network_has_the_loss_of_ten_equal_outputs():
    loss, accuracy = loss_and_accuracy(untrained(FAMILY, 0, 0), *IMAGES)
    # The mean of six logarithms in float64.
    assert loss == pytest.approx(np.log(10), rel=1e-14)
    assert accuracy == 1 / 6  # of equal outputs the first is taken, and one image has class 0


@pytest.mark.parametrize("num_examples", [3, 501])
def test_loss_and_accuracy_do_not_depend_on_the_parts(num_examples):
    generator = torch.Generator().manual_seed(2)
    model = torch.nn.Linear(4, 10, bias=False).double()
    inputs = torch.randn(num_examples, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(10, (num_examples,), generator=generator)
    loss, accuracy = loss_and_accuracy(model, inputs, labels)
    outputs = model(inputs).detach()
    # The same products in other parts: float64 roundings.
    assert loss == pytest.approx(cross_entropy(outputs, labels).item(), rel=1e-13)
    assert accuracy == np.mean((outputs.argmax(dim=1) == labels).numpy())


def test_training_is_that_of_a_loop_written_out():
    inputs, labels = IMAGES
    schedule = Schedule(0.05, (2,), 0.1)
    arrays = learn(FAMILY, inputs, labels, 1, 7, schedule.at, (0, 1, 3))
    model = untrained(FAMILY, 7, 1)
    weights = list(model.parameters())
    velocity = [torch.zeros_like(weight) for weight in weights]
    for epoch in range(FAMILY.num_epochs + 1):
        gradients = []
        step_size = 0.05 if epoch <= 2 else 0.05 * 0.1
        if epoch:
            order = torch.randperm(6, generator=torch_generator(7, "batches", 1, epoch))
            for batch in (order[:4], order[4:]):
                loss = cross_entropy(model(inputs[batch]), labels[batch])
                gradients.append(torch.autograd.grad(loss, weights))
                with torch.no_grad():
                    for weight, speed, slope in zip(weights, velocity, gradients[-1], strict=True):
                        speed.mul_(0.9).add_(slope)
                        weight.sub_(step_size * speed)
        # The same float32 operations but for fused multiplications, over eight steps.
        loss, accuracy = loss_and_accuracy(model, inputs, labels)
        assert arrays["loss"][epoch] == pytest.approx(loss, rel=1e-4)
        assert arrays["accuracy"][epoch] == accuracy
        norms = [weight.detach().norm().item() for weight in weights]
        np.testing.assert_allclose(arrays["weight_norm"][:, epoch], norms, rtol=1e-4, atol=1e-6)
        if not epoch:
            assert np.isnan(arrays["gradient_mean"][:, 0]).all()
            assert np.isnan(arrays["gradient_deviation"][:, 0]).all()
            continue
        for layer, (first, second) in enumerate(zip(*gradients, strict=True)):
            # Two batches: the mean is half the sum, the variance half the squared difference.
            mean = ((first + second) / 2).norm().item()
            deviation = ((first - second) / 2**0.5).norm().item()
            assert arrays["gradient_mean"][layer, epoch] == pytest.approx(mean, rel=1e-3, abs=1e-6)
            assert arrays["gradient_deviation"][layer, epoch] == pytest.approx(
                deviation, rel=1e-3, abs=1e-6
            )
    assert arrays["checkpoint_weights"].dtype == np.float32
    assert arrays["checkpoint_weights"].shape == (3, len(flat(model)))
    assert np.array_equal(arrays["checkpoint_weights"][0], flat(untrained(FAMILY, 7, 1)))
    load_weights(model, arrays["checkpoint_weights"][1])
    assert loss_and_accuracy(model, inputs, labels) == (arrays["loss"][1], arrays["accuracy"][1])


def test_an_epoch_of_one_batch_has_no_variance():
    arrays = learn(replace(FAMILY, batch_size=6, num_epochs=1), *IMAGES, 0, 0, constant)
    assert np.isnan(arrays["gradient_mean"]).all()
    assert np.isnan(arrays["gradient_deviation"]).all()
    assert "checkpoint_weights" not in arrays


def test_a_step_size_within_the_epoch_is_used():
    def only_at_the_start(time):
        return 0.05 if time == 0 else 0.0

    inputs, labels = IMAGES
    short = replace(FAMILY, num_epochs=1)
    arrays = [
        learn(replace(short, momentum=momentum), inputs, labels, 0, 0, step_size, (1,))
        for momentum, step_size in ((0.0, only_at_the_start), (0.9, only_at_the_start))
    ]
    # With no step after the first batch, momentum changes nothing.
    assert np.array_equal(arrays[0]["checkpoint_weights"], arrays[1]["checkpoint_weights"])
    assert arrays[0]["loss"][1] != arrays[0]["loss"][0]


def test_a_loss_that_is_not_finite_names_the_network_and_the_epoch():
    with pytest.raises(ArithmeticError, match=r"network 1 is (nan|inf) after epoch 1"):
        learn(FAMILY, *IMAGES, 1, 0, lambda time: 1e30)


def test_each_epoch_is_reported():
    progress = Memory()
    learn(FAMILY, *IMAGES, 1, 0, constant, progress=progress)
    assert [(done, total) for done, total, _ in progress.reports] == [(e, 4) for e in range(5)]
    assert progress.reports[0][2] == "network 2 of 2, loss 2.3"


def test_all_networks_are_stacked_and_finished_ones_are_not_trained_again():
    trained = []

    def learn_one(network):
        trained.append(network)
        return {"loss": np.array([network, network / 2])}

    progress = Memory(saves_until_interrupted=2)
    with pytest.raises(Interruption):
        learn_all(3, progress, learn_one)
    assert trained == [0, 1]
    arrays = learn_all(3, progress, learn_one)
    assert trained == [0, 1, 2]
    assert arrays["loss"].tolist() == [[0, 0], [1, 0.5], [2, 1]]
    assert set(progress.kept) == {"network-0", "network-1", "network-2"}


def test_the_stage_trains_through_the_cut(context):
    result = stage("ssb2018/residual_training").run(TRAINING, context)
    arrays = result.arrays
    assert not result.missing
    assert arrays["epoch"].tolist() == [0, 1, 2, 3, 4]
    assert arrays["step_size"].tolist() == [0.05, 0.05, 0.05, 0.05 * 0.1, 0.05 * 0.1]
    assert arrays["checkpoint_epoch"].tolist() == [0, 2, 4]
    assert arrays["layer_sizes"].tolist() == [27, 9, 9, 18, 36, 36, 72, 144, 144, 40]
    dim = arrays["layer_sizes"].sum()
    assert arrays["checkpoint_weights"].shape == (2, 3, dim)
    for name in ("loss", "accuracy"):
        assert arrays[name].shape == (2, 5)
        assert np.array_equal(arrays[f"{name}_median"], arrays[name].mean(axis=0))  # of two
    for name in ("gradient_mean", "gradient_deviation", "weight_norm"):
        assert arrays[name].shape == (2, NUM_LAYERS, 5)
    # The same bits only from images in the same layout, which some kernels sum in another order.
    inputs, labels = images(TRAINING, context)
    alone = learn(TRAINING, inputs, labels, 1, 0, Schedule(0.05, (2,), 0.1).at, (4,))
    assert np.array_equal(arrays["loss"][1], alone["loss"])
    assert np.array_equal(arrays["checkpoint_weights"][1, 2], alone["checkpoint_weights"][0])
    loss = arrays["loss"]
    assert result.numbers == {
        "final_loss_median": np.median(loss[:, 4]),
        "final_loss_max": loss[:, 4].max(),
        "final_accuracy_min": arrays["accuracy"][:, 4].min(),
        "cut_loss_median": np.median(loss[:, 2]),
        "mean_loss": loss.mean(),
    }
    for series in result.series.values():
        assert arrays[series.epochs].shape == arrays[series.values].shape


def test_an_interrupted_stage_continues_with_the_same_bytes(context):
    expected = stage("ssb2018/residual_training").run(TRAINING, context)
    progress = Memory(saves_until_interrupted=1)
    with pytest.raises(Interruption):
        stage("ssb2018/residual_training").run(TRAINING, replace(context, progress=progress))
    continued = stage("ssb2018/residual_training").run(
        TRAINING, replace(context, progress=progress)
    )
    assert continued.numbers == expected.numbers
    for name, values in expected.arrays.items():
        assert continued.arrays[name].tobytes() == values.tobytes(), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cut_epoch": 4}, "cut_epoch 4 must be below num_epochs 4"),
        ({"checkpoint_interval": 3}, "checkpoint_interval 3 must divide"),
        ({"checkpoint_interval": 4}, "checkpoint_interval 4 must divide"),
    ],
)
def test_a_cut_without_a_checkpoint_is_an_error(context, changes, message):
    with pytest.raises(ValueError, match=message):
        stage("ssb2018/residual_training").run(replace(TRAINING, **changes), context)


def test_the_stage_trains_on_real_images(data_root):
    context = Context(seed=0, device="cpu", data_root=data_root)
    result = stage("ssb2018/residual_training").run(replace(TRAINING, num_examples=8), context)
    assert 0 < result.numbers["final_loss_max"] < np.log(10)
