"""Tanh networks trained at once: each as if alone, one step by hand, and resumption bit for bit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ssbrepro.contract import Context, NoProgress
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018 import tanh_networks
from ssbrepro.papers.ssb2018.stages.tishby_training import Parameters as TishbyTrainingParameters
from ssbrepro.papers.ssb2018.stages.tishby_training import draw_samples, logarithmic_epochs
from ssbrepro.papers.ssb2018.tanh_networks import TanhNetworks, network_inputs
from ssbrepro.papers.ssb2018.twelve_bit_task import twelve_bit_task
from tests.oracles.progress import Interruption, Memory

SIZES = (12, 4, 3, 2)
NUM_EPOCHS = 4


def run(progress=None, seed=0, **changes):
    given = {
        "num_networks": 3,
        "layer_sizes": SIZES,
        "degrees": (0, 1, 3, 4),
        "label_information": 0.99,
        "train_share": 0.05,
        "step_size": 0.1,
        "momentum": 0.5,
        "batch_size": 64,
        "num_epochs": NUM_EPOCHS,
        "num_checkpoints": 4,
    }
    parameters = TishbyTrainingParameters(**(given | changes))
    context = Context(seed, "cpu", Path("unused"), progress=progress or NoProgress())
    return stage("ssb2018/tishby_training").run(parameters, context)


def alone(networks, number):
    """The same network made of PyTorch's own layers."""
    layers = []
    parts = networks.weights[number].detach().split(networks.layer_dims)
    for size, units, part in zip(SIZES[:-1], SIZES[1:], parts, strict=True):
        linear = nn.Linear(size, units)
        linear.weight.data = part[: size * units].view(size, units).T.clone()
        linear.bias.data = part[size * units :].clone()
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def layer_gradients(model):
    weights = list(model.parameters())
    pairs = zip(weights[::2], weights[1::2], strict=True)
    return [torch.cat([w.grad.T.reshape(-1), b.grad]) for w, b in pairs]


def test_each_network_is_the_usual_one_alone():
    networks = TanhNetworks(SIZES, 3, seed=0)
    nn.init.normal_(networks.weights, generator=torch.Generator().manual_seed(0))  # biases as well
    inputs = torch.randn(7, 3, 12, generator=torch.Generator().manual_seed(1))
    received = networks(inputs)
    assert received.shape == (7, 3, 2)
    for number in range(3):
        expected = alone(networks, number)(inputs[:, number])
        # float32 sums of at most twelve terms of order one, in another order.
        torch.testing.assert_close(received[:, number], expected, rtol=1e-5, atol=1e-5)
    shapes = [tuple(layer.shape) for layer in networks.layers(inputs)]
    assert shapes == [(3, 7, 4), (3, 7, 3), (3, 7, 2)]


def test_initial_weights_have_variance_one_over_inputs_and_no_biases():
    networks = TanhNetworks((12, 10, 2), 400, seed=0)
    first, second = networks.weights.detach().split(networks.layer_dims, dim=1)
    assert not first[:, 120:].any()
    assert not second[:, 20:].any()
    # The variance of so many draws is known to 1.5 % or better; six standard errors.
    assert first[:, :120].var().item() == pytest.approx(1 / 12, rel=0.04)
    assert second[:, :20].var().item() == pytest.approx(1 / 10, rel=0.1)


def test_inputs_are_signs():
    assert network_inputs(np.array([[0.0, 1.0]]), torch.device("cpu")).tolist() == [[[-1, 1]]]


def test_a_network_does_not_depend_on_how_many_others_there_are():
    few, many = run(num_networks=2).arrays, run(num_networks=5).arrays
    for name in ("trained", "label"):
        assert (many[name][:2] == few[name]).all()
    for name in ("loss", "gradient_mean", "gradient_deviation", "checkpoint_weights"):
        # Matrix products of another number of networks may be summed in another order, in float32.
        np.testing.assert_allclose(many[name][:2], few[name], rtol=1e-4, atol=1e-5, err_msg=name)
    loss = many["loss"]
    assert len(np.unique(loss[:, 0])) == 5  # and the networks differ


def test_one_batch_is_one_step_of_gradient_descent():
    result = run(num_epochs=2, num_checkpoints=3, batch_size=4096, momentum=0.5).arrays
    networks = TanhNetworks(SIZES, 3, seed=0)
    inputs = network_inputs(result["patterns"], torch.device("cpu"))[:, 0]
    for number in range(3):
        model = alone(networks, number)
        seen = torch.from_numpy(result["trained"][number])
        labels = torch.from_numpy(result["label"][number])[seen]
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        for epoch in range(3):
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs[seen]), labels)
            loss.backward()
            weights = [part.t().reshape(-1) for part in model.parameters()]
            # Sums over 205 patterns in float32, in another order.
            assert result["loss"][number, epoch] == pytest.approx(loss.item(), rel=1e-5)
            np.testing.assert_allclose(
                result["checkpoint_weights"][number, epoch],
                torch.cat(weights).detach(), rtol=1e-4, atol=1e-6,
            )  # fmt: skip
            optimizer.step()
    # One batch has no deviation.
    assert np.isnan(result["gradient_mean"]).all()
    assert np.isnan(result["gradient_deviation"]).all()


def test_gradients_are_those_of_each_batch_before_its_step():
    result = run(num_epochs=1, num_checkpoints=2, batch_size=128, step_size=1e-30).arrays
    networks = TanhNetworks(SIZES, 3, seed=0)
    inputs = network_inputs(result["patterns"], torch.device("cpu"))[:, 0]
    assert np.isnan(result["gradient_mean"][..., 0]).all()
    for number in range(3):
        model = alone(networks, number)
        seen = torch.from_numpy(result["trained"][number])
        labels = torch.from_numpy(result["label"][number])[seen]
        cross_entropy(model(inputs[seen]), labels).backward()
        gradients = torch.stack([part.norm() for part in layer_gradients(model)]).numpy()
        # 205 patterns: batches of 128 and 77. With m = (g1 + g2) / 2 and the full gradient
        # g = (128 g1 + 77 g2) / 205, |m - g| = 51/410 |g1 - g2| and |g1 - g2| = sqrt(2) deviation.
        mean, deviation = (
            result[f"gradient_{name}"][number, :, 1] for name in ("mean", "deviation")
        )
        margin = 51 / 410 * np.sqrt(2) * deviation
        assert (deviation > 0).all()
        assert (np.abs(mean - gradients) <= margin * (1 + 1e-4)).all()


def test_the_history_is_that_of_the_weights():
    result = run(num_epochs=3, num_checkpoints=4)
    arrays = result.arrays
    assert arrays["checkpoint_epoch"].tolist() == [0, 1, 2, 3]
    assert arrays["epoch"].tolist() == [0, 1, 2, 3]
    dims = TanhNetworks(SIZES, 1, seed=0).layer_dims
    layers = np.split(arrays["checkpoint_weights"].astype(float), np.cumsum(dims)[:-1], axis=2)
    norms = np.stack([np.linalg.norm(layer, axis=2) for layer in layers], axis=1)
    np.testing.assert_allclose(arrays["weight_norm"], norms, rtol=1e-12)  # float64 sums
    assert arrays["gradient_mean"].shape == (3, 3, 4)
    assert (arrays["gradient_mean"][..., 1:] > 0).all()
    assert result.numbers["final_accuracy_min"] == arrays["accuracy"][:, -1].min()
    assert result.numbers["final_loss_median"] == np.median(arrays["loss"][:, -1])
    assert result.numbers["label_information"] == pytest.approx(0.99, abs=1e-9)


def test_samples_follow_the_law_of_the_task():
    task = twelve_bit_task((0, 1, 3, 4), 0.9)
    samples = draw_samples(task, 200, 0.25, seed=0)
    assert samples.trained.shape == (200, 1024)
    assert all(len(set(row)) == 1024 for row in samples.trained.tolist())
    drawn = samples.label.mean(axis=0) - task.label_probability
    errors = np.sqrt(task.label_probability * (1 - task.label_probability) / 200)
    random = errors > 1e-3
    # The mean of some hundred squared standard scores is 1 give or take 0.1; five times that.
    assert np.mean((drawn[random] / errors[random]) ** 2) == pytest.approx(1, abs=0.5)
    share = np.bincount(samples.trained.ravel(), minlength=4096) / 200
    assert share.std() == pytest.approx(np.sqrt(0.25 * 0.75 / 200), rel=0.1)  # 1 % known


@pytest.mark.parametrize("interrupted_after", [1, 2, 3])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_an_interrupted_run_continues_with_the_same_bits(interrupted_after, momentum):
    expected = run(momentum=momentum)
    memory = Memory(interrupted_after)
    with pytest.raises(Interruption):
        run(memory, momentum=momentum)
    memory.saves_until_interrupted = None
    memory.reports.clear()
    received = run(memory, momentum=momentum)
    finished = expected.arrays["checkpoint_epoch"][interrupted_after - 1]
    assert min(done for done, _, _ in memory.reports) == finished + 1
    assert received.numbers == expected.numbers
    for name, values in expected.arrays.items():
        assert received.arrays[name].tobytes() == values.tobytes(), name
    again = run(memory, momentum=momentum)  # nothing left to do
    assert (again.arrays["checkpoint_weights"] == expected.arrays["checkpoint_weights"]).all()


@pytest.mark.parametrize(
    ("num_epochs", "number"), [(1, 2), (4, 5), (10, 5), (200, 15), (10000, 60)]
)
def test_checkpoints_are_logarithmic(num_epochs, number):
    epochs = logarithmic_epochs(num_epochs, number)
    assert len(epochs) == number
    assert sorted(set(epochs)) == epochs
    assert epochs[0] == 0
    assert epochs[-1] == num_epochs
    if number > 20:
        ratios = np.divide(epochs[-10:], epochs[-11:-1])
        # Whole epochs of at least a thousand.
        np.testing.assert_allclose(ratios, 10000 ** (1 / 58), rtol=2e-3)


def test_two_checkpoints_are_the_start_and_the_end():
    assert logarithmic_epochs(7, 2) == [0, 7]


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="6 checkpoints of 4 epochs"):
        run(num_checkpoints=6)
    with pytest.raises(ValueError, match="12 inputs and 2 classes"):
        run(layer_sizes=(11, 4, 2))
    with pytest.raises(ValueError, match="12 inputs and 2 classes"):
        run(layer_sizes=(12, 4, 3))


def test_a_loss_that_is_not_finite_ends_the_run(monkeypatch):
    class Broken(TanhNetworks):
        def __init__(self, *args):
            super().__init__(*args)
            self.weights.data[1, 0] = float("nan")

    monkeypatch.setattr(tanh_networks, "TanhNetworks", Broken)
    with pytest.raises(ArithmeticError, match="network 1 is nan after epoch 0"):
        run()
