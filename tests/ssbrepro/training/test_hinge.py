"""Training: closed forms on tiny problems, resumption bit for bit, and what is recorded."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from ssbrepro.contract import Context
from ssbrepro.data import cifar10
from ssbrepro.data.cifar10 import BinaryImages
from ssbrepro.networks import vgg12
from ssbrepro.networks.flattening import load_weights
from ssbrepro.papers import stage
from ssbrepro.papers.li2022.experiment import images_and_network
from ssbrepro.papers.li2022.stages.training import Parameters as TrainingParameters
from ssbrepro.seeding import torch_generator
from ssbrepro.training import hinge as training
from ssbrepro.training.hinge import (
    HISTORY,
    Schedule,
    risk_within_margin,
    state_of_training,
    train,
)
from ssbrepro.training.losses import hinge, within_margin
from tests.oracles.nets import problem
from tests.oracles.progress import Interruption, Memory

CONSTANT = Schedule(0.05, (), 1.0)


def float32_problem(num_examples: int = 17):
    given = problem("max-pooled", num_examples=num_examples)
    return given.model.float(), given.inputs.float(), given.targets.float()


def run(seed=0, progress=None, num_epochs=4, checkpoints=(0, 2, 4), schedule=CONSTANT):
    """Train a fresh small network; its arrays and final weights."""
    model, inputs, targets = float32_problem()
    arrays = train(
        model, inputs, targets, schedule, 0.9, 5, num_epochs, checkpoints, seed, progress
    )
    return arrays, model


def assert_same_bytes(received, expected):
    assert set(received) == set(expected)
    for name, values in expected.items():
        assert received[name].dtype == values.dtype, name
        assert received[name].shape == values.shape, name
        assert received[name].tobytes() == values.tobytes(), name


def linear(weight: float = 0.0) -> nn.Sequential:
    """T(x) = w x."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Flatten(0))
    nn.init.constant_(model[0].weight, weight)
    return model


ONE = torch.ones(1, 1)
PLUS = torch.ones(1)


def test_one_weight_climbs_to_the_margin_by_the_step_size():
    # R = max(0, 1 - w), slope -1 below the margin: w = 0, 1/8, 2/8, ..., then it rests at 1.
    arrays = train(linear(), ONE, PLUS, Schedule(0.125, (), 1.0), 0.0, 1, 10, (0, 3, 10), 0)
    weights = np.minimum(np.arange(11) / 8, 1)
    active = weights < 1
    # Eighths are exact in binary.
    assert arrays["epoch"].tolist() == list(range(11))
    assert arrays["loss"].tolist() == (1 - weights).tolist()
    assert arrays["accuracy"].tolist() == (weights > 0).astype(float).tolist()
    assert arrays["active_share"].tolist() == active.astype(float).tolist()
    assert arrays["order_parameter"].tolist() == (0.125 * active).tolist()
    assert arrays["step_size"].tolist() == [0.125] * 11
    assert arrays["checkpoint_epoch"].tolist() == [0, 3, 10]
    assert arrays["checkpoint_weights"].tolist() == [[0.0], [0.375], [1.0]]


def test_momentum_adds_half_of_the_last_step():
    # Velocity v = v/2 + 1, w += v/8: v = 1, 3/2, 7/4, 15/8; then the slope is zero.
    arrays = train(linear(), ONE, PLUS, Schedule(0.125, (), 1.0), 0.5, 1, 6, range(7), 0)
    velocity, weight, expected = 0.0, 0.0, [0.0]
    for _ in range(6):
        velocity = velocity / 2 + (1.0 if weight < 1 else 0.0)
        weight += velocity / 8
        expected.append(weight)
    assert expected[4:6] == [(1 + 1.5 + 1.75 + 1.875) / 8, (1 + 1.5 + 1.75 + 1.875 + 1.9375) / 8]
    assert arrays["checkpoint_weights"][:, 0].tolist() == expected


def test_the_gradient_is_averaged_over_the_batch():
    # Inputs 1, 2, 3 in one batch: mean slope -2, so w = 0, 1/4 with margins 1/4, 1/2, 3/4;
    # then w = 1/2 with margins 1/2, 1, 3/2.
    inputs = torch.tensor([[1.0], [2.0], [3.0]])
    arrays = train(linear(), inputs, torch.ones(3), Schedule(0.125, (), 1.0), 0.0, 3, 2, (2,), 0)
    assert arrays["checkpoint_weights"].tolist() == [[0.5]]
    assert arrays["loss"].tolist() == pytest.approx([1.0, 0.5, 0.5 / 3], rel=1e-15)
    assert arrays["active_share"].tolist() == [1.0, 1.0, 1 / 3]
    # Slopes of the mean loss: -2, -2, -1/3 (float32).
    expected = [0.125 * 4, 0.125 * 4, 0.125 / 9]
    assert arrays["order_parameter"].tolist() == pytest.approx(expected, rel=1e-6)


def with_active(number: int, num_examples: int = 21):
    """A float64 network and examples, so many of them within the margin."""
    given = problem("max-pooled", num_examples=num_examples)
    with torch.no_grad():
        outputs = given.model(given.inputs)
        order = outputs.abs().sort().values
        middle = (torch.cat([torch.zeros(1), order]) + torch.cat([order, 3 * order[-1:]])) / 2
        [*given.model.parameters()][-1].div_(middle[number])
    return given.model, given.inputs, outputs.sign()


@pytest.mark.parametrize("number", [0, 1, 7, 8, 9, 20, 21])
def test_examples_outside_the_margin_add_nothing(number):
    model, inputs, targets = with_active(number)
    assert int(within_margin(model(inputs), targets).sum()) == number
    weights = list(model.parameters())
    expected = hinge(model(inputs), targets)
    received = risk_within_margin(model, inputs, targets)
    # Sums of some ten float64 numbers of order one, in another order.
    torch.testing.assert_close(received, expected, rtol=1e-13, atol=1e-15)
    gradients = (torch.autograd.grad(risk, weights) for risk in (received, expected))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)
        assert number or not one.any()  # exactly zero, not None: momentum goes on


def test_only_blocks_with_examples_within_the_margin_are_differentiated():
    sizes = []

    class Spy(nn.Sequential):
        def forward(self, inputs):
            if torch.is_grad_enabled():
                sizes.append(len(inputs))
            return super().forward(inputs)

    for number in (0, 1, 8, 9, 21):
        model, inputs, targets = with_active(number)
        risk_within_margin(Spy(*model), inputs, targets)
    assert sizes == [8, 8, 8, 16, 21]


@pytest.mark.parametrize("number", [0, 3, 12, 20])
def test_skipping_trains_as_the_plain_loop_does(number):
    runs = []
    for differentiated in ("active", "all"):
        model, inputs, targets = with_active(number)
        schedule = Schedule(0.01, (2,), 0.5)
        runs.append(
            train(model, inputs, targets, schedule, 0.9, 10, 4, (0, 4), 0, None, differentiated)
        )
    active, plain = runs
    # Four epochs of three steps amplify float64 roundings by far less than a million.
    for name in plain:
        np.testing.assert_allclose(active[name], plain[name], rtol=1e-9, atol=1e-11, err_msg=name)
    moved = not np.array_equal(plain["checkpoint_weights"][0], plain["checkpoint_weights"][1])
    assert moved == (number > 0)


def test_the_plain_loop_is_taken_where_skipping_would_not_pay(monkeypatch):
    skipped = []

    def spy(model, inputs, targets):
        skipped.append(len(inputs))
        return risk_within_margin(model, inputs, targets)

    monkeypatch.setattr(training, "risk_within_margin", spy)
    for number in (12, 18):  # of 21: below two thirds, and above
        skipped.clear()
        model, inputs, targets = with_active(number)
        train(model, inputs, targets, Schedule(1e-9, (), 1.0), 0.0, 21, 1, (1,), 0)
        assert skipped == ([21] if number == 12 else [])


def test_an_epoch_visits_every_example_once_in_ragged_batches():
    seen = []

    class Spy(nn.Sequential):
        def forward(self, inputs):
            seen.append(inputs.detach().reshape(-1).tolist())
            return super().forward(inputs)

    model = Spy(nn.Linear(1, 1, bias=False), nn.Flatten(0))
    nn.init.zeros_(model[0].weight)  # all seven stay within the margin: no part of three elsewhere
    inputs = torch.arange(1.0, 8.0)[:, None]
    train(model, inputs, torch.ones(7), Schedule(1e-3, (), 1.0), 0.0, 3, 2, (2,), 0)
    batches = [batch for batch in seen if len(batch) <= 3]
    assert [len(batch) for batch in batches] == [3, 3, 1] * 2
    first, second = (list(itertools.chain(*half)) for half in (batches[:3], batches[3:]))
    assert sorted(first) == sorted(second) == inputs.reshape(-1).tolist()
    assert first != second  # a new order each epoch


def test_the_step_size_is_cut_at_the_start_of_each_cut_epoch():
    schedule = Schedule(1.0, (2, 5), 0.5)
    assert [schedule.at(epoch) for epoch in range(7)] == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    # Slope -1 throughout: the weight after each epoch is the sum of the step sizes.
    schedule = Schedule(0.125, (2, 3), 0.5)
    arrays = train(linear(), ONE, PLUS, schedule, 0.0, 1, 4, range(5), 0)
    assert arrays["step_size"].tolist() == [0.125, 0.125, 0.125, 0.0625, 0.03125]
    assert np.diff(arrays["checkpoint_weights"][:, 0]).tolist() == arrays["step_size"][1:].tolist()


def test_history_and_checkpoints_have_the_promised_shapes():
    arrays, model = run()
    assert set(arrays) == {"epoch", *HISTORY, "checkpoint_epoch", "checkpoint_weights"}
    for name in HISTORY:
        assert arrays[name].shape == (5,)
        assert arrays[name].dtype == np.float64
        assert np.isfinite(arrays[name]).all()
    dim = sum(weight.numel() for weight in model.parameters())
    assert arrays["checkpoint_weights"].shape == (3, dim)
    assert arrays["checkpoint_weights"].dtype == np.float32
    assert arrays["loss"][-1] < arrays["loss"][0]


def test_checkpoints_are_the_weights_after_so_many_epochs():
    arrays, model = run(checkpoints=range(5))
    fresh, inputs, targets = float32_problem()

    def flat(network):
        return torch.cat([weight.detach().reshape(-1) for weight in network.parameters()]).numpy()

    assert np.array_equal(arrays["checkpoint_weights"][0], flat(fresh))
    assert np.array_equal(arrays["checkpoint_weights"][4], flat(model))
    for epoch in range(5):
        load_weights(fresh, arrays["checkpoint_weights"][epoch])
        record = state_of_training(fresh, inputs, targets, arrays["step_size"][epoch])
        for name in HISTORY:
            assert record[name] == arrays[name][epoch]
    # A shorter run is the beginning of a longer one.
    shorter, _ = run(num_epochs=2, checkpoints=(2,))
    assert np.array_equal(shorter["checkpoint_weights"][0], arrays["checkpoint_weights"][2])


def test_the_seed_alone_determines_the_run():
    torch.manual_seed(1)
    first, _ = run(seed=3)
    torch.manual_seed(2)
    again, _ = run(seed=3)
    assert_same_bytes(again, first)
    other, _ = run(seed=4)
    assert not np.array_equal(other["checkpoint_weights"][-1], first["checkpoint_weights"][-1])


@pytest.mark.parametrize("schedule", [CONSTANT, Schedule(0.05, (1, 3), 0.5)])
def test_a_run_interrupted_after_any_save_continues_with_the_same_bytes(schedule):
    whole = Memory()
    expected, model = run(progress=whole, schedule=schedule)
    assert whole.num_saves >= 5
    for saves in range(1, whole.num_saves + 1):
        progress = Memory(saves_until_interrupted=saves)
        with pytest.raises(Interruption):
            run(progress=progress, schedule=schedule)
        continued, resumed = run(progress=progress, schedule=schedule)
        assert_same_bytes(continued, expected)
        for one, other in zip(resumed.parameters(), model.parameters(), strict=True):
            assert torch.equal(one, other)
        for name, state in whole.kept.items():
            assert_same_bytes(progress.kept[name], state)


def test_a_run_interrupted_many_times_continues_with_the_same_bytes():
    expected, _ = run()
    progress = Memory()
    interruptions = 0
    while True:
        progress.saves_until_interrupted = progress.num_saves + 2
        try:
            arrays, _ = run(progress=progress)
        except Interruption:
            interruptions += 1
        else:
            break
    assert interruptions >= 3
    assert_same_bytes(arrays, expected)


def test_a_continued_run_does_not_repeat_finished_epochs():
    progress = Memory()
    run(progress=progress, num_epochs=3, checkpoints=(0,))
    progress.reports.clear()
    run(progress=progress, num_epochs=4, checkpoints=(0, 4))
    assert [done for done, _, _ in progress.reports] == [4]


def test_a_finished_run_is_restored_without_training():
    progress = Memory()
    expected, _ = run(progress=progress)
    saves = progress.num_saves
    again, _ = run(progress=progress)
    assert_same_bytes(again, expected)
    assert progress.num_saves == saves


def test_every_epoch_is_reported_and_saved():
    progress = Memory()
    arrays, _ = run(progress=progress, checkpoints=(1,))
    assert [(done, total) for done, total, _ in progress.reports] == [(e, 4) for e in range(5)]
    assert set(progress.kept) == {"epoch", "checkpoint-1"}
    assert progress.kept["epoch"]["loss"].tolist() == arrays["loss"].tolist()


@pytest.mark.parametrize("checkpoints", [(-1,), (0, 5)])
def test_a_checkpoint_outside_the_training_is_an_error(checkpoints):
    with pytest.raises(ValueError, match="checkpoints"):
        run(checkpoints=checkpoints)


def test_a_loss_that_is_not_finite_is_an_error_that_names_the_epoch():
    # The first step of 1e30 sends the outputs of a four-layer net beyond float32.
    with pytest.raises(ArithmeticError, match="after epoch 1"):
        run(schedule=Schedule(1e30, (), 1.0))


def test_nothing_of_a_failed_epoch_is_saved():
    progress = Memory()
    with pytest.raises(ArithmeticError):
        run(progress=progress, schedule=Schedule(1e30, (), 1.0))
    assert progress.kept["epoch"]["loss"].shape == (1,)
    assert np.isfinite(progress.kept["epoch"]["weights"]).all()


@pytest.mark.parametrize("num_examples", [1, 17, 499, 500, 501, 1203])
def test_the_order_parameter_is_the_step_size_times_the_squared_gradient(num_examples):
    given = problem("max-pooled", num_examples=max(num_examples, 17))
    model = given.model
    inputs, targets = given.inputs[:num_examples], given.targets[:num_examples]
    loss = hinge(model(inputs), targets)
    gradient = torch.autograd.grad(loss, list(model.parameters()))
    squared = sum(part.square().sum().item() for part in gradient)
    assert squared > 1e-6
    record = state_of_training(model, inputs, targets, 0.3)
    # The same sums in other parts: float64 roundings of 1203 terms.
    assert record["order_parameter"] == pytest.approx(0.3 * squared, rel=1e-11)
    assert record["loss"] == pytest.approx(loss.item(), rel=1e-12)
    outputs = model(inputs)
    assert record["accuracy"] == (targets * outputs > 0).double().mean().item()
    assert record["active_share"] == (targets * outputs < 1).double().mean().item()
    assert record["step_size"] == 0.3


def test_nothing_moves_once_all_margins_exceed_one():
    model, inputs, _ = float32_problem()
    with torch.no_grad():
        outputs = model(inputs)
        list(model.parameters())[-1].mul_(2 / outputs.abs().min())
        targets = outputs.sign()
    record = state_of_training(model, inputs, targets, 0.1)
    assert record == {
        "loss": 0.0,
        "accuracy": 1.0,
        "step_size": 0.1,
        "active_share": 0.0,
        "order_parameter": 0.0,
    }
    arrays = train(model, inputs, targets, CONSTANT, 0.9, 5, 3, (0, 3), 0)
    assert np.array_equal(*arrays["checkpoint_weights"])


def test_measuring_the_state_leaves_the_model_alone():
    model, inputs, targets = float32_problem()
    before = [weight.detach().clone() for weight in model.parameters()]
    state_of_training(model, inputs, targets, 0.1)
    for weight, copy in zip(model.parameters(), before, strict=True):
        assert torch.equal(weight, copy)
        assert weight.grad is None


def test_loaded_weights_are_copies():
    weights = np.array([0.5], dtype=np.float32)
    model = linear()
    load_weights(model, weights)
    assert model[0].weight.item() == 0.5
    with torch.no_grad():
        model[0].weight.add_(1)
    assert weights.tolist() == [0.5]


def test_read_only_weights_can_be_loaded():
    weights = np.array([0.5], dtype=np.float32)
    weights.flags.writeable = False
    model = linear()
    load_weights(model, weights)
    assert model[0].weight.item() == 0.5


def test_weights_of_another_network_are_refused():
    with pytest.raises((ValueError, RuntimeError)):
        load_weights(float32_problem()[0], np.zeros(3, dtype=np.float32))


PARAMETERS = TrainingParameters(
    positive_classes=(0, 1),
    negative_classes=(2,),
    num_examples=12,
    input_scaling="standardised",
    width=1 / 16,
    num_convolutions=10,
    initialisation="he_normal",
    step_size=0.02,
    cut_epochs=(1,),
    cut_factor=0.1,
    momentum=0.9,
    batch_size=5,
    num_epochs=2,
    checkpoint_epochs=(0, 2),
    differentiated="active",
)


def context(root, seed=0):
    return Context(seed=seed, device="cpu", data_root=root)


@pytest.fixture
def synthetic(monkeypatch, tmp_path):
    """Twelve random images in the place of CIFAR-10; what was asked for, and the folder."""
    asked = []
    inputs = torch.randn(12, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([1.0, -1.0] * 6)

    def load(*arguments):
        asked.append(arguments)
        return BinaryImages(inputs, targets)

    monkeypatch.setattr(cifar10, "load", load)
    return asked, tmp_path


def test_the_stage_trains_the_declared_experiment(synthetic):
    asked, root = synthetic
    result = stage("li2022/training").run(PARAMETERS, context(root))
    assert asked == [(root, (0, 1), (2,), 12, "standardised")]
    assert set(result.numbers) == set(stage("li2022/training").numbers)
    assert not result.missing
    assert result.arrays["epoch"].tolist() == [0, 1, 2]
    assert result.arrays["step_size"].tolist() == pytest.approx([0.02, 0.02, 0.002], rel=1e-15)
    assert result.arrays["checkpoint_epoch"].tolist() == [0, 2]
    initial = vgg12(1 / 16, torch_generator(0, "weights"))
    flat = torch.cat([weight.detach().reshape(-1) for weight in initial.parameters()])
    assert np.array_equal(result.arrays["checkpoint_weights"][0], flat.numpy())
    assert result.numbers["final_loss"] == result.arrays["loss"][-1]
    assert result.numbers["final_accuracy"] == result.arrays["accuracy"][-1]
    for series in result.series.values():
        assert len(result.arrays[series.epochs]) == len(result.arrays[series.values])


def test_the_seed_of_the_stage_determines_its_weights(synthetic):
    _, root = synthetic
    first, again, other = (
        next(images_and_network(PARAMETERS, context(root, seed))[1].parameters())
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_stage_trains_on_real_images(data_root):
    result = stage("li2022/training").run(PARAMETERS, context(data_root))
    assert 0 < result.numbers["final_loss"] < 10
    assert result.arrays["loss"][0] != result.arrays["loss"][-1]
